//! Listing, by owner, cluster and correlation.

use std::collections::{BTreeMap, BTreeSet};

use hexmem_ports::{
    Cursor, ErrorKind, Limit, Name, NewSession, Page, Result, Session, SessionId, SessionOrigin,
    SessionStore, Tenant, UserScope,
};
use uuid::Uuid;

use super::{SessionRig, create, live, new, owner, refused, rows};
use crate::{awkward_names, name, other_tenant};

/// One of the three listings, of one thing.
#[derive(Clone)]
enum Of {
    Owner(UserScope),
    Cluster(Tenant, Name),
    Correlation(Tenant, Name),
}

impl Of {
    async fn page(
        &self,
        store: &dyn SessionStore,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        match self {
            Self::Owner(owner) => store.list(owner, cursor, limit).await,
            Self::Cluster(tenant, name) => store.list_by_cluster(tenant, name, cursor, limit).await,
            Self::Correlation(tenant, name) => {
                store.list_by_correlation(tenant, name, cursor, limit).await
            }
        }
    }

    /// A request for a session that is listed here.
    fn request(&self, rig: &SessionRig, user: &UserScope) -> NewSession {
        let mut origin = SessionOrigin::default();
        match self {
            Self::Owner(_) => {}
            Self::Cluster(_, name) => origin.cluster = Some(name.clone()),
            Self::Correlation(_, name) => origin.correlation = Some(name.clone()),
        }
        NewSession { origin, ..new(rig, user) }
    }

    async fn all(&self, store: &dyn SessionStore, limit: u32) -> BTreeMap<SessionId, u32> {
        let (mut seen, mut cursor, mut pages) = (BTreeMap::new(), None, 0);
        loop {
            let page = self.page(store, cursor, rows(limit)).await.unwrap();
            assert!(page.items.len() <= limit as usize, "the limit holds");
            for session in page.items {
                *seen.entry(session.id).or_default() += 1;
            }
            pages += 1;
            assert!(pages < 1_000, "the listing does not end");
            cursor = page.next;
            if cursor.is_none() {
                return seen;
            }
        }
    }
}

