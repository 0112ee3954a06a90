//! Eight processes change one graph at once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::graph::crowd::{self, Opened};

async fn open(place: &Path) -> Opened {
    let config = SqliteConfig { busy_timeout_ms: 60_000, ..SqliteConfig::new(place) };
    let database = Database::open(config, Arc::new(SystemClock)).await.unwrap();
    (Arc::new(database.graphs()), Arc::new(database.outbox()))
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
