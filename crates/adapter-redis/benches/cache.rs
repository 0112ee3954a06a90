//! Hits and puts of the cache beside bare commands of the same bytes, over one ConnectionManager and over a pool, one
//! after another and 64 at once, under 0, 1 and 3 tags.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use futures::future::join_all;
use hexmem_adapter_redis::{Redis, RedisCache, RedisConfig};
use hexmem_ports::{
    CacheKey, CachePut, CacheStoreExt as _, CacheTags, Digest, Lookup, Name, NamespaceId,
    PutOutcome, Tenant, Ticket, Ttl,
};
use redis::AsyncCommands as _;
use redis::aio::ConnectionManager;
use serde_json::Value;

const ANSWERS: usize = 500;
const PREFIX: &str = "bench-cache:";

fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

fn tags(count: usize) -> CacheTags {
    CacheTags { model: None, tags: (0..count).map(|n| name(format!("tag {n}"))).collect() }
}

fn key(n: usize) -> CacheKey {
    let namespace = NamespaceId::new(Tenant(name("bench")), name("n"));
    CacheKey { namespace, fingerprint: Digest::of(&n.to_be_bytes()) }
}

fn bare(n: usize) -> String {
    format!("{PREFIX}bare:{}", Digest::of(&n.to_be_bytes()).to_hex())
}

/// 2,000 bytes of words, which pack to two thirds or so, as prose does.
fn prose() -> Vec<u8> {
    let mut state = 7u64;
    let mut text = Vec::new();
    while text.len() < 2_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let word = Digest::of(&(state >> 56).to_be_bytes()).to_hex();
        text.extend_from_slice(&word.as_bytes()[..3 + usize::try_from(state >> 61).unwrap()]);
        text.push(b' ');
    }
    text.truncate(2_000);
    text
}

async fn ticket(cache: &RedisCache, n: usize, tags: &CacheTags) -> Ticket {
    match cache.get(&key(n), tags).await.unwrap() {
        Lookup::Hit(_, ticket) | Lookup::Miss(ticket) => ticket,
    }
}

async fn put(cache: &RedisCache, n: usize, ticket: Ticket, value: &[u8]) {
    let ttl = Ttl::secs(3_600).unwrap();
    let put = CachePut { value: value.to_vec(), meta: Value::Null, ttl, stale: None, ticket };
    assert_eq!(cache.put(&key(n), put).await.unwrap(), PutOutcome::Stored);
}

async fn hit(cache: &RedisCache, n: usize, tags: &CacheTags) {
    let found = cache.get(&key(n), tags).await.unwrap();
    assert!(matches!(found, Lookup::Hit(..)));
}

async fn get(mut connection: impl redis::aio::ConnectionLike + Send + Sync, n: usize) {
    let value: Option<Vec<u8>> = connection.get(bare(n)).await.unwrap();
    assert!(value.is_some_and(|value| value.len() == 2_000));
}

async fn set(
    mut connection: impl redis::aio::ConnectionLike + Send + Sync,
    n: usize,
    value: &[u8],
) {
    let () = connection.set_ex(bare(n), value, 3_600).await.unwrap();
}

struct Sides {
    runtime: tokio::runtime::Runtime,
    cache: RedisCache,
    manager: ConnectionManager,
    pool: deadpool_redis::Pool,
    value: Vec<u8>,
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    let Ok(url) = std::env::var("HEXMEM_TEST_REDIS_URL") else {
        eprintln!(
            "not run: HEXMEM_TEST_REDIS_URL names no server; cargo xtask services start gives one"
        );
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (cache, manager, pool) = runtime.block_on(async {
        let config = RedisConfig::new(&url).prefix(PREFIX);
        let cache = Redis::connect(config).await.unwrap().cache();
        let client = redis::Client::open(url.as_str()).unwrap();
        let manager = ConnectionManager::new(client).await.unwrap();
        let mut config = deadpool_redis::Config::from_url(url);
        config.pool = Some(deadpool_redis::PoolConfig::new(16));
        (cache, manager, config.create_pool(Some(deadpool_redis::Runtime::Tokio1)).unwrap())
    });
    let sides = Sides { runtime, cache, manager, pool, value: prose() };
    sides.runtime.block_on(async {
        for n in 0..ANSWERS {
            set(sides.manager.clone(), n, &sides.value).await;
        }
    });
    for at_once in [1, 64] {
        gets(&mut criterion, &sides, at_once);
        puts(&mut criterion, &sides, at_once);
    }
    criterion.final_summary();
}

/// Works on the next keys, so many at once.
fn measured<F: Future<Output = ()>>(
    bencher: &mut criterion::Bencher<'_>,
    sides: &Sides,
    at_once: usize,
    one: impl Fn(usize) -> F,
) {
    let mut next = 0;
    bencher.iter(|| {
        let keys = (0..at_once).map(|n| (next + n) % ANSWERS);
        sides.runtime.block_on(join_all(keys.map(&one)));
        next += at_once;
    });
}

fn gets(criterion: &mut Criterion, sides: &Sides, at_once: usize) {
    let mut group = criterion.benchmark_group(format!("redis cache get, {at_once} at once"));
    for count in [0, 1, 3] {
        let tags = tags(count);
        sides.runtime.block_on(async {
            for n in 0..ANSWERS {
                put(&sides.cache, n, ticket(&sides.cache, n, &tags).await, &sides.value).await;
            }
        });
        let input = format!("{count} tags");
        group.bench_function(BenchmarkId::new("hexmem", &input), |bencher| {
            measured(bencher, sides, at_once, |n| hit(&sides.cache, n, &tags));
        });
        group.bench_function(BenchmarkId::new("GET by ConnectionManager", &input), |bencher| {
            measured(bencher, sides, at_once, |n| get(sides.manager.clone(), n));
        });
        group.bench_function(BenchmarkId::new("GET by deadpool", &input), |bencher| {
            measured(bencher, sides, at_once, async |n| {
                get(sides.pool.get().await.unwrap(), n).await
            });
        });
    }
    group.finish();
}

fn puts(criterion: &mut Criterion, sides: &Sides, at_once: usize) {
    let mut group = criterion.benchmark_group(format!("redis cache put, {at_once} at once"));
    for count in [0, 1, 3] {
        let mine = sides.runtime.block_on(ticket(&sides.cache, 0, &tags(count)));
        let input = format!("{count} tags");
        group.bench_function(BenchmarkId::new("hexmem", &input), |bencher| {
            measured(bencher, sides, at_once, |n| put(&sides.cache, n, mine.clone(), &sides.value));
        });
        group.bench_function(BenchmarkId::new("SET by ConnectionManager", &input), |bencher| {
            measured(bencher, sides, at_once, |n| set(sides.manager.clone(), n, &sides.value));
        });
        group.bench_function(BenchmarkId::new("SET by deadpool", &input), |bencher| {
            measured(bencher, sides, at_once, async |n| {
                set(sides.pool.get().await.unwrap(), n, &sides.value).await;
            });
        });
    }
    group.finish();
}
