//! Agents at work on behalf of others.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, MemoryOutbox, MemorySessions};
use hexmem_ports::{ErrorKind, Name, Session, Tenant, UserScope};
use hexmem_sessions::{Policy, Sessions, Start};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn owner(user: &str) -> UserScope {
    UserScope { tenant: Tenant(name("acme")), user: name(user) }
}

fn rig() -> (Sessions, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let store = MemorySessions::new(clock.clone(), MemoryOutbox::new(clock.clone()));
    (Sessions::new(Arc::new(store), clock.clone(), Policy::agent()).unwrap(), clock)
}

async fn start(sessions: &Sessions, start: Start) -> Session {
    sessions.create(start).await.unwrap().session
}

async fn chain(sessions: &Sessions, of: &Session) -> Vec<(String, u32)> {
    let links = sessions.chain(of).await.unwrap();
    links.into_iter().map(|link| (link.session.owner.user.to_string(), link.depth)).collect()
}

fn told(links: &[(&str, u32)]) -> Vec<(String, u32)> {
    links.iter().map(|(user, depth)| ((*user).to_owned(), *depth)).collect()
}

#[tokio::test]
async fn a_chain_is_listed_and_ended_from_the_top() {
    let (sessions, clock) = rig();
    let lead = Start::new(owner("lead")).service(name("planner")).cluster(name("prod"));
    let lead = start(&sessions, lead).await;
    assert_eq!(lead.origin.correlation, Some(name(&lead.id.to_string())), "it can have children");
    let mut made = Vec::new();
    for (parent, user) in [(&lead, "a"), (&lead, "b")] {
        clock.advance(Duration::from_secs(1));
        made.push(start(&sessions, Start::child_of(parent, owner(user))).await);
    }
    let below = start(&sessions, Start::child_of(&made[0], owner("a1"))).await;
    assert_eq!(below.origin.cluster, Some(name("prod")), "inherited");
    let beside = Start::new(owner("beside")).correlation(lead.origin.correlation.clone().unwrap());
    let beside = start(&sessions, beside).await;
    let expected = told(&[("lead", 0), ("a", 1), ("a1", 2), ("b", 1), ("beside", 0)]);
    for of in [&lead, &below, &beside] {
        assert_eq!(chain(&sessions, of).await, expected);
    }
    // Of a chain with a gap, the rest is still listed.
    sessions.revoke(&made[0].owner, made[0].id).await.unwrap();
    let gap = told(&[("lead", 0), ("b", 1), ("a1", 0), ("beside", 0)]);
    let mut listed = chain(&sessions, &lead).await;
    listed.sort();
    let mut expected = gap;
    expected.sort();
    assert_eq!(listed, expected);
    assert_eq!(sessions.revoke_chain(&made[1]).await.unwrap(), 1);
    assert_eq!(sessions.revoke_chain(&lead).await.unwrap(), 3, "all under its id, the gap or no");
    assert_eq!(sessions.revoke_chain(&lead).await.unwrap(), 0);
    assert_eq!(chain(&sessions, &lead).await, told(&[]));
}

#[tokio::test]
async fn ending_a_root_ends_all_below_it_and_nothing_else() {
    let (sessions, _) = rig();
    let root = Start::new(owner("root")).correlation(name("task 7"));
    let root = start(&sessions, root).await;
    let mut last = root.clone();
    for n in 0..30 {
        last = start(&sessions, Start::child_of(&last, owner(&format!("u{n}")))).await;
    }
    let correlation = root.origin.correlation.clone().unwrap();
    let other = start(&sessions, Start::new(owner("other")).correlation(correlation)).await;
    let links = sessions.chain(&root).await.unwrap();
    assert_eq!(links.iter().map(|link| link.depth).max(), Some(30));
    assert_eq!(sessions.revoke_chain(&root).await.unwrap(), 31);
    assert_eq!(chain(&sessions, &other).await, told(&[("other", 0)]));
}

#[tokio::test]
async fn a_child_ends_no_later_than_its_parent() {
    let (sessions, clock) = rig();
    let parent = sessions.create(Start::new(owner("p")).service(name("s"))).await.unwrap();
    for _ in 0..300 {
        clock.advance(Duration::from_secs(240));
        assert!(sessions.touch(&parent.token).await.unwrap().is_some());
    }
    let child = start(&sessions, Start::child_of(&parent.session, owner("c"))).await;
    assert_eq!(child.absolute_expires_at, parent.session.absolute_expires_at);
    let grandchild = start(&sessions, Start::child_of(&child, owner("g"))).await;
    assert_eq!(grandchild.absolute_expires_at, parent.session.absolute_expires_at);
}

#[tokio::test]
async fn what_cannot_be_a_parent_is_refused() {
    let (sessions, clock) = rig();
    let kind = async |start: Start| sessions.create(start).await.unwrap_err().kind();
    let alone = start(&sessions, Start::new(owner("p"))).await;
    assert_eq!(
        kind(Start::child_of(&alone, owner("c"))).await,
        ErrorKind::Invalid,
        "no correlation"
    );
    let parent = start(&sessions, Start::new(owner("p")).service(name("s"))).await;
    let stranger = UserScope { tenant: Tenant(name("other")), user: name("c") };
    assert_eq!(
        kind(Start::child_of(&parent, stranger)).await,
        ErrorKind::Invalid,
        "another tenant"
    );
    sessions.revoke(&parent.owner, parent.id).await.unwrap();
    assert_eq!(kind(Start::child_of(&parent, owner("c"))).await, ErrorKind::Expired, "revoked");
    let parent = start(&sessions, Start::new(owner("p")).service(name("s"))).await;
    clock.advance(Duration::from_secs(300));
    assert_eq!(kind(Start::child_of(&parent, owner("c"))).await, ErrorKind::Expired, "run out");
    assert_eq!(chain(&sessions, &alone).await, told(&[("p", 0)]));
}
