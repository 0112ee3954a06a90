//! Two processes work one queue and are killed at random.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_adapter_pg::{PgConfig, Postgres};
use hexmem_conformance::queue::crash;
use hexmem_ports::CommandQueue;

async fn open(url: &str) -> Arc<dyn CommandQueue> {
    Arc::new(Postgres::connect(PgConfig::new(url)).await.unwrap().queue())
}

#[tokio::test]
async fn child() {
    crash::child(open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_no_command_and_complete_none_twice() {
    let database = rig::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    crash::killed_workers(&database.url, folder.path(), 1_000, open).await;
}
