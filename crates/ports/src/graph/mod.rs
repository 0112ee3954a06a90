//! Temporal graphs: typed edges, two time axes, a change log.

mod batch;
mod element;
mod view;

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Capabilities, Cursor, Effect, GraphId, Limit, Name, Page, Prefix, Result, Tenant};

pub use batch::*;
pub use element::*;
pub use view::*;

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
    /// - `GRAPH-APPLY-7`: a repeat with the same batch id gives the first answer and changes nothing, also when the first changed nothing; of N at once one is applied. A refused batch is not remembered.
    /// - `GRAPH-APPLY-8`: N writers with disjoint changes lose nothing and never conflict; N increments of one node with `Version` and retry add up.
    /// - `GRAPH-APPLY-9`: data that is no object, NUL, integers beyond i64, a weight that is not finite, an end before its start (the same instant is an empty span, which holds never), more than 10,000 changes: `Invalid`, and nothing of the batch is applied. An empty batch changes nothing and answers the head.
    /// - `GRAPH-APPLY-10`: (effects) effects are committed with the batch (also with one that changes nothing), once, and not when it is refused; those of a delete when it deletes.
    /// - `GRAPH-APPLY-11`: the purge of an orphan removes a node, current or ended, of which no edge has a version left, purges earlier in the batch counted; otherwise it changes nothing. Of an edge put and an orphan purged at once, either the edge stays with its ends or its put is `NotFound`.
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
    /// - `GRAPH-FIND-3`: a filter on data selects exactly what [`Filter::matches`](crate::Filter::matches) says of each version seen, for nodes and for edges, over all pages, however few pass.
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
    /// - `GRAPH-FIND-2`: ends, direction, relations, weight floor and sources select; a self loop comes once; pages give each edge that was there throughout exactly once.
    async fn find_edges(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>>;

    /// Every version of every edge that matches, current or not, in order of id, then of version.
    ///
    /// # Behavior
    /// - `GRAPH-EVER-1`: (history) gives exactly the versions that [`history`](Self::history) gives of all edges and that the filter matches, each once over all pages; purged ones are gone; a self loop comes once a version.
    async fn find_versions(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>>;

    /// What lies around some nodes.
    ///
    /// # Behavior
    /// - `GRAPH-NEAR-1`: (neighbourhood_in_store) agrees with a breadth-first search over the edges seen, for random graphs, directions, relations, types, weights, sources, data, hops and times.
    /// - `GRAPH-NEAR-2`: (neighbourhood_in_store) seeds that are not there are left out; no seeds give nothing; the limit cuts the farthest and says so; more than 32 hops are `Invalid`.
    /// - `GRAPH-NEAR-3`: (neighbourhood_in_store) `via` of each node but a seed is the edge of the smallest id of all that lead to it from a node one nearer.
    /// - `GRAPH-NEAR-4`: (neighbourhood_in_store) while nothing changes, the pages give the nodes and edges of the whole answer, each once, the nodes in order; a foreign cursor is `Invalid`.
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

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: GraphStore + ?Sized> GraphStore for Arc<T> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    async fn apply(&self, graph: &GraphId, batch: GraphBatch) -> Result<Applied> {
        (**self).apply(graph, batch).await
    }
    async fn changes(&self, graph: &GraphId, after: Revision, limit: Limit) -> Result<ChangeLog> {
        (**self).changes(graph, after, limit).await
    }
    async fn head(&self, graph: &GraphId) -> Result<Option<GraphHead>> {
        (**self).head(graph).await
    }
    async fn nodes(&self, graph: &GraphId, ids: &[Name], as_of: AsOf) -> Result<Vec<Option<Node>>> {
        (**self).nodes(graph, ids, as_of).await
    }
    async fn edges(
        &self,
        graph: &GraphId,
        ids: &[EdgeId],
        as_of: AsOf,
    ) -> Result<Vec<Option<Edge>>> {
        (**self).edges(graph, ids, as_of).await
    }
    async fn find_nodes(
        &self,
        graph: &GraphId,
        filter: &NodeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Node>> {
        (**self).find_nodes(graph, filter, as_of, cursor, limit).await
    }
    async fn find_edges(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        (**self).find_edges(graph, filter, as_of, cursor, limit).await
    }
    async fn find_versions(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        (**self).find_versions(graph, filter, cursor, limit).await
    }
    async fn neighbourhood(
        &self,
        graph: &GraphId,
        query: &NeighbourQuery,
    ) -> Result<Neighbourhood> {
        (**self).neighbourhood(graph, query).await
    }
    async fn history(
        &self,
        graph: &GraphId,
        element: &ElementRef,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Element>> {
        (**self).history(graph, element, cursor, limit).await
    }
    async fn stats(&self, graph: &GraphId, as_of: AsOf) -> Result<GraphStats> {
        (**self).stats(graph, as_of).await
    }
    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        (**self).list(tenant, prefix, cursor, limit).await
    }
    async fn delete(&self, graph: &GraphId, effects: Vec<Effect>) -> Result<bool> {
        (**self).delete(graph, effects).await
    }
    async fn compact(&self, graph: &GraphId, compact: Compact) -> Result<()> {
        (**self).compact(graph, compact).await
    }
}
