//! Every port seen from another process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::every_port::{Stores, every_port, role};
use hexmem_ports::Capability;

async fn open(file: &str) -> Stores {
    let database = Database::open(SqliteConfig::new(file), Arc::new(SystemClock)).await.unwrap();
    Stores {
        key_value: Some(Arc::new(database.key_value())),
        graph: Some(Arc::new(database.graphs())),
        sessions: Some(Arc::new(database.sessions())),
        cache: Some(Arc::new(database.cache())),
        queue: Some(Arc::new(database.queue())),
        vectors: Some(Arc::new(database.vectors())),
    }
}

#[tokio::test]
#[ignore = "the other process of the test below"]
async fn role_write() {
    role(open).await;
}

#[tokio::test]
async fn what_another_process_acknowledged_is_there_for_every_port() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let proves = [Capability::Durable, Capability::MultiProcess];
    every_port("sqlite", &proves, file.to_str().unwrap(), open).await;
}
