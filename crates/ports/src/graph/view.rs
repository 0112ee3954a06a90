//! What a caller asks to read, and what it is given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Edge, EdgeId, Element, ElementRef, Node, Revision};
use crate::{Cursor, Filter, Limit, Name, Prefix, Timestamp};

/// Which facts a read sees: as they hold at a time, as they were known at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AsOf {
    /// The valid time.
    pub valid: ValidAt,
    /// The recorded time; `None`: as known now.
    pub known: Option<Timestamp>,
}

/// The valid time of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ValidAt {
    /// Facts that hold at the store's present.
    #[default]
    Now,
    /// Facts that hold at this instant.
    At(Timestamp),
    /// All facts, whenever they hold.
    Any,
}

impl AsOf {
    /// What holds at the store's present, as known now: the default.
    pub const NOW: Self = Self { valid: ValidAt::Now, known: None };

    /// Everything known now, whenever it holds.
    pub const ALL: Self = Self { valid: ValidAt::Any, known: None };

    /// What holds at `instant`, as known now.
    pub const fn at(instant: Timestamp) -> Self {
        Self { valid: ValidAt::At(instant), known: None }
    }

    /// The same valid time, as it was known at `instant`.
    #[must_use]
    pub const fn known_at(self, instant: Timestamp) -> Self {
        Self { valid: self.valid, known: Some(instant) }
    }

    /// Whether a version recorded and superseded at these times is seen by a reader at `now`.
    pub fn sees(self, recorded_at: Timestamp, superseded_at: Option<Timestamp>) -> bool {
        match self.known {
            None => superseded_at.is_none(),
            Some(known) => recorded_at <= known && superseded_at.is_none_or(|end| known < end),
        }
    }

    /// Whether a fact with this valid span holds for a reader at `now`.
    pub fn holds(self, from: Option<Timestamp>, until: Option<Timestamp>, now: Timestamp) -> bool {
        let at = match self.valid {
            ValidAt::Now => now,
            ValidAt::At(at) => at,
            ValidAt::Any => return true,
        };
        from.is_none_or(|from| from <= at) && until.is_none_or(|until| at < until)
    }

    /// Whether `edge` is seen by a reader at `now`.
    pub fn sees_edge(self, edge: &Edge, now: Timestamp) -> bool {
        self.sees(edge.recorded_at, edge.superseded_at)
            && self.holds(edge.valid_from, edge.valid_until, now)
    }
}

/// One entry of the change log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedChange {
    /// The revision it belongs to.
    pub revision: Revision,
    /// What changed.
    pub element: ElementRef,
    /// Its state after the change; `None`: it was removed or purged.
    pub state: Option<Element>,
}

/// A part of the change log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChangeLog {
    /// Whole revisions, in order, at least one where there is any: a batch is never split.
    pub changes: Vec<LoggedChange>,
    /// The revision to ask from next: the last one given here.
    pub upto: Revision,
    /// The graph's revision now; equal to `upto` when the reader is up to date.
    pub head: Revision,
}

/// Where a graph stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphHead {
    /// The last revision.
    pub revision: Revision,
    /// The log holds changes after this revision; a reader behind it gets `Gap`.
    pub log_start: Revision,
    /// When the graph was created: its first batch.
    pub created_at: Timestamp,
    /// When its last batch was recorded.
    pub updated_at: Timestamp,
}

/// Which nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeFilter {
    /// Of one of these types; empty: any.
    pub kinds: Vec<Name>,
    /// Whose id starts so.
    pub prefix: Prefix,
    /// Whose data passes.
    pub data: Option<Filter>,
}

/// Which way edges are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// From source to target.
    Out,
    /// From target to source.
    In,
    /// Either way.
    #[default]
    Both,
}

/// Which edges.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EdgeFilter {
    /// At one of these nodes, in this direction seen from them; `None`: anywhere.
    pub at: Option<(Vec<Name>, Direction)>,
    /// Of one of these relations; empty: any.
    pub relations: Vec<Name>,
    /// Of at least this weight.
    pub min_weight: Option<f64>,
    /// From one of these sources; empty: any, also none.
    pub sources: Vec<Name>,
    /// Whose data passes.
    pub data: Option<Filter>,
}

