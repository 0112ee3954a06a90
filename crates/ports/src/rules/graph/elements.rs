//! The nodes and edges of one graph with their versions, indexed by id and by end.

use std::collections::BTreeMap;

use super::{GraphView, Step};
use crate::{Edge, EdgeId, Element, ElementRef, Name, Node, Revision, Timestamp};

/// A version and the revision that made it: together unique, also over a purge.
#[derive(Debug, Clone)]
pub(super) struct Kept<T> {
    pub(super) revision: Revision,
    pub(super) value: T,
}

/// A node: its versions, oldest first, and the edges ever at it.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeSlot {
    // Empty where only edges are known yet (a restore gives them in any order).
    pub(super) versions: Vec<Kept<Node>>,
    pub(super) out: Vec<usize>,
    pub(super) into: Vec<usize>,
}

/// An edge: its versions, oldest first, and its ends as positions.
#[derive(Debug, Clone)]
pub(super) struct EdgeSlot {
    pub(super) versions: Vec<Kept<Edge>>,
    pub(super) src: usize,
    pub(super) dst: usize,
}

/// Slots are addressed by position; freed positions are used again.
#[derive(Debug, Clone, Default)]
pub(super) struct Elements {
    pub(super) nodes: Vec<NodeSlot>,
    pub(super) edges: Vec<Option<EdgeSlot>>,
    pub(super) by_name: BTreeMap<Name, usize>,
    pub(super) by_edge: BTreeMap<EdgeId, usize>,
    free_nodes: Vec<usize>,
    free_edges: Vec<usize>,
}

impl Elements {
    pub(super) fn node_slot(&self, id: &Name) -> Option<&NodeSlot> {
        self.nodes.get(*self.by_name.get(id)?)
    }

    pub(super) fn edge_slot(&self, id: EdgeId) -> Option<&EdgeSlot> {
        self.edges.get(*self.by_edge.get(&id)?)?.as_ref()
    }

    pub(super) fn edge_at(&self, place: usize) -> Option<&EdgeSlot> {
        self.edges.get(place)?.as_ref()
    }

    /// Carries out a step that was planned on this state; answers the version that it left current.
    pub(super) fn commit(&mut self, step: &Step, at: Timestamp, revision: Revision) -> Option<u64> {
        match step {
            Step::Put(Element::Node(node)) => {
                let place = self.place_of(&node.id);
                let versions = &mut self.nodes[place].versions;
                end_node(versions, at);
                versions.push(Kept { revision, value: node.clone() });
                Some(node.version)
            }
            Step::Put(Element::Edge(edge)) => {
                match self.by_edge.get(&edge.id) {
                    Some(place) => {
                        if let Some(slot) = &mut self.edges[*place] {
                            end_edge(&mut slot.versions, at);
                            slot.versions.push(Kept { revision, value: edge.clone() });
                        }
                    }
                    None => self.insert_edge(vec![Kept { revision, value: edge.clone() }]),
                }
                Some(edge.version)
            }
            Step::End(ElementRef::Node(id)) => {
                if let Some(place) = self.by_name.get(id) {
                    end_node(&mut self.nodes[*place].versions, at);
                }
                None
            }
            Step::End(ElementRef::Edge(id)) => {
                if let Some(slot) =
                    self.by_edge.get(id).and_then(|place| self.edges[*place].as_mut())
                {
                    end_edge(&mut slot.versions, at);
                }
                None
            }
            Step::Purge(ElementRef::Node(id)) => {
                self.set_node(id, Vec::new());
                None
            }
            Step::Purge(ElementRef::Edge(id)) => {
                self.remove_edge(*id);
                None
            }
        }
    }

    /// Replaces the versions of a node; none removes it, but for the ends of edges that are still there.
    pub(super) fn set_node(&mut self, id: &Name, versions: Vec<Kept<Node>>) {
        if versions.is_empty() {
            let Some(place) = self.by_name.get(id).copied() else { return };
            self.nodes[place].versions.clear();
            self.drop_empty(id, place);
        } else {
            let place = self.place_of(id);
            self.nodes[place].versions = versions;
        }
    }

    /// Replaces the versions of an edge, whose ends may be others than before.
    pub(super) fn set_edge(&mut self, id: EdgeId, versions: Vec<Kept<Edge>>) {
        self.remove_edge(id);
        if !versions.is_empty() {
            self.insert_edge(versions);
        }
    }

