//! Reads by id, and of nodes by filter.

use std::collections::BTreeSet;

use hexmem_ports::rules::graph::{node_cursor, node_cursor_of};
use hexmem_ports::{
    AsOf, Cursor, Edge, EdgeId, Filter, GraphId, Limit, Name, Node, NodeFilter, Page, Result,
    ValidAt,
};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::rows::{self, EdgeRow, NodeRow, texts};
use crate::Postgres;
use crate::value::{At, Hash, last_of};

/// The valid time as statements take it: whether any will do, and which; `None`: the present.
pub(super) fn valid_at(as_of: AsOf) -> (bool, Option<At>) {
    match as_of.valid {
        ValidAt::Now => (false, None),
        ValidAt::At(at) => (false, Some(At(at))),
        ValidAt::Any => (true, None),
    }
}

/// Names as an optional array: none given is no condition.
pub(super) fn some(names: &[Name]) -> Option<Vec<&str>> {
    let names: BTreeSet<&Name> = names.iter().collect();
    (!names.is_empty()).then(|| texts(names))
}

/// The place that a row answers, and its columns behind it.
struct Placed<T> {
    place: i64,
    row: T,
}

impl<'r> FromRow<'r, PgRow> for Placed<NodeRow> {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let node = (
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
            row.try_get(4)?,
            row.try_get(5)?,
            row.try_get(6)?,
            row.try_get(7)?,
        );
        Ok(Self { place: row.try_get(0)?, row: node })
    }
}

impl<'r> FromRow<'r, PgRow> for Placed<EdgeRow> {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let edge = (
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
            row.try_get(4)?,
            row.try_get(5)?,
            row.try_get(6)?,
            row.try_get(7)?,
            row.try_get(8)?,
            row.try_get(9)?,
            row.try_get(10)?,
            row.try_get(11)?,
            row.try_get(12)?,
            row.try_get(13)?,
        );
        Ok(Self { place: row.try_get(0)?, row: edge })
    }
}

/// The slot of a place; they count from 1.
fn slot<T>(found: &mut [T], place: i64) -> Option<&mut T> {
    usize::try_from(place - 1).ok().and_then(|place| found.get_mut(place))
}

pub(super) async fn nodes_by_id(
    postgres: &Postgres,
    graph: &GraphId,
    ids: &[Name],
    as_of: AsOf,
) -> Result<Vec<Option<Node>>> {
    const OP: &str = "graph.nodes";
    let mut found = vec![None; ids.len()];
    if ids.is_empty() {
        return Ok(found);
    }
    let nodes: Vec<Placed<NodeRow>> = postgres
        .read(OP, include_str!("../sql/graph/nodes_by_id.sql"))
        .bind(Hash(graph.digest()))
        .bind(texts(ids))
        .bind(as_of.known.map(At))
        .fetch_all()
        .await?;
    for Placed { place, row } in nodes {
        if let Some(slot) = slot(&mut found, place) {
            *slot = Some(rows::node(OP, row)?);
        }
    }
    Ok(found)
}

pub(super) async fn edges_by_id(
    postgres: &Postgres,
    graph: &GraphId,
    ids: &[EdgeId],
    as_of: AsOf,
) -> Result<Vec<Option<Edge>>> {
    const OP: &str = "graph.edges";
    let mut found = vec![None; ids.len()];
    if ids.is_empty() {
        return Ok(found);
    }
    let (any, at) = valid_at(as_of);
    let edges: Vec<Placed<EdgeRow>> = postgres
        .read(OP, include_str!("../sql/graph/edges_by_id.sql"))
        .bind(Hash(graph.digest()))
        .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
        .bind(as_of.known.map(At))
        .bind(any)
        .bind(at)
        .fetch_all()
        .await?;
    for Placed { place, row } in edges {
        if let Some(slot) = slot(&mut found, place) {
            *slot = Some(rows::edge(OP, row)?);
        }
    }
    Ok(found)
}

/// How many rows are fetched at least where a filter on data lets only some pass, and at most.
const SIEVE: (usize, usize) = (256, 8_192);

/// How many rows one statement fetches for a page of `limit` rows and one more.
pub(super) fn portion(limit: Limit, data: Option<&Filter>) -> usize {
    let rows = limit.as_usize().saturating_add(1);
    if data.is_some() { rows.max(SIEVE.0) } else { rows }
}

/// How many the next one fetches when few of so many passed.
pub(super) fn more(rows: usize) -> usize {
    rows.saturating_mul(2).min(SIEVE.1.max(rows))
}

pub(super) async fn find_nodes(
    postgres: &Postgres,
    graph: &GraphId,
    filter: &NodeFilter,
    as_of: AsOf,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Node>> {
    const OP: &str = "graph.find_nodes";
    let mut after = cursor.map(node_cursor).transpose()?.map(String::from).unwrap_or_default();
    let mut rows = portion(limit, filter.data.as_ref());
    let mut found: Vec<Node> = Vec::new();
    let kinds = some(&filter.kinds);
    loop {
        let statement = match (as_of.known, &kinds) {
            (Some(_), _) => include_str!("../sql/graph/nodes_find_known.sql"),
            (None, Some(_)) => include_str!("../sql/graph/nodes_find_kind.sql"),
            (None, None) => include_str!("../sql/graph/nodes_find.sql"),
        };
        let query = postgres
            .read(OP, statement)
            .bind(Hash(graph.digest()))
            .bind(after.as_str())
            .bind(filter.prefix.as_str())
            .bind(last_of(&filter.prefix))
            .bind(i64::try_from(rows).unwrap_or(i64::MAX));
        let query = match (as_of.known, &kinds) {
            (Some(known), kinds) => query.bind(kinds.clone()).bind(At(known)),
            (None, Some(kinds)) => query.bind(kinds.clone()),
            (None, None) => query,
        };
        let nodes: Vec<NodeRow> = query.fetch_all().await?;
        let whole = nodes.len() < rows;
        if let Some(last) = nodes.last() {
            after.clone_from(&last.0);
        }
        for node in nodes {
            let node = rows::node(OP, node)?;
            if filter.data.as_ref().is_none_or(|data| data.matches(&node.data)) {
                found.push(node);
            }
        }
        if whole || found.len() > limit.as_usize() {
            return Ok(Page::cut(found, limit, |node| node_cursor_of(&node.id)));
        }
        rows = more(rows);
    }
}
