//! Edges by filter: current, as known at a time, or all their versions.

use hexmem_ports::rules::graph::{edge_cursor, edge_cursor_of, version_cursor, version_cursor_of};
use hexmem_ports::{AsOf, Cursor, Direction, Edge, EdgeFilter, GraphId, Limit, Page, Result};
use uuid::Uuid;

use super::find::{more, portion, some, valid_at};
use super::rows::{self, EdgeRow, column, texts};
use crate::Postgres;
use crate::query::Query;
use crate::value::{At, Hash};

/// The arguments that all statements on edges begin with.
fn begin<'q>(
    postgres: &'q Postgres,
    operation: &'static str,
    statement: &'static str,
    graph: &GraphId,
    filter: &EdgeFilter,
    (after, rows): (Option<Uuid>, usize),
) -> Query<'q> {
    postgres
        .read(operation, statement)
        .bind(Hash(graph.digest()))
        .bind(after)
        .bind(i64::try_from(rows).unwrap_or(i64::MAX))
        .bind(some(&filter.relations))
        .bind(filter.min_weight)
        .bind(some(&filter.sources))
}

/// Those of a filter: the nodes, and whether edges that leave them and that enter them are meant.
fn at<'q>(query: Query<'q>, filter: &EdgeFilter) -> Query<'q> {
    match &filter.at {
        None => query,
        Some((nodes, direction)) => query
            .bind(texts(nodes))
            .bind(*direction != Direction::In)
            .bind(*direction != Direction::Out),
    }
}

pub(super) async fn find_edges(
    postgres: &Postgres,
    graph: &GraphId,
    filter: &EdgeFilter,
    as_of: AsOf,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Edge>> {
    const OP: &str = "graph.find_edges";
    let after = cursor.map(edge_cursor).transpose()?;
    let statement = match &filter.at {
        Some(_) => include_str!("../sql/graph/edges_at.sql"),
        None if !filter.sources.is_empty() => include_str!("../sql/graph/edges_sourced.sql"),
        None if !filter.relations.is_empty() && as_of.known.is_none() => {
            include_str!("../sql/graph/edges_related.sql")
        }
        None => include_str!("../sql/graph/edges_find.sql"),
    };
    let (any, valid) = valid_at(as_of);
    let mut position = after.map(|id| id.0);
    let mut rows = portion(limit, filter.data.as_ref());
    let mut found = Vec::new();
    loop {
        let query = begin(postgres, OP, statement, graph, filter, (position, rows));
        let query = query.bind(any).bind(valid).bind(as_of.known.map(At));
        let edges: Vec<EdgeRow> = at(query, filter).fetch_all().await?;
        let whole = edges.len() < rows;
        if let Some(last) = edges.last() {
            position = Some(last.0);
        }
        sieve(OP, edges, filter, &mut found)?;
        if whole || found.len() > limit.as_usize() {
            return Ok(Page::cut(found, limit, edge_cursor_of));
        }
        rows = more(rows);
    }
}

pub(super) async fn find_versions(
    postgres: &Postgres,
    graph: &GraphId,
    filter: &EdgeFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Edge>> {
    const OP: &str = "graph.find_versions";
    let after = cursor.map(version_cursor).transpose()?;
    let statement = match &filter.at {
        Some(_) => include_str!("../sql/graph/versions_at.sql"),
        None if !filter.sources.is_empty() => include_str!("../sql/graph/versions_sourced.sql"),
        None => include_str!("../sql/graph/versions_find.sql"),
    };
    let mut position = after.map_or((Uuid::nil(), 0), |(id, version)| (id.0, column(version)));
    let mut rows = portion(limit, filter.data.as_ref());
    let mut found = Vec::new();
    loop {
        let query = begin(postgres, OP, statement, graph, filter, (Some(position.0), rows));
        let edges: Vec<EdgeRow> = at(query.bind(position.1), filter).fetch_all().await?;
        let whole = edges.len() < rows;
        if let Some(last) = edges.last() {
            position = (last.0, last.1);
        }
        sieve(OP, edges, filter, &mut found)?;
        if whole || found.len() > limit.as_usize() {
            return Ok(Page::cut(found, limit, version_cursor_of));
        }
        rows = more(rows);
    }
}

/// Keeps those whose data passes.
fn sieve(
    operation: &'static str,
    edges: Vec<EdgeRow>,
    filter: &EdgeFilter,
    found: &mut Vec<Edge>,
) -> Result<()> {
    for edge in edges {
        let edge = rows::edge(operation, edge)?;
        if filter.data.as_ref().is_none_or(|data| data.matches(&edge.data)) {
            found.push(edge);
        }
    }
    Ok(())
}
