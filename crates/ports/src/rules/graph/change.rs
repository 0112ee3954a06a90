//! How nodes and edges are put, ended and removed.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;

use super::Step;
use super::elements::Elements;
use super::slots::{
    Data, EdgeSlot, EdgeVersion, Kept, Links, Maybe, NONE, NodeSlot, NodeVersion, index,
};
use crate::{Edge, EdgeId, Element, ElementRef, Node, Revision, Timestamp};

/// Where a step left an element.
pub(super) struct Left {
    pub(super) place: u32,
    /// The version that is current now.
    pub(super) version: Option<u64>,
}

impl Elements {
    /// Whether this many more nodes and edges have a place.
    pub(super) fn has_room(&self, more: usize) -> bool {
        let most = index(NONE);
        self.nodes.len().saturating_add(more.saturating_mul(2)) < most
            && self.edges.len().saturating_add(more) < most
    }

    /// The log was cut: places of elements that were purged up to `start` are free for others.
    pub(super) fn log_starts(&mut self, start: Revision) {
        self.log_start = start;
    }

    /// Carries out a step that was planned on this state.
    pub(super) fn commit(
        &mut self,
        step: &Step,
        at: Timestamp,
        revision: Revision,
    ) -> Option<Left> {
        match step {
            Step::Put(Element::Node(node)) => {
                let place = self.place_of(node.id.as_str());
                let kind = self.texts.number(node.kind.as_str());
                let next = NodeVersion::of(node, kind, revision);
                if let Some(mut last) = self.nodes[index(place)].last.replace(next) {
                    last.end(at);
                    self.past_nodes.entry(place).or_default().push(last);
                }
                Some(Left { place, version: Some(node.version) })
            }
            Step::Put(Element::Edge(edge)) => {
                let next = self.edge_version(edge, revision);
                let place = match self.edge_place(edge.id) {
                    Some(place) => place,
                    None => self.new_edge(
                        edge.id,
                        edge.src.as_str(),
                        edge.relation.as_str(),
                        edge.dst.as_str(),
                    ),
                };
                if let Some(mut last) = self.edges[index(place)].last.replace(next) {
                    last.end(at);
                    self.past_edges.entry(place).or_default().push(last);
                }
                Some(Left { place, version: Some(edge.version) })
            }
            Step::End(ElementRef::Node(id)) => {
                let place = self.node_place(id.as_str())?;
                if let Some(last) = &mut self.nodes[index(place)].last {
                    last.end(at);
                }
                Some(Left { place, version: None })
            }
            Step::End(ElementRef::Edge(id)) => {
                let place = self.edge_place(*id)?;
                if let Some(last) = &mut self.edges[index(place)].last {
                    last.end(at);
                }
                Some(Left { place, version: None })
            }
            Step::Purge(ElementRef::Node(id)) => {
                let place = self.node_place(id.as_str())?;
                self.set_node(id.as_str(), Vec::new(), revision);
                Some(Left { place, version: None })
            }
            Step::Purge(ElementRef::Edge(id)) => {
                let place = self.edge_place(*id)?;
                self.remove_edge(place, revision);
                Some(Left { place, version: None })
            }
        }
    }

    /// Replaces the versions of a node, oldest first; none removes it, but for the ends of edges that are still there.
    pub(super) fn set_node(&mut self, id: &str, mut versions: Vec<NodeVersion>, now: Revision) {
        let last = versions.pop();
        let place = match (&last, self.node_place(id)) {
            (_, Some(place)) => place,
            (Some(_), None) => self.place_of(id),
            (None, None) => return,
        };
        self.nodes[index(place)].last = last;
        if versions.is_empty() {
            self.past_nodes.remove(&place);
        } else {
            self.past_nodes.insert(place, versions);
        }
        self.drop_empty(place, now);
    }

    /// Replaces an edge, whose ends may be others than before. The versions are oldest first, at least one.
    pub(super) fn set_edge(&mut self, versions: &[Edge], revision: Revision, now: Revision) {
        let Some(first) = versions.first() else { return };
        if let Some(place) = self.edge_place(first.id) {
            self.remove_edge(place, now);
        }
        let mut kept: Vec<_> =
            versions.iter().map(|edge| self.edge_version(edge, revision)).collect();
        let place = self.new_edge(
            first.id,
            first.src.as_str(),
            first.relation.as_str(),
            first.dst.as_str(),
        );
        self.edges[index(place)].last = kept.pop();
        if !kept.is_empty() {
            self.past_edges.insert(place, kept);
        }
    }

