//! The suite of queues on PostgreSQL: two handles that share nothing, as two processes would have.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_conformance::{Rig, minimum};
use hexmem_ports::CommandQueue;

async fn rig() -> Rig<dyn CommandQueue> {
    let bench = rig::bench().await;
    let clock = Arc::new(rig::Seconds(bench.clock.clone()));
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
