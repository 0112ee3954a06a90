//! Commands enqueued and handled by each library's own worker, beside apalis-redis on the same server: a list of them is pushed at
//! once, one worker takes and completes them all, and stops. The server is that of `HEXMEM_TEST_REDIS_URL`. Both keep what
//! was done; hexmem with leases, fenced completions and results that expire, which is in its times.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and says what it needs"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apalis_core::backend::TaskSink as _;
use apalis_core::error::BoxDynError;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use apalis_redis::{Config, ConnectionManager, RedisStorage};
use criterion::{BenchmarkId, Criterion, Throughput};
use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_redis::{Redis, RedisConfig};
use hexmem_command_queue::{Commands, Job, JobError, PushOptions, Worker, WorkerOptions};
use hexmem_ports::{Limit, Name, QueueId, Tenant};
use tokio::sync::Notify;
use uuid::Uuid;

/// What both sides store.
fn payload() -> String {
    "x".repeat(100)
}

/// Commands of one run.
const COMMANDS: usize = 500;

fn main() {
    let Ok(url) = std::env::var("HEXMEM_TEST_REDIS_URL") else {
        println!(
            "not run: HEXMEM_TEST_REDIS_URL names no server; `cargo xtask services start` gives one"
        );
        return;
    };
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let prefix = format!("bench:{}:", Uuid::now_v7().simple());
    let ours = runtime.block_on(Ours::open(&url, &prefix));
    let mut group = criterion.benchmark_group("redis queue end to end beside a peer");
    group.throughput(Throughput::Elements(COMMANDS.try_into().unwrap()));
    // At once in the worker's hands; for the peer also the size of its fetches.
    for hands in [10_u32, 100] {
        group.bench_function(BenchmarkId::new("hexmem", hands), |bencher| {
            bencher.iter(|| runtime.block_on(ours.run(hands)));
        });
        let theirs = runtime.block_on(Theirs::open(&url, format!("{prefix}{hands}"), hands));
        group.bench_function(BenchmarkId::new("apalis-redis", hands), |bencher| {
            bencher.iter(|| runtime.block_on(theirs.run()));
        });
    }
    group.finish();
    criterion.final_summary();
    runtime.block_on(remove(&url, &prefix));
}

struct Ours {
    commands: Commands,
    options: PushOptions,
}

impl Ours {
    async fn open(url: &str, prefix: &str) -> Self {
        let redis = Redis::connect(RedisConfig::new(url).prefix(prefix)).await.unwrap();
        let queue = QueueId::new(Tenant(Name::new("bench").unwrap()), Name::new("q").unwrap());
        let commands = Commands::new(Arc::new(redis.queue()), Arc::new(SystemClock), queue);
        Self { commands, options: PushOptions::default() }
    }

    async fn run(&self, hands: u32) {
        let command = |_| self.commands.command(payload(), &self.options);
        self.commands.push_many((0..COMMANDS).map(command).collect(), Vec::new()).await.unwrap();
        let (done, all) = (AtomicUsize::new(0), Notify::new());
        let concurrency = Limit::new(hands).unwrap();
        let options = WorkerOptions { concurrency, ..WorkerOptions::default() };
        let worker = Worker::new(self.commands.clone(), options);
        let handle = async |_: Job| {
            if done.fetch_add(1, Ordering::Relaxed) + 1 == COMMANDS {
                all.notify_one();
            }
            Ok::<_, JobError>(None)
        };
        // It settles what it holds before it ends.
        let report = worker.run(handle, all.notified()).await.unwrap();
        assert_eq!(report.completed, u64::try_from(COMMANDS).unwrap());
    }
}

struct Theirs {
    connection: ConnectionManager,
    config: Config,
}

impl Theirs {
    async fn open(url: &str, queue: String, hands: u32) -> Self {
        let connection = apalis_redis::connect(url).await.unwrap();
        let config = Config::default().queue(queue).batch_size(usize::try_from(hands).unwrap());
        Self { connection, config }
    }

    async fn done(&self) -> usize {
        let mut connection = self.connection.clone();
        let key = self.config.done_jobs_set();
        redis::cmd("SCARD").arg(key).query_async(&mut connection).await.unwrap()
    }

    async fn run(&self) {
        let before = self.done().await;
        let mut storage =
            RedisStorage::<String>::new(self.connection.clone()).with_config(self.config.clone());
        storage.push_bulk((0..COMMANDS).map(|_| payload()).collect()).await.unwrap();
        let done = Arc::new(AtomicUsize::new(0));
        let handle = move |_: String, context: WorkerContext| {
            let done = Arc::clone(&done);
            async move {
                if done.fetch_add(1, Ordering::Relaxed) + 1 == COMMANDS {
                    context.stop()?;
                }
                Ok::<(), BoxDynError>(())
            }
        };
        let worker = WorkerBuilder::new(Uuid::now_v7().to_string()).backend(storage).build(handle);
        worker.run().await.unwrap();
        assert_eq!(self.done().await - before, COMMANDS, "each is acknowledged");
    }
}

/// Takes away what the run left, on both sides.
async fn remove(url: &str, prefix: &str) {
    let mut connection = apalis_redis::connect(url).await.unwrap();
    let mut cursor = 0_u64;
    loop {
        let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{prefix}*"))
            .arg("COUNT")
            .arg(1_000)
            .query_async(&mut connection)
            .await
            .unwrap();
        if !keys.is_empty() {
            redis::cmd("UNLINK").arg(keys).exec_async(&mut connection).await.unwrap();
        }
        if next == 0 {
            return;
        }
        cursor = next;
    }
}
