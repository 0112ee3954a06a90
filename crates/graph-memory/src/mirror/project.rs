//! Projections of a loaded graph.

use hexmem_ports::Result;
use petgraph::visit::{EdgeRef, IntoEdgeReferences, NodeIndexable};

use super::Mirror;
use crate::algorithms::{Link, Projection, ProjectionQuery};

impl Mirror {
    /// A part of the graph, for algorithms.
    pub fn project(&self, query: &ProjectionQuery) -> Result<Projection> {
        let at = self.instant("graph.project", query.as_of)?;
        let (sources, data) = (&query.sources, query.edge_data.as_ref());
        let rule = self.follow_rule(at, &query.relations, query.min_weight, sources, data);
        let enter = self.enter_rule(&query.kinds, query.node_data.as_ref());
        // `None` for places that are empty or left out.
        let mut places: Vec<Option<u32>> = vec![None; self.graph.node_bound()];
        let mut ids = Vec::with_capacity(self.graph.node_count());
        for index in self.graph.node_indices() {
            let Some(slot) = self.graph.node_weight(index) else { continue };
            if enter.admits(slot) {
                places[index.index()] = u32::try_from(ids.len()).ok();
                ids.push(slot.id.clone());
            }
        }
        let links = self.graph.edge_references().filter_map(|edge| {
            let slot = edge.weight();
            let (src, dst) = (places[edge.source().index()]?, places[edge.target().index()]?);
            let weight = query.weights.of(slot.weight);
            rule.allows(slot).then_some(Link { id: slot.id, weight, src, dst })
        });
        let links = links.collect();
        Projection::new(ids, links, query.direction)
    }
}
