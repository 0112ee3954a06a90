//! Two processes work one queue and are killed at random.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hexmem_adapter_pg::{PgConfig, PgQueue, Postgres};
use hexmem_conformance::queue::crash::{judge, patient, random, wanted, work};
use hexmem_ports::{CommandId, CommandQueue as _, Name, QueueId, Tenant, WhenIdle};
use uuid::Uuid;

const URL: &str = "HEXMEM_TEST_CRASH_URL";
const LOG: &str = "HEXMEM_TEST_CRASH_LOG";

fn queue() -> QueueId {
    QueueId::new(Tenant(Name::new("t").unwrap()), Name::new("q").unwrap())
}

async fn open(url: &str) -> PgQueue {
    Postgres::connect(PgConfig::new(url)).await.unwrap().queue()
}

/// What a child does until it is killed. Run by itself it has no database and does nothing.
#[tokio::test]
async fn child() {
    let (Ok(url), Some(log)) = (std::env::var(URL), std::env::var_os(LOG)) else { return };
    work(&open(&url).await, &queue(), Path::new(&log)).await;
}

struct Killed(Child);

impl Killed {
    fn spawn(url: &str, log: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env(URL, url)
            .env(LOG, log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // SIGKILL: no destructor runs, no transaction ends.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_no_command_and_complete_none_twice() {
    let database = rig::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let store = open(&database.url).await;
    let wanted = wanted(1_000);
    let ids: Vec<_> = (1..=wanted).map(|n| CommandId(Uuid::from_u128(n))).collect();
    let commands = ids.iter().map(|id| patient(*id)).collect();
    store.enqueue(&queue(), commands, WhenIdle::Store, vec![]).await.unwrap();

    let patience = Duration::from_secs(60 + u64::try_from(wanted / 20).unwrap());
    let start = Instant::now();
    let mut children = [(); 2].map(|()| Killed::spawn(&database.url, &log));
    let mut kills = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(60 + random() % 250)).await;
        let stats = store.stats(&queue()).await.unwrap();
        if u128::from(stats.results) == wanted {
            break;
        }
        assert!(start.elapsed() < patience, "not done: {stats:?}");
        if kills < wanted / 100 {
            let victim = usize::try_from(random() % 2).unwrap();
            children[victim] = Killed::spawn(&database.url, &log);
            kills += 1;
        }
    }
    drop(children);
    let log = fs::read_to_string(log).unwrap();
    let (deliveries, stale) = judge(&store, &queue(), &ids, &log).await;
    println!("{wanted} commands, {deliveries} deliveries, {kills} kills, {stale} refused");
}
