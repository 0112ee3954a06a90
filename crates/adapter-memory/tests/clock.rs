//! The suite of the clock over the one that tests move, and over the machine's.

use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, SystemClock};
use hexmem_conformance::{Rig, manual_time, real_time};
use hexmem_ports::{Capabilities, Clock};

mod manual {
    use super::*;

    async fn rig() -> Rig<dyn Clock> {
        let clock = Arc::new(ManualClock::default());
        let time = {
            let clock = clock.clone();
            manual_time(clock.clone(), move |span| clock.advance(span))
        };
        Rig::new("memory", clock, Capabilities::default(), time)
    }

    hexmem_conformance::clock_suite!(rig);
}

mod system {
    use super::*;

    async fn rig() -> Rig<dyn Clock> {
        let time = real_time(Arc::new(SystemClock), Duration::from_millis(5));
        Rig::new("memory", Arc::new(SystemClock), Capabilities::default(), time)
    }

    hexmem_conformance::clock_suite!(rig);
}
