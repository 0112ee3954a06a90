//! A clock that breaks one clause.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::{Clock, Timestamp};

use crate::Rig;

/// The rig with a clock that breaks `clause`. Panics where no double breaks it.
pub fn broken(clause: &str, rig: Rig<dyn Clock>) -> Rig<dyn Clock> {
    let breaks_now = match clause {
        "CLOCK-NOW-1" => true,
        "CLOCK-SLEEP-1" => false,
        _ => panic!("no double breaks {clause}: add it"),
    };
    rig.wrapped(|inner| -> Arc<dyn Clock> {
        Arc::new(Broken { inner, breaks_now, calls: AtomicU32::new(0) })
    })
}

struct Broken {
    inner: Arc<dyn Clock>,
    breaks_now: bool,
    calls: AtomicU32,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Clock for Broken {
    fn now(&self) -> Timestamp {
        let now = self.inner.now();
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.breaks_now && calls % 100 == 99 { now.minus(Duration::from_secs(1)) } else { now }
    }

    async fn sleep(&self, span: Duration) {
        let span = if self.breaks_now { span } else { span / 2 };
        self.inner.sleep(span).await;
    }
}