/// Pages give each session that was there throughout exactly once while others come and go.
async fn pages(rig: &SessionRig, of: &Of, user: &UserScope) {
    let mut made = Vec::new();
    for _ in 0..25 {
        made.push(create(&*rig.store, of.request(rig, user)).await.1);
    }
    let (mut gone, mut seen) = (BTreeSet::new(), BTreeMap::<SessionId, u32>::new());
    let (mut cursor, mut pages) = (None, 0);
    loop {
        let page = of.page(&*rig.store, cursor, rows(4)).await.unwrap();
        assert!(page.items.len() <= 4);
        // What was just listed goes first, so that whatever counts rows loses its place.
        for session in page.items.iter().take(2).chain(made.get(24 - pages)) {
            if rig.other.revoke(&session.owner, session.id, vec![]).await.unwrap() {
                gone.insert(session.id);
            }
        }
        create(&*rig.other, of.request(rig, user)).await;
        for session in page.items {
            *seen.entry(session.id).or_default() += 1;
        }
        pages += 1;
        assert!(pages < 25, "the listing does not end");
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(seen.values().all(|times| *times == 1), "a session was listed twice");
    for session in made {
        assert!(gone.contains(&session.id) || seen.contains_key(&session.id), "one is missing");
    }
}

/// `SESS-GET-1`
pub async fn sess_get_1(rig: SessionRig) {
    let scope = owner(&rig, "u");
    let (_, session) = create(&*rig.store, new(&rig, &scope)).await;
    assert_eq!(rig.other.get(&scope, session.id).await.unwrap().as_ref(), Some(&session));
    let strangers = [
        owner(&rig, "v"),
        owner(&rig, "U"),
        UserScope { tenant: other_tenant(), user: name("u") },
        UserScope { tenant: Tenant(name("u")), user: rig.tenant.0.clone() },
    ];
    for stranger in strangers {
        assert_eq!(rig.store.get(&stranger, session.id).await.unwrap(), None, "{stranger}");
    }
    assert_eq!(rig.store.get(&scope, SessionId(Uuid::new_v4())).await.unwrap(), None);
    assert_eq!(rig.store.get(&scope, SessionId(Uuid::nil())).await.unwrap(), None);
}

/// `SESS-LIST-1`
pub async fn sess_list_1(rig: SessionRig) {
    let scope = owner(&rig, "u");
    assert!(live(&*rig.store, &scope).await.is_empty());
    pages(&rig, &Of::Owner(scope.clone()), &scope).await;
    let expected = live(&*rig.store, &scope).await;
    for limit in [1, 3, 1_000] {
        let all = Of::Owner(scope.clone()).all(&*rig.other, limit).await;
        assert_eq!(all.into_keys().collect::<Vec<_>>(), expected);
    }
}

/// `SESS-LIST-2`
pub async fn sess_list_2(rig: SessionRig) {
    let scope = owner(&rig, "u");
    let elsewhere = UserScope { tenant: other_tenant(), user: name("u") };
    create(&*rig.store, new(&rig, &owner(&rig, "v"))).await;
    create(&*rig.store, new(&rig, &elsewhere)).await;
    let (_, revoked) = create(&*rig.store, new(&rig, &scope)).await;
    assert!(rig.store.revoke(&scope, revoked.id, vec![]).await.unwrap());
    create(&*rig.store, new(&rig, &scope)).await;
    rig.clock.advance(10).await;
    let (_, alive) = create(&*rig.store, new(&rig, &scope)).await;
    rig.clock.advance(10).await;
    assert_eq!(live(&*rig.store, &scope).await, [alive.id]);
    let page = rig.other.list(&scope, None, rows(10)).await.unwrap();
    assert_eq!(page.items, [alive]);
}

/// `SESS-LIST-3`
pub async fn sess_list_3(rig: SessionRig) {
    let scope = owner(&rig, "u");
    let cluster = Of::Cluster(rig.tenant.clone(), name("c"));
    for _ in 0..3 {
        create(&*rig.store, cluster.request(&rig, &scope)).await;
    }
    let listings =
        [Of::Owner(scope), cluster.clone(), Of::Correlation(rig.tenant.clone(), name("c"))];
    let long = "9".repeat(1_000_000);
    for of in &listings {
        for text in ["", "x", "-1", "'; --", "\u{0}", "é", "18446744073709551615", &long] {
            let answer = of.page(&*rig.store, Some(Cursor(text.into())), rows(1)).await;
            refused(ErrorKind::Invalid, answer);
        }
    }
    let next = cluster.page(&*rig.store, None, rows(1)).await.unwrap().next.expect("more");
    refused(ErrorKind::Invalid, listings[0].page(&*rig.store, Some(next), rows(1)).await);
}

/// A listing gives exactly what belongs to it, by pages, and nothing of others.
async fn exactly(rig: &SessionRig, make: impl Fn(Tenant, Name) -> Of) {
    let of = make(rig.tenant.clone(), name("prod"));
    let users: Vec<_> = (0..6).map(|n| owner(rig, &format!("u{n}"))).collect();
    let mut expected = BTreeSet::new();
    for user in &users {
        expected.insert(create(&*rig.store, of.request(rig, user)).await.1.id);
        create(&*rig.store, new(rig, user)).await;
        let other = make(rig.tenant.clone(), name("prod2"));
        create(&*rig.store, other.request(rig, user)).await;
    }
    let elsewhere = UserScope { tenant: other_tenant(), user: name("u0") };
    create(&*rig.store, of.request(rig, &elsewhere)).await;
    let (_, revoked) = create(&*rig.store, of.request(rig, &users[0])).await;
    assert!(rig.store.revoke(&users[0], revoked.id, vec![]).await.unwrap());
    for limit in [1, 4, 100] {
        let all = of.all(&*rig.other, limit).await;
        assert_eq!(all, expected.iter().map(|id| (*id, 1)).collect());
    }
    for other in awkward_names() {
        let of = make(rig.tenant.clone(), other);
        assert!(of.all(&*rig.store, 10).await.is_empty());
        let (_, session) = create(&*rig.store, of.request(rig, &users[0])).await;
        assert_eq!(of.all(&*rig.store, 10).await, BTreeMap::from([(session.id, 1)]));
    }
    let busy = make(rig.tenant.clone(), name("busy"));
    pages(rig, &busy, &users[1]).await;
    rig.clock.advance(20).await;
    assert!(of.all(&*rig.store, 10).await.is_empty(), "expired ones are not listed");
}

/// `SESS-CLUSTER-1`
pub async fn sess_cluster_1(rig: SessionRig) {
    exactly(&rig, Of::Cluster).await;
}

/// `SESS-CORR-1`
pub async fn sess_corr_1(rig: SessionRig) {
    exactly(&rig, Of::Correlation).await;
}
