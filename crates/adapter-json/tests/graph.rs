//! The graph suite over files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use hexmem_adapter_json::{JsonConfig, JsonGraphs};
use hexmem_adapter_memory::ManualClock;
use hexmem_conformance::{Rig, manual_time, minimum};
use hexmem_ports::{GraphStore, Records};

/// Journals are folded as early as can be, so that the cases meet snapshots too.
async fn rig() -> Rig<dyn GraphStore> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let open = async |name: &str| {
        let config =
            JsonConfig { journal_bytes: 1_024, ..JsonConfig::new(folder.path().join(name)) };
        Arc::new(JsonGraphs::open_with(config, clock.clone()).await.unwrap())
    };
    let store = open("a").await;
    let other = open("a").await;
    let twin = open("b").await;
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let declares = store.capabilities();
    let mut rig = Rig::new("json", store.clone() as Arc<dyn GraphStore>, declares, time);
    rig.other = other;
    rig.outbox = Some(Arc::new(store.outbox()));
    rig.records = Some(store as Arc<dyn Records>);
    rig.twin = Some((twin.clone(), twin));
    rig.guard = Some(Arc::new(folder));
    rig
}

hexmem_conformance::graph_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("json", "graph", &rig().await.declares);
}
