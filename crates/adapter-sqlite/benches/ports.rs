//! Ports beside bare statements: the same file format, the same pragmas, one task at a time.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{
    Ack, BucketId, CommandId, CommandQueue, Digest, KeyValueExt as _, KeyValueStore, KvSet,
    LeaseRequest, Limit, Name, NewCommand, NewSession, QueueId, SessionId, SessionOrigin,
    SessionStore, Tenant, TokenKey, Ttl, UserScope, WhenIdle, rules::RetryPolicy,
};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Row as _, SqliteConnection};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// What both sides store.
const PAYLOAD: [u8; 100] = [b'x'; 100];

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn tenant() -> Tenant {
    Tenant(name("bench"))
}

fn ttl(seconds: u64) -> Ttl {
    Ttl::new(Duration::from_secs(seconds)).unwrap()
}

async fn database(file: &Path) -> Database {
    Database::open(SqliteConfig::new(file), Arc::new(SystemClock)).await.unwrap()
}

/// A connection with the settings that the adapter uses by default.
async fn bare(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .pragma("cache_size", "-8192")
        .pragma("temp_store", "MEMORY")
        .connect()
        .await
        .unwrap()
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    key_value(&mut criterion, &runtime, folder.path());
    sessions(&mut criterion, &runtime, folder.path());
    queue(&mut criterion, &runtime, folder.path());
    criterion.final_summary();
}

/// Keys in both files.
const KEYS: usize = 1_000;

fn key_value(criterion: &mut Criterion, runtime: &Runtime, folder: &Path) {
    let bucket = BucketId::new(tenant(), name("b"));
    let keys: Vec<Name> = (0..KEYS).map(|n| name(&format!("key-{n}"))).collect();
    let store = runtime.block_on(database(&folder.join("kv.db"))).key_value();
    let mut connection = runtime.block_on(async {
        let mut connection = bare(&folder.join("kv-bare.db")).await;
        sqlx::query("CREATE TABLE kv (key TEXT PRIMARY KEY, expires_at INTEGER, value BLOB) STRICT, WITHOUT ROWID")
            .execute(&mut connection)
            .await
            .unwrap();
        for key in &keys {
            store.set(&bucket, key, KvSet::new(PAYLOAD)).await.unwrap();
            set(&mut connection, key).await;
        }
        connection
    });
    let mut next = keys.iter().cycle();
    let mut group = criterion.benchmark_group("sqlite kv set");
    group.bench_function("hexmem", |bencher| {
        bencher.iter(|| {
            let key = next.next().unwrap();
            runtime.block_on(store.set(&bucket, key, KvSet::new(PAYLOAD))).unwrap()
        });
    });
    group.bench_function("sqlx", |bencher| {
        bencher.iter(|| runtime.block_on(set(&mut connection, next.next().unwrap())));
    });
    group.finish();
    let mut group = criterion.benchmark_group("sqlite kv get");
    group.bench_function("hexmem", |bencher| {
        bencher
            .iter(|| runtime.block_on(store.get(&bucket, next.next().unwrap())).unwrap().unwrap());
    });
    group.bench_function("sqlx", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let sql = "SELECT value FROM kv WHERE key = ?1 AND (expires_at IS NULL OR expires_at > ?2)";
                let query = sqlx::query(sql).bind(next.next().unwrap().as_str()).bind(0_i64);
                query.fetch_one(&mut connection).await.unwrap().get::<Vec<u8>, _>(0)
            })
        });
    });
    group.finish();
}

async fn set(connection: &mut SqliteConnection, key: &Name) {
    let sql = "INSERT INTO kv (key, expires_at, value) VALUES (?1, NULL, ?2)
        ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at, value = excluded.value";
    sqlx::query(sql).bind(key.as_str()).bind(PAYLOAD.as_slice()).execute(connection).await.unwrap();
}

