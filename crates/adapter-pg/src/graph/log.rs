//! The change log, and the versions of one element.

use hexmem_ports::rules::graph::{history_cursor, history_cursor_of};
use hexmem_ports::{
    ChangeLog, Cursor, Edge, EdgeId, Element, ElementRef, Error, GraphId, Limit, LoggedChange,
    Node, Page, Result, Revision,
};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::rows::{self, EdgeRow, LifeRow, NodeRow, column, count};
use crate::Postgres;
use crate::value::{At, Hash};

/// A row of `changes.sql`: the life, the end of the page, and one entry, if any.
struct Entry {
    life: LifeRow,
    upto: i64,
    revision: Option<i64>,
    node: Option<String>,
    edge: Option<Uuid>,
    version: Option<i64>,
    kind: Option<String>,
    created: Option<At>,
    recorded: Option<At>,
    data: Option<String>,
    src: Option<String>,
    dst: Option<String>,
    weight: Option<f64>,
    from: Option<At>,
    until: Option<At>,
    source: Option<String>,
}

impl<'r> FromRow<'r, PgRow> for Entry {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            life: (
                row.try_get(0)?,
                row.try_get(1)?,
                row.try_get(2)?,
                row.try_get(3)?,
                row.try_get(4)?,
                row.try_get(5)?,
            ),
            upto: row.try_get(6)?,
            revision: row.try_get(7)?,
            node: row.try_get(8)?,
            edge: row.try_get(9)?,
            version: row.try_get(10)?,
            kind: row.try_get(11)?,
            created: row.try_get(12)?,
            recorded: row.try_get(13)?,
            data: row.try_get(14)?,
            src: row.try_get(15)?,
            dst: row.try_get(16)?,
            weight: row.try_get(17)?,
            from: row.try_get(18)?,
            until: row.try_get(19)?,
            source: row.try_get(20)?,
        })
    }
}

impl Entry {
    /// The change; `None` for a row without an entry. A version without the rest was purged or let go since.
    fn change(self, operation: &'static str) -> Result<Option<LoggedChange>> {
        let Some(revision) = self.revision else { return Ok(None) };
        let revision = Revision(count(revision));
        let made = self.version.zip(self.kind).zip(self.data).zip(self.created).zip(self.recorded);
        let made =
            made.map(|((((version, kind), data), created), at)| (version, kind, data, created, at));
        let (element, state) = match (self.node, self.edge) {
            (Some(id), _) => {
                let element = ElementRef::Node(rows::name(operation, id.clone())?);
                let row: Option<NodeRow> =
                    made.map(|(version, kind, data, c, r)| (id, version, kind, c, r, None, data));
                let node: Option<Node> = row.map(|row| rows::node(operation, row)).transpose()?;
                (element, node.map(Element::Node))
            }
            (None, Some(id)) => {
                let ends = self.src.zip(self.dst).zip(self.weight);
                let (from, until, source) = (self.from, self.until, self.source);
                let row: Option<EdgeRow> = made.zip(ends).map(
                    |((version, relation, data, c, r), ((src, dst), weight))| {
                        let ends = (src, relation, dst);
                        (
                            id, version, ends.0, ends.1, ends.2, weight, from, until, source, c, r,
                            None, data,
                        )
                    },
                );
                let edge: Option<Edge> = row.map(|row| rows::edge(operation, row)).transpose()?;
                (ElementRef::Edge(EdgeId(id)), edge.map(Element::Edge))
            }
            (None, None) => {
                return Err(Error::corrupt(operation, "an entry of the log names no element")
                    .with("revision", revision.0));
            }
        };
        Ok(Some(LoggedChange { revision, element, state }))
    }
}

pub(super) async fn changes(
    postgres: &Postgres,
    graph: &GraphId,
    after: Revision,
    limit: Limit,
) -> Result<ChangeLog> {
    const OP: &str = "graph.changes";
    let rows: Vec<Entry> = postgres
        .read(OP, include_str!("../sql/graph/changes.sql"))
        .bind(Hash(graph.digest()))
        .bind(column(after.0))
        .bind(i64::from(limit.get()) - 1)
        .fetch_all()
        .await?;
    let life = rows.first().map(|row| rows::life(row.life)).unwrap_or_default();
    let mut log = ChangeLog { changes: Vec::new(), upto: after, head: life.seen() };
    if !life.can_read(after)? {
        return Ok(log);
    }
    for row in rows {
        log.upto = Revision(count(row.upto));
        log.changes.extend(row.change(OP)?);
    }
    Ok(log)
}

pub(super) async fn history(
    postgres: &Postgres,
    graph: &GraphId,
    element: &ElementRef,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Element>> {
    const OP: &str = "graph.history";
    let before = column(cursor.map(history_cursor).transpose()?.unwrap_or(u64::MAX));
    let wanted = i64::from(limit.get()) + 1;
    let versions: Vec<Element> = match element {
        ElementRef::Node(id) => {
            let nodes: Vec<NodeRow> = postgres
                .read(OP, include_str!("../sql/graph/node_history.sql"))
                .bind(Hash(graph.digest()))
                .bind(id.as_str())
                .bind(before)
                .bind(wanted)
                .fetch_all()
                .await?;
            let nodes = nodes.into_iter().map(|node| rows::node(OP, node).map(Element::Node));
            nodes.collect::<Result<_>>()?
        }
        ElementRef::Edge(id) => {
            let edges: Vec<EdgeRow> = postgres
                .read(OP, include_str!("../sql/graph/edge_history.sql"))
                .bind(Hash(graph.digest()))
                .bind(id.0)
                .bind(before)
                .bind(wanted)
                .fetch_all()
                .await?;
            let edges = edges.into_iter().map(|edge| rows::edge(OP, edge).map(Element::Edge));
            edges.collect::<Result<_>>()?
        }
    };
    Ok(Page::cut(versions, limit, history_cursor_of))
}
