//! Temporal graphs: typed edges, two time axes, a change log.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Capabilities, Cursor, Effect, GraphId, Limit, Name, OpId, Page, Prefix, Result, Tenant,
    Timestamp,
};

/// An edge's id. Several edges may join one pair of nodes, also with one relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EdgeId(pub Uuid);

impl fmt::Display for EdgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in a graph's change log; 0 before the first change. Revisions become visible in order. Only a
/// read position: preconditions are per node and edge.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// One version of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique within the graph.
    pub id: Name,
    /// Its type, from an open vocabulary.
    #[serde(rename = "type")]
    pub kind: Name,
    /// Attributes: a JSON object.
    pub data: Value,
    /// When the node was first put; stays over its versions.
    pub created_at: Timestamp,
    /// When this version was recorded, by the store's clock.
    pub recorded_at: Timestamp,
    /// When it was superseded or removed; `None` for the current version.
    pub superseded_at: Option<Timestamp>,
    /// 1 for the first, one more for each later one, also after a removal.
    pub version: u64,
}

/// One version of an edge: a fact, when it holds (valid time) and when it was known (recorded time). Both
/// spans are half-open: the start belongs, the end does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// The id.
    pub id: EdgeId,
    /// From.
    pub src: Name,
    /// The relation, from an open vocabulary.
    pub relation: Name,
    /// To.
    pub dst: Name,
    /// Finite; meaning is the caller's.
    pub weight: f64,
    /// From when the fact holds; `None`: always has.
    pub valid_from: Option<Timestamp>,
    /// Until when it holds; `None`: still does. Not earlier than `valid_from`; the same instant says that it
    /// never held (a fact withdrawn before it began).
    pub valid_until: Option<Timestamp>,
    /// Where the fact comes from (a URL, a document, a session).
    pub source: Option<Name>,
    /// Attributes: a JSON object.
    pub data: Value,
    /// When the edge was first put; stays over its versions.
    pub created_at: Timestamp,
    /// When this version was recorded, by the store's clock.
    pub recorded_at: Timestamp,
    /// When it was superseded or removed; `None` for the current version.
    pub superseded_at: Option<Timestamp>,
    /// 1 for the first, one more for each later one, also after a removal.
    pub version: u64,
}

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

/// The precondition of one change, about the current version of one node or edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// None.
    #[default]
    Any,
    /// It does not exist now.
    Absent,
    /// Its current version is this.
    Version(u64),
}

/// A node to be put.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeDraft {
    /// The id.
    pub id: Name,
    /// The type.
    #[serde(rename = "type")]
    pub kind: Name,
    /// A JSON object; replaces the earlier one.
    pub data: Value,
    /// When the node came to be, for imports; `None`: the store's present. Ignored for an existing node.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// The precondition.
    #[serde(default)]
    pub expect: Expect,
}

/// An edge to be put.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeDraft {
    /// The id; a known id makes a new version of that edge, whose ends and relation must be the same.
    pub id: EdgeId,
    /// From: a node that exists after the changes before this one.
    pub src: Name,
    /// The relation.
    pub relation: Name,
    /// To: likewise.
    pub dst: Name,
    /// Finite.
    pub weight: f64,
    /// From when it holds.
    pub valid_from: Option<Timestamp>,
    /// Until when; not earlier than `valid_from`. The same instant: it never held.
    pub valid_until: Option<Timestamp>,
    /// Where it comes from.
    pub source: Option<Name>,
    /// A JSON object; replaces the earlier one.
    pub data: Value,
    /// When the edge came to be, for imports; `None`: the store's present. Ignored for an existing edge.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// The precondition.
    #[serde(default)]
    pub expect: Expect,
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphChange {
    /// Creates a node or supersedes its current version. A put that changes nothing makes no version.
    PutNode(NodeDraft),
    /// Creates an edge or supersedes its current version. A put that changes nothing makes no version.
    PutEdge(EdgeDraft),
    /// Ends a node and the current edges at it. Absent is no error. History stays.
    RemoveNode {
        /// Which.
        id: Name,
        /// The precondition.
        expect: Expect,
    },
    /// Ends an edge. Absent is no error. History stays.
    RemoveEdge {
        /// Which.
        id: EdgeId,
        /// The precondition.
        expect: Expect,
    },
    /// Removes a node, all edges ever at it, and their history, for good.
    PurgeNode(Name),
    /// Removes an edge and its history for good.
    PurgeEdge(EdgeId),
}

