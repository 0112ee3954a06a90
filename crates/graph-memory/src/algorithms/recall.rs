//! From some nodes to what matters around them.

use hexmem_ports::{
    Direction, Edge, Limit, Name, NeighbourQuery, Neighbourhood, Node, PAGE_LIMIT, Result,
};
use serde::Serialize;

use super::budget::{Account, Budget};
use super::projection::{Link, Projection, ProjectionQuery, Weights};
use super::rank::{Flow, RankOptions, Seed};
use crate::{GraphMemory, Mirror};

/// A question for what matters around some nodes.
#[derive(Debug, Clone)]
pub struct RecallQuery {
    /// Where to start, and how much each start counts; ids that are not there are left out.
    pub seeds: Vec<Seed>,
    /// The ranking sees what lies at most this many edges away (default 3, at most 32) ...
    pub hops: u32,
    /// ... and at most this many nodes of it, the nearest first (default 10,000, the most there is).
    pub reach: Limit,
    /// Which edges and nodes (seeds aside) it sees, which facts, and what an edge counts.
    pub part: ProjectionQuery,
    /// How the ranking goes.
    pub options: RankOptions,
    /// Whether the seeds are in the answer.
    pub seeds_shown: SeedsShown,
    /// What the answer may be at most.
    pub budget: Budget,
}

/// Whether seeds are in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeedsShown {
    /// With their scores, as any other node.
    #[default]
    Ranked,
    /// Left out: the caller has them.
    LeftOut,
}

impl RecallQuery {
    /// What matters around these nodes, by current facts, without limits.
    pub fn new(seeds: Vec<Seed>) -> Self {
        Self {
            seeds,
            hops: 3,
            reach: Limit::new(PAGE_LIMIT).unwrap_or_default(),
            part: ProjectionQuery::default(),
            options: RankOptions::default(),
            seeds_shown: SeedsShown::default(),
            budget: Budget::default(),
        }
    }

    fn around(&self) -> NeighbourQuery {
        let part = self.part.clone();
        NeighbourQuery {
            direction: part.direction,
            relations: part.relations,
            min_weight: part.min_weight,
            sources: part.sources,
            edge_data: part.edge_data,
            kinds: part.kinds,
            node_data: part.node_data,
            as_of: part.as_of,
            ..NeighbourQuery::new(
                self.seeds.iter().map(|seed| seed.id.clone()).collect(),
                self.hops,
                self.reach,
            )
        }
    }
}

/// A node that was recalled, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recalled {
    /// The node.
    pub node: Node,
    /// Its part of all attention: the scores of all nodes ranked sum to 1.
    pub score: f64,
    /// Edges between it and the nearest seed.
    pub distance: u32,
    /// The edge that brought it most of its score. `None` for a seed that gets it from itself alone.
    pub via: Option<Edge>,
}

/// What was recalled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recall {
    /// By score, then by id.
    pub nodes: Vec<Recalled>,
    /// What the answer costs, and what the budget left out of it.
    #[serde(flatten)]
    pub account: Account,
    /// How many nodes the ranking saw.
    pub ranked: u64,
    /// Whether there was more within the hops than `reach`.
    pub truncated: bool,
    /// Whether the scores settled within the rounds given.
    pub converged: bool,
}

impl Mirror {
    /// What matters around some nodes: personalised PageRank over their neighbourhood.
    pub fn recall(&self, query: &RecallQuery) -> Result<Recall> {
        recalled(query, self.neighbours(&query.around())?)
    }
}

impl GraphMemory {
    /// What matters around some nodes: personalised PageRank over their neighbourhood, which alone is read
    /// from a store that can give it.
    pub async fn recall(&self, query: &RecallQuery) -> Result<Recall> {
        recalled(query, self.neighbours(&query.around()).await?)
    }
}

fn recalled(query: &RecallQuery, found: Neighbourhood) -> Result<Recall> {
    let truncated = found.truncated();
    let Neighbourhood { nodes, edges, .. } = found;
    let ids: Vec<Name> = nodes.iter().map(|reached| reached.node.id.clone()).collect();
    let graph = Projection::from_edges(ids, &edges, query.part.direction, query.part.weights)?;
    let ranking = graph.rank(&query.options, &query.seeds)?;
    let flow = Flow::of(&graph);
    let by_id: std::collections::HashMap<_, _> = edges.iter().map(|edge| (edge.id, edge)).collect();
    let mut order: Vec<_> = nodes
        .into_iter()
        .filter_map(|reached| {
            let place = graph.place(&reached.node.id)?;
            Some((ranking.scores[place], u32::try_from(place).ok()?, reached))
        })
        .filter(|(.., reached)| match query.seeds_shown {
            SeedsShown::Ranked => true,
            SeedsShown::LeftOut => reached.distance > 0,
        })
        .collect();
    let ranked = u64::try_from(graph.node_count()).unwrap_or(u64::MAX);
    // Places are in bytewise order of id.
    order.sort_unstable_by(|(a, a_place, _), (b, b_place, _)| {
        b.total_cmp(a).then(a_place.cmp(b_place))
    });
    let items = order.into_iter().map(|(score, place, reached)| {
        let strongest = graph.strongest(&flow, &ranking, place);
        let via = strongest.and_then(|(_, edge)| by_id.get(&graph.links()[edge as usize].id));
        let via = via.map(|edge| (*edge).clone());
        Recalled { node: reached.node, score, distance: reached.distance, via }
    });
    let (nodes, account) = query.budget.take(items)?;
    Ok(Recall { nodes, account, ranked, truncated, converged: ranking.converged })
}

impl Projection {
    /// Of `ids`, in any order, each once, and of the edges that join them.
    pub(crate) fn from_edges(
        ids: Vec<Name>,
        edges: &[Edge],
        direction: Direction,
        weights: Weights,
    ) -> Result<Self> {
        let places: std::collections::HashMap<&str, u32> =
            ids.iter().map(Name::as_str).zip(0..).collect();
        let links = edges
            .iter()
            .filter_map(|edge| {
                let src = *places.get(edge.src.as_str())?;
                let dst = *places.get(edge.dst.as_str())?;
                Some(Link { id: edge.id, weight: weights.of(edge.weight), src, dst })
            })
            .collect();
        drop(places);
        Self::new(ids, links, direction)
    }
}

impl Weights {
    /// What an edge of this weight counts.
    pub(crate) fn of(self, weight: f64) -> f64 {
        match self {
            Self::Edge => weight,
            Self::Even => 1.0,
        }
    }
}
