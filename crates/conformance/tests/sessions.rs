//! Each case of the sessions suite fails on the double that breaks its clause.

use std::sync::Arc;

use hexmem_adapter_memory::{ManualClock, MemoryOutbox, MemorySessions};
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{Records, SessionStore};

async fn rig() -> Rig<dyn SessionStore> {
    let clock = Arc::new(ManualClock::default());
    let outbox = MemoryOutbox::new(clock.clone());
    let store = Arc::new(MemorySessions::new(clock.clone(), outbox.clone()));
    let twin = Arc::new(MemorySessions::new(clock.clone(), MemoryOutbox::new(clock.clone())));
    let declares = store.capabilities();
    let mut rig = Rig::new(
        "memory",
        Arc::clone(&store) as Arc<dyn SessionStore>,
        declares,
        manual_time(clock.clone(), move |span| clock.advance(span)),
    );
    rig.twin = Some((Arc::clone(&twin) as Arc<dyn SessionStore>, twin as Arc<dyn Records>));
    rig.outbox = Some(Arc::new(outbox));
    rig.records = Some(store);
    rig
}

hexmem_conformance::sessions_suite!(rig, broken);
