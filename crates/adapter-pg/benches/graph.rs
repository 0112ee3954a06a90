//! Graphs beside bare statements: loading, one change, neighbours two hops away.
//!
//! Needs the server of `HEXMEM_TEST_PG_URL`, on which it makes a database of its own and drops it. The rival keeps what
//! is current and a log, by sqlx, with the same indexes on ends: no past, no preconditions, no repeats, no counts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use hexmem_adapter_pg::{Migrate, PgConfig, PgGraphs, Postgres};
use hexmem_ports::{
    AsOf, EdgeDraft, EdgeId, Expect, GraphBatch, GraphChange, GraphId, GraphStore as _, Limit,
    Name, NeighbourQuery, NodeDraft, Tenant,
};
use serde_json::json;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::runtime::Runtime;
use uuid::Uuid;

const LOADED: u32 = 10_000;

/// Changes of one batch of a load.
const BATCH: usize = 5_000;

const BARE: &str = "
CREATE TABLE bare_graph (id int PRIMARY KEY, revision bigint NOT NULL);
CREATE TABLE bare_node (graph int, id text COLLATE \"C\", kind text, data jsonb, PRIMARY KEY (graph, id));
CREATE TABLE bare_edge (
    graph int, id uuid, src text COLLATE \"C\", relation text, dst text COLLATE \"C\", weight float8, data jsonb,
    PRIMARY KEY (graph, id)
);
CREATE INDEX ON bare_edge (graph, src, relation, id);
CREATE INDEX ON bare_edge (graph, dst, relation, id);
CREATE TABLE bare_log (graph int, revision bigint, place int, edge uuid, PRIMARY KEY (graph, revision, place));
";

const NEAR: &str = "
WITH RECURSIVE walk(id, hops) AS (
    SELECT $2 COLLATE \"C\", 0
    UNION
    SELECT ends.id, walk.hops + 1 FROM walk CROSS JOIN LATERAL (
        SELECT dst AS id FROM bare_edge WHERE graph = $1 AND src = walk.id
        UNION ALL
        SELECT src FROM bare_edge WHERE graph = $1 AND dst = walk.id
    ) AS ends
    WHERE walk.hops < 2
), near AS (SELECT id, min(hops) AS hops FROM walk GROUP BY id)
SELECT node.id, node.kind, node.data::text, near.hops FROM near JOIN bare_node AS node ON node.graph = $1 AND node.id = near.id
ORDER BY near.hops, node.id
LIMIT 1000
";

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn graph(text: &str) -> GraphId {
    GraphId::new(Tenant(name("bench")), name(text))
}

fn id(n: u32) -> String {
    format!("person/{n:07}")
}

/// Some edges near, some far: the same everywhere.
fn ends(n: u32, of: u32) -> (u32, u32) {
    (n % of, n.wrapping_mul(2_654_435_761) % of)
}

fn node(n: u32) -> GraphChange {
    GraphChange::PutNode(NodeDraft {
        id: name(&id(n)),
        kind: name("person"),
        data: json!({ "name": format!("Person {n}"), "born": 1900 + n % 100 }),
        created_at: None,
        expect: Expect::Any,
    })
}

fn edge(edge: Uuid, (src, dst): (u32, u32)) -> GraphChange {
    GraphChange::PutEdge(EdgeDraft {
        id: EdgeId(edge),
        src: name(&id(src)),
        relation: name("knows"),
        dst: name(&id(dst)),
        weight: 0.5,
        valid_from: None,
        valid_until: None,
        source: None,
        data: json!({ "since": 2000 + src % 20 }),
        created_at: None,
        expect: Expect::Any,
    })
}

async fn load(store: &PgGraphs, graph: &GraphId, nodes: u32) {
    let nodes_and_edges =
        (0..nodes).map(node).chain((0..3 * nodes).map(|n| edge(Uuid::new_v4(), ends(n, nodes))));
    let changes: Vec<GraphChange> = nodes_and_edges.collect();
    for part in changes.chunks(BATCH) {
        store.apply(graph, GraphBatch::new(part.to_vec())).await.unwrap();
    }
}

async fn load_bare(pool: &PgPool, graph: i32, nodes: u32) {
    let all: Vec<u32> = (0..nodes).collect();
    for part in all.chunks(BATCH) {
        sqlx::query("INSERT INTO bare_node SELECT $1, id, kind, data::jsonb FROM unnest($2::text[], $3::text[], $4::text[]) AS new(id, kind, data)")
            .bind(graph)
            .bind(part.iter().map(|n| id(*n)).collect::<Vec<_>>())
            .bind(vec!["person"; part.len()])
            .bind(part.iter().map(|n| json!({ "name": format!("Person {n}"), "born": 1900 + n % 100 }).to_string()).collect::<Vec<_>>())
            .execute(pool)
            .await
            .unwrap();
    }
    let all: Vec<u32> = (0..3 * nodes).collect();
    for part in all.chunks(BATCH) {
        let ends: Vec<(u32, u32)> = part.iter().map(|n| ends(*n, nodes)).collect();
        sqlx::query("INSERT INTO bare_edge SELECT $1, id, src, 'knows', dst, 0.5, data::jsonb FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) AS new(id, src, dst, data)")
            .bind(graph)
            .bind(part.iter().map(|_| Uuid::new_v4()).collect::<Vec<_>>())
            .bind(ends.iter().map(|(src, _)| id(*src)).collect::<Vec<_>>())
            .bind(ends.iter().map(|(_, dst)| id(*dst)).collect::<Vec<_>>())
            .bind(ends.iter().map(|(src, _)| json!({ "since": 2000 + src % 20 }).to_string()).collect::<Vec<_>>())
            .execute(pool)
            .await
            .unwrap();
    }
}

/// What one change is without an adapter: the graph's row locked, the ends looked up, an edge, an entry, a revision.
async fn change_bare(pool: &PgPool, graph: i32, (src, dst): (u32, u32)) {
    let mut tx = pool.begin().await.unwrap();
    let (revision,): (i64,) =
        sqlx::query_as("SELECT revision + 1 FROM bare_graph WHERE id = $1 FOR UPDATE")
            .bind(graph)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
    let there: (i64,) =
        sqlx::query_as("SELECT count(*) FROM bare_node WHERE graph = $1 AND id = ANY ($2)")
            .bind(graph)
            .bind(vec![id(src), id(dst)])
            .fetch_one(&mut *tx)
            .await
            .unwrap();
    assert!(there.0 > 0);
    let edge = Uuid::new_v4();
    sqlx::query("INSERT INTO bare_edge VALUES ($1, $2, $3, 'knows', $4, 0.5, '{\"since\": 2001}')")
        .bind(graph)
        .bind(edge)
        .bind(id(src))
        .bind(id(dst))
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query("INSERT INTO bare_log VALUES ($1, $2, 0, $3)")
        .bind(graph)
        .bind(revision)
        .bind(edge)
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query("UPDATE bare_graph SET revision = $2 WHERE id = $1")
        .bind(graph)
        .bind(revision)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

fn main() {
    let Ok(server) = std::env::var("HEXMEM_TEST_PG_URL") else {
        println!("graph on PostgreSQL: not run, HEXMEM_TEST_PG_URL names no server");
        return;
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let database = format!("hexmem_bench_{}", Uuid::new_v4().simple());
    let (base, _) = server.rsplit_once('/').unwrap();
    let url = format!("{base}/{database}");
    let admin = |sql: String| {
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&server).await.unwrap();
            connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
        });
    };
    admin(format!("CREATE DATABASE {database}"));
    let (store, pool) = runtime.block_on(async {
        let config = PgConfig {
            migrate: Migrate::Connect,
            max_connections: 4,
            statement_timeout_ms: 60_000,
            ..PgConfig::new(&url)
        };
        let store = Postgres::connect(config).await.unwrap().graphs();
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .connect(&url)
            .await
            .unwrap();
        pool.execute(sqlx::raw_sql(BARE)).await.unwrap();
        (store, pool)
    });
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    loads(&mut criterion, &runtime, &store, &pool);
    changes(&mut criterion, &runtime, &store, &pool);
    criterion.final_summary();
    runtime.block_on(pool.close());
    drop(store);
    admin(format!("DROP DATABASE {database} WITH (FORCE)"));
}

