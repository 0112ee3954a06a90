//! The vectors suite on PostgreSQL with pgvector, and what only an index can get wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_adapter_memory::{ManualClock, MemoryVectors};
use hexmem_adapter_pg::{PgConfig, PgVectors, Postgres};
use hexmem_conformance::every_port::{Stores, every_port, role};
use hexmem_conformance::vectors::{self, agree_through_changes, nearest};
use hexmem_conformance::{Numbers, Rig, minimum, name};
use hexmem_ports::{
    Accuracy, Capability, CollectionId, CollectionSpec, DenseSpec, Distance, ErrorKind, Filter,
    Point, PointId, Tenant, VectorStore,
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

const DIMENSION: u32 = 64;

async fn rig() -> Rig<dyn VectorStore> {
    let rig = rig::bench_with_pgvector().await.rig(
        |postgres| Arc::new(postgres.vectors()),
        |store| store as Arc<dyn VectorStore>,
        |store| store.capabilities(),
    );
    Rig { adapter: "pg-pgvector", ..rig }
}

hexmem_conformance::vectors_suite!(rig);

/// The other ports do not know of the extension.
async fn open(url: &str) -> Stores {
    let postgres = Postgres::connect(rig::config(url)).await.unwrap();
    Stores { vectors: Some(Arc::new(postgres.vectors())), ..Stores::default() }
}

#[tokio::test]
#[ignore = "the other process of the test below"]
async fn role_write() {
    role(open).await;
}

#[tokio::test]
async fn what_another_process_acknowledged_is_there() {
    let database = rig::Database::migrated().await;
    rig::run(&mut rig::connect(&database.url).await, "CREATE EXTENSION vector").await;
    let proves = [Capability::Durable, Capability::MultiProcess];
    every_port("pg-pgvector", &proves, &database.url, open).await;
}

#[tokio::test]
async fn declares_an_index() {
    let declares = rig().await.declares;
    minimum::check("pg", "vectors", &declares);
    assert!(declares.has(Capability::DenseIndex));
}

fn collection() -> CollectionId {
    CollectionId::new(Tenant(name("t")), name("c"))
}

fn spec(distance: Distance) -> CollectionSpec {
    let space = hexmem_conformance::vectors::space(DIMENSION);
    let dense = [(name("d"), DenseSpec { space, distance })].into();
    CollectionSpec { dense, ..CollectionSpec::default() }
}

fn points(count: u32) -> Vec<Point> {
    let mut numbers = Numbers(1);
    let point = |n: u32| Point {
        id: PointId(Uuid::from_u128(u128::from(n.wrapping_mul(2_654_435_761)))),
        dense: [(name("d"), numbers.anywhere(DIMENSION))].into(),
        sparse: [].into(),
        payload: json!({"n": n, "rare": n % 200 == 7, "half": n % 2}),
    };
    (0..count).map(point).collect()
}

async fn recall(store: &PgVectors, filter: &Filter) -> usize {
    let mut numbers = Numbers(77);
    let queries = (0..20).map(|_| numbers.anywhere(DIMENSION));
    vectors::recall(store, &collection(), queries, filter).await
}

async fn used(bench: &rig::Bench) -> i64 {
    let mut connection = rig::connect(&bench.database.url).await;
    let sql = "SELECT coalesce(sum(idx_scan), 0)::int8 FROM pg_stat_user_indexes \
               WHERE indexrelname LIKE '%\\_near'";
    // Backends report what they did a little later.
    for _ in 0..50 {
        let scans: i64 = sqlx::query(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut connection)
            .await
            .unwrap()
            .get(0);
        if scans > 0 {
            return scans;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    0
}

/// Random vectors are the hardest there are: none is much nearer than another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_finds_the_nearest() {
    let bench = rig::bench_with_pgvector().await;
    let store = bench.first.vectors();
    store.create(&collection(), spec(Distance::Cosine)).await.unwrap();
    store.upsert(&collection(), points(2_500)).await.unwrap();
    for (filter, least) in [
        (json!({}), 98),
        (json!({"field": "half", "eq": 1}), 98),
        (json!({"field": "rare", "eq": true}), 100),
    ] {
        let recall = recall(&store, &Filter::parse(&filter).unwrap()).await;
        assert!(recall >= least, "{recall} of 100 for {filter}");
    }
    assert!(used(&bench).await > 0, "the index was asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agrees_with_memory_through_changes() {
    let bench = rig::bench_with_pgvector().await;
    let memory = MemoryVectors::new(Arc::new(ManualClock::default()));
    agree_through_changes(&memory, &bench.first.vectors(), 64).await;
    let mut connection = rig::connect(&bench.database.url).await;
    let left = sqlx::query("SELECT count(*) FROM hexmem.vector_index_1_1");
    let left: i64 = left.fetch_one(&mut connection).await.unwrap().get(0);
    assert_eq!(left, 0, "the index is empty once all points are gone");
}

/// An extension that comes, goes and comes again: searches are right throughout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_extension_comes_and_goes() {
    let bench = rig::bench().await;
    let store = bench.first.vectors();
    store.create(&collection(), spec(Distance::Euclid)).await.unwrap();
    store.upsert(&collection(), points(1_500)).await.unwrap();
    let error = store.build_indexes(&collection()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("CREATE EXTENSION vector"), "{error}");
    let query = Numbers(5).anywhere(DIMENSION);
    let expected = nearest(&store, &collection(), &query, &Filter::all(), Accuracy::Indexed).await;
    assert_eq!(expected.len(), 10);

    let mut connection = rig::connect(&bench.database.url).await;
    rig::run(&mut connection, "CREATE EXTENSION vector").await;
    assert_eq!(store.build_indexes(&collection()).await.unwrap(), 1);
    assert_eq!(store.build_indexes(&collection()).await.unwrap(), 0, "there is nothing left to do");
    assert_eq!(
        nearest(&store, &collection(), &query, &Filter::all(), Accuracy::Indexed).await,
        expected
    );

    rig::run(&mut connection, "DROP EXTENSION vector CASCADE").await;
    assert_eq!(
        nearest(&store, &collection(), &query, &Filter::all(), Accuracy::Indexed).await,
        expected
    );
    let gone = [expected[0].id];
    assert_eq!(store.delete(&collection(), &gone).await.unwrap(), 1);
    store.upsert(&collection(), points(3)).await.unwrap();
    let without = nearest(&store, &collection(), &query, &Filter::all(), Accuracy::Indexed).await;
    assert_eq!(
        without,
        nearest(&store, &collection(), &query, &Filter::all(), Accuracy::Exact).await
    );

    rig::run(&mut connection, "CREATE EXTENSION vector").await;
    assert_eq!(
        nearest(&store, &collection(), &query, &Filter::all(), Accuracy::Indexed).await,
        without
    );
    assert_eq!(store.build_indexes(&collection()).await.unwrap(), 1);
    assert_eq!(
        nearest(&store, &collection(), &query, &Filter::all(), Accuracy::Indexed).await,
        without
    );
    assert!(store.drop_collection(&collection()).await.unwrap());
}

/// What writers write while an index is built is in it, and what they remove is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_built_under_writers_is_whole() {
    let bench = rig::bench().await;
    let (store, other) = (bench.first.vectors(), bench.second.vectors());
    store.create(&collection(), spec(Distance::Cosine)).await.unwrap();
    let all = points(600);
    store.upsert(&collection(), all[..300].to_vec()).await.unwrap();
    let mut connection = rig::connect(&bench.database.url).await;
    rig::run(&mut connection, "CREATE EXTENSION vector").await;
    let write = async |task: usize| {
        for turn in 0..10 {
            let first = task * 100 + turn * 20;
            other.upsert(&collection(), all[first..first + 30].to_vec()).await.unwrap();
            let gone: Vec<PointId> = all[first..first + 5].iter().map(|point| point.id).collect();
            other.delete(&collection(), &gone).await.unwrap();
        }
    };
    let build = async { store.build_indexes(&collection()).await.unwrap() };
    let (built, ..) = tokio::join!(build, write(0), write(2), write(3));
    assert_eq!(built, 1);
    let sql = "SELECT (SELECT count(*) FROM hexmem.vector_points), \
               (SELECT count(*) FROM hexmem.vector_points JOIN hexmem.vector_index_1_1 USING (ord)), \
               (SELECT count(*) FROM hexmem.vector_index_1_1)";
    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
    let [points, both, indexed]: [i64; 3] = [row.get(0), row.get(1), row.get(2)];
    assert!(points > 0);
    assert_eq!([both, indexed], [points; 2], "the index holds what the collection does");
}

/// A collection that is dropped under writers: they hear of it or write into the next one, and nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_dropped_under_writers_leaves_nothing() {
    let bench = rig::bench_with_pgvector().await;
    let (store, other) = (bench.first.vectors(), bench.second.vectors());
    let all = points(60);
    let write = async {
        for _ in 0..30 {
            match other.upsert(&collection(), all.clone()).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    let change = async {
        for _ in 0..10 {
            store.create(&collection(), spec(Distance::Dot)).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            store.drop_collection(&collection()).await.unwrap();
        }
    };
    tokio::join!(write, change);
    let mut connection = rig::connect(&bench.database.url).await;
    for table in ["points", "dense", "lists", "dead", "gone", "indexes"] {
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM hexmem.vector_{table}"));
        let left: i64 = sqlx::query(sql).fetch_one(&mut connection).await.unwrap().get(0);
        assert_eq!(left, 0, "{table}");
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'vector\\_index\\_%'";
    let left: i64 = sqlx::query(tables).fetch_one(&mut connection).await.unwrap().get(0);
    assert_eq!(left, 0, "tables of indexes");
}

/// A role that may not make tables: no index, everything else works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_tables_of_its_own_searches_all() {
    let bench = rig::bench_with_pgvector().await;
    let role = format!("hexmem_test_{}", Uuid::new_v4().simple());
    let mut connection = rig::connect(&bench.database.url).await;
    rig::run(
        &mut connection,
        format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA hexmem TO {role}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA hexmem TO {role}"
        ),
    )
    .await;
    let at = bench.database.url.find("://").unwrap() + 3;
    let host = bench.database.url[at..].split_once('@').map_or(&bench.database.url[at..], |p| p.1);
    let url = format!("postgres://{role}@{host}");
    let config = PgConfig { max_connections: 2, ..PgConfig::new(url) };
    let postgres = Postgres::connect(config).await.unwrap();
    let store = postgres.vectors();
    store.create(&collection(), spec(Distance::Cosine)).await.unwrap();
    store.upsert(&collection(), points(1_100)).await.unwrap();
    let query = Numbers(5).anywhere(DIMENSION);
    let near = nearest(&store, &collection(), &query, &Filter::all(), Accuracy::Indexed).await;
    assert_eq!(near, nearest(&store, &collection(), &query, &Filter::all(), Accuracy::Exact).await);
    let error = store.build_indexes(&collection()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("CREATE"), "{error}");
    postgres.close().await;
    rig::run(&mut connection, format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// Vectors that an index cannot hold are found all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_an_index_is_found() {
    let bench = rig::bench_with_pgvector().await;
    let store = bench.first.vectors();
    store.create(&collection(), spec(Distance::Cosine)).await.unwrap();
    let mut all = points(1_200);
    for (n, value) in [(0, 0.0), (1, f32::MAX), (2, 1e-40)] {
        all[n].dense.insert(name("d"), vec![value; DIMENSION as usize]);
        all[n].payload = json!({"odd": true});
    }
    store.upsert(&collection(), all).await.unwrap();
    let odd = Filter::parse(&json!({"field": "odd", "eq": true})).unwrap();
    let query = vec![1.0; DIMENSION as usize];
    let near = nearest(&store, &collection(), &query, &odd, Accuracy::Indexed).await;
    assert_eq!(near, nearest(&store, &collection(), &query, &odd, Accuracy::Exact).await);
    assert_eq!(near.iter().map(|hit| hit.score).collect::<Vec<_>>(), [1.0, 1.0, 0.0]);
    // A query without a direction has no nearest: every score is 0, and ids decide.
    let none = vec![0.0; DIMENSION as usize];
    let near = nearest(&store, &collection(), &none, &Filter::all(), Accuracy::Indexed).await;
    assert_eq!(near, nearest(&store, &collection(), &none, &Filter::all(), Accuracy::Exact).await);
}
