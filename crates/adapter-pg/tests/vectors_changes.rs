//! Vectors on PostgreSQL while points come, go and are replaced: by one writer, by many, and under a reader's eyes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use hexmem_adapter_memory::{ManualClock, MemoryVectors};
use hexmem_adapter_pg::PgVectors;
use hexmem_conformance::{name, vectors::agree_through_changes};
use hexmem_ports::{
    Accuracy, CollectionId, CollectionSpec, DenseSpec, Distance, FieldKind, FieldPath, Filter,
    Found, Limit, Point, PointId, SparseSpec, SparseVector, Tenant, VectorQuery, VectorSearch,
    VectorStore, Weighting,
};
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

fn collection() -> CollectionId {
    CollectionId::new(Tenant(name("t")), name("c"))
}

fn spec() -> CollectionSpec {
    CollectionSpec {
        sparse: [(name("s"), SparseSpec { weighting: Weighting::Idf })].into(),
        indexed: [(FieldPath::new("n").unwrap(), FieldKind::Integer)].into(),
        ..CollectionSpec::default()
    }
}

/// Point `n` in its `turn`-th form: terms 0 and 1 are in many, others in few.
fn point(n: u32, turn: u32) -> Point {
    let term = 2 + (n * 7 + turn) % 50;
    let value = 0.5 + f32::from(u16::try_from((n + turn) % 17).unwrap());
    let (indices, values) = if (n + turn).is_multiple_of(3) {
        (vec![0, term], vec![value, 1.0])
    } else {
        (vec![0, 1, term], vec![value, 2.0, 0.25])
    };
    Point {
        id: PointId(Uuid::from_u128(u128::from(n.wrapping_mul(2_654_435_761)))),
        dense: [].into(),
        sparse: [(name("s"), SparseVector::new(indices, values).unwrap())].into(),
        payload: json!({"n": n, "turn": turn}),
    }
}

fn search(limit: u32) -> VectorSearch {
    let values = SparseVector::new(vec![0, 1, 9, 30], vec![1.0, 1.0, 2.0, 0.5]).unwrap();
    VectorSearch {
        query: VectorQuery::Sparse { vector: name("s"), values },
        filter: Filter::all(),
        limit: Limit::new(limit).unwrap(),
        min_score: None,
        accuracy: Accuracy::Exact,
    }
}

async fn all(store: &dyn VectorStore) -> Vec<Point> {
    let most = Limit::new(10_000).unwrap();
    store.scroll(&collection(), &Filter::all(), None, most).await.unwrap().items
}

/// What a store finds that holds what `store` holds and was written once.
async fn expected(store: &dyn VectorStore) -> Vec<Found> {
    let memory = MemoryVectors::new(Arc::new(ManualClock::default()));
    memory.create(&collection(), spec()).await.unwrap();
    memory.upsert(&collection(), all(store).await).await.unwrap();
    memory.search(&collection(), &search(1_000)).await.unwrap()
}

