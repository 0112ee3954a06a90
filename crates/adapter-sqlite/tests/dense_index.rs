//! The vectors suite with an index from 64 points on, and what only an index can get wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use hexmem_adapter_memory::{ManualClock, MemoryVectors, SystemClock};
use hexmem_adapter_sqlite::{Database, DenseIndex, Precision, SqliteConfig, SqliteVectors};
use hexmem_conformance::vectors::{self, agree_through_changes, nearest};
use hexmem_conformance::{Numbers, Rig, manual_time, minimum, name};
use hexmem_ports::{
    Accuracy, Capability, Clock, CollectionId, CollectionSpec, DenseSpec, Distance, ErrorKind,
    FieldKind, FieldPath, Filter, Limit, Point, PointId, Records, Tenant, VectorQuery,
    VectorSearch, VectorStore,
};
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

const DIMENSION: u32 = 32;

async fn open(file: &Path, from: u32, precision: Precision) -> Database {
    let dense_index = DenseIndex { from, precision, ..DenseIndex::default() };
    let config = SqliteConfig { dense_index, ..SqliteConfig::new(file) };
    Database::open(config, Arc::new(SystemClock)).await.unwrap()
}

async fn rig() -> Rig<dyn VectorStore> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let open = async |file: &str| {
        let dense_index = DenseIndex { from: 64, ..DenseIndex::default() };
        let config = SqliteConfig { dense_index, ..SqliteConfig::new(folder.path().join(file)) };
        Database::open(config, Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap()
    };
    let (first, second, apart) = (open("a.db").await, open("a.db").await, open("twin.db").await);
    let store = Arc::new(first.vectors());
    let twin = Arc::new(apart.vectors());
    let declares = store.capabilities();
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let mut rig = Rig::new("sqlite", Arc::clone(&store) as Arc<dyn VectorStore>, declares, time);
    rig.other = Arc::new(second.vectors());
    rig.twin = Some((Arc::clone(&twin) as Arc<dyn VectorStore>, twin as Arc<dyn Records>));
    rig.records = Some(store);
    rig.guard = Some(Arc::new(folder));
    rig
}

hexmem_conformance::vectors_suite!(rig);

#[tokio::test]
async fn declares_an_index() {
    let declares = rig().await.declares;
    minimum::check("sqlite", "vectors", &declares);
    assert!(declares.has(Capability::DenseIndex));
}

fn collection() -> CollectionId {
    CollectionId::new(Tenant(name("t")), name("c"))
}

fn spec(distance: Distance) -> CollectionSpec {
    let space = hexmem_conformance::vectors::space(DIMENSION);
    let dense = [(name("d"), DenseSpec { space, distance })].into();
    let indexed = [(FieldPath::new("n").unwrap(), FieldKind::Integer)].into();
    CollectionSpec { dense, indexed, ..CollectionSpec::default() }
}

fn id(n: u32) -> PointId {
    PointId(Uuid::from_u128(u128::from(n.wrapping_mul(2_654_435_761))))
}

fn point(n: u32, vector: Vec<f32>) -> Point {
    Point {
        id: id(n),
        dense: [(name("d"), vector)].into(),
        sparse: [].into(),
        payload: json!({"n": n, "rare": n % 1_000 == 7, "half": n % 2}),
    }
}

fn points(count: u32, seed: u64) -> Vec<Point> {
    let mut numbers = Numbers(seed);
    (0..count).map(|n| point(n, numbers.anywhere(DIMENSION))).collect()
}

async fn recall(store: &SqliteVectors, filter: &Filter) -> usize {
    let mut numbers = Numbers(77);
    let queries = (0..20).map(|_| numbers.anywhere(DIMENSION));
    vectors::recall(store, &collection(), queries, filter).await
}

async fn number(database: &Database, sql: &str) -> i64 {
    let mut read = database.read("test.look").await.unwrap();
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::query_scalar(sql).fetch_one(read.connection()).await.unwrap()
}

/// Ords that the index has taken in.
const TAKEN: &str = "SELECT coalesce(max(up_to), 0) FROM vector_near";
const VERSION: &str = "SELECT coalesce(max(version), 0) FROM vector_near";

