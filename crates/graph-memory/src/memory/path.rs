//! Paths in a store.

use std::collections::HashSet;

use hexmem_ports::{
    AsOf, Direction, Edge, EdgeFilter, EdgeId, Error, Filter, Limit, Name, NodeFilter, Result,
};
use serde::Serialize;

use super::{GraphMemory, Race};
use crate::algorithms::{Cost, Meeting, ProjectionQuery, Search, Side, Way, Weights};

/// The most nodes that a search over the store visits.
const VISIT_LIMIT: usize = 1_000_000;

/// How many nodes of one level are asked for at once.
const FRONTIER: usize = 256;

/// Rows of one page.
const PAGE: u32 = 1_000;

/// A question for the cheapest path.
#[derive(Debug, Clone, PartialEq)]
pub struct PathQuery {
    /// From.
    pub from: Name,
    /// To.
    pub to: Name,
    /// Which way edges are followed.
    pub direction: Direction,
    /// Only edges of these relations; empty: any.
    pub relations: Vec<Name>,
    /// Only over nodes of these types, the ends aside; empty: any.
    pub kinds: Vec<Name>,
    /// Only over nodes whose data passes, the ends aside.
    pub node_data: Option<Filter>,
    /// Only edges of at least this weight.
    pub min_weight: Option<f64>,
    /// Only edges from one of these sources; empty: any, also none.
    pub sources: Vec<Name>,
    /// Only edges whose data passes.
    pub edge_data: Option<Filter>,
    /// Which facts.
    pub as_of: AsOf,
    /// What a step costs.
    pub cost: Cost,
}

impl PathQuery {
    /// The fewest current edges between two nodes, followed either way.
    pub fn new(from: Name, to: Name) -> Self {
        Self {
            from,
            to,
            direction: Direction::Both,
            relations: Vec::new(),
            kinds: Vec::new(),
            node_data: None,
            min_weight: None,
            sources: Vec::new(),
            edge_data: None,
            as_of: AsOf::default(),
            cost: Cost::Hops,
        }
    }
}

/// A path: `nodes` has one more than `edges`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Path {
    /// From the first to the last.
    pub nodes: Vec<Name>,
    /// The edge between each node and the next.
    pub edges: Vec<Edge>,
    /// The sum of the steps' costs.
    pub cost: f64,
}

impl GraphMemory {
    /// The cheapest path, `None` when there is none or an end does not exist. Of equally cheap ones that of the
    /// fewest edges, then that whose ids come first.
    ///
    /// Hops are searched in the store, level by level from both ends; more than a million nodes visited are
    /// `Invalid`. Other costs read the part of the graph that the query allows
    /// ([`project`](Self::project)). Both see the past (`known`) too.
    pub async fn path(&self, query: &PathQuery) -> Result<Option<Path>> {
        let mut race = Race::new("graph.path");
        loop {
            let found = if query.cost == Cost::Hops {
                self.meet(query).await?.map(|(nodes, edges)| {
                    let cost = edges.len() as f64;
                    (nodes, edges, cost)
                })
            } else {
                self.ways(query, 1).await?.into_iter().next()
            };
            let Some(found) = found else { return Ok(None) };
            match self.with_edges(query, found).await? {
                Some(path) => return Ok(Some(path)),
                // An edge on the way ended after it was found.
                None => race.lost(&self.graph)?,
            }
        }
    }

