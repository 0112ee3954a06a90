//! Every query at random times against a plain model, over SQLite.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../graph-memory/tests/support/model.rs"]
mod model;
#[path = "../../graph-memory/tests/support/plays.rs"]
mod plays;

use std::sync::Arc;

use hexmem_adapter_memory::ManualClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_graph_memory::GraphMemory;
use hexmem_ports::{GraphId, GraphStore, Name, Tenant};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_as_the_model(steps in plays::steps(), asked in plays::questions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let clock = Arc::new(ManualClock::default());
            let config = SqliteConfig::new(folder.path().join("g.db"));
            let database = Database::open(config, clock.clone()).await.unwrap();
            let store = Arc::new(database.graphs()) as Arc<dyn GraphStore>;
            let graph = GraphId::new(Tenant(Name::new("t").unwrap()), Name::new("g").unwrap());
            let memory = GraphMemory::new(store, clock.clone(), graph);
            plays::plays(&memory, &clock, &steps, &asked).await;
        });
    }
}
