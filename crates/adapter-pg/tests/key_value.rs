//! The suite of keys and values on PostgreSQL: two handles that share nothing, as two processes would have.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_conformance::{Rig, minimum};
use hexmem_ports::KeyValueStore;

async fn rig() -> Rig<dyn KeyValueStore> {
    rig::bench().await.rig(
        |postgres| Arc::new(postgres.key_value()),
        |store| store as Arc<dyn KeyValueStore>,
        |store| store.capabilities(),
    )
}

hexmem_conformance::key_value_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("pg", "key_value", &rig().await.declares);
}
