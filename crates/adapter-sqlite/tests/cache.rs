//! The suite of the cache over a file, and what its statements cost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_adapter_memory::ManualClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::{Rig, minimum, name};
use hexmem_ports::{
    CacheCounts, CacheKey, CachePut, CacheStore, CacheStoreExt as _, CacheTags, Clock as _, Digest,
    Invalidate, Limit, Lookup, NamespaceId, PutOutcome, REPLAY_WINDOW, TagRef, Ttl,
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};

async fn rig() -> Rig<dyn CacheStore> {
    rig::rig(Database::cache, |store| store as Arc<dyn CacheStore>, |store| store.capabilities())
        .await
}

hexmem_conformance::cache_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("sqlite", "cache", &rig().await.declares);
}

struct File {
    _folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    database: Database,
}

impl File {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let config = SqliteConfig::new(folder.path().join("a.db"));
        let database = Database::open(config, clock.clone()).await.unwrap();
        Self { _folder: folder, clock, database }
    }

    async fn count(&self, table: &str) -> i64 {
        let mut read = self.database.read("test").await.unwrap();
        let sql = format!("SELECT count(*) FROM {table}");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(read.connection()).await.unwrap()
    }
}

fn key(question: &str) -> CacheKey {
    let namespace = NamespaceId::new(hexmem_ports::Tenant(name("t")), name("n"));
    CacheKey { namespace, fingerprint: Digest::of(question.as_bytes()) }
}

fn tagged(tag: &str) -> CacheTags {
    CacheTags { model: None, tags: vec![name(tag)] }
}

async fn put(store: &dyn CacheStore, question: &str, tag: &str, seconds: u64) {
    let Lookup::Miss(ticket) = store.get(&key(question), &tagged(tag)).await.unwrap() else {
        panic!("{question} is there already");
    };
    let ttl = Ttl::secs(seconds).unwrap();
    let put = CachePut { value: vec![1; 100], meta: json!(null), ttl, stale: None, ticket };
    assert_eq!(store.put(&key(question), put).await.unwrap(), PutOutcome::Stored);
}

#[tokio::test]
async fn hot_statements_use_an_index() {
    let file = File::new().await;
    let mut read = file.database.read("test").await.unwrap();
    for (statement, sql) in [
        ("get", include_str!("../src/sql/cache/get.sql")),
        ("held", include_str!("../src/sql/cache/held.sql")),
        ("room_find", include_str!("../src/sql/cache/room_find.sql")),
        ("tag_find", include_str!("../src/sql/cache/tag_find.sql")),
        ("tag_live", include_str!("../src/sql/cache/tag_live.sql")),
        ("tag_end", include_str!("../src/sql/cache/tag_end.sql")),
        ("entry_bind", include_str!("../src/sql/cache/entry_bind.sql")),
        ("entry_unbind", include_str!("../src/sql/cache/entry_unbind.sql")),
        ("flight_find", include_str!("../src/sql/cache/flight_find.sql")),
        ("flight_release", include_str!("../src/sql/cache/flight_release.sql")),
        ("stats", include_str!("../src/sql/cache/stats.sql")),
        ("counter_find", include_str!("../src/sql/cache/counter_find.sql")),
        ("counter_names", include_str!("../src/sql/cache/counter_names.sql")),
        ("counter_list", include_str!("../src/sql/cache/counter_list.sql")),
        ("sweep_expired", include_str!("../src/sql/cache/sweep_expired.sql")),
        ("sweep_tombstones", include_str!("../src/sql/cache/sweep_tombstones.sql")),
        ("sweep_flights", include_str!("../src/sql/cache/sweep_flights.sql")),
        ("sweep_window", include_str!("../src/sql/cache/sweep_window.sql")),
        ("sweep_tags", include_str!("../src/sql/cache/sweep_tags.sql")),
        ("sweep_drop", include_str!("../src/sql/cache/sweep_drop.sql")),
        ("scan_entries", include_str!("../src/sql/cache/scan_entries.sql")),
        ("scan_tags", include_str!("../src/sql/cache/scan_tags.sql")),
    ] {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let plan = sqlx::query(explain).fetch_all(read.connection()).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let walks = plan.iter().any(|step| {
            ["cache_", "held", "answer", "bound", "tag", "room", "mine"]
                .iter()
                .any(|table| step.starts_with(&format!("SCAN {table}")))
        });
        assert!(!walks, "{statement} looks at every row: {plan:#?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{statement}: {plan:#?}");
    }
}

