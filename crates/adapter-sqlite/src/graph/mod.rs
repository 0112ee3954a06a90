//! Graphs: every version of every node and edge as a row.
//!
//! What a batch does is decided by [`plan`](hexmem_ports::rules::graph::plan) on the few rows that it touches, under
//! the write lock; its steps are then written. So one change costs the same in a small graph and in a large one.
//! Batches that wait for the lock in one process share a transaction.

mod apply;
mod compact;
mod facts;
mod find;
mod log;
mod near;
mod records;
mod rows;
mod together;

use async_trait::async_trait;
use hexmem_ports::rules::graph::{GraphLife, list_cursor, list_cursor_of};
use hexmem_ports::{
    Applied, AsOf, Capabilities, Capability, ChangeLog, Compact, Cursor, Edge, EdgeFilter, EdgeId,
    Effect, Element, ElementRef, GraphBatch, GraphHead, GraphId, GraphStats, GraphStore, Limit,
    Name, NeighbourQuery, Neighbourhood, Node, NodeFilter, Page, Prefix, Result, Revision, Tenant,
    Timestamp,
};

use crate::{Database, WriteTx};
use rows::{Turn, count, life};
pub(crate) use together::Waiting;

/// The graphs of a file.
#[derive(Debug, Clone)]
pub struct SqliteGraphs(Database);

impl Database {
    /// The graphs of this file.
    pub fn graphs(&self) -> SqliteGraphs {
        SqliteGraphs(self.clone())
    }
}

/// The row of a graph and its life; `None` for one that no batch ever named.
async fn find(turn: &mut impl Turn, graph: &GraphId) -> Result<Option<(i64, GraphLife)>> {
    let row = sqlx::query_as(include_str!("../sql/graph/graph.sql"))
        .bind(graph.digest().0.as_slice())
        .fetch_optional(turn.connection())
        .await
        .map_err(|e| turn.error(e))?;
    row.map(|row| life(turn.operation(), row)).transpose()
}

