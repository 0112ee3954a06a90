//! Two processes work one queue and are killed at random.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_adapter_redis::Redis;
use hexmem_conformance::queue::crash;
use hexmem_ports::CommandQueue;
use rig::{Servers, Space};

async fn open(prefix: &str) -> Arc<dyn CommandQueue> {
    let config = Servers::Single.config().prefix(prefix);
    Arc::new(Redis::connect(config).await.unwrap().queue())
}

#[tokio::test]
async fn child() {
    crash::child(open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_no_command_and_complete_none_twice() {
    let space = Space::new(Servers::Single);
    let folder = tempfile::tempdir().unwrap();
    crash::killed_workers(&space.config.prefix, folder.path(), 2_000, open).await;
}
