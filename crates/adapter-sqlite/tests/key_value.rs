//! The suite of keys and values over SQLite, and the plans of its statements.

use std::sync::Arc;

use hexmem_adapter_memory::ManualClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::{Rig, manual_time, minimum};
use hexmem_ports::{KeyValueStore, Records};
use sqlx::AssertSqlSafe;

async fn rig() -> Rig<dyn KeyValueStore> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let open = async |name: &str| {
        let config = SqliteConfig::new(folder.path().join(name));
        Database::open(config, clock.clone()).await.unwrap().key_value()
    };
    let store = Arc::new(open("a.db").await);
    let other = Arc::new(open("a.db").await);
    let twin = Arc::new(open("b.db").await);
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let declares = store.capabilities();
    let mut rig = Rig::new("sqlite", store.clone() as Arc<dyn KeyValueStore>, declares, time);
    rig.other = other;
    rig.records = Some(store as Arc<dyn Records>);
    rig.twin = Some((twin.clone(), twin));
    rig.guard = Some(Arc::new(folder));
    rig
}

hexmem_conformance::key_value_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("sqlite", "key_value", &rig().await.declares);
}

#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("x.db"));
    let database = Database::open(config, Arc::new(ManualClock::default())).await.unwrap();
    for sql in [
        include_str!("../src/sql/key_value/get_many.sql"),
        include_str!("../src/sql/key_value/state.sql"),
        include_str!("../src/sql/key_value/value.sql"),
        include_str!("../src/sql/key_value/expire.sql"),
        include_str!("../src/sql/key_value/scan.sql"),
        include_str!("../src/sql/key_value/sweep.sql"),
        include_str!("../src/sql/key_value/records.sql"),
        include_str!("../src/sql/replay/find.sql"),
        include_str!("../src/sql/replay/prune.sql"),
        include_str!("../src/sql/outbox/ack.sql"),
    ] {
        let mut read = database.read("test.plan").await.unwrap();
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(explain).fetch_all(read.connection()).await.unwrap();
        for (.., step) in plan {
            let scans = step.starts_with("SCAN") && !step.contains("VIRTUAL TABLE");
            assert!(!scans && !step.contains("TEMP B-TREE"), "{step} in {sql}");
        }
    }
}
