//! Each case of keys and values fails on the double that breaks its clause.

use std::sync::Arc;

use hexmem_adapter_memory::{ManualClock, MemoryKeyValue};
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{KeyValueStore, Records};

async fn rig() -> Rig<dyn KeyValueStore> {
    let clock = Arc::new(ManualClock::default());
    let store = Arc::new(MemoryKeyValue::new(clock.clone()));
    let twin = Arc::new(MemoryKeyValue::new(clock.clone()));
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let declares = store.capabilities();
    let mut rig = Rig::new("memory", store.clone() as Arc<dyn KeyValueStore>, declares, time);
    rig.records = Some(store as Arc<dyn Records>);
    rig.twin = Some((twin.clone(), twin));
    rig
}

hexmem_conformance::key_value_suite!(rig, broken);