    /// Adds a version among those that are there; `false` where it is there already.
    pub(super) fn add_node_version(&mut self, id: &str, version: NodeVersion) -> bool {
        let place = self.place_of(id);
        add(&mut self.nodes[index(place)].last, &mut self.past_nodes, place, version)
    }

    /// As [`Elements::add_node_version`], at the place of an edge.
    pub(super) fn add_edge_version(&mut self, place: u32, version: EdgeVersion) -> bool {
        add(&mut self.edges[index(place)].last, &mut self.past_edges, place, version)
    }

    /// The version of an edge that lies at no place yet.
    fn edge_version(&mut self, edge: &Edge, revision: Revision) -> EdgeVersion {
        EdgeVersion {
            version: edge.version,
            revision,
            weight: edge.weight,
            valid_from: Maybe::of(edge.valid_from),
            valid_until: Maybe::of(edge.valid_until),
            created_at: edge.created_at,
            recorded_at: edge.recorded_at,
            superseded_at: Maybe::of(edge.superseded_at),
            data: Data::of(&edge.data),
            source: edge.source.as_ref().map_or(NONE, |text| self.texts.number(text.as_str())),
        }
    }

    /// The place of a node, a new one where it has none.
    pub(super) fn place_of(&mut self, id: &str) -> u32 {
        if let Some(place) = self.node_place(id) {
            return place;
        }
        let slot = NodeSlot { id: id.into(), last: None, out: NONE, into: NONE };
        let place = put(&mut self.nodes, &mut self.free_nodes, self.log_start, slot);
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        self.names.insert_unique(hasher.hash_one(id), place, |other| {
            hasher.hash_one(&*nodes[index(*other)].id)
        });
        self.node_order.insert(place, |other| *nodes[index(other)].id < *id);
        place
    }

    /// A place for a new edge, without a version yet.
    pub(super) fn new_edge(&mut self, id: EdgeId, src: &str, relation: &str, dst: &str) -> u32 {
        let (src, dst) = (self.place_of(src), self.place_of(dst));
        let relation = self.texts.number(relation);
        let (out, into) = (Links::NONE, Links::NONE);
        let slot = EdgeSlot { id, src, dst, relation, out, into, last: None };
        let place = put(&mut self.edges, &mut self.free_edges, self.log_start, slot);
        let edges = &self.edges;
        self.edge_order.insert(place, |other| edges[index(other)].id < id);
        self.link(place);
        place
    }

    /// Puts an edge at the head of the chains of its ends.
    fn link(&mut self, place: u32) {
        let EdgeSlot { src, dst, .. } = self.edges[index(place)];
        let (out, into) = (self.nodes[index(src)].out, self.nodes[index(dst)].into);
        if let Some(next) = self.edges.get_mut(index(out)) {
            next.out.before = place;
        }
        if let Some(next) = self.edges.get_mut(index(into)) {
            next.into.before = place;
        }
        self.edges[index(place)].out = Links { next: out, before: NONE };
        self.edges[index(place)].into = Links { next: into, before: NONE };
        self.nodes[index(src)].out = place;
        self.nodes[index(dst)].into = place;
    }

    fn unlink(&mut self, place: u32) {
        let EdgeSlot { src, dst, out, into, .. } = self.edges[index(place)];
        match self.edges.get_mut(index(out.before)) {
            Some(before) => before.out.next = out.next,
            None => self.nodes[index(src)].out = out.next,
        }
        if let Some(next) = self.edges.get_mut(index(out.next)) {
            next.out.before = out.before;
        }
        match self.edges.get_mut(index(into.before)) {
            Some(before) => before.into.next = into.next,
            None => self.nodes[index(dst)].into = into.next,
        }
        if let Some(next) = self.edges.get_mut(index(into.next)) {
            next.into.before = into.before;
        }
    }

    fn remove_edge(&mut self, place: u32, now: Revision) {
        let EdgeSlot { id, src, dst, .. } = self.edges[index(place)];
        self.unlink(place);
        self.past_edges.remove(&place);
        self.edges[index(place)].last = None;
        let edges = &self.edges;
        self.edge_order.remove(place, |other| edges[index(other)].id < id);
        self.free_edges.push_back((now, place));
        self.drop_empty(src, now);
        if src != dst {
            self.drop_empty(dst, now);
        }
    }

