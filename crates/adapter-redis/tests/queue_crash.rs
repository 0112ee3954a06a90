//! Two processes work one queue and are killed at random.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod rig;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hexmem_adapter_redis::Redis;
use hexmem_conformance::name;
use hexmem_conformance::queue::crash::{judge, patient, random, wanted, work};
use hexmem_ports::{CommandId, CommandQueue as _, QueueId, Tenant, WhenIdle};
use rig::{Servers, Space};
use uuid::Uuid;

const LOG: &str = "HEXMEM_TEST_CRASH_LOG";
const PREFIX: &str = "HEXMEM_TEST_CRASH_PREFIX";

fn queue() -> QueueId {
    QueueId::new(Tenant(name("t")), name("q"))
}

/// What a child does until it is killed. Run by itself it has no log and does nothing.
#[tokio::test]
async fn child() {
    let (Ok(log), Ok(prefix)) = (std::env::var(LOG), std::env::var(PREFIX)) else { return };
    let redis = Redis::connect(Servers::Single.config().prefix(prefix)).await.unwrap();
    work(&redis.queue(), &queue(), Path::new(&log)).await;
}

struct Killed(Child);

impl Killed {
    fn spawn(log: &Path, prefix: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env(LOG, log)
            .env(PREFIX, prefix)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // SIGKILL: no destructor runs, and what was sent may or may not have been done.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_no_command_and_complete_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let space = Space::new(Servers::Single);
    // On the server's clock: the leases of who is killed run out.
    let store = Redis::connect(space.config.clone()).await.unwrap().queue();
    let wanted = wanted(2_000);
    let ids: Vec<_> = (1..=wanted).map(|n| CommandId(Uuid::from_u128(n))).collect();
    let commands = ids.iter().map(|id| patient(*id)).collect();
    store.enqueue(&queue(), commands, WhenIdle::Store, vec![]).await.unwrap();

    let patience = Duration::from_secs(60 + u64::try_from(wanted / 30).unwrap());
    let start = Instant::now();
    let mut children = [(); 2].map(|()| Killed::spawn(&log, &space.config.prefix));
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
            children[victim] = Killed::spawn(&log, &space.config.prefix);
            kills += 1;
        }
    }
    drop(children);
    let log = std::fs::read_to_string(log).unwrap();
    let (deliveries, stale) = judge(&store, &queue(), &ids, &log).await;
    println!("{wanted} commands, {deliveries} deliveries, {kills} kills, {stale} refused");
}
