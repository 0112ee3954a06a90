//! What reads see of a [`GraphState`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::GraphState;
use super::slots::{EdgeVersion, Kept as _, NodeVersion, index};
use crate::{
    AsOf, Cursor, Direction, Edge, EdgeFilter, EdgeId, Element, ElementRef, Filter, GraphStats,
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

/// What a filter or a query asks of an edge, but for its ends and time.
pub(super) struct Fact<'a> {
    pub(super) relations: &'a [Name],
    pub(super) min_weight: Option<f64>,
    pub(super) sources: &'a [Name],
    pub(super) data: Option<&'a Filter>,
}

impl<'a> Fact<'a> {
    fn of_filter(filter: &'a EdgeFilter) -> Self {
        let EdgeFilter { relations, min_weight, sources, data, .. } = filter;
        Self { relations, min_weight: *min_weight, sources, data: data.as_ref() }
    }
}

impl GraphState {
    /// A node as seen.
    pub fn node(&self, id: &Name, as_of: AsOf) -> Option<Node> {
        let place = self.elements.node_place(id.as_str())?;
        self.elements.seen_node(place, as_of).map(|seen| self.elements.node(place, seen))
    }

    /// An edge as seen by a reader at `now`.
    pub fn edge(&self, id: EdgeId, as_of: AsOf, now: Timestamp) -> Option<Edge> {
        let place = self.elements.edge_place(id)?;
        self.elements.seen_edge(place, as_of, now).map(|seen| self.elements.edge(place, seen))
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
        let (elements, prefix) = (&self.elements, filter.prefix.as_str());
        let id = |place: u32| &*elements.nodes[index(place)].id;
        let rows = elements
            .node_order
            .from(|place| match &after {
                Some(after) => id(place) <= after.as_str() || id(place) < prefix,
                None => id(place) < prefix,
            })
            .take_while(|place| filter.prefix.matches(id(*place)))
            .filter_map(|place| {
                let seen = elements.seen_node(place, as_of)?;
                let kind = elements.texts.text(seen.kind);
                let asked =
                    filter.kinds.is_empty() || filter.kinds.iter().any(|k| k.as_str() == kind);
                asked.then(|| elements.node(place, seen))
            })
            .filter(|node| filter.matches(node));
        Ok(Page::cut(rows, limit, |node| node_cursor_of(&node.id)))
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
        let elements = &self.elements;
        let seen = |place: u32| {
            let seen = elements.seen_edge(place, as_of, now)?;
            self.edge_passes(place, seen, &Fact::of_filter(filter))
                .then(|| elements.edge(place, seen))
        };
        let Some((ends, direction)) = &filter.at else {
            let rows = elements.edges_after(after).filter_map(seen);
            return Ok(Page::cut(rows, limit, edge_cursor_of));
        };
        let there = self.edges_ever_at(ends, *direction);
        let there = there.into_iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
        Ok(Page::cut(there.filter_map(|(_, place)| seen(place)), limit, edge_cursor_of))
    }

    /// The edges ever at these nodes, in order of id.
    fn edges_ever_at(&self, ends: &[Name], direction: Direction) -> BTreeSet<(EdgeId, u32)> {
        let elements = &self.elements;
        let places = ends.iter().filter_map(|end| elements.node_place(end.as_str()));
        let ways = places.flat_map(|place| elements.ways(place, direction));
        ways.map(|way| (elements.edges[index(way)].id, way)).collect()
    }

    /// A page of the versions of edges, in order of id, then of version.
    pub fn find_versions(
        &self,
        filter: &EdgeFilter,
        cursor: Option<&Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        let after = cursor.map(version_cursor).transpose()?;
        let elements = &self.elements;
        let id = |place: u32| elements.edges[index(place)].id;
        let versions = |place: u32| {
            elements
                .edge_versions(place)
                .filter(move |kept| after.is_none_or(|after| (id(place), kept.version()) > after))
                .filter(move |kept| self.edge_passes(place, kept, &Fact::of_filter(filter)))
                .map(move |kept| elements.edge(place, kept))
        };
        let begun = |place: u32| after.is_some_and(|(after, _)| id(place) < after);
        Ok(match &filter.at {
            None => {
                let rows = elements.edge_order.from(begun).flat_map(versions);
                Page::cut(rows, limit, version_cursor_of)
            }
            Some((ends, direction)) => {
                let there = self.edges_ever_at(ends, *direction);
                let there = there.into_iter().map(|(_, place)| place);
                let rows = there.filter(|place| !begun(*place)).flat_map(versions);
                Page::cut(rows, limit, version_cursor_of)
            }
        })
    }

