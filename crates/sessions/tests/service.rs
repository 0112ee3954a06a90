//! The service on in-memory stores.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hexmem_adapter_memory::{ManualClock, MemoryOutbox, MemorySessions};
use hexmem_ports::{
    Digest, Error, ErrorKind, Name, Result, SessionCap, Tenant, UserScope, WhenFull,
};
use hexmem_sessions::{AuthHash, Client, Policy, Rotation, Sessions, Start, Token};
use serde_json::{Value, json};

mod doubles;

use doubles::Faulty;

fn alice() -> UserScope {
    UserScope { tenant: Tenant(Name::new("acme").unwrap()), user: Name::new("alice").unwrap() }
}

fn rig(policy: Policy) -> (Sessions, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let store = MemorySessions::new(clock.clone(), MemoryOutbox::new(clock.clone()));
    (Sessions::new(Arc::new(store), clock.clone(), policy).unwrap(), clock)
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

async fn let_in(sessions: &Sessions, token: &Token) -> bool {
    sessions.authenticate(token, &Client::default()).await.unwrap().is_some()
}

#[tokio::test]
async fn a_session_idles_out_and_ends_in_any_case() {
    let (sessions, clock) = rig(Policy::default());
    let idle = sessions.create(Start::new(alice())).await.unwrap().token;
    clock.advance(minutes(30));
    assert!(!let_in(&sessions, &idle).await);
    let busy = sessions.create(Start::new(alice())).await.unwrap().token;
    for _ in 0..16 {
        clock.advance(minutes(29));
        assert!(let_in(&sessions, &busy).await);
    }
    clock.advance(minutes(16));
    assert!(!let_in(&sessions, &busy).await, "eight hours are over");
}

#[tokio::test]
async fn a_busy_user_is_not_written_on_each_request() {
    let (sessions, clock) = rig(Policy::default());
    let issued = sessions.create(Start::new(alice())).await.unwrap();
    let client = Client::new(Some("192.0.2.1".parse().unwrap()), Some("x"));
    clock.advance(Duration::from_secs(59));
    let first = sessions.authenticate(&issued.token, &client).await.unwrap().unwrap();
    assert_eq!(first.session, issued.session);
    clock.advance(Duration::from_secs(1));
    let second = sessions.authenticate(&issued.token, &client).await.unwrap().unwrap();
    assert!(second.session.last_seen_at > first.session.last_seen_at);
    assert_eq!(second.session.origin.ip, client.ip);
    assert_eq!(second.session.origin.user_agent, client.user_agent);
}

#[tokio::test]
async fn a_token_is_renewed_with_a_grace_and_replaced_without() {
    let (sessions, clock) = rig(Policy::default());
    let first = sessions.create(Start::new(alice())).await.unwrap();
    let mut due = Vec::new();
    for _ in 0..3 {
        clock.advance(minutes(20));
        let known = sessions.authenticate(&first.token, &Client::default()).await.unwrap();
        due.push(known.unwrap().renewal_due);
    }
    assert_eq!(due, [false, false, true]);
    let second = sessions.rotate(&first.token, Rotation::Renewal).await.unwrap().unwrap();
    assert_eq!(second.session.id, first.session.id);
    let known = sessions.authenticate(&first.token, &Client::default()).await.unwrap().unwrap();
    assert!(!known.renewal_due, "a token in its grace was renewed already");
    let again = sessions.rotate(&first.token, Rotation::Renewal).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
    clock.advance(Duration::from_secs(30));
    assert!(!let_in(&sessions, &first.token).await);
    let third = sessions.rotate(&second.token, Rotation::Privilege).await.unwrap().unwrap();
    assert!(!let_in(&sessions, &second.token).await);
    assert!(let_in(&sessions, &third.token).await);
    assert!(sessions.rotate(&second.token, Rotation::Privilege).await.unwrap().is_none());
    assert!(sessions.end(&third.token).await.unwrap());
    assert!(!sessions.end(&third.token).await.unwrap());
}

struct Passwords(Mutex<Option<&'static str>>);

#[async_trait]
impl AuthHash for Passwords {
    async fn auth_hash(&self, _: &UserScope) -> Result<Option<Digest>> {
        Ok(self.0.lock().unwrap().map(|password| Digest::of(password.as_bytes())))
    }
}

#[tokio::test]
async fn a_changed_password_ends_all_sessions_but_the_one_that_changed_it() {
    let (sessions, _) = rig(Policy::default());
    let passwords = Arc::new(Passwords(Mutex::new(Some("old"))));
    let sessions = sessions.with_auth_hash(passwords.clone());
    let here = sessions.create(Start::new(alice())).await.unwrap();
    let there = sessions.create(Start::new(alice())).await.unwrap();
    assert!(let_in(&sessions, &here.token).await && let_in(&sessions, &there.token).await);
    *passwords.0.lock().unwrap() = Some("new");
    let here = sessions.rotate(&here.token, Rotation::Credentials).await.unwrap().unwrap();
    assert!(let_in(&sessions, &here.token).await);
    assert!(!let_in(&sessions, &there.token).await);
    *passwords.0.lock().unwrap() = Some("old");
    assert!(!let_in(&sessions, &there.token).await, "it was revoked, not only refused");
    // Another rotation does not take the present password for granted.
    *passwords.0.lock().unwrap() = Some("newest");
    let here = sessions.rotate(&here.token, Rotation::Privilege).await.unwrap().unwrap();
    assert!(!let_in(&sessions, &here.token).await);
    let locked = sessions.create(Start::new(alice())).await.unwrap();
    *passwords.0.lock().unwrap() = None;
    assert!(!let_in(&sessions, &locked.token).await);
}

#[tokio::test]
async fn the_cap_of_the_policy_holds() {
    let cap = |when_full| Some(SessionCap { max: 2, when_full });
    let (sessions, clock) = rig(Policy { cap: cap(WhenFull::EvictOldest), ..Policy::default() });
    let first = sessions.create(Start::new(alice())).await.unwrap();
    // Sessions last seen at one instant go in no promised order.
    clock.advance(Duration::from_secs(1));
    sessions.create(Start::new(alice())).await.unwrap();
    let third = sessions.create(Start::new(alice())).await.unwrap();
    assert_eq!(third.evicted, [first.session.id]);
    assert!(!let_in(&sessions, &first.token).await);
    let (sessions, _) = rig(Policy { cap: cap(WhenFull::Refuse), ..Policy::default() });
    sessions.create(Start::new(alice())).await.unwrap();
    sessions.create(Start::new(alice())).await.unwrap();
    let refused = sessions.create(Start::new(alice())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(sessions.active_count(&alice().tenant).await.unwrap().value, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_merges_all_take_effect() {
    let (sessions, _) = rig(Policy::default());
    let issued = sessions.create(Start::new(alice()).data(json!({ "keep": 1 }))).await.unwrap();
    let merges = (0..8).map(|n| {
        let (sessions, token) = (sessions.clone(), issued.token.clone());
        tokio::spawn(async move {
            sessions.patch(&token, &json!({ format!("k{n}"): n })).await.unwrap().unwrap()
        })
    });
    for merge in merges.collect::<Vec<_>>() {
        merge.await.unwrap();
    }
    let session = sessions.find(&issued.token).await.unwrap().unwrap();
    assert_eq!(session.version, 9);
    assert_eq!(session.data.as_object().unwrap().len(), 9);
    let bad = sessions.patch(&issued.token, &json!("\u{0}")).await.unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_count_is_lost_and_a_change_that_fails_changes_nothing() {
    let (sessions, _) = rig(Policy::default());
    let issued = sessions.create(Start::new(alice()).data(json!({ "n": 0 }))).await.unwrap();
    let counts = (0..8).map(|_| {
        let (sessions, token) = (sessions.clone(), issued.token.clone());
        tokio::spawn(async move {
            for _ in 0..25 {
                let one_more = |mut data: Value| {
                    data["n"] = json!(data["n"].as_i64().unwrap_or(0) + 1);
                    Ok(data)
                };
                sessions.change(&token, one_more).await.unwrap().unwrap();
            }
        })
    });
    for count in counts.collect::<Vec<_>>() {
        count.await.unwrap();
    }
    let session = sessions.find(&issued.token).await.unwrap().unwrap();
    assert_eq!((session.version, session.data), (201, json!({ "n": 200 })));
    let failed = sessions.change(&issued.token, |_| Err(Error::invalid("test", "no"))).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Invalid);
    let bad = sessions.change(&issued.token, |_| Ok(json!("\u{0}"))).await;
    assert_eq!(bad.unwrap_err().kind(), ErrorKind::Invalid);
    let same = sessions.change(&issued.token, Ok).await.unwrap().unwrap();
    assert_eq!(same.version, 201, "what stays as it was is not written");
    sessions.end(&issued.token).await.unwrap();
    assert_eq!(sessions.change(&issued.token, Ok).await.unwrap(), None);
}

#[tokio::test]
async fn a_lost_answer_loses_no_session() {
    let clock = Arc::new(ManualClock::default());
    let store = Faulty::new(clock.clone());
    store.losing.store(true, Ordering::SeqCst);
    let sessions = Sessions::new(store.clone(), clock, Policy::default()).unwrap();
    let issued = sessions.create(Start::new(alice())).await.unwrap();
    assert!(let_in(&sessions, &issued.token).await);
    store.losing.store(true, Ordering::SeqCst);
    let updated = sessions.update(&issued.token, 1, json!(7), vec![]).await.unwrap().unwrap();
    assert_eq!((updated.version, updated.data), (2, json!(7)));
    store.losing.store(true, Ordering::SeqCst);
    let rotated = sessions.rotate(&issued.token, Rotation::Privilege).await.unwrap().unwrap();
    assert!(let_in(&sessions, &rotated.token).await);
    assert_eq!(sessions.active_count(&alice().tenant).await.unwrap().value, 1);
}