/// Changes that happen together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphBatch {
    /// The key of idempotence: a repeat while the log retains the first gives its answer.
    pub id: OpId,
    /// In order: later changes see earlier ones. At most [`PAGE_LIMIT`](crate::PAGE_LIMIT).
    pub changes: Vec<GraphChange>,
    /// Committed with them.
    pub effects: Vec<Effect>,
}

impl GraphBatch {
    /// A batch with a fresh id and no effects.
    pub fn new(changes: Vec<GraphChange>) -> Self {
        Self { id: OpId::random(), changes, effects: Vec::new() }
    }
}

/// What an apply did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The graph's revision with these changes.
    pub revision: Revision,
    /// The instant they were recorded at: one for the whole batch.
    pub recorded_at: Timestamp,
}

/// A node or an edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElementRef {
    /// A node.
    Node(Name),
    /// An edge.
    Edge(EdgeId),
}

/// The state of a node or edge after a change, or one of its versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Element {
    /// A node.
    Node(Node),
    /// An edge.
    Edge(Edge),
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

/// What a compaction may let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compact {
    /// Log entries up to this revision.
    pub log_upto: Option<Revision>,
    /// Versions superseded before this instant.
    pub history_before: Option<Timestamp>,
}

/// Graphs whose changes come in atomic batches and whose past stays readable.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait GraphStore: Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Applies a batch: all of it or nothing. The first batch creates the graph.
    ///
    /// # Behavior
    /// - `GRAPH-APPLY-1`: nodes and edges read back equal by value, stamped with one instant of the store's clock; several edges of one pair and one relation live side by side; awkward ids are different ids.
    /// - `GRAPH-APPLY-2`: a put over a current version supersedes it: version one more, `created_at` stays, the earlier version ends at the instant the new one begins. A put that changes nothing makes no version.
    /// - `GRAPH-APPLY-3`: an edge whose end does not exist is `NotFound` and names it; an edge put with other ends or relation is `Conflict`; nothing of the batch is applied.
    /// - `GRAPH-APPLY-4`: a precondition that does not hold is `Conflict`, names the node or edge, and nothing of the batch is applied.
    /// - `GRAPH-APPLY-5`: removing a node ends its current edges; re-putting it later goes on with the next version; removing what is absent is no error.
    /// - `GRAPH-APPLY-6`: purging leaves no trace in any read or history; other elements stay.
    /// - `GRAPH-APPLY-7`: a repeat with the same batch id gives the first answer and changes nothing.
    /// - `GRAPH-APPLY-8`: N writers with disjoint changes lose nothing and never conflict; N increments of one node with `Version` and retry add up.
    /// - `GRAPH-APPLY-9`: data that is no object, NUL, integers beyond i64, a weight that is not finite, an end before its start (the same instant is an empty span, which holds never), more than 10,000 changes: `Invalid`, and nothing of the batch is applied. An empty batch changes nothing and answers the head.
    /// - `GRAPH-APPLY-10`: (effects) effects are committed with the batch, and not when it is refused.
    async fn apply(&self, graph: &GraphId, batch: GraphBatch) -> Result<Applied>;

    /// The changes after a revision, in order, about `limit` of them.
    ///
    /// # Behavior
    /// - `GRAPH-LOG-1`: replaying the log from 0 gives the current graph; every applied batch is in it once, in the order of revisions.
    /// - `GRAPH-LOG-2`: while N writers apply, a reader that follows the log misses nothing and sees no revision before an earlier one.
    /// - `GRAPH-LOG-3`: a reader behind the retained log gets `Gap`; one beyond the head (it read another store, or the graph was deleted) does too; one at the head gets nothing; an absent graph has an empty log at revision 0.
    async fn changes(&self, graph: &GraphId, after: Revision, limit: Limit) -> Result<ChangeLog>;

    /// Where the graph stands. `None` when it does not exist.
    ///
    /// # Behavior
    /// - `GRAPH-HEAD-1`: the revision grows with each batch that changed something; an absent graph is `None`; reading never creates one.
    async fn head(&self, graph: &GraphId) -> Result<Option<GraphHead>>;

    /// Nodes by id, in order.
    ///
    /// # Behavior
    /// - `GRAPH-NODES-1`: an absent one is `None` in its place; with `known` it is the version recorded then, whatever came later.
    /// - `GRAPH-NODES-2`: another tenant, or another graph of the tenant, sees nothing.
    async fn nodes(&self, graph: &GraphId, ids: &[Name], as_of: AsOf) -> Result<Vec<Option<Node>>>;

    /// Edges by id, in order.
    ///
    /// # Behavior
    /// - `GRAPH-EDGES-1`: seen only within its valid span, start included and end not; `Any` sees all; `known` sees the version recorded then.
    async fn edges(
        &self,
        graph: &GraphId,
        ids: &[EdgeId],
        as_of: AsOf,
    ) -> Result<Vec<Option<Edge>>>;

    /// Nodes that match, in bytewise order of id.
    ///
    /// # Behavior
    /// - `GRAPH-FIND-1`: types and literal prefix select; pages give each node that was there throughout exactly once while others change.
    async fn find_nodes(
        &self,
        graph: &GraphId,
        filter: &NodeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Node>>;

    /// Edges that match, in order of id.
    ///
    /// # Behavior
    /// - `GRAPH-FIND-2`: ends, direction, relations, weight floor and source select; a self loop comes once; pages give each edge that was there throughout exactly once.
    async fn find_edges(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>>;

    /// What lies around some nodes.
    ///
    /// # Behavior
    /// - `GRAPH-NEAR-1`: (neighbourhood_in_store) agrees with a breadth-first search over the edges seen, for random graphs, directions, relations, types, weights, hops and times.
    /// - `GRAPH-NEAR-2`: (neighbourhood_in_store) seeds that are not there are left out; no seeds give nothing; the limit cuts the farthest and says so; more than 32 hops are `Invalid`.
    async fn neighbourhood(&self, graph: &GraphId, query: &NeighbourQuery)
    -> Result<Neighbourhood>;

    /// All versions of a node or edge, newest first.
    ///
    /// # Behavior
    /// - `GRAPH-HIST-1`: (history) gives every version once, their recorded spans without gap or overlap; what never was has none.
    async fn history(
        &self,
        graph: &GraphId,
        element: &ElementRef,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Element>>;

    /// Counts.
    ///
    /// # Behavior
    /// - `GRAPH-STATS-1`: (exact_counts) equal the nodes and edges that `find_nodes` and `find_edges` give for the same `as_of`; an absent graph has zeros.
    async fn stats(&self, graph: &GraphId, as_of: AsOf) -> Result<GraphStats>;

    /// The graphs of a tenant.
    ///
    /// # Behavior
    /// - `GRAPH-LIST-1`: pages give each graph exactly once, this tenant's only, by literal prefix.
    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>>;

    /// Removes a graph with its history and log. `false` when it does not exist.
    ///
    /// # Behavior
    /// - `GRAPH-DELETE-1`: nothing of it is read any more; other graphs stay; a new graph of the name starts empty, and its revisions go on above the old ones, so that an old reader gets `Gap`.
    async fn delete(&self, graph: &GraphId, effects: Vec<Effect>) -> Result<bool>;

    /// Lets go of old log entries and old versions.
    ///
    /// # Behavior
    /// - `GRAPH-COMPACT-1`: current reads are unchanged; the log starts later and earlier readers get `Gap`; versions superseded before the instant are gone from history.
    async fn compact(&self, graph: &GraphId, compact: Compact) -> Result<()>;
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
