//! Large graphs to measure with: always the same for the same size.
#![allow(dead_code, reason = "the example and the benchmark use a part each")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hexmem_adapter_json::{JsonConfig, JsonGraphs};
use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig, Synchronous};
use hexmem_ports::rules::graph::GraphRecord;
use hexmem_ports::{
    Clock, Compact, Edge, EdgeDraft, EdgeId, Expect, GraphBatch, GraphChange, GraphId, GraphStore,
    Name, Node, Records, Result, Tenant, Timestamp,
};
use serde_json::json;
use uuid::Uuid;

/// How many records are restored at once: a page of an index that many of them fall on is written once.
const BATCH: usize = 50_000;

/// After how many batches the graph is compacted. A JSON journal that outgrows its snapshot is folded beside the
/// restoring, and each batch makes that begin again.
const FOLD_EVERY: usize = 40;

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    Sqlite,
}

/// A store and its records.
pub(crate) type Opened = (Arc<dyn GraphStore>, Arc<dyn Records>);

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

pub(crate) fn graph() -> GraphId {
    GraphId::new(Tenant(name("bench")), name("g"))
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Opens the graphs in a folder; JSON ones are folded when their journal has this size.
pub(crate) async fn open(kind: Kind, folder: &Path, journal_bytes: u32) -> Result<Opened> {
    match kind {
        Kind::Json => {
            let config = JsonConfig { journal_bytes, ..JsonConfig::new(folder) };
            let store = Arc::new(JsonGraphs::open_with(config, clock()).await?);
            Ok((Arc::clone(&store) as Arc<dyn GraphStore>, store))
        }
        Kind::Sqlite => {
            let config = SqliteConfig::new(folder.join("graphs.db"));
            let store = Arc::new(Database::open(config, clock()).await?.graphs());
            Ok((Arc::clone(&store) as Arc<dyn GraphStore>, store))
        }
    }
}

/// A number that follows from another one and looks like none in particular (splitmix64).
pub(crate) fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

pub(crate) fn node_id(n: u64) -> Name {
    name(&format!("node-{n:07}"))
}

/// In the order of making, as a UUID of version 7 is.
fn edge_id(n: u64) -> EdgeId {
    EdgeId(Uuid::from_u64_pair((n << 16) | 0x7000, mixed(n) >> 2 | 1 << 63))
}

fn start() -> Timestamp {
    Timestamp::parse("2026-01-01").unwrap()
}

fn node(n: u64) -> GraphRecord {
    GraphRecord::Node(vec![Node {
        id: node_id(n),
        kind: name(["person", "place", "topic", "document", "event"][(n % 5) as usize]),
        data: json!({ "name": format!("the node {n}") }),
        created_at: start(),
        recorded_at: start(),
        superseded_at: None,
        version: 1,
    }])
}

fn edge(n: u64, nodes: u64, edges: u64) -> GraphRecord {
    GraphRecord::Edge(vec![Edge {
        id: edge_id(n),
        // One source after the other: written to an index in order, which is faster to make.
        src: node_id(n * nodes / edges),
        relation: name(["knows", "visited", "mentions", "causes"][(n % 4) as usize]),
        dst: node_id(mixed(n * 2 + 1) % nodes),
        weight: (mixed(n) % 100) as f64 / 100.0,
        valid_from: Some(start()),
        valid_until: None,
        source: n.is_multiple_of(4).then(|| name(&format!("document-{}", n % 1_000))),
        data: json!({}),
        created_at: start(),
        recorded_at: start(),
        superseded_at: None,
        version: 1,
    }])
}

/// One change: a new edge between two nodes that are there.
pub(crate) fn change(nodes: u64, salt: u64) -> GraphBatch {
    let ends = (mixed(salt) % nodes, mixed(!salt) % nodes);
    GraphBatch::new(vec![GraphChange::PutEdge(EdgeDraft {
        id: EdgeId(Uuid::new_v4()),
        src: node_id(ends.0),
        relation: name("knows"),
        dst: node_id(ends.1),
        weight: 1.0,
        valid_from: None,
        valid_until: None,
        source: None,
        data: json!({}),
        created_at: None,
        expect: Expect::Any,
    })])
}

/// Fills a folder with a graph, once: a folder that was filled before stays as it is. Says how many seconds it took.
pub(crate) async fn fill(kind: Kind, folder: &Path, nodes: u64, edges: u64) -> Result<f64> {
    let done = folder.join("filled");
    if let Some(seconds) = std::fs::read_to_string(&done).ok().and_then(|text| text.parse().ok()) {
        return Ok(seconds);
    }
    let _ = std::fs::remove_dir_all(folder);
    let begun = Instant::now();
    let (store, records) = match kind {
        Kind::Json => open(kind, folder, 1 << 30).await?,
        Kind::Sqlite => {
            // Pages that every batch writes to stay in memory; nothing is lost that cannot be made again.
            let config = SqliteConfig {
                cache_kib: 524_288,
                synchronous: Synchronous::Normal,
                ..SqliteConfig::new(folder.join("graphs.db"))
            };
            let store = Arc::new(Database::open(config, clock()).await?.graphs());
            (Arc::clone(&store) as Arc<dyn GraphStore>, store as Arc<dyn Records>)
        }
    };
    let graph = graph();
    let all = (0..nodes).map(node).chain((0..edges).map(|n| edge(n, nodes, edges)));
    let mut all = all.map(|record| record.encode(&graph)).peekable();
    for turn in 1.. {
        if all.peek().is_none() {
            break;
        }
        let batch = Instant::now();
        records.restore(all.by_ref().take(BATCH).collect::<Result<_>>()?).await?;
        if std::env::var_os("BIG_GRAPH_BATCHES").is_some() {
            eprintln!("{} ms a batch", batch.elapsed().as_millis());
        }
        if turn % FOLD_EVERY == 0 {
            store.compact(&graph, Compact::default()).await?;
        }
    }
    // The log begins here; JSON writes its snapshot.
    store.compact(&graph, Compact::default()).await?;
    let seconds = begun.elapsed().as_secs_f64();
    std::fs::write(done, seconds.to_string()).unwrap();
    Ok(seconds)
}
