//! Reads that go to the store.

use std::collections::BTreeMap;

use hexmem_ports::rules::graph::node_cursor_of;
use hexmem_ports::{
    AsOf, Capability, Cursor, Direction, Edge, EdgeFilter, EdgeId, Element, ElementRef, Error,
    ErrorKind, GraphHead, GraphStats, Limit, Name, NeighbourQuery, Neighbourhood, Node, NodeFilter,
    PAGE_LIMIT, Page, Reached, Result, ValidAt,
};

use super::{GraphMemory, Which};
use crate::{Contradiction, Mirror, contradictions};

/// How many nodes are checked for contradictions at once.
const CLASH_PART: u32 = 200;

/// A page of versions, newest first.
pub type Elements = Page<Element>;

impl GraphMemory {
    /// A node, as it was known then. Nodes hold always: the valid time says nothing of them.
    pub async fn node(&self, id: &Name, as_of: AsOf) -> Result<Option<Node>> {
        let found = self.store.nodes(&self.graph, std::slice::from_ref(id), as_of).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// Nodes as they were known then, each in its place.
    pub async fn nodes(&self, ids: &[Name], as_of: AsOf) -> Result<Vec<Option<Node>>> {
        self.store.nodes(&self.graph, ids, as_of).await
    }

    /// Every version of the edges that state this, whoever says it, also of removed ones; the latest recorded first.
    /// At most `limit`; `true` when there are more. Costs a look at all versions of the relation at `src`.
    pub async fn fact_history(&self, which: &Which, limit: Limit) -> Result<(Vec<Edge>, bool)> {
        let Some((filter, dst)) = which.filter() else {
            let Which::Edge(id) = which else { return Ok((Vec::new(), false)) };
            let page = self.history(&ElementRef::Edge(*id), None, limit).await?;
            let edges = page.items.into_iter().filter_map(|element| match element {
                Element::Edge(edge) => Some(edge),
                Element::Node(_) => None,
            });
            return Ok((edges.collect(), page.next.is_some()));
        };
        let mut versions = Vec::new();
        self.each_version(&filter, |edge| {
            if dst.is_none_or(|dst| edge.dst == *dst) {
                versions.push(edge);
            }
            true
        })
        .await?;
        versions.sort_by(|a, b| {
            (b.recorded_at, b.id, b.version).cmp(&(a.recorded_at, a.id, a.version))
        });
        let more = versions.len() > limit.as_usize();
        versions.truncate(limit.as_usize());
        Ok((versions, more))
    }

    /// Whether anyone states this then, as it was known then.
    pub async fn holds(&self, which: &Which, as_of: AsOf) -> Result<bool> {
        Ok(!self.facts(which, as_of).await?.is_empty())
    }

    /// A page of nodes, in bytewise order of id.
    pub async fn find_nodes(
        &self,
        filter: &NodeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Node>> {
        self.store.find_nodes(&self.graph, filter, as_of, cursor, limit).await
    }

    /// A page of edges, in order of id.
    pub async fn find_edges(
        &self,
        filter: &EdgeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        self.store.find_edges(&self.graph, filter, as_of, cursor, limit).await
    }

    /// The nodes up to `depth` edges from a node, either way and itself left out: nearest first, each with how it
    /// was reached. A node that is not there has none.
    pub async fn related(
        &self,
        id: &Name,
        depth: u32,
        relations: &[Name],
        as_of: AsOf,
        limit: Limit,
    ) -> Result<Vec<Reached>> {
        // The node itself takes one place of the page.
        let room = Limit::new(limit.get().saturating_add(1).min(PAGE_LIMIT))?;
        let query = NeighbourQuery {
            relations: relations.to_vec(),
            as_of,
            ..NeighbourQuery::new(vec![id.clone()], depth, room)
        };
        let mut found = self.neighbours(&query).await?.nodes;
        found.retain(|reached| reached.distance > 0);
        found.truncate(limit.as_usize());
        Ok(found)
    }

    /// Facts that cannot all be true (see [`contradictions`]), by source node. `valid` picks those that clash then;
    /// `Any` gives all. A page ends after the node with which it has `limit` contradictions or more.
    pub async fn contradictions(
        &self,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Contradiction>> {
        let every = AsOf { valid: ValidAt::Any, ..as_of };
        let now = self.now();
        let mut page = Page { items: Vec::new(), next: cursor };
        loop {
            let part = Limit::new(CLASH_PART)?;
            let nodes =
                self.find_nodes(&NodeFilter::default(), every, page.next.take(), part).await?;
            let ids: Vec<Name> = nodes.items.into_iter().map(|node| node.id).collect();
            let filter =
                EdgeFilter { at: Some((ids.clone(), Direction::Out)), ..EdgeFilter::default() };
            let mut edges: BTreeMap<Name, Vec<Edge>> = BTreeMap::new();
            self.each_edge(&filter, every, |edge| {
                edges.entry(edge.src.clone()).or_default().push(edge);
            })
            .await?;
            for (src, edges) in edges {
                let found = contradictions(&edges, &self.vocabulary);
                page.items.extend(found.into_iter().filter(|clash| clash.holds(as_of, now)));
                if page.items.len() >= limit.as_usize() {
                    let last = nodes.next.is_none() && ids.last() == Some(&src);
                    page.next = (!last).then(|| node_cursor_of(&src));
                    return Ok(page);
                }
            }
            page.next = nodes.next;
            if page.next.is_none() {
                return Ok(page);
            }
        }
    }

    /// An edge, if it holds then as it was known then.
    pub async fn edge(&self, id: EdgeId, as_of: AsOf) -> Result<Option<Edge>> {
        let found = self.store.edges(&self.graph, &[id], as_of).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// What lies around some nodes. A store that cannot answer this itself is loaded for it, which serves
    /// what is known now only.
    pub async fn neighbours(&self, query: &NeighbourQuery) -> Result<Neighbourhood> {
        if self.store.capabilities().has(Capability::NeighbourhoodInStore) {
            return self.store.neighbourhood(&self.graph, query).await;
        }
        self.load().await?.neighbours(query)
    }

    /// All versions of a node or edge, newest first.
    pub async fn history(
        &self,
        element: &ElementRef,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Elements> {
        self.store.history(&self.graph, element, cursor, limit).await
    }

    /// Counts by type and relation.
    pub async fn stats(&self, as_of: AsOf) -> Result<GraphStats> {
        self.store.stats(&self.graph, as_of).await
    }

    /// Where the graph stands. `None` when it does not exist.
    pub async fn head(&self) -> Result<Option<GraphHead>> {
        self.store.head(&self.graph).await
    }

    /// Where the graph stands; `NotFound` when it does not exist, naming what there is.
    pub async fn existing(&self, operation: &'static str) -> Result<GraphHead> {
        if let Some(head) = self.head().await? {
            return Ok(head);
        }
        let few = Limit::new(5)?;
        let prefix = hexmem_ports::Prefix::default();
        let page = self.store.list(&self.graph.tenant, &prefix, None, few).await?;
        let known = page.items.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
        let known = if known.is_empty() {
            "this store holds no graph of the tenant yet".to_owned()
        } else {
            format!(
                "there are: {}{}",
                known.join(", "),
                if page.next.is_some() { ", ..." } else { "" }
            )
        };
        Err(Error::new(
            ErrorKind::NotFound,
            operation,
            format!("there is no graph `{}`; {known}", self.graph.name),
        )
        .with("tenant", &self.graph.tenant))
    }

    /// Loads the graph into memory.
    pub async fn load(&self) -> Result<Mirror> {
        Mirror::load(
            std::sync::Arc::clone(&self.store),
            std::sync::Arc::clone(&self.clock),
            self.graph.clone(),
        )
        .await
    }
}
