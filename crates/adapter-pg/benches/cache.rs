//! A hit of the cache, a put under tags, and the invalidation of a tag of 10,000 answers, beside bare statements on a
//! pool of sqlx's.
//!
//! Needs the server of `HEXMEM_TEST_PG_URL`, on which it makes a database of its own and drops it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::SamplingMode;
use hexmem_ports::{
    CacheKey, CachePut, CacheStore as _, CacheStoreExt as _, CacheTags, Digest, Invalidate, Lookup,
    Name, NamespaceId, PutOutcome, TagRef, Tenant, Ttl,
};
use serde_json::json;
use server::{Server, WORKERS, criterion, measure};
use uuid::Uuid;

/// Answers on both sides, all under the tag.
const ANSWERS: usize = 10_000;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// What somebody writes who needs no more: keys, tags in an array with a GIN index, and an end.
const BARE: &str = "
    CREATE TABLE answers (
        key bytea PRIMARY KEY, tags text[] NOT NULL, expires_at timestamptz NOT NULL, value bytea NOT NULL
    );
    CREATE INDEX answers_tags ON answers USING gin (tags);
    CREATE INDEX answers_expiry ON answers (expires_at);";

const UPSERT: &str = "INSERT INTO answers (key, tags, expires_at, value)
    VALUES ($1, ARRAY['model:gpt-4o', 'tag:handbook'], now() + interval '1 h', $2)
    ON CONFLICT (key) DO UPDATE SET
        tags = excluded.tags, expires_at = excluded.expires_at, value = excluded.value";

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let Some(server) = runtime.block_on(Server::start("pg cache")) else { return };
    let (store, pool) = (server.postgres.cache(), server.pool.clone());
    let namespace = NamespaceId::new(Tenant(name("bench")), name("n"));
    let tags = CacheTags { model: Some(name("gpt-4o")), tags: vec![name("handbook")] };
    let keys: Arc<Vec<CacheKey>> = Arc::new(
        (0..ANSWERS)
            .map(|n| CacheKey {
                namespace: namespace.clone(),
                fingerprint: Digest::of(&n.to_be_bytes()),
            })
            .collect(),
    );
    // Text as models write it, not one letter: it is compressed as such.
    let value: Vec<u8> =
        (0..60).flat_map(|_| Uuid::new_v4().to_string().into_bytes()).take(2_000).collect();
    let put = {
        let value = value.clone();
        move |ticket| CachePut {
            value: value.clone(),
            meta: json!({ "hexmem": 1 }),
            ttl: Ttl::secs(3_600).unwrap(),
            stale: None,
            ticket,
        }
    };
    let ticket = runtime.block_on(async {
        server.run(BARE).await;
        let (Lookup::Miss(ticket) | Lookup::Hit(_, ticket)) =
            store.get(&keys[0], &tags).await.unwrap();
        for page in keys.chunks(500) {
            let puts = page.iter().map(|key| (key.fingerprint, put(ticket.clone())));
            store.put_many(&namespace, puts.collect()).await.unwrap();
            for key in page {
                sqlx::query(UPSERT)
                    .bind(key.fingerprint.0.to_vec())
                    .bind(&value)
                    .execute(&pool)
                    .await
                    .unwrap();
            }
        }
        server.run("VACUUM ANALYZE").await;
        ticket
    });
    let mut criterion = criterion();
    let at = |n: usize| n.wrapping_mul(7_919) % ANSWERS;

    let mut group = criterion.benchmark_group("pg cache get");
    for workers in WORKERS {
        let (of, on, under) = (Arc::clone(&keys), store.clone(), tags.clone());
        measure(&mut group, &runtime, "hexmem", workers, move |n| {
            let (store, keys, tags) = (on.clone(), Arc::clone(&of), under.clone());
            async move {
                let found = store.get(&keys[at(n)], &tags).await.unwrap();
                assert!(matches!(found, Lookup::Hit(..)));
            }
        });
        let (of, on) = (Arc::clone(&keys), pool.clone());
        measure(&mut group, &runtime, "sqlx", workers, move |n| {
            let (pool, keys) = (on.clone(), Arc::clone(&of));
            async move {
                sqlx::query_scalar::<_, Vec<u8>>(
                    "SELECT value FROM answers WHERE key = $1 AND expires_at > now()",
                )
                .bind(keys[at(n)].fingerprint.0.to_vec())
                .fetch_one(&pool)
                .await
                .unwrap();
            }
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("pg cache put");
    for workers in WORKERS {
        let (of, on, with, held) = (Arc::clone(&keys), store.clone(), put.clone(), ticket.clone());
        measure(&mut group, &runtime, "hexmem", workers, move |n| {
            let (store, keys, put) = (on.clone(), Arc::clone(&of), with(held.clone()));
            async move {
                let outcome = store.put(&keys[at(n)], put).await.unwrap();
                assert_eq!(outcome, PutOutcome::Stored);
            }
        });
        let (of, on, what) = (Arc::clone(&keys), pool.clone(), value.clone());
        measure(&mut group, &runtime, "sqlx", workers, move |n| {
            let (pool, keys, value) = (on.clone(), Arc::clone(&of), what.clone());
            async move {
                sqlx::query(UPSERT)
                    .bind(keys[at(n)].fingerprint.0.to_vec())
                    .bind(value)
                    .execute(&pool)
                    .await
                    .unwrap();
            }
        });
    }
    group.finish();

    // Each round starts with the 10,000 answers served again: the generation is put back, the deleted rows are inserted.
    let mut group = criterion.benchmark_group("pg cache invalidate");
    group.sampling_mode(SamplingMode::Flat);
    let handbook = || Invalidate::Tag(TagRef::Tag(name("handbook")));
    group.bench_function("hexmem", |bencher| {
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let start = Instant::now();
                    let ended = store.invalidate(&namespace, handbook()).await.unwrap();
                    total += start.elapsed();
                    assert_eq!(ended, Some(10_000));
                    let generation =
                        ticket.generations.iter().find(|(tag, _)| matches!(tag, TagRef::Tag(_)));
                    sqlx::query(
                        "UPDATE hexmem.cache_tags SET generation = $1 WHERE tag = 'tag:handbook'",
                    )
                    .bind(generation.unwrap().1)
                    .execute(&pool)
                    .await
                    .unwrap();
                }
                total
            })
        });
    });
    runtime.block_on(server.run("CREATE TABLE kept AS SELECT * FROM answers"));
    group.bench_function("sqlx", |bencher| {
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let start = Instant::now();
                    let ended =
                        sqlx::query("DELETE FROM answers WHERE tags @> ARRAY['tag:handbook']");
                    assert_eq!(ended.execute(&pool).await.unwrap().rows_affected(), 10_000);
                    total += start.elapsed();
                    server.run("INSERT INTO answers SELECT * FROM kept").await;
                }
                total
            })
        });
    });
    group.finish();
    criterion.final_summary();
    drop((store, pool));
    runtime.block_on(server.drop());
}
