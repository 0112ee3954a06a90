//! The vectors suite on PostgreSQL, without pgvector: what works on every server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_conformance::{Rig, minimum};
use hexmem_ports::VectorStore;

async fn rig() -> Rig<dyn VectorStore> {
    rig::bench().await.rig(
        |postgres| Arc::new(postgres.vectors()),
        |store| store as Arc<dyn VectorStore>,
        |store| store.capabilities(),
    )
}

hexmem_conformance::vectors_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("pg", "vectors", &rig().await.declares);
}
