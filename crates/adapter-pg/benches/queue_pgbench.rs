//! The queue's cycle of 100 beside the same statements sent by PostgreSQL's own `pgbench`, which is written in C and does
//! nothing with what it gets. Prints how much of its rate is left: 1 means that the adapter costs nothing.
//!
//! `cargo bench -p adapter-pg --bench queue_pgbench`; half a minute, `-- --test` a few seconds. The server is that of
//! `HEXMEM_TEST_PG_URL`, each side has a database of its own there. Its arguments are made by the server (ids, arrays of
//! equal payloads) or go there and back as text, where the adapter sends them as bytes.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hexmem_adapter_pg::{Migrate, PgConfig, PgQueue, Postgres};
use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{
    Ack, CommandId, CommandQueue as _, LeaseRequest, Limit, Name, NewCommand, QueueId, Tenant, Ttl,
    WhenIdle,
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

/// As many connections, on both sides.
const WORKERS: [u32; 3] = [1, 4, 16];
const BATCH: u32 = 100;

/// Each side runs so often, by turns: what else the machine does then hits both.
const TURNS: u32 = 2;

/// Where `pgbench` is: on the path, or Debian's newest.
fn pgbench() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    folders.sort();
    folders.extend(std::env::split_paths(&path));
    folders.into_iter().rev().map(|folder| folder.join("pgbench")).find(|file| file.exists())
}

/// Whether the command line asks for other benchmarks.
fn unwanted() -> bool {
    let mut names = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    names.any(|name| !"queue_pgbench".contains(name.as_str()))
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    if unwanted() {
        return;
    }
    let Ok(server) = std::env::var("HEXMEM_TEST_PG_URL") else {
        println!("queue_pgbench: not measured: HEXMEM_TEST_PG_URL names no server");
        return;
    };
    let Some(program) = pgbench() else {
        println!("queue_pgbench: not measured: pgbench is not installed");
        return;
    };
    let smoke = std::env::args().any(|arg| arg == "--test");
    let span = Duration::from_secs(if smoke { 1 } else { 3 });
    let (mine, other) = (Database::create(&server).await, Database::create(&server).await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cycle.sql");
    std::fs::write(&file, script()).unwrap();
    drop(open(&other.url, 1).await);
    println!("\ncycles of {BATCH} a second: enqueue, lease, acknowledge");
    println!("| workers | hexmem | pgbench | hexmem / pgbench |");
    println!("|---:|---:|---:|---:|");
    for workers in WORKERS {
        let (mut ours, mut theirs) = (0.0, 0.0);
        for _ in 0..TURNS {
            theirs += rate_of_pgbench(&program, &file, &other.url, workers, span);
            ours += rate(&mine.url, workers, span).await;
        }
        let turns = f64::from(TURNS);
        println!(
            "| {workers} | {:.0} | {:.0} | {:.2} |",
            ours / turns,
            theirs / turns,
            ours / theirs
        );
    }
    for database in [mine, other] {
        database.drop(&server).await;
    }
}

struct Database {
    url: String,
    name: String,
}

impl Database {
    async fn create(server: &str) -> Self {
        let name = format!("hexmem_bench_{}", Uuid::now_v7().simple());
        let host = server.find("://").unwrap() + 3;
        let base = server[host..].find('/').map_or(server, |at| &server[..host + at]);
        run(server, format!("CREATE DATABASE {name}")).await;
        Self { url: format!("{base}/{name}"), name }
    }

    async fn drop(self, server: &str) {
        run(server, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }
}

async fn run(server: &str, sql: String) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
}

fn queue() -> QueueId {
    QueueId::new(Tenant(Name::new("bench").unwrap()), Name::new("q").unwrap())
}

/// The adapter's statements with the same values. Ids are UUIDs of version 7, as the adapter's are.
fn script() -> String {
    let hash = queue().digest().to_hex();
    let all = |value: &str| format!("array_fill({value}, ARRAY[{BATCH}])");
    let ids = "ARRAY(SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing \
        substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), \
        53, 1), 'hex')::uuid FROM generate_series(1, 100))";
    let payload = all(&format!("'{}'::bytea", "x".repeat(100)));
    let policy =
        [all("3"), all("1000::bigint"), all("60000::bigint"), all("0::smallint")].join(", ");
    format!(
        "SELECT stored FROM hexmem.queue_enqueue('\\x{hash}', 'bench', 'q', 0::smallint, NULL, 250000, {ids}, \
         {payload}, {}, {}, NULL, NULL, NULL, NULL, {policy}, {}, NULL, NULL, NULL);\n\
         SELECT count(*) > 0 AS some, coalesce(array_agg(id), '{{}}') AS ids, coalesce(array_agg(lease), '{{}}') AS leases \
         FROM hexmem.queue_lease('\\x{hash}', 'bench', 'q', 'worker-' || :client_id::text, {BATCH}, 30000000, \
         uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), '{{}}', '{{}}', '-infinity', 256, 250000, NULL) \
         WHERE id IS NOT NULL \\gset\n\
         \\if :some\n\
         SELECT hexmem.queue_ack('\\x{hash}', :ids::uuid[], :leases::bytea[], \
         array_fill(NULL::bytea, ARRAY[cardinality(:ids::uuid[])]));\n\
         \\endif\n",
        all("'{}'::text"),
        all("0::smallint"),
        all("60000000::bigint"),
    )
}

/// Cycles a second by `pgbench`.
fn rate_of_pgbench(program: &Path, script: &Path, url: &str, workers: u32, span: Duration) -> f64 {
    let done = Command::new(program)
        .args(["--no-vacuum", "--protocol=prepared"])
        .arg(format!("--client={workers}"))
        .arg(format!("--jobs={}", workers.min(2)))
        .arg(format!("--time={}", span.as_secs()))
        .arg("--file")
        .arg(script)
        .arg(url)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    let failed = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && !failed.contains("ERROR"), "{failed}");
    // Older versions say first what connecting made of it.
    let rate = told.lines().filter_map(|line| line.strip_prefix("tps = ")).next_back();
    rate.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap()
}

