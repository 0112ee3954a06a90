//! Cases of the sessions port.

mod broken;
mod create;
mod end;
mod kept;
mod list;
mod rotate;
mod spent;
mod touch;
mod update;

use std::sync::Arc;

use hexmem_ports::{
    Digest, ErrorKind, Limit, NewSession, Page, Result, Rotate, Session, SessionId, SessionOrigin,
    SessionStore, TokenKey, UserScope,
};
use serde_json::json;
use uuid::Uuid;

use crate::{Rig, name};

pub use broken::broken;
pub use create::*;
pub use end::*;
pub use kept::*;
pub use list::*;
pub use rotate::*;
pub use spent::*;
pub use touch::*;
pub use update::*;

type SessionRig = Rig<dyn SessionStore>;

/// Registers the sessions suite: `sessions_suite!(make)`, where `make` is an
/// `async fn() -> Rig<dyn SessionStore>`; with `, broken` each case must fail on the double that breaks its
/// clause.
#[macro_export]
macro_rules! sessions_suite {
    ($make:path) => {
        $crate::__sessions_cases!([] $make);
    };
    ($make:path, broken) => {
        $crate::__sessions_cases!([broken] $make);
    };
    ($make:path, together) => {
        $crate::__sessions_cases!([together] $make);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __sessions_cases {
    ($mode:tt $make:path) => {
        $crate::suite! {
            $mode sessions, $make;
            sess_create_1, sess_create_2, sess_create_3, sess_create_4, sess_create_5, sess_create_6,
            sess_create_7: [Effects],
            sess_find_1, sess_find_2, sess_find_3, sess_find_4,
            sess_touch_1, sess_touch_2, sess_touch_3, sess_touch_4, sess_touch_5, sess_touch_6,
            sess_update_1, sess_update_2, sess_update_3, sess_update_4, sess_update_5,
            sess_update_6: [Effects],
            sess_rotate_1, sess_rotate_2, sess_rotate_3, sess_rotate_4, sess_rotate_5, sess_rotate_6,
            sess_rotate_7: [Effects], sess_rotate_8,
            sess_spent_1, sess_spent_2, sess_spent_3,
            sess_get_1,
            sess_list_1, sess_list_2, sess_list_3,
            sess_cluster_1, sess_corr_1,
            sess_revoke_1, sess_revoke_2, sess_revoke_3: [Effects],
            sess_revokeall_1, sess_revokeall_2: [Effects],
            sess_count_1: [ExactCounts],
            sess_sweep_1,
            outbox_lease_1: [Effects], outbox_lease_2: [Effects], outbox_lease_3: [Effects],
            outbox_lease_4: [Effects], outbox_ack_1: [Effects], outbox_ack_2: [Effects],
            outbox_depth_1: [Effects],
            rec_kind_1: [Records], rec_scan_1: [Records], rec_scan_2: [Records],
            rec_restore_1: [Records], rec_restore_2: [Records], rec_restore_3: [Records],
            rec_restore_4: [Records],
        }
    };
}

/// A user of the rig's tenant.
fn owner<P: ?Sized>(rig: &Rig<P>, user: &str) -> UserScope {
    UserScope { tenant: rig.tenant.clone(), user: name(user) }
}

/// A token of `owner` that nobody has.
fn token(owner: &UserScope) -> TokenKey {
    let hash = Digest::of_parts([Uuid::new_v4().as_bytes().as_slice()]);
    TokenKey { bucket: owner.bucket(), hash }
}

/// A session of `owner` that idles out after 20 units and ends after 100; kept 10 units longer.
fn new<P: ?Sized>(rig: &Rig<P>, owner: &UserScope) -> NewSession {
    NewSession {
        id: SessionId(Uuid::new_v4()),
        token: token(owner),
        owner: owner.clone(),
        data: json!({ "role": "admin", "n": [1, -0.5, null, i64::MIN] }),
        origin: SessionOrigin::default(),
        idle: rig.ttl(20),
        absolute: rig.ttl(100),
        cap: None,
        retention: rig.ttl(10),
    }
}

/// Creates it and returns its token and the session.
async fn create(store: &dyn SessionStore, new: NewSession) -> (TokenKey, Session) {
    let token = new.token;
    (token, store.create(new, vec![]).await.unwrap().session)
}

/// A session of a fresh user.
async fn any(rig: &SessionRig) -> (TokenKey, Session) {
    let owner = owner(rig, &format!("u-{}", Uuid::new_v4()));
    create(&*rig.store, new(rig, &owner)).await
}

/// One of the two handles, by turns.
fn handle(rig: &SessionRig, n: usize) -> Arc<dyn SessionStore> {
    Arc::clone(if n.is_multiple_of(2) { &rig.store } else { &rig.other })
}

/// Checks that a call is refused with `kind`.
fn refused<T: std::fmt::Debug>(kind: ErrorKind, answer: Result<T>) {
    match answer {
        Err(error) => assert_eq!(error.kind(), kind, "{error}"),
        Ok(answer) => panic!("expected {kind:?}, got {answer:?}"),
    }
}

fn rotation(old: TokenKey, new: TokenKey) -> Rotate {
    Rotate { old, new, grace: None, auth_hash: None, ip: None, user_agent: None }
}

fn rows(limit: u32) -> Limit {
    Limit::new(limit).unwrap()
}

/// The ids on a page, sorted.
fn ids(page: &Page<Session>) -> Vec<SessionId> {
    let mut ids: Vec<_> = page.items.iter().map(|session| session.id).collect();
    ids.sort();
    ids
}

/// The live sessions of an owner, on one page.
async fn live(store: &dyn SessionStore, owner: &UserScope) -> Vec<SessionId> {
    let page = store.list(owner, None, rows(10_000)).await.unwrap();
    assert_eq!(page.next, None);
    ids(&page)
}