fn sessions(criterion: &mut Criterion, runtime: &Runtime, folder: &Path) {
    let file = folder.join("sessions.db");
    let store = runtime.block_on(database(&file)).sessions();
    let tokens: Vec<TokenKey> = (0..KEYS)
        .map(|n| {
            let owner = UserScope { tenant: tenant(), user: name(&format!("user-{n}")) };
            let secret = n.to_string();
            let token =
                TokenKey { bucket: owner.bucket(), hash: Digest::of_parts([secret.as_bytes()]) };
            let session = NewSession {
                id: SessionId(Uuid::now_v7()),
                token,
                owner,
                data: json!({ "name": "somebody", "roles": ["reader", "writer"] }),
                origin: SessionOrigin::default(),
                idle: ttl(3_600),
                absolute: ttl(86_400),
                cap: None,
                retention: ttl(3_600),
            };
            runtime.block_on(store.create(session, Vec::new())).unwrap();
            token
        })
        .collect();
    let mut connection = runtime.block_on(bare(&file));
    let mut next = tokens.iter().cycle();
    let mut group = criterion.benchmark_group("sqlite session find");
    group.bench_function("hexmem", |bencher| {
        bencher.iter(|| runtime.block_on(store.find(next.next().unwrap())).unwrap().unwrap());
    });
    group.bench_function("sqlx", |bencher| {
        bencher.iter(|| {
            let token = next.next().unwrap();
            let query = sqlx::query(include_str!("../src/sql/sessions/find.sql"))
                .bind(i64::from(token.bucket))
                .bind(token.hash.0.as_slice())
                .bind(0_i64);
            black_box(runtime.block_on(query.fetch_one(&mut connection)).unwrap())
        });
    });
    group.finish();
}

fn queue(criterion: &mut Criterion, runtime: &Runtime, folder: &Path) {
    let id = QueueId::new(tenant(), name("q"));
    let store = runtime.block_on(database(&folder.join("queue.db"))).queue();
    let mut connection = runtime.block_on(async {
        let mut connection = bare(&folder.join("queue-bare.db")).await;
        let table = "CREATE TABLE job (row INTEGER PRIMARY KEY, state INTEGER NOT NULL, lease INTEGER, payload BLOB NOT NULL) STRICT";
        sqlx::query(table).execute(&mut connection).await.unwrap();
        let index = "CREATE INDEX job_ready ON job (row) WHERE state = 0";
        sqlx::query(index).execute(&mut connection).await.unwrap();
        connection
    });
    let mut group = criterion.benchmark_group("sqlite queue cycle");
    for batch in [1_u32, 100] {
        group.bench_function(BenchmarkId::new("hexmem", batch), |bencher| {
            bencher.iter(|| runtime.block_on(cycle(&store, &id, batch)));
        });
        group.bench_function(BenchmarkId::new("sqlx", batch), |bencher| {
            bencher.iter(|| runtime.block_on(bare_cycle(&mut connection, batch)));
        });
    }
    group.finish();
}

/// Enqueue, lease, acknowledge: three transactions.
async fn cycle(store: &impl CommandQueue, queue: &QueueId, batch: u32) {
    let command = || NewCommand {
        id: CommandId(Uuid::now_v7()),
        payload: PAYLOAD.to_vec(),
        headers: json!({}),
        priority: 0,
        delay: None,
        deadline: None,
        dedupe: None,
        group: None,
        retry: RetryPolicy { max_attempts: 3, base_ms: 1_000, cap_ms: 60_000, jitter_percent: 0 },
        result_ttl: ttl(60),
    };
    let commands = (0..batch).map(|_| command()).collect();
    store.enqueue(queue, commands, WhenIdle::Store, Vec::new()).await.unwrap();
    let request = LeaseRequest {
        worker: name("worker"),
        max: Limit::new(batch).unwrap(),
        visibility: ttl(30),
        wait: Duration::ZERO,
    };
    let leased = store.lease(queue, request).await.unwrap();
    let acks = leased.into_iter().map(|leased| Ack { lease: leased.lease, result: None }).collect();
    for done in store.ack(queue, acks, Vec::new()).await.unwrap() {
        done.unwrap();
    }
}

/// The least that is a queue: insert, mark as leased, mark as done; also three transactions.
async fn bare_cycle(connection: &mut SqliteConnection, batch: u32) {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.unwrap();
    for _ in 0..batch {
        let insert = sqlx::query("INSERT INTO job (state, payload) VALUES (0, ?1)");
        insert.bind(PAYLOAD.as_slice()).execute(&mut *connection).await.unwrap();
    }
    sqlx::query("COMMIT").execute(&mut *connection).await.unwrap();
    let lease = "UPDATE job SET state = 1, lease = row
        WHERE row IN (SELECT row FROM job WHERE state = 0 ORDER BY row LIMIT ?1) RETURNING row, payload";
    let rows = sqlx::query(lease).bind(batch).fetch_all(&mut *connection).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.unwrap();
    for row in rows {
        let done = sqlx::query("UPDATE job SET state = 2 WHERE row = ?1 AND lease = ?1");
        done.bind(row.get::<i64, _>(0)).execute(&mut *connection).await.unwrap();
    }
    sqlx::query("COMMIT").execute(&mut *connection).await.unwrap();
}
