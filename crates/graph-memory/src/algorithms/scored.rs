//! Nodes in the order of a score.

use hexmem_ports::{AsOf, Name, Node, Result};
use serde::Serialize;

use super::budget::{Account, Budget};
use super::projection::Projection;
use crate::{GraphMemory, Mirror};

/// Nodes asked for at once.
const PAGE: usize = 256;

/// A node and its score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scored {
    /// The node.
    pub node: Node,
    /// Its score.
    pub score: f64,
}

impl Projection {
    /// Every node with its score, the highest first, then by id. `scores` has one for each place; places
    /// without one are left out.
    pub fn ordered(&self, scores: &[f64]) -> Vec<(&Name, f64)> {
        let mut order: Vec<(&Name, f64)> = self.ids().iter().zip(scores.iter().copied()).collect();
        order.sort_by(|(a_id, a), (b_id, b)| b.total_cmp(a).then_with(|| a_id.cmp(b_id)));
        order
    }
}

impl Mirror {
    /// The nodes of highest score that a budget takes.
    pub fn scored(
        &self,
        graph: &Projection,
        scores: &[f64],
        budget: &Budget,
    ) -> Result<(Vec<Scored>, Account)> {
        let order = graph.ordered(scores).into_iter();
        budget.take(order.filter_map(|(id, score)| Some(Scored { node: self.node(id)?, score })))
    }
}

impl GraphMemory {
    /// The nodes of highest score that a budget takes; only those are read. A node that went away meanwhile is
    /// passed over.
    pub async fn scored(
        &self,
        graph: &Projection,
        scores: &[f64],
        as_of: AsOf,
        budget: &Budget,
    ) -> Result<(Vec<Scored>, Account)> {
        let order = graph.ordered(scores);
        let (mut taken, mut meter) = (Vec::new(), budget.meter());
        for (page, part) in order.chunks(PAGE).enumerate() {
            let ids: Vec<Name> = part.iter().map(|(id, _)| (*id).clone()).collect();
            let found = self.store.nodes(&self.graph, &ids, as_of).await?;
            for (node, (_, score)) in found.into_iter().zip(part) {
                let Some(node) = node else { continue };
                let item = Scored { node, score: *score };
                if meter.admits(&[&item])? {
                    taken.push(item);
                }
            }
            if meter.account().cut.is_some() {
                let seen = (page + 1) * PAGE;
                meter.leave(u64::try_from(order.len().saturating_sub(seen)).unwrap_or(u64::MAX));
                break;
            }
        }
        Ok((taken, meter.account()))
    }
}
