//! Two processes work one queue and are killed at random: each command is completed exactly once, none under a
//! stale lease, and every delivery counts as an attempt.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig, SqliteQueue, Synchronous};
use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{
    Ack, Clock, CommandId, CommandQueue, CommandState, ErrorKind, LeaseRequest, Limit, Name,
    NewCommand, QueueId, Tenant, Ttl, WhenIdle,
};
use serde_json::Value;
use uuid::Uuid;

/// How many commands; a longer run is asked for by this variable.
const COMMANDS: &str = "HEXMEM_TEST_CRASH_COMMANDS";
const FOLDER: &str = "HEXMEM_TEST_CRASH_FOLDER";

fn queue() -> QueueId {
    QueueId::new(Tenant(Name::new("t").unwrap()), Name::new("q").unwrap())
}

async fn open(folder: &Path) -> SqliteQueue {
    // The process is killed, not the machine: what the system holds of the log survives.
    let config =
        SqliteConfig { synchronous: Synchronous::Normal, ..SqliteConfig::new(folder.join("q.db")) };
    Database::open(config, Arc::new(SystemClock)).await.unwrap().queue()
}

fn wanted() -> u128 {
    std::env::var(COMMANDS).map_or(2_000, |text| text.parse().unwrap())
}

fn random() -> u64 {
    u64::try_from(Uuid::new_v4().as_u128() >> 68).unwrap()
}

/// One line, with a single append: whole or not there, whoever is killed.
fn note(log: &mut File, line: &str) {
    log.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// What a child does until it is killed. Run by itself it has no folder and does nothing.
#[tokio::test]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let store = open(folder).await;
    let mut log = OpenOptions::new().append(true).create(true).open(folder.join("log")).unwrap();
    let worker = Name::new(format!("worker-{}", Uuid::new_v4())).unwrap();
    loop {
        let request = LeaseRequest {
            worker: worker.clone(),
            max: Limit::new(1 + u32::try_from(random() % 20).unwrap()).unwrap(),
            visibility: Ttl::millis(300).unwrap(),
            wait: Duration::from_millis(200),
        };
        let leased = store.lease(&queue(), request).await.unwrap();
        for one in &leased {
            note(&mut log, &format!("leased {} {}", one.id, one.attempt));
        }
        if random().is_multiple_of(8) {
            // Slower than its leases: what it says then must be refused.
            SystemClock.sleep(Duration::from_millis(320)).await;
        }
        for part in leased.chunks(5) {
            let acks = part.iter().map(|one| Ack {
                lease: one.lease,
                result: Some(one.attempt.to_string().into_bytes()),
            });
            let answers = store.ack(&queue(), acks.collect(), vec![]).await.unwrap();
            for (one, answer) in part.iter().zip(answers) {
                match answer {
                    Ok(()) => note(&mut log, &format!("acked {} {}", one.id, one.attempt)),
                    Err(error) if error.kind() == ErrorKind::StaleLease => {
                        note(&mut log, &format!("stale {} {}", one.id, one.attempt));
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    }
}

struct Killed(Child);

impl Killed {
    fn spawn(folder: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env(FOLDER, folder)
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
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let wanted = wanted();
    let ids: Vec<_> = (1..=wanted).map(|n| CommandId(Uuid::from_u128(n))).collect();
    let commands = ids.iter().map(|id| NewCommand {
        id: *id,
        payload: id.to_string().into_bytes(),
        headers: Value::Null,
        priority: 0,
        delay: None,
        deadline: None,
        dedupe: None,
        group: None,
        retry: RetryPolicy { max_attempts: 1_000, ..RetryPolicy::default() },
        result_ttl: Ttl::secs(3_600).unwrap(),
    });
    store.enqueue(&queue(), commands.collect(), WhenIdle::Store, vec![]).await.unwrap();

    let patience = Duration::from_secs(30 * u64::try_from(wanted / 1_000).unwrap());
    let start = Instant::now();
    let mut children = [Killed::spawn(folder.path()), Killed::spawn(folder.path())];
    let mut kills = 0;
    loop {
        SystemClock.sleep(Duration::from_millis(60 + random() % 250)).await;
        let stats = store.stats(&queue()).await.unwrap();
        if u128::from(stats.results) == wanted {
            break;
        }
        assert!(start.elapsed() < patience, "not done: {stats:?}");
        if kills < wanted / 100 {
            let victim = usize::try_from(random() % 2).unwrap();
            children[victim] = Killed::spawn(folder.path());
            kills += 1;
        }
    }
    drop(children);

    let mut log = String::new();
    File::open(folder.path().join("log")).unwrap().read_to_string(&mut log).unwrap();
    let (mut leased, mut acked) = (HashSet::new(), HashMap::new());
    let mut latest = HashMap::<CommandId, u32>::new();
    for line in log.lines() {
        let parts: Vec<_> = line.split(' ').collect();
        let [what, id, attempt] = parts[..] else { panic!("{line}") };
        let (id, attempt) = (CommandId(id.parse().unwrap()), attempt.parse::<u32>().unwrap());
        match what {
            "leased" => {
                assert!(leased.insert((id, attempt)), "{id}: two deliveries were number {attempt}");
                let latest = latest.entry(id).or_default();
                *latest = attempt.max(*latest);
            }
            "acked" => assert_eq!(acked.insert(id, attempt), None, "{id} was completed twice"),
            _ => {}
        }
    }
    for id in ids {
        let ended = store.result(&queue(), id, Duration::ZERO).await.unwrap().expect("it ended");
        assert_eq!(ended.state, CommandState::Completed);
        let by: u32 = String::from_utf8(ended.result.unwrap()).unwrap().parse().unwrap();
        assert_eq!(by, ended.attempts, "{id}: the last delivery, and no earlier one, completed it");
        assert!(leased.contains(&(id, by)), "{id}: completed by a delivery that nobody had");
        // A worker may be killed after its lease and before it wrote that down, never the other way round.
        assert!(latest[&id] <= ended.attempts, "{id}: more deliveries than attempts");
        assert!(acked.get(&id).is_none_or(|attempt| *attempt == by), "{id}: another was told so");
    }
    let stats = store.stats(&queue()).await.unwrap();
    assert_eq!((stats.ready, stats.in_flight, stats.dead), (0, 0, 0));
    let stale = log.lines().filter(|line| line.starts_with("stale")).count();
    println!("{wanted} commands, {} deliveries, {kills} kills, {stale} refused", leased.len());
}
