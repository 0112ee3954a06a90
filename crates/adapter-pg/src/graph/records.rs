//! The records of graphs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use hexmem_ports::rules::graph::{GraphLife, GraphRecord, RecordCursor};
use hexmem_ports::{
    Cursor, Edge, ElementRef, GraphId, Limit, Node, Page, Record, RecordKind, Records, Restored,
    Result, Tenant, Timestamp,
};
use uuid::Uuid;

use super::PgGraphs;
use super::apply::Loaded;
use super::compact;
use super::rows::{self, EdgeRow, LifeRow, NodeRow, column, count};
use super::touched::Touched;
use super::writes::Writes;
use crate::Tx;
use crate::value::{At, Hash};

const RESTORE: &str = "records.restore";

/// How many graphs are looked up at once.
const GRAPHS: i64 = 64;

/// id, body, tenant, name, version, created, deleted.
type GraphRow = (i64, i64, String, String, i64, Option<At>, Option<At>);

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Records for PgGraphs {
    fn kind(&self) -> RecordKind {
        RecordKind::Graph
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let cursor = cursor.as_ref().map(RecordCursor::decode).transpose()?;
        let mut tx = self.postgres.snapshot("records.scan").await?;
        let page = scan(&mut tx, cursor, limit).await;
        // Nothing was written, and what was read is whole.
        let _ = tx.rollback().await;
        page
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let read = records.iter().map(GraphRecord::decode).collect::<Result<Vec<_>>>()?;
        // In one order, so that two who restore do not wait for each other in a circle.
        let mut by_graph: BTreeMap<GraphId, Vec<(usize, GraphRecord)>> = BTreeMap::new();
        for (place, (graph, record)) in read.into_iter().enumerate() {
            by_graph.entry(graph).or_default().push((place, record));
        }
        let mut answers = vec![Restored::Kept; records.len()];
        if records.is_empty() {
            return Ok(answers);
        }
        let mut tx = self.postgres.begin(RESTORE).await?;
        let mut deleted = false;
        let mut outcome = Ok(());
        for (graph, group) in by_graph {
            match restore(&mut tx, &graph, group, &mut answers).await {
                Ok(cleared) => deleted |= cleared,
                Err(error) => {
                    outcome = Err(error.with("graph", &graph));
                    break;
                }
            }
        }
        tx.finish(outcome).await?;
        if deleted {
            compact::clear(&self.postgres, RESTORE).await?;
        }
        Ok(answers)
    }
}

async fn scan(tx: &mut Tx, cursor: Option<RecordCursor>, limit: Limit) -> Result<Page<Record>> {
    let mut from = 0;
    let mut after = None;
    if let Some(cursor) = cursor {
        let place: Option<(i64,)> = tx
            .query(include_str!("../sql/graph/records_place.sql"))
            .bind(Hash(cursor.graph.digest()))
            .fetch_optional()
            .await?;
        if let Some((place,)) = place {
            from = place;
            after = Some(cursor.element);
        }
    }
    let mut part = Part { limit, page: Page::default(), last: None };
    loop {
        let graphs: Vec<GraphRow> = tx
            .query(include_str!("../sql/graph/records_graphs.sql"))
            .bind(from)
            .bind(GRAPHS)
            .fetch_all()
            .await?;
        let Some(last) = graphs.last() else { return Ok(part.page) };
        from = last.0 + 1;
        for row in graphs {
            part.fill(tx, row, after.take()).await?;
            if part.room() == 0 {
                part.page.next = part.last.as_ref().map(RecordCursor::encode).transpose()?;
                return Ok(part.page);
            }
        }
    }
}

/// The records on a page.
struct Part {
    limit: Limit,
    page: Page<Record>,
    last: Option<RecordCursor>,
}

impl Part {
    fn room(&self) -> usize {
        self.limit.as_usize().saturating_sub(self.page.items.len())
    }

    fn push(
        &mut self,
        graph: &GraphId,
        element: Option<ElementRef>,
        record: &GraphRecord,
    ) -> Result<()> {
        self.page.items.push(record.encode(graph)?);
        self.last = Some(RecordCursor { graph: graph.clone(), element });
        Ok(())
    }

