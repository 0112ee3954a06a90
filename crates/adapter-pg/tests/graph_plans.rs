//! No call on a graph reads a whole table: each seeks in an index, so that its cost does not grow with the database. The
//! server itself counts: its statistics say how often each table was read from end to end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::time::{Duration, Instant};

use hexmem_adapter_pg::PgGraphs;
use hexmem_conformance::name;
use hexmem_ports::{
    AsOf, Compact, Direction, EdgeDraft, EdgeFilter, EdgeId, ElementRef, Expect, Filter,
    GraphBatch, GraphChange, GraphId, GraphStore as _, Limit, Name, NeighbourQuery, NodeDraft,
    NodeFilter, Prefix, Records as _, Revision, Tenant, Timestamp,
};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

const FILL: &str = "
INSERT INTO hexmem.graph_node SELECT body, 1, 1, now(), now(), 'n' || lpad(i::text, 5, '0'), 'k' || i % 20, '{}'
FROM hexmem.graph, generate_series(1, 8000) AS i;
INSERT INTO hexmem.graph_edge SELECT body, 1, 1, now(), now(), CASE WHEN i % 9 = 0 THEN now() END, NULL, 1,
    gen_random_uuid(), 'n' || lpad((1 + i % 8000)::text, 5, '0'), 'r' || i % 40,
    'n' || lpad((1 + i * 7 % 8000)::text, 5, '0'), 's' || i % 300, '{}'
FROM hexmem.graph, generate_series(1, 16000) AS i;
INSERT INTO hexmem.graph_node_past SELECT graph, 0, 1, created_at, recorded_at, recorded_at, id, kind, data
FROM hexmem.graph_node;
INSERT INTO hexmem.graph_edge_past SELECT graph, 0, 1, created_at, recorded_at, recorded_at, valid_from, valid_until, weight,
    id, src, relation, dst, source, data
FROM hexmem.graph_edge;
INSERT INTO hexmem.graph_log SELECT body, i + 1, 1, 0, NULL, 'n' || lpad(i::text, 5, '0')
FROM hexmem.graph, generate_series(1, 8000) AS i;
UPDATE hexmem.graph SET revision = 9000;
INSERT INTO hexmem.graph_batch SELECT body, 1, now(), gen_random_uuid() FROM hexmem.graph, generate_series(1, 8000);
INSERT INTO hexmem.graph_count SELECT 1000 + i % 300, 1, 0, 'k' || i FROM generate_series(1, 6000) AS i;
INSERT INTO hexmem.graph (digest, tenant, name, created_at)
SELECT sha256(i::text::bytea), 't' || i % 50, 'g' || i, now() FROM generate_series(1, 4000) AS i;
ANALYZE;
";

/// How often each table was read from end to end.
const SCANS: &str = "SELECT relname::text, COALESCE(seq_scan, 0) FROM pg_stat_user_tables \
     WHERE schemaname = 'hexmem' AND relname LIKE 'graph%' AND relname <> 'graph_remains' ORDER BY 1";

fn graph(of: &str) -> GraphId {
    GraphId::new(Tenant(name("t")), name(of))
}

fn node(id: &str) -> GraphChange {
    GraphChange::PutNode(NodeDraft {
        id: name(id),
        kind: name("k"),
        data: json!({ "at": Uuid::new_v4().to_string() }),
        created_at: None,
        expect: Expect::Any,
    })
}

fn edge(id: EdgeId, src: &str, dst: &str) -> GraphChange {
    GraphChange::PutEdge(EdgeDraft {
        id,
        src: name(src),
        relation: name("r1"),
        dst: name(dst),
        weight: 2.0,
        valid_from: None,
        valid_until: None,
        source: Some(name("s1")),
        data: json!({ "at": Uuid::new_v4().to_string() }),
        created_at: None,
        expect: Expect::Any,
    })
}

