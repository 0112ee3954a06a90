//! Each case of the graph store fails on the double that breaks its clause.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use hexmem_adapter_memory::{ManualClock, MemoryGraphs, MemoryOutbox};
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{GraphStore, Records};

async fn rig() -> Rig<dyn GraphStore> {
    let clock = Arc::new(ManualClock::default());
    let outbox = MemoryOutbox::new(clock.clone());
    let store = Arc::new(MemoryGraphs::new(clock.clone(), outbox.clone()));
    let twin = Arc::new(MemoryGraphs::new(clock.clone(), MemoryOutbox::new(clock.clone())));
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let declares = store.capabilities();
    let mut rig = Rig::new("memory", store.clone() as Arc<dyn GraphStore>, declares, time);
    rig.twin = Some((twin.clone(), twin));
    rig.outbox = Some(Arc::new(outbox));
    rig.records = Some(store as Arc<dyn Records>);
    rig
}

hexmem_conformance::graph_suite!(rig, broken);