    /// `after`: `None` from the beginning, `Some(None)` after the graph's own record.
    async fn fill(
        &mut self,
        tx: &mut Tx,
        row: GraphRow,
        after: Option<Option<ElementRef>>,
    ) -> Result<()> {
        let (_, body, tenant, name, version, created_at, deleted_at) = row;
        let tenant = Tenant(rows::name(tx.operation(), tenant)?);
        let graph = GraphId::new(tenant, rows::name(tx.operation(), name)?);
        if let (None, Some(created_at)) = (&after, created_at) {
            let (version, created_at) = (count(version), created_at.0);
            let deleted_at = deleted_at.map(|at| at.0);
            self.push(&graph, None, &GraphRecord::Graph { version, created_at, deleted_at })?;
        }
        let (after_node, after_edge) = match after.flatten() {
            None => (Some(String::new()), None),
            Some(ElementRef::Node(id)) => (Some(String::from(id)), None),
            Some(ElementRef::Edge(id)) => (None, Some(id.0)),
        };
        if let Some(after) = after_node {
            self.nodes(tx, &graph, body, after).await?;
        }
        self.edges(tx, &graph, body, after_edge).await
    }

    async fn nodes(
        &mut self,
        tx: &mut Tx,
        graph: &GraphId,
        body: i64,
        after: String,
    ) -> Result<()> {
        let found: Vec<NodeRow> = tx
            .query(include_str!("../sql/graph/records_nodes.sql"))
            .bind(body)
            .bind(after)
            .bind(i64::try_from(self.room()).unwrap_or(i64::MAX))
            .fetch_all()
            .await?;
        let mut nodes = Vec::with_capacity(found.len());
        for row in found {
            nodes.push(rows::node(tx.operation(), row)?);
        }
        for versions in nodes.chunk_by(|a: &Node, b| a.id == b.id) {
            let Some(last) = versions.last() else { continue };
            let element = ElementRef::Node(last.id.clone());
            self.push(graph, Some(element), &GraphRecord::Node(versions.to_vec()))?;
        }
        Ok(())
    }

    async fn edges(
        &mut self,
        tx: &mut Tx,
        graph: &GraphId,
        body: i64,
        after: Option<Uuid>,
    ) -> Result<()> {
        let found: Vec<EdgeRow> = tx
            .query(include_str!("../sql/graph/records_edges.sql"))
            .bind(body)
            .bind(after)
            .bind(i64::try_from(self.room()).unwrap_or(i64::MAX))
            .fetch_all()
            .await?;
        let mut edges = Vec::with_capacity(found.len());
        for row in found {
            edges.push(rows::edge(tx.operation(), row)?);
        }
        for versions in edges.chunk_by(|a: &Edge, b| a.id == b.id) {
            let Some(last) = versions.last() else { continue };
            let element = ElementRef::Edge(last.id);
            self.push(graph, Some(element), &GraphRecord::Edge(versions.to_vec()))?;
        }
        Ok(())
    }
}

/// id, body, and the life.
type LockRow = (i64, i64, i64, i64, i64, Option<At>, Option<At>, Option<At>);

/// Restores records of one graph, and says whether a tombstone left a body to be cleared.
async fn restore(
    tx: &mut Tx,
    graph: &GraphId,
    group: Vec<(usize, GraphRecord)>,
    answers: &mut [Restored],
) -> Result<bool> {
    let (row, body, version, revision, log_start, created, deleted, updated): LockRow = tx
        .query(include_str!("../sql/graph/restore_lock.sql"))
        .bind(Hash(graph.digest()))
        .bind(graph.tenant.as_str())
        .bind(graph.name.as_str())
        .fetch_one()
        .await?;
    let life: LifeRow = (version, revision, log_start, created, deleted, updated);
    let here = load(tx, body, &group).await?;
    let mut restore = Restore::new(row, body, rows::life(life), here);
    for (place, record) in group {
        if restore.one(tx, record).await?
            && let Some(answer) = answers.get_mut(place)
        {
            *answer = Restored::Written;
        }
    }
    restore.finish(tx).await
}

/// The last versions that are here of what is restored.
async fn load(tx: &mut Tx, body: i64, group: &[(usize, GraphRecord)]) -> Result<Touched> {
    let (mut nodes, mut edges) = (BTreeSet::new(), BTreeSet::new());
    for (_, record) in group {
        match record {
            GraphRecord::Graph { .. } => {}
            GraphRecord::Node(versions) => {
                nodes.extend(versions.last().map(|node| node.id.to_string()));
            }
            GraphRecord::Edge(versions) => edges.extend(versions.last().map(|edge| edge.id.0)),
        }
    }
    let found: Vec<Loaded> = tx
        .query(include_str!("../sql/graph/restore_load.sql"))
        .bind(body)
        .bind(nodes.into_iter().collect::<Vec<String>>())
        .bind(edges.into_iter().collect::<Vec<Uuid>>())
        .fetch_all()
        .await?;
    let mut here = Touched::default();
    for row in found {
        let revision = row.revision()?;
        match row.tag {
            1 => here.add_node(row.node()?, revision),
            _ => here.add_edge(row.edge()?, revision),
        }
    }
    Ok(here)
}

