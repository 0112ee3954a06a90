//! What a crash loses. Each row: writes by several tasks while the server is killed, and how many acknowledged ones are
//! gone when it is back.
//!
//! `HEXMEM_TEST_DURABILITY_MS` says how long each row writes (400 unless set); the table is printed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hexmem_adapter_redis::Redis;
use hexmem_ports::{
    BucketId, KeyValueExt as _, KeyValueStore as _, KvCondition, KvSet, NewSession, SessionId,
    SessionOrigin, SessionStore as _, Tenant, TokenKey, Ttl, UserScope,
};
use serde_json::json;

use crate::load::{bucket, name};
use crate::server::Server;

/// What was acknowledged.
#[derive(Default)]
pub struct Acknowledged {
    entries: Vec<u64>,
    sessions: Vec<(UserScope, SessionId)>,
}

/// How many of each kind, and how many of them are gone.
#[derive(Debug, Clone, Copy)]
pub struct Lost {
    pub acknowledged: [usize; 2],
    pub lost: [usize; 2],
}

impl Lost {
    pub fn row(&self, what: &str) -> String {
        let [entries, sessions] = self.lost;
        let [of_entries, of_sessions] = self.acknowledged;
        format!("| {what} | {entries} of {of_entries} | {sessions} of {of_sessions} |")
    }
}

pub const HEAD: &str = "| what | entries lost | sessions lost |\n|---|---|---|";

pub fn span() -> Duration {
    let millis = std::env::var("HEXMEM_TEST_DURABILITY_MS").ok();
    Duration::from_millis(millis.map_or(400, |text| text.parse().expect("milliseconds")))
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

/// Writes of both kinds by `workers` tasks, each until its first failure.
pub struct Writers(Vec<tokio::task::JoinHandle<Acknowledged>>);

impl Writers {
    pub fn start(redis: &Redis, workers: usize) -> Self {
        let next = Arc::new(AtomicU64::new(0));
        let work = |_| tokio::spawn(write(redis.clone(), Arc::clone(&next)));
        Self((0..workers).map(work).collect())
    }

    pub async fn finish(self) -> Acknowledged {
        let mut all = Acknowledged::default();
        for task in self.0 {
            let mut some = task.await.unwrap();
            all.entries.append(&mut some.entries);
            all.sessions.append(&mut some.sessions);
        }
        all
    }
}

async fn write(redis: Redis, next: Arc<AtomicU64>) -> Acknowledged {
    let mut done = Acknowledged::default();
    let (store, sessions) = (redis.key_value(), redis.sessions());
    loop {
        let n = next.fetch_add(1, Ordering::SeqCst);
        let (key, set) = entry(n);
        if store.set(&bucket_of(n), &key, set).await.is_err() {
            return done;
        }
        done.entries.push(n);
        let session = session(n % 16);
        let id = (session.owner.clone(), session.id);
        if sessions.create(session, vec![]).await.is_err() {
            return done;
        }
        done.sessions.push(id);
    }
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
    let mut lost = [0; 2];
    for n in &done.entries {
        let (key, set) = entry(*n);
        let found = again(async || redis.key_value().get(&bucket_of(*n), &key).await).await;
        lost[0] += usize::from(found.is_none_or(|found| found.value != set.value));
    }
    for (owner, id) in &done.sessions {
        lost[1] +=
            usize::from(again(async || redis.sessions().get(owner, *id).await).await.is_none());
    }
    let acknowledged = [done.entries.len(), done.sessions.len()];
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
    assert_eq!(always.lost, [0; 2], "appendfsync always loses nothing");
    assert_eq!(none.lost, none.acknowledged, "without persistence a restart is empty");
}
