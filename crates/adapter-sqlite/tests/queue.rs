//! The suite of the queue over a file, and what its statements cost.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::ManualClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::{Rig, minimum};
use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{
    Ack, CommandId, CommandQueue, CommandState, Enqueued, ErrorKind, Failure, LeaseRequest, Limit,
    Name, NewCommand, QueueId, Tenant, Ttl, Verdict, WhenIdle,
};
use serde_json::Value;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};
use uuid::Uuid;

async fn rig() -> Rig<dyn CommandQueue> {
    rig::rig(Database::queue, |store| store as Arc<dyn CommandQueue>, |store| store.capabilities())
        .await
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
        (include_str!("../src/sql/queue/stamps.sql"), "queue_command_id"),
        (include_str!("../src/sql/queue/commands.sql"), "queue_command_id"),
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

/// A connection of the caller's own, as an application has it.
async fn own(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(5));
    options.connect().await.unwrap()
}

fn plain(n: u128) -> NewCommand {
    NewCommand {
        id: CommandId(Uuid::from_u128(n)),
        payload: vec![],
        headers: Value::Null,
        priority: 0,
        delay: None,
        deadline: None,
        dedupe: None,
        group: None,
        retry: RetryPolicy::default(),
        result_ttl: Ttl::secs(60).unwrap(),
    }
}

#[tokio::test]
async fn commands_join_a_callers_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let clock = Arc::new(ManualClock::default());
    let database = Database::open(SqliteConfig::new(&file), clock.clone()).await.unwrap();
    let store = database.queue();
    let q = QueueId::new(Tenant(Name::new("t").unwrap()), Name::new("q").unwrap());
    let mut mine = own(&file).await;
    mine.execute("CREATE TABLE customer (name TEXT)").await.unwrap();
    let count = async |mine: &mut SqliteConnection| {
        let rows: i64 =
            sqlx::query_scalar("SELECT count(*) FROM customer").fetch_one(mine).await.unwrap();
        (rows, store.stats(&q).await.unwrap().ready)
    };
    let joined = async |tx: &mut SqliteConnection, commands: Vec<NewCommand>| {
        store.enqueue_in(tx, &q, commands, WhenIdle::Store).await
    };

    let mut tx = mine.begin_with("BEGIN IMMEDIATE").await.unwrap();
    tx.execute("INSERT INTO customer VALUES ('Ada')").await.unwrap();
    assert_eq!(joined(&mut *tx, vec![plain(1)]).await.unwrap(), [Enqueued::Queued]);
    tx.rollback().await.unwrap();
    assert_eq!(count(&mut mine).await, (0, 0), "neither");

    // What is refused takes back its own part and leaves the rest to the caller.
    let mut tx = mine.begin_with("BEGIN IMMEDIATE").await.unwrap();
    tx.execute("INSERT INTO customer VALUES ('Ada')").await.unwrap();
    let bad = NewCommand { headers: Value::String("\0".into()), ..plain(2) };
    let refused = joined(&mut *tx, vec![plain(1), bad]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    joined(&mut *tx, vec![plain(3), plain(4), plain(3)]).await.unwrap();
    assert_eq!(count(&mut own(&file).await).await, (0, 0), "not before the commit");
    tx.commit().await.unwrap();
    assert_eq!(count(&mut mine).await, (1, 2), "both");

    // A transaction begun by hand, and none at all.
    mine.execute("BEGIN").await.unwrap();
    joined(&mut mine, vec![plain(5)]).await.unwrap();
    mine.execute("COMMIT").await.unwrap();
    joined(&mut mine, vec![plain(6)]).await.unwrap();
    assert_eq!(count(&mut mine).await, (1, 4));

    // Another file, which has no queues.
    let mut elsewhere = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    assert!(joined(&mut elsewhere, vec![plain(7)]).await.is_err());
}

#[tokio::test]
async fn a_waiting_worker_looks_after_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let clock = Arc::new(ManualClock::default());
    let database = Database::open(SqliteConfig::new(&file), clock.clone()).await.unwrap();
    let store = database.queue();
    let q = QueueId::new(Tenant(Name::new("t").unwrap()), Name::new("q").unwrap());
    let request = LeaseRequest {
        worker: Name::new("w").unwrap(),
        max: Limit::new(1).unwrap(),
        visibility: Ttl::secs(60).unwrap(),
        wait: Duration::from_secs(3_600),
    };
    let push = async {
        let mut mine = own(&file).await;
        while store.stats(&q).await.unwrap().consumers == 0 {
            tokio::task::yield_now().await;
        }
        let mut tx = mine.begin_with("BEGIN IMMEDIATE").await.unwrap();
        store.enqueue_in(&mut tx, &q, vec![plain(1)], WhenIdle::Store).await.unwrap();
        tx.commit().await.unwrap();
        store.wake(&q);
    };
    // The clock stands still: nothing but the wake-up ends the wait.
    let (leased, ()) = tokio::join!(store.lease(&q, request), push);
    assert_eq!(leased.unwrap().len(), 1);
}

/// Lists are written by one statement, through JSON.
#[tokio::test]
async fn a_list_keeps_what_single_steps_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let config = SqliteConfig::new(folder.path().join("a.db"));
    let store = Database::open(config, clock.clone()).await.unwrap().queue();
    let q = QueueId::new(Tenant(Name::new("t").unwrap()), Name::new("q").unwrap());
    let request = LeaseRequest {
        worker: Name::new("w\"\u{1f600}\n").unwrap(),
        max: Limit::new(3).unwrap(),
        visibility: Ttl::secs(60).unwrap(),
        wait: Duration::ZERO,
    };
    let commands = vec![plain(1), plain(2), plain(3)];
    store.enqueue(&q, commands, WhenIdle::Store, Vec::new()).await.unwrap();
    for one in store.lease(&q, request.clone()).await.unwrap() {
        let progress = serde_json::json!({ "text": "a \\ and \u{7f}", "n": i64::MAX });
        store.progress(&q, &one.lease, progress).await.unwrap();
        let failure = Failure { error: "\"'\u{1}\0 \u{20ac}".into(), verdict: Verdict::Retry };
        store.fail(&q, &one.lease, failure).await.unwrap();
    }
    let before = store.view(&q, plain(2).id).await.unwrap().unwrap();
    clock.advance(Duration::from_secs(3_600));
    let leased = store.lease(&q, request).await.unwrap();
    assert_eq!(leased.len(), 3);
    let acks = leased.iter().map(|one| Ack { lease: one.lease, result: None }).collect();
    let done = store.ack(&q, acks, Vec::new()).await.unwrap();
    assert!(done.iter().all(Result::is_ok), "the leases were written: {done:?}");
    let after = store.view(&q, plain(2).id).await.unwrap().unwrap();
    assert!(before.last_error.is_some() && before.progress.is_some());
    assert_eq!((after.last_error, after.progress), (before.last_error, before.progress));
    assert_eq!((after.state, after.attempts), (CommandState::Completed, 2));
}
