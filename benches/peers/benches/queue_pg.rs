//! A queue's cycle beside apalis-postgres on the same server: enqueue, take, complete, one transaction each, by workers at
//! once. What is done stays on both sides. The server is that of `HEXMEM_TEST_PG_URL`; each side has a database of its own there.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use apalis_core::backend::TaskResult;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::status::Status;
use apalis_core::worker::context::WorkerContext;
use apalis_postgres::queries::{fetch_next, handle_results, push_tasks};
use apalis_postgres::{Config, PostgresStorage};
use criterion::{BenchmarkId, Criterion, Throughput};
use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_pg::{Migrate, PgConfig, Postgres};
use hexmem_command_queue::{Commands, PushOptions};
use hexmem_ports::{Ack, Limit, Name, QueueId, Tenant, Ttl};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// What both sides store.
const PAYLOAD: [u8; 100] = [b'x'; 100];

/// As many connections as the most workers, on both sides.
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
    let (mine, other) = (Database::create(&url, &runtime), Database::create(&url, &runtime));
    let ours = runtime.block_on(Ours::open(&mine.url));
    for batch in [1_u32, 100] {
        let theirs = runtime.block_on(Theirs::open(&other.url, batch));
        let mut group =
            criterion.benchmark_group(format!("pg queue cycle of {batch} beside a peer"));
        for workers in WORKERS {
            let elements = u64::from(batch) * u64::try_from(workers).unwrap();
            group.throughput(Throughput::Elements(elements));
            group.bench_function(BenchmarkId::new("hexmem", workers), |bencher| {
                bencher.iter(|| {
                    runtime.block_on(all(workers, |worker| Arc::clone(&ours).cycle(worker, batch)));
                });
            });
            group.bench_function(BenchmarkId::new("apalis-postgres", workers), |bencher| {
                bencher.iter(|| {
                    runtime
                        .block_on(all(workers, |worker| Arc::clone(&theirs).cycle(worker, batch)));
                });
            });
        }
        group.finish();
        runtime.block_on(theirs.pool.close());
    }
    criterion.final_summary();
}

/// One cycle of each worker, at once.
async fn all<F: Future<Output = ()> + Send + 'static>(workers: usize, work: impl Fn(usize) -> F) {
    let running: Vec<_> = (0..workers).map(|worker| tokio::spawn(work(worker))).collect();
    for one in running {
        one.await.unwrap();
    }
}

/// Dropped at the end.
struct Database<'r> {
    server: String,
    url: String,
    name: String,
    runtime: &'r Runtime,
}

impl<'r> Database<'r> {
    fn create(server: &str, runtime: &'r Runtime) -> Self {
        let name = format!("hexmem_bench_{}", Uuid::now_v7().simple());
        let host = server.find("://").unwrap() + 3;
        let base = server[host..].find('/').map_or(server, |at| &server[..host + at]);
        let (server, url) = (server.to_owned(), format!("{base}/{name}"));
        let database = Self { server, url, name, runtime };
        database.run(format!("CREATE DATABASE {}", database.name));
        database
    }

    fn run(&self, sql: String) {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.server).await.unwrap();
            connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
        });
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        self.run(format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

struct Ours {
    commands: Commands,
    options: PushOptions,
}

impl Ours {
    async fn open(url: &str) -> Arc<Self> {
        let config = PgConfig {
            migrate: Migrate::Connect,
            max_connections: u32::try_from(WORKERS[2]).unwrap(),
            ..PgConfig::new(url)
        };
        let store = Arc::new(Postgres::connect(config).await.unwrap().queue());
        let queue = QueueId::new(Tenant(Name::new("bench").unwrap()), Name::new("q").unwrap());
        Arc::new(Self {
            commands: Commands::new(store, Arc::new(SystemClock), queue),
            options: PushOptions::default(),
        })
    }

    /// A worker may get what another one pushed.
    async fn cycle(self: Arc<Self>, worker: usize, batch: u32) {
        let commands = (0..batch).map(|_| self.commands.command(PAYLOAD, &self.options)).collect();
        self.commands.push_many(commands, Vec::new()).await.unwrap();
        let worker = Name::new(format!("worker-{worker}")).unwrap();
        let (max, held) = (Limit::new(batch).unwrap(), Ttl::secs(30).unwrap());
        let leased = self.commands.lease(&worker, max, held, Duration::ZERO).await.unwrap();
        let acks = leased.into_iter().map(|one| Ack { lease: one.lease, result: None }).collect();
        for done in self.commands.ack_many(acks, Vec::new()).await.unwrap() {
            done.unwrap();
        }
    }
}

/// The calls that its own worker makes, without the one that marks tasks as running, and each statement a transaction of
/// its own, without `BEGIN` and `COMMIT`.
struct Theirs {
    pool: PgPool,
    config: Config,
}

impl Theirs {
    async fn open(url: &str, batch: u32) -> Arc<Self> {
        let most = u32::try_from(WORKERS[2]).unwrap();
        let pool = PgPoolOptions::new()
            .max_connections(most)
            // As hexmem: a connection that was used a moment ago is trusted.
            .test_before_acquire(false)
            .connect(url)
            .await
            .unwrap();
        PostgresStorage::<()>::setup(&pool).await.unwrap();
        for worker in 0..WORKERS[2] {
            // What its worker registers when it starts; the function for it asks for a type that is not public.
            let sql = "INSERT INTO apalis.workers (id, worker_type, storage_name, layers, last_seen) \
                VALUES ($1, 'q', 'PostgresStorage', '', now()) ON CONFLICT (id) DO NOTHING";
            sqlx::query(sql).bind(format!("worker-{worker}")).execute(&pool).await.unwrap();
        }
        let config = Config::default().queue("q").batch_size(usize::try_from(batch).unwrap());
        Arc::new(Self { pool, config })
    }

    async fn cycle(self: Arc<Self>, worker: usize, batch: u32) {
        let worker = WorkerContext::new(&format!("worker-{worker}"));
        let tasks: Vec<_> =
            (0..batch).map(|_| TaskBuilder::new(PAYLOAD.to_vec()).build()).collect();
        let mut connection = self.pool.acquire().await.unwrap();
        push_tasks(&mut *connection, "q", tasks).await.unwrap();
        let taken = fetch_next(&mut *connection, &self.config, &worker).await.unwrap();
        let done: Vec<_> = taken
            .iter()
            .map(|task| TaskResult {
                task_id: task.task_id().unwrap().clone(),
                attempt: 1,
                status: Status::Done,
                result: Ok(serde_json::Value::Null),
            })
            .collect();
        let done: Vec<_> = done.iter().collect();
        handle_results(&mut *connection, &done, worker.name()).await.unwrap();
    }
}