async fn reads(store: &PgGraphs, g: &GraphId, round: u32) {
    let limit = Limit::new(20).unwrap();
    let ids: Vec<Name> = (1..9).map(|n| name(format!("n{:05}", n * 7 + round))).collect();
    let past = AsOf::ALL.known_at(Timestamp::MAX);
    for as_of in [AsOf::NOW, past] {
        store.nodes(g, &ids, as_of).await.unwrap();
        store.edges(g, &[EdgeId(Uuid::new_v4())], as_of).await.unwrap();
        for kinds in [vec![], vec![name("k1"), name("k2")]] {
            let prefix = Prefix::new("n00").unwrap();
            let asked = NodeFilter { kinds, prefix, data: None };
            store.find_nodes(g, &asked, as_of, None, limit).await.unwrap();
        }
        for at in [None, Some((ids[..2].to_vec(), Direction::Both))] {
            for (relations, sources) in
                [(vec![], vec![]), (vec![name("r1")], vec![]), (vec![], vec![name("s1")])]
            {
                let asked =
                    EdgeFilter { at: at.clone(), relations, sources, ..EdgeFilter::default() };
                store.find_edges(g, &asked, as_of, None, limit).await.unwrap();
                store.find_versions(g, &asked, None, limit).await.unwrap();
            }
        }
        let data = Filter::parse(&json!({ "field": "x", "exists": false })).unwrap();
        let asked = NeighbourQuery {
            as_of,
            node_data: Some(data),
            ..NeighbourQuery::new(ids.clone(), 2, limit)
        };
        store.neighbourhood(g, &asked).await.unwrap();
    }
    store.stats(g, AsOf::NOW).await.unwrap();
    store.history(g, &ElementRef::Node(ids[0].clone()), None, limit).await.unwrap();
    store.history(g, &ElementRef::Edge(EdgeId(Uuid::new_v4())), None, limit).await.unwrap();
    store.changes(g, Revision(0), limit).await.unwrap();
    store.head(g).await.unwrap();
    store.list(&Tenant(name("t7")), &Prefix::default(), None, limit).await.unwrap();
    store.scan(None, limit).await.unwrap();
    store.changed(g, Revision(0), Duration::ZERO).await.unwrap();
}

async fn writes(store: &PgGraphs, g: &GraphId, round: u32) {
    let (a, b) = (format!("a{round}"), format!("b{round}"));
    let (known, id) = (format!("n{:05}", 100 + round), EdgeId(Uuid::new_v4()));
    let at = |id: &str| name(id);
    for changes in [
        vec![node(&a), node(&b), edge(id, &a, &known)],
        vec![node(&a), edge(id, &a, &known)],
        vec![GraphChange::RemoveEdge { id, expect: Expect::Any }],
        vec![GraphChange::RemoveNode { id: at(&known), expect: Expect::Any }],
        vec![GraphChange::PurgeOrphan(at(&b)), GraphChange::PurgeNode(at(&a))],
    ] {
        store.apply(g, GraphBatch::new(changes)).await.unwrap();
    }
}

async fn scans(connection: &mut PgConnection) -> Vec<(String, i64)> {
    sqlx::query_as(SCANS).fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn every_call_seeks_in_an_index() {
    let database = rig::Database::migrated().await;
    let postgres = database.open("hexmem").await;
    for g in ["g", "other"] {
        let first = GraphBatch::new(vec![node("first")]);
        postgres.graphs().apply(&graph(g), first).await.unwrap();
    }
    postgres.close().await;
    let mut connection = rig::connect(&database.url).await;
    rig::run(&mut connection, FILL).await;
    // The statistics of a session that ended are there a moment later.
    let settled = async |connection: &mut PgConnection| {
        let (mut before, start) = (scans(connection).await, Instant::now());
        loop {
            tokio::time::sleep(Duration::from_millis(120)).await;
            rig::run(connection, "SELECT pg_stat_clear_snapshot()").await;
            let now = scans(connection).await;
            if now == before || start.elapsed() > Duration::from_secs(5) {
                return now;
            }
            before = now;
        }
    };
    drop(connection);
    let mut connection = rig::connect(&database.url).await;
    let before = settled(&mut connection).await;
    let postgres = database.open("hexmem").await;
    let store = postgres.graphs();
    // Often enough for the server to keep a plan that does not know what is asked.
    for round in 0..8 {
        reads(&store, &graph("g"), round).await;
        writes(&store, &graph("g"), round).await;
    }
    let records = store.scan(None, Limit::new(30).unwrap()).await.unwrap();
    store.restore(records.items).await.unwrap();
    let compact = Compact { log_upto: Some(Revision(99)), history_before: Some(Timestamp::MAX) };
    store.compact(&graph("g"), compact).await.unwrap();
    store.delete(&graph("other"), vec![]).await.unwrap();
    postgres.close().await;
    let after = settled(&mut connection).await;
    assert_eq!(after.len(), 8);
    assert_eq!(after, before);
}
