//! The sessions suite on SQLite: two handles on one file, as two processes would have.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_adapter_memory::ManualClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::{Rig, minimum};
use hexmem_ports::SessionStore;
use sqlx::{AssertSqlSafe, Row as _};

async fn rig() -> Rig<dyn SessionStore> {
    rig::rig(
        Database::sessions,
        |store| store as Arc<dyn SessionStore>,
        |store| store.capabilities(),
    )
    .await
}

hexmem_conformance::sessions_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("sqlite", "sessions", &rig().await.declares);
}

/// Each statement finds its rows by an index: nothing reads the whole table.
#[tokio::test]
async fn no_statement_reads_the_whole_table() {
    let statements = [
        ("find", include_str!("../src/sql/sessions/find.sql"), "PRIMARY KEY"),
        ("spent", include_str!("../src/sql/sessions/spent.sql"), "PRIMARY KEY"),
        ("touch", include_str!("../src/sql/sessions/touch.sql"), "PRIMARY KEY"),
        ("update", include_str!("../src/sql/sessions/update.sql"), "PRIMARY KEY"),
        ("token", include_str!("../src/sql/sessions/token.sql"), "PRIMARY KEY"),
        ("rotated", include_str!("../src/sql/sessions/rotated.sql"), "PRIMARY KEY"),
        ("by_id", include_str!("../src/sql/sessions/by_id.sql"), "sessions_id"),
        ("get", include_str!("../src/sql/sessions/get.sql"), "sessions_id"),
        ("list", include_str!("../src/sql/sessions/list.sql"), "sessions_id"),
        ("over_cap", include_str!("../src/sql/sessions/over_cap.sql"), "sessions_id"),
        ("cluster", include_str!("../src/sql/sessions/list_by_cluster.sql"), "sessions_cluster"),
        (
            "correlation",
            include_str!("../src/sql/sessions/list_by_correlation.sql"),
            "sessions_correlation",
        ),
        ("revoke", include_str!("../src/sql/sessions/revoke.sql"), "sessions_id"),
        ("revoke_all", include_str!("../src/sql/sessions/revoke_all.sql"), "sessions_id"),
        ("count", include_str!("../src/sql/sessions/count.sql"), "sessions_tenant"),
        ("postpone", include_str!("../src/sql/sessions/sweep_postpone.sql"), "sessions_sweep"),
        ("delete", include_str!("../src/sql/sessions/sweep_delete.sql"), "sessions_sweep"),
        ("forget", include_str!("../src/sql/sessions/forget_tokens.sql"), "session_tokens_session"),
        ("end", include_str!("../src/sql/sessions/end_tokens.sql"), "session_tokens_session"),
        ("tokens", include_str!("../src/sql/sessions/scan_tokens.sql"), "session_tokens_session"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("x.db"));
    let database = Database::open(config, Arc::new(ManualClock::default())).await.unwrap();
    let mut read = database.read("test.explain").await.unwrap();
    for (name, sql, index) in statements {
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
            .fetch_all(read.connection())
            .await
            .unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let scans = plan
            .iter()
            .any(|step| step.starts_with("SCAN ") && !step.starts_with("SCAN (subquery"));
        assert!(!scans && plan.iter().any(|step| step.contains(index)), "{name}: {plan:#?}");
        let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
        assert!(!sorts || name == "over_cap", "{name} sorts: {plan:#?}");
    }
}
