//! Sparse search over 10,000 chunks, and dense search over 10,000 vectors of 384 numbers, beside bare statements.
//!
//! Needs the server of `HEXMEM_TEST_PG_URL`, on which it makes a database of its own and drops it. The dense ones beside
//! pgvector are left out where the server does not have it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use hexmem_adapter_pg::{Migrate, PgConfig, PgVectors, Postgres};
use hexmem_conformance::Numbers;
use hexmem_ports::{
    Accuracy, CollectionId, CollectionSpec, DenseSpec, Distance, Filter, Limit, Name, Point,
    PointId, SparseSpec, Tenant, VectorQuery, VectorSearch, VectorStore, Weighting,
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::runtime::Runtime;
use uuid::Uuid;

const CHUNKS: u32 = 10_000;
const DIMENSION: u32 = 384;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn collection(text: &str) -> CollectionId {
    CollectionId::new(Tenant(name("bench")), name(text))
}

fn point(numbers: &mut Numbers, n: u32, sparse: bool) -> Point {
    let mut point = Point {
        id: PointId(Uuid::from_u128(u128::from(n.wrapping_mul(2_654_435_761)))),
        dense: [].into(),
        sparse: [].into(),
        payload: json!({"document": format!("d{}", n / 8), "chunk": n % 8, "text": "x".repeat(400)}),
    };
    if sparse {
        point.sparse.insert(name("s"), numbers.terms(50));
    } else {
        point.dense.insert(name("d"), numbers.clustered(DIMENSION));
    }
    point
}

fn spec(sparse: bool) -> CollectionSpec {
    let space = hexmem_conformance::vectors::space(DIMENSION);
    let mut spec = CollectionSpec::default();
    if sparse {
        spec.sparse.insert(name("s"), SparseSpec { weighting: Weighting::Idf });
    } else {
        spec.dense.insert(name("d"), DenseSpec { space, distance: Distance::Cosine });
    }
    spec
}

fn search(query: VectorQuery, accuracy: Accuracy) -> VectorSearch {
    let limit = Limit::new(10).unwrap();
    VectorSearch { query, filter: Filter::all(), limit, min_score: None, accuracy }
}

async fn fill(store: &PgVectors, bare: &mut PgConnection, sparse: bool) {
    let c = collection(if sparse { "sparse" } else { "dense" });
    store.create(&c, spec(sparse)).await.unwrap();
    let mut numbers = Numbers(1);
    for start in (0..CHUNKS).step_by(1_000) {
        let points: Vec<Point> =
            (start..start + 1_000).map(|n| point(&mut numbers, n, sparse)).collect();
        for point in &points {
            let id = point.id.0;
            for vector in point.sparse.values() {
                let (terms, values): (Vec<i64>, Vec<f32>) =
                    vector.iter().map(|(term, value)| (i64::from(term), value)).unzip();
                sqlx::query("INSERT INTO entries SELECT t, $1, v FROM unnest($2::int8[], $3::float4[]) u (t, v)")
                    .bind(id)
                    .bind(terms)
                    .bind(values)
                    .execute(&mut *bare)
                    .await
                    .unwrap();
            }
            for vector in point.dense.values() {
                sqlx::query("INSERT INTO raw VALUES ($1, $2::float4[], $3::json)")
                    .bind(id)
                    .bind(vector)
                    .bind(point.payload.to_string())
                    .execute(&mut *bare)
                    .await
                    .unwrap();
            }
            if sparse {
                sqlx::query("INSERT INTO chunks VALUES ($1, $2::json)")
                    .bind(id)
                    .bind(point.payload.to_string())
                    .execute(&mut *bare)
                    .await
                    .unwrap();
            }
        }
        store.upsert(&c, points).await.unwrap();
    }
}

/// What BM25 costs in plain SQL: a row an entry, weights and sums by the server.
const BARE_SPARSE: &str = "
WITH asked AS (SELECT t.term, t.value FROM unnest($1::int8[], $2::float4[]) t (term, value)),
matching AS (SELECT e.term, e.id, e.value * a.value AS value FROM asked a JOIN entries e USING (term)),
weights AS (
    SELECT term, ln(1 + ((SELECT count(*) FROM chunks) - count(*) + 0.5) / (count(*) + 0.5)) AS idf
    FROM matching GROUP BY term
),
best AS (SELECT m.id, sum(m.value * w.idf) AS score FROM matching m JOIN weights w USING (term)
    GROUP BY m.id ORDER BY score DESC, m.id LIMIT 10)
SELECT b.id, b.score, c.payload::text FROM best b JOIN chunks c USING (id) ORDER BY b.score DESC";

const BARE_NEAR: &str =
    "SELECT id, 1 - (embedding <=> $1::float4[]::vector(384)), payload::text FROM items
ORDER BY embedding <=> $1::float4[]::vector(384) LIMIT 10";

fn queries(sparse: bool) -> Vec<VectorQuery> {
    let mut numbers = Numbers(99);
    (0..20)
        .map(|_| {
            if sparse {
                VectorQuery::Sparse { vector: name("s"), values: numbers.terms(6) }
            } else {
                VectorQuery::Dense { vector: name("d"), values: numbers.clustered(DIMENSION) }
            }
        })
        .collect()
}

fn ours(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    store: &PgVectors,
    sparse: bool,
    accuracy: Accuracy,
) {
    let c = collection(if sparse { "sparse" } else { "dense" });
    let asked: Vec<VectorSearch> =
        queries(sparse).into_iter().map(|query| search(query, accuracy)).collect();
    let mut next = asked.iter().cycle();
    group.bench_function("hexmem", |bencher| {
        bencher.iter(|| {
            let found = runtime.block_on(store.search(&c, next.next().unwrap())).unwrap();
            assert_eq!(found.len(), 10);
        });
    });
}

fn bare(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    connection: &mut PgConnection,
    sparse: bool,
) {
    let asked = queries(sparse);
    let mut next = asked.iter().cycle();
    group.bench_function("sqlx", |bencher| {
        bencher.iter(|| {
            let query = match next.next().unwrap() {
                VectorQuery::Sparse { values, .. } => sqlx::query(BARE_SPARSE)
                    .bind(values.indices().iter().map(|i| i64::from(*i)).collect::<Vec<_>>())
                    .bind(values.values().to_vec()),
                VectorQuery::Dense { values, .. } => sqlx::query(BARE_NEAR).bind(values.clone()),
                VectorQuery::Fused { .. } => panic!("single queries"),
            };
            let rows = runtime.block_on(query.fetch_all(&mut *connection)).unwrap();
            assert_eq!(rows.len(), 10);
        });
    });
}

/// A database of its own for both sides.
async fn prepare(url: &str, database: &str) -> (Postgres, PgConnection) {
    let mut server = PgConnection::connect(url).await.unwrap();
    server.execute(AssertSqlSafe(format!("CREATE DATABASE {database}"))).await.unwrap();
    let slash = url.rfind('/').unwrap();
    let own = format!("{}/{database}", &url[..slash]);
    let mut bare = PgConnection::connect(&own).await.unwrap();
    bare.execute(
        "CREATE TABLE chunks (id uuid PRIMARY KEY, payload json);
         CREATE TABLE entries (term int8, id uuid, value float4, PRIMARY KEY (term, id) INCLUDE (value));
         CREATE TABLE raw (id uuid PRIMARY KEY, embedding float4[], payload json);",
    )
    .await
    .unwrap();
    let config = PgConfig { migrate: Migrate::Connect, ..PgConfig::new(own) };
    (Postgres::connect(config).await.unwrap(), bare)
}

/// Indexes on both sides, made at once from what is there; whether there is the extension for it.
async fn index(store: &PgVectors, bare: &mut PgConnection) -> bool {
    if bare.execute("CREATE EXTENSION vector").await.is_err() {
        return false;
    }
    store.build_indexes(&collection("dense")).await.unwrap();
    bare.execute(
        "CREATE TABLE items AS SELECT id, embedding::vector(384) AS embedding, payload FROM raw;
         CREATE INDEX ON items USING hnsw (embedding vector_cosine_ops);
         SET hnsw.ef_search = 200",
    )
    .await
    .unwrap();
    true
}

fn main() {
    let Ok(url) = std::env::var("HEXMEM_TEST_PG_URL") else {
        println!("pg vectors: not measured: HEXMEM_TEST_PG_URL names no server");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = format!("hexmem_bench_{}", Uuid::new_v4().simple());
    let (postgres, mut connection) = runtime.block_on(prepare(&url, &database));
    let store = postgres.vectors();
    let pgvector = runtime.block_on(async {
        fill(&store, &mut connection, true).await;
        fill(&store, &mut connection, false).await;
        let pgvector = index(&store, &mut connection).await;
        connection.execute("VACUUM ANALYZE").await.unwrap();
        pgvector
    });
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("pg sparse search");
    ours(&mut group, &runtime, &store, true, Accuracy::Exact);
    bare(&mut group, &runtime, &mut connection, true);
    group.finish();
    if pgvector {
        let mut group = criterion.benchmark_group("pg dense search by index");
        ours(&mut group, &runtime, &store, false, Accuracy::Indexed);
        bare(&mut group, &runtime, &mut connection, false);
        group.finish();
        // The statement's plan was made with the index and is kept.
        let without = "SET enable_indexscan = off; DISCARD PLANS";
        runtime.block_on(connection.execute(sqlx::raw_sql(without))).unwrap();
        let mut group = criterion.benchmark_group("pg dense search exact");
        ours(&mut group, &runtime, &store, false, Accuracy::Exact);
        bare(&mut group, &runtime, &mut connection, false);
        group.finish();
    } else {
        println!("pg dense search: measured alone: the server does not offer pgvector");
        let mut group = criterion.benchmark_group("pg dense search exact");
        ours(&mut group, &runtime, &store, false, Accuracy::Exact);
        group.finish();
    }
    criterion.final_summary();
    runtime.block_on(async {
        postgres.close().await;
        drop(connection);
        let mut server = PgConnection::connect(&url).await.unwrap();
        let drop = format!("DROP DATABASE {database} WITH (FORCE)");
        server.execute(AssertSqlSafe(drop)).await.unwrap();
    });
}
