//! Projections of a store's graph.

use std::collections::HashMap;

use hexmem_ports::{Edge, EdgeFilter, Limit, Name, NodeFilter, Result};

use super::projection::{Link, Projection, ProjectionQuery};
use crate::GraphMemory;

/// Rows of one page.
const PAGE: u32 = 2_000;

impl GraphMemory {
    /// A part of the graph, read from the store page by page, also of the past (`known`). Attributes are not
    /// kept. While others change the graph, pages are of different moments: an edge whose end was not seen is
    /// left out; with `known` in the past it is one moment.
    pub async fn project(&self, query: &ProjectionQuery) -> Result<Projection> {
        self.project_with(query, &[]).await
    }

    /// The same, with these nodes whatever their types.
    pub(crate) async fn project_with(
        &self,
        query: &ProjectionQuery,
        always: &[Name],
    ) -> Result<Projection> {
        let limit = Limit::new(PAGE)?;
        let nodes = NodeFilter {
            kinds: query.kinds.clone(),
            data: query.node_data.clone(),
            ..NodeFilter::default()
        };
        let all = query.kinds.is_empty() && query.node_data.is_none();
        let (mut ids, mut cursor) = (Vec::new(), None);
        loop {
            let page =
                self.store.find_nodes(&self.graph, &nodes, query.as_of, cursor, limit).await?;
            ids.extend(page.items.into_iter().map(|node| node.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        if !all && !always.is_empty() {
            let found = self.store.nodes(&self.graph, always, query.as_of).await?;
            ids.extend(found.into_iter().flatten().map(|node| node.id));
            ids.sort_unstable();
            ids.dedup();
        }
        let links = self.links(query, &ids).await?;
        Projection::new(ids, links, query.direction)
    }

    async fn links(&self, query: &ProjectionQuery, ids: &[Name]) -> Result<Vec<Link>> {
        let places: HashMap<&str, u32> = ids.iter().map(Name::as_str).zip(0..).collect();
        let link = |edge: Edge| {
            let (src, dst) = (places.get(edge.src.as_str())?, places.get(edge.dst.as_str())?);
            let weight = query.weights.of(edge.weight);
            Some(Link { id: edge.id, weight, src: *src, dst: *dst })
        };
        let filter = EdgeFilter {
            relations: query.relations.clone(),
            min_weight: query.min_weight,
            sources: query.sources.clone(),
            data: query.edge_data.clone(),
            at: None,
        };
        let limit = Limit::new(PAGE)?;
        let (mut links, mut cursor) = (Vec::new(), None);
        loop {
            let page =
                self.store.find_edges(&self.graph, &filter, query.as_of, cursor, limit).await?;
            links.extend(page.items.into_iter().filter_map(link));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(links);
            }
        }
    }
}
