//! The suite of keys and values over SQLite, and the plans of its statements.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod rig;

use std::sync::Arc;

use hexmem_adapter_memory::ManualClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::{Rig, minimum};
use hexmem_ports::KeyValueStore;
use sqlx::AssertSqlSafe;

async fn rig() -> Rig<dyn KeyValueStore> {
    rig::rig(
        Database::key_value,
        |store| store as Arc<dyn KeyValueStore>,
        |store| store.capabilities(),
    )
    .await
}

hexmem_conformance::key_value_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("sqlite", "key_value", &rig().await.declares);
}

#[tokio::test]
async fn every_statement_looks_up_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("x.db"));
    let database = Database::open(config, Arc::new(ManualClock::default())).await.unwrap();
    // Each with the search that must be its own; whatever else it does, it scans nothing and sorts nothing.
    let key = "key_value_key (bucket=? AND key=?)";
    for (sql, search) in [
        (include_str!("../src/sql/key_value/get_many.sql"), key),
        (include_str!("../src/sql/key_value/state.sql"), key),
        (include_str!("../src/sql/key_value/value.sql"), key),
        (include_str!("../src/sql/key_value/expire.sql"), key),
        (
            include_str!("../src/sql/key_value/scan.sql"),
            "key_value_key (bucket=? AND key>? AND key<?)",
        ),
        (include_str!("../src/sql/key_value/sweep.sql"), "key_value_free (free_at<?)"),
        (include_str!("../src/sql/key_value/records.sql"), "key_value_key ((bucket,key)>(?,?))"),
        (include_str!("../src/sql/replay/find.sql"), "PRIMARY KEY (op_hash=?)"),
        (include_str!("../src/sql/replay/prune.sql"), "replay_expiry (expires_at<?)"),
        (include_str!("../src/sql/outbox/ack.sql"), "outbox_lease (lease=?)"),
        (include_str!("../src/sql/outbox/lease.sql"), "outbox_held (leased_until>?)"),
    ] {
        let mut read = database.read("test.plan").await.unwrap();
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(explain).fetch_all(read.connection()).await.unwrap();
        let steps: Vec<String> = plan.into_iter().map(|(.., step)| step).collect();
        assert!(steps.iter().any(|step| step.contains(search)), "{steps:?} of {sql}");
        for step in &steps {
            // The given keys; the oldest effects, in order, up to the limit.
            let walks = step.contains("VIRTUAL TABLE") || step == "SCAN free";
            assert!(walks || !step.starts_with("SCAN"), "{step} of {sql}");
            assert!(!step.contains("TEMP B-TREE"), "{step} of {sql}");
        }
    }
}
