//! What reads see of a [`GraphState`].

use std::collections::BTreeSet;
use std::ops::Bound;

use super::GraphState;
use super::elements::{EdgeSlot, NodeSlot};
use crate::{
    AsOf, Cursor, Direction, Edge, EdgeFilter, EdgeId, Element, ElementRef, Error, GraphStats,
    Limit, Name, Node, NodeFilter, Page, Result, Timestamp,
};

impl NodeFilter {
    /// Whether a node matches.
    pub fn matches(&self, node: &Node) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&node.kind))
            && self.prefix.matches(node.id.as_str())
            && self.data.as_ref().is_none_or(|filter| filter.matches(&node.data))
    }
}

impl EdgeFilter {
    /// Whether an edge matches, but for its ends.
    pub fn matches_fact(&self, edge: &Edge) -> bool {
        (self.relations.is_empty() || self.relations.contains(&edge.relation))
            && self.min_weight.is_none_or(|least| edge.weight >= least)
            && from_one_of(&self.sources, edge)
            && self.data.as_ref().is_none_or(|filter| filter.matches(&edge.data))
    }
}

/// Whether an edge names one of these sources; none given: any edge does.
pub(super) fn from_one_of(sources: &[Name], edge: &Edge) -> bool {
    sources.is_empty() || edge.source.as_ref().is_some_and(|source| sources.contains(source))
}

impl NodeSlot {
    pub(super) fn seen(&self, as_of: AsOf) -> Option<&Node> {
        let mut versions = self.versions.iter().rev().map(|kept| &kept.value);
        versions.find(|node| as_of.sees(node.recorded_at, node.superseded_at))
    }
}

impl EdgeSlot {
    pub(super) fn seen(&self, as_of: AsOf, now: Timestamp) -> Option<&Edge> {
        // At most one version is known at an instant; whether it holds then is a question of its own.
        let mut versions = self.versions.iter().rev().map(|kept| &kept.value);
        versions
            .find(|edge| as_of.sees(edge.recorded_at, edge.superseded_at))
            .filter(|edge| as_of.holds(edge.valid_from, edge.valid_until, now))
    }
}

impl GraphState {
    /// A node as seen.
    pub fn node(&self, id: &Name, as_of: AsOf) -> Option<&Node> {
        self.elements.node_slot(id)?.seen(as_of)
    }

    /// An edge as seen by a reader at `now`.
    pub fn edge(&self, id: EdgeId, as_of: AsOf, now: Timestamp) -> Option<&Edge> {
        self.elements.edge_slot(id)?.seen(as_of, now)
    }