async fn number(postgres: &rig::Database, sql: &str) -> i64 {
    let mut connection = rig::connect(&postgres.url).await;
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agrees_with_memory_through_changes() {
    let bench = rig::bench().await;
    let memory = MemoryVectors::new(Arc::new(ManualClock::default()));
    agree_through_changes(&memory, &bench.first.vectors(), 64).await;
    for table in ["points", "dense"] {
        let count = format!("SELECT count(*) FROM hexmem.vector_{table}");
        let left = number(&bench.database, &count).await;
        assert_eq!(left, 0, "{table} is empty once all points are gone");
    }
}

/// Drops a collection as a process does that ends before it has freed the rows.
async fn drop_and_end(database: &rig::Database) {
    let mut connection = rig::connect(&database.url).await;
    let sql = "SELECT hexmem.vector_drop($1)";
    let hash = collection().digest().0;
    let dropped: bool =
        sqlx::query_scalar(sql).bind(hash.as_slice()).fetch_one(&mut connection).await.unwrap();
    assert!(dropped);
}

/// The name is free at once, whatever the dropped collection held; its rows are freed by the next drop, and no others.
#[tokio::test]
async fn what_a_drop_that_was_cut_off_left_is_freed_by_the_next_one() {
    let bench = rig::bench().await;
    let store = bench.first.vectors();
    store.create(&collection(), spec()).await.unwrap();
    store.upsert(&collection(), (0..3_000).map(|n| point(n, 0)).collect()).await.unwrap();
    store.delete(&collection(), &[point(7, 0).id]).await.unwrap();
    drop_and_end(&bench.database).await;
    assert!(store.info(&collection()).await.unwrap().is_none());
    let ours = "SELECT count(*) FROM hexmem.vector_points";
    assert_eq!(number(&bench.database, ours).await, 2_999);

    store.create(&collection(), spec()).await.unwrap();
    assert!(store.search(&collection(), &search(10)).await.unwrap().is_empty());
    store.upsert(&collection(), (0..20).map(|n| point(n, 1)).collect()).await.unwrap();
    assert_eq!(store.search(&collection(), &search(1_000)).await.unwrap(), expected(&store).await);
    let other = CollectionId::new(Tenant(name("t")), name("other"));
    store.create(&other, spec()).await.unwrap();
    assert!(store.drop_collection(&other).await.unwrap());
    assert_eq!(number(&bench.database, ours).await, 20);
    for table in ["remains", "gone", "dead"] {
        let count = format!("SELECT count(*) FROM hexmem.vector_{table}");
        assert_eq!(number(&bench.database, &count).await, 0, "{table}");
    }
    assert_eq!(store.search(&collection(), &search(1_000)).await.unwrap(), expected(&store).await);
    assert!(store.drop_collection(&collection()).await.unwrap());
    let left = "SELECT count(*) FROM hexmem.vector_lists";
    assert_eq!(number(&bench.database, left).await, 0);
}

/// What replaced points leave in the lists goes, a little with each write, and nothing else with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_do_not_grow_with_replacements() {
    let bench = rig::bench().await;
    let store = bench.first.vectors();
    store.create(&collection(), spec()).await.unwrap();
    let write = async |turn| {
        let points = (0..400).map(|n| point(n, turn)).collect();
        store.upsert(&collection(), points).await.unwrap();
    };
    let size = "SELECT sum(length(block))::int8 FROM hexmem.vector_lists";
    write(0).await;
    let once = number(&bench.database, size).await;
    for turn in 1..14 {
        write(turn).await;
        let found = store.search(&collection(), &search(1_000)).await.unwrap();
        assert_eq!(found, expected(&store).await, "turn {turn}");
    }
    let dead = number(&bench.database, "SELECT dead FROM hexmem.vector_collections").await;
    let rows = number(&bench.database, "SELECT count(*) FROM hexmem.vector_dead").await;
    assert_eq!(dead, rows);
    assert!(dead < 2_000, "{dead} of 5,200 removed points are remembered");
    let now = number(&bench.database, size).await;
    assert!(now < once * 6, "{now} bytes of lists where {once} are in use");
    let some = Filter::parse(&json!({"field": "n", "lt": 100})).unwrap();
    assert_eq!(store.delete_where(&collection(), &some).await.unwrap(), 100);
    assert_eq!(store.count(&collection(), &some).await.unwrap(), 0);
    let found = store.search(&collection(), &search(1_000)).await.unwrap();
    assert_eq!(found, expected(&store).await);
}

/// Writers on the same points through two handles: no duplicates, exact counts, weights of what is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_on_the_same_points() {
    let bench = rig::bench().await;
    let stores = [bench.first.vectors(), bench.second.vectors()];
    stores[0].create(&collection(), spec()).await.unwrap();
    let writer = async |task: u32| {
        let store = &stores[task as usize % 2];
        for turn in 0..12u32 {
            let first = (task * 13 + turn * 5) % 40;
            let points = (first..first + 15).map(|n| point(n, task * 100 + turn)).collect();
            store.upsert(&collection(), points).await.unwrap();
            if turn % 3 == 2 {
                let ids: Vec<PointId> = (first..first + 5).map(|n| point(n, 0).id).collect();
                store.delete(&collection(), &ids).await.unwrap();
            }
        }
    };
    join_all((0..6).map(writer)).await;
    let points = all(&stores[0]).await;
    let ids: BTreeSet<PointId> = points.iter().map(|point| point.id).collect();
    assert_eq!(ids.len(), points.len(), "no duplicates");
    let info = stores[1].info(&collection()).await.unwrap().unwrap();
    assert_eq!(info.points, points.len() as u64);
    let population = "SELECT populations[1] FROM hexmem.vector_collections";
    assert_eq!(number(&bench.database, population).await, i64::try_from(points.len()).unwrap());
    let found = stores[1].search(&collection(), &search(1_000)).await.unwrap();
    assert_eq!(found, expected(&stores[0]).await);
}

