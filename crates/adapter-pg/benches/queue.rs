//! Queues beside the same statements on a bare sqlx pool: enqueue, lease, acknowledge, by workers at once. The server is
//! that of `HEXMEM_TEST_PG_URL`; each side has a database of its own there.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use futures::future::join_all;
use hexmem_adapter_pg::{Migrate, PgConfig, PgQueue, Postgres};
use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{
    Ack, CommandId, CommandQueue as _, LeaseRequest, Limit, Name, NewCommand, QueueId, Tenant, Ttl,
    WhenIdle,
};
use serde_json::json;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgPoolOptions, PgTypeInfo};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, Row as _};
use uuid::Uuid;

/// What both sides store.
const PAYLOAD: [u8; 100] = [b'x'; 100];

/// As many connections as workers, on both sides.
const WORKERS: [usize; 3] = [1, 4, 16];

fn main() {
    let Ok(url) = std::env::var("HEXMEM_TEST_PG_URL") else {
        println!(
            "not run: HEXMEM_TEST_PG_URL names no server; `cargo xtask services start` gives one"
        );
        return;
    };
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (ours, theirs) = (Database::create(&url, &runtime), Database::create(&url, &runtime));
    let store = runtime.block_on(open(&ours.url)).queue();
    let bare = runtime.block_on(async {
        open(&theirs.url).await;
        let most = u32::try_from(WORKERS[2]).unwrap();
        PgPoolOptions::new().max_connections(most).connect(&theirs.url).await.unwrap()
    });
    for batch in [1_u32, 100] {
        let mut group = criterion.benchmark_group(format!("pg queue cycle of {batch}"));
        for workers in WORKERS {
            group.throughput(Throughput::Elements(
                u64::from(batch) * u64::try_from(workers).unwrap(),
            ));
            group.bench_function(BenchmarkId::new("hexmem", workers), |bencher| {
                let work = |worker| cycle(store.clone(), worker, batch);
                bencher.iter(|| runtime.block_on(join_all((0..workers).map(|n| spawn(work(n))))));
            });
            group.bench_function(BenchmarkId::new("sqlx", workers), |bencher| {
                let work = |worker| bare_cycle(bare.clone(), worker, batch);
                bencher.iter(|| runtime.block_on(join_all((0..workers).map(|n| spawn(work(n))))));
            });
        }
        group.finish();
    }
    criterion.final_summary();
    runtime.block_on(bare.close());
}

async fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work).await.unwrap();
}

async fn open(url: &str) -> Postgres {
    let config = PgConfig {
        migrate: Migrate::Connect,
        max_connections: u32::try_from(WORKERS[2]).unwrap(),
        ..PgConfig::new(url)
    };
    Postgres::connect(config).await.unwrap()
}

/// Dropped at the end.
struct Database<'r> {
    server: String,
    url: String,
    name: String,
    runtime: &'r tokio::runtime::Runtime,
}

impl<'r> Database<'r> {
    fn create(server: &str, runtime: &'r tokio::runtime::Runtime) -> Self {
        let name = format!("hexmem_bench_{}", Uuid::new_v4().simple());
        let (server, url) = (server.to_owned(), on_database(server, &name));
        let database = Self { server, url, name, runtime };
        database.run(&format!("CREATE DATABASE {}", database.name));
        database
    }

    fn run(&self, sql: &str) {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.server).await.unwrap();
            connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
        });
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        self.run(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// `url` with another database.
fn on_database(url: &str, database: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, ""), |(base, query)| (base, query));
    let host = base.rfind('/').filter(|at| *at > base.find("://").unwrap() + 2);
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{}/{database}{mark}{query}", &base[..host.unwrap_or(base.len())])
}

fn queue() -> QueueId {
    QueueId::new(Tenant(Name::new("bench").unwrap()), Name::new("q").unwrap())
}

fn command() -> NewCommand {
    NewCommand {
        id: CommandId(Uuid::now_v7()),
        payload: PAYLOAD.to_vec(),
        headers: json!({}),
        priority: 0,
        delay: None,
        deadline: None,
        dedupe: None,
        group: None,
        retry: RetryPolicy { max_attempts: 3, base_ms: 1_000, cap_ms: 60_000, jitter_percent: 0 },
        result_ttl: Ttl::secs(60).unwrap(),
    }
}