/// A question about what lies around some nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct NeighbourQuery {
    /// Where to start; ids that are not there are left out.
    pub seeds: Vec<Name>,
    /// At most this many edges away: 0 gives the seeds alone; at most 32.
    pub hops: u32,
    /// Which way edges are followed.
    pub direction: Direction,
    /// Only edges of these relations; empty: any.
    pub relations: Vec<Name>,
    /// Only edges of at least this weight.
    pub min_weight: Option<f64>,
    /// Only edges from one of these sources; empty: any, also none.
    pub sources: Vec<Name>,
    /// Only edges whose data passes.
    pub edge_data: Option<Filter>,
    /// Only nodes of these types are entered (seeds aside); empty: any.
    pub kinds: Vec<Name>,
    /// Only nodes whose data passes are entered (seeds aside).
    pub node_data: Option<Filter>,
    /// Which facts.
    pub as_of: AsOf,
    /// At most this many nodes, nearest first, then by id.
    pub limit: Limit,
    /// Where the page before ended; `None`: from the seeds on.
    pub cursor: Option<Cursor>,
}

impl NeighbourQuery {
    /// What is known to hold now up to `hops` edges around `seeds`, either way, without any filter: the first
    /// `limit` nodes.
    pub fn new(seeds: Vec<Name>, hops: u32, limit: Limit) -> Self {
        Self {
            seeds,
            hops,
            direction: Direction::Both,
            relations: Vec::new(),
            min_weight: None,
            sources: Vec::new(),
            edge_data: None,
            kinds: Vec::new(),
            node_data: None,
            as_of: AsOf::NOW,
            limit,
            cursor: None,
        }
    }
}

/// How a node was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Via {
    /// The node before it, one edge nearer to a seed.
    pub from: Name,
    /// The edge between them.
    pub edge: EdgeId,
}

/// A node that a neighbourhood query reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// The node.
    pub node: Node,
    /// Edges between it and the nearest seed.
    pub distance: u32,
    /// The last step to it: of all edges that lead to it from a node one nearer, the one of the smallest id.
    /// `None` for a seed.
    pub via: Option<Via>,
}

impl Reached {
    /// Where a page that ends with this node goes on.
    pub fn cursor(&self) -> Cursor {
        Cursor(format!("{}:{}", self.distance, self.node.id))
    }
}

/// What lies around.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Neighbourhood {
    /// Nodes by distance, then by id.
    pub nodes: Vec<Reached>,
    /// Every edge that the query may follow with one end among `nodes` and the other among them or on an earlier
    /// page, by id: so each comes once over all pages, and without a cursor both ends are among `nodes`.
    pub edges: Vec<Edge>,
    /// Where the next page starts; `None`: the limit cut nothing. A page costs the visit from the seeds up to it.
    pub next: Option<Cursor>,
}

impl Neighbourhood {
    /// Whether the limit cut it.
    pub fn truncated(&self) -> bool {
        self.next.is_some()
    }

    /// The steps from a seed to `id`, in order; none for a seed. `None` when `id` is not among the nodes, or the
    /// way leads over an earlier page.
    pub fn path_to(&self, id: &Name) -> Option<Vec<&Via>> {
        let reached = |id: &Name| self.nodes.iter().find(|reached| reached.node.id == *id);
        let mut here = reached(id)?;
        let mut steps = Vec::new();
        while let Some(via) = &here.via {
            steps.push(via);
            here = reached(&via.from).filter(|before| before.distance < here.distance)?;
        }
        steps.reverse();
        Some(steps)
    }
}

/// Counts of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GraphStats {
    /// Nodes seen.
    pub nodes: u64,
    /// Edges seen.
    pub edges: u64,
    /// Nodes by type.
    pub node_types: BTreeMap<String, u64>,
    /// Edges by relation.
    pub edge_types: BTreeMap<String, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_half_open() {
        let at = |n| Timestamp::from_micros(n).unwrap();
        let seen = |valid| AsOf { valid, known: None }.holds(Some(at(10)), Some(at(20)), at(15));
        assert!(seen(ValidAt::Now) && seen(ValidAt::At(at(10))) && seen(ValidAt::Any));
        assert!(!seen(ValidAt::At(at(20))) && !seen(ValidAt::At(at(9))));
        let known = AsOf { valid: ValidAt::Any, known: Some(at(10)) };
        assert!(known.sees(at(10), Some(at(11))) && !known.sees(at(5), Some(at(10))));
    }
}
