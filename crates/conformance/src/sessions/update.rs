//! Updating the data.

use futures::future::join_all;
use hexmem_ports::{ErrorKind, OpId, Session};
use serde_json::{Value, json};

use super::{SessionRig, any, handle, owner, refused, token};
use crate::outbox::{drain, effect, effects_of};

/// `SESS-UPDATE-1`
pub async fn sess_update_1(rig: SessionRig) {
    let (token, mut session) = any(&rig).await;
    rig.clock.advance(3).await;
    let awkward = json!({ "a": ["é", 1.5, i64::MAX, {}], "large": "z".repeat(1_000_000) });
    for (version, data) in [(1, awkward), (2, Value::Null), (3, json!([])), (4, json!("x"))] {
        let updated = rig.store.update(&token, version, data.clone(), OpId::random(), vec![]).await;
        let updated = updated.unwrap().expect("live");
        session = Session { data, version: version + 1, ..session };
        assert_eq!(updated, session, "times and all else stay");
        assert_eq!(rig.other.find(&token).await.unwrap().as_ref(), Some(&session));
    }
}

/// `SESS-UPDATE-2`
pub async fn sess_update_2(rig: SessionRig) {
    let (token, session) = any(&rig).await;
    for version in [0, 2, u64::MAX, u64::MAX / 2 + 1] {
        let answer = rig.store.update(&token, version, json!(1), OpId::random(), vec![]).await;
        refused(ErrorKind::Conflict, answer);
    }
    assert_eq!(rig.store.find(&token).await.unwrap(), Some(session));

    let updates = (0..12).map(|n| {
        let store = handle(&rig, n);
        tokio::spawn(async move {
            store.update(&token, 1, json!({ "by": n }), OpId::random(), vec![]).await
        })
    });
    let mut winners = Vec::new();
    for answer in join_all(updates).await {
        match answer.unwrap() {
            Ok(session) => winners.push(session.expect("live")),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
    }
    assert_eq!(winners.len(), 1, "exactly one of one version");
    assert_eq!(rig.other.find(&token).await.unwrap().as_ref(), winners.first());

    // Read-modify-write loops lose nothing.
    let loops = (0..8).map(|n| {
        let store = handle(&rig, n);
        tokio::spawn(async move {
            loop {
                let read = store.find(&token).await.unwrap().expect("live");
                let count = read.data["count"].as_u64().unwrap_or(0) + 1;
                let data = json!({ "count": count });
                match store.update(&token, read.version, data, OpId::random(), vec![]).await {
                    Ok(updated) => return assert!(updated.is_some()),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                }
            }
        })
    });
    for done in join_all(loops).await {
        done.unwrap();
    }
    let end = rig.store.find(&token).await.unwrap().expect("live");
    assert_eq!((end.data["count"].as_u64(), end.version), (Some(8), 10));
}

/// `SESS-UPDATE-3`
pub async fn sess_update_3(rig: SessionRig) {
    let (token, _) = any(&rig).await;
    let op = OpId::random();
    let first = rig.store.update(&token, 1, json!("a"), op, vec![]).await.unwrap();
    assert_eq!(rig.other.update(&token, 1, json!("a"), op, vec![]).await.unwrap(), first);
    assert_eq!(rig.store.update(&token, 1, json!("b"), op, vec![]).await.unwrap(), first);
    let kept = rig.store.find(&token).await.unwrap().expect("live");
    assert_eq!((kept.version, kept.data), (2, json!("a")));
}

/// `SESS-UPDATE-4`
pub async fn sess_update_4(rig: SessionRig) {
    let (token, session) = any(&rig).await;
    let deep = (0..80).fold(json!(1), |inner, _| json!([inner]));
    for bad in [json!(["\u{0}"]), json!({ "\u{0}": 1 }), json!({ "n": u64::MAX }), deep] {
        refused(ErrorKind::Invalid, rig.store.update(&token, 1, bad, OpId::random(), vec![]).await);
        assert_eq!(rig.other.find(&token).await.unwrap().as_ref(), Some(&session));
    }
}

/// `SESS-UPDATE-5`
pub async fn sess_update_5(rig: SessionRig) {
    let (expired, _) = any(&rig).await;
    let (revoked, session) = any(&rig).await;
    let unknown = token(&owner(&rig, "u"));
    assert!(rig.store.revoke(&session.owner, session.id, vec![]).await.unwrap());
    rig.clock.advance(20).await;
    for dead in [expired, revoked, unknown] {
        for version in [1, 7] {
            let answer = rig.store.update(&dead, version, json!(1), OpId::random(), vec![]).await;
            assert_eq!(answer.unwrap(), None);
        }
        assert_eq!(rig.other.find(&dead).await.unwrap(), None);
    }
}

/// `SESS-UPDATE-6`
pub async fn sess_update_6(rig: SessionRig) {
    let (known, _) = any(&rig).await;
    let unknown = token(&owner(&rig, "u"));
    let (kept, lost, op) = (effect("a", 1), effect("b", 2), OpId::random());
    for _ in 0..2 {
        rig.store.update(&known, 1, json!(1), op, vec![kept.clone()]).await.unwrap().unwrap();
    }
    let stale = rig.store.update(&known, 1, json!(1), OpId::random(), vec![lost.clone()]).await;
    refused(ErrorKind::Conflict, stale);
    let absent = rig.store.update(&unknown, 1, json!(1), OpId::random(), vec![lost.clone()]).await;
    assert_eq!(absent.unwrap(), None);
    let bad = rig.store.update(&known, 2, json!("\u{0}"), OpId::random(), vec![lost]).await;
    refused(ErrorKind::Invalid, bad);
    assert_eq!(effects_of(drain(&rig).await), [kept]);
}
