//! The nodes and edges of one graph with their versions, indexed by id and by end.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use super::GraphView;
use super::ordered::Ordered;
use super::slots::{EdgeSlot, EdgeVersion, Kept as _, NONE, NodeSlot, NodeVersion, index};
use super::texts::Texts;
use crate::{AsOf, Direction, Edge, EdgeId, ElementRef, Name, Node, Revision, Timestamp};

/// Slots are addressed by place. A freed place is used again when the log no longer tells of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Elements {
    pub(super) nodes: Vec<NodeSlot>,
    pub(super) edges: Vec<EdgeSlot>,
    pub(super) node_order: Ordered,
    pub(super) edge_order: Ordered,
    pub(super) texts: Texts,
    pub(super) names: HashTable<u32>,
    pub(super) hasher: RandomState,
    // All versions but the last, oldest first, of the few elements that have some.
    pub(super) past_nodes: HashMap<u32, Vec<NodeVersion>>,
    pub(super) past_edges: HashMap<u32, Vec<EdgeVersion>>,
    pub(super) free_nodes: VecDeque<(Revision, u32)>,
    pub(super) free_edges: VecDeque<(Revision, u32)>,
    // No entry of the log is about this revision or an earlier one.
    pub(super) log_start: Revision,
}

impl Elements {
    pub(super) fn node_place(&self, id: &str) -> Option<u32> {
        let same = |place: &u32| &*self.nodes[index(*place)].id == id;
        self.names.find(self.hasher.hash_one(id), same).copied()
    }

    pub(super) fn edge_place(&self, id: EdgeId) -> Option<u32> {
        let first = self.edge_order.from(|place| self.edges[index(place)].id < id).next()?;
        (self.edges[index(first)].id == id).then_some(first)
    }

    /// The places of the nodes after an id, in bytewise order of id; those of which a version is kept.
    pub(super) fn nodes_after<'a>(
        &'a self,
        after: Option<&str>,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let slot = move |place: u32| &self.nodes[index(place)];
        let before = |place: u32| after.is_some_and(|after| *slot(place).id <= *after);
        self.node_order.from(before).filter(move |place| slot(*place).last.is_some())
    }

    /// The places of the edges after an id, in order of id.
    pub(super) fn edges_after(&self, after: Option<EdgeId>) -> impl Iterator<Item = u32> + '_ {
        let id = |place: u32| self.edges[index(place)].id;
        self.edge_order.from(move |place| after.is_some_and(|after| id(place) <= after))
    }

    /// The versions of a node, oldest first.
    pub(super) fn node_versions(
        &self,
        place: u32,
    ) -> impl DoubleEndedIterator<Item = &NodeVersion> + '_ {
        let last = self.nodes.get(index(place)).and_then(|slot| slot.last.as_ref());
        self.past_nodes.get(&place).into_iter().flatten().chain(last)
    }

    /// The versions of an edge, oldest first.
    pub(super) fn edge_versions(
        &self,
        place: u32,
    ) -> impl DoubleEndedIterator<Item = &EdgeVersion> + '_ {
        let last = self.edges.get(index(place)).and_then(|slot| slot.last.as_ref());
        self.past_edges.get(&place).into_iter().flatten().chain(last)
    }

    /// The version of a node that a reader sees.
    pub(super) fn seen_node(&self, place: u32, as_of: AsOf) -> Option<&NodeVersion> {
        self.node_versions(place).rev().find(|version| version.seen(as_of))
    }

    /// The version of an edge that a reader at `now` sees.
    pub(super) fn seen_edge(
        &self,
        place: u32,
        as_of: AsOf,
        now: Timestamp,
    ) -> Option<&EdgeVersion> {
        // At most one version is known at an instant; whether it holds then is a question of its own.
        self.edge_versions(place)
            .rev()
            .find(|version| version.seen(as_of))
            .filter(|edge| as_of.holds(edge.valid_from.get(), edge.valid_until.get(), now))
    }

    /// A version as the port shows it.
    pub(super) fn node(&self, place: u32, version: &NodeVersion) -> Node {
        Node {
            id: Name::known(&self.nodes[index(place)].id),
            kind: Name::known(self.texts.text(version.kind)),
            data: version.data.value(),
            created_at: version.created_at,
            recorded_at: version.recorded_at,
            superseded_at: version.superseded_at.get(),
            version: version.version,
        }
    }

    /// A version as the port shows it.
    pub(super) fn edge(&self, place: u32, version: &EdgeVersion) -> Edge {
        let slot = &self.edges[index(place)];
        Edge {
            id: slot.id,
            src: Name::known(&self.nodes[index(slot.src)].id),
            relation: Name::known(self.texts.text(slot.relation)),
            dst: Name::known(&self.nodes[index(slot.dst)].id),
            weight: version.weight,
            valid_from: version.valid_from.get(),
            valid_until: version.valid_until.get(),
            source: self.source(version).map(Name::known),
            data: version.data.value(),
            created_at: version.created_at,
            recorded_at: version.recorded_at,
            superseded_at: version.superseded_at.get(),
            version: version.version,
        }
    }

    /// Where a version comes from.
    pub(super) fn source(&self, version: &EdgeVersion) -> Option<&str> {
        (version.source != NONE).then(|| self.texts.text(version.source))
    }

    /// What the log calls the element at a place, also one that was purged since.
    pub(super) fn element_ref(&self, edge: bool, place: u32) -> ElementRef {
        match edge {
            true => ElementRef::Edge(self.edges[index(place)].id),
            false => ElementRef::Node(Name::known(&self.nodes[index(place)].id)),
        }
    }

    /// The edges ever at a node that lead away in this direction; a self loop may come twice.
    pub(super) fn ways(&self, place: u32, direction: Direction) -> impl Iterator<Item = u32> + '_ {
        let slot = &self.nodes[index(place)];
        let out = if direction == Direction::In { NONE } else { slot.out };
        let into = if direction == Direction::Out { NONE } else { slot.into };
        let some = |place: u32| (place != NONE).then_some(place);
        let leaving =
            std::iter::successors(some(out), move |edge| some(self.edges[index(*edge)].out.next));
        let entering =
            std::iter::successors(some(into), move |edge| some(self.edges[index(*edge)].into.next));
        leaving.chain(entering)
    }
}

impl GraphView for Elements {
    fn node(&self, id: &Name) -> Option<Node> {
        let place = self.node_place(id.as_str())?;
        Some(self.node(place, self.nodes[index(place)].last.as_ref()?))
    }

    fn lives(&self, id: &Name) -> bool {
        let last = self.node_place(id.as_str()).and_then(|at| self.nodes[index(at)].last.as_ref());
        last.is_some_and(|last| last.superseded_at.is_none())
    }

    fn edge(&self, id: EdgeId) -> Option<Edge> {
        let place = self.edge_place(id)?;
        Some(self.edge(place, self.edges[index(place)].last.as_ref()?))
    }

    fn edges_at(&self, id: &Name) -> Vec<EdgeId> {
        let Some(place) = self.node_place(id.as_str()) else { return Vec::new() };
        self.ways(place, Direction::Both).map(|edge| self.edges[index(edge)].id).collect()
    }

    fn edge_left_at(&self, id: &Name, gone: &dyn Fn(EdgeId) -> bool) -> bool {
        let Some(place) = self.node_place(id.as_str()) else { return false };
        self.ways(place, Direction::Both).any(|edge| !gone(self.edges[index(edge)].id))
    }
}
