//! Reads by id and by filter.

use std::collections::{BTreeMap, BTreeSet};

use hexmem_ports::rules::graph::{edge_cursor, node_cursor};
use hexmem_ports::{
    AsOf, Cursor, Direction, Edge, EdgeFilter, EdgeId, GraphId, Limit, Name, Node, NodeFilter,
    Page, Result, Timestamp, ValidAt,
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

/// Cuts a page of `limit` rows from one row more; `key` makes the cursor of a row.
pub(super) fn page<T>(mut items: Vec<T>, limit: Limit, key: impl Fn(&T) -> String) -> Page<T> {
    let more = items.len() > limit.as_usize();
    items.truncate(limit.as_usize());
    let next = items.last().filter(|_| more).map(|row| Cursor(key(row)));
    Page { items, next }
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
    // A type given twice, or two types: each id comes once, in order.
    let mut found: BTreeMap<Name, Node> = BTreeMap::new();
    for kind in kinds {
        let statement = match (as_of.known, kind) {
            (Some(_), _) => include_str!("../sql/graph/nodes_find_known.sql"),
            (None, Some(_)) => include_str!("../sql/graph/nodes_find_kind.sql"),
            (None, None) => include_str!("../sql/graph/nodes_find.sql"),
        };
        let query = sqlx::query_as(statement)
            .bind(row)
            .bind(after.as_bytes())
            .bind(filter.prefix.as_str().as_bytes())
            .bind(filter.prefix.end().unwrap_or_else(|| vec![0xff]))
            .bind(i64::from(limit.get()) + 1);
        let query = match (as_of.known, kind) {
            (Some(known), _) => query
                .bind(known.as_micros())
                .bind((!filter.kinds.is_empty()).then(|| name_list(&filter.kinds))),
            (None, Some(kind)) => query.bind(kind.as_str()),
            (None, None) => query,
        };
        let nodes: Vec<NodeRow> =
            query.fetch_all(read.connection()).await.map_err(|e| read.error(e))?;
        for node in nodes {
            let node = rows::node(read.operation(), node)?;
            found.insert(node.id.clone(), node);
        }
    }
    Ok(page(found.into_values().collect(), limit, |node| node.id.to_string()))
}

/// Which end of an edge is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Its source is given.
    Out,
    /// Its target is given.
    In,
}

impl Way {
    pub(super) fn of(direction: Direction) -> &'static [Self] {
        match direction {
            Direction::Out => &[Self::Out],
            Direction::In => &[Self::In],
            Direction::Both => &[Self::Out, Self::In],
        }
    }
}

/// What all statements on edges take.
pub(super) struct EdgeQuery {
    after: Vec<u8>,
    limit: i64,
    relations: Option<String>,
    min_weight: Option<f64>,
    source: Option<String>,
    valid: Option<i64>,
    known: Option<i64>,
}

impl EdgeQuery {
    /// All edges that match, but for the ends.
    pub(super) fn of(as_of: AsOf, now: Timestamp, filter: &EdgeFilter) -> Self {
        Self {
            after: Vec::new(),
            limit: -1,
            relations: (!filter.relations.is_empty()).then(|| name_list(&filter.relations)),
            min_weight: filter.min_weight,
            source: filter.source.as_ref().map(Name::to_string),
            valid: valid_at(as_of, now),
            known: as_of.known.map(Timestamp::as_micros),
        }
    }

    fn paged(self, after: Option<EdgeId>, limit: Limit) -> Self {
        let after = after.map(|id| id.0.as_bytes().to_vec()).unwrap_or_default();
        Self { after, limit: i64::from(limit.get()) + 1, ..self }
    }

    /// Those at one of these nodes.
    pub(super) async fn at(
        &self,
        turn: &mut impl Turn,
        row: i64,
        way: Way,
        nodes: &[Name],
    ) -> Result<Vec<Edge>> {
        let statement = match (way, self.known) {
            (Way::Out, None) => include_str!("../sql/graph/edges_out.sql"),
            (Way::In, None) => include_str!("../sql/graph/edges_in.sql"),
            (Way::Out, Some(_)) => include_str!("../sql/graph/edges_out_known.sql"),
            (Way::In, Some(_)) => include_str!("../sql/graph/edges_in_known.sql"),
        };
        let mut found = Vec::new();
        for part in nodes.chunks(CHUNK) {
            found.extend(self.run(turn, row, statement, Some(name_list(part))).await?);
        }
        Ok(found)
    }

    async fn anywhere(&self, turn: &mut impl Turn, row: i64) -> Result<Vec<Edge>> {
        let statement = match self.known {
            None => include_str!("../sql/graph/edges_find.sql"),
            Some(_) => include_str!("../sql/graph/edges_find_known.sql"),
        };
        self.run(turn, row, statement, None).await
    }

    async fn run(
        &self,
        turn: &mut impl Turn,
        row: i64,
        statement: &'static str,
        nodes: Option<String>,
    ) -> Result<Vec<Edge>> {
        let edges: Vec<EdgeRow> = sqlx::query_as(statement)
            .bind(row)
            .bind(self.after.as_slice())
            .bind(self.limit)
            .bind(self.relations.as_deref())
            .bind(self.min_weight)
            .bind(self.source.as_deref())
            .bind(self.valid)
            .bind(self.known)
            .bind(nodes)
            .fetch_all(turn.connection())
            .await
            .map_err(|e| turn.error(e))?;
        edges.into_iter().map(|edge| rows::edge(turn.operation(), edge)).collect()
    }
}

pub(super) async fn find_edges(
    db: &Database,
    graph: &GraphId,
    filter: &EdgeFilter,
    as_of: AsOf,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Edge>> {
    let after = cursor.map(edge_cursor).transpose()?;
    let mut read = db.snapshot("graph.find_edges").await?;
    let Some((row, _)) = super::find(&mut read, graph).await? else { return Ok(Page::default()) };
    let query = EdgeQuery::of(as_of, read.now(), filter).paged(after, limit);
    let edges = match &filter.at {
        None => query.anywhere(&mut read, row).await?,
        Some((nodes, direction)) => {
            // Each statement gives its first rows; a loop, or an edge between two given nodes, comes once.
            let nodes: BTreeSet<Name> = nodes.iter().cloned().collect();
            let nodes: Vec<Name> = nodes.into_iter().collect();
            let mut found = BTreeMap::new();
            for way in Way::of(*direction) {
                for edge in query.at(&mut read, row, *way, &nodes).await? {
                    found.insert(edge.id, edge);
                }
            }
            found.into_values().collect()
        }
    };
    Ok(page(edges, limit, |edge| edge.id.to_string()))
}
