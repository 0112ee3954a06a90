//! The change log and the versions of one element.

use std::collections::HashMap;

use hexmem_ports::rules::graph::{history_cursor, history_cursor_of};
use hexmem_ports::{
    ChangeLog, Cursor, Edge, Element, ElementRef, GraphId, Limit, LoggedChange, Node, Page, Result,
    Revision,
};

use super::rows::{self, EdgeRow, Logged, NodeRow};
use crate::{Database, ReadTx};

pub(super) async fn changes(
    db: &Database,
    graph: &GraphId,
    after: Revision,
    limit: Limit,
) -> Result<ChangeLog> {
    let mut read = db.snapshot("graph.changes").await?;
    let found = super::find(&mut read, graph).await?;
    let life = found.map(|(_, life)| life).unwrap_or_default();
    let mut log = ChangeLog { changes: Vec::new(), upto: after, head: life.seen() };
    let more = life.can_read(after)?;
    let Some((row, _)) = found.filter(|_| more) else { return Ok(log) };
    let full: Option<i64> = sqlx::query_scalar(include_str!("../sql/graph/log_upto.sql"))
        .bind(row)
        .bind(after.0.cast_signed())
        .bind(i64::from(limit.get()) - 1)
        .fetch_optional(read.connection())
        .await
        .map_err(|e| read.error(e))?;
    log.upto = full.map_or(log.head, |revision| Revision(rows::count(revision)));
    let mut states = states(&mut read, row, after, log.upto).await?;
    let entries: Vec<(i64, i64, i64, Vec<u8>)> =
        sqlx::query_as(include_str!("../sql/graph/log_read.sql"))
            .bind(row)
            .bind(after.0.cast_signed())
            .bind(log.upto.0.cast_signed())
            .fetch_all(read.connection())
            .await
            .map_err(|e| read.error(e))?;
    for (revision, place, kind, key) in entries {
        let element = match kind {
            0 => ElementRef::Node(rows::name(read.operation(), key)?),
            _ => ElementRef::Edge(rows::edge_id(read.operation(), &key)?),
        };
        let state = states.remove(&(revision, place));
        log.changes.push(LoggedChange {
            revision: Revision(rows::count(revision)),
            element,
            state,
        });
    }
    Ok(log)
}

/// The versions that the entries made, as they were then, by revision and place.
async fn states(
    read: &mut ReadTx,
    row: i64,
    after: Revision,
    upto: Revision,
) -> Result<HashMap<(i64, i64), Element>> {
    let mut states = HashMap::new();
    let nodes: Vec<Logged<NodeRow>> = sqlx::query_as(include_str!("../sql/graph/log_nodes.sql"))
        .bind(row)
        .bind(after.0.cast_signed())
        .bind(upto.0.cast_signed())
        .fetch_all(read.connection())
        .await
        .map_err(|e| read.error(e))?;
    for Logged { key, row } in nodes {
        let node = Node { superseded_at: None, ..rows::node(read.operation(), row)? };
        states.insert(key, Element::Node(node));
    }
    let edges: Vec<Logged<EdgeRow>> = sqlx::query_as(include_str!("../sql/graph/log_edges.sql"))
        .bind(row)
        .bind(after.0.cast_signed())
        .bind(upto.0.cast_signed())
        .fetch_all(read.connection())
        .await
        .map_err(|e| read.error(e))?;
    for Logged { key, row } in edges {
        let edge = Edge { superseded_at: None, ..rows::edge(read.operation(), row)? };
        states.insert(key, Element::Edge(edge));
    }
    Ok(states)
}

pub(super) async fn history(
    db: &Database,
    graph: &GraphId,
    element: &ElementRef,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Element>> {
    let before = cursor.map(history_cursor).transpose()?.unwrap_or(u64::MAX);
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let mut read = db.snapshot("graph.history").await?;
    let Some((row, _)) = super::find(&mut read, graph).await? else { return Ok(Page::default()) };
    let rows_wanted = i64::from(limit.get()) + 1;
    let versions: Vec<Element> = match element {
        ElementRef::Node(id) => {
            let nodes: Vec<NodeRow> = sqlx::query_as(include_str!("../sql/graph/node_history.sql"))
                .bind(row)
                .bind(id.as_str().as_bytes())
                .bind(before)
                .bind(rows_wanted)
                .fetch_all(read.connection())
                .await
                .map_err(|e| read.error(e))?;
            let nodes = nodes.into_iter().map(|node| rows::node(read.operation(), node));
            nodes.map(|node| node.map(Element::Node)).collect::<Result<_>>()?
        }
        ElementRef::Edge(id) => {
            let edges: Vec<EdgeRow> = sqlx::query_as(include_str!("../sql/graph/edge_history.sql"))
                .bind(row)
                .bind(id.0.as_bytes().as_slice())
                .bind(before)
                .bind(rows_wanted)
                .fetch_all(read.connection())
                .await
                .map_err(|e| read.error(e))?;
            let edges = edges.into_iter().map(|edge| rows::edge(read.operation(), edge));
            edges.map(|edge| edge.map(Element::Edge)).collect::<Result<_>>()?
        }
    };
    Ok(Page::cut(versions, limit, history_cursor_of))
}
