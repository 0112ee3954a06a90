//! Reads by id, and of nodes by filter.

use std::collections::BTreeMap;

use hexmem_ports::rules::graph::{node_cursor, node_cursor_of};
use hexmem_ports::{
    AsOf, Cursor, Edge, EdgeId, Filter, GraphId, Limit, Name, Node, NodeFilter, Page, Result,
    Timestamp, ValidAt,
};

use super::apply::CHUNK;
use super::rows::{self, EdgeRow, Keyed, NodeRow, Turn, edge_list, name_list};
use crate::Database;

/// The valid time as statements take it: `None` for any.
pub(super) fn valid_at(as_of: AsOf, now: Timestamp) -> Option<i64> {
    match as_of.valid {
        ValidAt::Now => Some(now.as_micros()),
        ValidAt::At(at) => Some(at.as_micros()),
        ValidAt::Any => None,
    }
}

/// The position of a row among the ids that were asked for.
fn place(key: i64, start: usize) -> usize {
    usize::try_from(key).map_or(usize::MAX, |key| start.saturating_add(key))
}

pub(super) async fn nodes_by_id(
    turn: &mut impl Turn,
    row: i64,
    ids: &[Name],
    as_of: AsOf,
) -> Result<Vec<Option<Node>>> {
    let mut found = vec![None; ids.len()];
    for (part, names) in ids.chunks(CHUNK).enumerate() {
        let nodes: Vec<Keyed<NodeRow>> =
            sqlx::query_as(include_str!("../sql/graph/nodes_by_id.sql"))
                .bind(row)
                .bind(name_list(names))
                .bind(as_of.known.map(Timestamp::as_micros))
                .fetch_all(turn.connection())
                .await
                .map_err(|e| turn.error(e))?;
        for Keyed { key, row } in nodes {
            if let Some(slot) = found.get_mut(place(key, part * CHUNK)) {
                *slot = Some(rows::node(turn.operation(), row)?);
            }
        }
    }
    Ok(found)
}

pub(super) async fn edges_by_id(
    turn: &mut impl Turn,
    row: i64,
    ids: &[EdgeId],
    as_of: AsOf,
) -> Result<Vec<Option<Edge>>> {
    let valid = valid_at(as_of, turn.now());
    let mut found = vec![None; ids.len()];
    for (part, list) in ids.chunks(CHUNK).enumerate() {
        let edges: Vec<Keyed<EdgeRow>> =
            sqlx::query_as(include_str!("../sql/graph/edges_by_id.sql"))
                .bind(row)
                .bind(edge_list(list))
                .bind(as_of.known.map(Timestamp::as_micros))
                .bind(valid)
                .fetch_all(turn.connection())
                .await
                .map_err(|e| turn.error(e))?;
        for Keyed { key, row } in edges {
            if let Some(slot) = found.get_mut(place(key, part * CHUNK)) {
                *slot = Some(rows::edge(turn.operation(), row)?);
            }
        }
    }
    Ok(found)
}

/// How many rows are fetched at least where a filter on data lets only some pass.
const SIEVE: usize = 256;

/// How many rows one statement fetches for a page of `limit` rows and one more.
pub(super) fn portion(limit: Limit, data: Option<&Filter>) -> usize {
    let rows = limit.as_usize().saturating_add(1);
    if data.is_some() { rows.max(SIEVE) } else { rows }
}

pub(super) async fn find_nodes(
    db: &Database,
    graph: &GraphId,
    filter: &NodeFilter,
    as_of: AsOf,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Node>> {
    let after = cursor.map(node_cursor).transpose()?.map(String::from).unwrap_or_default();
    let mut read = db.snapshot("graph.find_nodes").await?;
    let Some((row, _)) = super::find(&mut read, graph).await? else { return Ok(Page::default()) };
    let kinds: Vec<Option<&Name>> = match (&as_of.known, filter.kinds.as_slice()) {
        (None, kinds) if !kinds.is_empty() => kinds.iter().map(Some).collect(),
        _ => vec![None],
    };
    let rows = portion(limit, filter.data.as_ref());
    // A type given twice, or two types: each id comes once, in order.
    let mut found: BTreeMap<Name, Node> = BTreeMap::new();
    for kind in kinds {
        let mut after = after.clone().into_bytes();
        let mut passed = 0;
        loop {
            let nodes =
                nodes_after(&mut read, row, filter, as_of.known, kind, &after, rows).await?;
            let last = nodes.last().filter(|_| nodes.len() == rows).map(|node| node.0.clone());
            for node in nodes {
                let node = rows::node(read.operation(), node)?;
                if filter.data.as_ref().is_none_or(|data| data.matches(&node.data)) {
                    passed += 1;
                    found.insert(node.id.clone(), node);
                }
            }
            match last {
                Some(last) if passed <= limit.as_usize() => after = last,
                _ => break,
            }
        }
    }
    Ok(Page::cut(found.into_values(), limit, |node| node_cursor_of(&node.id)))
}

/// The next `rows` nodes, whatever their data.
async fn nodes_after(
    turn: &mut impl Turn,
    row: i64,
    filter: &NodeFilter,
    known: Option<Timestamp>,
    kind: Option<&Name>,
    after: &[u8],
    rows: usize,
) -> Result<Vec<NodeRow>> {
    let statement = match (known, kind) {
        (Some(_), _) => include_str!("../sql/graph/nodes_find_known.sql"),
        (None, Some(_)) => include_str!("../sql/graph/nodes_find_kind.sql"),
        (None, None) => include_str!("../sql/graph/nodes_find.sql"),
    };
    let query = sqlx::query_as(statement)
        .bind(row)
        .bind(after)
        .bind(filter.prefix.as_str().as_bytes())
        .bind(filter.prefix.end().unwrap_or_else(|| vec![0xff]))
        .bind(i64::try_from(rows).unwrap_or(i64::MAX));
    let query = match (known, kind) {
        (Some(known), _) => query
            .bind(known.as_micros())
            .bind((!filter.kinds.is_empty()).then(|| name_list(&filter.kinds))),
        (None, Some(kind)) => query.bind(kind.as_str()),
        (None, None) => query,
    };
    query.fetch_all(turn.connection()).await.map_err(|e| turn.error(e))
}