    fn place_of(&mut self, id: &Name) -> usize {
        if let Some(place) = self.by_name.get(id) {
            return *place;
        }
        let place = self.free_nodes.pop().unwrap_or_else(|| {
            self.nodes.push(NodeSlot::default());
            self.nodes.len() - 1
        });
        self.by_name.insert(id.clone(), place);
        place
    }

    fn insert_edge(&mut self, versions: Vec<Kept<Edge>>) {
        let Some(last) = versions.last() else { return };
        let id = last.value.id;
        let (src, dst) = (last.value.src.clone(), last.value.dst.clone());
        let (src, dst) = (self.place_of(&src), self.place_of(&dst));
        let place = self.free_edges.pop().unwrap_or_else(|| {
            self.edges.push(None);
            self.edges.len() - 1
        });
        self.nodes[src].out.push(place);
        self.nodes[dst].into.push(place);
        self.edges[place] = Some(EdgeSlot { versions, src, dst });
        self.by_edge.insert(id, place);
    }

    fn remove_edge(&mut self, id: EdgeId) {
        let Some(place) = self.by_edge.remove(&id) else { return };
        let Some(slot) = self.edges[place].take() else { return };
        self.free_edges.push(place);
        self.nodes[slot.src].out.retain(|other| *other != place);
        self.nodes[slot.dst].into.retain(|other| *other != place);
        if let Some(Kept { value, .. }) = slot.versions.last() {
            self.drop_empty(&value.src, slot.src);
            if slot.dst != slot.src {
                self.drop_empty(&value.dst, slot.dst);
            }
        }
    }

    /// Frees a node's slot when nothing is left in it.
    fn drop_empty(&mut self, id: &Name, place: usize) {
        let slot = &self.nodes[place];
        if slot.versions.is_empty() && slot.out.is_empty() && slot.into.is_empty() {
            self.by_name.remove(id);
            self.nodes[place] = NodeSlot::default();
            self.free_nodes.push(place);
        }
    }

    /// Drops versions that ended before `before`, and elements of which none is left.
    pub(super) fn forget_before(&mut self, before: Timestamp) {
        let old = |end: Option<Timestamp>| end.is_some_and(|end| end < before);
        let edges: Vec<_> = self.by_edge.iter().map(|(id, place)| (*id, *place)).collect();
        for (id, place) in edges {
            let Some(slot) = &mut self.edges[place] else { continue };
            if slot.versions.iter().any(|kept| old(kept.value.superseded_at)) {
                let mut left = slot.versions.clone();
                left.retain(|kept| !old(kept.value.superseded_at));
                if left.is_empty() {
                    self.remove_edge(id);
                } else {
                    slot.versions = left;
                }
            }
        }
        let nodes: Vec<_> = self.by_name.iter().map(|(id, place)| (id.clone(), *place)).collect();
        for (id, place) in nodes {
            self.nodes[place].versions.retain(|kept| !old(kept.value.superseded_at));
            self.drop_empty(&id, place);
        }
    }
}

fn end_node(versions: &mut [Kept<Node>], at: Timestamp) {
    if let Some(last) = versions.last_mut() {
        last.value.superseded_at.get_or_insert(at);
    }
}

fn end_edge(versions: &mut [Kept<Edge>], at: Timestamp) {
    if let Some(last) = versions.last_mut() {
        last.value.superseded_at.get_or_insert(at);
    }
}

impl GraphView for Elements {
    fn node(&self, id: &Name) -> Option<&Node> {
        self.node_slot(id)?.versions.last().map(|kept| &kept.value)
    }

    fn edge(&self, id: EdgeId) -> Option<&Edge> {
        self.edge_slot(id)?.versions.last().map(|kept| &kept.value)
    }

    fn edges_at(&self, id: &Name) -> Vec<EdgeId> {
        let Some(slot) = self.node_slot(id) else { return Vec::new() };
        let places = slot.out.iter().chain(&slot.into);
        places.filter_map(|place| Some(self.edge_at(*place)?.versions.last()?.value.id)).collect()
    }

    fn edge_left_at(&self, id: &Name, gone: &dyn Fn(EdgeId) -> bool) -> bool {
        let Some(slot) = self.node_slot(id) else { return false };
        let edges = slot.out.iter().chain(&slot.into).filter_map(|place| self.edge_at(*place));
        edges.filter_map(|slot| slot.versions.last()).any(|kept| !gone(kept.value.id))
    }
}
