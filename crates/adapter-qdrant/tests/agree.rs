//! Qdrant answers as the store in memory does, to the bit, after many small and large writes and removals.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_adapter_memory::{ManualClock, MemoryVectors};
use hexmem_conformance::vectors::agree_through_changes;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_agree_through_changes() {
    let (qdrant, _cleaner) = rig::own().await;
    let memory = MemoryVectors::new(Arc::new(ManualClock::default()));
    agree_through_changes(&memory, &qdrant.vectors(), 24).await;
}
