//! What a caller asks to change, and what it is answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EdgeId, Revision};
use crate::{Effect, Name, OpId, Timestamp};

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
    /// Finite; a negative zero is kept as zero.
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
    /// Removes a node and its history for good if, after the changes before this one, no version of any edge at
    /// it is left; otherwise it stays.
    PurgeOrphan(Name),
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

/// What a compaction may let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compact {
    /// Log entries up to this revision.
    pub log_upto: Option<Revision>,
    /// Versions superseded before this instant.
    pub history_before: Option<Timestamp>,
}
