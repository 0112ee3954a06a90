//! What another process acknowledged through any port is seen while it lives, and stays when it is killed: the proof of
//! `multi_process` for each port, on one server and on a Cluster.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod rig;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use hexmem_adapter_redis::{Redis, RedisConfig};
use hexmem_conformance::proved;
use hexmem_ports::{
    BucketId, CacheKey, CachePut, CacheStore as _, CacheStoreExt as _, CacheTags, Capabilities,
    Capability, CommandId, CommandQueue as _, Digest, KeyValueExt as _, KeyValueStore as _, KvSet,
    Lookup, Name, NamespaceId, NewCommand, NewSession, QueueId, SessionId, SessionOrigin,
    SessionStore as _, Tenant, TokenKey, Ttl, UserScope, WhenIdle,
};
use rig::{Servers, Space};
use serde_json::json;
use uuid::Uuid;

/// The prefix of the test, and `redis` or `redis-cluster` before it.
const PLACE: &str = "HEXMEM_TEST_EVERY_PORT";
const ROUNDS: u128 = 3;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn tenant() -> Tenant {
    Tenant(name("t"))
}

fn hour() -> Ttl {
    Ttl::secs(3_600).unwrap()
}

fn bucket() -> BucketId {
    BucketId::new(tenant(), name("x"))
}

fn queue() -> QueueId {
    QueueId::new(tenant(), name("x"))
}

fn cached(n: u128) -> CacheKey {
    CacheKey {
        namespace: NamespaceId::new(tenant(), name("x")),
        fingerprint: Digest::of(&n.to_be_bytes()),
    }
}

fn token(n: u128) -> (UserScope, TokenKey) {
    let owner = UserScope { tenant: tenant(), user: name("u") };
    let token = TokenKey { bucket: owner.bucket(), hash: Digest::of(&n.to_be_bytes()) };
    (owner, token)
}

/// One thing through each port.
async fn write(redis: &Redis, n: u128) {
    redis.key_value().set(&bucket(), &name(&format!("k{n}")), KvSet::new("v")).await.unwrap();

    let (owner, token) = token(n);
    let session = NewSession {
        id: SessionId(Uuid::from_u128(n)),
        token,
        owner,
        data: json!({}),
        origin: SessionOrigin::default(),
        idle: hour(),
        absolute: hour(),
        cap: None,
        retention: hour(),
    };
    redis.sessions().create(session, vec![]).await.unwrap();

    let cache = redis.cache();
    let Lookup::Miss(ticket) = cache.get(&cached(n), &CacheTags::default()).await.unwrap() else {
        panic!("nothing was put yet");
    };
    let put =
        CachePut { value: b"v".to_vec(), meta: json!(null), ttl: hour(), stale: None, ticket };
    cache.put(&cached(n), put).await.unwrap();

    let command = NewCommand {
        id: CommandId(Uuid::from_u128(n)),
        payload: b"v".to_vec(),
        headers: json!(null),
        priority: 0,
        delay: None,
        deadline: None,
        dedupe: None,
        group: None,
        retry: Default::default(),
        result_ttl: hour(),
    };
    redis.queue().enqueue(&queue(), vec![command], WhenIdle::Store, vec![]).await.unwrap();
}

/// Everything of the rounds up to `n` is there.
async fn read(redis: &Redis, n: u128) {
    for n in 0..=n {
        let key = name(&format!("k{n}"));
        assert!(redis.key_value().get(&bucket(), &key).await.unwrap().is_some(), "key {n}");
        assert!(redis.sessions().find(&token(n).1).await.unwrap().is_some(), "session {n}");
        let lookup = redis.cache().get(&cached(n), &CacheTags::default()).await.unwrap();
        assert!(matches!(lookup, Lookup::Hit(..)), "answer {n}");
        let command = CommandId(Uuid::from_u128(n));
        assert!(redis.queue().view(&queue(), command).await.unwrap().is_some(), "command {n}");
    }
}

#[tokio::test]
#[ignore = "the other process of the tests below"]
async fn role_write() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let (adapter, prefix) = place.split_once(' ').unwrap();
    let servers = if adapter == "redis" { Servers::Single } else { Servers::Cluster };
    let redis = Redis::connect(servers.config().prefix(prefix)).await.unwrap();
    for (n, line) in (0u128..).zip(std::io::stdin().lines()) {
        line.unwrap();
        write(&redis, n).await;
        std::io::stdout().lock().write_all(b"\nWROTE\n").unwrap();
    }
}

async fn every_port(servers: Servers) {
    let space = Space::new(servers);
    let config: RedisConfig = space.config.clone();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["role_write", "--exact", "--ignored", "--nocapture"])
        .env(PLACE, format!("{} {}", servers.adapter(), config.prefix))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut go, mut lines) =
        (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    let here = Redis::connect(config.clone()).await.unwrap();
    for n in 0..ROUNDS {
        go.write_all(b"go\n").unwrap();
        assert!(
            lines.by_ref().any(|line| line.unwrap() == "WROTE"),
            "the other process ended in round {n}"
        );
        read(&here, n).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let fresh = Redis::connect(config).await.unwrap();
    read(&fresh, ROUNDS - 1).await;

    let note = |port: &str, declares: Capabilities| {
        proved(servers.adapter(), port, "every_port", &[Capability::MultiProcess], &declares);
    };
    note("key_value", fresh.key_value().capabilities());
    note("sessions", fresh.sessions().capabilities());
    note("cache", fresh.cache().capabilities());
    note("queue", fresh.queue().capabilities());
}

#[tokio::test]
async fn what_another_process_acknowledged_is_there_for_every_port() {
    every_port(Servers::Single).await;
}

#[tokio::test]
async fn what_another_process_acknowledged_is_there_for_every_port_of_a_cluster() {
    every_port(Servers::Cluster).await;
}
