//! What a caller asks to read, and what it is given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Edge, Element, ElementRef, Node, Revision};
use crate::{Limit, Name, Prefix, Timestamp};

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
    /// Everything known now, whenever it holds.
    pub const ALL: Self = Self { valid: ValidAt::Any, known: None };

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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFilter {
    /// Of one of these types; empty: any.
    pub kinds: Vec<Name>,
    /// Whose id starts so.
    pub prefix: Prefix,
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
    /// From exactly this source.
    pub source: Option<Name>,
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
    /// Only nodes of these types are entered (seeds aside); empty: any.
    pub kinds: Vec<Name>,
    /// Which facts.
    pub as_of: AsOf,
    /// At most this many nodes, nearest first, then by id.
    pub limit: Limit,
}

/// A node that a neighbourhood query reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// The node.
    pub node: Node,
    /// Edges between it and the nearest seed.
    pub distance: u32,
}

/// What lies around.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Neighbourhood {
    /// Nodes by distance, then by id.
    pub nodes: Vec<Reached>,
    /// Every edge that the query may follow with both ends among `nodes`, by id.
    pub edges: Vec<Edge>,
    /// Whether the limit cut it.
    pub truncated: bool,
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
