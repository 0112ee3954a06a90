//! Each case of the clock fails on the double that breaks its clause.

use std::sync::Arc;

use hexmem_adapter_memory::ManualClock;
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{Capabilities, Clock};

async fn rig() -> Rig<dyn Clock> {
    let clock = Arc::new(ManualClock::default());
    let time = {
        let clock = clock.clone();
        manual_time(clock.clone(), move |span| clock.advance(span))
    };
    Rig::new("memory", clock, Capabilities::default(), time)
}

hexmem_conformance::clock_suite!(rig, broken);