    /// The cheapest paths that visit no node twice, cheapest first, at most `count`. Two of them differ in their
    /// nodes; between two nodes the cheapest edge speaks. Reads the part of the graph that the query allows.
    pub async fn paths(&self, query: &PathQuery, count: Limit) -> Result<Vec<Path>> {
        let mut race = Race::new("graph.path");
        'again: loop {
            let mut paths = Vec::new();
            for found in self.ways(query, count.as_usize()).await? {
                match self.with_edges(query, found).await? {
                    Some(path) => paths.push(path),
                    None => {
                        race.lost(&self.graph)?;
                        continue 'again;
                    }
                }
            }
            return Ok(paths);
        }
    }

    /// The cheapest ways over what the query allows.
    async fn ways(
        &self,
        query: &PathQuery,
        count: usize,
    ) -> Result<Vec<(Vec<Name>, Vec<EdgeId>, f64)>> {
        let part = ProjectionQuery {
            direction: query.direction,
            relations: query.relations.clone(),
            kinds: query.kinds.clone(),
            node_data: query.node_data.clone(),
            min_weight: query.min_weight,
            sources: query.sources.clone(),
            edge_data: query.edge_data.clone(),
            as_of: query.as_of,
            weights: Weights::Edge,
        };
        let ends = [query.from.clone(), query.to.clone()];
        let graph = self.project_with(&part, &ends).await?;
        let place = |id| graph.place(id).and_then(|place| u32::try_from(place).ok());
        let (Some(from), Some(to)) = (place(&query.from), place(&query.to)) else {
            return Ok(Vec::new());
        };
        let search = Search { walk: &graph, cost: query.cost, from, to };
        let id = |node: &u32| graph.ids()[*node as usize].clone();
        let shown = |way: Way| {
            let cost = way.cost();
            (way.nodes.iter().map(id).collect(), way.edges, cost)
        };
        Ok(search.several(count)?.into_iter().map(shown).collect())
    }

    /// A way with its edges. `None` when one of them is seen no longer.
    async fn with_edges(
        &self,
        query: &PathQuery,
        (nodes, ids, cost): (Vec<Name>, Vec<EdgeId>, f64),
    ) -> Result<Option<Path>> {
        let mut edges = Vec::with_capacity(ids.len());
        for part in ids.chunks(FRONTIER) {
            edges.extend(self.store.edges(&self.graph, part, query.as_of).await?);
        }
        let edges: Option<Vec<Edge>> = edges.into_iter().collect();
        Ok(edges.map(|edges| Path { nodes, edges, cost }))
    }

    /// The way of the fewest edges, level by level from both ends.
    async fn meet(&self, query: &PathQuery) -> Result<Option<(Vec<Name>, Vec<EdgeId>)>> {
        let ends = [query.from.clone(), query.to.clone()];
        let found = self.store.nodes(&self.graph, &ends, query.as_of).await?;
        if found.iter().any(Option::is_none) {
            return Ok(None);
        }
        let mut meeting = Meeting::new(query.from.clone(), query.to.clone());
        while let Some((side, level)) = meeting.level() {
            for part in level.chunks(FRONTIER) {
                self.step(query, side, part, &mut meeting).await?;
            }
            if !query.kinds.is_empty() || query.node_data.is_some() {
                self.keep_fit(query, side, &mut meeting).await?;
            }
            meeting.close(side);
            if meeting.reached() > VISIT_LIMIT {
                return Err(Error::invalid(
                    "graph.path",
                    format!(
                        "gave up after {VISIT_LIMIT} nodes; narrow it by relation, direction or weight"
                    ),
                ));
            }
        }
        Ok(meeting.way())
    }

    /// Offers every edge that leads on from `part`.
    async fn step(
        &self,
        query: &PathQuery,
        side: Side,
        part: &[Name],
        meeting: &mut Meeting<Name>,
    ) -> Result<()> {
        let direction = match (query.direction, side) {
            (Direction::Out, Side::Start) | (Direction::In, Side::Goal) => Direction::Out,
            (Direction::In, Side::Start) | (Direction::Out, Side::Goal) => Direction::In,
            (Direction::Both, _) => Direction::Both,
        };
        let filter = EdgeFilter {
            at: Some((part.to_vec(), direction)),
            relations: query.relations.clone(),
            min_weight: query.min_weight,
            sources: query.sources.clone(),
            data: query.edge_data.clone(),
        };
        let here_now: HashSet<&Name> = part.iter().collect();
        let limit = Limit::new(PAGE)?;
        let mut cursor = None;
        loop {
            let page =
                self.store.find_edges(&self.graph, &filter, query.as_of, cursor, limit).await?;
            for edge in page.items {
                let (out, back) = match direction {
                    Direction::Out => (true, false),
                    Direction::In => (false, true),
                    Direction::Both => (true, true),
                };
                // `find_edges` gives an edge because one of its ends is in `part`; enter the other.
                for (here, there, may) in
                    [(&edge.src, &edge.dst, out), (&edge.dst, &edge.src, back)]
                {
                    if may && here_now.contains(here) && meeting.is_new(side, there) {
                        meeting.offer(side, here, edge.id, there.clone());
                    }
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Leaves out nodes that the query does not lead over.
    async fn keep_fit(
        &self,
        query: &PathQuery,
        side: Side,
        meeting: &mut Meeting<Name>,
    ) -> Result<()> {
        let found = meeting.found(side);
        let wanted = NodeFilter {
            kinds: query.kinds.clone(),
            data: query.node_data.clone(),
            ..NodeFilter::default()
        };
        let mut kept: HashSet<Name> = [query.from.clone(), query.to.clone()].into();
        for part in found.chunks(FRONTIER) {
            let nodes = self.store.nodes(&self.graph, part, query.as_of).await?;
            let fit = nodes.into_iter().flatten().filter(|node| wanted.matches(node));
            kept.extend(fit.map(|node| node.id));
        }
        meeting.retain(side, |node| kept.contains(node));
        Ok(())
    }
}
