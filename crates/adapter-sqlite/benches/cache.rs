//! A hit of the cache in a file, beside a bare select.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{
    CacheKey, CachePut, CacheStoreExt as _, CacheTags, Digest, Lookup, Name, NamespaceId, Tenant,
    Ttl,
};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Row as _};

/// Answers in both files.
const ANSWERS: usize = 500;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let namespace = NamespaceId::new(Tenant(name("bench")), name("n"));
    let tags = CacheTags { model: Some(name("gpt-4o")), tags: vec![name("handbook")] };
    let keys: Vec<CacheKey> = (0..ANSWERS)
        .map(|n| CacheKey {
            namespace: namespace.clone(),
            fingerprint: Digest::of(&n.to_be_bytes()),
        })
        .collect();
    let value = vec![b'x'; 2_000];
    let (store, mut connection) = runtime.block_on(async {
        let config = SqliteConfig::new(folder.path().join("cache.db"));
        let store = Database::open(config, Arc::new(SystemClock)).await.unwrap().cache();
        let mut connection = SqliteConnectOptions::new()
            .filename(folder.path().join("bare.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", "-8192")
            .connect()
            .await
            .unwrap();
        let make = "CREATE TABLE answers (key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL, value BLOB NOT NULL) STRICT";
        sqlx::query(make).execute(&mut connection).await.unwrap();
        for key in &keys {
            let Lookup::Miss(ticket) = store.get(key, &tags).await.unwrap() else {
                panic!("it is new");
            };
            let ttl = Ttl::secs(3_600).unwrap();
            let (value, meta) = (value.clone(), json!({ "hexmem": 1 }));
            store.put(key, CachePut { value, meta, ttl, stale: None, ticket }).await.unwrap();
            sqlx::query("INSERT INTO answers VALUES (?1, ?2, ?3)")
                .bind(key.fingerprint.0.to_vec())
                .bind(i64::MAX)
                .bind(vec![b'x'; 2_000])
                .execute(&mut connection)
                .await
                .unwrap();
        }
        (store, connection)
    });
    let mut next = keys.iter().cycle();
    let mut group = criterion.benchmark_group("sqlite cache get");
    group.bench_function("hexmem", |bencher| {
        bencher.iter(|| {
            let found = runtime.block_on(store.get(next.next().unwrap(), &tags)).unwrap();
            assert!(matches!(found, Lookup::Hit(..)));
        });
    });
    group.bench_function("sqlx", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                sqlx::query("SELECT value FROM answers WHERE key = ?1 AND expires_at > ?2")
                    .bind(next.next().unwrap().fingerprint.0.to_vec())
                    .bind(0_i64)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap()
                    .get::<Vec<u8>, _>(0)
            })
        });
    });
    group.finish();
    criterion.final_summary();
}
