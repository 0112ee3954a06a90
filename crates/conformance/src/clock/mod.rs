//! Cases of clocks.

mod broken;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hexmem_ports::Clock;

use crate::Rig;

pub use broken::broken;

/// Registers the cases of a clock: `clock_suite!(rig)`, or `clock_suite!(rig, broken)` for the doubles.
#[macro_export]
macro_rules! clock_suite {
    ($make:path) => {
        $crate::clock_suite!(@ [] $make);
    };
    ($make:path, broken) => {
        $crate::clock_suite!(@ [broken] $make);
    };
    (@ [$($mode:ident)?] $make:path) => {
        $crate::suite!([$($mode)?] clock, $make; clock_now_1, clock_sleep_1);
    };
}

/// `CLOCK-NOW-1`
pub async fn clock_now_1(rig: Rig<dyn Clock>) {
    let mut last = rig.store.now();
    for _ in 0..5 {
        for _ in 0..1_000 {
            let now = rig.store.now();
            assert!(now >= last, "{now} comes after {last}");
            last = now;
        }
        rig.clock.advance(1).await;
        let now = rig.store.now();
        assert!(now.since(last) >= rig.span(1), "{now} is one unit after {last}");
        last = now;
    }
}

/// `CLOCK-SLEEP-1`
pub async fn clock_sleep_1(rig: Rig<dyn Clock>) {
    // Dropped in the middle of it: nothing is left behind.
    let dropped = tokio::time::timeout(Duration::from_millis(1), rig.store.sleep(rig.span(1_000)));
    assert!(dropped.await.is_err(), "it slept");
    let sleepers = (0..8u32).map(|n| {
        let (clock, span) = (Arc::clone(&rig.store), rig.span(n % 4));
        async move {
            let before = clock.now();
            clock.sleep(span).await;
            let slept = clock.now().since(before);
            assert!(slept >= span, "{slept:?} of {span:?}");
        }
    });
    rig.within(10, join_all(sleepers)).await;
}
