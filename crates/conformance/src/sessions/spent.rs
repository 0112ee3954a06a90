//! Tokens that were replaced.

use hexmem_ports::{REPLAY_WINDOW, Rotate, Session, SessionStore, Spent, TokenKey};

use super::{SessionRig, any, create, new, owner, rotation, token};

async fn rotated(
    rig: &SessionRig,
    old: TokenKey,
    session: &Session,
    grace: Option<u32>,
) -> TokenKey {
    let new = token(&session.owner);
    let rotate = Rotate { grace: grace.map(|units| rig.ttl(units)), ..rotation(old, new) };
    rig.store.rotate(rotate, vec![]).await.unwrap().expect("live");
    new
}

async fn spent(store: &dyn SessionStore, token: &TokenKey) -> Option<Spent> {
    store.spent(token).await.unwrap()
}

/// `SESS-SPENT-1`
pub async fn sess_spent_1(rig: SessionRig) {
    let (first, session) = any(&rig).await;
    rig.clock.advance(3).await;
    let second = rotated(&rig, first, &session, None).await;
    let present = rig.store.find(&second).await.unwrap().expect("live");
    let told = Spent { session: present.clone(), ended_at: present.token_issued_at };
    for store in [&rig.store, &rig.other] {
        assert_eq!(spent(store.as_ref(), &first).await.as_ref(), Some(&told));
    }
    // With a grace it has ended when that is over, and later rotations do not make it forgotten.
    let third = rotated(&rig, second, &session, Some(4)).await;
    let ends = rig.store.find(&third).await.unwrap().expect("live").token_issued_at;
    rig.clock.advance(4).await;
    let told = spent(rig.other.as_ref(), &second).await.expect("its grace is over");
    assert_eq!((told.session.id, told.ended_at), (session.id, ends.plus(rig.span(4))));
    let fourth = rotated(&rig, third, &session, None).await;
    for old in [first, second, third] {
        let told = spent(rig.store.as_ref(), &old).await.expect("within the window");
        assert_eq!(told.session.id, session.id);
    }
    assert!(rig.store.find(&fourth).await.unwrap().is_some());
}

/// `SESS-SPENT-2`
pub async fn sess_spent_2(rig: SessionRig) {
    let (first, session) = any(&rig).await;
    assert_eq!(spent(rig.store.as_ref(), &first).await, None, "it is current");
    let second = rotated(&rig, first, &session, Some(4)).await;
    rig.clock.advance(3).await;
    assert_eq!(spent(rig.store.as_ref(), &first).await, None, "it is in its grace");
    rig.clock.advance(1).await;
    assert!(spent(rig.store.as_ref(), &first).await.is_some());
    assert_eq!(spent(rig.store.as_ref(), &second).await, None, "it is current");
    let elsewhere = TokenKey { bucket: (first.bucket + 1) % 1_024, ..first };
    assert_eq!(spent(rig.other.as_ref(), &elsewhere).await, None, "another bucket");
    assert_eq!(spent(rig.other.as_ref(), &token(&session.owner)).await, None, "unknown");
    assert!(rig.store.revoke(&session.owner, session.id, vec![]).await.unwrap());
    assert_eq!(spent(rig.other.as_ref(), &first).await, None, "its session was revoked");
    let (first, session) = any(&rig).await;
    rotated(&rig, first, &session, None).await;
    rig.clock.advance(20).await;
    assert_eq!(spent(rig.other.as_ref(), &first).await, None, "its session has run out");
}

/// `SESS-SPENT-3`
pub async fn sess_spent_3(rig: SessionRig) {
    let scope = owner(&rig, "u");
    let (first, session) = create(&*rig.store, new(&rig, &scope)).await;
    let second = rotated(&rig, first, &session, None).await;
    rig.clock.advance(15).await;
    assert!(rig.clock.now().await.since(session.created_at) < REPLAY_WINDOW);
    let before = rig.store.find(&second).await.unwrap().expect("live");
    assert!(spent(rig.store.as_ref(), &first).await.is_some());
    assert_eq!(rig.other.find(&second).await.unwrap().as_ref(), Some(&before));
    assert_eq!(rig.other.find(&first).await.unwrap(), None);
    rig.clock.advance(5).await;
    assert_eq!(rig.store.find(&second).await.unwrap(), None, "it was not extended");
}
