//! The vectors suite on a real server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use hexmem_conformance::{Rig, minimum};
use hexmem_ports::VectorStore;

async fn rig() -> Rig<dyn VectorStore> {
    rig::bench().await
}

hexmem_conformance::vectors_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("qdrant", "vectors", &rig().await.declares);
}
