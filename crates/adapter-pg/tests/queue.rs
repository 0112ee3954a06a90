//! The suite of queues on PostgreSQL: two handles that share nothing, as two processes would have.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hexmem_conformance::{Rig, TestClock, minimum};
use hexmem_ports::{CommandQueue, Timestamp};

/// The clock of a database in units of a second: a worker that waits is believed to be there for ten.
struct Seconds(Arc<rig::ServerClock>);

#[async_trait]
impl TestClock for Seconds {
    fn unit(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn now(&self) -> Timestamp {
        self.0.now().await
    }

    async fn advance(&self, units: u32) {
        self.0.add(self.unit() * units).await;
    }
}

async fn rig() -> Rig<dyn CommandQueue> {
    let bench = rig::bench().await;
    let clock = Arc::new(Seconds(bench.clock.clone()));
    let mut rig = bench.rig(
        |postgres| Arc::new(postgres.queue()),
        |store| store as Arc<dyn CommandQueue>,
        |store| store.capabilities(),
    );
    rig.clock = clock;
    rig
}

hexmem_conformance::queue_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("pg", "queue", &rig().await.declares);
}
