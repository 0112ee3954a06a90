//! Workers at a queue whose server hangs, drops connections and dies: no command completes under a stale lease.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hexmem_adapter_redis::Redis;
use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{
    Ack, CommandId, CommandQueue as _, CommandState, ErrorKind, LeaseRequest, LeaseToken, Limit,
    NewCommand, QueueId, Tenant, Ttl, WhenIdle,
};
use serde_json::json;

use crate::durability::again;
use crate::load::{is_passing, name};
use crate::server::{PATIENCE, Server};

const COMMANDS: usize = 150;
/// Shorter than what some workers take.
const VISIBILITY: u64 = 120;

fn queue() -> QueueId {
    QueueId::new(Tenant(name("acme")), name("fenced"))
}

fn command() -> NewCommand {
    NewCommand {
        id: CommandId(uuid::Uuid::new_v4()),
        payload: vec![],
        headers: json!({}),
        priority: 0,
        delay: None,
        deadline: None,
        dedupe: None,
        group: None,
        retry: RetryPolicy { max_attempts: 1_000, base_ms: 0, ..RetryPolicy::default() },
        result_ttl: Ttl::secs(3_600).unwrap(),
    }
}

/// What the workers saw.
#[derive(Default)]
struct Seen {
    /// Deliveries that reached somebody.
    handed: HashSet<(CommandId, u32)>,
    /// Completions that were acknowledged.
    completed: Vec<LeaseToken>,
    stale: u64,
    open: u64,
}

async fn work(
    redis: Redis,
    worker: usize,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    turn: Arc<AtomicU64>,
) {
    let queue = redis.queue();
    while !stop.load(Ordering::SeqCst) {
        let request = LeaseRequest {
            worker: name(format!("worker {worker}")),
            max: Limit::new(3).unwrap(),
            visibility: Ttl::millis(VISIBILITY).unwrap(),
            wait: Duration::from_millis(50),
        };
        let leased = match queue.lease(&self::queue(), request).await {
            Ok(leased) => leased,
            Err(error) => {
                assert!(is_passing(&error), "{error:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
        };
        for one in &leased {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(seen.handed.insert((one.id, one.attempt)), "a delivery twice: {}", one.lease);
        }
        for one in leased {
            // Most are in time; every fourth is not.
            let late = turn.fetch_add(1, Ordering::SeqCst).is_multiple_of(4);
            tokio::time::sleep(Duration::from_millis(if late { VISIBILITY + 60 } else { 5 })).await;
            let ack = Ack { lease: one.lease, result: Some(one.attempt.to_be_bytes().to_vec()) };
            let answer = match queue.ack(&self::queue(), vec![ack], vec![]).await {
                Ok(mut answers) => answers.pop().unwrap(),
                Err(error) => Err(error),
            };
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Ok(()) => seen.completed.push(one.lease),
                Err(error) if error.kind() == ErrorKind::StaleLease => seen.stale += 1,
                Err(error) => {
                    assert!(is_passing(&error), "{error:?}");
                    seen.open += 1;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_command_completes_under_a_stale_lease() {
    let mut server = Server::of(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    let redis = Redis::connect(server.config()).await.unwrap();
    let commands: Vec<NewCommand> = (0..COMMANDS).map(|_| command()).collect();
    let ids: Vec<CommandId> = commands.iter().map(|command| command.id).collect();
    redis.queue().enqueue(&queue(), commands, WhenIdle::Store, vec![]).await.unwrap();
    let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
    let turn = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..6)
        .map(|n| tokio::spawn(work(redis.clone(), n, stop.clone(), seen.clone(), turn.clone())))
        .collect();
    let pause = || tokio::time::sleep(Duration::from_millis(60));
    for _ in 0..3 {
        pause().await;
        let _ = server.try_command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        pause().await;
        server.hang();
        tokio::time::sleep(Duration::from_millis(VISIBILITY + 30)).await;
        server.go_on();
        pause().await;
        server.kill();
        server.restart();
    }
    // The delivery that was the last one, of each command.
    let mut last = HashMap::new();
    let (mut left, end) = (ids.clone(), Instant::now() + PATIENCE);
    while !left.is_empty() {
        assert!(Instant::now() < end, "{} commands do not complete", left.len());
        let mut waiting = Vec::new();
        for id in left {
            let view = again(async || redis.queue().view(&queue(), id).await).await;
            let view = view.expect("appendfsync always loses no command");
            if view.state == CommandState::Completed {
                last.insert(id, view.attempts);
            } else {
                waiting.push(id);
            }
        }
        left = waiting;
        pause().await;
    }
    stop.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.unwrap();
    }
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let mut once = HashSet::new();
    for lease in &seen.completed {
        assert!(once.insert(lease.command), "{} completed twice", lease.command);
        assert_eq!(lease.attempt, last[&lease.command], "{} under a stale lease", lease.command);
    }
    println!(
        "{COMMANDS} commands: {} completions acknowledged, {} refused as stale, {} left open",
        seen.completed.len(),
        seen.stale,
        seen.open
    );
    assert!(seen.stale > 0, "some were late");
}