/// Random vectors are the hardest there are: none is much nearer than another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_finds_the_nearest_whatever_the_filter() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let database = open(&file, 1_000, Precision::I8).await;
    let store = database.vectors();
    store.create(&collection(), spec(Distance::Cosine)).await.unwrap();
    store.upsert(&collection(), points(2_500, 1)).await.unwrap();
    assert_eq!(number(&database, TAKEN).await, 2_500);
    // Another process, with other settings: what the file says counts.
    let other = open(&file, 1_000, Precision::F32).await.vectors();
    for (filter, least) in [
        (json!({}), 98),
        (json!({"field": "half", "eq": 1}), 98),
        (json!({"field": "n", "lt": 1_700}), 98),
        (json!({"field": "n", "gte": 700, "lt": 703}), 100),
        (json!({"field": "rare", "eq": true}), 98),
        (json!({"field": "rare", "eq": "no"}), 0),
    ] {
        let filter_read = Filter::parse(&filter).unwrap();
        for store in [&store, &other] {
            let recall = recall(store, &filter_read).await;
            assert!(recall >= least, "{recall} of 100 for {filter}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agrees_with_memory_through_changes() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder.path().join("x.db"), 64, Precision::F16).await;
    let memory = MemoryVectors::new(Arc::new(ManualClock::default()));
    agree_through_changes(&memory, &database.vectors(), 64).await;
    let left =
        "SELECT (SELECT count(*) FROM vector_near) + (SELECT count(*) FROM vector_near_pages)";
    assert_eq!(number(&database, left).await, 0, "nothing is left once all points are gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_grows_beyond_the_threshold_and_shrinks_again() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder.path().join("x.db"), 300, Precision::I8).await;
    let store = database.vectors();
    store.create(&collection(), spec(Distance::Euclid)).await.unwrap();
    let all = points(1_000, 3);
    let mut before = 0;
    for (i, some) in all.chunks(100).enumerate() {
        store.upsert(&collection(), some.to_vec()).await.unwrap();
        let taken = number(&database, TAKEN).await;
        // What has to wait is compared.
        assert!(if i < 3 { taken == 0 } else { taken >= before && taken > 0 }, "{i}: {taken}");
        before = taken;
        assert!(recall(&store, &Filter::all()).await >= 98);
    }
    let near = |n: u32| all[n as usize].dense[&name("d")].clone();
    for n in (0..1_000).step_by(100) {
        let gone: Vec<PointId> = (n..n + 100).map(id).collect();
        assert_eq!(store.delete(&collection(), &gone).await.unwrap(), 100);
        let found =
            nearest(&store, &collection(), &near(n + 50), &Filter::all(), Accuracy::Indexed).await;
        assert!(found.iter().all(|hit| !gone.contains(&hit.id)));
        assert_eq!(found.len(), if n < 900 { 10 } else { 0 });
        assert!(recall(&store, &Filter::all()).await >= 98 || n == 900);
    }
    assert_eq!(number(&database, "SELECT count(*) FROM vector_near_pages").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_write_leaves_the_index_alone_and_is_found_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let database = open(&file, 500, Precision::I8).await;
    let (store, other) = (database.vectors(), open(&file, 500, Precision::I8).await.vectors());
    store.create(&collection(), spec(Distance::Dot)).await.unwrap();
    let all = points(900, 4);
    store.upsert(&collection(), all.clone()).await.unwrap();
    let version = number(&database, VERSION).await;
    let query = all[40].dense[&name("d")].clone();
    let first = async |store: &SqliteVectors| {
        nearest(store, &collection(), &query, &Filter::all(), Accuracy::Indexed).await.remove(0)
    };
    let best = first(&other).await;
    let longer = |by: f32| query.iter().map(|v| v * by).collect::<Vec<f32>>();
    // Written again, removed, back, removed by a filter: each shows in the next search of another process.
    store.upsert(&collection(), vec![point(40, longer(3.0))]).await.unwrap();
    assert_eq!((first(&other).await.id, first(&store).await.id), (id(40), id(40)));
    store.delete(&collection(), &[id(40)]).await.unwrap();
    assert_ne!(first(&other).await.id, id(40));
    store.upsert(&collection(), vec![point(40, longer(4.0))]).await.unwrap();
    assert!(first(&other).await.score > best.score);
    let filter = Filter::parse(&json!({"field": "n", "eq": 40})).unwrap();
    assert_eq!(other.delete_where(&collection(), &filter).await.unwrap(), 1);
    assert_ne!(first(&store).await.id, id(40));
    assert_eq!(number(&database, VERSION).await, version, "a point at a time touches no index");
    // Another life of the name has other vectors at the same ords.
    store.drop_collection(&collection()).await.unwrap();
    store.create(&collection(), spec(Distance::Dot)).await.unwrap();
    store.upsert(&collection(), points(900, 5)).await.unwrap();
    assert!(recall(&other, &Filter::all()).await >= 98);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_vectors_and_zero_vectors_fill_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("x.db"), 64, Precision::I8).await.vectors();
    store.create(&collection(), spec(Distance::Cosine)).await.unwrap();
    let same = vec![0.25; DIMENSION as usize];
    let equal = (0..700).map(|n| point(n, same.clone()));
    store.upsert(&collection(), equal.collect()).await.unwrap();
    let zero = vec![0.0; DIMENSION as usize];
    for query in [&same, &zero] {
        let hits = nearest(&store, &collection(), query, &Filter::all(), Accuracy::Indexed).await;
        assert_eq!(hits.len(), 10);
        assert!(
            hits.is_sorted_by_key(|hit| hit.id) && hits.iter().all(|h| h.score == hits[0].score)
        );
    }
    // A question without a direction is as near to all: then the order of ids decides, as it does without an index.
    assert_eq!(
        nearest(&store, &collection(), &zero, &Filter::all(), Accuracy::Indexed).await,
        nearest(&store, &collection(), &zero, &Filter::all(), Accuracy::Exact).await
    );
    let zeros = (700..900).map(|n| point(n, zero.clone()));
    store.upsert(&collection(), zeros.chain(points(300, 8)).collect()).await.unwrap();
    assert!(recall(&store, &Filter::all()).await >= 98);
    // Without their vector they are in no list of it.
    let bare: Vec<Point> =
        (0..900).map(|n| Point { dense: [].into(), ..point(n, Vec::new()) }).collect();
    store.upsert(&collection(), bare).await.unwrap();
    assert!(
        nearest(&store, &collection(), &same, &Filter::all(), Accuracy::Indexed).await.is_empty()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_index_is_an_error_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let database = open(&file, 64, Precision::I8).await;
    let store = database.vectors();
    store.create(&collection(), spec(Distance::Cosine)).await.unwrap();
    store.upsert(&collection(), points(600, 1)).await.unwrap();
    for damage in [
        "UPDATE vector_near_pages SET block = x'00' WHERE part = 0 AND page = 1",
        "UPDATE vector_near_pages SET block = substr(block, 1, length(block) - 1) WHERE part = 1",
        "DELETE FROM vector_near_pages WHERE part = 1 AND page = 0",
        "DELETE FROM vector_near_pages WHERE part = 0 AND page = 3",
        "UPDATE vector_near SET precision = 'i3'",
    ] {
        let mut tx = database.write("test.damage").await.unwrap();
        sqlx::query(damage).execute(tx.connection()).await.unwrap();
        tx.commit().await.unwrap();
        // What is in memory is as good as ever; who reads it from the file sees it.
        let fresh = open(&file, 64, Precision::I8).await.vectors();
        let values = Numbers(3).anywhere(DIMENSION);
        let query = VectorQuery::Dense { vector: name("d"), values: values.clone() };
        let search = VectorSearch {
            query,
            filter: Filter::all(),
            limit: Limit::new(10).unwrap(),
            min_score: None,
            accuracy: Accuracy::Indexed,
        };
        let error = fresh.search(&collection(), &search).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{damage}: {error}");
        assert!(error.to_string().contains("build_indexes"), "{error}");
        assert_eq!(
            nearest(&fresh, &collection(), &values, &Filter::all(), Accuracy::Exact).await.len(),
            10
        );
        fresh.upsert(&collection(), points(3, 1)).await.unwrap();
        fresh.build_indexes(&collection()).await.unwrap();
        assert!(recall(&fresh, &Filter::all()).await >= 98, "{damage}");
    }
}

#[tokio::test]
async fn settings_outside_their_ranges_are_refused() {
    for dense_index in [
        DenseIndex { from: 63, ..DenseIndex::default() },
        DenseIndex { cache_mib: 1, ..DenseIndex::default() },
    ] {
        let config = SqliteConfig { dense_index, ..SqliteConfig::new("x.db") };
        assert!(config.check().unwrap_err().to_string().contains("dense_index."));
    }
}