#[tokio::test]
async fn lookups_write_once_for_a_new_tag_and_never_again() {
    let file = File::new().await;
    let store = file.database.cache();
    put(&store, "q", "a", 100).await;
    // The write lock is held: whoever writes now waits, whoever reads does not.
    let held = file.database.write("test").await.unwrap();
    for question in ["q", "another"] {
        store.get(&key(question), &tagged("a")).await.unwrap();
    }
    drop(held);
}

#[tokio::test]
async fn counts_of_before_the_counters_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.db");
    let clock = Arc::new(ManualClock::default());
    let open = async || Database::open(SqliteConfig::new(&file), clock.clone()).await.unwrap();
    let database = open().await;
    put(&database.cache(), "q", "a", 100).await;
    // Back to the schema that counted in the row of the namespace.
    let mut tx = database.write("test").await.unwrap();
    for sql in [
        "ALTER TABLE cache_room ADD COLUMN hits INTEGER NOT NULL DEFAULT 7",
        "ALTER TABLE cache_room ADD COLUMN misses INTEGER NOT NULL DEFAULT 3",
        "DROP TABLE cache_counter",
    ] {
        sqlx::query(sql).execute(tx.connection()).await.unwrap();
    }
    let migration = include_str!("../../../migrations/sqlite/0010_cache_counters.sql");
    sqlx::raw_sql(migration).execute(tx.connection()).await.unwrap();
    tx.commit().await.unwrap();
    let stats = database.cache().stats(&key("q").namespace).await.unwrap();
    assert_eq!((stats.counts.hits, stats.counts.misses, stats.entries), (7, 3, 1));
    let more = CacheCounts { hits: 1, ..CacheCounts::default() };
    let namespace = key("q").namespace;
    database.cache().count(&namespace, vec![(TagRef::Namespace, more)]).await.unwrap();
    assert_eq!(open().await.cache().stats(&namespace).await.unwrap().counts.hits, 8);
}

#[tokio::test]
async fn sweeping_frees_everything_that_can_never_be_served() {
    let file = File::new().await;
    let store = file.database.cache();
    for n in 0..20 {
        put(&store, &format!("short {n}"), "a", 1).await;
        put(&store, &format!("ended {n}"), "b", 100_000).await;
        put(&store, &format!("long {n}"), "c", 100_000).await;
    }
    let namespace = key("q").namespace;
    store.invalidate(&namespace, Invalidate::Tag(TagRef::Tag(name("b")))).await.unwrap();
    let one = Invalidate::Key(key("long 0").fingerprint);
    store.invalidate(&namespace, one).await.unwrap();
    store.begin(&key("q"), Ttl::secs(1).unwrap()).await.unwrap();
    file.clock.advance(Ttl::secs(1).unwrap().get());
    let limit = Limit::new(7).unwrap();
    let mut freed = 0;
    loop {
        let swept = store.sweep(limit).await.unwrap();
        freed += swept;
        if swept == 0 {
            break;
        }
    }
    assert_eq!(freed, 40, "the expired and the ended");
    assert_eq!(file.count("cache_entry").await, 20, "19 answers and a tombstone");
    assert_eq!(file.count("cache_entry_tag").await, 38);
    assert_eq!(file.count("cache_ended").await, 0);
    assert_eq!(file.count("cache_flight").await, 0);
    assert_eq!(file.count("cache_tag").await, 4, "a ticket may still name a and b");
    file.clock.advance(REPLAY_WINDOW);
    for _ in 0..3 {
        store.sweep(limit).await.unwrap();
    }
    assert_eq!(file.count("cache_entry").await, 19, "the invalidation is forgotten");
    assert_eq!(file.count("cache_tag").await, 2, "nothing depends on a and b");
    assert_eq!(store.stats(&namespace).await.unwrap().entries, 19);
    assert!(file.clock.now() > hexmem_ports::Timestamp::MIN);
}
