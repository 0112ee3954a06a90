//! A queue's cycle beside apalis-sqlite: enqueue, take, complete, one transaction each, the same durability.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use apalis_core::backend::TaskResult;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::status::Status;
use apalis_core::worker::context::WorkerContext;
use apalis_sqlite::queries::{ack_tasks, fetch_next, push_tasks, register_worker};
use apalis_sqlite::{Config, SqliteStorage};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_command_queue::{Commands, PushOptions};
use hexmem_ports::{Ack, Limit, Name, QueueId, Tenant, Ttl};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

/// What both sides store.
const PAYLOAD: [u8; 100] = [b'x'; 100];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ours = runtime.block_on(Ours::open(&folder.path().join("hexmem.db")));
    let mut group = criterion.benchmark_group("sqlite queue cycle beside a peer");
    for batch in [1_u32, 100] {
        group.throughput(Throughput::Elements(batch.into()));
        group.bench_function(BenchmarkId::new("hexmem", batch), |bencher| {
            bencher.iter(|| runtime.block_on(ours.cycle(batch)));
        });
        let file = folder.path().join(format!("apalis-{batch}.db"));
        let theirs = runtime.block_on(Theirs::open(&file, batch));
        group.bench_function(BenchmarkId::new("apalis-sqlite", batch), |bencher| {
            // Its acknowledgement reads all that its worker ever took, once for each task of the batch: it is
            // measured on an empty table, hexmem on one that grows.
            bencher.iter_batched(
                || runtime.block_on(theirs.clear()),
                |()| runtime.block_on(theirs.cycle(batch)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    criterion.final_summary();
}

struct Ours {
    commands: Commands,
    worker: Name,
    options: PushOptions,
}

impl Ours {
    async fn open(file: &Path) -> Self {
        let clock = Arc::new(SystemClock);
        // The defaults: WAL, synchronous = FULL, a page cache of 8 MiB.
        let database = Database::open(SqliteConfig::new(file), clock.clone()).await.unwrap();
        let queue = QueueId::new(Tenant(Name::new("bench").unwrap()), Name::new("q").unwrap());
        Self {
            commands: Commands::new(Arc::new(database.queue()), clock, queue),
            worker: Name::new("worker").unwrap(),
            options: PushOptions::default(),
        }
    }

    async fn cycle(&self, batch: u32) {
        let commands = (0..batch).map(|_| self.commands.command(PAYLOAD, &self.options)).collect();
        self.commands.push_many(commands, Vec::new()).await.unwrap();
        let (max, held) = (Limit::new(batch).unwrap(), Ttl::secs(30).unwrap());
        let leased = self.commands.lease(&self.worker, max, held, Duration::ZERO).await.unwrap();
        assert_eq!(leased.len(), usize::try_from(batch).unwrap());
        let acks = leased.into_iter().map(|one| Ack { lease: one.lease, result: None }).collect();
        for done in self.commands.ack_many(acks, Vec::new()).await.unwrap() {
            done.unwrap();
        }
    }
}

/// The calls that its own worker makes, without the one that marks tasks as running.
struct Theirs {
    pool: SqlitePool,
    config: Config,
    worker: WorkerContext,
}

impl Theirs {
    async fn open(file: &Path, batch: u32) -> Self {
        // What its setup does, but for synchronous = OFF: a power cut would take what was acknowledged.
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .pragma("cache_size", "-8192")
            .pragma("temp_store", "MEMORY")
            .pragma("journal_size_limit", "67108864");
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        SqliteStorage::migrations().run(&pool).await.unwrap();
        let config = Config::default().queue("q").batch_size(usize::try_from(batch).unwrap());
        let worker = WorkerContext::new("worker");
        register_worker(&pool, &config, &worker, "SqliteStorage").await.unwrap();
        Self { pool, config, worker }
    }

    async fn clear(&self) {
        sqlx::query("DELETE FROM Jobs").execute(&self.pool).await.unwrap();
    }

    async fn cycle(&self, batch: u32) {
        let tasks: Vec<_> =
            (0..batch).map(|_| TaskBuilder::new(PAYLOAD.to_vec()).build()).collect();
        let mut tx = self.pool.begin().await.unwrap();
        push_tasks(&mut *tx, "q", &tasks).await.unwrap();
        tx.commit().await.unwrap();

        let mut tx = self.pool.begin().await.unwrap();
        let taken = fetch_next(&mut *tx, &self.config, &self.worker).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(taken.len(), usize::try_from(batch).unwrap());

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
        let mut tx = self.pool.begin().await.unwrap();
        let acked = ack_tasks(&mut *tx, &done, self.worker.name()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(acked, u64::from(batch));
    }
}
