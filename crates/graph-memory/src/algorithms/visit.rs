//! A projection as a graph of petgraph.

use std::iter::Zip;
use std::ops::{Range, RangeFrom};
use std::slice::Iter;

use petgraph::Direction as Way;
use petgraph::graph::DiGraph;
use petgraph::visit::{
    Data, EdgeCount, EdgeRef, GraphBase, GraphProp, IntoEdgeReferences, IntoEdges,
    IntoEdgesDirected, IntoNeighbors, IntoNeighborsDirected, IntoNodeIdentifiers,
    NodeCompactIndexable, NodeCount, NodeIndexable, Visitable,
};

use super::projection::{Adjacency, Link, Projection, Step};

/// petgraph's own set of places.
type Map = <DiGraph<(), ()> as Visitable>::Map;

/// An edge as petgraph sees it: where followed, in the direction of the projection.
#[derive(Debug, Clone, Copy)]
pub struct EdgeReference<'a> {
    source: u32,
    target: u32,
    edge: u32,
    weight: &'a f64,
}

impl EdgeRef for EdgeReference<'_> {
    type NodeId = u32;
    type EdgeId = u32;
    type Weight = f64;

    fn source(&self) -> u32 {
        self.source
    }

    fn target(&self) -> u32 {
        self.target
    }

    fn weight(&self) -> &f64 {
        self.weight
    }

    fn id(&self) -> u32 {
        self.edge
    }
}

/// The neighbours of a place, once for each edge.
#[derive(Debug, Clone)]
pub struct Neighbors<'a>(Iter<'a, Step>);

impl Iterator for Neighbors<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0.next().map(|step| step.to)
    }
}

/// The edges at a place.
#[derive(Debug, Clone)]
pub struct Edges<'a> {
    steps: Iter<'a, Step>,
    links: &'a [Link],
    here: u32,
    way: Way,
}

impl<'a> Iterator for Edges<'a> {
    type Item = EdgeReference<'a>;

    fn next(&mut self) -> Option<EdgeReference<'a>> {
        let step = self.steps.next()?;
        let (source, target) = match self.way {
            Way::Outgoing => (self.here, step.to),
            Way::Incoming => (step.to, self.here),
        };
        let weight = &self.links[step.edge as usize].weight;
        Some(EdgeReference { source, target, edge: step.edge, weight })
    }
}

/// Every edge, once.
#[derive(Debug, Clone)]
pub struct EdgeReferences<'a>(Zip<RangeFrom<u32>, Iter<'a, Link>>);

impl<'a> Iterator for EdgeReferences<'a> {
    type Item = EdgeReference<'a>;

    fn next(&mut self) -> Option<EdgeReference<'a>> {
        let (edge, link) = self.0.next()?;
        Some(EdgeReference { source: link.src, target: link.dst, edge, weight: &link.weight })
    }
}

impl Projection {
    fn way(&self, way: Way) -> &Adjacency {
        match way {
            Way::Outgoing => self.forward(),
            Way::Incoming => self.backward(),
        }
    }
}

impl GraphBase for Projection {
    type NodeId = u32;
    type EdgeId = u32;
}

impl Data for Projection {
    type NodeWeight = ();
    type EdgeWeight = f64;
}

impl GraphProp for Projection {
    type EdgeType = petgraph::Directed;
}

impl<'a> IntoNeighbors for &'a Projection {
    type Neighbors = Neighbors<'a>;

    fn neighbors(self, place: u32) -> Neighbors<'a> {
        Neighbors(self.forward().at(place).iter())
    }
}

impl<'a> IntoNeighborsDirected for &'a Projection {
    type NeighborsDirected = Neighbors<'a>;

    fn neighbors_directed(self, place: u32, way: Way) -> Neighbors<'a> {
        Neighbors(self.way(way).at(place).iter())
    }
}

impl<'a> IntoEdgeReferences for &'a Projection {
    type EdgeRef = EdgeReference<'a>;
    type EdgeReferences = EdgeReferences<'a>;

    fn edge_references(self) -> EdgeReferences<'a> {
        EdgeReferences((0..).zip(self.links()))
    }
}

impl<'a> IntoEdges for &'a Projection {
    type Edges = Edges<'a>;

    fn edges(self, place: u32) -> Edges<'a> {
        self.edges_directed(place, Way::Outgoing)
    }
}

impl<'a> IntoEdgesDirected for &'a Projection {
    type EdgesDirected = Edges<'a>;

    fn edges_directed(self, place: u32, way: Way) -> Edges<'a> {
        let steps = self.way(way).at(place).iter();
        Edges { steps, links: self.links(), here: place, way }
    }
}

impl IntoNodeIdentifiers for &Projection {
    type NodeIdentifiers = Range<u32>;

    fn node_identifiers(self) -> Range<u32> {
        self.places()
    }
}

impl NodeCount for Projection {
    fn node_count(&self) -> usize {
        self.ids().len()
    }
}

impl EdgeCount for Projection {
    fn edge_count(&self) -> usize {
        self.links().len()
    }
}

impl NodeIndexable for Projection {
    fn node_bound(&self) -> usize {
        self.ids().len()
    }

    fn to_index(&self, place: u32) -> usize {
        place as usize
    }

    fn from_index(&self, index: usize) -> u32 {
        u32::try_from(index).unwrap_or(u32::MAX)
    }
}

impl NodeCompactIndexable for Projection {}

impl Visitable for Projection {
    type Map = Map;

    fn visit_map(&self) -> Map {
        Map::with_capacity(self.ids().len())
    }

    fn reset_map(&self, map: &mut Map) {
        map.clear();
        map.grow(self.ids().len());
    }
}
