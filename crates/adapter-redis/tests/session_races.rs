//! Sessions under two connections that do not know of each other, and what readers make of hints.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod rig;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hexmem_adapter_redis::RedisSessions;
use hexmem_ports::{
    Digest, ErrorKind, Limit, Name, NewSession, Records as _, Rotate, SessionCap, SessionId,
    SessionOrigin, SessionStore, Tenant, TokenKey, Touch, Ttl, UserScope, WhenFull,
};
use rig::{Servers, Space};
use serde_json::json;
use uuid::Uuid;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn tenant() -> Tenant {
    Tenant(name("t"))
}

fn owner(user: &str) -> UserScope {
    UserScope { tenant: tenant(), user: name(user) }
}

fn token(owner: &UserScope) -> TokenKey {
    TokenKey { bucket: owner.bucket(), hash: Digest::of(Uuid::new_v4().as_bytes()) }
}

fn new(owner: &UserScope) -> NewSession {
    NewSession {
        id: SessionId(Uuid::new_v4()),
        token: token(owner),
        owner: owner.clone(),
        data: json!({ "a": 1 }),
        origin: SessionOrigin {
            cluster: Some(name("c")),
            correlation: Some(name("k")),
            ..SessionOrigin::default()
        },
        idle: Ttl::secs(60).unwrap(),
        absolute: Ttl::secs(3_600).unwrap(),
        cap: None,
        retention: Ttl::secs(600).unwrap(),
    }
}

fn rows(limit: u32) -> Limit {
    Limit::new(limit).unwrap()
}

async fn two(space: &Space) -> (Arc<RedisSessions>, Arc<RedisSessions>) {
    let stores = (space.connect().await.sessions(), space.connect().await.sessions());
    (Arc::new(stores.0), Arc::new(stores.1))
}

/// Whatever comes after a revoke, none of touch, rotate and update brings the session back, and none half-writes it.
async fn a_revoke_wins(servers: Servers) {
    let space = Space::new(servers);
    let (one, other) = two(&space).await;
    for round in 0..20 {
        let request = new(&owner(&format!("u{round}")));
        one.create(request.clone(), vec![]).await.unwrap();
        let fresh = token(&request.owner);
        let rotate = Rotate {
            old: request.token,
            new: fresh,
            grace: Some(Ttl::secs(30).unwrap()),
            auth_hash: None,
            ip: None,
            user_agent: None,
        };
        let (revoked, touched, rotated, updated) = tokio::join!(
            one.revoke(&request.owner, request.id, vec![]),
            other.touch(&request.token, Touch::default()),
            other.rotate(rotate, vec![]),
            one.update(&request.token, 1, json!({}), hexmem_ports::OpId::random(), vec![]),
        );
        assert!(revoked.unwrap());
        touched.unwrap();
        rotated.unwrap();
        updated.unwrap();
        for key in [&request.token, &fresh] {
            assert_eq!(other.find(key).await.unwrap(), None);
            assert_eq!(other.touch(key, Touch::default()).await.unwrap(), None);
            assert_eq!(one.spent(key).await.unwrap(), None);
        }
        assert!(other.list(&request.owner, None, rows(10)).await.unwrap().items.is_empty());
    }
}

/// The cap holds under writers that come from two connections at once.
async fn the_cap_holds(servers: Servers) {
    let space = Space::new(servers);
    let (one, other) = two(&space).await;
    for when_full in [WhenFull::EvictOldest, WhenFull::Refuse] {
        let owner = owner(&format!("{when_full:?}"));
        let creates = (0..40).map(|n| {
            let store = Arc::clone(if n % 2 == 0 { &one } else { &other });
            let cap = Some(SessionCap { max: 3, when_full });
            let request = NewSession { cap, ..new(&owner) };
            tokio::spawn(async move { store.create(request, vec![]).await })
        });
        let mut made = 0;
        for created in join_all(creates).await {
            match created.unwrap() {
                Ok(_) => made += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict),
            }
        }
        assert_eq!(made, if when_full == WhenFull::Refuse { 3 } else { 40 });
        assert_eq!(one.list(&owner, None, rows(100)).await.unwrap().items.len(), 3);
        let named = other.list_by_cluster(&tenant(), &name("c"), None, rows(100)).await.unwrap();
        let of_owner = named.items.iter().filter(|session| session.owner == owner).count();
        assert_eq!(of_owner, 3, "the hints of the others are not followed");
    }
}

