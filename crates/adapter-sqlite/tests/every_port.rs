//! What another process acknowledged through any port is seen while it lives, and is there after it was killed:
//! the proof of `durable` and `multi_process` for each port.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::proved;
use hexmem_ports::{
    AsOf, BucketId, CacheKey, CachePut, CacheStore as _, CacheStoreExt as _, CacheTags,
    Capabilities, Capability, CollectionId, CollectionSpec, CommandId, CommandQueue as _, Digest,
    Expect, Filter, GraphBatch, GraphChange, GraphId, GraphStore as _, KeyValueExt as _,
    KeyValueStore as _, KvSet, Lookup, Name, NamespaceId, NewCommand, NewSession, NodeDraft, Point,
    PointId, QueueId, SessionId, SessionOrigin, SessionStore as _, SparseSpec, SparseVector,
    Tenant, TokenKey, Ttl, UserScope, VectorStore as _, Weighting, WhenIdle,
};
use serde_json::json;
use uuid::Uuid;

const FILE: &str = "HEXMEM_TEST_EVERY_PORT";
const ROUNDS: u128 = 5;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn tenant() -> Tenant {
    Tenant(name("t"))
}

fn hour() -> Ttl {
    Ttl::secs(3_600).unwrap()
}

async fn open(file: &Path) -> Database {
    Database::open(SqliteConfig::new(file), Arc::new(SystemClock)).await.unwrap()
}

fn bucket() -> BucketId {
    BucketId::new(tenant(), name("x"))
}

fn graph() -> GraphId {
    GraphId::new(tenant(), name("x"))
}

fn queue() -> QueueId {
    QueueId::new(tenant(), name("x"))
}

fn collection() -> CollectionId {
    CollectionId::new(tenant(), name("x"))
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
async fn write(database: &Database, n: u128) {
    let key = name(&format!("k{n}"));
    database.key_value().set(&bucket(), &key, KvSet::new("v")).await.unwrap();

    let node = NodeDraft {
        id: key,
        kind: name("thing"),
        data: json!({}),
        created_at: None,
        expect: Expect::Any,
    };
    database
        .graphs()
        .apply(&graph(), GraphBatch::new(vec![GraphChange::PutNode(node)]))
        .await
        .unwrap();

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
    database.sessions().create(session, vec![]).await.unwrap();

    let cache = database.cache();
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
    database.queue().enqueue(&queue(), vec![command], WhenIdle::Store, vec![]).await.unwrap();

    let spec = CollectionSpec {
        sparse: BTreeMap::from([(name("s"), SparseSpec { weighting: Weighting::Plain })]),
        ..CollectionSpec::default()
    };
    database.vectors().create(&collection(), spec).await.unwrap();
    let sparse = SparseVector::new(vec![1], vec![1.0]).unwrap();
    let point = Point {
        id: PointId(Uuid::from_u128(n)),
        dense: BTreeMap::new(),
        sparse: BTreeMap::from([(name("s"), sparse)]),
        payload: json!({}),
    };
    database.vectors().upsert(&collection(), vec![point]).await.unwrap();
}

/// Everything of the rounds up to `n` is there.
async fn read(database: &Database, n: u128) {
    for n in 0..=n {
        let key = name(&format!("k{n}"));
        assert!(database.key_value().get(&bucket(), &key).await.unwrap().is_some(), "key {n}");
        let nodes = database.graphs().nodes(&graph(), &[key], AsOf::ALL).await.unwrap();
        assert!(nodes[0].is_some(), "node {n}");
        assert!(database.sessions().find(&token(n).1).await.unwrap().is_some(), "session {n}");
        let lookup = database.cache().get(&cached(n), &CacheTags::default()).await.unwrap();
        assert!(matches!(lookup, Lookup::Hit(..)), "answer {n}");
        let command = CommandId(Uuid::from_u128(n));
        assert!(database.queue().view(&queue(), command).await.unwrap().is_some(), "command {n}");
    }
    let points = database.vectors().count(&collection(), &Filter::all()).await.unwrap();
    assert_eq!(u128::from(points), n + 1, "points");
}

#[tokio::test]
#[ignore = "the other process of the test below"]
async fn role_write() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let database = open(Path::new(&file)).await;
    for (n, line) in (0u128..).zip(std::io::stdin().lines()) {
        line.unwrap();
        write(&database, n).await;
        std::io::stdout().lock().write_all(b"\nWROTE\n").unwrap();
    }
}

#[tokio::test]
async fn what_another_process_acknowledged_is_there_for_every_port() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["role_write", "--exact", "--ignored", "--nocapture"])
        .env(FILE, &file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut go, mut lines) =
        (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    let here = open(&file).await;
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
    read(&here, ROUNDS - 1).await;
    let fresh = open(&file).await;
    read(&fresh, ROUNDS - 1).await;

    let needs = [Capability::Durable, Capability::MultiProcess];
    let note = |port: &str, declares: Capabilities| {
        proved("sqlite", port, "every_port", &needs, &declares)
    };
    note("key_value", fresh.key_value().capabilities());
    note("graph", fresh.graphs().capabilities());
    note("sessions", fresh.sessions().capabilities());
    note("cache", fresh.cache().capabilities());
    note("queue", fresh.queue().capabilities());
    note("vectors", fresh.vectors().capabilities());
}
