//! A store that stops taking changes, as one whose process was killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use hexmem_ports::{
    Applied, AsOf, Capabilities, ChangeLog, Compact, Cursor, Edge, EdgeFilter, EdgeId, Effect,
    Element, ElementRef, Error, ErrorKind, GraphBatch, GraphHead, GraphId, GraphStats, GraphStore,
    Limit, Name, NeighbourQuery, Neighbourhood, Node, NodeFilter, Page, Prefix, Result, Revision,
    Tenant,
};

pub(crate) struct Flaky<S> {
    pub(crate) inner: Arc<S>,
    /// Batches that it still takes.
    pub(crate) left: AtomicU32,
}

#[async_trait]
impl<S: GraphStore> GraphStore for Flaky<S> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn apply(&self, graph: &GraphId, batch: GraphBatch) -> Result<Applied> {
        let takes = |left: u32| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, takes).is_err() {
            return Err(Error::new(ErrorKind::Internal, "graph.apply", "killed"));
        }
        self.inner.apply(graph, batch).await
    }
    async fn changes(&self, graph: &GraphId, after: Revision, limit: Limit) -> Result<ChangeLog> {
        self.inner.changes(graph, after, limit).await
    }
    async fn head(&self, graph: &GraphId) -> Result<Option<GraphHead>> {
        self.inner.head(graph).await
    }
    async fn nodes(&self, graph: &GraphId, ids: &[Name], as_of: AsOf) -> Result<Vec<Option<Node>>> {
        self.inner.nodes(graph, ids, as_of).await
    }
    async fn edges(
        &self,
        graph: &GraphId,
        ids: &[EdgeId],
        as_of: AsOf,
    ) -> Result<Vec<Option<Edge>>> {
        self.inner.edges(graph, ids, as_of).await
    }
    async fn find_nodes(
        &self,
        graph: &GraphId,
        filter: &NodeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Node>> {
        self.inner.find_nodes(graph, filter, as_of, cursor, limit).await
    }
    async fn find_edges(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        self.inner.find_edges(graph, filter, as_of, cursor, limit).await
    }
    async fn find_versions(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        self.inner.find_versions(graph, filter, cursor, limit).await
    }
    async fn neighbourhood(
        &self,
        graph: &GraphId,
        query: &NeighbourQuery,
    ) -> Result<Neighbourhood> {
        self.inner.neighbourhood(graph, query).await
    }
    async fn history(
        &self,
        graph: &GraphId,
        element: &ElementRef,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Element>> {
        self.inner.history(graph, element, cursor, limit).await
    }
    async fn stats(&self, graph: &GraphId, as_of: AsOf) -> Result<GraphStats> {
        self.inner.stats(graph, as_of).await
    }
    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        self.inner.list(tenant, prefix, cursor, limit).await
    }
    async fn delete(&self, graph: &GraphId, effects: Vec<Effect>) -> Result<bool> {
        self.inner.delete(graph, effects).await
    }
    async fn compact(&self, graph: &GraphId, compact: Compact) -> Result<()> {
        self.inner.compact(graph, compact).await
    }
}
