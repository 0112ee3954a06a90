//! Loading by pages, following by log.

use std::collections::HashMap;
use std::sync::Arc;

use hexmem_ports::{
    AsOf, Clock, Edge, EdgeFilter, Element, ElementRef, Error, ErrorKind, GraphId, GraphStore,
    Limit, LoggedChange, Name, Node, NodeFilter, Result, Revision,
};
use petgraph::stable_graph::StableDiGraph;

use super::Mirror;
use super::order::UNRANKED;
use super::scratch::Pool;
use super::slots::{EdgeSlot, Names, NodeSlot};

/// Rows of one page, and about the entries of one part of the log.
const PAGE: u32 = 2_000;

/// How often a load starts over because the log was cut under it.
const RELOADS: u32 = 8;

/// What following brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// Entries of the log that were taken in; 0 after a reload.
    pub changes: u64,
    /// Whether the log no longer reached back and the graph was loaded anew.
    pub reloaded: bool,
}

impl Mirror {
    /// Loads a graph; an absent one is empty. While others change it, pages are of different moments: the log
    /// from before the first page on brings them to one.
    pub async fn load(
        store: Arc<dyn GraphStore>,
        clock: Arc<dyn Clock>,
        address: GraphId,
    ) -> Result<Self> {
        for _ in 0..RELOADS {
            let mut mirror = Self {
                store: Arc::clone(&store),
                clock: Arc::clone(&clock),
                address: address.clone(),
                revision: Revision::default(),
                graph: StableDiGraph::new(),
                nodes: HashMap::new(),
                edges: HashMap::new(),
                waiting: HashMap::new(),
                kinds: Names::default(),
                relations: Names::default(),
                unranked: 0,
                scratch: Pool::default(),
            };
            match mirror.fill().await {
                Ok(()) => return Ok(mirror),
                // The log was compacted past the first page's revision: the pages are of no use.
                Err(error) if error.kind() == ErrorKind::Gap => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "graph.load",
            format!("the log was cut {RELOADS} times while the graph was loaded; keep more of it"),
        )
        .with("graph", &address))
    }

    /// Takes in what was changed since. When the log no longer reaches back, loads anew.
    pub async fn follow(&mut self) -> Result<Followed> {
        match self.catch_up().await {
            Ok(changes) => {
                self.rank_if_many();
                Ok(Followed { changes, reloaded: false })
            }
            Err(error) if error.kind() == ErrorKind::Gap => {
                let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
                *self = Self::load(store, clock, self.address.clone()).await?;
                Ok(Followed { changes: 0, reloaded: true })
            }
            Err(error) => Err(error),
        }
    }

    async fn fill(&mut self) -> Result<()> {
        let Some(head) = self.store.head(&self.address).await? else { return Ok(()) };
        self.revision = head.revision;
        let limit = Limit::new(PAGE)?;
        let (nodes, edges) = (NodeFilter::default(), EdgeFilter::default());
        let mut cursor = None;
        loop {
            let page =
                self.store.find_nodes(&self.address, &nodes, AsOf::ALL, cursor, limit).await?;
            page.items.iter().for_each(|node| self.put_node(node));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        loop {
            let page =
                self.store.find_edges(&self.address, &edges, AsOf::ALL, cursor, limit).await?;
            page.items.into_iter().for_each(|edge| self.put_edge(edge));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        self.catch_up().await?;
        self.rank();
        match self.waiting.values().next() {
            None => Ok(()),
            Some(edge) => Err(Error::corrupt(
                "graph.load",
                "an edge's end is not in the graph; the store lost a node",
            )
            .with("edge", edge.id)
            .with("src", &edge.src)
            .with("dst", &edge.dst)),
        }
    }

    /// Reads the log up to its end.
    async fn catch_up(&mut self) -> Result<u64> {
        let limit = Limit::new(PAGE)?;
        let mut count = 0;
        loop {
            let log = self.store.changes(&self.address, self.revision, limit).await?;
            count += u64::try_from(log.changes.len()).unwrap_or(u64::MAX);
            log.changes.into_iter().for_each(|change| self.take(change));
            // A deleted graph that nobody made anew answers with an empty log at 0.
            if log.head < self.revision {
                return Err(Error::new(ErrorKind::Gap, "graph.follow", "the graph was deleted"));
            }
            self.revision = self.revision.max(log.upto);
            if log.upto >= log.head {
                return Ok(count);
            }
        }
    }

    fn take(&mut self, change: LoggedChange) {
        match (change.element, change.state) {
            (_, Some(Element::Node(node))) => self.put_node(&node),
            (_, Some(Element::Edge(edge))) => self.put_edge(edge),
            (ElementRef::Node(id), None) => self.remove_node(&id),
            (ElementRef::Edge(id), None) => {
                self.waiting.remove(&id);
                if let Some(index) = self.edges.remove(&id) {
                    self.graph.remove_edge(index);
                }
            }
        }
    }

    fn put_node(&mut self, node: &Node) {
        if let Some(index) = self.nodes.get(node.id.as_str()) {
            if let Some(slot) = self.graph.node_weight_mut(*index) {
                let rank = slot.rank;
                *slot = NodeSlot::of(node, &mut self.kinds);
                slot.rank = rank;
            }
            return;
        }
        let slot = NodeSlot::of(node, &mut self.kinds);
        self.unranked += 1;
        let index = self.graph.add_node(slot);
        self.nodes.insert(node.id.clone(), index);
        let ready: Vec<_> = self
            .waiting
            .values()
            .filter(|edge| edge.src == node.id || edge.dst == node.id)
            .map(|edge| edge.id)
            .collect();
        for id in ready {
            if let Some(edge) = self.waiting.remove(&id) {
                self.put_edge(edge);
            }
        }
    }

    fn put_edge(&mut self, edge: Edge) {
        let ends = (self.nodes.get(edge.src.as_str()), self.nodes.get(edge.dst.as_str()));
        let (Some(src), Some(dst)) = ends else {
            self.waiting.insert(edge.id, edge);
            return;
        };
        let (src, dst, id) = (*src, *dst, edge.id);
        let slot = EdgeSlot::of(edge, &mut self.relations);
        match self.edges.get(&id) {
            Some(index) => {
                if let Some(held) = self.graph.edge_weight_mut(*index) {
                    *held = slot;
                }
            }
            None => {
                self.edges.insert(id, self.graph.add_edge(src, dst, slot));
            }
        }
    }

    fn remove_node(&mut self, id: &Name) {
        self.waiting.retain(|_, edge| edge.src != *id && edge.dst != *id);
        let Some(index) = self.nodes.remove(id.as_str()) else { return };
        let mut at = self.graph.neighbors_undirected(index).detach();
        while let Some((edge, _)) = at.next(&self.graph) {
            if let Some(slot) = self.graph.edge_weight(edge) {
                self.edges.remove(&slot.id);
            }
        }
        let removed = self.graph.remove_node(index);
        if removed.is_some_and(|slot| slot.rank == UNRANKED) {
            self.unranked = self.unranked.saturating_sub(1);
        }
    }
}
