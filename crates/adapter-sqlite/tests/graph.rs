//! The graph suite over SQLite, and the plans of its statements.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_adapter_memory::ManualClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::{Rig, minimum};
use hexmem_ports::GraphStore;
use sqlx::AssertSqlSafe;

async fn rig() -> Rig<dyn GraphStore> {
    rig::rig(Database::graphs, |store| store as Arc<dyn GraphStore>, |store| store.capabilities())
        .await
}

hexmem_conformance::graph_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("sqlite", "graph", &rig().await.declares);
}

macro_rules! sql {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../src/sql/graph/", $name, ".sql")))),*]
    };
}

/// What every batch and every read of one element runs: never a whole table, never the whole graph, never a sort.
#[tokio::test]
async fn what_touches_few_rows_reads_few_rows() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("x.db"));
    let database = Database::open(config, Arc::new(ManualClock::default())).await.unwrap();
    let hot = sql![
        "graph",
        "list",
        "batch_find",
        "advance",
        "nodes_last",
        "edges_last",
        "nodes_by_id",
        "edges_by_id",
        "nodes_find",
        "nodes_find_kind",
        "edges_find",
        "versions_find",
        "edge_left",
        "node_history",
        "edge_history",
        "log_upto",
        "log_read",
        "log_nodes",
        "log_edges",
        "node_end",
        "edge_end",
        "node_purge",
        "edge_purge",
        "records_graphs",
        "records_nodes",
        "records_edges",
    ];
    for (name, sql) in hot {
        for step in plan(&database, sql).await {
            let scans = step.starts_with("SCAN") && !step.contains("VIRTUAL TABLE");
            assert!(!scans && !step.contains("TEMP B-TREE"), "{step} in {name}");
            let whole = step.ends_with("(graph=?)");
            assert!(!whole, "{step} in {name} reads the whole graph");
        }
    }
}

/// Neighbours are sought node by node, facts of a source source by source; only what was found is sorted.
#[tokio::test]
async fn neighbours_and_sources_are_sought() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("x.db"));
    let database = Database::open(config, Arc::new(ManualClock::default())).await.unwrap();
    let by_end = sql![
        "edges_out",
        "edges_in",
        "edges_out_known",
        "edges_in_known",
        "versions_out",
        "versions_in",
        "edges_sourced",
        "edges_sourced_known",
        "versions_sourced",
    ];
    for (name, sql) in by_end {
        let steps = plan(&database, sql).await;
        let end = match name {
            name if name.contains("sourced") => "source=?",
            name if name.contains("out") => "src=?",
            _ => "dst=?",
        };
        assert!(steps.iter().any(|step| step.contains(end)), "{name}: {steps:?}");
        assert!(!steps.iter().any(|step| step == "SCAN edge"), "{name}: {steps:?}");
    }
}

async fn plan(database: &Database, sql: &str) -> Vec<String> {
    let mut read = database.read("test.plan").await.unwrap();
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let plan: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(explain).fetch_all(read.connection()).await.unwrap();
    plan.into_iter().map(|(.., step)| step).collect()
}
