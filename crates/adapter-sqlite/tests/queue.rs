//! The suite of the queue over a file, and what its statements cost.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use hexmem_adapter_memory::ManualClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::{Rig, manual_time, minimum};
use hexmem_ports::CommandQueue;
use sqlx::{AssertSqlSafe, Row as _};

async fn rig() -> Rig<dyn CommandQueue> {
    let clock = Arc::new(ManualClock::default());
    let folder = tempfile::tempdir().unwrap();
    let open = async |file: &str| {
        let config = SqliteConfig::new(folder.path().join(file));
        Database::open(config, clock.clone()).await.unwrap()
    };
    let database = open("a.db").await;
    let store = database.queue();
    let other = open("a.db").await.queue();
    let twin = open("b.db").await.queue();
    let time = {
        let clock = clock.clone();
        manual_time(clock.clone(), move |span| clock.advance(span))
    };
    let declares = store.capabilities();
    let mut rig: Rig<dyn CommandQueue> =
        Rig::new("sqlite", Arc::new(store.clone()), declares, time);
    rig.other = Arc::new(other);
    rig.outbox = Some(Arc::new(database.outbox()));
    rig.records = Some(Arc::new(store));
    rig.twin = Some((Arc::new(twin.clone()), Arc::new(twin)));
    rig.guard = Some(Arc::new(folder));
    rig
}

hexmem_conformance::queue_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("sqlite", "queue", &rig().await.declares);
}

/// The plan of a statement with every parameter bound.
async fn plan(database: &Database, sql: &str) -> String {
    let mut read = database.read("test").await.unwrap();
    let count = (1..=9).filter(|n| sql.contains(&format!("?{n}"))).count();
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let mut query = sqlx::query(explain);
    for _ in 0..count {
        query = query.bind(1i64);
    }
    let rows = query.fetch_all(read.connection()).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get::<String, _>("detail")).collect();
    lines.join("\n")
}

#[tokio::test]
async fn hot_statements_are_index_ranges() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("a.db"));
    let database = Database::open(config, Arc::new(ManualClock::default())).await.unwrap();
    for (sql, index) in [
        (include_str!("../src/sql/queue/find.sql"), "sqlite_autoindex_queue_1"),
        (include_str!("../src/sql/queue/ready.sql"), "queue_command_ready"),
        (include_str!("../src/sql/queue/due.sql"), "queue_command_due"),
        (include_str!("../src/sql/queue/in_flight.sql"), "queue_command_leased"),
        (include_str!("../src/sql/queue/command.sql"), "queue_command_id"),
        (include_str!("../src/sql/queue/stamp.sql"), "queue_command_id"),
        (include_str!("../src/sql/queue/group_busy.sql"), "queue_command_group"),
        (include_str!("../src/sql/queue/view.sql"), "queue_command_id"),
        (include_str!("../src/sql/queue/result.sql"), "queue_command_id"),
        (include_str!("../src/sql/queue/dead.sql"), "queue_command_dead"),
        (include_str!("../src/sql/queue/peek.sql"), "queue_command_due"),
        (include_str!("../src/sql/queue/sweep_commands.sql"), "queue_command_free"),
        (include_str!("../src/sql/queue/scan_commands.sql"), "queue_command_id"),
        (include_str!("../src/sql/queue/list.sql"), "queue_name"),
    ] {
        let plan = plan(&database, sql).await;
        assert!(plan.contains(index), "not by {index}:\n{sql}\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "sorts:\n{sql}\n{plan}");
        let scans = plan.lines().any(|line| line.starts_with("SCAN c") && !line.contains("INDEX"));
        assert!(!scans, "scans the table:\n{sql}\n{plan}");
    }
}
