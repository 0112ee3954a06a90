//! No statement on graphs reads a whole table: each seeks in an index, so that its cost does not grow with the file.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use sqlx::Row as _;

#[tokio::test]
async fn every_statement_seeks_in_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("x.db"));
    let database = Database::open(config, Arc::new(SystemClock)).await.unwrap();
    let mut read = database.read("test.plan").await.unwrap();
    let statements = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql/graph");
    let (mut looked, mut scans) = (0, Vec::new());
    for file in fs::read_dir(statements).unwrap().map(|entry| entry.unwrap().path()) {
        let sql = format!("EXPLAIN QUERY PLAN {}", fs::read_to_string(&file).unwrap());
        // What is bound does not change the plan: nothing is.
        let steps = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_all(read.connection()).await;
        let steps = steps.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        looked += 1;
        for step in steps {
            let step: String = step.get("detail");
            // The ids that the caller gave are a table of their own.
            let given = ["SCAN given", "SCAN json_each", "SCAN CONSTANT ROW"];
            if step.starts_with("SCAN ") && !given.iter().any(|given| step.starts_with(given)) {
                scans.push(format!("{}: {step}", file.file_name().unwrap().to_string_lossy()));
            }
        }
    }
    assert!(looked > 40, "{looked}");
    assert_eq!(scans, [] as [String; 0]);
}
