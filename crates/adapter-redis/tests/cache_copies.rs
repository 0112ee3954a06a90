//! Copies of cached answers in the process: served without the server, taken back by it, never older than was said.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking; the age of a copy is the process's own time"
)]

mod rig;

use std::time::{Duration, Instant};

use hexmem_adapter_redis::{Redis, RedisCache, RedisConfig};
use hexmem_ports::{
    CacheKey, CachePut, CacheStore as _, CacheStoreExt as _, CacheTags, Digest, ErrorKind,
    Invalidate, Lookup, Name, NamespaceId, PutOutcome, TagRef, Tenant, Ttl,
};
use rig::{Servers, Space};
use serde_json::Value;

const MAX_AGE: Duration = Duration::from_millis(500);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn key() -> CacheKey {
    let namespace = NamespaceId::new(Tenant(name("t")), name("n"));
    CacheKey { namespace, fingerprint: Digest::of(b"q") }
}

fn tags() -> CacheTags {
    CacheTags { model: Some(name("m")), tags: vec![name("a")] }
}

/// A handle that keeps copies, and one that keeps none, on the server's clock.
async fn both(space: &Space) -> (RedisCache, RedisCache) {
    let copying = RedisConfig {
        cache_copies: 1_000,
        cache_copies_max_age_ms: MAX_AGE.as_millis().try_into().unwrap(),
        ..space.config.clone()
    };
    let copying = Redis::connect(copying).await.unwrap().cache();
    (copying, Redis::connect(space.config.clone()).await.unwrap().cache())
}

async fn put(store: &RedisCache, value: &[u8]) {
    let (Lookup::Hit(_, ticket) | Lookup::Miss(ticket)) = store.get(&key(), &tags()).await.unwrap();
    let ttl = Ttl::secs(100).unwrap();
    let put = CachePut { value: value.to_vec(), meta: Value::Null, ttl, stale: None, ticket };
    assert_eq!(store.put(&key(), put).await.unwrap(), PutOutcome::Stored);
}

async fn value(store: &RedisCache) -> Option<Vec<u8>> {
    match store.get(&key(), &tags()).await.unwrap() {
        Lookup::Hit(entry, _) => Some(entry.value),
        Lookup::Miss(_) => None,
    }
}

#[tokio::test]
async fn a_copy_is_taken_back_when_another_process_ends_or_replaces_the_answer() {
    let space = Space::new(Servers::Single);
    let (copying, other) = both(&space).await;
    put(&other, b"0").await;
    let mut slowest = Duration::ZERO;
    for n in 1..40u8 {
        // Asked until it comes from a copy.
        for _ in 0..3 {
            assert_eq!(value(&copying).await, Some((n - 1).to_string().into_bytes()));
        }
        let target = match n % 4 {
            0 => Invalidate::Key(key().fingerprint),
            1 => Invalidate::Tag(TagRef::Namespace),
            2 => Invalidate::Tag(TagRef::Model(name("m"))),
            _ => Invalidate::Tag(TagRef::Tag(name("a"))),
        };
        other.invalidate(&key().namespace, target).await.unwrap();
        let ended = Instant::now();
        while value(&copying).await.is_some() {
            assert!(ended.elapsed() < MAX_AGE + Duration::from_secs(5), "the copy stays");
            tokio::task::yield_now().await;
        }
        slowest = slowest.max(ended.elapsed());
        put(&other, n.to_string().as_bytes()).await;
        // The copy of the miss is taken back too.
        while value(&copying).await.is_none() {
            assert!(ended.elapsed() < MAX_AGE + Duration::from_secs(5), "the miss stays");
            tokio::task::yield_now().await;
        }
    }
    println!("an ended answer was served for at most {slowest:?} by another process");
}

#[tokio::test]
async fn what_a_handle_changes_it_sees_at_once() {
    let space = Space::new(Servers::Single);
    let (copying, _) = both(&space).await;
    let clone = copying.clone();
    for n in 0..100u8 {
        put(&copying, &[n]).await;
        for store in [&copying, &clone, &copying] {
            assert_eq!(value(store).await, Some(vec![n]));
        }
        let target = match n % 2 {
            0 => Invalidate::Key(key().fingerprint),
            _ => Invalidate::Tag(TagRef::Tag(name("a"))),
        };
        clone.invalidate(&key().namespace, target).await.unwrap();
        assert_eq!(value(&copying).await, None, "{n}");
    }
}

#[tokio::test]
async fn copies_are_for_a_single_server() {
    let config = RedisConfig { cache_copies: 1, ..RedisConfig::new("redis://a,redis://b") };
    let error = Redis::connect(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("cache_copies"), "{error:?}");
}
