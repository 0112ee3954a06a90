//! Random calls give the same answers on PostgreSQL as in process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, MemoryGraphs, MemoryOutbox};
use hexmem_conformance::{TestClock as _, graph::model};

/// More calls with `HEXMEM_TEST_GRAPH_CALLS`.
fn calls() -> u32 {
    std::env::var("HEXMEM_TEST_GRAPH_CALLS").map_or(900, |calls| calls.parse().unwrap())
}

async fn agree(seed: u64) {
    let bench = rig::bench().await;
    let clock = Arc::new(ManualClock::default());
    let memory = MemoryGraphs::new(clock.clone(), MemoryOutbox::new(clock.clone()));
    let tick = async || {
        bench.clock.add(Duration::from_secs(1)).await;
        let now = bench.clock.now().await;
        clock.set(now);
        now
    };
    model::agree(&bench.first.graphs(), &memory, seed, calls(), tick).await;
}

#[tokio::test]
async fn random_calls_agree_with_memory_1() {
    agree(1).await;
}

#[tokio::test]
async fn random_calls_agree_with_memory_2() {
    agree(2).await;
}
