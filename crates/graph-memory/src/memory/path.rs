//! Shortest paths, level by level over the store.

use std::collections::{HashMap, HashSet};

use hexmem_ports::{AsOf, Direction, Edge, EdgeFilter, Error, Limit, Name, Result};
use serde::Serialize;

use super::GraphMemory;

/// The most nodes that a search over the store visits.
const VISIT_LIMIT: usize = 1_000_000;

/// How many nodes of one level are asked for at once.
const FRONTIER: usize = 256;

/// What a step along an edge costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cost {
    /// 1: the path of the fewest edges.
    #[default]
    Hops,
    /// The edge's weight, read as a distance; a negative one is `Invalid`.
    Weight,
    /// 1 / weight: the weight is read as a strength; edges of weight 0 or less are not followed.
    Strength,
}

impl Cost {
    /// The cost of an edge of this weight; `None`: not to be followed.
    pub(crate) fn of(self, weight: f64) -> Option<f64> {
        match self {
            Self::Hops => Some(1.0),
            Self::Weight => Some(weight),
            Self::Strength => (weight > 0.0).then(|| weight.recip()),
        }
    }
}

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
    /// Only edges of at least this weight.
    pub min_weight: Option<f64>,
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
            min_weight: None,
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
    /// The cheapest path, `None` when there is none. Hops are searched in the store, level by level, also in
    /// the past (`known`); at most a million nodes are visited. Weighted paths load the graph. An end that does
    /// not exist has no paths.
    pub async fn path(&self, query: &PathQuery) -> Result<Option<Path>> {
        if query.cost != Cost::Hops {
            return self.load().await?.path(query);
        }
        let ends = [query.from.clone(), query.to.clone()];
        let found = self.store.nodes(&self.graph, &ends, query.as_of).await?;
        if found.iter().any(Option::is_none) {
            return Ok(None);
        }
        let mut came_by: HashMap<Name, Option<Edge>> = HashMap::from([(query.from.clone(), None)]);
        let mut level = vec![query.from.clone()];
        while !level.is_empty() && !came_by.contains_key(&query.to) {
            let mut next = Vec::new();
            for part in level.chunks(FRONTIER) {
                self.step(query, part, &mut came_by, &mut next).await?;
            }
            if came_by.len() > VISIT_LIMIT {
                return Err(Error::invalid(
                    "graph.path",
                    format!(
                        "gave up after {VISIT_LIMIT} nodes; narrow it by relation, direction or weight"
                    ),
                ));
            }
            level = next;
        }
        Ok(trace(query, &came_by))
    }

    /// Enters every new node that one edge leads to from `part`.
    async fn step(
        &self,
        query: &PathQuery,
        part: &[Name],
        came_by: &mut HashMap<Name, Option<Edge>>,
        next: &mut Vec<Name>,
    ) -> Result<()> {
        let filter = EdgeFilter {
            at: Some((part.to_vec(), query.direction)),
            relations: query.relations.clone(),
            min_weight: query.min_weight,
            ..EdgeFilter::default()
        };
        let here_now: HashSet<&Name> = part.iter().collect();
        let limit = Limit::new(1_000)?;
        let mut cursor = None;
        loop {
            let page =
                self.store.find_edges(&self.graph, &filter, query.as_of, cursor, limit).await?;
            for edge in page.items {
                let (out, back) = match query.direction {
                    Direction::Out => (true, false),
                    Direction::In => (false, true),
                    Direction::Both => (true, true),
                };
                // `find_edges` gives an edge because one of its ends is in `part`; enter the other.
                for (here, there, may) in
                    [(&edge.src, &edge.dst, out), (&edge.dst, &edge.src, back)]
                {
                    if may && !came_by.contains_key(there) && here_now.contains(here) {
                        next.push(there.clone());
                        came_by.insert(there.clone(), Some(edge.clone()));
                    }
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

/// The way back from the end, turned round.
fn trace(query: &PathQuery, came_by: &HashMap<Name, Option<Edge>>) -> Option<Path> {
    let mut nodes = vec![query.to.clone()];
    let mut edges = Vec::new();
    let mut here = &query.to;
    while let Some(edge) = came_by.get(here)? {
        // The edge entered `here`: its other end is where it came from (a self loop enters nothing new).
        here = if edge.dst == *here { &edge.src } else { &edge.dst };
        nodes.push(here.clone());
        edges.push(edge.clone());
    }
    nodes.reverse();
    edges.reverse();
    let cost = edges.iter().map(|_| 1.0).sum();
    Some(Path { nodes, edges, cost })
}
