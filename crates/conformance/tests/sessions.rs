//! Each case of the sessions suite fails on the double that breaks its clause.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hexmem_adapter_memory::{ManualClock, MemoryOutbox, MemorySessions};
use hexmem_conformance::{Rig, TestClock};
use hexmem_ports::{Clock, Records, SessionStore, Timestamp};

struct Manual(Arc<ManualClock>);

#[async_trait]
impl TestClock for Manual {
    fn unit(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn advance(&self, units: u32) {
        self.0.advance(self.unit() * units);
    }
}

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
        Arc::new(Manual(clock)),
    );
    rig.twin = Some((Arc::clone(&twin) as Arc<dyn SessionStore>, twin as Arc<dyn Records>));
    rig.outbox = Some(Arc::new(outbox));
    rig.records = Some(store);
    rig
}

hexmem_conformance::sessions_suite!(rig, broken);
