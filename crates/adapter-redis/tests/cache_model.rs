//! The cache beside the one in memory, whose ticket rule is `ports::rules::ticket_holds`: the same random calls, the same
//! answers. And beside a server that evicts: whatever it takes, what was invalidated never comes back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod rig;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::MemoryCache;
use hexmem_adapter_redis::RedisCache;
use hexmem_ports::{
    CacheKey, CachePut, CacheStore, CacheStoreExt as _, CacheTags, Clock, Digest, Invalidate,
    Limit, Lookup, Name, NamespaceId, PutOutcome, REPLAY_WINDOW, TagRef, Tenant, Ticket, Ttl,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rig::{Servers, Space};
use serde_json::Value;
use uuid::Uuid;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn key(n: u8) -> CacheKey {
    let namespace = NamespaceId::new(Tenant(name("t")), name("n"));
    CacheKey { namespace, fingerprint: Digest::of(&[n]) }
}

fn tags(bits: u8) -> CacheTags {
    let tag = |n: u8| (bits & (1 << n) != 0).then(|| name(&format!("tag {n}")));
    CacheTags { model: (bits & 8 != 0).then(|| name("m")), tags: (0..3).filter_map(tag).collect() }
}

#[derive(Debug, Clone)]
enum Step {
    Look(u8, u8),
    /// With the ticket of the lookup so many lookups ago, and what is done to it.
    Put(u8, u8, Forged, u16),
    End(u8),
    EndTag(u8),
    Pass(u16),
    Sweep,
    /// The server takes a key.
    Evict(u8),
}

#[derive(Debug, Clone, Copy)]
enum Forged {
    Not,
    Generation,
    NoNamespace,
    Key,
    NoKey,
}

fn step(evicts: bool) -> impl Strategy<Value = Step> {
    let forged = prop_oneof![
        8 => Just(Forged::Not),
        1 => Just(Forged::Generation),
        1 => Just(Forged::NoNamespace),
        1 => Just(Forged::Key),
        1 => Just(Forged::NoKey),
    ];
    let passed = prop_oneof![8 => 0u16..60, 1 => 0u16..4_000];
    prop_oneof![
        6 => (0u8..4, 0u8..16).prop_map(|(key, tags)| Step::Look(key, tags)),
        6 => (0u8..4, 0u8..6, forged, 1u16..4_000)
            .prop_map(|(key, back, forged, ttl)| Step::Put(key, back, forged, ttl)),
        1 => (0u8..4).prop_map(Step::End),
        1 => (0u8..5).prop_map(Step::EndTag),
        2 => passed.prop_map(Step::Pass),
        1 => Just(Step::Sweep),
        u32::from(evicts) => (0u8..=255).prop_map(Step::Evict),
    ]
}

fn ended(n: u8) -> TagRef {
    match n {
        0..3 => TagRef::Tag(name(&format!("tag {n}"))),
        3 => TagRef::Model(name("m")),
        _ => TagRef::Namespace,
    }
}

fn forge(mut ticket: Ticket, how: Forged) -> Ticket {
    match how {
        Forged::Not => {}
        Forged::Generation => {
            if let Some(last) = ticket.generations.last_mut() {
                last.1 = Uuid::max();
            }
        }
        Forged::NoNamespace => ticket.generations.retain(|(tag, _)| *tag != TagRef::Namespace),
        Forged::Key => ticket.key = Some(Uuid::max()),
        Forged::NoKey => ticket.key = None,
    }
    ticket
}

fn a_put(value: u64, ttl: u16, ticket: Ticket) -> CachePut {
    let ttl = Ttl::secs(ttl.into()).unwrap();
    CachePut { value: value.to_be_bytes().to_vec(), meta: Value::Null, ttl, stale: None, ticket }
}

/// What a lookup says, but for the generations, which are each store's own.
fn told(found: &Lookup) -> (Option<(Vec<u8>, Duration, Duration)>, bool) {
    match found {
        Lookup::Miss(ticket) => (None, ticket.key.is_some()),
        Lookup::Hit(entry, ticket) => {
            let entry = (entry.value.clone(), entry.fresh_for, entry.remaining);
            (Some(entry), ticket.key.is_some())
        }
    }
}

fn ticket(found: Lookup) -> Ticket {
    match found {
        Lookup::Hit(_, ticket) | Lookup::Miss(ticket) => ticket,
    }
}

async fn beside_memory(steps: Vec<Step>) {
    let space = Space::new(Servers::Single);
    let redis = space.connect().await.cache();
    let memory = MemoryCache::new(Arc::clone(&space.clock) as Arc<dyn Clock>);
    // In a namespace that nobody asked yet there is nothing to remember of an invalidation.
    let first = redis.get(&key(0), &tags(0)).await.unwrap();
    let beside = memory.get(&key(0), &tags(0)).await.unwrap();
    let mut tickets: Vec<(Ticket, Ticket)> = vec![(ticket(first), ticket(beside))];
    for (n, step) in steps.iter().enumerate() {
        let at = format!("step {n}: {step:?}");
        match *step {
            Step::Look(k, of) => {
                let mine = redis.get(&key(k), &tags(of)).await.unwrap();
                let theirs = memory.get(&key(k), &tags(of)).await.unwrap();
                assert_eq!(told(&mine), told(&theirs), "{at}");
                tickets.push((ticket(mine), ticket(theirs)));
            }
            Step::Put(k, back, how, ttl) => {
                let place = tickets.len().saturating_sub(1 + usize::from(back));
                let Some((mine, theirs)) = tickets.get(place).cloned() else { continue };
                let value = u64::try_from(n).unwrap();
                let mine = redis.put(&key(k), a_put(value, ttl, forge(mine, how))).await.unwrap();
                let theirs =
                    memory.put(&key(k), a_put(value, ttl, forge(theirs, how))).await.unwrap();
                assert_eq!(mine, theirs, "{at}");
            }
            Step::End(k) => {
                let target = Invalidate::Key(key(k).fingerprint);
                let mine = redis.invalidate(&key(k).namespace, target.clone()).await.unwrap();
                let theirs = memory.invalidate(&key(k).namespace, target).await.unwrap();
                assert_eq!(mine, theirs, "{at}");
            }
            Step::EndTag(of) => {
                for store in [&redis as &dyn CacheStore, &memory] {
                    let target = Invalidate::Tag(ended(of));
                    store.invalidate(&key(0).namespace, target).await.unwrap();
                }
            }
            Step::Pass(seconds) => space.clock.advance(Duration::from_secs(seconds.into())),
            Step::Sweep => sweep(&redis).await,
            Step::Evict(_) => {}
        }
        let mine = redis.stats(&key(0).namespace).await.unwrap();
        let theirs = memory.stats(&key(0).namespace).await.unwrap();
        assert_eq!(
            (mine.entries, mine.bytes),
            (theirs.entries, theirs.bytes),
            "{at}: few are counted"
        );
    }
}

async fn sweep(redis: &RedisCache) {
    redis.sweep(Limit::new(1_000).unwrap()).await.unwrap();
}

async fn on_a_server_that_evicts(steps: Vec<Step>) {
    let space = Space::new(Servers::Single);
    let redis = space.connect().await.cache();
    let url = space.config.urls[0].clone();
    let client = redis::Client::open(url).unwrap();
    let mut tickets: Vec<(Ticket, usize)> = Vec::new();
    // Of each thing that can be invalidated, the step when it last was; of each value, when its computation began.
    let (mut last_key, mut last_tag) = (HashMap::new(), HashMap::new());
    let mut begun: HashMap<u64, (usize, Vec<TagRef>)> = HashMap::new();
    for (n, step) in steps.iter().enumerate() {
        match *step {
            Step::Look(k, of) => {
                let found = redis.get(&key(k), &tags(of)).await.unwrap();
                if let Lookup::Hit(entry, _) = &found {
                    let value = u64::from_be_bytes(entry.value.clone().try_into().unwrap());
                    let (since, bound) = &begun[&value];
                    let mut ends =
                        bound.iter().filter_map(|tag| last_tag.get(tag)).chain(last_key.get(&k));
                    assert!(
                        !ends.any(|end| end > since),
                        "step {n}: {value} is from before its end"
                    );
                }
                tickets.push((ticket(found), n));
            }
            Step::Put(k, back, how, ttl) => {
                let place = tickets.len().saturating_sub(1 + usize::from(back));
                let Some((mine, since)) = tickets.get(place).cloned() else { continue };
                let value = u64::try_from(n).unwrap();
                let bound = mine.generations.iter().map(|(tag, _)| tag.clone()).collect();
                let how =
                    if matches!(how, Forged::Key | Forged::NoKey) { Forged::Not } else { how };
                let put = a_put(value, ttl, forge(mine, how));
                if redis.put(&key(k), put).await.unwrap() == PutOutcome::Stored {
                    begun.insert(value, (since, bound));
                }
            }
            Step::End(k) => {
                let target = Invalidate::Key(key(k).fingerprint);
                redis.invalidate(&key(k).namespace, target).await.unwrap();
                last_key.insert(k, n);
            }
            Step::EndTag(of) => {
                redis.invalidate(&key(0).namespace, Invalidate::Tag(ended(of))).await.unwrap();
                last_tag.insert(ended(of), n);
            }
            Step::Pass(seconds) => space.clock.advance(Duration::from_secs(seconds.into())),
            Step::Sweep => sweep(&redis).await,
            Step::Evict(which) => {
                let mut connection = client.get_multiplexed_async_connection().await.unwrap();
                let pattern = format!("{}*", space.config.prefix);
                let mut scan = redis::cmd("SCAN");
                scan.arg(0).arg("MATCH").arg(pattern).arg("COUNT").arg(100_000);
                let (_, keys): (u64, Vec<Vec<u8>>) =
                    scan.query_async(&mut connection).await.unwrap();
                if !keys.is_empty() {
                    let key = &keys[usize::from(which) % keys.len()];
                    let _: u64 =
                        redis::cmd("UNLINK").arg(key).query_async(&mut connection).await.unwrap();
                }
            }
        }
    }
}

fn run<F: Future<Output = ()>>(evicts: bool, steps: usize, work: impl Fn(Vec<Step>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config =
        Config { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let list = proptest::collection::vec(step(evicts), 1..steps);
    let outcome = TestRunner::new(config).run(&list, |steps| {
        runtime.block_on(work(steps));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn it_answers_as_the_one_in_memory() {
    run(false, 150, beside_memory);
}

#[test]
fn what_was_invalidated_never_comes_back_from_a_server_that_evicts() {
    run(true, 200, on_a_server_that_evicts);
}

#[tokio::test]
async fn a_ticket_as_old_as_the_window_does_not_hold() {
    let space = Space::new(Servers::Single);
    let redis = space.connect().await.cache();
    for (age, expected) in [
        (REPLAY_WINDOW - Duration::from_micros(1), PutOutcome::Stored),
        (REPLAY_WINDOW, PutOutcome::Outdated),
    ] {
        let mine = ticket(redis.get(&key(0), &tags(15)).await.unwrap());
        space.clock.advance(age);
        assert_eq!(redis.put(&key(0), a_put(0, 9_999, mine)).await.unwrap(), expected, "{age:?}");
    }
}
