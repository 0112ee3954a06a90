//! Keys, values and sessions beside bare commands of the same bytes: through one ConnectionManager, and through a pool, one
//! task or many at once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use futures::future::join_all;
use hexmem_adapter_redis::{Redis, RedisConfig, RedisKeyValue, RedisSessions};
use hexmem_ports::{
    BucketId, Digest, KeyValueExt as _, KeyValueStore as _, KvSet, Name, NewSession, SessionId,
    SessionOrigin, SessionStore as _, Tenant, TokenKey, Touch, Ttl, UserScope,
};
use redis::AsyncCommands as _;
use redis::aio::ConnectionManager;
use serde_json::json;
use uuid::Uuid;

/// Entries and sessions on each side.
const COUNT: usize = 1_000;
const TASKS: [usize; 3] = [1, 16, 64];
const PREFIX: &str = "bench-ports:";
/// What both sides store under a key.
const PAYLOAD: [u8; 100] = [b'x'; 100];

fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

fn bucket() -> BucketId {
    BucketId::new(Tenant(name("bench")), name("b"))
}

/// A session of its own user: as on a real server, they lie in many buckets.
fn session(n: usize) -> NewSession {
    let owner = UserScope { tenant: Tenant(name("bench")), user: name(format!("user {n}")) };
    NewSession {
        id: SessionId(Uuid::from_u128(u128::try_from(n).unwrap() + 1)),
        token: TokenKey { bucket: owner.bucket(), hash: Digest::of(&n.to_be_bytes()) },
        owner,
        data: json!({ "role": "admin", "scopes": ["read", "write"] }),
        origin: SessionOrigin::default(),
        idle: Ttl::secs(3_600).unwrap(),
        absolute: Ttl::secs(86_400).unwrap(),
        cap: None,
        retention: Ttl::secs(60).unwrap(),
    }
}

struct Sides {
    runtime: tokio::runtime::Runtime,
    store: RedisKeyValue,
    sessions: RedisSessions,
    keys: Vec<Name>,
    tokens: Vec<TokenKey>,
    manager: ConnectionManager,
    pool: deadpool_redis::Pool,
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
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let sides = connect(runtime, &url);
    for tasks in TASKS {
        key_values(&mut criterion, &sides, tasks);
        of_sessions(&mut criterion, &sides, tasks);
    }
    sides.runtime.block_on(remove(sides.manager.clone()));
    criterion.final_summary();
}

fn connect(runtime: tokio::runtime::Runtime, url: &str) -> Sides {
    let (redis, manager, pool) = runtime.block_on(async {
        let redis = Redis::connect(RedisConfig::new(url).prefix(PREFIX)).await.unwrap();
        let manager = ConnectionManager::new(redis::Client::open(url).unwrap()).await.unwrap();
        let mut config = deadpool_redis::Config::from_url(url);
        config.pool = Some(deadpool_redis::PoolConfig::new(16));
        (redis, manager, config.create_pool(Some(deadpool_redis::Runtime::Tokio1)).unwrap())
    });
    let sides = Sides {
        store: redis.key_value(),
        sessions: redis.sessions(),
        keys: (0..COUNT).map(|n| name(format!("key-{n}"))).collect(),
        tokens: (0..COUNT).map(|n| session(n).token).collect(),
        runtime,
        manager,
        pool,
    };
    sides.runtime.block_on(async {
        remove(sides.manager.clone()).await;
        for (n, key) in sides.keys.iter().enumerate() {
            sides.store.set(&bucket(), key, KvSet::new(PAYLOAD)).await.unwrap();
            sides.sessions.create(session(n), vec![]).await.unwrap();
            set(sides.manager.clone(), n).await;
        }
    });
    sides
}

/// What an earlier run has left, and this one.
async fn remove(mut manager: ConnectionManager) {
    let mut cursor = 0u64;
    loop {
        let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{PREFIX}*"))
            .arg("COUNT")
            .arg(10_000)
            .query_async(&mut manager)
            .await
            .unwrap();
        for key in keys {
            let () = manager.unlink(key).await.unwrap();
        }
        cursor = next;
        if cursor == 0 {
            return;
        }
    }
}

fn bare(n: usize) -> String {
    format!("{PREFIX}bare:{n}")
}

async fn get(mut connection: impl redis::aio::ConnectionLike + Send + Sync, n: usize) {
    let value: Option<Vec<u8>> = connection.get(bare(n)).await.unwrap();
    assert!(value.is_some_and(|value| value.len() == PAYLOAD.len()));
}

async fn set(mut connection: impl redis::aio::ConnectionLike + Send + Sync, n: usize) {
    let () = connection.set_ex(bare(n), &PAYLOAD, 3_600).await.unwrap();
}

/// The same work by as many tasks at once, of each side in turn.
macro_rules! beside {
    ($criterion:ident, $sides:ident, $tasks:ident, $group:literal, $work:expr, $bare:ident) => {{
        let mut group = $criterion.benchmark_group($group);
        let mut next = 0;
        let mut numbers = move || {
            next += $tasks;
            (next - $tasks..next).map(|n| n % COUNT).collect::<Vec<_>>()
        };
        group.bench_function(BenchmarkId::new("hexmem", $tasks), |bencher| {
            bencher.iter(|| $sides.runtime.block_on(join_all(numbers().into_iter().map($work))));
        });
        group.bench_function(BenchmarkId::new("manager", $tasks), |bencher| {
            bencher.iter(|| {
                let each = numbers().into_iter().map(|n| $bare($sides.manager.clone(), n));
                $sides.runtime.block_on(join_all(each))
            });
        });
        group.bench_function(BenchmarkId::new("deadpool", $tasks), |bencher| {
            bencher.iter(|| {
                let each = numbers()
                    .into_iter()
                    .map(async |n| $bare($sides.pool.get().await.unwrap(), n).await);
                $sides.runtime.block_on(join_all(each))
            });
        });
        group.finish();
    }};
}

fn key_values(criterion: &mut Criterion, sides: &Sides, tasks: usize) {
    let bucket = bucket();
    beside!(
        criterion,
        sides,
        tasks,
        "redis kv get",
        async |n: usize| {
            let found = sides.store.get(&bucket, &sides.keys[n]).await.unwrap();
            assert!(found.is_some());
        },
        get
    );
    beside!(
        criterion,
        sides,
        tasks,
        "redis kv set",
        async |n: usize| {
            sides.store.set(&bucket, &sides.keys[n], KvSet::new(PAYLOAD)).await.unwrap();
        },
        set
    );
}

fn of_sessions(criterion: &mut Criterion, sides: &Sides, tasks: usize) {
    beside!(
        criterion,
        sides,
        tasks,
        "redis session find",
        async |n: usize| {
            let found = sides.sessions.find(&sides.tokens[n]).await.unwrap();
            assert!(found.is_some());
        },
        get
    );
    beside!(
        criterion,
        sides,
        tasks,
        "redis session touch",
        async |n: usize| {
            let touch = Touch { coalesce: Some(Ttl::secs(60).unwrap()), ..Touch::default() };
            assert!(sides.sessions.touch(&sides.tokens[n], touch).await.unwrap().is_some());
        },
        set
    );
}
