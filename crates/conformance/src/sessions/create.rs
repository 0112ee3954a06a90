//! Creating and finding.

use futures::future::join_all;
use hexmem_ports::{
    Digest, ErrorKind, NewSession, SessionCap, SessionId, SessionOrigin, TokenKey, UserScope,
    WhenFull,
};
use serde_json::json;
use uuid::Uuid;

use super::{SessionRig, any, create, handle, live, new, owner, refused, rotation, token};
use crate::outbox::{drain, effect, effects_of};
use crate::{awkward_names, name, other_tenant};

fn capped(rig: &SessionRig, owner: &UserScope, max: u32, when_full: WhenFull) -> NewSession {
    NewSession { cap: Some(SessionCap { max, when_full }), ..new(rig, owner) }
}

/// `SESS-CREATE-1`
pub async fn sess_create_1(rig: SessionRig) {
    let rig = &rig;
    let data = json!({
        "empty": {}, "text": "\u{202e}日本 🦀 \u{1} \\ ' \" %", "list": [[], [null, true]],
        "edge": [i64::MIN, i64::MAX, 0, -0.5, 1e-300, 31.245_270_191_439_438, 1.0],
        "large": "x".repeat(1_000_000), "8001": "y".repeat(8_001), "": 0,
    });
    let origin = SessionOrigin {
        cluster: Some(name("prod/eu")),
        correlation: Some(name("c-1")),
        service: Some(name("svc:billing")),
        ip: Some("2001:db8::1".parse().unwrap()),
        user_agent: Some(name("Mozilla/5.0 (X11; Linux) \u{fffd}")),
        auth_hash: Some(Digest::of(b"password 1")),
        parent: Some(SessionId(Uuid::new_v4())),
    };
    let scope = owner(rig, "someone");
    let before = rig.clock.now().await;
    let request = NewSession { data: data.clone(), origin: origin.clone(), ..new(rig, &scope) };
    let (token, id) = (request.token, request.id);
    let created = rig.store.create(request.clone(), vec![]).await.unwrap();
    let after = rig.clock.now().await;

    let session = &created.session;
    assert_eq!(created.evicted, []);
    assert_eq!((session.id, &session.owner, &session.origin), (id, &scope, &origin));
    assert_eq!(session.data, data);
    assert_eq!(session.version, 1);
    assert!(before <= session.created_at && session.created_at <= after);
    assert_eq!(*session, request.session(session.created_at), "all times count from the creation");
    assert_eq!(rig.store.find(&token).await.unwrap().as_ref(), Some(session));
    assert_eq!(rig.other.find(&token).await.unwrap().as_ref(), Some(session));
    assert_eq!(rig.other.get(&scope, id).await.unwrap().as_ref(), Some(session));

    // The idle end never lies beyond the absolute end.
    let short = NewSession { idle: rig.ttl(50), absolute: rig.ttl(5), ..new(rig, &scope) };
    let (_, short) = create(&*rig.store, short).await;
    assert_eq!(short.idle_expires_at, short.absolute_expires_at);

    // Any name of a user is a user of its own.
    for user in awkward_names() {
        let scope = UserScope { tenant: rig.tenant.clone(), user };
        let (token, session) = create(&*rig.store, new(rig, &scope)).await;
        assert_eq!(rig.other.find(&token).await.unwrap().unwrap().owner, scope);
        assert_eq!(live(&*rig.other, &scope).await, [session.id]);
    }
}

/// `SESS-CREATE-2`
pub async fn sess_create_2(rig: SessionRig) {
    let scope = owner(&rig, "u");
    let evicting = capped(&rig, &scope, 1, WhenFull::EvictOldest);
    create(&*rig.store, new(&rig, &scope)).await;
    let request = evicting.clone();
    let first = rig.store.create(request.clone(), vec![]).await.unwrap();
    assert_eq!(first.evicted.len(), 1);

    rig.clock.advance(1).await;
    rig.store.touch(&request.token, hexmem_ports::Touch::default()).await.unwrap().unwrap();
    assert_eq!(rig.other.create(request.clone(), vec![]).await.unwrap(), first, "a repeat");
    assert_eq!(live(&*rig.store, &scope).await, [request.id]);

    let other_token = NewSession { token: token(&scope), ..request.clone() };
    refused(ErrorKind::AlreadyExists, rig.store.create(other_token.clone(), vec![]).await);
    let other_id = NewSession { id: SessionId(Uuid::new_v4()), ..request.clone() };
    refused(ErrorKind::AlreadyExists, rig.store.create(other_id.clone(), vec![]).await);
    assert_eq!(rig.store.find(&other_token.token).await.unwrap(), None);
    assert_eq!(rig.store.get(&scope, other_id.id).await.unwrap(), None);
    assert_eq!(live(&*rig.store, &scope).await, [request.id], "a refused create evicts nobody");

    // A token that was rotated away, or whose session ended, stays taken.
    let newer = token(&scope);
    rig.store.rotate(rotation(request.token, newer), vec![]).await.unwrap().unwrap();
    refused(ErrorKind::AlreadyExists, rig.store.create(other_id, vec![]).await);
    let thief = NewSession { token: newer, ..new(&rig, &scope) };
    refused(ErrorKind::AlreadyExists, rig.store.create(thief.clone(), vec![]).await);
    assert!(rig.store.revoke(&scope, request.id, vec![]).await.unwrap());
    refused(ErrorKind::AlreadyExists, rig.store.create(thief, vec![]).await);
    refused(ErrorKind::AlreadyExists, rig.store.create(other_token, vec![]).await);

    // Of many at once with one id, one token wins.
    let id = SessionId(Uuid::new_v4());
    let creates = (0..8).map(|n| {
        let (store, new) = (handle(&rig, n), NewSession { id, ..new(&rig, &scope) });
        async move { store.create(new, vec![]).await.is_ok() }
    });
    assert_eq!(join_all(creates).await.into_iter().filter(|won| *won).count(), 1);
}

