//! Rotating the token.

use futures::future::join_all;
use hexmem_ports::{Digest, ErrorKind, Rotate, Session, SessionOrigin, TokenKey, Touch};

use super::{SessionRig, any, create, handle, new, owner, refused, rotation, token};
use crate::name;
use crate::outbox::{drain, effect, effects_of};

/// `SESS-ROTATE-1`
pub async fn sess_rotate_1(rig: SessionRig) {
    let (old, session) = any(&rig).await;
    rig.clock.advance(3).await;
    let newer = token(&session.owner);
    let rotated = rig.store.rotate(rotation(old, newer), vec![]).await.unwrap().expect("live");
    assert!(rotated.token_issued_at > session.token_issued_at);
    let expected = Session { token_issued_at: rotated.token_issued_at, ..session.clone() };
    assert_eq!(rotated, expected, "id, data, ends and all else stay");
    for store in [&rig.store, &rig.other] {
        assert_eq!(store.find(&newer).await.unwrap().as_ref(), Some(&rotated));
        assert_eq!(store.find(&old).await.unwrap(), None, "the old one ended at once");
        assert_eq!(store.touch(&old, Touch::default()).await.unwrap(), None);
        assert_eq!(store.get(&session.owner, session.id).await.unwrap().as_ref(), Some(&rotated));
    }
    let unknown = token(&session.owner);
    let again = token(&session.owner);
    assert_eq!(rig.store.rotate(rotation(unknown, again), vec![]).await.unwrap(), None);
    assert_eq!(rig.store.find(&again).await.unwrap(), None);

    // A dead session is not rotated back to life.
    rig.clock.advance(20).await;
    assert_eq!(rig.store.rotate(rotation(newer, again), vec![]).await.unwrap(), None);
    assert_eq!(rig.store.find(&again).await.unwrap(), None);
    let (gone, session) = any(&rig).await;
    assert!(rig.store.revoke(&session.owner, session.id, vec![]).await.unwrap());
    let fresh = token(&session.owner);
    assert_eq!(rig.store.rotate(rotation(gone, fresh), vec![]).await.unwrap(), None);
    assert_eq!(rig.store.find(&fresh).await.unwrap(), None);
}

/// `SESS-ROTATE-2`
pub async fn sess_rotate_2(rig: SessionRig) {
    let (first, session) = any(&rig).await;
    let (second, third) = (token(&session.owner), token(&session.owner));
    let rotate = |old, new, units| Rotate { grace: Some(rig.ttl(units)), ..rotation(old, new) };
    rig.store.rotate(rotate(first, second, 6), vec![]).await.unwrap().expect("live");
    rig.clock.advance(3).await;
    let found = rig.other.find(&second).await.unwrap().expect("the new one");
    assert_eq!(rig.other.find(&first).await.unwrap(), Some(found), "both, within the grace");
    // A further rotation with a shorter grace ends the first token with the second: none outlives what replaced it.
    rig.store.rotate(rotate(second, third, 1), vec![]).await.unwrap().expect("live");
    for old in [first, second] {
        assert!(rig.store.find(&old).await.unwrap().is_some(), "in its grace");
    }
    rig.clock.advance(1).await;
    for old in [first, second] {
        assert_eq!(rig.store.find(&old).await.unwrap(), None, "the grace is over");
        assert_eq!(rig.other.touch(&old, Touch::default()).await.unwrap(), None);
    }
    assert_eq!(rig.other.find(&third).await.unwrap().expect("the newest").id, session.id);

    // A longer one does not prolong it, and one without a grace ends all at once: no older token sees new privileges.
    let (first, session) = any(&rig).await;
    let next = || token(&session.owner);
    let (second, third, fourth) = (next(), next(), next());
    rig.store.rotate(rotate(first, second, 2), vec![]).await.unwrap().expect("live");
    rig.store.rotate(rotate(second, third, 8), vec![]).await.unwrap().expect("live");
    rig.clock.advance(2).await;
    assert_eq!(rig.store.find(&first).await.unwrap(), None);
    assert!(rig.other.find(&second).await.unwrap().is_some());
    rig.store.rotate(rotation(third, fourth), vec![]).await.unwrap().expect("live");
    for old in [first, second, third] {
        assert_eq!(rig.other.find(&old).await.unwrap(), None, "the newest alone opens it");
    }
    assert!(rig.store.find(&fourth).await.unwrap().is_some());
}

/// `SESS-ROTATE-3`
pub async fn sess_rotate_3(rig: SessionRig) {
    for grace in [Some(rig.ttl(6)), None] {
        let (old, session) = any(&rig).await;
        let newer = token(&session.owner);
        let rotate = Rotate { grace, ..rotation(old, newer) };
        let first = rig.store.rotate(rotate.clone(), vec![]).await.unwrap();
        assert!(first.is_some());
        rig.clock.advance(3).await;
        assert_eq!(rig.other.rotate(rotate.clone(), vec![]).await.unwrap(), first);
        rig.clock.advance(3).await;
        assert_eq!(
            rig.store.find(&old).await.unwrap(),
            None,
            "a repeat does not prolong the grace"
        );
        assert_eq!(rig.store.rotate(rotate, vec![]).await.unwrap(), first);
        assert_eq!(rig.store.find(&newer).await.unwrap(), first);
    }
}

