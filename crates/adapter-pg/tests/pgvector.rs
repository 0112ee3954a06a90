//! The vectors suite on PostgreSQL with pgvector, and what only an index can get wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_conformance::{Rig, minimum};
use hexmem_ports::{Capability, VectorStore};

async fn rig() -> Rig<dyn VectorStore> {
    let rig = rig::bench_with_pgvector().await.rig(
        |postgres| Arc::new(postgres.vectors()),
        |store| store as Arc<dyn VectorStore>,
        |store| store.capabilities(),
    );
    Rig { adapter: "pg-pgvector", ..rig }
}

hexmem_conformance::vectors_suite!(rig);

#[tokio::test]
async fn declares_an_index() {
    let declares = rig().await.declares;
    minimum::check("pg", "vectors", &declares);
    assert!(declares.has(Capability::DenseIndex));
}
