//! Graphs: current versions, past versions, a log and counts, in tables of their own.
//!
//! What a batch does is decided by [`plan`](hexmem_ports::rules::graph::plan) on the few elements that it touches; one
//! statement checks that these are still as they were and writes the rows. So one change costs the same in a small graph
//! and in a large one, and the lock of a graph is never held over a round trip. Batches of one process that wait for
//! each other share a transaction.

mod apply;
mod compact;
mod facts;
mod find;
mod log;
mod near;
mod records;
mod rows;
mod together;
mod touched;
mod wait;
mod writes;

use std::sync::Arc;

use async_trait::async_trait;
use hexmem_ports::rules::graph::{list_cursor, list_cursor_of};
use hexmem_ports::{
    Applied, AsOf, Capabilities, Capability, ChangeLog, Compact, Cursor, Edge, EdgeFilter, EdgeId,
    Effect, Element, ElementRef, GraphBatch, GraphHead, GraphId, GraphStats, GraphStore, Limit,
    Name, NeighbourQuery, Neighbourhood, Node, NodeFilter, Page, Prefix, Result, Revision, Tenant,
};

use crate::Postgres;
use crate::outbox::Effects;
use crate::value::{At, Hash, last_of};
use rows::{LifeRow, count};
use together::Lines;

/// The graphs of a schema. Cheap to clone; clones share the line of those who wait to write.
#[derive(Debug, Clone)]
pub struct PgGraphs {
    postgres: Postgres,
    lines: Arc<Lines>,
}

impl Postgres {
    /// The graphs of this schema. Keep it: batches that wait share a transaction where they come through one.
    pub fn graphs(&self) -> PgGraphs {
        PgGraphs { postgres: self.clone(), lines: Arc::default() }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl GraphStore for PgGraphs {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([
            Capability::Effects,
            Capability::Records,
            Capability::ExactCounts,
            Capability::NeighbourhoodInStore,
            Capability::History,
            Capability::Durable,
            Capability::MultiProcess,
        ])
    }

    async fn apply(&self, graph: &GraphId, batch: GraphBatch) -> Result<Applied> {
        together::apply(&self.postgres, &self.lines, graph, batch).await
    }

    async fn changes(&self, graph: &GraphId, after: Revision, limit: Limit) -> Result<ChangeLog> {
        log::changes(&self.postgres, graph, after, limit).await
    }

    async fn head(&self, graph: &GraphId) -> Result<Option<GraphHead>> {
        let row: Option<LifeRow> = self
            .postgres
            .read("graph.head", include_str!("../sql/graph/life.sql"))
            .bind(Hash(graph.digest()))
            .fetch_optional()
            .await?;
        Ok(row.and_then(|row| rows::life(row).head()))
    }

    async fn nodes(&self, graph: &GraphId, ids: &[Name], as_of: AsOf) -> Result<Vec<Option<Node>>> {
        find::nodes_by_id(&self.postgres, graph, ids, as_of).await
    }

    async fn edges(
        &self,
        graph: &GraphId,
        ids: &[EdgeId],
        as_of: AsOf,
    ) -> Result<Vec<Option<Edge>>> {
        find::edges_by_id(&self.postgres, graph, ids, as_of).await
    }

    async fn find_nodes(
        &self,
        graph: &GraphId,
        filter: &NodeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Node>> {
        find::find_nodes(&self.postgres, graph, filter, as_of, cursor.as_ref(), limit).await
    }

    async fn find_edges(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        facts::find_edges(&self.postgres, graph, filter, as_of, cursor.as_ref(), limit).await
    }

    async fn find_versions(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        facts::find_versions(&self.postgres, graph, filter, cursor.as_ref(), limit).await
    }

    async fn neighbourhood(
        &self,
        graph: &GraphId,
        query: &NeighbourQuery,
    ) -> Result<Neighbourhood> {
        near::neighbourhood(&self.postgres, graph, query).await
    }

    async fn history(
        &self,
        graph: &GraphId,
        element: &ElementRef,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Element>> {
        log::history(&self.postgres, graph, element, cursor.as_ref(), limit).await
    }

    async fn stats(&self, graph: &GraphId, as_of: AsOf) -> Result<GraphStats> {
        const OP: &str = "graph.stats";
        let (any, at) = find::valid_at(as_of);
        let statement = match as_of.known {
            None => include_str!("../sql/graph/stats.sql"),
            Some(_) => include_str!("../sql/graph/stats_known.sql"),
        };
        let query = self.postgres.read(OP, statement).bind(Hash(graph.digest())).bind(any).bind(at);
        let query = match as_of.known {
            None => query,
            Some(known) => query.bind(At(known)),
        };
        let mut stats = GraphStats::default();
        for (element, name, n) in query.fetch_all::<(i16, String, i64)>().await? {
            let n = count(n);
            let (sum, names) = match element {
                0 => (&mut stats.nodes, &mut stats.node_types),
                _ => (&mut stats.edges, &mut stats.edge_types),
            };
            *sum += n;
            names.insert(name, n);
        }
        Ok(stats)
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        const OP: &str = "graph.list";
        let after =
            cursor.as_ref().map(list_cursor).transpose()?.map(String::from).unwrap_or_default();
        let names: Vec<(String,)> = self
            .postgres
            .read(OP, include_str!("../sql/graph/list.sql"))
            .bind(tenant.as_str())
            .bind(after)
            .bind(prefix.as_str())
            .bind(last_of(prefix))
            .bind(i64::from(limit.get()) + 1)
            .fetch_all()
            .await?;
        let names = names.into_iter().map(|(name,)| rows::name(OP, name));
        let names = names.collect::<Result<Vec<_>>>()?;
        Ok(Page::cut(names, limit, list_cursor_of))
    }

    async fn delete(&self, graph: &GraphId, effects: Vec<Effect>) -> Result<bool> {
        const OP: &str = "graph.delete";
        let effects = Effects::new(&self.postgres, OP, &effects)?;
        let (deleted,): (bool,) = self
            .postgres
            .write(OP, include_str!("../sql/graph/delete.sql"))
            .bind(Hash(graph.digest()))
            .effects(&effects)
            .fetch_one()
            .await?;
        if deleted && let Err(error) = compact::clear(&self.postgres, OP).await {
            // It is deleted; what is left is cleared with the next delete or compaction.
            tracing::warn!(%graph, %error, "what a deleted graph left was not cleared");
        }
        Ok(deleted)
    }

    async fn compact(&self, graph: &GraphId, compact: Compact) -> Result<()> {
        compact::compact(&self.postgres, graph, compact).await
    }
}
