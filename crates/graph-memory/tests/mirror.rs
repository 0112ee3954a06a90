//! A loaded graph answers as its store does, and keeps up with it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use hexmem_graph_memory::{Cost, GraphMemory, Mirror, PathQuery};
use hexmem_ports::{
    AsOf, Compact, Direction, Edge, EdgeDraft, EdgeId, ErrorKind, Expect, GraphBatch, GraphChange,
    Limit, NeighbourQuery, NodeDraft, Timestamp, ValidAt,
};
use proptest::prelude::*;
use serde_json::json;
use support::{World, name};
use uuid::Uuid;

/// A change of a small graph, so that changes meet.
#[derive(Debug, Clone)]
enum Step {
    Node { id: u8, kind: u8, value: u8 },
    Edge { id: u8, ends: (u8, u8), relation: u8, weight: i8, from: Option<u8>, until: Option<u8> },
    RemoveNode(u8),
    RemoveEdge(u8),
    PurgeNode(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let span = (proptest::option::of(0..10u8), proptest::option::of(10..20u8));
    prop_oneof![
        4 => (0..6u8, 0..2u8, 0..3u8).prop_map(|(id, kind, value)| Step::Node { id, kind, value }),
        6 => (0..20u8, (0..6u8, 0..6u8), 0..3u8, 0..4i8, span).prop_map(
            |(id, ends, relation, weight, (from, until))| Step::Edge { id, ends, relation, weight, from, until }
        ),
        1 => (0..6u8).prop_map(Step::RemoveNode),
        1 => (0..20u8).prop_map(Step::RemoveEdge),
        1 => (0..6u8).prop_map(Step::PurgeNode),
    ]
}

fn tick(at: u8) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + i64::from(at)).unwrap()
}

fn node(id: u8) -> hexmem_ports::Name {
    name(&format!("n{id}"))
}

fn edge_id(id: u8, ends: (u8, u8), relation: u8) -> EdgeId {
    // An edge never changes its ends or relation, so they are part of its id here.
    EdgeId(Uuid::from_bytes([id, ends.0, ends.1, relation, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]))
}

fn change(step: &Step, known: &mut Vec<EdgeId>) -> GraphChange {
    match *step {
        Step::Node { id, kind, value } => GraphChange::PutNode(NodeDraft {
            id: node(id),
            kind: name(&format!("k{kind}")),
            data: if value == 0 { json!({}) } else { json!({ "v": value }) },
            created_at: None,
            expect: Expect::Any,
        }),
        Step::Edge { id, ends, relation, weight, from, until } => {
            let id = edge_id(id, ends, relation);
            known.push(id);
            GraphChange::PutEdge(EdgeDraft {
                id,
                src: node(ends.0),
                relation: name(&format!("r{relation}")),
                dst: node(ends.1),
                weight: f64::from(weight),
                valid_from: from.map(tick),
                valid_until: until.map(tick),
                source: (weight == 1).then(|| name("s")),
                data: json!({}),
                created_at: None,
                expect: Expect::Any,
            })
        }
        Step::RemoveNode(id) => GraphChange::RemoveNode { id: node(id), expect: Expect::Any },
        Step::RemoveEdge(id) => GraphChange::RemoveEdge {
            id: known.get(usize::from(id)).copied().unwrap_or(EdgeId(Uuid::nil())),
            expect: Expect::Any,
        },
        Step::PurgeNode(id) => GraphChange::PurgeNode(node(id)),
    }
}

async fn play(memory: &GraphMemory, steps: &[Step], known: &mut Vec<EdgeId>) {
    for step in steps {
        // An edge to a node that is not there is refused; that is another test's matter.
        let _ = memory.apply(GraphBatch::new(vec![change(step, known)])).await;
    }
}

fn sorted<T, K: Ord>(items: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> BTreeMap<K, T> {
    items.map(|item| (key(&item), item)).collect()
}

async fn assert_same(memory: &GraphMemory, mirror: &Mirror) {
    let fresh = memory.load().await.unwrap();
    assert_eq!(mirror.revision(), fresh.revision());
    let nodes = |mirror: &Mirror| sorted(mirror.nodes(), |node| node.id.clone());
    let edges = |mirror: &Mirror| sorted(mirror.edges(), |edge| edge.id);
    assert_eq!(nodes(mirror), nodes(&fresh));
    assert_eq!(edges(mirror), edges(&fresh));
    for (id, node) in nodes(&fresh) {
        assert_eq!(memory.node(&id, AsOf::NOW).await.unwrap(), Some(node));
    }
    for (id, edge) in edges(&fresh) {
        assert_eq!(memory.edge(id, AsOf::ALL).await.unwrap(), Some(edge));
    }
    for valid in [ValidAt::Any, ValidAt::Now, ValidAt::At(tick(5)), ValidAt::At(tick(15))] {
        let as_of = AsOf { valid, known: None };
        assert_eq!(mirror.stats(as_of).unwrap(), memory.stats(as_of).await.unwrap());
    }
}

fn query() -> impl Strategy<Value = NeighbourQuery> {
    let names = |what: &'static str, upto: u8| {
        proptest::collection::vec(0..upto, 0..2).prop_map(move |list| {
            list.into_iter().map(|i| name(&format!("{what}{i}"))).collect::<Vec<_>>()
        })
    };
    let direction = prop_oneof![Just(Direction::Out), Just(Direction::In), Just(Direction::Both)];
    let valid = prop_oneof![
        Just(ValidAt::Any),
        Just(ValidAt::Now),
        (0..22u8).prop_map(|at| ValidAt::At(tick(at)))
    ];
    (
        names("n", 8),
        0..4u32,
        direction,
        names("r", 4),
        proptest::option::of(0..4i8),
        (names("k", 3), names("s", 3)),
        valid,
        1..8u32,
    )
        .prop_map(
            |(seeds, hops, direction, relations, floor, (kinds, sources), valid, limit)| {
                NeighbourQuery {
                    direction,
                    relations,
                    min_weight: floor.map(f64::from),
                    kinds,
                    sources,
                    as_of: AsOf { valid, known: None },
                    ..NeighbourQuery::new(seeds, hops, Limit::new(limit).unwrap())
                }
            },
        )
}