/// As [`find`], with a new row where there is none.
async fn find_or_create(tx: &mut WriteTx, graph: &GraphId) -> Result<(i64, GraphLife)> {
    if let Some(found) = find(tx, graph).await? {
        return Ok(found);
    }
    let id = sqlx::query_scalar(include_str!("../sql/graph/create.sql"))
        .bind(graph.digest().0.as_slice())
        .bind(graph.tenant.as_str().as_bytes())
        .bind(graph.name.as_str().as_bytes())
        .fetch_one(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok((id, GraphLife::default()))
}

/// Writes the life of a graph.
async fn advance(tx: &mut WriteTx, id: i64, life: &GraphLife) -> Result<()> {
    let micros = |at: Option<Timestamp>| at.map(Timestamp::as_micros);
    sqlx::query(include_str!("../sql/graph/advance.sql"))
        .bind(id)
        .bind(life.version.cast_signed())
        .bind(micros(life.created_at))
        .bind(micros(life.deleted_at))
        .bind(micros(life.updated_at))
        .bind(life.revision.0.cast_signed())
        .bind(life.log_start.0.cast_signed())
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(())
}

/// Runs statements that take the graph's row and one number.
async fn trim(tx: &mut WriteTx, statements: &[&'static str], id: i64, upto: i64) -> Result<()> {
    for statement in statements {
        sqlx::query(*statement)
            .bind(id)
            .bind(upto)
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
    }
    Ok(())
}

/// Removes the elements of a graph.
async fn clear(tx: &mut WriteTx, id: i64) -> Result<()> {
    for statement in [
        include_str!("../sql/graph/delete_nodes.sql"),
        include_str!("../sql/graph/delete_edges.sql"),
    ] {
        sqlx::query(statement).bind(id).execute(tx.connection()).await.map_err(|e| tx.error(e))?;
    }
    Ok(())
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl GraphStore for SqliteGraphs {
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
        together::apply(&self.0, graph, batch).await
    }

    async fn changes(&self, graph: &GraphId, after: Revision, limit: Limit) -> Result<ChangeLog> {
        log::changes(&self.0, graph, after, limit).await
    }

    async fn head(&self, graph: &GraphId) -> Result<Option<GraphHead>> {
        let mut read = self.0.read("graph.head").await?;
        Ok(find(&mut read, graph).await?.and_then(|(_, life)| life.head()))
    }

    async fn nodes(&self, graph: &GraphId, ids: &[Name], as_of: AsOf) -> Result<Vec<Option<Node>>> {
        let mut read = self.0.snapshot("graph.nodes").await?;
        match find(&mut read, graph).await? {
            Some((row, _)) => find::nodes_by_id(&mut read, row, ids, as_of).await,
            None => Ok(vec![None; ids.len()]),
        }
    }

    async fn edges(
        &self,
        graph: &GraphId,
        ids: &[EdgeId],
        as_of: AsOf,
    ) -> Result<Vec<Option<Edge>>> {
        let mut read = self.0.snapshot("graph.edges").await?;
        match find(&mut read, graph).await? {
            Some((row, _)) => find::edges_by_id(&mut read, row, ids, as_of).await,
            None => Ok(vec![None; ids.len()]),
        }
    }

    async fn find_nodes(
        &self,
        graph: &GraphId,
        filter: &NodeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Node>> {
        find::find_nodes(&self.0, graph, filter, as_of, cursor.as_ref(), limit).await
    }

    async fn find_edges(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        facts::find_edges(&self.0, graph, filter, as_of, cursor.as_ref(), limit).await
    }

    async fn find_versions(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        facts::find_versions(&self.0, graph, filter, cursor.as_ref(), limit).await
    }

    async fn neighbourhood(
        &self,
        graph: &GraphId,
        query: &NeighbourQuery,
    ) -> Result<Neighbourhood> {
        near::neighbourhood(&self.0, graph, query).await
    }

    async fn history(
        &self,
        graph: &GraphId,
        element: &ElementRef,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Element>> {
        log::history(&self.0, graph, element, cursor.as_ref(), limit).await
    }

    async fn stats(&self, graph: &GraphId, as_of: AsOf) -> Result<GraphStats> {
        let mut read = self.0.snapshot("graph.stats").await?;
        let mut stats = GraphStats::default();
        let Some((row, _)) = find(&mut read, graph).await? else { return Ok(stats) };
        let known = as_of.known.map(Timestamp::as_micros);
        let valid = find::valid_at(as_of, read.now());
        let nodes = match known {
            None => sqlx::query_as(include_str!("../sql/graph/node_stats.sql")).bind(row),
            Some(_) => sqlx::query_as(include_str!("../sql/graph/node_stats_known.sql"))
                .bind(row)
                .bind(known),
        };
        let nodes: Vec<(String, i64)> =
            nodes.fetch_all(read.connection()).await.map_err(|e| read.error(e))?;
        let edges = match known {
            None => {
                sqlx::query_as(include_str!("../sql/graph/edge_stats.sql")).bind(row).bind(valid)
            }
            Some(_) => sqlx::query_as(include_str!("../sql/graph/edge_stats_known.sql"))
                .bind(row)
                .bind(valid)
                .bind(known),
        };
        let edges: Vec<(String, i64)> =
            edges.fetch_all(read.connection()).await.map_err(|e| read.error(e))?;
        stats.node_types = nodes.into_iter().map(|(kind, n)| (kind, count(n))).collect();
        stats.edge_types = edges.into_iter().map(|(relation, n)| (relation, count(n))).collect();
        stats.nodes = stats.node_types.values().sum();
        stats.edges = stats.edge_types.values().sum();
        Ok(stats)
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        let after =
            cursor.as_ref().map(list_cursor).transpose()?.map(String::from).unwrap_or_default();
        let mut read = self.0.read("graph.list").await?;
        let rows: Vec<Vec<u8>> = sqlx::query_scalar(include_str!("../sql/graph/list.sql"))
            .bind(tenant.as_str().as_bytes())
            .bind(after.as_bytes())
            .bind(prefix.as_str().as_bytes())
            .bind(prefix.end().unwrap_or_else(|| vec![0xff]))
            .bind(i64::from(limit.get()) + 1)
            .fetch_all(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        let names = rows.into_iter().map(|name| rows::name(read.operation(), name));
        let names = names.collect::<Result<Vec<_>>>()?;
        Ok(Page::cut(names, limit, list_cursor_of))
    }

    async fn delete(&self, graph: &GraphId, effects: Vec<Effect>) -> Result<bool> {
        let mut tx = self.0.write("graph.delete").await?;
        let found = find(&mut tx, graph).await?;
        let Some((row, life)) = found.filter(|(_, life)| life.exists()) else {
            return Ok(false);
        };
        let life = life.deleted(life.instant(tx.now()));
        clear(&mut tx, row).await?;
        let log = [
            include_str!("../sql/graph/trim_log.sql"),
            include_str!("../sql/graph/trim_batches.sql"),
        ];
        trim(&mut tx, &log, row, i64::MAX).await?;
        advance(&mut tx, row, &life).await?;
        tx.push_effects(&effects).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn compact(&self, graph: &GraphId, compact: Compact) -> Result<()> {
        compact::compact(self, graph, compact).await
    }
}
