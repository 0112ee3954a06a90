//! Each case of the vectors fails on the double that breaks its clause.

use std::sync::Arc;

use hexmem_adapter_memory::{ManualClock, MemoryVectors};
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{Capabilities, Capability, Records, VectorStore};

async fn rig() -> Rig<dyn VectorStore> {
    let clock = Arc::new(ManualClock::default());
    let store = Arc::new(MemoryVectors::new(clock.clone()));
    let twin = Arc::new(MemoryVectors::new(clock.clone()));
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    // Memory has no index: what it finds is what a perfect one would.
    let declares = store.capabilities();
    let declares = Capabilities::of(declares.iter().chain([Capability::DenseIndex]));
    let mut rig = Rig::new("memory", store.clone() as Arc<dyn VectorStore>, declares, time);
    rig.records = Some(store as Arc<dyn Records>);
    rig.twin = Some((twin.clone(), twin));
    rig
}

hexmem_conformance::vectors_suite!(rig, broken);
