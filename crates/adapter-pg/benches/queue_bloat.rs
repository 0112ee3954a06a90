//! What a long transaction beside a busy queue costs: three minutes of work while another session holds a snapshot, so
//! that nothing can be vacuumed. Prints throughput, dead rows and sizes as time goes.
//!
//! Not a comparison: run it by `cargo bench -p adapter-pg --bench queue_bloat`. `HEXMEM_BENCH_BLOAT_SECONDS` sets the
//! time; `-- --test` runs it for two seconds. The server is that of `HEXMEM_TEST_PG_URL`.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hexmem_adapter_pg::{Migrate, PgConfig, PgQueue, Postgres};
use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{
    Ack, CommandId, CommandQueue as _, LeaseRequest, Limit, Name, NewCommand, QueueId, Tenant, Ttl,
    WhenIdle,
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

const WORKERS: usize = 4;

/// The worst case: a look for each command.
const BATCH: u32 = 1;

/// How many lines are printed.
const LINES: u32 = 12;

fn seconds() -> u64 {
    let set = std::env::var("HEXMEM_BENCH_BLOAT_SECONDS").ok().and_then(|text| text.parse().ok());
    let smoke = std::env::args().any(|arg| arg == "--test");
    set.unwrap_or(if smoke { 2 } else { 180 })
}

/// Whether the command line asks for other benchmarks.
fn unwanted() -> bool {
    let mut names = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    names.any(|name| !"queue_bloat".contains(name.as_str()))
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    if unwanted() {
        return;
    }
    let Ok(server) = std::env::var("HEXMEM_TEST_PG_URL") else {
        println!(
            "not run: HEXMEM_TEST_PG_URL names no server; `cargo xtask services start` gives one"
        );
        return;
    };
    let name = format!("hexmem_bench_{}", Uuid::new_v4().simple());
    let scheme = server.find("://").unwrap() + 3;
    let base = server[scheme..].find('/').map_or(server.as_str(), |at| &server[..scheme + at]);
    let url = format!("{base}/{name}");
    let mut admin = PgConnection::connect(&server).await.unwrap();
    run(&mut admin, format!("CREATE DATABASE {name}")).await;
    let span = Duration::from_secs(seconds()).max(Duration::from_secs(1));
    measure(&url, span / 6, false).await;
    measure(&url, span, true).await;
    run(&mut admin, format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

async fn run(connection: &mut PgConnection, sql: String) {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
}

/// In a schema of its own.
async fn measure(url: &str, span: Duration, beside: bool) {
    let schema = format!("bloat_{}", u8::from(beside));
    let config =
        PgConfig { migrate: Migrate::Connect, schema: schema.clone(), ..PgConfig::new(url) };
    let store = Postgres::connect(config).await.unwrap().queue();
    let mut long = PgConnection::connect(url).await.unwrap();
    if beside {
        run(
            &mut long,
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class".into(),
        )
        .await;
    }
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let what = if beside { "beside a long transaction" } else { "alone" };
    println!("\n{WORKERS} workers, {BATCH} at once, {what}");
    println!("| seconds | commands a second | dead rows | table and indexes, kB | HOT updates |");
    println!("|---:|---:|---:|---:|---:|");
    let watch = async {
        let mut watcher = PgConnection::connect(url).await.unwrap();
        let (start, mut before) = (Instant::now(), 0);
        for line in 1..=LINES {
            tokio::time::sleep(span / LINES).await;
            let now = done.load(Ordering::Relaxed);
            let rate =
                f64::from(u32::try_from(now - before).unwrap()) / (span / LINES).as_secs_f64();
            before = now;
            let (dead, kilobytes, hot): (i64, i64, i64) = sqlx::query_as(
                "SELECT n_dead_tup, pg_total_relation_size(relid) / 1024, n_tup_hot_upd \
                 FROM pg_stat_all_tables WHERE schemaname = $1 AND relname = 'queue_command'",
            )
            .bind(&schema)
            .fetch_one(&mut watcher)
            .await
            .unwrap();
            if line == 1 || line == LINES || line % 3 == 0 {
                let at = start.elapsed().as_secs();
                println!("| {at} | {rate:.0} | {dead} | {kilobytes} | {hot} |");
            }
        }
        stop.store(true, Ordering::Relaxed);
    };
    let work = futures::future::join_all((0..WORKERS).map(|n| cycles(&store, n, &done, &stop)));
    tokio::join!(watch, work);
}

async fn cycles(store: &PgQueue, worker: usize, done: &AtomicU64, stop: &AtomicBool) {
    let queue = QueueId::new(Tenant(Name::new("bench").unwrap()), Name::new("q").unwrap());
    let request = LeaseRequest {
        worker: Name::new(format!("worker-{worker}")).unwrap(),
        max: Limit::new(BATCH).unwrap(),
        visibility: Ttl::secs(5).unwrap(),
        wait: Duration::ZERO,
    };
    while !stop.load(Ordering::Relaxed) {
        let commands = (0..BATCH).map(|_| command()).collect();
        store.enqueue(&queue, commands, WhenIdle::Store, Vec::new()).await.unwrap();
        let leased = store.lease(&queue, request.clone()).await.unwrap();
        let acks = leased.into_iter().map(|one| Ack { lease: one.lease, result: None }).collect();
        for acked in store.ack(&queue, acks, Vec::new()).await.unwrap() {
            done.fetch_add(u64::from(acked.is_ok()), Ordering::Relaxed);
        }
    }
}

fn command() -> NewCommand {
    NewCommand {
        id: CommandId(Uuid::now_v7()),
        payload: vec![b'x'; 100],
        headers: serde_json::Value::Null,
        priority: 0,
        delay: None,
        deadline: None,
        dedupe: None,
        group: None,
        retry: RetryPolicy::default(),
        result_ttl: Ttl::secs(60).unwrap(),
    }
}
