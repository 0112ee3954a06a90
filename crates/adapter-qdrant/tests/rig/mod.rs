//! Collections of its own for each test, on the server of `HEXMEM_TEST_QDRANT_URL`.
#![allow(dead_code, reason = "each test file uses its part of the rig")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

pub(crate) mod server;

use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, SystemClock};
use hexmem_adapter_qdrant::{Qdrant, QdrantConfig};
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{Clock, Limit, Name, Prefix, Tenant, VectorStore};

/// The server of the tests. A suite without it does not pass in silence.
pub(crate) fn server_url() -> String {
    std::env::var("HEXMEM_TEST_QDRANT_URL").unwrap_or_else(|_| {
        panic!("HEXMEM_TEST_QDRANT_URL names no server; `cargo xtask test` starts one")
    })
}

/// Settings on `url`, with collections that are made quickly.
pub(crate) fn config(url: impl Into<String>) -> QdrantConfig {
    QdrantConfig { segments: Some(1), ..QdrantConfig::new(url) }
}

/// A handle of its own, as another process would have.
pub(crate) async fn open(config: QdrantConfig, clock: Arc<dyn Clock>) -> Qdrant {
    Qdrant::connect(config, clock).await.unwrap()
}

/// A handle on the server, under a prefix that no other test uses. What is under it is dropped at the end.
pub(crate) async fn own() -> (Qdrant, Cleaner) {
    let prefix = format!("t{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let config = QdrantConfig { prefix: prefix.clone(), ..config(server_url()) };
    (open(config, Arc::new(SystemClock)).await, Cleaner { prefix })
}

/// Drops all collections of a prefix.
pub(crate) struct Cleaner {
    prefix: String,
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        let begins = format!("{}.", self.prefix);
        // Not on the test's own threads: they may be ending.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let client = qdrant_client::Qdrant::from_url(&server_url())
                    .skip_compatibility_check()
                    .timeout(Duration::from_secs(30))
                    .build()?;
                for collection in client.list_collections().await?.collections {
                    if collection.name.starts_with(&begins) {
                        client.delete_collection(collection.name).await?;
                    }
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("collections of {} are left: {error}", self.prefix);
        }
    }
}

/// A rig with two handles on one prefix.
pub(crate) async fn bench() -> Rig<dyn VectorStore> {
    let clock = Arc::new(ManualClock::default());
    let (first, cleaner) = own().await;
    let config = first.config().clone();
    drop(first);
    let open = async || open(config.clone(), Arc::clone(&clock) as Arc<dyn Clock>).await.vectors();
    let (store, other) = (Arc::new(open().await), Arc::new(open().await));
    let declares = store.capabilities();
    let time = manual_time(clock.clone(), {
        let clock = Arc::clone(&clock);
        move |span| clock.advance(span)
    });
    let mut rig = Rig::new("qdrant", store as Arc<dyn VectorStore>, declares, time);
    rig.other = other;
    rig.guard = Some(Arc::new(cleaner));
    rig
}

/// All collections of a tenant.
pub(crate) async fn listed(store: &dyn VectorStore, tenant: &Tenant) -> Vec<Name> {
    let prefix = Prefix::default();
    store.list(tenant, &prefix, None, Limit::new(1_000).unwrap()).await.unwrap().items
}
