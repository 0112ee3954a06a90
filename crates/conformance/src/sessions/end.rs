//! Revoking, counting and sweeping.

use futures::future::join_all;
use hexmem_ports::{Count, ErrorKind, NewSession, Rotate, SessionId, TokenKey, Touch, UserScope};
use uuid::Uuid;

use super::{SessionRig, any, create, handle, live, new, owner, rotation, rows, token};
use crate::outbox::{drain, effect, effects_of};
use crate::{name, other_tenant};

/// `SESS-REVOKE-1`
pub async fn sess_revoke_1(rig: SessionRig) {
    let (first, session) = any(&rig).await;
    let second = token(&session.owner);
    let rotate = Rotate { grace: Some(rig.ttl(10)), ..rotation(first, second) };
    rig.store.rotate(rotate, vec![]).await.unwrap().expect("live");
    assert!(rig.store.revoke(&session.owner, session.id, vec![]).await.unwrap());
    for store in [&rig.store, &rig.other] {
        for token in [first, second] {
            assert_eq!(store.find(&token).await.unwrap(), None);
            assert_eq!(store.touch(&token, Touch::default()).await.unwrap(), None);
        }
        assert_eq!(store.get(&session.owner, session.id).await.unwrap(), None);
        assert!(!store.revoke(&session.owner, session.id, vec![]).await.unwrap(), "a second one");
    }
    // An expired one is not revoked, and of many revocations one says that it did it.
    let (_, expired) = any(&rig).await;
    rig.clock.advance(20).await;
    assert!(!rig.store.revoke(&expired.owner, expired.id, vec![]).await.unwrap());
    let (_, session) = any(&rig).await;
    let revokes = (0..8).map(|n| {
        let (store, owner) = (handle(&rig, n), session.owner.clone());
        tokio::spawn(async move { store.revoke(&owner, session.id, vec![]).await.unwrap() })
    });
    let done = join_all(revokes).await;
    assert_eq!(done.into_iter().filter(|done| *done.as_ref().unwrap()).count(), 1);
}

/// `SESS-REVOKE-2`
pub async fn sess_revoke_2(rig: SessionRig) {
    let (token, session) = any(&rig).await;
    let strangers =
        [owner(&rig, "v"), UserScope { tenant: other_tenant(), user: session.owner.user.clone() }];
    for stranger in strangers {
        assert!(!rig.store.revoke(&stranger, session.id, vec![]).await.unwrap());
    }
    let nobody = SessionId(Uuid::new_v4());
    assert!(!rig.store.revoke(&session.owner, nobody, vec![]).await.unwrap());
    assert_eq!(rig.other.find(&token).await.unwrap(), Some(session));
}

/// `SESS-REVOKE-3`
pub async fn sess_revoke_3(rig: SessionRig) {
    let (_, session) = any(&rig).await;
    let (kept, lost) = (effect("a", 1), effect("b", 2));
    assert!(!rig.store.revoke(&owner(&rig, "v"), session.id, vec![lost.clone()]).await.unwrap());
    assert!(rig.store.revoke(&session.owner, session.id, vec![kept.clone()]).await.unwrap());
    assert!(!rig.store.revoke(&session.owner, session.id, vec![lost]).await.unwrap());
    assert_eq!(effects_of(drain(&rig).await), [kept]);
}

/// `SESS-REVOKEALL-1`
pub async fn sess_revokeall_1(rig: SessionRig) {
    let scope = owner(&rig, "u");
    let elsewhere = UserScope { tenant: other_tenant(), user: name("u") };
    let others = [owner(&rig, "v"), elsewhere];
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(create(&*rig.store, new(&rig, &scope)).await);
    }
    for other in &others {
        create(&*rig.store, new(&rig, other)).await;
    }
    assert!(rig.store.revoke(&scope, made[4].1.id, vec![]).await.unwrap());
    let (token, kept) = made[2].clone();
    assert_eq!(rig.store.revoke_all(&scope, Some(kept.id), vec![]).await.unwrap(), 3);
    assert_eq!(live(&*rig.other, &scope).await, [kept.id]);
    assert_eq!(rig.store.find(&token).await.unwrap(), Some(kept.clone()));
    assert_eq!(rig.store.revoke_all(&scope, Some(kept.id), vec![]).await.unwrap(), 0);
    assert_eq!(rig.store.find(&made[0].0).await.unwrap(), None);
    let stranger = live(&*rig.store, &others[0]).await[0];
    assert_eq!(rig.store.revoke_all(&scope, Some(stranger), vec![]).await.unwrap(), 1);
    assert_eq!(rig.other.find(&token).await.unwrap(), None);
    assert_eq!(rig.store.revoke_all(&scope, None, vec![]).await.unwrap(), 0);
    for other in &others {
        assert_eq!(live(&*rig.store, other).await.len(), 1, "{other} keeps theirs");
    }
}

