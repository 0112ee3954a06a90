//! What another process acknowledged through any port is seen while it lives, and is there after it was killed: the proof of
//! `durable` and `multi_process` for each port.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use hexmem_adapter_pg::Postgres;
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

use crate::rig::config;

/// The URL of the database that both processes work on.
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
async fn write(postgres: &Postgres, n: u128) {
    let key = name(&format!("k{n}"));
    postgres.key_value().set(&bucket(), &key, KvSet::new("v")).await.unwrap();

    let node = NodeDraft {
        id: key,
        kind: name("thing"),
        data: json!({}),
        created_at: None,
        expect: Expect::Any,
    };
    postgres
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
    postgres.sessions().create(session, vec![]).await.unwrap();

    let cache = postgres.cache();
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
    postgres.queue().enqueue(&queue(), vec![command], WhenIdle::Store, vec![]).await.unwrap();

    let spec = CollectionSpec {
        sparse: BTreeMap::from([(name("s"), SparseSpec { weighting: Weighting::Plain })]),
        ..CollectionSpec::default()
    };
    postgres.vectors().create(&collection(), spec).await.unwrap();
    let sparse = SparseVector::new(vec![1], vec![1.0]).unwrap();
    let point = Point {
        id: PointId(Uuid::from_u128(n)),
        dense: BTreeMap::new(),
        sparse: BTreeMap::from([(name("s"), sparse)]),
        payload: json!({}),
    };
    postgres.vectors().upsert(&collection(), vec![point]).await.unwrap();
}

/// Everything of the rounds up to `n` is there.
async fn read(postgres: &Postgres, n: u128) {
    for n in 0..=n {
        let key = name(&format!("k{n}"));
        assert!(postgres.key_value().get(&bucket(), &key).await.unwrap().is_some(), "key {n}");
        let nodes = postgres.graphs().nodes(&graph(), &[key], AsOf::ALL).await.unwrap();
        assert!(nodes[0].is_some(), "node {n}");
        assert!(postgres.sessions().find(&token(n).1).await.unwrap().is_some(), "session {n}");
        let lookup = postgres.cache().get(&cached(n), &CacheTags::default()).await.unwrap();
        assert!(matches!(lookup, Lookup::Hit(..)), "answer {n}");
        let command = CommandId(Uuid::from_u128(n));
        assert!(postgres.queue().view(&queue(), command).await.unwrap().is_some(), "command {n}");
    }
    let points = postgres.vectors().count(&collection(), &Filter::all()).await.unwrap();
    assert_eq!(u128::from(points), n + 1, "points");
}

#[tokio::test]
#[ignore = "the other process of what is proved here"]
async fn role_write() {
    let Ok(url) = std::env::var(PLACE) else { return };
    let postgres = Postgres::connect(config(&url)).await.unwrap();
    for (n, line) in (0u128..).zip(std::io::stdin().lines()) {
        line.unwrap();
        write(&postgres, n).await;
        std::io::stdout().lock().write_all(b"\nWROTE\n").unwrap();
    }
}

/// Shows it on the database of `url`, and notes it for the ports that are named, of `adapter`.
pub(crate) async fn every_port(adapter: &str, url: &str, ports: &[&str]) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["every::role_write", "--exact", "--ignored", "--nocapture"])
        .env(PLACE, url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut go, mut lines) =
        (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    let here = Postgres::connect(config(url)).await.unwrap();
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
    let fresh = Postgres::connect(config(url)).await.unwrap();
    read(&fresh, ROUNDS - 1).await;

    let needs = [Capability::Durable, Capability::MultiProcess];
    let note = |port: &str, declares: Capabilities| {
        if ports.contains(&port) {
            proved(adapter, port, "every_port", &needs, &declares);
        }
    };
    note("key_value", fresh.key_value().capabilities());
    note("graph", fresh.graphs().capabilities());
    note("sessions", fresh.sessions().capabilities());
    note("cache", fresh.cache().capabilities());
    note("queue", fresh.queue().capabilities());
    note("vectors", fresh.vectors().capabilities());
}
