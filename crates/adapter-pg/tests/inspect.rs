//! What `hexmem doctor` shows: right on an empty database, and when something is wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use hexmem_adapter_pg::PgConfig;
use hexmem_ports::{BucketId, KeyValueStore as _, KvSet, Name, Tenant};

#[tokio::test]
async fn an_empty_database_is_well() {
    let database = rig::Database::migrated().await;
    let postgres = database.open("hexmem").await;
    let seen = postgres.inspect().await.unwrap();
    assert!(seen.version.starts_with(|c: char| c.is_ascii_digit()), "{}", seen.version);
    assert_eq!(
        seen.missing_indexes,
        Vec::<String>::new(),
        "every index of the migrations is there"
    );
    assert!(seen.schema.is_current() && !seen.is_follower);
    assert!(seen.tables.iter().any(|table| table.name == "key_value" && table.rows == 0));
    assert!(seen.indexes.iter().all(|index| index.usable));
    assert_eq!((seen.replica, seen.long_transactions.len()), (None, 0));
    assert!(seen.latency_micros > 0 && seen.pool.max == 3);
    assert_eq!(seen.findings, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_wrong_is_found() {
    let database = rig::Database::migrated().await;
    let config = PgConfig { replica_url: Some(database.url.clone()), ..database.config() };
    let postgres = hexmem_adapter_pg::Postgres::connect(config).await.unwrap();
    let mut beside = rig::connect(&database.url).await;
    rig::run(&mut beside, "DROP INDEX hexmem.key_value_free").await;
    rig::run(&mut beside, "DELETE FROM hexmem.schema_steps WHERE version = 1").await;
    let name = |text: &str| Name::new(text).unwrap();
    let bucket = BucketId::new(Tenant(name("t")), name("b"));
    postgres.key_value().set(&bucket, &name("k"), KvSet::new(*b"v")).await.unwrap();

    let seen = postgres.inspect().await.unwrap();
    assert_eq!(seen.missing_indexes, ["key_value_free"]);
    assert!(!seen.schema.is_current());
    assert_eq!(seen.findings.len(), 2, "{:?}", seen.findings);
    // The server that is asked as the follower is none, and is not behind.
    let replica = seen.replica.clone().unwrap();
    assert_eq!((replica.is_follower, replica.lag_micros, replica.trouble), (false, None, None));
    let text = serde_json::to_string(&seen).unwrap();
    assert!(text.contains("\"key_value\""));
}