/// `SESS-REVOKEALL-2`
pub async fn sess_revokeall_2(rig: SessionRig) {
    let scope = owner(&rig, "u");
    create(&*rig.store, new(&rig, &scope)).await;
    create(&*rig.store, new(&rig, &scope)).await;
    let (kept, lost) = (effect("a", 1), effect("b", 2));
    assert_eq!(rig.store.revoke_all(&owner(&rig, "v"), None, vec![lost.clone()]).await.unwrap(), 0);
    assert_eq!(rig.store.revoke_all(&scope, None, vec![kept.clone()]).await.unwrap(), 2);
    assert_eq!(rig.store.revoke_all(&scope, None, vec![lost]).await.unwrap(), 0);
    assert_eq!(effects_of(drain(&rig).await), [kept]);
}

/// `SESS-COUNT-1`
pub async fn sess_count_1(rig: SessionRig) {
    let exactly = |value| Count { value, exact: true };
    assert_eq!(rig.store.active_count(&rig.tenant).await.unwrap(), exactly(0));
    let elsewhere = UserScope { tenant: other_tenant(), user: name("u") };
    create(&*rig.store, new(&rig, &elsewhere)).await;
    let mut made = Vec::new();
    for n in 0..4 {
        made.push(create(&*rig.store, new(&rig, &owner(&rig, &format!("u{n}")))).await);
    }
    assert_eq!(rig.other.active_count(&rig.tenant).await.unwrap(), exactly(4));
    assert!(rig.store.revoke(&made[0].1.owner, made[0].1.id, vec![]).await.unwrap());
    assert_eq!(rig.store.active_count(&rig.tenant).await.unwrap(), exactly(3));
    rig.clock.advance(10).await;
    rig.store.touch(&made[1].0, Touch::default()).await.unwrap().expect("live");
    rig.clock.advance(10).await;
    assert_eq!(rig.store.active_count(&rig.tenant).await.unwrap(), exactly(1));
    assert_eq!(rig.store.active_count(&elsewhere.tenant).await.unwrap(), exactly(0));
}

/// Whether the store still knows the session: its id cannot be created with another token.
async fn known(rig: &SessionRig, gone: &NewSession) -> bool {
    let again = NewSession { token: token(&gone.owner), ..gone.clone() };
    match rig.store.create(again, vec![]).await {
        Ok(created) => {
            assert!(rig.store.revoke(&gone.owner, created.session.id, vec![]).await.unwrap());
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
            true
        }
    }
}

async fn sweep_all(rig: &SessionRig, limit: u32) -> u64 {
    let mut all = 0;
    for _ in 0..1_000 {
        let swept = rig.store.sweep(rows(limit)).await.unwrap();
        assert!(swept <= u64::from(limit), "{swept} swept at a limit of {limit}");
        if swept == 0 {
            return all;
        }
        all += swept;
    }
    panic!("the sweep does not end");
}

/// `SESS-SWEEP-1`
pub async fn sess_sweep_1(rig: SessionRig) {
    let scope = owner(&rig, "u");
    let mut requests = Vec::new();
    for _ in 0..7 {
        let request = new(&rig, &scope);
        create(&*rig.store, request.clone()).await;
        requests.push(request);
    }
    let touched: Vec<TokenKey> = requests[..3].iter().map(|request| request.token).collect();
    assert!(rig.store.revoke(&scope, requests[6].id, vec![]).await.unwrap());
    assert_eq!(sweep_all(&rig, 10).await, 0, "nothing is past its retention");
    rig.clock.advance(10).await;
    for token in &touched {
        rig.store.touch(token, Touch::default()).await.unwrap().expect("live");
    }
    assert_eq!(sweep_all(&rig, 10).await, 1, "the revoked one, its retention after the revocation");
    assert!(!known(&rig, &requests[6]).await);
    rig.clock.advance(19).await;
    assert_eq!(sweep_all(&rig, 10).await, 1, "only the one that was just made and revoked");
    assert!(known(&rig, &requests[5]).await, "expired, and kept for its retention");
    rig.clock.advance(1).await;
    assert_eq!(rig.store.sweep(rows(2)).await.unwrap(), 2);
    assert_eq!(sweep_all(&rig, 2).await, 1);
    assert!(!known(&rig, &requests[3]).await);
    assert!(known(&rig, &requests[0]).await, "a touch moved its end");
    // A live session is never swept, however old.
    let (young, _) = any(&rig).await;
    for token in &touched {
        assert_eq!(rig.store.find(token).await.unwrap(), None);
    }
    rig.clock.advance(19).await;
    assert_eq!(sweep_all(&rig, 100).await, 4, "the last three, and the one made to look");
    assert!(rig.other.find(&young).await.unwrap().is_some());
}
