//! The suite of the cache on PostgreSQL: two handles that share nothing, as two processes would have.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_conformance::{Rig, minimum};
use hexmem_ports::CacheStore;

async fn rig() -> Rig<dyn CacheStore> {
    rig::bench().await.rig(
        |postgres| Arc::new(postgres.cache()),
        |store| store as Arc<dyn CacheStore>,
        |store| store.capabilities(),
    )
}

hexmem_conformance::cache_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("pg", "cache", &rig().await.declares);
}