/// `SESS-ROTATE-4`
pub async fn sess_rotate_4(rig: SessionRig) {
    let (mine, session) = any(&rig).await;
    let scope = session.owner.clone();
    let (other, other_session) = super::create(&*rig.store, super::new(&rig, &scope)).await;
    refused(ErrorKind::AlreadyExists, rig.store.rotate(rotation(mine, other), vec![]).await);
    let fresh = token(&scope);
    let elsewhere = TokenKey { bucket: (mine.bucket + 1) % 1_024, ..fresh };
    refused(ErrorKind::Invalid, rig.store.rotate(rotation(mine, elsewhere), vec![]).await);
    refused(ErrorKind::Invalid, rig.store.rotate(rotation(mine, mine), vec![]).await);
    assert_eq!(rig.store.find(&mine).await.unwrap().as_ref(), Some(&session), "nothing changed");
    assert_eq!(rig.store.find(&other).await.unwrap(), Some(other_session));
    assert_eq!(rig.store.find(&elsewhere).await.unwrap(), None);
    // Nor can a token be used twice, by its own session or after its end.
    rig.store.rotate(rotation(mine, fresh), vec![]).await.unwrap().expect("live");
    refused(ErrorKind::AlreadyExists, rig.store.rotate(rotation(fresh, mine), vec![]).await);
    assert!(rig.store.find(&fresh).await.unwrap().is_some());
}

/// `SESS-ROTATE-5`
pub async fn sess_rotate_5(rig: SessionRig) {
    for grace in [Some(rig.ttl(6)), None] {
        let (old, session) = any(&rig).await;
        let rotations = (0..8).map(|n| {
            let (store, new) = (handle(&rig, n), token(&session.owner));
            let rotate = Rotate { grace, ..rotation(old, new) };
            tokio::spawn(async move { (new, store.rotate(rotate, vec![]).await) })
        });
        let mut winners = Vec::new();
        for done in join_all(rotations).await {
            let (new, answer) = done.unwrap();
            let found = rig.other.find(&new).await.unwrap();
            match answer {
                Ok(Some(session)) => {
                    assert_eq!(found, Some(session));
                    winners.push(new);
                }
                Ok(None) => assert!(grace.is_none() && found.is_none()),
                Err(error) => {
                    assert_eq!((error.kind(), found), (ErrorKind::Conflict, None));
                    assert!(grace.is_some(), "without grace the old token is unknown");
                }
            }
        }
        assert_eq!(winners.len(), 1, "one of concurrent rotations wins");
    }
}

/// `SESS-ROTATE-6`
pub async fn sess_rotate_6(rig: SessionRig) {
    let (first, session) = any(&rig).await;
    let (second, third) = (token(&session.owner), token(&session.owner));
    let hash = Some(Digest::of(b"password 2"));
    let rotate = Rotate { auth_hash: hash, ..rotation(first, second) };
    let rotated = rig.store.rotate(rotate, vec![]).await.unwrap().expect("live");
    assert_eq!(rotated.origin.auth_hash, hash);
    let rotated = rig.other.rotate(rotation(second, third), vec![]).await.unwrap().expect("live");
    assert_eq!(rotated.origin.auth_hash, hash, "not given, it stays");
    let mut expected = Session { token_issued_at: rotated.token_issued_at, ..session };
    expected.origin.auth_hash = hash;
    assert_eq!(rig.store.find(&third).await.unwrap(), Some(expected));
}

/// `SESS-ROTATE-7`
pub async fn sess_rotate_7(rig: SessionRig) {
    let (old, session) = any(&rig).await;
    let newer = token(&session.owner);
    let (kept, lost) = (effect("a", 1), effect("b", 2));
    for _ in 0..2 {
        let rotated = rig.store.rotate(rotation(old, newer), vec![kept.clone()]).await;
        assert!(rotated.unwrap().is_some());
    }
    let unknown = token(&owner(&rig, "u"));
    let fresh = TokenKey { bucket: unknown.bucket, ..token(&session.owner) };
    let absent = rig.store.rotate(rotation(unknown, fresh), vec![lost.clone()]).await;
    assert_eq!(absent.unwrap(), None);
    refused(ErrorKind::AlreadyExists, rig.store.rotate(rotation(newer, old), vec![lost]).await);
    assert_eq!(effects_of(drain(&rig).await), [kept]);
}

/// `SESS-ROTATE-8`
pub async fn sess_rotate_8(rig: SessionRig) {
    let mut request = new(&rig, &owner(&rig, "u"));
    request.origin.ip = Some("192.0.2.1".parse().unwrap());
    request.origin.user_agent = Some(name("first"));
    request.origin.cluster = Some(name("c"));
    let (first, session) = create(&*rig.store, request).await;
    let (second, third) = (token(&session.owner), token(&session.owner));
    let ip = Some("2001:db8::2".parse().unwrap());
    let rotate = Rotate { ip, ..rotation(first, second) };
    let rotated = rig.store.rotate(rotate, vec![]).await.unwrap().expect("live");
    let origin = SessionOrigin { ip, ..session.origin.clone() };
    assert_eq!(rotated.origin, origin, "one not given stays");
    let user_agent = Some(name("second"));
    let rotate = Rotate { user_agent: user_agent.clone(), ..rotation(second, third) };
    let rotated = rig.other.rotate(rotate, vec![]).await.unwrap().expect("live");
    assert_eq!(rotated.origin, SessionOrigin { user_agent, ..origin });
    assert_eq!(rig.store.find(&third).await.unwrap(), Some(rotated));
}