/// A search finds what is there throughout, also while it is replaced again and again by the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_misses_nothing_that_is_replaced() {
    let bench = rig::bench().await;
    let (store, other) = (bench.first.vectors(), bench.second.vectors());
    store.create(&collection(), spec()).await.unwrap();
    let points: Vec<Point> = (0..30).map(|n| point(n, 0)).collect();
    store.upsert(&collection(), points.clone()).await.unwrap();
    let expected = store.search(&collection(), &search(1_000)).await.unwrap();
    assert_eq!(expected.len(), 30);
    let some = Filter::parse(&json!({"field": "turn", "eq": 0})).unwrap();
    let over = AtomicBool::new(false);
    let write = async {
        while !over.load(Ordering::Relaxed) {
            other.upsert(&collection(), points.clone()).await.unwrap();
        }
    };
    let read = async {
        for _ in 0..40 {
            let found = store.search(&collection(), &search(1_000)).await.unwrap();
            assert_eq!(found, expected);
            assert_eq!(store.count(&collection(), &some).await.unwrap(), 30);
            let page = store.scroll(&collection(), &some, None, Limit::new(100).unwrap()).await;
            assert_eq!(page.unwrap().items.len(), 30);
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(write, read);
}

/// Upserts that are dropped in the middle, then repeated: every point once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_cut_off_can_be_repeated() {
    let bench = rig::bench().await;
    let store = bench.first.vectors();
    store.create(&collection(), spec()).await.unwrap();
    for turn in 0..12u32 {
        let points: Vec<Point> = (0..60).map(|n| point(n, turn)).collect();
        let c = collection();
        let write = store.upsert(&c, points.clone());
        // At whatever it is doing by then.
        let _ = tokio::time::timeout(Duration::from_millis(u64::from(turn)), write).await;
        store.upsert(&collection(), points).await.unwrap();
        assert_eq!(store.info(&collection()).await.unwrap().unwrap().points, 60);
    }
    assert_eq!(all(&store).await.len(), 60);
    let found = store.search(&collection(), &search(1_000)).await.unwrap();
    assert_eq!(found, expected(&store).await);
}

/// Each statement that reads finds its rows by an index, with plans that know no values.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_reads_a_whole_table() {
    let bench = rig::bench().await;
    let store = bench.first.vectors();
    fill(&store).await;
    let mut connection = rig::connect(&bench.database.url).await;
    rig::run(&mut connection, "ANALYZE; SET plan_cache_mode = force_generic_plan").await;
    macro_rules! sql {
        ($($name:literal $arguments:literal,)*) => {
            [$(($name, include_str!(concat!("../src/sql/vectors/", $name, ".sql")), $arguments)),*]
        };
    }
    let statements = sql![
        "resolve" "'\\x00'",
        "list" "'t', 'a', 'b', '', 10",
        "lists" "1, 1, '{1,2}', '{1,2}'",
        "by_ords" "1, '{1,2}'",
        "fields_by_ords" "1, '{1,2}', '{n}'",
        "fields_after_ord" "1, 5, '{n}', 10",
        "fields_after_id" "1, '00000000-0000-0000-0000-000000000000', '{n}', 10",
        "whole_by_id" "1, 1, '{}'",
        "whole_by_ord" "1, 1, '{1}'",
        "whole_after" "1, 1, '00000000-0000-0000-0000-000000000000', 10",
        "dense_after" "1, 1, 5, 10",
        "dense_by_ords" "1, 1, '{1}'",
        "gone_after" "1, '00000000-0000-0000-0000-000000000000', 10",
        "versions" "1, '{}'",
        "tidy_blocks" "1, 5, 5, 10",
    ];
    for (name, sql, arguments) in statements {
        rig::run(&mut connection, format!("PREPARE s AS {sql}")).await;
        let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE s ({arguments})"));
        let plan: Vec<String> =
            sqlx::query_scalar(explain).fetch_all(&mut connection).await.unwrap();
        let plan = plan.join("\n");
        let scans = plan.lines().filter(|line| line.contains("Seq Scan")).count();
        // The names of a tenant are few: the planner may read them all.
        let allowed = usize::from(matches!(name, "resolve" | "list" | "lists")) * 2;
        assert!(scans <= allowed, "{name}:\n{plan}");
        assert!(!plan.contains("Seq Scan on vector_lists"), "{name}:\n{plan}");
        rig::run(&mut connection, "DEALLOCATE s").await;
    }
}

/// Enough of everything that an index is worth it.
async fn fill(store: &PgVectors) {
    let space = hexmem_conformance::vectors::space(3);
    let dense = [(name("d"), DenseSpec { space, distance: Distance::Dot })].into();
    let spec = CollectionSpec { dense, ..spec() };
    for c in 0..8u32 {
        let c = CollectionId::new(Tenant(name("t")), name(format!("c{c}")));
        store.create(&c, spec.clone()).await.unwrap();
        let dense = |n: u32| [(name("d"), vec![f32::from(u16::try_from(n).unwrap()); 3])].into();
        let points = (0..500).map(|n| Point { dense: dense(n), ..point(n, 0) }).collect();
        store.upsert(&c, points).await.unwrap();
        let ids: Vec<PointId> = (0..250).map(|n| point(n, 0).id).collect();
        store.delete(&c, &ids).await.unwrap();
    }
}
