//! Edges by filter: current, as known at a time, or all their versions.

use std::collections::{BTreeMap, BTreeSet};

use hexmem_ports::rules::graph::{edge_cursor, edge_cursor_of, version_cursor, version_cursor_of};
use hexmem_ports::{
    AsOf, Cursor, Direction, Edge, EdgeFilter, EdgeId, Filter, GraphId, Limit, Name, Page, Result,
    Timestamp,
};

use super::apply::CHUNK;
use super::find::{portion, valid_at};
use super::rows::{self, EdgeRow, Turn, name_list};
use crate::Database;

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

/// Which versions are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Current,
    KnownAt(i64),
    Ever,
}

/// What all statements on edges take.
pub(super) struct EdgeQuery {
    seen: Seen,
    after: (Vec<u8>, i64),
    /// The most rows of one part; `None`: all.
    limit: Option<Limit>,
    relations: Option<String>,
    min_weight: Option<f64>,
    sources: Option<String>,
    valid: Option<i64>,
    data: Option<Filter>,
}

impl EdgeQuery {
    /// All edges that match, but for the ends.
    pub(super) fn of(as_of: AsOf, now: Timestamp, filter: &EdgeFilter) -> Self {
        let distinct = |names: &[Name]| {
            let names: BTreeSet<&Name> = names.iter().collect();
            (!names.is_empty()).then(|| name_list(names))
        };
        Self {
            seen: as_of.known.map_or(Seen::Current, |at| Seen::KnownAt(at.as_micros())),
            after: (Vec::new(), 0),
            limit: None,
            relations: distinct(&filter.relations),
            min_weight: filter.min_weight,
            sources: distinct(&filter.sources),
            valid: valid_at(as_of, now),
            data: filter.data.clone(),
        }
    }

    /// All versions that match.
    fn ever(now: Timestamp, filter: &EdgeFilter) -> Self {
        Self { seen: Seen::Ever, ..Self::of(AsOf::ALL, now, filter) }
    }

    fn paged(self, after: Option<(EdgeId, u64)>, limit: Limit) -> Self {
        let after = after.map(|(id, version)| (id.0.as_bytes().to_vec(), version.cast_signed()));
        Self { after: after.unwrap_or_default(), limit: Some(limit), ..self }
    }

    /// Those at one of these nodes.
    pub(super) async fn at(
        &self,
        turn: &mut impl Turn,
        row: i64,
        way: Way,
        nodes: &[Name],
    ) -> Result<Vec<Edge>> {
        let statement = match (way, self.seen) {
            (Way::Out, Seen::Current) => include_str!("../sql/graph/edges_out.sql"),
            (Way::In, Seen::Current) => include_str!("../sql/graph/edges_in.sql"),
            (Way::Out, Seen::KnownAt(_)) => include_str!("../sql/graph/edges_out_known.sql"),
            (Way::In, Seen::KnownAt(_)) => include_str!("../sql/graph/edges_in_known.sql"),
            (Way::Out, Seen::Ever) => include_str!("../sql/graph/versions_out.sql"),
            (Way::In, Seen::Ever) => include_str!("../sql/graph/versions_in.sql"),
        };
        let mut found = Vec::new();
        for part in nodes.chunks(CHUNK) {
            found.extend(self.sieve(turn, row, statement, Some(name_list(part))).await?);
        }
        Ok(found)
    }

    async fn anywhere(&self, turn: &mut impl Turn, row: i64) -> Result<Vec<Edge>> {
        let statement = match (self.seen, &self.sources) {
            (Seen::Current, None) => include_str!("../sql/graph/edges_find.sql"),
            (Seen::KnownAt(_), None) => include_str!("../sql/graph/edges_find_known.sql"),
            (Seen::Ever, None) => include_str!("../sql/graph/versions_find.sql"),
            (Seen::Current, Some(_)) => include_str!("../sql/graph/edges_sourced.sql"),
            (Seen::KnownAt(_), Some(_)) => include_str!("../sql/graph/edges_sourced_known.sql"),
            (Seen::Ever, Some(_)) => include_str!("../sql/graph/versions_sourced.sql"),
        };
        self.sieve(turn, row, statement, None).await
    }

