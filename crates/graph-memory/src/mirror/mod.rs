//! A graph held in memory.

mod load;
mod near;
mod order;
mod path;
mod project;
mod query;
mod scratch;
mod slots;

use std::collections::HashMap;
use std::sync::Arc;

use hexmem_ports::{
    AsOf, Clock, Edge, EdgeId, Error, ErrorKind, GraphId, GraphStats, GraphStore, Name, Node,
    Result, Revision, Timestamp, ValidAt,
};
use petgraph::stable_graph::{EdgeIndex, NodeIndex, StableDiGraph};

pub use load::Followed;
use scratch::Pool;
use slots::{EdgeSlot, Names, NodeSlot};

/// The current versions of one graph's nodes and edges, on petgraph's stable graph, with every edge of every
/// valid time. Reads never touch the store; [`follow`](Self::follow) brings it up to date with what all
/// processes changed.
///
/// Recorded time is the store's: a read with `known` is `Unsupported` here.
pub struct Mirror {
    store: Arc<dyn GraphStore>,
    clock: Arc<dyn Clock>,
    address: GraphId,
    revision: Revision,
    graph: StableDiGraph<NodeSlot, EdgeSlot>,
    nodes: HashMap<Name, NodeIndex>,
    edges: HashMap<EdgeId, EdgeIndex>,
    /// Edges seen before their ends, while pages and log are brought together.
    waiting: HashMap<EdgeId, Edge>,
    kinds: Names,
    relations: Names,
    /// How many nodes have no rank.
    unranked: usize,
    scratch: Pool,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror")
            .field("graph", &self.address)
            .field("revision", &self.revision)
            .field("nodes", &self.graph.node_count())
            .field("edges", &self.graph.edge_count())
            .finish_non_exhaustive()
    }
}

impl Mirror {
    /// The revision that it shows.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// How many nodes it holds.
    pub fn node_count(&self) -> usize {
        self.graph.node_count()
    }

    /// How many edges it holds, of any valid time.
    pub fn edge_count(&self) -> usize {
        self.graph.edge_count()
    }

    /// A node.
    pub fn node(&self, id: &Name) -> Option<Node> {
        let index = self.nodes.get(id.as_str())?;
        self.graph.node_weight(*index).and_then(|slot| slot.node(&self.kinds))
    }

    /// An edge, whenever it holds.
    pub fn edge(&self, id: EdgeId) -> Option<Edge> {
        self.edge_at(*self.edges.get(&id)?)
    }

    /// Every node, in no particular order.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        self.graph.node_weights().filter_map(|slot| slot.node(&self.kinds))
    }

    /// Every edge, of any valid time, in no particular order.
    pub fn edges(&self) -> impl Iterator<Item = Edge> + '_ {
        self.graph.edge_indices().filter_map(|index| self.edge_at(index))
    }

    /// Counts by type and relation.
    pub fn stats(&self, as_of: AsOf) -> Result<GraphStats> {
        let at = self.instant("graph.stats", as_of)?;
        let mut stats = GraphStats::default();
        for slot in self.graph.node_weights() {
            stats.nodes += 1;
            let kind = self.kinds.text(slot.kind).map_or("", Name::as_str).to_owned();
            *stats.node_types.entry(kind).or_default() += 1;
        }
        for slot in self.graph.edge_weights().filter(|slot| slot.holds(at)) {
            stats.edges += 1;
            let relation = self.relations.text(slot.relation).map_or("", Name::as_str).to_owned();
            *stats.edge_types.entry(relation).or_default() += 1;
        }
        Ok(stats)
    }

    fn edge_at(&self, index: EdgeIndex) -> Option<Edge> {
        let (src, dst) = self.graph.edge_endpoints(index)?;
        let (src, dst) = (self.graph.node_weight(src)?, self.graph.node_weight(dst)?);
        self.graph.edge_weight(index)?.edge(src, dst, &self.relations)
    }

    /// The instant of a read in microseconds; `None`: any.
    fn instant(&self, operation: &'static str, as_of: AsOf) -> Result<Option<i64>> {
        if as_of.known.is_some() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                operation,
                "a loaded graph shows what is known now; ask the store for the past",
            ));
        }
        Ok(match as_of.valid {
            ValidAt::Now => Some(self.clock.now()),
            ValidAt::At(at) => Some(at),
            ValidAt::Any => None,
        }
        .map(Timestamp::as_micros))
    }
}
