//! The vectors suite on a cluster: a handle on each of two nodes, each collection in a shard on each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_qdrant::QdrantConfig;
use hexmem_conformance::every_port::{self, Stores, role};
use hexmem_conformance::{Rig, minimum};
use hexmem_ports::{Capability, VectorStore};

async fn rig() -> Rig<dyn VectorStore> {
    rig::cluster().await
}

hexmem_conformance::vectors_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("qdrant-cluster", "vectors", &rig().await.declares);
}

/// The stores of a prefix, through one of the nodes.
async fn open(node: usize, prefix: &str) -> Stores {
    let url = rig::cluster_urls().swap_remove(node);
    let config =
        QdrantConfig { shard_number: Some(2), prefix: prefix.to_owned(), ..rig::config(url) };
    let vectors = rig::open(config, Arc::new(SystemClock)).await.vectors();
    Stores { vectors: Some(Arc::new(vectors)), ..Stores::default() }
}

#[tokio::test]
#[ignore = "the other process of the test below"]
async fn role_write() {
    role(async |prefix| open(0, prefix).await).await;
}

#[tokio::test]
async fn what_another_process_acknowledged_at_one_node_is_there_at_the_other() {
    let ([config, _], _cleaner) = rig::two_nodes();
    let proves = [Capability::Durable, Capability::MultiProcess];
    let here = async |prefix: &str| open(1, prefix).await;
    every_port::every_port("qdrant-cluster", &proves, &config.prefix, here).await;
}
