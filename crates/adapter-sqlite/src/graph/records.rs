//! The records of graphs.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use hexmem_ports::rules::graph::{GraphLife, GraphRecord, RecordCursor};
use hexmem_ports::{
    Cursor, Edge, EdgeId, ElementRef, GraphId, Limit, Name, Node, Page, Record, RecordKind,
    Records, Restored, Result, Revision, Tenant, Timestamp,
};

use super::apply::{last_edges, last_nodes, purge, put_edge, put_node};
use super::rows::{self, EdgeRow, NodeRow, edge_list, name_list};
use super::{SqliteGraphs, advance, clear, find, find_or_create};
use crate::{ReadTx, WriteTx};

type GraphRow = (i64, Vec<u8>, Vec<u8>, i64, Option<i64>, Option<i64>);

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Records for SqliteGraphs {
    fn kind(&self) -> RecordKind {
        RecordKind::Graph
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let cursor = cursor.as_ref().map(RecordCursor::decode).transpose()?;
        let mut read = self.0.snapshot("records.scan").await?;
        let mut from = 0;
        let mut after = None;
        if let Some(cursor) = cursor
            && let Some((row, _)) = find(&mut read, &cursor.graph).await?
        {
            from = row;
            after = Some(cursor.element);
        }
        let mut page = Page::default();
        let mut last = None;
        while let Some((row, graph, own)) = next_graph(&mut read, from).await? {
            let mut part = Part { graph: &graph, row, limit, page: &mut page, last: &mut last };
            part.fill(&mut read, after.take(), own).await?;
            if page.items.len() >= limit.as_usize() {
                page.next = last.as_ref().map(RecordCursor::encode).transpose()?;
                break;
            }
            from = row + 1;
        }
        Ok(page)
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let read = records.iter().map(GraphRecord::decode).collect::<Result<Vec<_>>>()?;
        let mut by_graph: BTreeMap<GraphId, Vec<(usize, GraphRecord)>> = BTreeMap::new();
        for (place, (graph, record)) in read.into_iter().enumerate() {
            by_graph.entry(graph).or_default().push((place, record));
        }
        let mut answers = vec![Restored::Kept; records.len()];
        if records.is_empty() {
            return Ok(answers);
        }
        let mut tx = self.0.write("records.restore").await?;
        for (graph, group) in by_graph {
            let (row, life) = find_or_create(&mut tx, &graph).await?;
            let mut restore = Restore::new(&mut tx, row, life, &group).await?;
            for (place, record) in group {
                if restore.one(&mut tx, record).await? {
                    answers[place] = Restored::Written;
                }
            }
            restore.finish(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(answers)
    }
}

/// The first graph from a row on, and its own record where it ever existed.
async fn next_graph(
    read: &mut ReadTx,
    from: i64,
) -> Result<Option<(i64, GraphId, Option<GraphRecord>)>> {
    let row: Option<GraphRow> = sqlx::query_as(include_str!("../sql/graph/records_graphs.sql"))
        .bind(from)
        .fetch_optional(read.connection())
        .await
        .map_err(|e| read.error(e))?;
    let Some((row, tenant, name, version, created_at, deleted_at)) = row else { return Ok(None) };
    let (_, life) =
        rows::life(read.operation(), (row, version, created_at, deleted_at, None, 0, 0))?;
    let tenant = Tenant(rows::name(read.operation(), tenant)?);
    let graph = GraphId::new(tenant, rows::name(read.operation(), name)?);
    let own = life.created_at.map(|created_at| GraphRecord::Graph {
        version: life.version,
        created_at,
        deleted_at: life.deleted_at,
    });
    Ok(Some((row, graph, own)))
}

/// The records of one graph on a page.
struct Part<'a> {
    graph: &'a GraphId,
    row: i64,
    limit: Limit,
    page: &'a mut Page<Record>,
    last: &'a mut Option<RecordCursor>,
}

impl Part<'_> {
    fn room(&self) -> usize {
        self.limit.as_usize().saturating_sub(self.page.items.len())
    }

    fn push(&mut self, element: Option<ElementRef>, record: &GraphRecord) -> Result<()> {
        self.page.items.push(record.encode(self.graph)?);
        *self.last = Some(RecordCursor { graph: self.graph.clone(), element });
        Ok(())
    }

    /// `after`: `None` from the beginning, `Some(None)` after the graph's own record.
    async fn fill(
        &mut self,
        read: &mut ReadTx,
        after: Option<Option<ElementRef>>,
        own: Option<GraphRecord>,
    ) -> Result<()> {
        if after.is_none()
            && self.room() > 0
            && let Some(own) = own
        {
            self.push(None, &own)?;
        }
        let (after_node, after_edge) = match after.flatten() {
            None => (Some(Vec::new()), Vec::new()),
            Some(ElementRef::Node(id)) => (Some(String::from(id).into_bytes()), Vec::new()),
            Some(ElementRef::Edge(id)) => (None, id.0.as_bytes().to_vec()),
        };
        if let Some(after) = after_node {
            self.fill_nodes(read, after).await?;
        }
        self.fill_edges(read, after_edge).await
    }

    async fn ids(
        &self,
        read: &mut ReadTx,
        statement: &'static str,
        after: Vec<u8>,
    ) -> Result<Vec<Vec<u8>>> {
        sqlx::query_scalar(statement)
            .bind(self.row)
            .bind(after)
            .bind(i64::try_from(self.room()).unwrap_or(i64::MAX))
            .fetch_all(read.connection())
            .await
            .map_err(|e| read.error(e))
    }

    async fn fill_nodes(&mut self, read: &mut ReadTx, after: Vec<u8>) -> Result<()> {
        let ids = self.ids(read, include_str!("../sql/graph/records_nodes.sql"), after).await?;
        let ids = ids.into_iter().map(|id| rows::name(read.operation(), id));
        let ids = ids.collect::<Result<Vec<Name>>>()?;
        let rows: Vec<NodeRow> = sqlx::query_as(include_str!("../sql/graph/node_versions.sql"))
            .bind(self.row)
            .bind(name_list(&ids))
            .fetch_all(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        let mut versions: Vec<Node> = Vec::new();
        for row in rows {
            let node = rows::node(read.operation(), row)?;
            if versions.last().is_some_and(|last| last.id != node.id) {
                self.push_node(std::mem::take(&mut versions))?;
            }
            versions.push(node);
        }
        self.push_node(versions)
    }

    fn push_node(&mut self, versions: Vec<Node>) -> Result<()> {
        let Some(last) = versions.last() else { return Ok(()) };
        let element = ElementRef::Node(last.id.clone());
        self.push(Some(element), &GraphRecord::Node(versions))
    }

    async fn fill_edges(&mut self, read: &mut ReadTx, after: Vec<u8>) -> Result<()> {
        let ids = self.ids(read, include_str!("../sql/graph/records_edges.sql"), after).await?;
        let ids = ids.into_iter().map(|id| rows::edge_id(read.operation(), &id));
        let ids = ids.collect::<Result<Vec<EdgeId>>>()?;
        let rows: Vec<EdgeRow> = sqlx::query_as(include_str!("../sql/graph/edge_versions.sql"))
            .bind(self.row)
            .bind(edge_list(&ids))
            .fetch_all(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        let mut versions: Vec<Edge> = Vec::new();
        for row in rows {
            let edge = rows::edge(read.operation(), row)?;
            if versions.last().is_some_and(|last| last.id != edge.id) {
                self.push_edge(std::mem::take(&mut versions))?;
            }
            versions.push(edge);
        }
        self.push_edge(versions)
    }

    fn push_edge(&mut self, versions: Vec<Edge>) -> Result<()> {
        let Some(last) = versions.last() else { return Ok(()) };
        let element = ElementRef::Edge(last.id);
        self.push(Some(element), &GraphRecord::Edge(versions))
    }
}

/// The version and the time of the last change of an element.
type Newness = (u64, Timestamp);

/// Restoring into one graph. The last versions are read at once, before the first is written.
struct Restore {
    row: i64,
    life: GraphLife,
    here: HashMap<ElementRef, Newness>,
    latest: Option<Timestamp>,
}

fn newness(version: u64, from: Timestamp, until: Option<Timestamp>) -> Newness {
    (version, until.unwrap_or(from))
}

impl Restore {
    async fn new(
        tx: &mut WriteTx,
        row: i64,
        life: GraphLife,
        group: &[(usize, GraphRecord)],
    ) -> Result<Self> {
        let nodes = group.iter().filter_map(|(_, record)| match record {
            GraphRecord::Node(versions) => Some(versions.last()?.id.clone()),
            _ => None,
        });
        let edges = group.iter().filter_map(|(_, record)| match record {
            GraphRecord::Edge(versions) => Some(versions.last()?.id),
            _ => None,
        });
        let mut here = HashMap::new();
        for node in last_nodes(tx, row, nodes.collect::<Vec<_>>()).await? {
            let newness = newness(node.version, node.recorded_at, node.superseded_at);
            here.insert(ElementRef::Node(node.id), newness);
        }
        for edge in last_edges(tx, row, edges.collect::<Vec<_>>()).await? {
            let newness = newness(edge.version, edge.recorded_at, edge.superseded_at);
            here.insert(ElementRef::Edge(edge.id), newness);
        }
        Ok(Self { row, life, here, latest: None })
    }

    /// Whether it was written.
    async fn one(&mut self, tx: &mut WriteTx, record: GraphRecord) -> Result<bool> {
        match record {
            GraphRecord::Graph { version, created_at, deleted_at } => {
                let modified = deleted_at.unwrap_or(created_at);
                if !self.life.takes_record(version, modified) {
                    return Ok(false);
                }
                if deleted_at.is_some() {
                    clear(tx, self.row).await?;
                    self.here.clear();
                }
                self.life.version = version;
                self.life.created_at = Some(created_at);
                self.life.deleted_at = deleted_at;
                self.latest = self.latest.max(Some(modified));
                Ok(true)
            }
            GraphRecord::Node(versions) => {
                let (Some(first), Some(last)) = (versions.first(), versions.last()) else {
                    return Ok(false);
                };
                let element = ElementRef::Node(last.id.clone());
                let newness = newness(last.version, last.recorded_at, last.superseded_at);
                if !self.admit(tx, element, newness, first.created_at).await? {
                    return Ok(false);
                }
                for version in &versions {
                    put_node(tx, self.row, Revision(0), version).await?;
                }
                Ok(true)
            }
            GraphRecord::Edge(versions) => {
                let (Some(first), Some(last)) = (versions.first(), versions.last()) else {
                    return Ok(false);
                };
                let element = ElementRef::Edge(last.id);
                let newness = newness(last.version, last.recorded_at, last.superseded_at);
                if !self.admit(tx, element, newness, first.created_at).await? {
                    return Ok(false);
                }
                for version in &versions {
                    put_edge(tx, self.row, Revision(0), version).await?;
                }
                Ok(true)
            }
        }
    }

    /// Whether the record of an element is written; then what was there is gone.
    async fn admit(
        &mut self,
        tx: &mut WriteTx,
        element: ElementRef,
        newness: Newness,
        created_at: Timestamp,
    ) -> Result<bool> {
        let here = self.here.get(&element).copied();
        let modified = self.life.admit_element(here < Some(newness), created_at, newness.1);
        if modified.is_none() {
            return Ok(false);
        }
        if here.is_some() {
            purge(tx, self.row, &element).await?;
        }
        self.latest = self.latest.max(modified);
        self.here.insert(element, newness);
        Ok(true)
    }

    /// The log starts anew where anything was written.
    async fn finish(self, tx: &mut WriteTx) -> Result<()> {
        let Some(at) = self.latest else { return Ok(()) };
        let life = self.life.changed_without_log(at);
        let log = [include_str!("../sql/graph/trim_log.sql")];
        super::trim(tx, &log, self.row, i64::MAX).await?;
        advance(tx, self.row, &life).await
    }
}
