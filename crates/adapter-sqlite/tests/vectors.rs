//! The vectors suite on SQLite: two handles on one file, as two processes would have.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_adapter_memory::ManualClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::{Rig, minimum};
use hexmem_ports::VectorStore;
use sqlx::{AssertSqlSafe, Row as _};

async fn rig() -> Rig<dyn VectorStore> {
    rig::rig(Database::vectors, |store| store as Arc<dyn VectorStore>, |store| store.capabilities())
        .await
}

hexmem_conformance::vectors_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("sqlite", "vectors", &rig().await.declares);
}

/// Each statement of searches and writes finds its rows by an index: nothing reads a whole table.
#[tokio::test]
async fn no_statement_reads_the_whole_table() {
    macro_rules! sql {
        ($($name:literal $index:literal,)*) => {
            [$(($name, include_str!(concat!("../src/sql/vectors/", $name, ".sql")), $index)),*]
        };
    }
    let statements = sql![
        "resolve" "key_hash",
        "collection" "key_hash",
        "alias" "key_hash",
        "list" "vector_collections_name",
        "alias_drop" "vector_aliases_target",
        "live_load" "(collection=?)",
        "find" "vector_points_id",
        "points_remove" "PRIMARY KEY",
        "points_by_at" "PRIMARY KEY",
        "points_after" "PRIMARY KEY",
        "points_by_id" "vector_points_id",
        "points_scroll" "vector_points_id",
        "points_whole" "PRIMARY KEY",
        "clear_points" "PRIMARY KEY",
        "gone_remove" "PRIMARY KEY",
        "gone_scroll" "PRIMARY KEY",
        "versions" "vector_points_id",
        "segments" "PRIMARY KEY",
        "postings_all" "segment=?",
        "postings_remove" "segment=?",
        "postings_find" "first_term<?",
        "postings_range" "first_term>? AND first_term<?",
        "dense_after" "first_ord>?",
        "dense_of" "first_ord<?",
        "dense_last" "channel=?",
        "dense_blocks" "channel=?",
        "dense_blocks_of" "first_ord<?",
        "dense_cut" "first_ord=?",
        "near" "PRIMARY KEY",
        "near_pages" "channel=?",
        "near_pages_since" "vector_near_pages_version",
        "scan_collections" "PRIMARY KEY",
        "scan_aliases" "PRIMARY KEY",
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
        // The JSON lists that name what is wanted are read whole.
        let scans = plan.iter().any(|step| {
            step.starts_with("SCAN ")
                && !step.contains("VIRTUAL TABLE")
                && !step.starts_with("SCAN (subquery")
        });
        assert!(!scans && plan.iter().any(|step| step.contains(index)), "{name}: {plan:#?}");
        let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
        assert!(!sorts || name == "resolve", "{name} sorts: {plan:#?}");
    }
}
