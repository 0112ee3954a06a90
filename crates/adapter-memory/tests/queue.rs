//! The suite of the queue over memory.

use std::sync::Arc;

use hexmem_adapter_memory::{ManualClock, MemoryOutbox, MemoryQueue};
use hexmem_conformance::{Rig, manual_time, minimum};
use hexmem_ports::{CommandQueue, Records};

async fn rig() -> Rig<dyn CommandQueue> {
    let clock = Arc::new(ManualClock::default());
    let outbox = MemoryOutbox::new(clock.clone());
    let store = Arc::new(MemoryQueue::new(clock.clone(), outbox.clone()));
    let twin = Arc::new(MemoryQueue::new(clock.clone(), MemoryOutbox::new(clock.clone())));
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let declares = store.capabilities();
    let mut rig = Rig::new("memory", store.clone() as Arc<dyn CommandQueue>, declares, time);
    rig.outbox = Some(Arc::new(outbox));
    rig.records = Some(store as Arc<dyn Records>);
    rig.twin = Some((twin.clone(), twin));
    rig
}

hexmem_conformance::queue_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("memory", "queue", &rig().await.declares);
}
