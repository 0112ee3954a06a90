//! Applying a batch.

use std::collections::{BTreeSet, HashMap, HashSet};

use hexmem_ports::rules::graph::{GraphView, Step, plan};
use hexmem_ports::{
    Applied, AsOf, Edge, EdgeFilter, EdgeId, Element, ElementRef, GraphBatch, GraphChange, GraphId,
    Name, Node, Result, Revision, Timestamp,
};

use super::facts::{EdgeQuery, Way};
use super::rows::{self, EdgeRow, NodeRow, Turn, edge_list, name_list};
use super::together::Failed;
use super::{advance, find, find_or_create};
use crate::WriteTx;

/// How many ids one statement takes.
pub(super) const CHUNK: usize = 1_000;

/// Applies one batch inside a transaction. What is refused has written nothing.
pub(super) async fn apply_one(
    tx: &mut WriteTx,
    graph: &GraphId,
    batch: &GraphBatch,
) -> std::result::Result<Applied, Failed> {
    // Until something is written, what fails concerns this batch alone.
    let found = find(tx, graph).await.map_err(Failed::Refused)?;
    if let Some((row, _)) = found
        && let Some(first) = replayed(tx, row, batch).await.map_err(Failed::Refused)?
    {
        return Ok(first);
    }
    let life = found.map(|(_, life)| life).unwrap_or_default();
    let at = life.instant(tx.now());
    let touched = match found {
        Some((row, _)) => Touched::read(tx, row, &batch.changes).await.map_err(Failed::Refused)?,
        None => Touched::default(),
    };
    let steps = plan(&touched, &batch.changes, at).map_err(Failed::Refused)?;
    let life = if steps.is_empty() { life } else { life.changed(at) };
    let answer = Applied { revision: life.seen(), recorded_at: at };
    if batch.changes.is_empty() && batch.effects.is_empty() {
        return Ok(answer);
    }
    let row = find_or_create(tx, graph).await?.0;
    if !steps.is_empty() {
        for (place, step) in steps.iter().enumerate() {
            carry_out(tx, row, step, at, life.revision, place).await?;
        }
        advance(tx, row, &life).await?;
    }
    sqlx::query(include_str!("../sql/graph/batch_remember.sql"))
        .bind(row)
        .bind(batch.id.0.as_bytes().as_slice())
        .bind(answer.revision.0.cast_signed())
        .bind(at.as_micros())
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    tx.push_effects(&batch.effects).await?;
    Ok(answer)
}

