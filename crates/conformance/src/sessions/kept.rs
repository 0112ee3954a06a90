//! Records and effects of sessions.

use async_trait::async_trait;
use hexmem_ports::{
    Effect, ErrorKind, NewSession, Rotate, SessionId, SessionOrigin, SessionStore, Tenant,
    TokenKey, Touch, Ttl, UserScope,
};
use serde_json::json;
use uuid::Uuid;

use super::{SessionRig, new, owner, refused, rotation, token};
use crate::outbox::{self, Emits};
use crate::records::{self, Subject};
use crate::{Rig, name};

/// Numbered sessions of one user each; their ids and tokens follow from the number.
struct Numbered {
    tenant: Tenant,
    unit: Ttl,
    template: NewSession,
}

impl Numbered {
    fn of(rig: &SessionRig) -> Self {
        let template = new(rig, &owner(rig, "u"));
        Self { tenant: rig.tenant.clone(), unit: rig.ttl(1), template }
    }

    fn id(n: u32) -> SessionId {
        SessionId(Uuid::from_u128(u128::from(n) + 1))
    }

    fn owner(&self, n: u32) -> UserScope {
        UserScope { tenant: self.tenant.clone(), user: name(format!("user {}", n % 3)) }
    }

    fn token(&self, n: u32, generation: u8) -> TokenKey {
        let parts = [self.tenant.as_str().as_bytes(), &n.to_be_bytes(), &[generation]];
        let hash = hexmem_ports::Digest::of_parts(parts);
        TokenKey { bucket: self.owner(n).bucket(), hash }
    }
}

#[async_trait]
impl Subject<dyn SessionStore> for Numbered {
    async fn create(&self, store: &dyn SessionStore, n: u32) {
        let origin = SessionOrigin {
            cluster: Some(name(format!("c{}", n % 2))),
            correlation: Some(name("k")),
            parent: (n > 0).then(|| Self::id(n - 1)),
            ip: Some("192.0.2.1".parse().unwrap()),
            user_agent: Some(name("agent \u{1f980}")),
            ..SessionOrigin::default()
        };
        let request = NewSession {
            id: Self::id(n),
            token: self.token(n, 0),
            owner: self.owner(n),
            data: json!({ "n": n, "f": 0.1 }),
            origin,
            ..self.template.clone()
        };
        store.create(request, vec![]).await.unwrap();
    }

    async fn change(&self, store: &dyn SessionStore, n: u32) {
        let session = store.get(&self.owner(n), Self::id(n)).await.unwrap().expect("live");
        let (old, new) = (self.token(n, 0), self.token(n, 1));
        let rotate = Rotate { grace: Some(self.unit), ..rotation(old, new) };
        store.rotate(rotate, vec![]).await.unwrap().expect("live");
        store.touch(&new, Touch::default()).await.unwrap().expect("live");
        let op = hexmem_ports::OpId::random();
        store.update(&new, session.version, json!("changed"), op, vec![]).await.unwrap();
    }

    async fn delete(&self, store: &dyn SessionStore, n: u32) {
        assert!(store.revoke(&self.owner(n), Self::id(n), vec![]).await.unwrap());
    }

    /// By id, by both tokens and by each listing.
    async fn read(&self, store: &dyn SessionStore, n: u32) -> Option<String> {
        let session = store.get(&self.owner(n), Self::id(n)).await.unwrap();
        let (first, second) = (
            store.find(&self.token(n, 0)).await.unwrap().map(|session| session.id),
            store.find(&self.token(n, 1)).await.unwrap().map(|session| session.id),
        );
        let owned = super::live(store, &self.owner(n)).await.contains(&Self::id(n));
        let (rows, cluster) = (super::rows(1_000), name(format!("c{}", n % 2)));
        let grouped = store.list_by_cluster(&self.tenant, &cluster, None, rows).await.unwrap();
        let grouped = super::ids(&grouped).contains(&Self::id(n));
        let related =
            store.list_by_correlation(&self.tenant, &name("k"), None, rows).await.unwrap();
        let related = super::ids(&related).contains(&Self::id(n));
        let Some(session) = session else {
            assert_eq!((first, second, owned, grouped, related), (None, None, false, false, false));
            return None;
        };
        Some(format!("{session:?} {first:?} {second:?} {owned} {grouped} {related}"))
    }

    fn life(&self) -> Option<u32> {
        Some(20)
    }
}

/// Every case of the records on sessions.
macro_rules! records_cases {
    ($($case:ident => $generic:ident),* $(,)?) => {
        $(
            #[doc = concat!("The records' case `", stringify!($generic), "` on sessions.")]
            pub async fn $case(rig: SessionRig) {
                let subject = Numbered::of(&rig);
                records::$generic(rig, subject).await;
            }
        )*
    };
}

records_cases! {
    rec_kind_1 => kind_1,
    rec_scan_1 => scan_1,
    rec_scan_2 => scan_2,
    rec_restore_1 => restore_1,
    rec_restore_2 => restore_2,
    rec_restore_3 => restore_3,
    rec_restore_4 => restore_4,
}

/// Creates a session with effects; refuses one whose token is taken.
struct Creates {
    template: NewSession,
}

#[async_trait]
impl Emits<dyn SessionStore> for Creates {
    async fn commit(&self, store: &dyn SessionStore, effects: Vec<Effect>) {
        let (id, token) = (SessionId(Uuid::new_v4()), token(&self.template.owner));
        let request = NewSession { id, token, ..self.template.clone() };
        store.create(request, effects).await.unwrap();
    }

    async fn refuse(&self, store: &dyn SessionStore, effects: Vec<Effect>) {
        store.create(self.template.clone(), vec![]).await.unwrap();
        let thief = NewSession { id: SessionId(Uuid::new_v4()), ..self.template.clone() };
        refused(ErrorKind::AlreadyExists, store.create(thief, effects).await);
    }
}

/// Every case of the outbox on sessions.
macro_rules! outbox_cases {
    ($($case:ident => $generic:ident),* $(,)?) => {
        $(
            #[doc = concat!("The outbox's case `", stringify!($generic), "` on sessions.")]
            pub async fn $case(rig: Rig<dyn SessionStore>) {
                let template = new(&rig, &owner(&rig, "u"));
                outbox::$generic(rig, Creates { template }).await;
            }
        )*
    };
}

outbox_cases! {
    outbox_lease_1 => lease_1,
    outbox_lease_2 => lease_2,
    outbox_lease_3 => lease_3,
    outbox_lease_4 => lease_4,
    outbox_ack_1 => ack_1,
    outbox_ack_2 => ack_2,
    outbox_depth_1 => depth_1,
}
