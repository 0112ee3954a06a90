//! Two processes work one queue and are killed at random.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig, Synchronous};
use hexmem_conformance::queue::crash;
use hexmem_ports::CommandQueue;

async fn open(file: &str) -> Arc<dyn CommandQueue> {
    // The process is killed, not the machine: what the system holds of the log survives.
    let config = SqliteConfig { synchronous: Synchronous::Normal, ..SqliteConfig::new(file) };
    Arc::new(Database::open(config, Arc::new(SystemClock)).await.unwrap().queue())
}

#[tokio::test]
async fn child() {
    crash::child(open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_no_command_and_complete_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("q.db");
    crash::killed_workers(file.to_str().unwrap(), folder.path(), 2_000, open).await;
}