/// An expired session can be seen by nobody, by any way, and its record still can.
async fn an_expired_session_leaves_no_trace(servers: Servers) {
    let space = Space::new(servers);
    let (one, other) = two(&space).await;
    let request = new(&owner("u"));
    one.create(request.clone(), vec![]).await.unwrap();
    space.clock.advance(Duration::from_secs(60));
    assert_eq!(other.find(&request.token).await.unwrap(), None);
    assert_eq!(other.get(&request.owner, request.id).await.unwrap(), None);
    assert!(other.list(&request.owner, None, rows(9)).await.unwrap().items.is_empty());
    for page in [
        other.list_by_cluster(&tenant(), &name("c"), None, rows(9)).await.unwrap(),
        other.list_by_correlation(&tenant(), &name("k"), None, rows(9)).await.unwrap(),
    ] {
        assert!(page.items.is_empty() && page.next.is_none());
    }
    assert_eq!(other.active_count(&tenant()).await.unwrap().value, 0);
    assert!(!other.revoke(&request.owner, request.id, vec![]).await.unwrap());
    assert_eq!(one.scan(None, rows(9)).await.unwrap().items.len(), 1, "kept for its retention");
    space.clock.advance(Duration::from_secs(600));
    assert_eq!(one.sweep(rows(9)).await.unwrap(), 1);
    assert!(one.scan(None, rows(9)).await.unwrap().items.is_empty());
    assert_eq!(keys(&space).await, Vec::<String>::new(), "nothing is left of it");
}

