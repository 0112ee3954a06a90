//! Writers on one file take turns, also when they know nothing of each other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{BucketId, KeyValueStore as _, KvSet, Name, Tenant};

async fn open(path: &Path) -> Database {
    Database::open(SqliteConfig::new(path), Arc::new(SystemClock)).await.unwrap()
}

async fn write(database: &Database) {
    let bucket = BucketId::new(Tenant(Name::new("acme").unwrap()), Name::new("b").unwrap());
    let key = Name::new("key").unwrap();
    database.key_value().set(&bucket, &key, KvSet::new(*b"value")).await.unwrap();
}

/// Each handle has its own connections, as another process would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_writer_keeps_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.db");
    let (busy, other) = (open(&path).await, open(&path).await);
    let (done, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let without_a_break = tokio::spawn({
        let (done, written) = (Arc::clone(&done), Arc::clone(&written));
        async move {
            while !done.load(Ordering::Relaxed) {
                write(&busy).await;
                written.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    while written.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let before = written.load(Ordering::Relaxed);
    for _ in 0..100 {
        write(&other).await;
    }
    let meanwhile = written.load(Ordering::Relaxed) - before;
    done.store(true, Ordering::Relaxed);
    without_a_break.await.unwrap();
    // In turns about one each; as SQLite lets them wait it is forty.
    assert!(meanwhile <= 500, "{meanwhile} writes while another made 100");
}

/// A file whose place cannot be made is written to all the same.
#[tokio::test]
async fn a_folder_where_the_place_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.db");
    std::fs::create_dir(folder.path().join("memory.db-turn")).unwrap();
    write(&open(&path).await).await;
}

/// Who was stopped in its place holds the others up for a second at most, or the busy timeout where that is shorter.
#[tokio::test]
async fn a_place_that_is_never_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.db");
    let config = SqliteConfig { busy_timeout_ms: 1, ..SqliteConfig::new(&path) };
    let database = Database::open(config, Arc::new(SystemClock)).await.unwrap();
    let stopped = std::fs::File::open(folder.path().join("memory.db-turn")).unwrap();
    stopped.lock().unwrap();
    write(&database).await;
}
