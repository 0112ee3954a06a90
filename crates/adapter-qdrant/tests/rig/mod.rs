//! Collections of its own for each test, on the server of `HEXMEM_TEST_QDRANT_URL`.
#![allow(dead_code, reason = "each test file uses its part of the rig")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

pub(crate) mod server;

use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, SystemClock};
use hexmem_adapter_qdrant::{Qdrant, QdrantConfig};
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{Clock, Records, VectorStore};

/// The nodes of the cluster of the tests.
pub(crate) fn cluster_urls() -> Vec<String> {
    let urls = std::env::var("HEXMEM_TEST_QDRANT_CLUSTER_URL").unwrap_or_else(|_| {
        panic!("HEXMEM_TEST_QDRANT_CLUSTER_URL names no cluster; `cargo xtask test` starts one")
    });
    urls.split(',').map(str::to_owned).collect()
}

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

/// Settings under a prefix that no other test uses. What is under it is dropped at the end.
fn own_prefix(config: QdrantConfig) -> (QdrantConfig, Cleaner) {
    let prefix = format!("t{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let url = config.url.clone();
    (QdrantConfig { prefix: prefix.clone(), ..config }, Cleaner { url, prefix })
}

/// A handle on the server, under a prefix of its own.
pub(crate) async fn own() -> (Qdrant, Cleaner) {
    let (config, cleaner) = own_prefix(config(server_url()));
    (open(config, Arc::new(SystemClock)).await, cleaner)
}

/// Drops all collections of a prefix.
pub(crate) struct Cleaner {
    url: String,
    prefix: String,
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        // The twin's too.
        let (url, begins) = (self.url.clone(), self.prefix.clone());
        // Not on the test's own threads: they may be ending.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let client = qdrant_client::Qdrant::from_url(&url)
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

/// A rig with two handles on one prefix of the server.
pub(crate) async fn bench() -> Rig<dyn VectorStore> {
    let (config, cleaner) = own_prefix(config(server_url()));
    rig("qdrant", [config.clone(), config], cleaner).await
}

/// Settings for each of two nodes, and collections of two shards.
pub(crate) fn two_nodes() -> ([QdrantConfig; 2], Cleaner) {
    let urls = cluster_urls();
    let sharded = QdrantConfig { shard_number: Some(2), ..config(&urls[0]) };
    let (first, cleaner) = own_prefix(sharded);
    let second = QdrantConfig { url: urls[1].clone(), ..first.clone() };
    ([first, second], cleaner)
}

/// A rig with a handle on each of two nodes.
pub(crate) async fn cluster() -> Rig<dyn VectorStore> {
    let (nodes, cleaner) = two_nodes();
    rig("qdrant-cluster", nodes, cleaner).await
}

async fn rig(
    adapter: &'static str,
    configs: [QdrantConfig; 2],
    cleaner: Cleaner,
) -> Rig<dyn VectorStore> {
    let clock = Arc::new(ManualClock::default());
    let [first, second] = configs;
    let apart = first.clone();
    let store = Arc::new(open(first, Arc::clone(&clock) as Arc<dyn Clock>).await.vectors());
    let other = Arc::new(open(second, Arc::clone(&clock) as Arc<dyn Clock>).await.vectors());
    let apart = QdrantConfig { prefix: format!("{}-twin", apart.prefix), ..apart };
    let twin = Arc::new(open(apart, Arc::clone(&clock) as Arc<dyn Clock>).await.vectors());
    let declares = store.capabilities();
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let shared = Arc::clone(&store) as Arc<dyn VectorStore>;
    let mut rig = Rig::new(adapter, shared, declares, time);
    rig.other = other;
    rig.twin = Some((Arc::clone(&twin) as Arc<dyn VectorStore>, twin as Arc<dyn Records>));
    rig.records = Some(store);
    rig.guard = Some(Arc::new(cleaner));
    rig
}