    /// Whether a version of a node is of one of these types and its data passes.
    pub(super) fn node_passes(
        &self,
        version: &NodeVersion,
        kinds: &[Name],
        data: Option<&Filter>,
    ) -> bool {
        let kind = self.elements.texts.text(version.kind);
        (kinds.is_empty() || kinds.iter().any(|asked| asked.as_str() == kind))
            && data.is_none_or(|filter| filter.matches(&version.data.value()))
    }

    /// Whether a version of the edge at a place is as asked.
    pub(super) fn edge_passes(&self, place: u32, version: &EdgeVersion, fact: &Fact<'_>) -> bool {
        let elements = &self.elements;
        let relation = elements.texts.text(elements.edges[index(place)].relation);
        let one_of = |names: &[Name], text| names.iter().any(|name| name.as_str() == text);
        (fact.relations.is_empty() || one_of(fact.relations, relation))
            && fact.min_weight.is_none_or(|least| version.weight >= least)
            && (fact.sources.is_empty()
                || elements.source(version).is_some_and(|source| one_of(fact.sources, source)))
            && fact.data.is_none_or(|filter| filter.matches(&version.data.value()))
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
            ElementRef::Node(id) => self.node_versions(id).map(Element::Node).collect(),
            ElementRef::Edge(id) => self.edge_versions(*id).map(Element::Edge).collect(),
        };
        let rows = all.into_iter().rev().filter(|element| element.version() < before);
        Ok(Page::cut(rows, limit, history_cursor_of))
    }

    /// Counts of what is seen.
    pub fn stats(&self, as_of: AsOf, now: Timestamp) -> GraphStats {
        let elements = &self.elements;
        let (mut kinds, mut relations) = (HashMap::new(), HashMap::new());
        for place in elements.node_order.all() {
            if let Some(node) = elements.seen_node(place, as_of) {
                *kinds.entry(node.kind).or_default() += 1;
            }
        }
        for place in elements.edge_order.all() {
            if elements.seen_edge(place, as_of, now).is_some() {
                *relations.entry(elements.edges[index(place)].relation).or_default() += 1;
            }
        }
        let named = |counts: HashMap<u32, u64>| -> BTreeMap<String, u64> {
            let named =
                counts.into_iter().map(|(n, count)| (elements.texts.text(n).to_owned(), count));
            named.collect()
        };
        let (node_types, edge_types) = (named(kinds), named(relations));
        let (nodes, edges) = (node_types.values().sum(), edge_types.values().sum());
        GraphStats { nodes, edges, node_types, edge_types }
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

/// What the cursors of nodes are called.
const NODE: &str = "node";

/// The last node of the page before.
pub fn node_cursor(cursor: &Cursor) -> Result<Name> {
    cursor.key("graph.find_nodes", NODE)
}

/// The cursor after the node of this id.
pub fn node_cursor_of(id: &Name) -> Cursor {
    Cursor::after(NODE, id)
}

/// The last edge of the page before.
pub fn edge_cursor(cursor: &Cursor) -> Result<EdgeId> {
    cursor.0.parse().map(EdgeId).map_err(|_| cursor.refused("graph.find_edges"))
}

/// The cursor after this edge.
pub fn edge_cursor_of(edge: &Edge) -> Cursor {
    Cursor(edge.id.to_string())
}

/// The last version of an edge on the page before.
pub fn version_cursor(cursor: &Cursor) -> Result<(EdgeId, u64)> {
    let parts = cursor.0.split_once(':');
    let read =
        parts.and_then(|(id, version)| Some((EdgeId(id.parse().ok()?), version.parse().ok()?)));
    read.ok_or_else(|| cursor.refused("graph.find_versions"))
}

/// The cursor after this version of an edge.
pub fn version_cursor_of(edge: &Edge) -> Cursor {
    Cursor(format!("{}:{}", edge.id, edge.version))
}

/// The last version of the page before.
pub fn history_cursor(cursor: &Cursor) -> Result<u64> {
    cursor.0.parse().map_err(|_| cursor.refused("graph.history"))
}

/// The cursor after this version.
pub fn history_cursor_of(version: &Element) -> Cursor {
    Cursor(version.version().to_string())
}

/// What the cursors of graphs are called.
const GRAPH: &str = "graph";

/// The last graph of the page before.
pub fn list_cursor(cursor: &Cursor) -> Result<Name> {
    cursor.key("graph.list", GRAPH)
}

/// The cursor after the graph of this name.
pub fn list_cursor_of(name: &Name) -> Cursor {
    Cursor::after(GRAPH, name)
}
