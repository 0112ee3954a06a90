//! The sessions suite on PostgreSQL: two handles that share nothing, as two processes would have.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_conformance::{Rig, minimum};
use hexmem_ports::SessionStore;

async fn rig() -> Rig<dyn SessionStore> {
    rig::bench().await.rig(
        |postgres| Arc::new(postgres.sessions()),
        |store| store as Arc<dyn SessionStore>,
        |store| store.capabilities(),
    )
}

hexmem_conformance::sessions_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("pg", "sessions", &rig().await.declares);
}