/// A hint without a session, as a client leaves it that died between the two, is followed to nothing and dropped when no
/// create can come any more; one that is fresh stays, and its session is found.
async fn a_loose_hint_heals(servers: Servers) {
    let space = Space::new(servers);
    let (one, other) = two(&space).await;
    let capped = |owner: &UserScope| {
        let cap = Some(SessionCap { max: 1, when_full: WhenFull::Refuse });
        NewSession { cap, ..new(owner) }
    };
    let request = capped(&owner("u"));
    one.create(request.clone(), vec![]).await.unwrap();
    // Refused after its hints were given.
    let refused = one.create(capped(&request.owner), vec![]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let hints = async || {
        let keys = keys(&space).await;
        keys.iter().filter(|key| key.contains("{h") && key.ends_with(":m")).count()
    };
    let list = async || other.list_by_cluster(&tenant(), &name("c"), None, rows(9)).await.unwrap();
    assert_eq!(list().await.items.len(), 1);
    assert_eq!(hints().await, 2);
    assert!(one.revoke(&request.owner, request.id, vec![]).await.unwrap());
    assert!(list().await.items.is_empty());
    assert_eq!(hints().await, 2, "a create may still be on its way");
    space.clock.advance(Duration::from_secs(61));
    assert!(list().await.items.is_empty());
    other.list_by_correlation(&tenant(), &name("k"), None, rows(9)).await.unwrap();
    assert_eq!(hints().await, 0);
    let again = new(&request.owner);
    one.create(again.clone(), vec![]).await.unwrap();
    assert_eq!(list().await.items[0].id, again.id);
}

/// A process that has found a session remembers where it lies, and sees its end like any other.
async fn a_remembered_token_ends_like_any_other(servers: Servers) {
    let space = Space::new(servers);
    let (one, other) = two(&space).await;
    let remembered = async || {
        let request = new(&owner(&Uuid::new_v4().to_string()));
        one.create(request.clone(), vec![]).await.unwrap();
        for _ in 0..2 {
            let found = other.find(&request.token).await.unwrap().expect("it lives");
            assert_eq!((found.id, found.version), (request.id, 1));
        }
        request
    };
    let coalesced = Touch { coalesce: Some(Ttl::secs(30).unwrap()), ..Touch::default() };
    let gone = async |token: &TokenKey| {
        assert_eq!(other.find(token).await.unwrap(), None);
        assert_eq!(other.touch(token, coalesced.clone()).await.unwrap(), None);
    };

    let changed = remembered().await;
    let op = hexmem_ports::OpId::random();
    one.update(&changed.token, 1, json!("new"), op, vec![]).await.unwrap().unwrap();
    let found = other.find(&changed.token).await.unwrap().unwrap();
    assert_eq!((found.data, found.version), (json!("new"), 2));

    let revoked = remembered().await;
    assert!(one.revoke(&revoked.owner, revoked.id, vec![]).await.unwrap());
    gone(&revoked.token).await;

    let rotated = remembered().await;
    let rotate =
        |old, new, grace| Rotate { old, new, grace, auth_hash: None, ip: None, user_agent: None };
    let (second, third) = (token(&rotated.owner), token(&rotated.owner));
    let grace = Some(Ttl::secs(5).unwrap());
    one.rotate(rotate(rotated.token, second, grace), vec![]).await.unwrap().unwrap();
    assert!(other.find(&rotated.token).await.unwrap().is_some(), "in its grace");
    assert!(other.find(&second).await.unwrap().is_some());
    space.clock.advance(Duration::from_secs(5));
    gone(&rotated.token).await;
    one.rotate(rotate(second, third, None), vec![]).await.unwrap().unwrap();
    gone(&second).await;
    assert!(other.spent(&second).await.unwrap().is_some());

    // Within the span nothing is written, after it the touch is.
    let touched = remembered().await;
    space.clock.advance(Duration::from_secs(29));
    let before = other.touch(&touched.token, coalesced.clone()).await.unwrap().unwrap();
    space.clock.advance(Duration::from_secs(1));
    let after = other.touch(&touched.token, coalesced.clone()).await.unwrap().unwrap();
    assert_eq!(after.last_seen_at.since(before.last_seen_at), Duration::from_secs(30));
    space.clock.advance(Duration::from_secs(60));
    gone(&touched.token).await;

    // Swept, and another session under the same id and token.
    space.clock.advance(Duration::from_secs(600));
    while one.sweep(rows(100)).await.unwrap() > 0 {}
    gone(&touched.token).await;
    let again = NewSession { data: json!("again"), ..touched.clone() };
    one.create(again, vec![]).await.unwrap();
    assert_eq!(other.find(&touched.token).await.unwrap().unwrap().data, json!("again"));
}

/// All keys of a test.
async fn keys(space: &Space) -> Vec<String> {
    let mut all = Vec::new();
    for url in &space.config.urls {
        let client = redis::Client::open(url.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut cursor = 0u64;
        loop {
            let (next, found): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(format!("{}*", space.config.prefix))
                .arg("COUNT")
                .arg(10_000)
                .query_async(&mut connection)
                .await
                .unwrap();
            all.extend(found);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }
    all.sort();
    all.dedup();
    // Hints are dropped by the listing that follows them.
    all.retain(|key| !key.contains("{o"));
    all
}

macro_rules! on {
    ($module:ident, $servers:ident; $($case:ident),* $(,)?) => {
        mod $module {
            use crate::rig::Servers;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(Servers::$servers).await;
                }
            )*
        }
    };
}

on!(single, Single; a_revoke_wins, the_cap_holds, an_expired_session_leaves_no_trace, a_loose_hint_heals, a_remembered_token_ends_like_any_other);
on!(cluster, Cluster; a_revoke_wins, the_cap_holds, an_expired_session_leaves_no_trace, a_loose_hint_heals, a_remembered_token_ends_like_any_other);
