//! Graphs for the cases: short ways to write changes, to read everything, and to draw at random.

use hexmem_ports::{
    Applied, AsOf, Edge, EdgeDraft, EdgeFilter, EdgeId, Element, ElementRef, Error, Expect,
    GraphBatch, GraphChange, GraphId, GraphStore, Limit, Name, Node, NodeDraft, NodeFilter,
};
use serde_json::json;
use uuid::Uuid;

use crate::{Rig, name};

pub(super) type Graphs = dyn GraphStore;

pub(super) fn graph(rig: &Rig<Graphs>, text: &str) -> GraphId {
    GraphId::new(rig.tenant.clone(), name(text))
}

pub(super) fn limit(rows: u32) -> Limit {
    Limit::new(rows).unwrap()
}

pub(super) fn edge_id(n: u128) -> EdgeId {
    EdgeId(Uuid::from_u128(n))
}

/// A node of type `t` without data.
pub(super) fn draft(id: &str) -> NodeDraft {
    NodeDraft {
        id: name(id),
        kind: name("t"),
        data: json!({}),
        created_at: None,
        expect: Expect::Any,
    }
}

/// The edge `n` of weight 1 that always holds.
pub(super) fn join(n: u128, src: &str, relation: &str, dst: &str) -> EdgeDraft {
    EdgeDraft {
        id: edge_id(n),
        src: name(src),
        relation: name(relation),
        dst: name(dst),
        weight: 1.0,
        valid_from: None,
        valid_until: None,
        source: None,
        data: json!({}),
        created_at: None,
        expect: Expect::Any,
    }
}

pub(super) fn put(id: &str) -> GraphChange {
    GraphChange::PutNode(draft(id))
}

/// A node of which the data has the number `n`.
pub(super) fn put_n(id: &str, n: u64) -> GraphChange {
    GraphChange::PutNode(NodeDraft { data: json!({ "n": n }), ..draft(id) })
}

pub(super) fn link(n: u128, src: &str, relation: &str, dst: &str) -> GraphChange {
    GraphChange::PutEdge(join(n, src, relation, dst))
}

pub(super) fn remove(id: &str) -> GraphChange {
    GraphChange::RemoveNode { id: name(id), expect: Expect::Any }
}

pub(super) fn unlink(n: u128) -> GraphChange {
    GraphChange::RemoveEdge { id: edge_id(n), expect: Expect::Any }
}

pub(super) async fn apply(store: &Graphs, graph: &GraphId, changes: Vec<GraphChange>) -> Applied {
    store.apply(graph, GraphBatch::new(changes)).await.unwrap()
}

pub(super) async fn refuse(store: &Graphs, graph: &GraphId, changes: Vec<GraphChange>) -> Error {
    store.apply(graph, GraphBatch::new(changes)).await.expect_err("the batch is refused")
}

pub(super) async fn node(store: &Graphs, graph: &GraphId, id: &str) -> Option<Node> {
    store.nodes(graph, &[name(id)], AsOf::ALL).await.unwrap().remove(0)
}

pub(super) async fn edge(store: &Graphs, graph: &GraphId, n: u128, as_of: AsOf) -> Option<Edge> {
    store.edges(graph, &[edge_id(n)], as_of).await.unwrap().remove(0)
}

/// Every node that matches, by pages of `rows`.
pub(super) async fn all_nodes(
    store: &Graphs,
    graph: &GraphId,
    filter: &NodeFilter,
    as_of: AsOf,
    rows: u32,
) -> Vec<Node> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.find_nodes(graph, filter, as_of, cursor, limit(rows)).await.unwrap();
        assert!(page.items.len() <= rows as usize, "the limit holds");
        all.extend(page.items);
        assert!(all.len() < 100_000, "the pages do not end");
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// Every edge that matches, likewise.
pub(super) async fn all_edges(
    store: &Graphs,
    graph: &GraphId,
    filter: &EdgeFilter,
    as_of: AsOf,
    rows: u32,
) -> Vec<Edge> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.find_edges(graph, filter, as_of, cursor, limit(rows)).await.unwrap();
        assert!(page.items.len() <= rows as usize, "the limit holds");
        all.extend(page.items);
        assert!(all.len() < 100_000, "the pages do not end");
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// Every version of an element, by pages of two.
pub(super) async fn history(store: &Graphs, graph: &GraphId, of: &ElementRef) -> Vec<Element> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.history(graph, of, cursor, limit(2)).await.unwrap();
        all.extend(page.items);
        assert!(all.len() < 10_000, "the pages do not end");
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

pub(super) fn node_ref(id: &str) -> ElementRef {
    ElementRef::Node(name(id))
}

pub(super) fn edge_ref(n: u128) -> ElementRef {
    ElementRef::Edge(edge_id(n))
}

pub(super) fn ids(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().map(|node| node.id.as_str()).collect()
}

pub(super) fn numbers(edges: &[Edge]) -> Vec<u128> {
    edges.iter().map(|edge| edge.id.0.as_u128()).collect()
}

pub(super) fn names(texts: &[&str]) -> Vec<Name> {
    texts.iter().map(|text| name(*text)).collect()
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same draws on every run.
pub(super) struct Draw(pub u64);

impl Draw {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let place = usize::try_from(self.below(choices.len() as u64)).unwrap();
        &choices[place]
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
