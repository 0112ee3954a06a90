//! The vectors suite over memory.

use std::sync::Arc;

use hexmem_adapter_memory::{ManualClock, MemoryVectors};
use hexmem_conformance::{Rig, manual_time, minimum};
use hexmem_ports::{Records, VectorStore};

async fn rig() -> Rig<dyn VectorStore> {
    let clock = Arc::new(ManualClock::default());
    let store = Arc::new(MemoryVectors::new(clock.clone()));
    let twin = Arc::new(MemoryVectors::new(clock.clone()));
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let declares = store.capabilities();
    let mut rig = Rig::new("memory", store.clone() as Arc<dyn VectorStore>, declares, time);
    rig.records = Some(store as Arc<dyn Records>);
    rig.twin = Some((twin.clone(), twin));
    rig
}

hexmem_conformance::vectors_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("memory", "vectors", &rig().await.declares);
}