    /// Frees a node's place when nothing is left at it. Its id stays for the log.
    fn drop_empty(&mut self, place: u32, now: Revision) {
        let slot = &self.nodes[index(place)];
        if slot.last.is_some() || slot.out != NONE || slot.into != NONE {
            return;
        }
        let (nodes, id) = (&self.nodes, &*slot.id);
        if let Ok(entry) = self.names.find_entry(self.hasher.hash_one(id), |at| *at == place) {
            entry.remove();
            self.node_order.remove(place, |other| *nodes[index(other)].id < *id);
            self.past_nodes.remove(&place);
            self.free_nodes.push_back((now, place));
        }
    }

    /// Drops versions that ended before `before`, and elements of which none is left.
    pub(super) fn forget_before(&mut self, before: Timestamp, now: Revision) {
        let old = |end: Maybe| end.get().is_some_and(|end| end < before);
        let edges: Vec<u32> = self.edge_order.all().collect();
        for place in edges {
            if self.edges[index(place)].last.as_ref().is_none_or(|last| old(last.superseded_at)) {
                self.remove_edge(place, now);
            }
        }
        let nodes: Vec<u32> = self.node_order.all().collect();
        for place in nodes {
            let last = &mut self.nodes[index(place)].last;
            if last.as_ref().is_some_and(|last| old(last.superseded_at)) {
                *last = None;
                self.past_nodes.remove(&place);
            }
            self.drop_empty(place, now);
        }
        for versions in self.past_nodes.values_mut() {
            versions.retain(|version| !old(version.superseded_at));
        }
        for versions in self.past_edges.values_mut() {
            versions.retain(|version| !old(version.superseded_at));
        }
        self.past_nodes.retain(|_, versions| !versions.is_empty());
        self.past_edges.retain(|_, versions| !versions.is_empty());
    }

    /// A place that no index knows, for an element that only the log still tells of.
    pub(super) fn bury(&mut self, element: &ElementRef, now: Revision) -> u32 {
        match element {
            ElementRef::Node(id) => {
                let slot = NodeSlot { id: id.as_str().into(), last: None, out: NONE, into: NONE };
                self.nodes.push(slot);
                let place = u32::try_from(self.nodes.len() - 1).unwrap_or(NONE);
                self.free_nodes.push_back((now, place));
                place
            }
            ElementRef::Edge(id) => {
                let (out, into) = (Links::NONE, Links::NONE);
                let (src, dst, relation) = (NONE, NONE, NONE);
                let slot = EdgeSlot { id: *id, src, dst, relation, out, into, last: None };
                self.edges.push(slot);
                let place = u32::try_from(self.edges.len() - 1).unwrap_or(NONE);
                self.free_edges.push_back((now, place));
                place
            }
        }
    }
}

impl NodeVersion {
    pub(super) fn of(node: &Node, kind: u32, revision: Revision) -> Self {
        Self {
            version: node.version,
            revision,
            created_at: node.created_at,
            recorded_at: node.recorded_at,
            superseded_at: Maybe::of(node.superseded_at),
            data: Data::of(&node.data),
            kind,
        }
    }
}

/// Puts a slot in a free place or a new one. [`Elements::has_room`] was asked before.
fn put<T>(
    slots: &mut Vec<T>,
    free: &mut VecDeque<(Revision, u32)>,
    log_start: Revision,
    slot: T,
) -> u32 {
    if let Some((_, place)) = free.pop_front_if(|(freed, _)| *freed <= log_start) {
        slots[index(place)] = slot;
        return place;
    }
    slots.push(slot);
    u32::try_from(slots.len() - 1).unwrap_or(NONE)
}

fn add<T: Kept>(
    last: &mut Option<T>,
    past: &mut HashMap<u32, Vec<T>>,
    place: u32,
    version: T,
) -> bool {
    let number = version.version();
    match last {
        None => *last = Some(version),
        Some(held) if held.version() == number => return false,
        Some(held) if held.version() < number => {
            past.entry(place).or_default().push(std::mem::replace(held, version));
        }
        Some(_) => {
            let versions = past.entry(place).or_default();
            match versions.binary_search_by_key(&number, Kept::version) {
                Ok(_) => return false,
                Err(at) => versions.insert(at, version),
            }
        }
    }
    true
}
