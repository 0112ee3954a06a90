//! What batches name, and what is known of it.

use std::collections::{BTreeSet, HashMap, HashSet};

use hexmem_ports::rules::graph::{GraphView, Step};
use hexmem_ports::{
    Edge, EdgeId, Element, ElementRef, GraphBatch, GraphChange, Name, Node, Timestamp,
};

/// The nodes and edges that batches are about, and what else a plan has to know of some of them.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) nodes: BTreeSet<Name>,
    pub(super) edges: BTreeSet<EdgeId>,
    /// Of these the current edges.
    pub(super) removed: BTreeSet<Name>,
    /// Of these all edges ever.
    pub(super) purged: BTreeSet<Name>,
    /// Of these whether an edge is left.
    pub(super) orphans: BTreeSet<Name>,
}

impl Named {
    pub(super) fn of<'a>(batches: impl IntoIterator<Item = &'a GraphBatch>) -> Self {
        let mut named = Self::default();
        for change in batches.into_iter().flat_map(|batch| &batch.changes) {
            match change {
                GraphChange::PutNode(draft) => {
                    named.nodes.insert(draft.id.clone());
                }
                GraphChange::PutEdge(draft) => {
                    named.edges.insert(draft.id);
                    named.nodes.extend([draft.src.clone(), draft.dst.clone()]);
                }
                GraphChange::RemoveNode { id, .. } => {
                    named.nodes.insert(id.clone());
                    named.removed.insert(id.clone());
                }
                GraphChange::PurgeNode(id) => {
                    named.nodes.insert(id.clone());
                    named.purged.insert(id.clone());
                }
                GraphChange::RemoveEdge { id, .. } | GraphChange::PurgeEdge(id) => {
                    named.edges.insert(*id);
                }
                GraphChange::PurgeOrphan(id) => {
                    named.nodes.insert(id.clone());
                    named.orphans.insert(id.clone());
                }
            }
        }
        named
    }
}

/// A last version, and the revision that made it.
#[derive(Debug, Clone)]
pub(super) struct Last<T> {
    pub(super) element: T,
    pub(super) revision: i64,
}

/// What is known, or guessed, of what batches name.
#[derive(Debug, Clone, Default)]
pub(super) struct Touched {
    /// The body it was read from; `None`: it is guessed.
    pub(super) body: Option<i64>,
    pub(super) nodes: HashMap<Name, Last<Node>>,
    pub(super) edges: HashMap<EdgeId, Last<Edge>>,
    at: HashMap<Name, BTreeSet<EdgeId>>,
    /// Orphans at which an edge was found that the batches do not name.
    pub(super) joined: HashSet<Name>,
    /// Ends that are taken to exist.
    pub(super) taken: HashSet<Name>,
}

impl Touched {
    /// The usual case, without looking: what is put is new, and the ends of new edges exist. `None` for batches that
    /// do more than put.
    pub(super) fn guess<'a>(
        named: &Named,
        batches: impl IntoIterator<Item = &'a GraphBatch>,
    ) -> Option<Self> {
        let mut put = HashSet::new();
        for change in batches.into_iter().flat_map(|batch| &batch.changes) {
            match change {
                GraphChange::PutNode(draft) => drop(put.insert(&draft.id)),
                GraphChange::PutEdge(_) => {}
                _ => return None,
            }
        }
        let taken = named.nodes.iter().filter(|id| !put.contains(id)).cloned().collect();
        Some(Self { taken, ..Self::default() })
    }

    pub(super) fn add_node(&mut self, node: Node, revision: i64) {
        self.nodes.insert(node.id.clone(), Last { element: node, revision });
    }

    pub(super) fn add_edge(&mut self, edge: Edge, revision: i64) {
        for end in [&edge.src, &edge.dst] {
            self.at.entry(end.clone()).or_default().insert(edge.id);
        }
        self.edges.insert(edge.id, Last { element: edge, revision });
    }

    /// What it is after the steps of one batch, for the next one.
    pub(super) fn advance(&mut self, steps: &[Step], at: Timestamp) {
        for step in steps {
            match step {
                Step::Put(Element::Node(node)) => self.add_node(node.clone(), 0),
                Step::Put(Element::Edge(edge)) => self.add_edge(edge.clone(), 0),
                Step::End(ElementRef::Node(id)) => {
                    if let Some(last) = self.nodes.get_mut(id) {
                        last.element.superseded_at.get_or_insert(at);
                    }
                }
                Step::End(ElementRef::Edge(id)) => {
                    if let Some(last) = self.edges.get_mut(id) {
                        last.element.superseded_at.get_or_insert(at);
                    }
                }
                Step::Purge(ElementRef::Node(id)) => drop(self.nodes.remove(id)),
                Step::Purge(ElementRef::Edge(id)) => {
                    if let Some(Last { element: edge, .. }) = self.edges.remove(id) {
                        for end in [&edge.src, &edge.dst] {
                            self.at.entry(end.clone()).or_default().remove(id);
                        }
                    }
                }
            }
        }
    }

    /// When the elements were first put, as far as it is known.
    pub(super) fn created(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let nodes = self.nodes.values().map(|last| last.element.created_at);
        nodes.chain(self.edges.values().map(|last| last.element.created_at))
    }
}

impl GraphView for Touched {
    fn node(&self, id: &Name) -> Option<Node> {
        self.nodes.get(id).map(|last| last.element.clone())
    }

    fn lives(&self, id: &Name) -> bool {
        let last = self.nodes.get(id).map(|last| last.element.superseded_at.is_none());
        last.unwrap_or_else(|| self.taken.contains(id))
    }

    fn edge(&self, id: EdgeId) -> Option<Edge> {
        self.edges.get(&id).map(|last| last.element.clone())
    }

    fn edges_at(&self, id: &Name) -> Vec<EdgeId> {
        self.at.get(id).into_iter().flatten().copied().collect()
    }

    fn edge_left_at(&self, id: &Name, gone: &dyn Fn(EdgeId) -> bool) -> bool {
        self.joined.contains(id) || self.at.get(id).into_iter().flatten().any(|edge| !gone(*edge))
    }
}