/// 10,000 nodes and 30,000 edges: rows a second.
fn loads(criterion: &mut Criterion, runtime: &Runtime, store: &PgGraphs, pool: &PgPool) {
    let mut group = criterion.benchmark_group("pg graph load");
    group.throughput(Throughput::Elements(u64::from(4 * LOADED)));
    let mut next = 0;
    group.bench_function("hexmem", |bencher| {
        bencher.iter_batched(
            || {
                next += 1;
                graph(&format!("load-{next}"))
            },
            |graph| runtime.block_on(load(store, &graph, LOADED)),
            BatchSize::PerIteration,
        );
    });
    let mut next = 1_000;
    group.bench_function("sqlx", |bencher| {
        bencher.iter_batched(
            || {
                next += 1;
                next
            },
            |graph| runtime.block_on(load_bare(pool, graph, LOADED)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// One new edge, and two hops, in a small graph and in a large one.
fn changes(criterion: &mut Criterion, runtime: &Runtime, store: &PgGraphs, pool: &PgPool) {
    let sizes = [(1, 1_000_u32), (2, 100_000)];
    runtime.block_on(async {
        for (bare, size) in sizes {
            load(store, &graph(&format!("g{size}")), size).await;
            load_bare(pool, bare, size).await;
            sqlx::query("INSERT INTO bare_graph VALUES ($1, 0)")
                .bind(bare)
                .execute(pool)
                .await
                .unwrap();
        }
        pool.execute(sqlx::raw_sql("VACUUM ANALYZE")).await.unwrap();
    });
    let mut group = criterion.benchmark_group("pg graph change");
    for (bare, size) in sizes {
        let g = graph(&format!("g{size}"));
        let mut n = 0_u32;
        group.bench_with_input(BenchmarkId::new("hexmem", size), &size, |bencher, size| {
            bencher.iter(|| {
                n += 7;
                let batch = GraphBatch::new(vec![edge(Uuid::new_v4(), ends(n, *size))]);
                runtime.block_on(store.apply(&g, batch)).unwrap()
            });
        });
        group.bench_with_input(BenchmarkId::new("sqlx", size), &size, |bencher, size| {
            bencher.iter(|| {
                n += 7;
                runtime.block_on(change_bare(pool, bare, ends(n, *size)));
            });
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("pg graph neighbourhood");
    for (bare, size) in sizes {
        let g = graph(&format!("g{size}"));
        let mut n = 0_u32;
        group.bench_with_input(BenchmarkId::new("hexmem", size), &size, |bencher, size| {
            bencher.iter(|| {
                n += 7;
                let seeds = vec![name(&id(n % size))];
                let asked = NeighbourQuery {
                    as_of: AsOf::ALL,
                    ..NeighbourQuery::new(seeds, 2, Limit::new(1_000).unwrap())
                };
                runtime.block_on(store.neighbourhood(&g, &asked)).unwrap()
            });
        });
        group.bench_with_input(BenchmarkId::new("sqlx", size), &size, |bencher, size| {
            bencher.iter(|| {
                n += 7;
                let asked = sqlx::query_as::<_, (String, String, String, i32)>(NEAR)
                    .bind(bare)
                    .bind(id(n % size));
                runtime.block_on(asked.fetch_all(pool)).unwrap()
            });
        });
    }
    group.finish();
}
