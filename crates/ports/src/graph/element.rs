//! Nodes and edges with their versions.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Name, Timestamp};

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
