//! The order of ids as numbers, so that sorting nodes compares numbers and not texts.

use petgraph::stable_graph::NodeIndex;

use super::Mirror;

/// The rank of a node that came after the ranks were given: texts decide.
pub(super) const UNRANKED: u32 = u32::MAX;

/// Ranks are given anew when more than one node in so many has none, and more than this many.
const SHARE: usize = 8;

/// A node and its rank in one number, which sorts faster than a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ranked(u64);

impl Ranked {
    pub(super) fn new(rank: u32, node: NodeIndex) -> Self {
        let number = u32::try_from(node.index()).unwrap_or(u32::MAX);
        Self(u64::from(rank) << 32 | u64::from(number))
    }

    pub(super) fn node(self) -> NodeIndex {
        NodeIndex::from(u32::try_from(self.0 & u64::from(u32::MAX)).unwrap_or(u32::MAX))
    }
}

impl Mirror {
    /// Gives ranks anew if many nodes have none.
    pub(super) fn rank_if_many(&mut self) {
        if self.unranked > SHARE.max(self.graph.node_count() / SHARE) {
            self.rank();
        }
    }

    /// Gives ranks, in order of ids. They stay right while nodes come and go.
    pub(super) fn rank(&mut self) {
        let mut order: Vec<NodeIndex> = self.graph.node_indices().collect();
        // Stores give nodes in order of ids, which this sort finds out in one pass.
        order.sort_by(|a, b| self.id_of(*a).cmp(self.id_of(*b)));
        // More than 2^32 nodes do not fit into the graph.
        self.unranked = 0;
        for (rank, index) in (0..UNRANKED).zip(order) {
            if let Some(slot) = self.graph.node_weight_mut(index) {
                slot.rank = rank;
            }
        }
    }

    /// Sorts nodes by id; `mixed` when some have no rank.
    pub(super) fn sort(&self, nodes: &mut [Ranked], mixed: bool) {
        if mixed {
            nodes.sort_unstable_by(|a, b| self.id_of(a.node()).cmp(self.id_of(b.node())));
        } else {
            nodes.sort_unstable();
        }
    }
}
