//! What the queue sends and keeps: commands of a script, of a wait, and keys that stay.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod rig;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures::future::join_all;
use hexmem_adapter_redis::{Redis, RedisQueue};
use hexmem_conformance::name;
use hexmem_conformance::queue::crash::patient;
use hexmem_ports::{
    Ack, CommandId, CommandQueue as _, CommandState, Dedupe, LeaseRequest, Leased, Limit,
    NewCommand, QueueId, Tenant, Ttl, WhenIdle,
};
use redis::Connection;
use rig::{Servers, Space};
use uuid::Uuid;

fn queue() -> QueueId {
    QueueId::new(Tenant(name("t")), name("q"))
}

fn id(n: u128) -> CommandId {
    CommandId(Uuid::from_u128(n))
}

fn request(max: u32, wait: Duration) -> LeaseRequest {
    let visibility = Ttl::secs(60).unwrap();
    LeaseRequest { worker: name("w"), max: Limit::new(max).unwrap(), visibility, wait }
}

async fn push(store: &RedisQueue, commands: impl IntoIterator<Item = NewCommand>) {
    let commands: Vec<_> = commands.into_iter().collect();
    for part in commands.chunks(5_000) {
        store.enqueue(&queue(), part.to_vec(), WhenIdle::Store, vec![]).await.unwrap();
    }
}

async fn done(store: &RedisQueue, leased: &[Leased]) {
    let acks = leased.iter().map(|one| Ack { lease: one.lease, result: Some(vec![1]) }).collect();
    let answers = store.ack(&queue(), acks, vec![]).await.unwrap();
    assert!(answers.iter().all(Result::is_ok));
}

