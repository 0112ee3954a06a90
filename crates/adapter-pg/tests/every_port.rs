//! Every port seen from another process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod every;
mod rig;

#[tokio::test]
async fn what_another_process_acknowledged_is_there_for_every_port() {
    let database = rig::Database::migrated().await;
    let ports = ["key_value", "graph", "sessions", "cache", "queue", "vectors"];
    every::every_port("pg", &database.url, &ports).await;
}
