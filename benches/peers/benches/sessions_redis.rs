//! Sessions beside tower-sessions-redis-store on the same server: one more, and one looked up, one after another and 64 at
//! once. The server is that of `HEXMEM_TEST_REDIS_URL`. The peer keeps a record as MessagePack under its id, with `SET .. NX` and `GET`;
//! what hexmem does more (token hashes, idle and absolute ends, a user's index) is in its times.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::time::Duration;

use criterion::{Bencher, Criterion};
use futures::future::join_all;
use hexmem_adapter_redis::{Redis, RedisConfig, RedisSessions};
use hexmem_ports::{
    Digest, Name, NewSession, SessionId, SessionOrigin, SessionStore as _, Tenant, TokenKey, Ttl,
    UserScope,
};
use serde_json::json;
use tokio::runtime::Runtime;
use tower_sessions_core::SessionStore as _;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{ClientLike as _, Config, Pool};
use uuid::Uuid;

/// Sessions that are looked up.
const SESSIONS: usize = 1_000;

fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

fn token(owner: &UserScope) -> TokenKey {
    TokenKey { bucket: owner.bucket(), hash: Digest::of(Uuid::now_v7().as_bytes()) }
}

fn session(n: usize) -> NewSession {
    let owner =
        UserScope { tenant: Tenant(name("bench")), user: name(format!("user {}", n % 100)) };
    NewSession {
        id: SessionId(Uuid::now_v7()),
        token: token(&owner),
        owner,
        data: json!({ "user": n, "role": "member" }),
        origin: SessionOrigin::default(),
        idle: Ttl::secs(600).unwrap(),
        absolute: Ttl::secs(600).unwrap(),
        cap: None,
        retention: Ttl::secs(60).unwrap(),
    }
}

fn record(n: usize) -> Record {
    let expiry_date = time::OffsetDateTime::now_utc() + time::Duration::seconds(600);
    let data = [("user".to_owned(), json!(n)), ("role".to_owned(), json!("member"))].into();
    Record { id: Id::default(), data, expiry_date }
}

async fn ours(store: &RedisSessions, n: usize) -> TokenKey {
    let session = session(n);
    let token = session.token.clone();
    store.create(session, vec![]).await.unwrap();
    token
}

async fn theirs(store: &RedisStore<Pool>, n: usize) -> Id {
    let mut record = record(n);
    store.create(&mut record).await.unwrap();
    record.id
}

fn measured<F: Future<Output = ()>>(
    bencher: &mut Bencher<'_>,
    runtime: &Runtime,
    at_once: usize,
    one: impl Fn(usize) -> F,
) {
    let mut next = 0;
    bencher.iter(|| {
        runtime.block_on(join_all((0..at_once).map(|n| one((next + n) % SESSIONS))));
        next += at_once;
    });
}

fn main() {
    let Ok(url) = std::env::var("HEXMEM_TEST_REDIS_URL") else {
        println!(
            "not run: HEXMEM_TEST_REDIS_URL names no server; `cargo xtask services start` gives one"
        );
        return;
    };
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (mine, peer, tokens, ids) = runtime.block_on(async {
        let config = RedisConfig::new(&url).prefix(format!("bench:{}:", Uuid::now_v7().simple()));
        let mine = Redis::connect(config).await.unwrap().sessions();
        // As its README has it: a pool of 6.
        let pool = Pool::new(Config::from_url(&url).unwrap(), None, None, None, 6).unwrap();
        drop(pool.connect());
        pool.wait_for_connect().await.unwrap();
        let peer = RedisStore::new(pool);
        let (mut tokens, mut ids) = (Vec::new(), Vec::new());
        for n in 0..SESSIONS {
            tokens.push(ours(&mine, n).await);
            ids.push(theirs(&peer, n).await);
        }
        (mine, peer, tokens, ids)
    });
    for at_once in [1, 64] {
        let mut group = criterion
            .benchmark_group(format!("redis session find beside a peer, {at_once} at once"));
        group.bench_function("hexmem", |bencher| {
            measured(bencher, &runtime, at_once, async |n| {
                assert!(mine.find(&tokens[n]).await.unwrap().is_some());
            });
        });
        group.bench_function("tower-sessions-redis-store", |bencher| {
            measured(bencher, &runtime, at_once, async |n| {
                assert!(peer.load(&ids[n]).await.unwrap().is_some());
            });
        });
        group.finish();
        let mut group = criterion
            .benchmark_group(format!("redis session create beside a peer, {at_once} at once"));
        group.bench_function("hexmem", |bencher| {
            measured(bencher, &runtime, at_once, async |n| {
                ours(&mine, n).await;
            });
        });
        group.bench_function("tower-sessions-redis-store", |bencher| {
            measured(bencher, &runtime, at_once, async |n| {
                theirs(&peer, n).await;
            });
        });
        group.finish();
    }
    criterion.final_summary();
}