/// A server of the test's own, so that nobody else's commands are counted.
struct Alone {
    server: std::process::Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Alone {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        let server = std::process::Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let alone = Self { server, url: format!("redis://127.0.0.1:{port}"), _folder: folder };
        let until = Instant::now() + Duration::from_secs(10);
        while redis::Client::open(alone.url.as_str()).unwrap().get_connection().is_err() {
            assert!(Instant::now() < until, "the server does not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        alone
    }

    fn connection(&self) -> Connection {
        redis::Client::open(self.url.as_str()).unwrap().get_connection().unwrap()
    }

    async fn queue(&self) -> RedisQueue {
        let config = hexmem_adapter_redis::RedisConfig::new(&self.url);
        Redis::connect(config).await.unwrap().queue()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// How often each command was called since the last reset.
fn calls(connection: &mut Connection) -> BTreeMap<String, u64> {
    let text: String = redis::cmd("INFO").arg("commandstats").query(connection).unwrap();
    let line = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    text.lines().filter_map(line).filter(|(name, _)| !name.starts_with("config")).collect()
}

fn reset(connection: &mut Connection) {
    redis::cmd("CONFIG").arg("RESETSTAT").exec(connection).unwrap();
}

#[tokio::test]
async fn a_long_blocked_group_costs_a_lease_nothing() {
    let server = Alone::start().await;
    let (store, mut admin) = (server.queue().await, server.connection());
    let of = |n: u128| NewCommand { group: Some(name("g")), ..patient(id(n)) };
    // Scripts are known and the worker was seen.
    push(&store, [of(1)]).await;
    done(&store, &store.lease(&queue(), request(10, Duration::ZERO)).await.unwrap()).await;

    let round = async |admin: &mut Connection, n: u128| {
        reset(admin);
        push(&store, [patient(id(n))]).await;
        let leased = store.lease(&queue(), request(10, Duration::ZERO)).await.unwrap();
        assert_eq!(leased.len(), 1);
        done(&store, &leased).await;
        calls(admin)
    };
    let short = round(&mut admin, 2).await;
    push(&store, (100..100_101).map(of)).await;
    let head = store.lease(&queue(), request(10, Duration::ZERO)).await.unwrap();
    assert_eq!(head.len(), 1, "the head alone");
    let long = round(&mut admin, 3).await;
    assert_eq!(long, short, "the same commands with 100,000 blocked");

    // The head ends, the next one comes: no more commands than for a group of two.
    reset(&mut admin);
    done(&store, &head).await;
    let moved = calls(&mut admin);
    assert!(moved.values().sum::<u64>() < 30, "{moved:?}");
    let next = store.lease(&queue(), request(10, Duration::ZERO)).await.unwrap();
    assert_eq!(next.iter().map(|one| one.id).collect::<Vec<_>>(), [id(101)]);
}

#[tokio::test]
async fn a_list_is_a_bounded_number_of_commands() {
    let server = Alone::start().await;
    let (store, mut admin) = (server.queue().await, server.connection());
    push(&store, [patient(id(1))]).await;
    let first = store.lease(&queue(), request(10, Duration::ZERO)).await.unwrap();
    store.extend(&queue(), vec![first[0].lease], Ttl::secs(60).unwrap()).await.unwrap();
    done(&store, &first).await;
    reset(&mut admin);
    push(&store, (1_000..1_100).map(|n| patient(id(n)))).await;
    let leased = store.lease(&queue(), request(100, Duration::ZERO)).await.unwrap();
    assert_eq!(leased.len(), 100);
    let leases = leased.iter().map(|one| one.lease).collect();
    store.extend(&queue(), leases, Ttl::secs(60).unwrap()).await.unwrap();
    done(&store, &leased).await;
    let all = calls(&mut admin);
    assert_eq!(all.get("fcall"), Some(&4), "one round trip a list: {all:?}");
    assert!(all.values().sum::<u64>() < 60, "not one command a command: {all:?}");
}

#[tokio::test]
async fn an_idle_wait_is_quiet_and_a_wake_up_is_quick() {
    let server = Alone::start().await;
    let (store, other) = (server.queue().await, server.queue().await);
    let mut admin = server.connection();
    push(&store, [patient(id(1))]).await;
    done(&store, &store.lease(&queue(), request(1, Duration::ZERO)).await.unwrap()).await;
    let waiters: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let leased = store.lease(&queue(), request(1, Duration::from_secs(60))).await;
                (leased.unwrap(), Instant::now())
            })
        })
        .collect();
    // Until all of them have looked and the subscription stands.
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = calls(&mut admin).get("fcall").copied().unwrap_or(0);
        if now == before && now > 16 {
            break;
        }
        before = now;
    }
    reset(&mut admin);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = calls(&mut admin);
    let sent = idle.get("fcall").copied().unwrap_or(0) + idle.get("ping").copied().unwrap_or(0);
    assert!(sent <= 16, "16 idle workers send a command each in five seconds: {idle:?}");

    // From another process: one worker is woken for one command, at once.
    let mut waiters = futures::future::select_all(waiters);
    let mut slowest = Duration::ZERO;
    for n in 10..26 {
        reset(&mut admin);
        let start = Instant::now();
        push(&other, [patient(id(n))]).await;
        let (woken, _, rest) = waiters.await;
        let (leased, at) = woken.unwrap();
        assert_eq!(leased.len(), 1);
        slowest = slowest.max(at - start);
        let leases = calls(&mut admin).get("fcall").copied().unwrap_or(0);
        assert!(leases <= 4, "a command wakes one worker, not all: {leases} scripts");
        if rest.is_empty() {
            break;
        }
        waiters = futures::future::select_all(rest);
    }
    assert!(slowest < Duration::from_secs(1), "a wake-up took {slowest:?}");
}

