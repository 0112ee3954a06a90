//! Random calls give the same answers in SQLite as in process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, MemoryGraphs, MemoryOutbox};
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::graph::model;
use hexmem_ports::Clock as _;

/// More calls with `HEXMEM_TEST_GRAPH_CALLS`.
fn calls() -> u32 {
    std::env::var("HEXMEM_TEST_GRAPH_CALLS").map_or(900, |calls| calls.parse().unwrap())
}

async fn agree(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let config = SqliteConfig::new(folder.path().join("x.db"));
    let database = Database::open(config, clock.clone()).await.unwrap();
    let memory = MemoryGraphs::new(clock.clone(), MemoryOutbox::new(clock.clone()));
    let tick = async || {
        clock.advance(Duration::from_secs(1));
        clock.now()
    };
    model::agree(&database.graphs(), &memory, seed, calls(), tick).await;
}

#[tokio::test]
async fn random_calls_agree_with_memory_1() {
    agree(1).await;
}

#[tokio::test]
async fn random_calls_agree_with_memory_2() {
    agree(2).await;
}
