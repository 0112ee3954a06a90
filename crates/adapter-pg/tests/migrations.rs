//! Bringing the tables up to date: once, whoever comes; never over what a newer program has left.
//!
//! The other processes are this test program, run again for the test that is marked as a role.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::process::Stdio;

use hexmem_adapter_pg::{Migrate, PgConfig, Pooling, Postgres};
use hexmem_conformance::proved;
use hexmem_ports::{
    BucketId, Capability, ErrorKind, KeyValueExt as _, KeyValueStore as _, KvSet, Name, Tenant,
};

const URL: &str = "HEXMEM_TEST_ROLE_URL";
const TAG: &str = "HEXMEM_TEST_ROLE_TAG";

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn bucket() -> BucketId {
    BucketId::new(Tenant(name("t")), name("b"))
}

fn migrating(url: &str) -> PgConfig {
    PgConfig { migrate: Migrate::Connect, ..rig::config(url) }
}

#[tokio::test]
#[ignore = "a role, run by ten_instances_that_start_at_once_migrate_once"]
async fn role_start_and_write() {
    let (Ok(url), Ok(tag)) = (std::env::var(URL), std::env::var(TAG)) else { return };
    let postgres = Postgres::connect(migrating(&url)).await.unwrap();
    postgres.key_value().set(&bucket(), &name(&tag), KvSet::new(*b"here")).await.unwrap();
}

#[tokio::test]
async fn ten_instances_that_start_at_once_migrate_once() {
    let database = rig::Database::empty().await;
    let start = |n: u32| {
        hexmem_conformance::role_command("role_start_and_write")
            .env(URL, &database.url)
            .env(TAG, n.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let instances: Vec<_> = (0..10).map(start).collect();
    for mut instance in instances {
        assert!(instance.wait().unwrap().success());
    }
    let status = Postgres::schema_status(rig::config(&database.url)).await.unwrap();
    assert!(status.is_current(), "{status:?}");
    // Ready: the tables are there without the permission to make them.
    let postgres = Postgres::connect(rig::config(&database.url)).await.unwrap();
    for n in 0..10 {
        let key = name(&n.to_string());
        assert!(postgres.key_value().get(&bucket(), &key).await.unwrap().is_some(), "{n}");
    }
    let declares = postgres.key_value().capabilities();
    proved("pg", "key_value", "ten_instances", &[Capability::MultiProcess], &declares);
}

#[tokio::test]
async fn one_of_ten_tasks_applies_and_a_schema_is_a_store() {
    let database = rig::Database::empty().await;
    let runs = (0..10).map(|_| {
        let config = PgConfig { schema: "a_team".to_owned(), ..rig::config(&database.url) };
        tokio::spawn(Postgres::migrate_schema(config))
    });
    let mut applied = Vec::new();
    for run in runs.collect::<Vec<_>>() {
        applied.push(run.await.unwrap().unwrap().len());
    }
    applied.sort_unstable();
    assert!(applied[..9].iter().all(|steps| *steps == 0) && applied[9] > 0, "{applied:?}");
    // Another schema of the same database is another store.
    let own = PgConfig { schema: "a_team".to_owned(), ..rig::config(&database.url) };
    Postgres::connect(own).await.unwrap();
    let error = Postgres::connect(rig::config(&database.url)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

async fn refused(url: &str, says: &str) {
    for config in [rig::config(url), migrating(url)] {
        let error = Postgres::connect(config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_left_as_it_is() {
    let database = rig::Database::migrated().await;
    let mut beside = rig::connect(&database.url).await;
    rig::run(
        &mut beside,
        "INSERT INTO hexmem.schema_steps VALUES (9999, 'from the future', '\\x00', now())",
    )
    .await;
    // A digest of one byte is no digest: the table is not read as if it were.
    let error = Postgres::connect(rig::config(&database.url)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    rig::run(
        &mut beside,
        "UPDATE hexmem.schema_steps SET sha256 = sha256('x'::bytea) WHERE version = 9999",
    )
    .await;
    refused(&database.url, "has step 9999 (from the future), this program knows up to").await;
    refused(&database.url, "use a newer hexmem").await;
    let status = Postgres::schema_status(rig::config(&database.url)).await.unwrap();
    assert!(!status.is_current() && !status.steps.last().unwrap().known);
}

#[tokio::test]
async fn a_step_that_was_changed_is_noticed() {
    let database = rig::Database::migrated().await;
    let mut beside = rig::connect(&database.url).await;
    let change = "UPDATE hexmem.schema_steps SET sha256 = sha256('x'::bytea) WHERE version = 1";
    rig::run(&mut beside, change).await;
    refused(&database.url, "step 1 (base) of the database differs").await;
}

#[tokio::test]
async fn older_tables_say_how_many_steps_are_missing() {
    let database = rig::Database::migrated().await;
    let mut beside = rig::connect(&database.url).await;
    let newest = "DELETE FROM hexmem.schema_steps WHERE version > 1";
    rig::run(&mut beside, newest).await;
    let error = Postgres::connect(rig::config(&database.url)).await;
    let Err(error) = error else { return };
    assert!(error.to_string().contains("older than this program by"), "{error}");
    assert!(error.to_string().contains("hexmem schema migrate"), "{error}");
}

/// A step that fails leaves nothing of itself or of the steps before it.
#[tokio::test]
async fn a_failed_step_leaves_nothing() {
    let database = rig::Database::empty().await;
    let mut beside = rig::connect(&database.url).await;
    // In the way of the last table of the first step.
    rig::run(&mut beside, "CREATE SCHEMA hexmem; CREATE TABLE hexmem.key_value (x int)").await;
    Postgres::migrate_schema(rig::config(&database.url)).await.unwrap_err();
    let left: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'hexmem'::regnamespace",
    )
    .fetch_one(&mut beside)
    .await
    .unwrap();
    assert_eq!(left, 1, "only what was there before");
    rig::run(&mut beside, "DROP TABLE hexmem.key_value").await;
    assert!(!Postgres::migrate_schema(rig::config(&database.url)).await.unwrap().is_empty());
}

#[tokio::test]
async fn explicit_transactions_work_without_a_pooler_too() {
    let database = rig::Database::migrated().await;
    let config = PgConfig { pooling: Pooling::Transaction, ..rig::config(&database.url) };
    let postgres = Postgres::connect(config).await.unwrap();
    postgres.key_value().set(&bucket(), &name("k"), KvSet::new(*b"v")).await.unwrap();
    assert!(postgres.key_value().get(&bucket(), &name("k")).await.unwrap().is_some());
}