fn steps_cost(path: &[Edge], cost: Cost) -> f64 {
    path.iter().map(|edge| cost.of(edge.weight).unwrap()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_mirror_that_follows_equals_one_that_loads_and_both_answer_as_the_store(
        before in proptest::collection::vec(step(), 0..40),
        after in proptest::collection::vec(step(), 0..40),
        queries in proptest::collection::vec(query(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let memory = world.graph("g");
            let mut known = Vec::new();
            play(&memory, &before, &mut known).await;
            let mut mirror = memory.load().await.unwrap();
            play(&memory, &after, &mut known).await;
            mirror.follow().await.unwrap();
            assert_same(&memory, &mirror).await;
            for query in &queries {
                let store = memory.store().neighbourhood(memory.graph(), query).await.unwrap();
                assert_eq!(mirror.neighbours(query).unwrap(), store, "{query:?}");
                let ids = store.nodes.iter().map(|near| (near.node.id.as_str(), near.distance));
                assert!(mirror.reach(query).unwrap().into_iter().eq(ids));
                let Some(from) = query.seeds.first() else { continue };
                for cost in [Cost::Hops, Cost::Weight, Cost::Strength] {
                    let path = PathQuery {
                        direction: query.direction,
                        relations: query.relations.clone(),
                        min_weight: query.min_weight,
                        as_of: query.as_of,
                        cost,
                        ..PathQuery::new(from.clone(), node(0))
                    };
                    let loaded = mirror.path(&path);
                    let walked = memory.path(&path).await;
                    let (Ok(loaded), Ok(walked)) = (&loaded, &walked) else {
                        // A weight of 0 is no strength.
                        let kinds = [loaded, walked].map(|path| path.unwrap_err().kind());
                        assert_eq!((kinds, cost), ([ErrorKind::Invalid; 2], Cost::Strength));
                        continue;
                    };
                    assert_eq!(loaded, walked, "one path, to the edge");
                    if let Some(found) = loaded {
                        assert_eq!(found.nodes.len(), found.edges.len() + 1);
                        assert!((steps_cost(&found.edges, cost) - found.cost).abs() < 1e-9);
                        for (pair, edge) in found.nodes.windows(2).zip(&found.edges) {
                            let out = edge.src == pair[0] && edge.dst == pair[1];
                            let back = edge.dst == pair[0] && edge.src == pair[1];
                            assert!(match path.direction {
                                Direction::Out => out,
                                Direction::In => back,
                                Direction::Both => out || back,
                            });
                        }
                    }
                }
            }
        });
    }
}

#[tokio::test]
async fn a_reader_behind_the_log_or_of_a_deleted_graph_loads_anew() {
    let world = World::new();
    let memory = world.graph("g");
    let mut known = Vec::new();
    let put = |id| Step::Node { id, kind: 0, value: 0 };
    play(&memory, &[put(0), put(1)], &mut known).await;
    let mut mirror = memory.load().await.unwrap();
    assert!(!mirror.follow().await.unwrap().reloaded);
    play(&memory, &[put(2), put(3)], &mut known).await;
    let log_upto = memory.head().await.unwrap().map(|head| head.revision);
    let compact = Compact { log_upto, history_before: None };
    memory.store().compact(memory.graph(), compact).await.unwrap();
    assert!(mirror.follow().await.unwrap().reloaded);
    assert_same(&memory, &mirror).await;
    assert!(memory.store().delete(memory.graph(), Vec::new()).await.unwrap());
    assert!(mirror.follow().await.unwrap().reloaded);
    assert_eq!(mirror.node_count(), 0);
}

#[tokio::test]
async fn recorded_time_is_the_stores() {
    let world = World::new();
    let memory = world.graph("g");
    let mirror = memory.load().await.unwrap();
    let as_of = AsOf { valid: ValidAt::Any, known: Some(tick(0)) };
    assert_eq!(mirror.stats(as_of).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn loading_and_following_while_others_write_loses_nothing() {
    let world = World::new();
    let memory = world.graph("g");
    let mut writers = Vec::new();
    for writer in 0..4u8 {
        let memory = memory.clone();
        writers.push(tokio::spawn(async move {
            let mut known = Vec::new();
            for i in 0..60u8 {
                let (a, b) = (writer * 60 + i, writer * 60 + (i + 1) % 60);
                play(
                    &memory,
                    &[
                        Step::Node { id: a, kind: 0, value: i % 3 },
                        Step::Node { id: b, kind: 1, value: 0 },
                        Step::Edge {
                            id: i,
                            ends: (a, b),
                            relation: 0,
                            weight: 1,
                            from: None,
                            until: None,
                        },
                        Step::RemoveNode(if i % 7 == 6 { a } else { 250 }),
                    ],
                    &mut known,
                )
                .await;
                tokio::task::yield_now().await;
            }
        }));
    }
    let mut mirror = memory.load().await.unwrap();
    while writers.iter().any(|writer| !writer.is_finished()) {
        mirror.follow().await.unwrap();
        tokio::task::yield_now().await;
        let other = memory.load().await.unwrap();
        assert!(other.revision() >= mirror.revision());
    }
    for writer in writers {
        writer.await.unwrap();
    }
    mirror.follow().await.unwrap();
    assert_same(&memory, &mirror).await;
}
