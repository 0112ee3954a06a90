//! Small graphs, random and given.

use std::future::Future;

use hexmem_graph_memory::GraphMemory;
use hexmem_ports::{
    Direction, EdgeDraft, EdgeId, Expect, GraphBatch, GraphChange, Name, NodeDraft,
};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use crate::support::{World, name};

/// Nodes `n00`, `n01`, ... and edges between them by number, with weights.
#[derive(Debug, Clone)]
pub(crate) struct Drawn {
    pub(crate) nodes: usize,
    pub(crate) edges: Vec<(usize, usize, f64)>,
}

/// Up to 9 nodes with self loops, parallel edges, isolated nodes and weights of 0.
pub(crate) fn drawn() -> impl Strategy<Value = Drawn> {
    (0..10_usize).prop_flat_map(|nodes| {
        let end = 0..nodes.max(1);
        let weight = prop_oneof![Just(0.0), Just(1.0), Just(2.0), 0.01..5.0_f64];
        let most = if nodes == 0 { 0 } else { 24 };
        proptest::collection::vec((end.clone(), end, weight), 0..=most)
            .prop_map(move |edges| Drawn { nodes, edges })
    })
}

pub(crate) fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Out), Just(Direction::In), Just(Direction::Both)]
}

impl Drawn {
    pub(crate) fn id(place: usize) -> Name {
        name(&format!("n{place:02}"))
    }

    /// A graph that holds it, its edges put in another order than they are drawn.
    pub(crate) async fn put(&self, world: &World) -> GraphMemory {
        let memory = world.graph("g");
        let mut changes: Vec<GraphChange> =
            (0..self.nodes).rev().map(|place| node(Self::id(place), "k")).collect();
        for (number, (src, dst, weight)) in self.edges.iter().enumerate().rev() {
            changes.push(edge(number, Self::id(*src), Self::id(*dst), *weight));
        }
        memory.apply(GraphBatch::new(changes)).await.unwrap();
        memory
    }

    /// Its steps as seen in a direction: from, to, weight; either way a loop comes once.
    pub(crate) fn steps(&self, direction: Direction) -> Vec<(usize, usize, f64)> {
        let mut steps = Vec::new();
        for &(src, dst, weight) in &self.edges {
            if direction != Direction::In {
                steps.push((src, dst, weight));
            }
            if direction == Direction::In || (direction == Direction::Both && src != dst) {
                steps.push((dst, src, weight));
            }
        }
        steps
    }

    /// Hops from each node to each other, by Floyd and Warshall; infinite where there is no way.
    pub(crate) fn hops(&self, direction: Direction) -> Vec<Vec<f64>> {
        let mut far = vec![vec![f64::INFINITY; self.nodes]; self.nodes];
        for (place, row) in far.iter_mut().enumerate() {
            row[place] = 0.0;
        }
        for (from, to, _) in self.steps(direction) {
            if from != to {
                far[from][to] = 1.0;
            }
        }
        for by in 0..self.nodes {
            for from in 0..self.nodes {
                for to in 0..self.nodes {
                    far[from][to] = far[from][to].min(far[from][by] + far[by][to]);
                }
            }
        }
        far
    }
}

pub(crate) fn node(id: Name, kind: &str) -> GraphChange {
    let (data, kind) = (json!({}), name(kind));
    GraphChange::PutNode(NodeDraft { id, kind, data, created_at: None, expect: Expect::Any })
}

pub(crate) fn edge(number: usize, src: Name, dst: Name, weight: f64) -> GraphChange {
    GraphChange::PutEdge(EdgeDraft {
        id: EdgeId(Uuid::from_u128(u128::try_from(number).unwrap() + 1)),
        src,
        relation: name("r"),
        dst,
        weight,
        valid_from: None,
        valid_until: None,
        source: None,
        data: json!({}),
        created_at: None,
        expect: Expect::Any,
    })
}

/// The graph that the numbers of NetworkX are about: parallel edges, a loop, a dead end, a cycle of its own and
/// a node alone.
pub(crate) fn given() -> Drawn {
    let edges = [
        (0, 1, 1.0),
        (0, 2, 2.0),
        (1, 2, 0.5),
        (2, 0, 1.0),
        (2, 2, 3.0),
        (3, 2, 1.0),
        (0, 1, 1.5),
        (1, 4, 0.25),
        (5, 6, 1.0),
        (6, 5, 2.0),
    ];
    Drawn { nodes: 8, edges: edges.to_vec() }
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn assert_close(found: &[f64], wanted: &[f64], within: f64) {
    assert_eq!(found.len(), wanted.len());
    for (place, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert!((found - wanted).abs() <= within, "{place}: {found} is not {wanted}");
    }
}
