//! What another process acknowledged through any port is seen while it lives, and is there after it was killed: the proof of
//! `multi_process`, and of `durable`, for each port.
//!
//! A test binary runs itself again as the other process: its ignored test `role_write` calls [`role`], the other one
//! [`every_port`]. Both say how the stores of a place are opened.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::sync::Arc;

use hexmem_ports::{
    AsOf, BucketId, CacheKey, CachePut, CacheStore, CacheStoreExt as _, CacheTags, Capabilities,
    Capability, CollectionId, CollectionSpec, CommandId, CommandQueue, Digest, Expect, Filter,
    GraphBatch, GraphChange, GraphId, GraphStore, KeyValueExt as _, KeyValueStore, KvSet, Lookup,
    Name, NamespaceId, NewCommand, NewSession, NodeDraft, Point, PointId, QueueId, SessionId,
    SessionOrigin, SessionStore, SparseSpec, SparseVector, Tenant, TokenKey, Ttl, UserScope,
    VectorStore, Weighting, WhenIdle,
};
use serde_json::json;
use uuid::Uuid;

use crate::{name, proved};

/// Tells the other process its place.
const PLACE: &str = "HEXMEM_TEST_EVERY_PORT";

/// How often the other process writes one thing through each port.
const ROUNDS: u128 = 5;

/// The stores of one place; a port that an adapter has not is `None`.
#[derive(Default)]
#[allow(missing_docs, reason = "each is the port of its type")]
pub struct Stores {
    pub key_value: Option<Arc<dyn KeyValueStore>>,
    pub graph: Option<Arc<dyn GraphStore>>,
    pub sessions: Option<Arc<dyn SessionStore>>,
    pub cache: Option<Arc<dyn CacheStore>>,
    pub queue: Option<Arc<dyn CommandQueue>>,
    pub vectors: Option<Arc<dyn VectorStore>>,
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

fn key(n: u128) -> Name {
    name(format!("k{n}"))
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

fn node(n: u128) -> NodeDraft {
    NodeDraft {
        id: key(n),
        kind: name("thing"),
        data: json!({}),
        created_at: None,
        expect: Expect::Any,
    }
}

fn session(n: u128) -> NewSession {
    let (owner, token) = token(n);
    NewSession {
        id: SessionId(Uuid::from_u128(n)),
        token,
        owner,
        data: json!({}),
        origin: SessionOrigin::default(),
        idle: hour(),
        absolute: hour(),
        cap: None,
        retention: hour(),
    }
}

fn command(n: u128) -> NewCommand {
    NewCommand {
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
    }
}

fn point(n: u128) -> Point {
    let sparse = SparseVector::new(vec![1], vec![1.0]).unwrap();
    Point {
        id: PointId(Uuid::from_u128(n)),
        dense: BTreeMap::new(),
        sparse: BTreeMap::from([(name("s"), sparse)]),
        payload: json!({}),
    }
}

impl Stores {
    /// One thing through each port.
    async fn write(&self, n: u128) {
        if let Some(store) = &self.key_value {
            store.set(&bucket(), &key(n), KvSet::new("v")).await.unwrap();
        }
        if let Some(store) = &self.graph {
            let batch = GraphBatch::new(vec![GraphChange::PutNode(node(n))]);
            store.apply(&graph(), batch).await.unwrap();
        }
        if let Some(store) = &self.sessions {
            store.create(session(n), vec![]).await.unwrap();
        }
        if let Some(store) = &self.cache {
            let Lookup::Miss(ticket) = store.get(&cached(n), &CacheTags::default()).await.unwrap()
            else {
                panic!("nothing was put yet");
            };
            let value = b"v".to_vec();
            let put = CachePut { value, meta: json!(null), ttl: hour(), stale: None, ticket };
            store.put(&cached(n), put).await.unwrap();
        }
        if let Some(store) = &self.queue {
            store.enqueue(&queue(), vec![command(n)], WhenIdle::Store, vec![]).await.unwrap();
        }
        if let Some(store) = &self.vectors {
            let spec = CollectionSpec {
                sparse: BTreeMap::from([(name("s"), SparseSpec { weighting: Weighting::Plain })]),
                ..CollectionSpec::default()
            };
            store.create(&collection(), spec).await.unwrap();
            store.upsert(&collection(), vec![point(n)]).await.unwrap();
        }
    }

    /// Everything of the rounds up to `n` is there.
    async fn read(&self, n: u128) {
        for n in 0..=n {
            if let Some(store) = &self.key_value {
                assert!(store.get(&bucket(), &key(n)).await.unwrap().is_some(), "key {n}");
            }
            if let Some(store) = &self.graph {
                let nodes = store.nodes(&graph(), &[key(n)], AsOf::ALL).await.unwrap();
                assert!(nodes[0].is_some(), "node {n}");
            }
            if let Some(store) = &self.sessions {
                assert!(store.find(&token(n).1).await.unwrap().is_some(), "session {n}");
            }
            if let Some(store) = &self.cache {
                let lookup = store.get(&cached(n), &CacheTags::default()).await.unwrap();
                assert!(matches!(lookup, Lookup::Hit(..)), "answer {n}");
            }
            if let Some(store) = &self.queue {
                let command = CommandId(Uuid::from_u128(n));
                assert!(store.view(&queue(), command).await.unwrap().is_some(), "command {n}");
            }
        }
        if let Some(store) = &self.vectors {
            let points = store.count(&collection(), &Filter::all()).await.unwrap();
            assert_eq!(u128::from(points), n + 1, "points");
        }
    }

    /// What each store declares, by the name of its port.
    fn declare(&self) -> impl Iterator<Item = (&'static str, Capabilities)> {
        let declared = [
            ("key_value", self.key_value.as_ref().map(|store| store.capabilities())),
            ("graph", self.graph.as_ref().map(|store| store.capabilities())),
            ("sessions", self.sessions.as_ref().map(|store| store.capabilities())),
            ("cache", self.cache.as_ref().map(|store| store.capabilities())),
            ("queue", self.queue.as_ref().map(|store| store.capabilities())),
            ("vectors", self.vectors.as_ref().map(|store| store.capabilities())),
        ];
        declared.into_iter().filter_map(|(port, declares)| Some((port, declares?)))
    }
}

/// What the other process does until it is killed; nothing where this process is none.
pub async fn role(open: impl AsyncFn(&str) -> Stores) {
    let Ok(place) = std::env::var(PLACE) else { return };
    let stores = open(&place).await;
    for (n, line) in (0u128..).zip(std::io::stdin().lines()) {
        line.unwrap();
        stores.write(n).await;
        std::io::stdout().lock().write_all(b"\nWROTE\n").unwrap();
    }
}

/// Shows it on the stores of `place`, and notes of `adapter` that it `proves` this for each of them.
pub async fn every_port(
    adapter: &str,
    proves: &[Capability],
    place: &str,
    open: impl AsyncFn(&str) -> Stores,
) {
    let mut child = crate::role_command("role_write")
        .env(PLACE, place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut go, mut lines) =
        (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    let here = open(place).await;
    for n in 0..ROUNDS {
        go.write_all(b"go\n").unwrap();
        assert!(
            lines.by_ref().any(|line| line.unwrap() == "WROTE"),
            "the other process ended in round {n}"
        );
        here.read(n).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    here.read(ROUNDS - 1).await;
    let fresh = open(place).await;
    fresh.read(ROUNDS - 1).await;
    for (port, declares) in fresh.declare() {
        proved(adapter, port, "every_port", proves, &declares);
    }
}