/// `SESS-CREATE-3`
pub async fn sess_create_3(rig: SessionRig) {
    let (scope, bystander) = (owner(&rig, "u"), owner(&rig, "v"));
    create(&*rig.store, new(&rig, &bystander)).await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(create(&*rig.store, new(&rig, &scope)).await);
        rig.clock.advance(1).await;
    }
    // Seen latest: 0, then 3, 2, 1.
    rig.store.touch(&made[0].0, hexmem_ports::Touch::default()).await.unwrap().unwrap();
    rig.clock.advance(1).await;
    let (_, dead) = create(&*rig.store, new(&rig, &scope)).await;
    assert!(rig.store.revoke(&scope, dead.id, vec![]).await.unwrap());

    let request = capped(&rig, &scope, 3, WhenFull::EvictOldest);
    let created = rig.other.create(request.clone(), vec![]).await.unwrap();
    assert_eq!(created.evicted, [made[1].1.id, made[2].1.id], "the longest unseen first");
    let mut left = vec![made[0].1.id, made[3].1.id, request.id];
    left.sort();
    assert_eq!(live(&*rig.store, &scope).await, left);
    for (token, _) in &made[1..3] {
        assert_eq!(rig.store.find(token).await.unwrap(), None);
    }
    assert_eq!(live(&*rig.store, &bystander).await.len(), 1, "other users keep theirs");

    // A cap of one replaces all others, and equals go by id.
    let request = capped(&rig, &scope, 1, WhenFull::EvictOldest);
    assert_eq!(rig.store.create(request.clone(), vec![]).await.unwrap().evicted.len(), 3);
    let mut twins = vec![request.id];
    twins.push(create(&*rig.store, new(&rig, &scope)).await.1.id);
    twins.sort();
    let request = capped(&rig, &scope, 2, WhenFull::EvictOldest);
    let same_time = rig.store.get(&scope, twins[0]).await.unwrap().unwrap().created_at
        == rig.store.get(&scope, twins[1]).await.unwrap().unwrap().created_at;
    let evicted = rig.store.create(request, vec![]).await.unwrap().evicted;
    assert_eq!(evicted.len(), 1);
    assert!(!same_time || evicted == twins[..1]);
}

/// `SESS-CREATE-4`
pub async fn sess_create_4(rig: SessionRig) {
    let scope = owner(&rig, "u");
    let refuse = || capped(&rig, &scope, 2, WhenFull::Refuse);
    let (_, first) = create(&*rig.store, refuse()).await;
    let (_, second) = create(&*rig.store, refuse()).await;
    let late = refuse();
    refused(ErrorKind::Conflict, rig.store.create(late.clone(), vec![]).await);
    assert_eq!(rig.store.find(&late.token).await.unwrap(), None);
    let mut both = vec![first.id, second.id];
    both.sort();
    assert_eq!(live(&*rig.store, &scope).await, both);

    assert!(rig.store.revoke(&scope, first.id, vec![]).await.unwrap());
    create(&*rig.store, late).await;
    rig.clock.advance(20).await;
    create(&*rig.store, refuse()).await;
    create(&*rig.store, refuse()).await;
    refused(ErrorKind::Conflict, rig.store.create(refuse(), vec![]).await);
    let other = owner(&rig, "v");
    create(&*rig.store, capped(&rig, &other, 1, WhenFull::Refuse)).await;
}

