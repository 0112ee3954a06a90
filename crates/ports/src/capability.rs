//! What a store can do, honestly stated.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// One thing that stores may differ in. Conformance cases are gated on these, never on a store's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Capability {
    /// What was acknowledged is there after the process was killed and the store opened again.
    Durable,
    /// Several processes may use the store at once.
    MultiProcess,
    /// Accepts effects with its mutations and hands them out through an outbox.
    Effects,
    /// Gives and takes its records.
    Records,
    /// Listings come in bytewise order of their key.
    OrderedScan,
    /// Counts and sizes are exact, not estimates.
    ExactCounts,
    /// Answers neighbourhood queries without loading the graph.
    NeighbourhoodInStore,
    /// Keeps superseded versions, so that `as_of` reads and history work.
    History,
    /// Keeps dense vectors.
    DenseVectors,
    /// Keeps sparse vectors.
    SparseVectors,
    /// Answers dense searches from an approximate index. Stores without compare every vector: as right, slower.
    DenseIndex,
}

/// The capabilities that one store declares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capabilities(BTreeSet<Capability>);

impl Capabilities {
    /// The given capabilities.
    pub fn of(list: impl IntoIterator<Item = Capability>) -> Self {
        Self(list.into_iter().collect())
    }

    /// Whether `capability` is declared.
    pub fn has(&self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    /// The declared capabilities in order.
    pub fn iter(&self) -> impl Iterator<Item = Capability> + '_ {
        self.0.iter().copied()
    }
}
