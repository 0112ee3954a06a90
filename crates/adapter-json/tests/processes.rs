//! Eight processes change one graph at once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use hexmem_adapter_json::{JsonConfig, JsonGraphs};
use hexmem_adapter_memory::SystemClock;
use hexmem_conformance::graph::crowd::{self, Opened};

async fn open(place: &Path) -> Opened {
    // Folded early, so that snapshots are written while others read and write.
    let config = JsonConfig { journal_bytes: 16_384, ..JsonConfig::new(place) };
    let store = JsonGraphs::open_with(config, Arc::new(SystemClock)).await.unwrap();
    let outbox = store.outbox();
    (Arc::new(store), Arc::new(outbox))
}

#[tokio::test]
async fn child() {
    crowd::child(open).await;
}

#[tokio::test]
async fn eight_processes_of_a_thousand_changes_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    crowd::eight(&folder.path().join("graphs"), open).await;
}
