//! Ending facts (they held until an instant) and removing elements (they are not known any more).

use hexmem_ports::{
    Applied, AsOf, Direction, Edge, EdgeFilter, EdgeId, Error, ErrorKind, Expect, GraphBatch,
    GraphChange, Limit, Name, Result, Timestamp, ValidAt,
};

use super::{GraphMemory, Race};
use crate::fact::redraft;

/// Which facts a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// One edge.
    Edge(EdgeId),
    /// Every edge that states this, whoever says it.
    Fact {
        /// From.
        src: Name,
        /// The relation.
        relation: Name,
        /// To.
        dst: Name,
    },
    /// Every edge that states a value of this relation, whichever.
    Values {
        /// From.
        src: Name,
        /// The relation.
        relation: Name,
    },
}

impl Which {
    /// The filter that the edges pass, and where they lead to; `None` for one edge.
    pub(super) fn filter(&self) -> Option<(EdgeFilter, Option<&Name>)> {
        let (src, relation, dst) = match self {
            Self::Edge(_) => return None,
            Self::Fact { src, relation, dst } => (src, relation, Some(dst)),
            Self::Values { src, relation } => (src, relation, None),
        };
        let filter = EdgeFilter {
            at: Some((vec![src.clone()], Direction::Out)),
            relations: vec![relation.clone()],
            ..EdgeFilter::default()
        };
        Some((filter, dst))
    }
}

/// What an invalidation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The edges that end at the instant now.
    pub edges: Vec<EdgeId>,
    /// The revision it is in.
    pub applied: Applied,
}

/// What a removal took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Nodes.
    pub nodes: u64,
    /// Edges, those at a removed node included.
    pub edges: u64,
}

impl GraphMemory {
    /// Says that facts hold until `at` only. Those that end earlier already, or begin at `at` or later, stay as
    /// they are. `NotFound` when there is no such fact at all; `Invalid` when none of them holds before `at`
    /// (a fact that never held is removed, not invalidated).
    pub async fn invalidate(&self, which: &Which, at: Timestamp) -> Result<Ended> {
        let mut race = Race::new("graph.invalidate");
        loop {
            match self.invalidate_once(which, at).await {
                Err(error) if error.kind() == ErrorKind::Conflict => race.lost(&self.graph)?,
                answer => return answer,
            }
        }
    }

    async fn invalidate_once(&self, which: &Which, at: Timestamp) -> Result<Ended> {
        let facts = self.facts(which, AsOf::ALL).await?;
        if facts.is_empty() {
            return Err(absent("graph.invalidate", which));
        }
        let open = |edge: &Edge| edge.valid_until.is_none_or(|until| at < until);
        let begun = |edge: &Edge| edge.valid_from.is_none_or(|from| from < at);
        let (ending, staying): (Vec<Edge>, Vec<Edge>) =
            facts.into_iter().partition(|edge| open(edge) && begun(edge));
        if ending.is_empty() && staying.iter().any(open) {
            return Err(Error::invalid(
                "graph.invalidate",
                "the fact begins at that instant or later; remove it if it never held",
            )
            .with("at", at));
        }
        let edges = ending.iter().map(|edge| edge.id).collect();
        let end = |edge: &Edge| {
            let mut draft = redraft(edge);
            draft.valid_until = Some(at);
            GraphChange::PutEdge(draft)
        };
        let applied = self.apply(GraphBatch::new(ending.iter().map(end).collect())).await?;
        Ok(Ended { edges, applied })
    }

    /// Removes a node with its current edges. History stays. Absent takes nothing.
    pub async fn remove_node(&self, id: &Name) -> Result<Removed> {
        let none = Removed { nodes: 0, edges: 0 };
        let Some(_) = self.node(id, AsOf::NOW).await? else { return Ok(none) };
        let edges = self.count_edges_at(id).await?;
        let change = GraphChange::RemoveNode { id: id.clone(), expect: Expect::Any };
        self.apply(GraphBatch::new(vec![change])).await?;
        Ok(Removed { nodes: 1, edges })
    }

    /// Removes edges. History stays. Absent takes nothing.
    pub async fn remove_edges(&self, which: &Which) -> Result<Removed> {
        let facts = self.facts(which, AsOf::ALL).await?;
        let edges = u64::try_from(facts.len()).unwrap_or(u64::MAX);
        let changes = facts
            .into_iter()
            .map(|edge| GraphChange::RemoveEdge { id: edge.id, expect: Expect::Any })
            .collect();
        self.apply(GraphBatch::new(changes)).await?;
        Ok(Removed { nodes: 0, edges })
    }

    /// The edges that are meant, of those that are seen.
    pub async fn facts(&self, which: &Which, as_of: AsOf) -> Result<Vec<Edge>> {
        let Some((filter, dst)) = which.filter() else {
            let Which::Edge(id) = which else { return Ok(Vec::new()) };
            return Ok(self.edge(*id, as_of).await?.into_iter().collect());
        };
        let mut edges = Vec::new();
        self.each_edge(&filter, as_of, |edge| {
            if dst.is_none_or(|dst| edge.dst == *dst) {
                edges.push(edge);
            }
        })
        .await?;
        Ok(edges)
    }

    async fn count_edges_at(&self, id: &Name) -> Result<u64> {
        let filter =
            EdgeFilter { at: Some((vec![id.clone()], Direction::Both)), ..EdgeFilter::default() };
        let mut count = 0;
        self.each_edge(&filter, AsOf { valid: ValidAt::Any, known: None }, |_| count += 1).await?;
        Ok(count)
    }

    pub(super) async fn each_edge(
        &self,
        filter: &EdgeFilter,
        as_of: AsOf,
        mut take: impl FnMut(Edge) + Send,
    ) -> Result<()> {
        let limit = Limit::new(1_000)?;
        let mut cursor = None;
        loop {
            let page = self.store.find_edges(&self.graph, filter, as_of, cursor, limit).await?;
            page.items.into_iter().for_each(&mut take);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

fn absent(operation: &'static str, which: &Which) -> Error {
    let error = Error::new(ErrorKind::NotFound, operation, "there is no such fact in the graph");
    match which {
        Which::Edge(id) => error.with("edge", id),
        Which::Fact { src, relation, dst } => {
            error.with("src", src).with("relation", relation).with("dst", dst)
        }
        Which::Values { src, relation } => error.with("src", src).with("relation", relation),
    }
}
