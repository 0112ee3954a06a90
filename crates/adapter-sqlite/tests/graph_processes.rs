//! Several processes write one graph, and are killed while they do.
//!
//! Child processes are this test binary again, told by an environment variable what to do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{
    AsOf, Expect, GraphBatch, GraphChange, GraphId, GraphStore as _, Limit, Name, NodeDraft,
    NodeFilter, Revision, Tenant,
};
use serde_json::json;

const CHILD: &str = "HEXMEM_TEST_GRAPH_WRITER";

fn graph() -> GraphId {
    GraphId::new(Tenant(Name::new("t").unwrap()), Name::new("g").unwrap())
}

async fn open(file: &Path) -> Database {
    let config = SqliteConfig { busy_timeout_ms: 60_000, ..SqliteConfig::new(file) };
    Database::open(config, Arc::new(SystemClock)).await.unwrap()
}

fn writer(file: &Path, prefix: &str, count: u32) -> Child {
    hexmem_conformance::role_command("child")
        .env(CHILD, json!([file, prefix, count]).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a child process does: puts nodes one by one and says so after each.
#[tokio::test]
async fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (file, prefix, count): (PathBuf, String, u32) = serde_json::from_str(&told).unwrap();
    let store = open(&file).await.graphs();
    for n in 0..count {
        let id = format!("{prefix}-{n:04}");
        let draft = NodeDraft {
            id: Name::new(id.as_str()).unwrap(),
            kind: Name::new("t").unwrap(),
            data: json!({ "n": n }),
            created_at: None,
            expect: Expect::Absent,
        };
        let batch = GraphBatch::new(vec![GraphChange::PutNode(draft)]);
        store.apply(&graph(), batch).await.unwrap();
        println!("\ndone {id}");
    }
}

async fn ids(database: &Database) -> BTreeSet<String> {
    let filter = NodeFilter::default();
    let limit = Limit::new(10_000).unwrap();
    let store = database.graphs();
    let page = store.find_nodes(&graph(), &filter, AsOf::ALL, None, limit).await.unwrap();
    assert_eq!(page.next, None);
    page.items.into_iter().map(|node| node.id.to_string()).collect()
}

#[tokio::test]
async fn what_a_killed_process_acknowledged_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let database = open(&file).await;
    let mut promised = BTreeSet::new();
    let acknowledged = |line: &str| line.strip_prefix("done ").map(str::to_owned);
    for round in 0..15u32 {
        let mut child = writer(&file, &format!("r{round:02}"), 10_000);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < 1 + round % 5 {
            if let Some(id) = acknowledged(&lines.next().unwrap().unwrap()) {
                promised.insert(id);
                seen += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        promised.extend(lines.map_while(Result::ok).filter_map(|line| acknowledged(&line)));
        let there = ids(&database).await;
        assert!(promised.is_subset(&there), "lost: {:?}", promised.difference(&there));
    }
    // The log tells of each node that is there, and of no other.
    let limit = Limit::new(10_000).unwrap();
    let log = database.graphs().changes(&graph(), Revision(0), limit).await.unwrap();
    assert_eq!(log.changes.len(), ids(&database).await.len());
    assert_eq!(log.upto, log.head);
}