    /// A page of nodes, in bytewise order of id.
    pub fn find_nodes(
        &self,
        filter: &NodeFilter,
        as_of: AsOf,
        cursor: Option<&Cursor>,
        limit: Limit,
    ) -> Result<Page<Node>> {
        let after = cursor.map(node_cursor).transpose()?;
        let start = match &after {
            Some(after) => Bound::Excluded(after.as_str()),
            None => Bound::Included(filter.prefix.as_str()),
        };
        let names = &self.elements.by_name;
        let rows = names
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(id, _)| {
                filter.prefix.matches(id.as_str()) || id.as_str() < filter.prefix.as_str()
            })
            .filter_map(|(_, place)| self.elements.nodes[*place].seen(as_of))
            .filter(|node| filter.matches(node))
            .cloned();
        Ok(page(rows, limit, |node| node.id.to_string()))
    }

    /// A page of edges, in order of id.
    pub fn find_edges(
        &self,
        filter: &EdgeFilter,
        as_of: AsOf,
        now: Timestamp,
        cursor: Option<&Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        let after = cursor.map(edge_cursor).transpose()?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let seen = |place: usize| {
            let edge = self.elements.edge_at(place)?.seen(as_of, now)?;
            filter.matches_fact(edge).then(|| edge.clone())
        };
        let id = |edge: &Edge| edge.id.to_string();
        let Some((ends, direction)) = &filter.at else {
            let all = self.elements.by_edge.range((start, Bound::Unbounded));
            return Ok(page(all.filter_map(|(_, place)| seen(*place)), limit, id));
        };
        let there = self.edges_ever_at(ends, *direction);
        let there = there.range((after.map_or(Bound::Unbounded, past), Bound::Unbounded));
        Ok(page(there.filter_map(|(_, place)| seen(*place)), limit, id))
    }

    /// The edges ever at these nodes, in order of id.
    fn edges_ever_at(&self, ends: &[Name], direction: Direction) -> BTreeSet<(EdgeId, usize)> {
        let slots = ends.iter().filter_map(|end| self.elements.node_slot(end));
        let ways = slots.flat_map(|slot| slot.ways(direction));
        ways.filter_map(|place| {
            Some((self.elements.edge_at(place)?.versions.last()?.value.id, place))
        })
        .collect()
    }

    /// A page of the versions of edges, in order of id, then of version.
    pub fn find_versions(
        &self,
        filter: &EdgeFilter,
        cursor: Option<&Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        let after = cursor.map(version_cursor).transpose()?;
        let versions = |place: usize| {
            let slot = self.elements.edge_at(place);
            let versions = slot.into_iter().flat_map(|slot| &slot.versions).map(|kept| &kept.value);
            versions
                .filter(|edge| after.is_none_or(|after| (edge.id, edge.version) > after))
                .filter(|edge| filter.matches_fact(edge))
                .cloned()
        };
        let key = |edge: &Edge| version_cursor_of(edge);
        Ok(match &filter.at {
            None => {
                let start = after.map_or(Bound::Unbounded, |(id, _)| Bound::Included(id));
                let all = self.elements.by_edge.range((start, Bound::Unbounded));
                page(all.flat_map(|(_, place)| versions(*place)), limit, key)
            }
            Some((ends, direction)) => {
                let start = after.map_or(Bound::Unbounded, |(id, _)| Bound::Included((id, 0)));
                let there = self.edges_ever_at(ends, *direction);
                let there = there.range((start, Bound::Unbounded));
                page(there.flat_map(|(_, place)| versions(*place)), limit, key)
            }
        })
    }

    /// The versions of an element, newest first.
    pub fn history(
        &self,
        element: &ElementRef,
        cursor: Option<&Cursor>,
        limit: Limit,
    ) -> Result<Page<Element>> {
        let before = cursor.map(history_cursor).transpose()?.unwrap_or(u64::MAX);
        let all: Vec<Element> = match element {
            ElementRef::Node(id) => self.node_versions(id).cloned().map(Element::Node).collect(),
            ElementRef::Edge(id) => self.edge_versions(*id).cloned().map(Element::Edge).collect(),
        };
        let rows = all.into_iter().rev().filter(|element| element.version() < before);
        Ok(page(rows, limit, |element| element.version().to_string()))
    }

    /// Counts of what is seen.
    pub fn stats(&self, as_of: AsOf, now: Timestamp) -> GraphStats {
        let mut stats = GraphStats::default();
        for node in self.elements.by_name.values() {
            if let Some(node) = self.elements.nodes[*node].seen(as_of) {
                stats.nodes += 1;
                *stats.node_types.entry(node.kind.to_string()).or_default() += 1;
            }
        }
        for slot in self.elements.edges.iter().flatten() {
            if let Some(edge) = slot.seen(as_of, now) {
                stats.edges += 1;
                *stats.edge_types.entry(edge.relation.to_string()).or_default() += 1;
            }
        }
        stats
    }
}

impl NodeSlot {
    /// The edges ever at it that lead away in this direction; a self loop may come twice.
    pub(super) fn ways(&self, direction: Direction) -> impl Iterator<Item = usize> + '_ {
        let out: &[usize] = if direction == Direction::In { &[] } else { &self.out };
        let into: &[usize] = if direction == Direction::Out { &[] } else { &self.into };
        out.iter().chain(into).copied()
    }
}

impl Element {
    /// Its version.
    pub fn version(&self) -> u64 {
        match self {
            Self::Node(node) => node.version,
            Self::Edge(edge) => edge.version,
        }
    }
}

/// Takes a page of `limit` rows; `key` makes the cursor of a row.
fn page<T>(rows: impl Iterator<Item = T>, limit: Limit, key: impl Fn(&T) -> String) -> Page<T> {
    let mut items: Vec<T> = rows.take(limit.as_usize() + 1).collect();
    let next = (items.len() > limit.as_usize()).then(|| {
        items.truncate(limit.as_usize());
        items.last().map(|row| Cursor(key(row)))
    });
    Page { items, next: next.flatten() }
}

/// The last node of the page before.
pub fn node_cursor(cursor: &Cursor) -> Result<Name> {
    Name::new(cursor.0.as_str()).map_err(|_| bad_cursor("graph.find_nodes"))
}

/// The last edge of the page before.
pub fn edge_cursor(cursor: &Cursor) -> Result<EdgeId> {
    cursor.0.parse().map(EdgeId).map_err(|_| bad_cursor("graph.find_edges"))
}

/// The last version of an edge on the page before.
pub fn version_cursor(cursor: &Cursor) -> Result<(EdgeId, u64)> {
    let parts = cursor.0.split_once(':');
    let read =
        parts.and_then(|(id, version)| Some((EdgeId(id.parse().ok()?), version.parse().ok()?)));
    read.ok_or_else(|| bad_cursor("graph.find_versions"))
}

/// The cursor after this version of an edge.
pub fn version_cursor_of(edge: &Edge) -> String {
    format!("{}:{}", edge.id, edge.version)
}

fn past(id: EdgeId) -> Bound<(EdgeId, usize)> {
    Bound::Excluded((id, usize::MAX))
}

/// The last version of the page before.
pub fn history_cursor(cursor: &Cursor) -> Result<u64> {
    cursor.0.parse().map_err(|_| bad_cursor("graph.history"))
}

pub(super) fn bad_cursor(operation: &'static str) -> Error {
    Error::invalid(operation, "the cursor was not given by this call; start without one")
}
