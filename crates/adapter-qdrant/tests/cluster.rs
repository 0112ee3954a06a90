//! The vectors suite on a cluster: a handle on each of two nodes, each collection in a shard on each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use hexmem_conformance::{Rig, minimum};
use hexmem_ports::VectorStore;

async fn rig() -> Rig<dyn VectorStore> {
    rig::cluster().await
}

hexmem_conformance::vectors_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("qdrant-cluster", "vectors", &rig().await.declares);
}
