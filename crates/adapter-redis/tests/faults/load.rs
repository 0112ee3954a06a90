//! Work that tells afterwards whether anything was lost or done twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hexmem_adapter_redis::Redis;
use hexmem_ports::{
    BucketId, CacheKey, CachePut, CacheStoreExt as _, CacheTags, Digest, Effectiveness, Error,
    ErrorKind, KeyValueExt as _, KeyValueStore as _, Lookup, Name, NamespaceId, OpId, PutOutcome,
    Retry, Tenant, Ttl,
};
use serde_json::Value;

pub fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

pub fn bucket(text: &str) -> BucketId {
    BucketId::new(Tenant(name("acme")), name(text))
}

pub fn question(n: u64) -> CacheKey {
    let namespace = NamespaceId::new(Tenant(name("acme")), name("answers"));
    CacheKey { namespace, fingerprint: Digest::of(&n.to_be_bytes()) }
}

pub fn tagged() -> CacheTags {
    CacheTags { model: Some(name("m")), tags: vec![name("handbook")] }
}

pub async fn put(redis: &Redis, n: u64, value: &[u8]) -> Result<PutOutcome, Error> {
    let cache = redis.cache();
    let ticket = match cache.get(&question(n), &tagged()).await? {
        Lookup::Hit(_, ticket) | Lookup::Miss(ticket) => ticket,
    };
    let ttl = Ttl::secs(3_600).unwrap();
    let put = CachePut { value: value.to_vec(), meta: Value::Null, ttl, stale: None, ticket };
    cache.put(&question(n), put).await
}

pub async fn cached(redis: &Redis, n: u64) -> Result<Option<Vec<u8>>, Error> {
    Ok(match redis.cache().get(&question(n), &tagged()).await? {
        Lookup::Hit(entry, _) => Some(entry.value),
        Lookup::Miss(_) => None,
    })
}

/// Whether a caller is told to try again.
pub fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
        && error.retry_hint() != Retry::Never
}

/// What a [`Load`] saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Increments that were acknowledged, each once.
    pub added: i64,
    /// Failures that left nothing behind.
    pub refused: u64,
    /// Failures that left it open; each was repeated with its key.
    pub open: u64,
    /// The first text of each kind of failure.
    pub texts: std::collections::BTreeSet<String>,
}

/// Increments and cached answers, until stopped. A failure that is not named and passing panics.
pub struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Seen>>,
}

impl Load {
    pub fn start(redis: &Redis, workers: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..workers)
            .map(|worker| tokio::spawn(work(redis.clone(), worker, Arc::clone(&stop))))
            .collect();
        Self { stop, tasks }
    }

    /// Stops it, and compares the counters with what was acknowledged.
    pub async fn finish(self, redis: &Redis) -> Seen {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Seen::default();
        for task in self.tasks {
            let seen = task.await.unwrap();
            all.added += seen.added;
            all.refused += seen.refused;
            all.open += seen.open;
            all.texts.extend(seen.texts);
        }
        let held = redis.key_value().get(&bucket("load"), &name("sum")).await.unwrap();
        let held = held.map_or(0, |entry| String::from_utf8(entry.value).unwrap().parse().unwrap());
        assert_eq!(all.added, held, "each acknowledged increment counts once: {all:?}");
        assert!(all.added > 0, "nothing was done: {all:?}");
        all
    }
}

async fn work(redis: Redis, worker: u64, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    let mut n = 0;
    while !stop.load(Ordering::SeqCst) {
        // One intent, one key, however often it is sent.
        let op = OpId::random();
        let store = redis.key_value();
        let sum = name("sum");
        while let Err(error) = store.increment(&bucket("load"), &sum, 1, None, op).await {
            note(&mut seen, &error).await;
        }
        seen.added += 1;
        let key = worker * 1_000_000 + n % 50;
        let value = format!("{worker} {n}");
        match put(&redis, key, value.as_bytes()).await {
            Ok(_) => match cached(&redis, key).await {
                Ok(found) => {
                    let found = found.map(|value| String::from_utf8(value).unwrap());
                    // Nobody else writes it: an answer that is there is whole and the newest.
                    assert!(
                        found.as_ref().is_none_or(|found| *found == value),
                        "{found:?}, not {value}"
                    );
                }
                Err(error) => note(&mut seen, &error).await,
            },
            Err(error) => note(&mut seen, &error).await,
        }
        n += 1;
    }
    seen
}

async fn note(seen: &mut Seen, error: &Error) {
    assert!(is_passing(error), "not a passing failure: {error:?}");
    match error.effectiveness() {
        Effectiveness::Unknown => seen.open += 1,
        _ => seen.refused += 1,
    }
    seen.texts.insert(format!("{:?}: {}", error.kind(), error.message()));
    tokio::time::sleep(Duration::from_millis(5)).await;
}
