//! What a crash loses. Each row: writes by several tasks while the server is killed, and how many acknowledged ones are
//! gone when it is back.
//!
//! `HEXMEM_TEST_DURABILITY_MS` says how long each row writes (400 unless set); the table is printed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hexmem_adapter_redis::Redis;
use hexmem_ports::{
    BucketId, CommandId, CommandQueue as _, KeyValueExt as _, KeyValueStore as _, KvCondition,
    KvSet, NewCommand, NewSession, QueueId, SessionId, SessionOrigin, SessionStore as _, Tenant,
    TokenKey, Ttl, UserScope, WhenIdle,
};
use serde_json::json;

use crate::load::{bucket, name};
use crate::server::Server;

/// What was acknowledged.
#[derive(Default)]
pub struct Acknowledged {
    entries: Vec<u64>,
    sessions: Vec<(UserScope, SessionId)>,
    commands: Vec<(u64, CommandId)>,
}

/// How many of each kind, and how many of them are gone.
#[derive(Debug, Clone, Copy)]
pub struct Lost {
    pub acknowledged: [usize; 3],
    pub lost: [usize; 3],
}

impl Lost {
    pub fn row(&self, what: &str) -> String {
        let [entries, sessions, commands] = self.lost;
        let [of_entries, of_sessions, of_commands] = self.acknowledged;
        format!(
            "| {what} | {entries} of {of_entries} | {sessions} of {of_sessions} | {commands} of {of_commands} |"
        )
    }
}

pub const HEAD: &str = "| what | entries lost | sessions lost | commands lost |\n|---|---|---|---|";

pub fn span() -> Duration {
    let millis = std::env::var("HEXMEM_TEST_DURABILITY_MS").ok();
    Duration::from_millis(millis.map_or(400, |text| text.parse().expect("milliseconds")))
}

fn queue(n: u64) -> QueueId {
    QueueId::new(Tenant(name("acme")), name(format!("jobs {}", n % 16)))
}

fn session(n: u64) -> NewSession {
    let owner = UserScope { tenant: Tenant(name("acme")), user: name(format!("user {n}")) };
    NewSession {
        id: SessionId(uuid::Uuid::new_v4()),
        token: TokenKey {
            bucket: owner.bucket(),
            hash: hexmem_ports::Digest::of(uuid::Uuid::new_v4().as_bytes()),
        },
        owner,
        data: json!({ "n": n }),
        origin: SessionOrigin::default(),
        idle: Ttl::secs(3_600).unwrap(),
        absolute: Ttl::secs(7_200).unwrap(),
        cap: None,
        retention: Ttl::secs(60).unwrap(),
    }
}

fn command(n: u64) -> NewCommand {
    NewCommand {
        id: CommandId(uuid::Uuid::new_v4()),
        payload: n.to_be_bytes().to_vec(),
        headers: json!({}),
        priority: 0,
        delay: None,
        deadline: None,
        dedupe: None,
        group: None,
        retry: Default::default(),
        result_ttl: Ttl::secs(3_600).unwrap(),
    }
}

/// Writes of all three kinds by `workers` tasks until the end; what fails is not acknowledged.
pub struct Writers {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Acknowledged>>,
}

impl Writers {
    pub fn start(redis: &Redis, workers: usize) -> Self {
        let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let work = |_| tokio::spawn(write(redis.clone(), Arc::clone(&next), Arc::clone(&stop)));
        Self { tasks: (0..workers).map(work).collect(), stop }
    }

    pub async fn finish(self) -> Acknowledged {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Acknowledged::default();
        for task in self.tasks {
            let mut some = task.await.unwrap();
            all.entries.append(&mut some.entries);
            all.sessions.append(&mut some.sessions);
            all.commands.append(&mut some.commands);
        }
        all
    }
}

async fn write(redis: Redis, next: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Acknowledged {
    let mut done = Acknowledged::default();
    while !stop.load(Ordering::SeqCst) {
        if let Err(error) = write_one(&redis, &mut done, next.fetch_add(1, Ordering::SeqCst)).await
        {
            assert!(crate::load::is_passing(&error), "{error:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    done
}

async fn write_one(redis: &Redis, done: &mut Acknowledged, n: u64) -> hexmem_ports::Result<()> {
    let (key, set) = entry(n);
    redis.key_value().set(&bucket_of(n), &key, set).await?;
    done.entries.push(n);
    let session = session(n % 16);
    let id = (session.owner.clone(), session.id);
    redis.sessions().create(session, vec![]).await?;
    done.sessions.push(id);
    let command = command(n);
    let id = (n, command.id);
    redis.queue().enqueue(&queue(n), vec![command], WhenIdle::Store, vec![]).await?;
    done.commands.push(id);
    Ok(())
}

/// Over all masters of a Cluster.
fn bucket_of(n: u64) -> BucketId {
    bucket(&format!("b{}", n % 16))
}

fn entry(n: u64) -> (hexmem_ports::Name, KvSet) {
    let value = n.to_string().into_bytes();
    (name(n.to_string()), KvSet { value, ttl: None, condition: KvCondition::Always, op: None })
}

/// Looks for everything that was acknowledged.
pub async fn count(redis: &Redis, done: &Acknowledged) -> Lost {
    let mut lost = [0; 3];
    for n in &done.entries {
        let (key, set) = entry(*n);
        let found = again(async || redis.key_value().get(&bucket_of(*n), &key).await).await;
        lost[0] += usize::from(found.is_none_or(|found| found.value != set.value));
    }
    for (owner, id) in &done.sessions {
        lost[1] +=
            usize::from(again(async || redis.sessions().get(owner, *id).await).await.is_none());
    }
    for (n, id) in &done.commands {
        let found = again(async || redis.queue().view(&queue(*n), *id).await).await;
        lost[2] += usize::from(found.is_none());
    }
    let acknowledged = [done.entries.len(), done.sessions.len(), done.commands.len()];
    Lost { acknowledged, lost }
}

/// Until the server is there again.
pub async fn again<T>(mut read: impl AsyncFnMut() -> hexmem_ports::Result<T>) -> T {
    for _ in 0..1_000 {
        match read().await {
            Ok(found) => return found,
            Err(error) => assert!(crate::load::is_passing(&error), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server does not come back");
}

async fn killed(options: &[&str]) -> Lost {
    let mut server = Server::of(options);
    let redis = Redis::connect(server.config()).await.unwrap();
    let writers = Writers::start(&redis, 8);
    tokio::time::sleep(span()).await;
    server.kill();
    let done = writers.finish().await;
    server.restart();
    count(&redis, &done).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_killed_server_loses() {
    let none = killed(&["--save", "", "--appendonly", "no"]).await;
    let second = killed(&["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]).await;
    let always = killed(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]).await;
    println!("{HEAD}");
    println!("{}", none.row("appendonly no"));
    println!("{}", second.row("appendfsync everysec"));
    println!("{}", always.row("appendfsync always"));
    assert!(always.acknowledged.iter().all(|count| *count > 0), "{always:?}");
    assert_eq!(always.lost, [0; 3], "appendfsync always loses nothing");
    assert_eq!(none.lost, none.acknowledged, "without persistence a restart is empty");
}
