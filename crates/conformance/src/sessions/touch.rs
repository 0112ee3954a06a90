//! Touching.

use futures::future::join;
use hexmem_ports::{NewSession, Session, Touch};

use super::{SessionRig, any, create, handle, new, owner, token};
use crate::name;
use crate::records::scan_all;

fn plain() -> Touch {
    Touch::default()
}

/// `SESS-TOUCH-1`
pub async fn sess_touch_1(rig: SessionRig) {
    let (token, session) = any(&rig).await;
    rig.clock.advance(15).await;
    let before = rig.clock.now().await;
    let touched = rig.store.touch(&token, plain()).await.unwrap().expect("live");
    let after = rig.clock.now().await;
    assert!(before <= touched.last_seen_at && touched.last_seen_at <= after);
    let expected = Session {
        last_seen_at: touched.last_seen_at,
        idle_expires_at: touched.last_seen_at.plus(rig.span(20)),
        ..session.clone()
    };
    assert_eq!(touched, expected, "all else stays");
    assert_eq!(rig.other.find(&token).await.unwrap(), Some(touched));
    rig.clock.advance(15).await;
    assert!(rig.other.find(&token).await.unwrap().is_some(), "beyond its first idle end");
    rig.clock.advance(5).await;
    assert_eq!(rig.store.find(&token).await.unwrap(), None);
}

/// `SESS-TOUCH-2`
pub async fn sess_touch_2(rig: SessionRig) {
    let (token, session) = any(&rig).await;
    for _ in 0..9 {
        rig.clock.advance(10).await;
        let touched = rig.store.touch(&token, plain()).await.unwrap().expect("live");
        assert!(touched.idle_expires_at <= session.absolute_expires_at);
        assert_eq!(touched.absolute_expires_at, session.absolute_expires_at);
    }
    rig.clock.advance(9).await;
    let touched = rig.store.touch(&token, plain()).await.unwrap().expect("live");
    assert_eq!(touched.idle_expires_at, session.absolute_expires_at);
    rig.clock.advance(1).await;
    assert_eq!(rig.store.touch(&token, plain()).await.unwrap(), None);
    assert_eq!(rig.other.find(&token).await.unwrap(), None);
}

/// `SESS-TOUCH-3`
pub async fn sess_touch_3(rig: SessionRig) {
    let (unused, _) = any(&rig).await;
    let never = token(&owner(&rig, "u"));
    let (revoked, session) = any(&rig).await;
    assert!(rig.store.revoke(&session.owner, session.id, vec![]).await.unwrap());
    rig.clock.advance(20).await;
    for dead in [unused, revoked, never] {
        assert_eq!(rig.store.touch(&dead, plain()).await.unwrap(), None);
        assert_eq!(rig.other.touch(&dead, plain()).await.unwrap(), None);
        assert_eq!(rig.store.find(&dead).await.unwrap(), None);
    }
}

/// `SESS-TOUCH-4`
pub async fn sess_touch_4(rig: SessionRig) {
    let (token, session) = any(&rig).await;
    let coalesced =
        || Touch { coalesce: Some(rig.ttl(5)), ip: Some("192.0.2.7".parse().unwrap()), ..plain() };
    let record = match &rig.records {
        Some(records) => scan_all(records.as_ref(), 100).await,
        None => vec![],
    };
    rig.clock.advance(3).await;
    assert_eq!(rig.store.touch(&token, coalesced()).await.unwrap().as_ref(), Some(&session));
    assert_eq!(rig.other.find(&token).await.unwrap().as_ref(), Some(&session));
    if let Some(records) = &rig.records {
        assert_eq!(scan_all(records.as_ref(), 100).await, record, "nothing is written");
    }
    rig.clock.advance(2).await;
    let touched = rig.store.touch(&token, coalesced()).await.unwrap().expect("live");
    assert!(touched.last_seen_at > session.last_seen_at, "the span is over");
    assert!(touched.idle_expires_at > session.idle_expires_at);
    rig.clock.advance(4).await;
    assert_eq!(rig.other.touch(&token, coalesced()).await.unwrap(), Some(touched.clone()));
    let forced = rig.store.touch(&token, plain()).await.unwrap().expect("live");
    assert!(forced.last_seen_at > touched.last_seen_at);
    // A dead session stays dead, whatever the span.
    rig.clock.advance(20).await;
    let long = Touch { coalesce: Some(rig.ttl(1_000)), ..plain() };
    assert_eq!(rig.store.touch(&token, long).await.unwrap(), None);
}

/// `SESS-TOUCH-5`
pub async fn sess_touch_5(rig: SessionRig) {
    for round in 0..20 {
        let (token, session) = any(&rig).await;
        let (toucher, revoker) = (handle(&rig, round), handle(&rig, round + 1));
        let touching = tokio::spawn(async move {
            for _ in 0..10 {
                toucher.touch(&token, plain()).await.unwrap();
            }
        });
        let revoking = tokio::spawn({
            let owner = session.owner.clone();
            async move { revoker.revoke(&owner, session.id, vec![]).await.unwrap() }
        });
        let (touched, revoked) = join(touching, revoking).await;
        touched.unwrap();
        assert!(revoked.unwrap());
        for store in [&rig.store, &rig.other] {
            assert_eq!(store.find(&token).await.unwrap(), None, "back from the dead");
            assert_eq!(store.get(&session.owner, session.id).await.unwrap(), None);
        }
    }
}

/// `SESS-TOUCH-6`
pub async fn sess_touch_6(rig: SessionRig) {
    let scope = owner(&rig, "u");
    let mut request: NewSession = new(&rig, &scope);
    request.origin.ip = Some("192.0.2.1".parse().unwrap());
    request.origin.user_agent = Some(name("first"));
    request.origin.cluster = Some(name("c"));
    let (token, session) = create(&*rig.store, request).await;
    let touch = Touch { ip: Some("2001:db8::2".parse().unwrap()), ..plain() };
    let touched = rig.store.touch(&token, touch).await.unwrap().unwrap();
    assert_eq!(touched.origin.ip, Some("2001:db8::2".parse().unwrap()));
    assert_eq!(touched.origin.user_agent, session.origin.user_agent);
    let touch = Touch { user_agent: Some(name("second")), ..plain() };
    let touched = rig.other.touch(&token, touch).await.unwrap().unwrap();
    assert_eq!(touched.origin.ip, Some("2001:db8::2".parse().unwrap()));
    assert_eq!(touched.origin.user_agent, Some(name("second")));
    assert_eq!(touched.origin.cluster, Some(name("c")));
    assert_eq!(rig.store.find(&token).await.unwrap(), Some(touched));
}
