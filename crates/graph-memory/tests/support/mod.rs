//! In-process graphs on a clock that tests move.
#![allow(dead_code, reason = "each test program uses its part")]

use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, MemoryGraphs, MemoryOutbox};
use hexmem_graph_memory::GraphMemory;
use hexmem_ports::{Clock, GraphId, Name, Tenant, Timestamp};

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<MemoryGraphs>,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let outbox = MemoryOutbox::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let store = Arc::new(MemoryGraphs::new(Arc::clone(&clock) as Arc<dyn Clock>, outbox));
        Self { clock, store }
    }

    pub(crate) fn graph(&self, text: &str) -> GraphMemory {
        let store = Arc::clone(&self.store) as Arc<dyn hexmem_ports::GraphStore>;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        GraphMemory::new(store, clock, GraphId::new(Tenant(name("t")), name(text)))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}
