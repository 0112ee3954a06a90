//! Each case of the cache fails on the double that breaks its clause.

use std::sync::Arc;

use hexmem_adapter_memory::{ManualClock, MemoryCache};
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{CacheStore, Records};

async fn rig() -> Rig<dyn CacheStore> {
    let clock = Arc::new(ManualClock::default());
    let store = Arc::new(MemoryCache::new(clock.clone()));
    let twin = Arc::new(MemoryCache::new(clock.clone()));
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let declares = store.capabilities();
    let mut rig = Rig::new("memory", store.clone() as Arc<dyn CacheStore>, declares, time);
    rig.records = Some(store as Arc<dyn Records>);
    rig.twin = Some((twin.clone(), twin));
    rig
}

hexmem_conformance::cache_suite!(rig, broken);