#[tokio::test]
async fn a_lost_connection_of_wake_ups_comes_back() {
    let server = Alone::start().await;
    let store = server.queue().await;
    let mut admin = server.connection();
    let waiter = tokio::spawn({
        let store = store.clone();
        async move { store.lease(&queue(), request(1, Duration::from_secs(60))).await.unwrap() }
    });
    let listens = |admin: &mut Connection| {
        let channels: Vec<String> = redis::cmd("PUBSUB").arg("SHARDCHANNELS").query(admin).unwrap();
        channels.len()
    };
    let until = Instant::now() + Duration::from_secs(10);
    let wait_for = async |admin: &mut Connection| {
        while listens(admin) == 0 {
            assert!(Instant::now() < until, "nobody listens");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    wait_for(&mut admin).await;
    // Every connection of the store, that of the wake-ups too.
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").exec(&mut admin).unwrap();
    wait_for(&mut admin).await;
    let start = Instant::now();
    push(&server.queue().await, [patient(id(1))]).await;
    assert_eq!(waiter.await.unwrap().len(), 1);
    assert!(start.elapsed() < Duration::from_secs(2));
}

/// Keys under a prefix.
fn keys(connection: &mut Connection, prefix: &str) -> usize {
    let (mut cursor, mut count) = (0u64, 0);
    loop {
        let (next, found): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{prefix}*"))
            .arg("COUNT")
            .arg(1_000)
            .query(connection)
            .unwrap();
        count += found.len();
        cursor = next;
        if cursor == 0 {
            return count;
        }
    }
}

#[tokio::test]
async fn ten_thousand_commands_leave_nothing() {
    let space = Space::new(Servers::Single);
    let store = space.connect().await.queue();
    let url = space.config.urls[0].clone();
    let mut admin = redis::Client::open(url).unwrap().get_connection().unwrap();
    let of = |n: u128| NewCommand {
        group: n.is_multiple_of(3).then(|| name(format!("g{}", n % 30))),
        dedupe: n
            .is_multiple_of(5)
            .then(|| Dedupe { key: name(n.to_string()), window: Ttl::secs(9).unwrap() }),
        ..patient(id(n))
    };
    push(&store, (1..=10_000).map(of)).await;
    let mut ended = 0;
    while ended < 10_000 {
        let leased = store.lease(&queue(), request(500, Duration::ZERO)).await.unwrap();
        assert!(!leased.is_empty());
        ended += leased.len();
        for one in leased.iter().take(20) {
            store.progress(&queue(), &one.lease, serde_json::json!({"half": true})).await.unwrap();
        }
        done(&store, &leased).await;
    }
    let full = keys(&mut admin, &space.config.prefix);
    assert!(full < 30, "a queue is a bounded number of keys: {full}");
    space.clock.advance(Duration::from_secs(3_600));
    let mut swept = 0;
    loop {
        let count = store.sweep(Limit::new(1_000).unwrap()).await.unwrap();
        swept += count;
        if count == 0 {
            break;
        }
    }
    assert_eq!(swept, 12_000, "every command and every dedupe key");
    let left = keys(&mut admin, &space.config.prefix);
    assert!(left <= 1, "who was seen is forgotten later, all else is gone: {left} keys");
}

#[tokio::test]
async fn a_lease_that_ran_out_is_stale_though_nobody_else_holds_the_command() {
    let space = Space::new(Servers::Single);
    let store = space.connect().await.queue();
    push(&store, [patient(id(1))]).await;
    let leased = store.lease(&queue(), request(1, Duration::ZERO)).await.unwrap();
    space.clock.advance(Duration::from_secs(60));
    let ack = Ack { lease: leased[0].lease, result: None };
    let answers = store.ack(&queue(), vec![ack], vec![]).await.unwrap();
    assert!(answers[0].is_err(), "nothing has settled it yet, and it is refused");
    let view = store.view(&queue(), id(1)).await.unwrap().unwrap();
    assert_eq!(view.state, CommandState::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_workers_keep_the_order_of_groups() {
    for servers in [Servers::Single, Servers::Cluster] {
        let space = Space::new(servers);
        let first = space.connect().await.queue();
        let of = |n: u128| NewCommand { group: Some(name((n % 7).to_string())), ..patient(id(n)) };
        push(&first, (1..=350).map(of)).await;
        let log = Mutex::new(Vec::new());
        let worker = async |_| {
            let store = space.connect().await.queue();
            loop {
                let leased = store.lease(&queue(), request(3, Duration::ZERO)).await.unwrap();
                for one in &leased {
                    log.lock().unwrap().push(one.id.0.as_u128());
                    done(&store, std::slice::from_ref(one)).await;
                }
                if leased.is_empty() && log.lock().unwrap().len() == 350 {
                    return;
                }
            }
        };
        join_all((0..8).map(worker)).await;
        let log = log.into_inner().unwrap();
        for group in 0..7 {
            let of: Vec<_> = log.iter().filter(|n| **n % 7 == group).collect();
            assert!(of.is_sorted(), "group {group}: {of:?}");
        }
    }
}