/// Enqueue, lease, acknowledge. A worker may get what another one enqueued.
async fn cycle(store: PgQueue, worker: usize, batch: u32) {
    let queue = queue();
    let commands = (0..batch).map(|_| command()).collect();
    store.enqueue(&queue, commands, WhenIdle::Store, Vec::new()).await.unwrap();
    let request = LeaseRequest {
        worker: Name::new(format!("worker-{worker}")).unwrap(),
        max: Limit::new(batch).unwrap(),
        visibility: Ttl::secs(30).unwrap(),
        wait: Duration::ZERO,
    };
    let leased = store.lease(&queue, request).await.unwrap();
    let acks = leased.into_iter().map(|one| Ack { lease: one.lease, result: None }).collect();
    for done in store.ack(&queue, acks, Vec::new()).await.unwrap() {
        done.unwrap();
    }
}

/// `-infinity` as a `timestamptz`.
struct LongAgo;

impl sqlx::Type<sqlx::Postgres> for LongAgo {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1184))
    }
}

impl PgHasArrayType for LongAgo {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1185))
    }
}

impl sqlx::Encode<'_, sqlx::Postgres> for LongAgo {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        sqlx::Encode::<sqlx::Postgres>::encode(i64::MIN, buf)
    }
}

/// The statements of the adapter, without the adapter.
async fn bare_cycle(pool: PgPool, worker: usize, batch: u32) {
    let hash = Arc::new(queue().digest().0.to_vec());
    let all = usize::try_from(batch).unwrap();
    sqlx::query(include_str!("../src/sql/queue/enqueue.sql"))
        .bind(&*hash)
        .bind("bench")
        .bind("q")
        .bind(0_i16)
        .bind(None::<i64>)
        .bind(250_000_i64)
        .bind((0..batch).map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(vec![PAYLOAD.as_slice(); all])
        .bind(vec!["{}"; all])
        .bind(vec![0_i16; all])
        .bind(None::<Vec<i64>>)
        .bind(None::<Vec<LongAgo>>)
        .bind(None::<Vec<String>>)
        .bind(None::<Vec<Vec<u8>>>)
        .bind(vec![3_i32; all])
        .bind(vec![1_000_i64; all])
        .bind(vec![60_000_i64; all])
        .bind(vec![0_i16; all])
        .bind(vec![60_000_000_i64; all])
        .bind(None::<Vec<String>>)
        .bind(None::<Vec<Vec<u8>>>)
        .bind(None::<Vec<i64>>)
        .fetch_all(&pool)
        .await
        .unwrap();
    let key: Vec<u8> =
        [Uuid::new_v4(), Uuid::new_v4()].iter().flat_map(|id| *id.as_bytes()).collect();
    let rows = sqlx::query(include_str!("../src/sql/queue/lease.sql"))
        .bind(&*hash)
        .bind("bench")
        .bind("q")
        .bind(format!("worker-{worker}"))
        .bind(i32::try_from(batch).unwrap())
        .bind(30_000_000_i64)
        .bind(key)
        .bind(Vec::<i16>::new())
        .bind(Vec::<i64>::new())
        .bind(LongAgo)
        .bind(256_i32)
        .bind(250_000_i64)
        .bind(None::<i64>)
        .fetch_all(&pool)
        .await
        .unwrap();
    let rows: Vec<_> =
        rows.iter().filter(|row| row.get::<Option<Uuid>, _>("id").is_some()).collect();
    if rows.is_empty() {
        return;
    }
    sqlx::query(include_str!("../src/sql/queue/ack.sql"))
        .bind(&*hash)
        .bind(rows.iter().map(|row| row.get::<Uuid, _>("id")).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.get::<&[u8], _>("lease")).collect::<Vec<_>>())
        .bind(vec![None::<Vec<u8>>; rows.len()])
        .fetch_all(&pool)
        .await
        .unwrap();
}
