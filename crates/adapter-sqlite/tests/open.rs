//! Opening a file, taking turns, and what becomes of a change that is not committed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, SystemClock};
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{Digest, Effect, Limit, Name, Outbox as _, REPLAY_WINDOW, Ttl};
use serde_json::json;
use uuid::Uuid;

fn effect(key: &str) -> Effect {
    Effect {
        id: Uuid::new_v4(),
        topic: Name::new("t").unwrap(),
        key: Name::new(key).unwrap(),
        payload: json!({"a": [1, "x"]}),
    }
}

async fn open(folder: &tempfile::TempDir) -> Database {
    Database::open(SqliteConfig::new(folder.path().join("sub/x.db")), Arc::new(SystemClock))
        .await
        .unwrap()
}

async fn push(database: &Database, key: &str) {
    let mut tx = database.write("test.push").await.unwrap();
    tx.push_effects(&[effect(key)]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_open_a_new_file_at_once_and_all_write() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("a/b/x.db"));
    let tasks: Vec<_> = (0..10)
        .map(|i| {
            let config = config.clone();
            tokio::spawn(async move {
                let database = Database::open(config, Arc::new(SystemClock)).await.unwrap();
                push(&database, &format!("k{i}")).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let database = Database::open(config, Arc::new(SystemClock)).await.unwrap();
    assert_eq!(database.outbox().depth().await.unwrap(), 10);
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_and_its_log_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    push(&database, "k").await;
    for name in ["x.db", "x.db-wal", "x.db-shm"] {
        let found = std::fs::metadata(folder.path().join("sub").join(name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_change_that_is_dropped_leaves_nothing_and_the_next_one_goes_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let mut tx = database.write("test.push").await.unwrap();
    tx.push_effects(&[effect("k")]).await.unwrap();
    drop(tx);
    assert_eq!(database.outbox().depth().await.unwrap(), 0);
    push(&database, "k").await;
    assert_eq!(database.outbox().depth().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_cancelled_anywhere_holds_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (open(&folder).await, open(&folder).await);
    let mut acknowledged = 0;
    for i in 0..200u64 {
        let work = async {
            let mut tx = one.write("test.push").await.unwrap();
            tx.push_effects(&[effect("k"), effect("l")]).await.unwrap();
            tx.commit().await.unwrap();
        };
        let limit = Duration::from_micros(i * 20);
        acknowledged += u64::from(tokio::time::timeout(limit, work).await.is_ok());
        push(&two, "m").await;
    }
    let depth = one.outbox().depth().await.unwrap();
    // A commit may have happened though its answer was not waited for, but never half of it.
    assert!(depth >= 200 + 2 * acknowledged, "{depth} after {acknowledged}");
    assert_eq!(depth % 2, 0);
}

#[tokio::test]
async fn readers_do_not_wait_for_a_writer_and_a_snapshot_stays() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let mut tx = database.write("test.push").await.unwrap();
    tx.push_effects(&[effect("k")]).await.unwrap();
    assert_eq!(database.outbox().depth().await.unwrap(), 0);
    let mut snapshot = database.snapshot("test.read").await.unwrap();
    let count = "SELECT count(*) FROM outbox";
    let before: i64 = sqlx::query_scalar(count).fetch_one(snapshot.connection()).await.unwrap();
    tx.commit().await.unwrap();
    let after: i64 = sqlx::query_scalar(count).fetch_one(snapshot.connection()).await.unwrap();
    assert_eq!((before, after), (0, 0));
    drop(snapshot);
    assert_eq!(database.outbox().depth().await.unwrap(), 1);
    database.close().await.unwrap();
}

#[tokio::test]
async fn an_answer_is_remembered_for_its_window() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let config = SqliteConfig::new(folder.path().join("x.db"));
    let database = Database::open(config, Arc::clone(&clock) as _).await.unwrap();
    let op = Digest::of(b"op");
    let mut tx = database.write("test.op").await.unwrap();
    assert_eq!(tx.replayed(&op).await.unwrap(), None);
    tx.remember(&op, b"7").await.unwrap();
    tx.commit().await.unwrap();
    clock.advance(REPLAY_WINDOW - Duration::from_micros(1));
    let mut tx = database.write("test.op").await.unwrap();
    assert_eq!(tx.replayed(&op).await.unwrap().as_deref(), Some(b"7".as_slice()));
    drop(tx);
    clock.advance(Duration::from_micros(1));
    let mut tx = database.write("test.op").await.unwrap();
    assert_eq!(tx.replayed(&op).await.unwrap(), None);
    tx.remember(&op, b"8").await.unwrap();
    assert_eq!(tx.replayed(&op).await.unwrap().as_deref(), Some(b"8".as_slice()));
}

#[tokio::test]
async fn the_outbox_leases_by_key_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    for key in ["a", "a", "b"] {
        push(&database, key).await;
    }
    let outbox = database.outbox();
    let visibility = Ttl::secs(60).unwrap();
    let first = outbox.lease(Limit::new(1).unwrap(), visibility).await.unwrap().unwrap();
    assert_eq!(first.entries[0].effect.key.as_str(), "a");
    let second = outbox.lease(Limit::new(9).unwrap(), visibility).await.unwrap().unwrap();
    assert_eq!(second.entries.len(), 1);
    assert_eq!(second.entries[0].effect.key.as_str(), "b");
    assert!(outbox.lease(Limit::default(), visibility).await.unwrap().is_none());
    outbox.ack(first.lease).await.unwrap();
    assert!(outbox.ack(first.lease).await.is_err());
    assert_eq!(outbox.depth().await.unwrap(), 2);
}
