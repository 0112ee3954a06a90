//! Whom a session trusts: replaced tokens, bindings, credentials, visitors; and what is heard of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hexmem_adapter_memory::{ManualClock, MemoryOutbox, MemorySessions};
use hexmem_ports::{Digest, ErrorKind, Name, Result, Tenant, Ttl, UserScope};
use hexmem_sessions::{
    AuthHash, Authenticated, Binding, Client, Event, Network, OnChange, Policy, Refusal, Reuse,
    Rotation, Sessions, Start, Token, Watch, is_anonymous,
};
use serde_json::json;

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Watch for Heard {
    fn event(&self, event: &Event<'_>) {
        let said = match event {
            Event::Started { evicted, .. } => format!("started, {} evicted", evicted.len()),
            Event::Rotated { why, .. } => format!("rotated: {why:?}"),
            Event::Ended { why, .. } => format!("ended: {why:?}"),
            Event::EndedAll { count, .. } => format!("ended {count}"),
            Event::Refused { why: Refusal::Reused { .. }, .. } => "refused: Reused".into(),
            Event::Refused { why: Refusal::Moved(_), .. } => "refused: Moved".into(),
            Event::Refused { why: Refusal::Credentials(_), .. } => "refused: Credentials".into(),
            Event::Refused { why, .. } => format!("refused: {why:?}"),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(said);
    }
}

impl Heard {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

struct Rig {
    sessions: Sessions,
    clock: Arc<ManualClock>,
    heard: Arc<Heard>,
}

fn rig(policy: Policy) -> Rig {
    let clock = Arc::new(ManualClock::default());
    let store = MemorySessions::new(clock.clone(), MemoryOutbox::new(clock.clone()));
    let heard = Arc::new(Heard::default());
    let sessions = Sessions::new(Arc::new(store), clock.clone(), policy).unwrap();
    Rig { sessions: sessions.with_watch(heard.clone()), clock, heard }
}

fn tenant() -> Tenant {
    Tenant(Name::new("acme").unwrap())
}

fn alice() -> UserScope {
    UserScope { tenant: tenant(), user: Name::new("alice").unwrap() }
}

fn seconds(n: u64) -> Ttl {
    Ttl::secs(n).unwrap()
}

fn from(ip: &str) -> Client {
    Client::new(Some(ip.parse().unwrap()), Some("Mozilla/5.0"))
}

impl Rig {
    async fn knows(&self, token: &Token, client: &Client) -> Option<Authenticated> {
        self.sessions.authenticate(token, client).await.unwrap()
    }

    async fn lets_in(&self, token: &Token) -> bool {
        self.knows(token, &Client::default()).await.is_some()
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn a_replaced_token_is_a_sign_of_theft() {
    let rig = rig(Policy::default());
    let first = rig.sessions.create(Start::new(alice())).await.unwrap();
    let second = rig.sessions.rotate(&first.token, Rotation::Renewal).await.unwrap().unwrap();
    rig.pass(29);
    assert!(rig.lets_in(&first.token).await && rig.lets_in(&second.token).await, "in its grace");
    rig.pass(1);
    // A request that was under way is refused and harms nobody.
    assert!(!rig.lets_in(&first.token).await);
    rig.pass(60);
    assert!(!rig.lets_in(&first.token).await);
    assert!(rig.lets_in(&second.token).await, "until 60 seconds after its end");
    rig.heard.take();
    rig.pass(1);
    assert!(!rig.lets_in(&first.token).await);
    assert_eq!(rig.heard.take(), ["refused: Reused", "ended: Reused"]);
    assert!(!rig.lets_in(&second.token).await, "neither of the two has it any more");
    assert_eq!(rig.heard.take(), ["refused: Unknown"]);
}

#[tokio::test]
async fn where_the_policy_says_so_the_session_outlives_a_replaced_token() {
    let rig = rig(Policy { reuse: Reuse::Refuse, ..Policy::default() });
    let first = rig.sessions.create(Start::new(alice())).await.unwrap();
    let second = rig.sessions.rotate(&first.token, Rotation::Privilege).await.unwrap().unwrap();
    rig.pass(600);
    rig.heard.take();
    assert!(!rig.lets_in(&first.token).await);
    assert!(rig.lets_in(&second.token).await);
    assert_eq!(rig.heard.take(), ["refused: Reused"]);
}

fn bound(on_change: OnChange) -> Policy {
    let network = Some(Network::default());
    let binding = Some(Binding { network, user_agent: true, on_change });
    Policy { binding, ..Policy::default() }
}

#[tokio::test]
async fn a_bound_session_refuses_who_comes_from_elsewhere() {
    let rig = rig(bound(OnChange::Refuse));
    let here = from("192.0.2.1");
    let start = Start::new(alice()).client(here.clone());
    let token = rig.sessions.create(start).await.unwrap().token;
    let nowhere = rig.sessions.create(Start::new(alice())).await.unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::Invalid);
    rig.heard.take();
    assert!(rig.knows(&token, &from("192.0.2.200")).await.is_some(), "the same network");
    let agent = Client::new(here.ip, Some("curl/8"));
    for stranger in [from("198.51.100.1"), from("2001:db8::1"), agent, Client::default()] {
        rig.pass(20 * 60);
        assert!(rig.knows(&token, &stranger).await.is_none(), "{stranger:?}");
        assert_eq!(rig.heard.take(), ["refused: Moved"]);
        let known = rig.knows(&token, &here).await.expect("nobody ends it from afar");
        assert_eq!(known.session.origin.ip, here.ip);
    }
    // Refused requests do not keep it alive.
    for _ in 0..3 {
        rig.pass(10 * 60);
        rig.knows(&token, &from("198.51.100.1")).await;
    }
    assert!(rig.knows(&token, &here).await.is_none(), "unseen for half an hour");
}

#[tokio::test]
async fn a_session_that_moves_gets_a_new_token_and_a_thief_shows() {
    let rig = rig(bound(OnChange::Rotate));
    let (here, there) = (from("192.0.2.1"), from("198.51.100.1"));
    let start = Start::new(alice()).client(here.clone());
    let stolen = rig.sessions.create(start).await.unwrap().token;
    let moved = rig.knows(&stolen, &there).await.unwrap();
    let thief = moved.new_token.expect("the old token is worth nothing there");
    assert_eq!(moved.session.origin.ip, there.ip, "tied to where it is now");
    assert!(!moved.renewal_due);
    // Requests from there that were under way pass, those from here do not.
    let late = rig.knows(&stolen, &there).await.expect("in its grace");
    assert!(late.new_token.is_none());
    assert!(rig.knows(&stolen, &here).await.is_none(), "it was replaced by another");
    rig.pass(120);
    assert!(rig.knows(&thief, &there).await.is_some());
    rig.heard.take();
    assert!(rig.knows(&stolen, &here).await.is_none());
    assert_eq!(rig.heard.take(), ["refused: Reused", "ended: Reused"], "the owner comes back");
    assert!(rig.knows(&thief, &there).await.is_none(), "and the thief is out");
}

struct Passwords(Mutex<Option<&'static str>>);

#[async_trait]
impl AuthHash for Passwords {
    async fn auth_hash(&self, owner: &UserScope) -> Result<Option<Digest>> {
        assert!(!is_anonymous(owner), "a visitor has no password");
        Ok(self.0.lock().unwrap().map(|password| Digest::of(password.as_bytes())))
    }
}

#[tokio::test]
async fn who_cannot_log_in_starts_no_session_and_visitors_need_no_password() {
    let rig = rig(Policy::default());
    let passwords = Arc::new(Passwords(Mutex::new(None)));
    let sessions = rig.sessions.clone().with_auth_hash(passwords.clone());
    let locked = sessions.create(Start::new(alice())).await.unwrap_err();
    assert_eq!(locked.kind(), ErrorKind::Denied);
    let visitor = sessions.create(Start::anonymous(tenant()).unwrap()).await.unwrap();
    let client = Client::default();
    assert!(sessions.authenticate(&visitor.token, &client).await.unwrap().is_some());
    assert!(is_anonymous(&visitor.session.owner) && !is_anonymous(&alice()));
    let other = Start::anonymous(tenant()).unwrap();
    let other = sessions.create(other).await.unwrap().session.owner;
    assert_ne!(other, visitor.session.owner, "each visitor is a user of its own");
    *passwords.0.lock().unwrap() = Some("secret");
    // A session from before the check was switched on proves nothing.
    let unproved = rig.sessions.create(Start::new(alice())).await.unwrap();
    assert!(sessions.authenticate(&unproved.token, &client).await.unwrap().is_none());
    // Locked while they are logged in, they can renew nothing.
    let known = sessions.create(Start::new(alice())).await.unwrap();
    *passwords.0.lock().unwrap() = None;
    let renewed = sessions.rotate(&known.token, Rotation::Credentials).await.unwrap_err();
    assert_eq!(renewed.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn no_older_token_sees_new_privileges() {
    let rig = rig(Policy::default());
    let first = rig.sessions.create(Start::new(alice())).await.unwrap();
    let second = rig.sessions.rotate(&first.token, Rotation::Renewal).await.unwrap().unwrap();
    assert!(rig.lets_in(&first.token).await, "in its grace");
    let third = rig.sessions.rotate(&second.token, Rotation::Privilege).await.unwrap().unwrap();
    assert!(!rig.lets_in(&first.token).await && !rig.lets_in(&second.token).await);
    assert!(rig.lets_in(&third.token).await, "tokens that just ended harm nobody");
}

#[tokio::test]
async fn what_happens_is_heard_without_a_token() {
    let rig = rig(Policy::default());
    let first = rig.sessions.create(Start::new(alice()).data(json!(1))).await.unwrap();
    let second = rig.sessions.rotate(&first.token, Rotation::Privilege).await.unwrap().unwrap();
    rig.sessions.create(Start::new(alice())).await.unwrap();
    assert!(rig.sessions.end(&second.token).await.unwrap());
    assert!(!rig.sessions.end(&second.token).await.unwrap());
    assert_eq!(rig.sessions.revoke_all(&alice(), None).await.unwrap(), 1);
    assert_eq!(rig.sessions.revoke_all(&alice(), None).await.unwrap(), 0);
    assert!(!rig.lets_in(&second.token).await);
    let heard = rig.heard.take();
    let expected = [
        "started, 0 evicted",
        "rotated: Privilege",
        "started, 0 evicted",
        "ended: Revoked",
        "ended 1",
        "refused: Unknown",
    ];
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn a_grace_is_bounded() {
    let rig = rig(Policy::default());
    let issued = rig.sessions.create(Start::new(alice())).await.unwrap();
    let long = Some(seconds(3_601));
    let refused = rig.sessions.rotate_with_grace(&issued.token, Rotation::Renewal, long).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(rig.lets_in(&issued.token).await, "nothing changed");
}

/// Whatever the gaps between requests: no session in use ends sooner than the idle time less the slack after its last
/// request, and none later than the idle time after it.
#[tokio::test]
async fn coalesced_touches_keep_their_promise() {
    let policy = Policy {
        idle: seconds(100),
        absolute: seconds(100_000),
        renewal: None,
        grace: None,
        ..Policy::default()
    };
    let policy = policy.coalesced(4).unwrap();
    let mut state = 7_u64;
    let mut random = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (mut early, mut kept) = (0, 0);
    for _ in 0..300 {
        let rig = rig(policy);
        let token = rig.sessions.create(Start::new(alice())).await.unwrap().token;
        for _ in 0..20 {
            let gap = random(120);
            rig.pass(gap);
            let alive = rig.lets_in(&token).await;
            assert!(
                alive || gap >= 75,
                "ended {gap} seconds after a request: before idle less slack"
            );
            assert!(!alive || gap < 100, "lived {gap} seconds after a request: beyond idle");
            if !alive {
                early += u32::from(gap < 100);
                break;
            }
            kept += u32::from(gap >= 75);
        }
    }
    assert!(early > 0 && kept > 0, "both sides of the slack were seen");
}
