//! What reads see of a [`GraphState`].

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;

use super::elements::{EdgeSlot, NodeSlot};
use super::{GraphState, check_neighbours};
use crate::{
    AsOf, Cursor, Direction, Edge, EdgeFilter, EdgeId, Element, ElementRef, Error, GraphStats,
    Limit, Name, NeighbourQuery, Neighbourhood, Node, NodeFilter, Page, Reached, Result, Timestamp,
};

impl NodeFilter {
    /// Whether a node matches.
    pub fn matches(&self, node: &Node) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&node.kind))
            && self.prefix.matches(node.id.as_str())
    }
}

impl EdgeFilter {
    /// Whether an edge matches, but for its ends.
    pub fn matches_fact(&self, edge: &Edge) -> bool {
        (self.relations.is_empty() || self.relations.contains(&edge.relation))
            && self.min_weight.is_none_or(|least| edge.weight >= least)
            && self.source.as_ref().is_none_or(|source| edge.source.as_ref() == Some(source))
    }
}

impl NeighbourQuery {
    /// Whether an edge may be followed by a reader at `now`.
    pub fn follows(&self, edge: &Edge, now: Timestamp) -> bool {
        (self.relations.is_empty() || self.relations.contains(&edge.relation))
            && self.min_weight.is_none_or(|least| edge.weight >= least)
            && self.as_of.sees_edge(edge, now)
    }
}

impl NodeSlot {
    fn seen(&self, as_of: AsOf) -> Option<&Node> {
        let mut versions = self.versions.iter().rev().map(|kept| &kept.value);
        versions.find(|node| as_of.sees(node.recorded_at, node.superseded_at))
    }
}

impl EdgeSlot {
    fn seen(&self, as_of: AsOf, now: Timestamp) -> Option<&Edge> {
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
        let slots = ends.iter().filter_map(|end| self.elements.node_slot(end));
        let there: BTreeSet<(EdgeId, usize)> = slots
            .flat_map(|slot| slot.ways(*direction))
            .filter_map(|place| {
                Some((self.elements.edge_at(place)?.versions.last()?.value.id, place))
            })
            .filter(|(id, _)| after.is_none_or(|after| *id > after))
            .collect();
        Ok(page(there.into_iter().filter_map(|(_, place)| seen(place)), limit, id))
    }

    /// What lies around some nodes: breadth first, each distance in order of id.
    pub fn neighbourhood(&self, query: &NeighbourQuery, now: Timestamp) -> Result<Neighbourhood> {
        check_neighbours(query)?;
        let elements = &self.elements;
        let seeds = query.seeds.iter().filter_map(|id| elements.by_name.get(id).copied());
        let mut visited = HashSet::new();
        let mut found = Neighbourhood::default();
        let mut layer: Vec<usize> = seeds
            .filter(|place| elements.nodes[*place].seen(query.as_of).is_some())
            .filter(|place| visited.insert(*place))
            .collect();
        let mut kept = HashSet::new();
        for distance in 0..=query.hops {
            let mut reached: Vec<(usize, &Node)> = layer
                .iter()
                .filter_map(|place| Some((*place, elements.nodes[*place].seen(query.as_of)?)))
                .collect();
            reached.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
            let room = query.limit.as_usize() - found.nodes.len();
            found.truncated = reached.len() > room;
            for (place, node) in reached.into_iter().take(room) {
                kept.insert(place);
                found.nodes.push(Reached { node: node.clone(), distance });
            }
            if found.truncated || distance == query.hops {
                break;
            }
            layer = self.next_layer(query, now, &layer, &mut visited);
            if layer.is_empty() {
                break;
            }
        }
        found.edges = self.edges_among(query, now, &kept);
        Ok(found)
    }

    fn next_layer(
        &self,
        query: &NeighbourQuery,
        now: Timestamp,
        layer: &[usize],
        visited: &mut HashSet<usize>,
    ) -> Vec<usize> {
        let mut next = Vec::new();
        for place in layer {
            for way in self.elements.nodes[*place].ways(query.direction) {
                let Some(slot) = self.elements.edge_at(way) else { continue };
                let end = if slot.src == *place { slot.dst } else { slot.src };
                if visited.contains(&end)
                    || slot.seen(query.as_of, now).is_none_or(|edge| !query.follows(edge, now))
                {
                    continue;
                }
                let node = self.elements.nodes[end].seen(query.as_of);
                let enters =
                    |node: &Node| query.kinds.is_empty() || query.kinds.contains(&node.kind);
                if node.is_some_and(enters) {
                    visited.insert(end);
                    next.push(end);
                }
            }
        }
        next
    }

    fn edges_among(
        &self,
        query: &NeighbourQuery,
        now: Timestamp,
        nodes: &HashSet<usize>,
    ) -> Vec<Edge> {
        let mut edges: Vec<Edge> = nodes
            .iter()
            .flat_map(|place| &self.elements.nodes[*place].out)
            .filter_map(|way| self.elements.edge_at(*way))
            .filter(|slot| nodes.contains(&slot.dst))
            .filter_map(|slot| slot.seen(query.as_of, now))
            .filter(|edge| query.follows(edge, now))
            .cloned()
            .collect();
        edges.sort_by_key(|edge| edge.id);
        edges
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
    fn ways(&self, direction: Direction) -> impl Iterator<Item = usize> + '_ {
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

/// The last version of the page before.
pub fn history_cursor(cursor: &Cursor) -> Result<u64> {
    cursor.0.parse().map_err(|_| bad_cursor("graph.history"))
}

fn bad_cursor(operation: &'static str) -> Error {
    Error::invalid(operation, "the cursor was not given by this call; start without one")
}
