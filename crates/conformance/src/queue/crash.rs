//! Processes that work one queue and are killed: what each of them does, and what must hold afterwards. Every command is
//! completed exactly once, none under a stale lease, and every delivery counts as an attempt.
//!
//! A test binary runs itself again for each process: its test `child` calls [`child`], the other one [`killed_workers`].
//! Both say how the queue of a place is opened.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{
    Ack, CommandId, CommandQueue, CommandState, ErrorKind, LeaseRequest, Limit, NewCommand,
    QueueId, Tenant, Ttl, WhenIdle,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::name;

/// How many commands the tests use; a longer run is asked for by this variable.
const COMMANDS: &str = "HEXMEM_TEST_CRASH_COMMANDS";

/// Tells a child its place and the file that all write down what they did in.
const CHILD: &str = "HEXMEM_TEST_CRASH_CHILD";

fn queue() -> QueueId {
    QueueId::new(Tenant(name("t")), name("q"))
}

/// How many commands a test uses: as the environment says, or `usual`.
pub fn wanted(usual: u128) -> u128 {
    std::env::var(COMMANDS).map_or(usual, |text| text.parse().unwrap())
}

/// 60 random bits.
pub fn random() -> u64 {
    u64::try_from(Uuid::new_v4().as_u128() >> 68).unwrap()
}

/// A command whose deliveries never run out.
pub fn patient(id: CommandId) -> NewCommand {
    NewCommand {
        id,
        payload: id.to_string().into_bytes(),
        headers: Value::Null,
        priority: 0,
        delay: None,
        deadline: None,
        dedupe: None,
        group: None,
        retry: RetryPolicy { max_attempts: 1_000, ..RetryPolicy::default() },
        result_ttl: Ttl::secs(3_600).unwrap(),
    }
}

/// One line, with a single append: whole or not there, whoever is killed.
fn note(log: &mut File, line: &str) {
    log.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// What a child process does until it is killed; nothing where this process is none.
pub async fn child(open: impl AsyncFn(&str) -> Arc<dyn CommandQueue>) {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (place, log): (String, PathBuf) = serde_json::from_str(&told).unwrap();
    let store = open(&place).await;
    let mut log = OpenOptions::new().append(true).create(true).open(log).unwrap();
    let worker = name(format!("worker-{}", Uuid::new_v4()));
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
            tokio::time::sleep(Duration::from_millis(320)).await;
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
    fn spawn(place: &str, log: &Path) -> Self {
        let child = crate::role_command("child")
            .env(CHILD, json!([place, log]).to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // SIGKILL: no destructor runs, no transaction ends, and what was sent may or may not have been done.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two processes work the queue of `place` and are killed at random until `usual` commands, or as many as the environment
/// says, have ended; then what they wrote down in `folder` is held against the store. The store is on the time of day, so
/// that the leases of who is killed run out.
pub async fn killed_workers(
    place: &str,
    folder: &Path,
    usual: u128,
    open: impl AsyncFn(&str) -> Arc<dyn CommandQueue>,
) {
    let log = folder.join("log");
    let store = open(place).await;
    let wanted = wanted(usual);
    let ids: Vec<_> = (1..=wanted).map(|n| CommandId(Uuid::from_u128(n))).collect();
    let commands = ids.iter().map(|id| patient(*id)).collect();
    store.enqueue(&queue(), commands, WhenIdle::Store, vec![]).await.unwrap();

    let patience = Duration::from_secs(60 + u64::try_from(wanted / 20).unwrap());
    let start = Instant::now();
    let mut children = [(); 2].map(|()| Killed::spawn(place, &log));
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
            children[victim] = Killed::spawn(place, &log);
            kills += 1;
        }
    }
    drop(children);
    let log = std::fs::read_to_string(log).unwrap();
    let (deliveries, stale) = judge(store.as_ref(), &ids, &log).await;
    println!("{wanted} commands, {deliveries} deliveries, {kills} kills, {stale} refused");
}

/// Holds the log of all processes against the store, when every command has ended. Returns how many deliveries there
/// were and how many were refused.
async fn judge(store: &dyn CommandQueue, ids: &[CommandId], log: &str) -> (usize, usize) {
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
        let ended = store.result(&queue(), *id, Duration::ZERO).await.unwrap().expect("it ended");
        assert_eq!(ended.state, CommandState::Completed);
        let by: u32 = String::from_utf8(ended.result.unwrap()).unwrap().parse().unwrap();
        assert_eq!(by, ended.attempts, "{id}: the last delivery, and no earlier one, completed it");
        assert!(leased.contains(&(*id, by)), "{id}: completed by a delivery that nobody had");
        // A worker may be killed after its lease and before it wrote that down, never the other way round.
        assert!(latest[id] <= ended.attempts, "{id}: more deliveries than attempts");
        assert!(acked.get(id).is_none_or(|attempt| *attempt == by), "{id}: another was told so");
    }
    let stats = store.stats(&queue()).await.unwrap();
    assert_eq!((stats.ready, stats.in_flight, stats.dead), (0, 0, 0));
    (leased.len(), log.lines().filter(|line| line.starts_with("stale")).count())
}
