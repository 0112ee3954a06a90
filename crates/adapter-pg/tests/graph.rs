//! The graph suite on PostgreSQL: two handles that share nothing, as two processes would have.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_conformance::{Rig, minimum};
use hexmem_ports::GraphStore;

async fn rig() -> Rig<dyn GraphStore> {
    rig::bench().await.rig(
        |postgres| Arc::new(postgres.graphs()),
        |store| store as Arc<dyn GraphStore>,
        |store| store.capabilities(),
    )
}

hexmem_conformance::graph_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("pg", "graph", &rig().await.declares);
}
