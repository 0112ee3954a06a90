//! A compaction of more entries than one of its steps takes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{
    AsOf, Compact, ElementRef, ErrorKind, Expect, GraphBatch, GraphChange, GraphId, GraphStore,
    Limit, Name, NodeDraft, Revision, Tenant, Timestamp,
};
use serde_json::json;

const NODES: u32 = 5_000;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[tokio::test]
async fn every_step_is_taken_and_what_is_current_stays() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("x.db"));
    let store = Database::open(config, Arc::new(SystemClock)).await.unwrap().graphs();
    let graph = GraphId::new(Tenant(name("t")), name("g"));
    let id = |n: u32| name(&format!("n{n:05}"));
    for round in 0..2 {
        let put = |n| {
            GraphChange::PutNode(NodeDraft {
                id: id(n),
                kind: name("t"),
                data: json!({ "round": round }),
                created_at: None,
                expect: Expect::Any,
            })
        };
        store.apply(&graph, GraphBatch::new((0..NODES).map(put).collect())).await.unwrap();
    }
    let head = store.head(&graph).await.unwrap().unwrap();
    let compact = Compact { log_upto: Some(head.revision), history_before: Some(Timestamp::MAX) };
    store.compact(&graph, compact).await.unwrap();
    assert_eq!(store.stats(&graph, AsOf::NOW).await.unwrap().nodes, u64::from(NODES));
    for n in [0, 1, 1_999, 2_000, 2_001, 4_000, NODES - 1] {
        let element = ElementRef::Node(id(n));
        let all = store.history(&graph, &element, None, Limit::new(10).unwrap()).await.unwrap();
        let versions: Vec<u64> = all.items.iter().map(|version| version.version()).collect();
        assert_eq!(versions, [2], "{n}");
    }
    let behind = store.changes(&graph, Revision(1), Limit::new(10).unwrap()).await.unwrap_err();
    assert_eq!(behind.kind(), ErrorKind::Gap);
    let rest = store.changes(&graph, head.revision, Limit::new(10).unwrap()).await.unwrap();
    assert_eq!(rest.changes, []);
}