/// The version and the time of the last change of an element.
type Newness = (u64, Timestamp);

fn newness(version: u64, from: Timestamp, until: Option<Timestamp>) -> Newness {
    (version, until.unwrap_or(from))
}

/// Restoring into one graph. What is to be written is written at the end.
struct Restore {
    row: i64,
    body: i64,
    life: GraphLife,
    /// What was here before.
    here: Touched,
    newest: HashMap<ElementRef, Newness>,
    admitted: HashMap<ElementRef, GraphRecord>,
    latest: Option<Timestamp>,
    cleared: bool,
}

impl Restore {
    fn new(row: i64, body: i64, life: GraphLife, here: Touched) -> Self {
        let nodes = here.nodes.values().map(|last| &last.element).map(|node| {
            let newness = newness(node.version, node.recorded_at, node.superseded_at);
            (ElementRef::Node(node.id.clone()), newness)
        });
        let edges = here.edges.values().map(|last| &last.element).map(|edge| {
            let newness = newness(edge.version, edge.recorded_at, edge.superseded_at);
            (ElementRef::Edge(edge.id), newness)
        });
        let newest = nodes.chain(edges).collect();
        let (admitted, latest, cleared) = (HashMap::new(), None, false);
        Self { row, body, life, here, newest, admitted, latest, cleared }
    }

    /// Whether it is written.
    async fn one(&mut self, tx: &mut Tx, record: GraphRecord) -> Result<bool> {
        let (element, newness, created_at) = match &record {
            GraphRecord::Graph { version, created_at, deleted_at } => {
                let modified = deleted_at.unwrap_or(*created_at);
                if !self.life.takes_record(*version, modified) {
                    return Ok(false);
                }
                if deleted_at.is_some() {
                    let (body,): (i64,) = tx
                        .query(include_str!("../sql/graph/restore_clear.sql"))
                        .bind(self.row)
                        .fetch_one()
                        .await?;
                    self.body = body;
                    self.cleared = true;
                    self.here = Touched::default();
                    self.newest.clear();
                    self.admitted.clear();
                }
                self.life.version = *version;
                self.life.created_at = Some(*created_at);
                self.life.deleted_at = *deleted_at;
                self.latest = self.latest.max(Some(modified));
                return Ok(true);
            }
            GraphRecord::Node(versions) => {
                let (Some(first), Some(last)) = (versions.first(), versions.last()) else {
                    return Ok(false);
                };
                let newness = newness(last.version, last.recorded_at, last.superseded_at);
                (ElementRef::Node(last.id.clone()), newness, first.created_at)
            }
            GraphRecord::Edge(versions) => {
                let (Some(first), Some(last)) = (versions.first(), versions.last()) else {
                    return Ok(false);
                };
                let newness = newness(last.version, last.recorded_at, last.superseded_at);
                (ElementRef::Edge(last.id), newness, first.created_at)
            }
        };
        let newer = self.newest.get(&element).copied() < Some(newness);
        let modified = self.life.admit_element(newer, created_at, newness.1);
        if modified.is_none() {
            return Ok(false);
        }
        self.latest = self.latest.max(modified);
        self.newest.insert(element.clone(), newness);
        self.admitted.insert(element, record);
        Ok(true)
    }

    /// The log starts anew where anything was written; its entries go with the next compaction.
    async fn finish(self, tx: &mut Tx) -> Result<bool> {
        let Some(at) = self.latest else { return Ok(false) };
        let mut writes = Writes::default();
        for record in self.admitted.values() {
            match record {
                GraphRecord::Graph { .. } => {}
                GraphRecord::Node(versions) => writes.restore_node(&self.here, versions, 1),
                GraphRecord::Edge(versions) => writes.restore_edge(&self.here, versions, 1),
            }
        }
        let query = tx
            .query(include_str!("../sql/graph/restore_write.sql"))
            .bind(self.body)
            .bind(At(at))
            .bind(column(self.life.revision.0));
        writes.bind(query).execute().await?;
        let life = self.life.changed_without_log(at);
        tx.query(include_str!("../sql/graph/restore_life.sql"))
            .bind(self.row)
            .bind(column(life.version))
            .bind(column(life.revision.0))
            .bind(column(life.log_start.0))
            .bind(life.created_at.map(At))
            .bind(life.deleted_at.map(At))
            .bind(life.updated_at.map(At))
            .execute()
            .await?;
        Ok(self.cleared)
    }
}