async fn open(url: &str, workers: u32) -> PgQueue {
    let config =
        PgConfig { migrate: Migrate::Connect, max_connections: workers, ..PgConfig::new(url) };
    Postgres::connect(config).await.unwrap().queue()
}

/// Cycles a second by the adapter, on connections of this run, as `pgbench` has them.
async fn rate(url: &str, workers: u32, span: Duration) -> f64 {
    let (store, done) = (open(url, workers).await, Arc::new(AtomicU32::new(0)));
    let start = Instant::now();
    let running: Vec<_> = (0..workers)
        .map(|worker| {
            let (store, done) = (store.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                while start.elapsed() < span {
                    cycle(&store, worker).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for one in running {
        one.await.unwrap();
    }
    f64::from(done.load(Ordering::Relaxed)) / start.elapsed().as_secs_f64()
}

async fn cycle(store: &PgQueue, worker: u32) {
    let queue = queue();
    let commands = (0..BATCH).map(|_| command()).collect();
    store.enqueue(&queue, commands, WhenIdle::Store, Vec::new()).await.unwrap();
    let request = LeaseRequest {
        worker: Name::new(format!("worker-{worker}")).unwrap(),
        max: Limit::new(BATCH).unwrap(),
        visibility: Ttl::secs(30).unwrap(),
        wait: Duration::ZERO,
    };
    let leased = store.lease(&queue, request).await.unwrap();
    let acks = leased.into_iter().map(|one| Ack { lease: one.lease, result: None }).collect();
    for done in store.ack(&queue, acks, Vec::new()).await.unwrap() {
        done.unwrap();
    }
}

fn command() -> NewCommand {
    NewCommand {
        id: CommandId(Uuid::now_v7()),
        payload: vec![b'x'; 100],
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
