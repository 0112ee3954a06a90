//! Every port seen from another process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_adapter_pg::Postgres;
use hexmem_conformance::every_port::{Stores, every_port, role};
use hexmem_ports::Capability;

async fn open(url: &str) -> Stores {
    let postgres = Postgres::connect(rig::config(url)).await.unwrap();
    Stores {
        key_value: Some(Arc::new(postgres.key_value())),
        graph: Some(Arc::new(postgres.graphs())),
        sessions: Some(Arc::new(postgres.sessions())),
        cache: Some(Arc::new(postgres.cache())),
        queue: Some(Arc::new(postgres.queue())),
        vectors: Some(Arc::new(postgres.vectors())),
    }
}

#[tokio::test]
#[ignore = "the other process of the test below"]
async fn role_write() {
    role(open).await;
}

#[tokio::test]
async fn what_another_process_acknowledged_is_there_for_every_port() {
    let database = rig::Database::migrated().await;
    let proves = [Capability::Durable, Capability::MultiProcess];
    every_port("pg", &proves, &database.url, open).await;
}