async fn replayed(tx: &mut WriteTx, row: i64, batch: &GraphBatch) -> Result<Option<Applied>> {
    let first: Option<(i64, i64)> = sqlx::query_as(include_str!("../sql/graph/batch_find.sql"))
        .bind(row)
        .bind(batch.id.0.as_bytes().as_slice())
        .fetch_optional(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(first.map(|(revision, at)| Applied {
        revision: Revision(rows::count(revision)),
        recorded_at: Timestamp::from_micros(at).unwrap_or(Timestamp::MIN),
    }))
}

/// The rows that a batch needs to be planned.
#[derive(Default)]
struct Touched {
    nodes: HashMap<Name, Node>,
    edges: HashMap<EdgeId, Edge>,
    at: HashMap<Name, BTreeSet<EdgeId>>,
    // Orphans to be purged at which an edge was found that the batch does not name.
    joined: HashSet<Name>,
}

impl Touched {
    async fn read(tx: &mut WriteTx, row: i64, changes: &[GraphChange]) -> Result<Self> {
        let (mut nodes, mut edges) = (BTreeSet::new(), BTreeSet::new());
        let (mut removed, mut purged, mut orphans) = (Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            match change {
                GraphChange::PutNode(draft) => {
                    nodes.insert(draft.id.clone());
                }
                GraphChange::PutEdge(draft) => {
                    edges.insert(draft.id);
                    nodes.extend([draft.src.clone(), draft.dst.clone()]);
                }
                GraphChange::RemoveNode { id, .. } => {
                    nodes.insert(id.clone());
                    removed.push(id.clone());
                }
                GraphChange::PurgeNode(id) => {
                    nodes.insert(id.clone());
                    purged.push(id.clone());
                }
                GraphChange::RemoveEdge { id, .. } | GraphChange::PurgeEdge(id) => {
                    edges.insert(*id);
                }
                GraphChange::PurgeOrphan(id) => {
                    nodes.insert(id.clone());
                    orphans.push(id.clone());
                }
            }
        }
        let mut touched = Self::default();
        for way in [Way::Out, Way::In] {
            let current = EdgeQuery::of(AsOf::ALL, tx.now(), &EdgeFilter::default());
            touched.add(current.at(tx, row, way, &removed).await?);
        }
        edges.extend(edges_ever(tx, row, &purged).await?);
        touched.joined = edges_left(tx, row, &orphans, &edges).await?;
        touched.add(last_edges(tx, row, edges.iter().copied()).await?);
        touched.nodes = last_nodes(tx, row, nodes)
            .await?
            .into_iter()
            .map(|node| (node.id.clone(), node))
            .collect();
        Ok(touched)
    }

    fn add(&mut self, edges: Vec<Edge>) {
        for edge in edges {
            for end in [&edge.src, &edge.dst] {
                self.at.entry(end.clone()).or_default().insert(edge.id);
            }
            self.edges.insert(edge.id, edge);
        }
    }
}

impl GraphView for Touched {
    fn node(&self, id: &Name) -> Option<Node> {
        self.nodes.get(id).cloned()
    }

    fn lives(&self, id: &Name) -> bool {
        self.nodes.get(id).is_some_and(|node| node.superseded_at.is_none())
    }

    fn edge(&self, id: EdgeId) -> Option<Edge> {
        self.edges.get(&id).cloned()
    }

    fn edges_at(&self, id: &Name) -> Vec<EdgeId> {
        self.at.get(id).into_iter().flatten().copied().collect()
    }

    fn edge_left_at(&self, id: &Name, gone: &dyn Fn(EdgeId) -> bool) -> bool {
        self.joined.contains(id) || self.at.get(id).into_iter().flatten().any(|edge| !gone(*edge))
    }
}

/// The last version of each of these nodes.
pub(super) async fn last_nodes(
    turn: &mut impl Turn,
    row: i64,
    ids: impl IntoIterator<Item = Name>,
) -> Result<Vec<Node>> {
    let ids: Vec<Name> = ids.into_iter().collect();
    let mut found = Vec::with_capacity(ids.len());
    for part in ids.chunks(CHUNK) {
        let nodes: Vec<NodeRow> = sqlx::query_as(include_str!("../sql/graph/nodes_last.sql"))
            .bind(row)
            .bind(name_list(part))
            .fetch_all(turn.connection())
            .await
            .map_err(|e| turn.error(e))?;
        for node in nodes {
            found.push(rows::node(turn.operation(), node)?);
        }
    }
    Ok(found)
}

/// The last version of each of these edges.
pub(super) async fn last_edges(
    turn: &mut impl Turn,
    row: i64,
    ids: impl IntoIterator<Item = EdgeId>,
) -> Result<Vec<Edge>> {
    let ids: Vec<EdgeId> = ids.into_iter().collect();
    let mut found = Vec::with_capacity(ids.len());
    for part in ids.chunks(CHUNK) {
        let edges: Vec<EdgeRow> = sqlx::query_as(include_str!("../sql/graph/edges_last.sql"))
            .bind(row)
            .bind(edge_list(part))
            .fetch_all(turn.connection())
            .await
            .map_err(|e| turn.error(e))?;
        for edge in edges {
            found.push(rows::edge(turn.operation(), edge)?);
        }
    }
    Ok(found)
}

async fn edges_ever(tx: &mut WriteTx, row: i64, nodes: &[Name]) -> Result<BTreeSet<EdgeId>> {
    let mut found = BTreeSet::new();
    for part in nodes.chunks(CHUNK) {
        let ids: Vec<Vec<u8>> = sqlx::query_scalar(include_str!("../sql/graph/edges_ever.sql"))
            .bind(row)
            .bind(name_list(part))
            .fetch_all(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        for id in ids {
            found.insert(rows::edge_id(tx.operation(), &id)?);
        }
    }
    Ok(found)
}

/// Those of `nodes` at which an edge ever was that is not among `named`.
async fn edges_left(
    tx: &mut WriteTx,
    row: i64,
    nodes: &[Name],
    named: &BTreeSet<EdgeId>,
) -> Result<HashSet<Name>> {
    let mut found = HashSet::new();
    let named = edge_list(named);
    for part in nodes.chunks(CHUNK) {
        let joined: Vec<String> = sqlx::query_scalar(include_str!("../sql/graph/edge_left.sql"))
            .bind(row)
            .bind(name_list(part))
            .bind(&named)
            .fetch_all(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        for id in joined {
            found.insert(rows::name(tx.operation(), id.into_bytes())?);
        }
    }
    Ok(found)
}

async fn carry_out(
    tx: &mut WriteTx,
    row: i64,
    step: &Step,
    at: Timestamp,
    revision: Revision,
    place: usize,
) -> Result<()> {
    let version = match step {
        Step::Put(Element::Node(node)) => {
            if node.version > 1 {
                end(tx, row, &ElementRef::Node(node.id.clone()), at).await?;
            }
            put_node(tx, row, revision, node).await?;
            Some(node.version.cast_signed())
        }
        Step::Put(Element::Edge(edge)) => {
            if edge.version > 1 {
                end(tx, row, &ElementRef::Edge(edge.id), at).await?;
            }
            put_edge(tx, row, revision, edge).await?;
            Some(edge.version.cast_signed())
        }
        Step::End(element) => {
            end(tx, row, element, at).await?;
            None
        }
        Step::Purge(element) => {
            purge(tx, row, element).await?;
            None
        }
    };
    let element = step.element();
    let (kind, key) = key(&element);
    sqlx::query(include_str!("../sql/graph/log_append.sql"))
        .bind(row)
        .bind(revision.0.cast_signed())
        .bind(i64::try_from(place).unwrap_or(i64::MAX))
        .bind(kind)
        .bind(key)
        .bind(version)
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(())
}

/// How the log names an element.
fn key(element: &ElementRef) -> (i64, &[u8]) {
    match element {
        ElementRef::Node(id) => (0, id.as_str().as_bytes()),
        ElementRef::Edge(id) => (1, id.0.as_bytes().as_slice()),
    }
}

async fn end(tx: &mut WriteTx, row: i64, element: &ElementRef, at: Timestamp) -> Result<()> {
    let statement = match element {
        ElementRef::Node(_) => include_str!("../sql/graph/node_end.sql"),
        ElementRef::Edge(_) => include_str!("../sql/graph/edge_end.sql"),
    };
    sqlx::query(statement)
        .bind(row)
        .bind(key(element).1)
        .bind(at.as_micros())
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(())
}

/// Removes all versions of an element.
pub(super) async fn purge(tx: &mut WriteTx, row: i64, element: &ElementRef) -> Result<()> {
    let statement = match element {
        ElementRef::Node(_) => include_str!("../sql/graph/node_purge.sql"),
        ElementRef::Edge(_) => include_str!("../sql/graph/edge_purge.sql"),
    };
    sqlx::query(statement)
        .bind(row)
        .bind(key(element).1)
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(())
}

/// Writes one version of a node as it is.
pub(super) async fn put_node(
    tx: &mut WriteTx,
    row: i64,
    revision: Revision,
    node: &Node,
) -> Result<()> {
    sqlx::query(include_str!("../sql/graph/node_put.sql"))
        .bind(row)
        .bind(node.id.as_str().as_bytes())
        .bind(node.version.cast_signed())
        .bind(revision.0.cast_signed())
        .bind(node.kind.as_str())
        .bind(node.created_at.as_micros())
        .bind(node.recorded_at.as_micros())
        .bind(node.superseded_at.map(Timestamp::as_micros))
        .bind(node.data.to_string())
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(())
}

/// Writes one version of an edge as it is.
pub(super) async fn put_edge(
    tx: &mut WriteTx,
    row: i64,
    revision: Revision,
    edge: &Edge,
) -> Result<()> {
    sqlx::query(include_str!("../sql/graph/edge_put.sql"))
        .bind(row)
        .bind(edge.id.0.as_bytes().as_slice())
        .bind(edge.version.cast_signed())
        .bind(revision.0.cast_signed())
        .bind(edge.src.as_str().as_bytes())
        .bind(edge.relation.as_str())
        .bind(edge.dst.as_str().as_bytes())
        .bind(edge.weight)
        .bind(edge.valid_from.map(Timestamp::as_micros))
        .bind(edge.valid_until.map(Timestamp::as_micros))
        .bind(edge.source.as_ref().map(Name::as_str))
        .bind(edge.created_at.as_micros())
        .bind(edge.recorded_at.as_micros())
        .bind(edge.superseded_at.map(Timestamp::as_micros))
        .bind(edge.data.to_string())
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(())
}