/// `SESS-CREATE-5`
pub async fn sess_create_5(rig: SessionRig) {
    for when_full in [WhenFull::Refuse, WhenFull::EvictOldest] {
        let scope = owner(&rig, &format!("{when_full:?}"));
        let creates = (0..16).map(|n| {
            let (store, new) = (handle(&rig, n), capped(&rig, &scope, 3, when_full));
            let token = new.token;
            tokio::spawn(async move { store.create(new, vec![]).await.map(|_| token) })
        });
        let mut found = 0;
        for created in join_all(creates).await {
            match created.unwrap() {
                Ok(token) => {
                    found += usize::from(rig.other.find(&token).await.unwrap().is_some());
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            }
        }
        assert_eq!(found, 3);
        assert_eq!(live(&*rig.store, &scope).await.len(), 3);
    }
}

/// `SESS-CREATE-6`
pub async fn sess_create_6(rig: SessionRig) {
    let scope = owner(&rig, "u");
    let good = new(&rig, &scope);
    let elsewhere = TokenKey { bucket: (scope.bucket() + 1) % 1_024, ..good.token };
    let deep = (0..80).fold(json!(1), |inner, _| json!([inner]));
    let bad = [
        NewSession { token: elsewhere, ..good.clone() },
        NewSession { token: TokenKey { bucket: u16::MAX, ..good.token }, ..good.clone() },
        NewSession { data: json!({ "a": ["x\u{0}"] }), ..good.clone() },
        NewSession { data: json!({ "\u{0}": 1 }), ..good.clone() },
        NewSession { data: json!(u64::MAX), ..good.clone() },
        NewSession { data: deep, ..good.clone() },
        capped(&rig, &scope, 0, WhenFull::EvictOldest),
        capped(&rig, &scope, 0, WhenFull::Refuse),
    ];
    for new in bad {
        let token = new.token;
        refused(ErrorKind::Invalid, rig.store.create(new, vec![]).await);
        assert_eq!(rig.store.find(&token).await.unwrap(), None);
    }
    assert!(live(&*rig.store, &scope).await.is_empty());
    create(&*rig.store, good).await;
}

/// `SESS-CREATE-7`
pub async fn sess_create_7(rig: SessionRig) {
    let scope = owner(&rig, "u");
    let refuse = || capped(&rig, &scope, 1, WhenFull::Refuse);
    let (kept, lost) = (effect("a", 1), effect("b", 2));
    let request = refuse();
    rig.store.create(request.clone(), vec![kept.clone()]).await.unwrap();
    rig.store.create(request, vec![kept.clone()]).await.unwrap();
    refused(ErrorKind::Conflict, rig.store.create(refuse(), vec![lost.clone()]).await);
    let mut bad = lost;
    bad.payload = json!("\u{0}");
    let other = owner(&rig, "v");
    refused(ErrorKind::Invalid, rig.store.create(new(&rig, &other), vec![bad]).await);
    assert!(live(&*rig.store, &other).await.is_empty());
    assert_eq!(effects_of(drain(&rig).await), [kept], "once, and only that of the created one");
}

/// `SESS-FIND-1`
pub async fn sess_find_1(rig: SessionRig) {
    let (known, session) = any(&rig).await;
    assert_eq!(rig.store.find(&token(&session.owner)).await.unwrap(), None);
    let mut close = known;
    close.hash.0[31] ^= 1;
    assert_eq!(rig.store.find(&close).await.unwrap(), None);
    close = TokenKey { bucket: known.bucket, hash: Digest([0; 32]) };
    assert_eq!(rig.store.find(&close).await.unwrap(), None);
}

/// `SESS-FIND-2`
pub async fn sess_find_2(rig: SessionRig) {
    let scope = owner(&rig, "u");
    let (idle, session) = create(&*rig.store, new(&rig, &scope)).await;
    let short = NewSession { idle: rig.ttl(20), absolute: rig.ttl(30), ..new(&rig, &scope) };
    let (absolute, _) = create(&*rig.store, short).await;
    rig.clock.advance(19).await;
    assert!(rig.store.find(&idle).await.unwrap().is_some());
    rig.store.touch(&absolute, hexmem_ports::Touch::default()).await.unwrap().unwrap();
    rig.clock.advance(1).await;
    assert_eq!(rig.store.find(&idle).await.unwrap(), None, "past its idle end");
    assert_eq!(rig.other.get(&scope, session.id).await.unwrap(), None);
    assert!(rig.store.find(&absolute).await.unwrap().is_some());
    rig.clock.advance(10).await;
    assert_eq!(rig.other.find(&absolute).await.unwrap(), None, "past its absolute end");
}

/// `SESS-FIND-3`
pub async fn sess_find_3(rig: SessionRig) {
    let (token, session) = any(&rig).await;
    rig.clock.advance(10).await;
    for _ in 0..3 {
        assert_eq!(rig.store.find(&token).await.unwrap().as_ref(), Some(&session));
        assert_eq!(
            rig.other.get(&session.owner, session.id).await.unwrap().as_ref(),
            Some(&session)
        );
        live(&*rig.store, &session.owner).await;
    }
    rig.clock.advance(10).await;
    assert_eq!(rig.store.find(&token).await.unwrap(), None);
}

/// `SESS-FIND-4`
pub async fn sess_find_4(rig: SessionRig) {
    let (token, _) = any(&rig).await;
    for bucket in [(token.bucket + 1) % 1_024, 0, 1_023, 1_024, u16::MAX] {
        if bucket != token.bucket {
            assert_eq!(rig.store.find(&TokenKey { bucket, ..token }).await.unwrap(), None);
        }
    }
    let elsewhere = other_tenant();
    let scope = UserScope { tenant: elsewhere, user: name("u") };
    if scope.bucket() != token.bucket {
        let same_hash = TokenKey { bucket: scope.bucket(), hash: token.hash };
        assert_eq!(rig.store.find(&same_hash).await.unwrap(), None);
    }
}