    /// The rows of a statement whose data passes: all, or enough for a page.
    async fn sieve(
        &self,
        turn: &mut impl Turn,
        row: i64,
        statement: &'static str,
        nodes: Option<String>,
    ) -> Result<Vec<Edge>> {
        let rows = self.limit.map(|limit| portion(limit, self.data.as_ref()));
        let wanted = self.limit.map_or(usize::MAX, Limit::as_usize);
        let mut after = self.after.clone();
        let mut found = Vec::new();
        loop {
            let edges = self.run(turn, row, statement, &after, rows, nodes.as_deref()).await?;
            let whole = rows.is_none_or(|rows| edges.len() < rows);
            if let Some(last) = edges.last() {
                after = (last.0.clone(), last.1);
            }
            for edge in edges {
                let edge = rows::edge(turn.operation(), edge)?;
                if self.data.as_ref().is_none_or(|data| data.matches(&edge.data)) {
                    found.push(edge);
                }
            }
            if whole || found.len() > wanted {
                return Ok(found);
            }
        }
    }

    async fn run(
        &self,
        turn: &mut impl Turn,
        row: i64,
        statement: &'static str,
        after: &(Vec<u8>, i64),
        rows: Option<usize>,
        nodes: Option<&str>,
    ) -> Result<Vec<EdgeRow>> {
        let time_or_version = match self.seen {
            Seen::Current => None,
            Seen::KnownAt(at) => Some(at),
            Seen::Ever => Some(after.1),
        };
        sqlx::query_as(statement)
            .bind(row)
            .bind(after.0.as_slice())
            .bind(rows.map_or(-1, |rows| i64::try_from(rows).unwrap_or(i64::MAX)))
            .bind(self.relations.as_deref())
            .bind(self.min_weight)
            .bind(self.sources.as_deref())
            .bind(self.valid)
            .bind(time_or_version)
            .bind(nodes)
            .fetch_all(turn.connection())
            .await
            .map_err(|e| turn.error(e))
    }

    /// Those that match, in order of id and version, and perhaps some beyond the page.
    async fn find(
        &self,
        turn: &mut impl Turn,
        row: i64,
        at: Option<&(Vec<Name>, Direction)>,
    ) -> Result<Vec<Edge>> {
        let Some((nodes, direction)) = at else { return self.anywhere(turn, row).await };
        // Each statement gives its first rows; a loop, or an edge between two given nodes, comes once.
        let nodes: BTreeSet<Name> = nodes.iter().cloned().collect();
        let nodes: Vec<Name> = nodes.into_iter().collect();
        let mut found = BTreeMap::new();
        for way in Way::of(*direction) {
            for edge in self.at(turn, row, *way, &nodes).await? {
                found.insert((edge.id, edge.version), edge);
            }
        }
        Ok(found.into_values().collect())
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
    let query = EdgeQuery::of(as_of, read.now(), filter);
    let query = query.paged(after.map(|id| (id, 0)), limit);
    let edges = query.find(&mut read, row, filter.at.as_ref()).await?;
    Ok(Page::cut(edges, limit, edge_cursor_of))
}

pub(super) async fn find_versions(
    db: &Database,
    graph: &GraphId,
    filter: &EdgeFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Edge>> {
    let after = cursor.map(version_cursor).transpose()?;
    let mut read = db.snapshot("graph.find_versions").await?;
    let Some((row, _)) = super::find(&mut read, graph).await? else { return Ok(Page::default()) };
    let query = EdgeQuery::ever(read.now(), filter).paged(after, limit);
    let edges = query.find(&mut read, row, filter.at.as_ref()).await?;
    Ok(Page::cut(edges, limit, version_cursor_of))
}
