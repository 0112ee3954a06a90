//! Memory and SQLite answer alike, to the bit, after many small and large writes and removals: segments are
//! merged, blocks rewritten, chunks of bitmaps freed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use hexmem_adapter_memory::{ManualClock, MemoryVectors};
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::vectors::agree_through_changes;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_agree_through_merges_and_removals() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let config = SqliteConfig::new(folder.path().join("x.db"));
    let database = Database::open(config, clock.clone()).await.unwrap();
    // Few vectors of so many numbers fill a block.
    agree_through_changes(&MemoryVectors::new(clock), &database.vectors(), 2_048).await;
    let mut read = database.read("test.left").await.unwrap();
    for table in ["points", "live", "segments", "postings", "dense"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM vector_{table}"));
        let left: i64 = sqlx::query_scalar(sql).fetch_one(read.connection()).await.unwrap();
        assert_eq!(left, 0, "{table} is empty once all points are gone");
    }
}
