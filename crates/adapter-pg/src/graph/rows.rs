//! Rows as values.

use hexmem_ports::rules::graph::GraphLife;
use hexmem_ports::{Edge, EdgeId, Error, Name, Node, Result, Revision};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::value::At;

/// id, version, kind, created, recorded, superseded, data.
pub(super) type NodeRow = (String, i64, String, At, At, Option<At>, String);

/// id, version, src, relation, dst, weight, valid from, valid until, source, created, recorded, superseded, data.
pub(super) type EdgeRow = (
    Uuid,
    i64,
    String,
    String,
    String,
    f64,
    Option<At>,
    Option<At>,
    Option<String>,
    At,
    At,
    Option<At>,
    String,
);

/// version, revision, log start, created, deleted, updated.
pub(super) type LifeRow = (i64, i64, i64, Option<At>, Option<At>, Option<At>);

/// What a function of the schema answers of nodes and edges in the same columns, from `created` to `source`. The version
/// lies before them.
pub(super) struct Columns {
    pub(super) created: Option<At>,
    pub(super) recorded: Option<At>,
    superseded: Option<At>,
    pub(super) id: Option<String>,
    kind: Option<String>,
    data: Option<String>,
    pub(super) edge: Option<Uuid>,
    src: Option<String>,
    dst: Option<String>,
    weight: Option<f64>,
    from: Option<At>,
    until: Option<At>,
    source: Option<String>,
}

impl Columns {
    /// The columns of `row`, the first of them at `start`.
    pub(super) fn read(row: &PgRow, start: usize) -> sqlx::Result<Self> {
        Ok(Self {
            created: row.try_get(start)?,
            recorded: row.try_get(start + 1)?,
            superseded: row.try_get(start + 2)?,
            id: row.try_get(start + 3)?,
            kind: row.try_get(start + 4)?,
            data: row.try_get(start + 5)?,
            edge: row.try_get(start + 6)?,
            src: row.try_get(start + 7)?,
            dst: row.try_get(start + 8)?,
            weight: row.try_get(start + 9)?,
            from: row.try_get(start + 10)?,
            until: row.try_get(start + 11)?,
            source: row.try_get(start + 12)?,
        })
    }

    pub(super) fn node(self, operation: &'static str, version: Option<i64>) -> Result<Node> {
        let Self { id, kind, created, recorded, superseded, data, .. } = self;
        let row = || Some((id?, version?, kind?, created?, recorded?, superseded, data?));
        node(operation, row().ok_or_else(|| missing(operation))?)
    }

    pub(super) fn edge(self, operation: &'static str, version: Option<i64>) -> Result<Edge> {
        let row = || {
            Some((
                self.edge?,
                version?,
                self.src?,
                self.kind?,
                self.dst?,
                self.weight?,
                self.from,
                self.until,
                self.source,
                self.created?,
                self.recorded?,
                self.superseded,
                self.data?,
            ))
        };
        edge(operation, row().ok_or_else(|| missing(operation))?)
    }
}

/// A row lacks what it must have.
pub(super) fn missing(operation: &'static str) -> Error {
    corrupt(operation, "a column that must be filled is empty")
}

fn corrupt(operation: &'static str, what: &'static str) -> Error {
    Error::corrupt(operation, what).with("table", "graph")
}

/// A count or a version.
pub(super) fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

/// As the column has it. One that no element can have stays one.
pub(super) fn column(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

pub(super) fn name(operation: &'static str, text: String) -> Result<Name> {
    Name::new(text).map_err(|_| corrupt(operation, "an id is empty or too long"))
}

fn data(operation: &'static str, text: &str) -> Result<Value> {
    serde_json::from_str(text)
        .map_err(|e| corrupt(operation, "the data of an element is not JSON").caused_by(e))
}

pub(super) fn life(row: LifeRow) -> GraphLife {
    let (version, revision, log_start, created_at, deleted_at, updated_at) = row;
    GraphLife {
        version: count(version),
        created_at: created_at.map(|at| at.0),
        deleted_at: deleted_at.map(|at| at.0),
        updated_at: updated_at.map(|at| at.0),
        revision: Revision(count(revision)),
        log_start: Revision(count(log_start)),
    }
}

pub(super) fn node(operation: &'static str, row: NodeRow) -> Result<Node> {
    let (id, version, kind, created_at, recorded_at, superseded_at, text) = row;
    Ok(Node {
        id: name(operation, id)?,
        kind: name(operation, kind)?,
        data: data(operation, &text)?,
        created_at: created_at.0,
        recorded_at: recorded_at.0,
        superseded_at: superseded_at.map(|at| at.0),
        version: count(version),
    })
}

pub(super) fn edge(operation: &'static str, row: EdgeRow) -> Result<Edge> {
    let (
        id,
        version,
        src,
        relation,
        dst,
        weight,
        valid_from,
        valid_until,
        source,
        created_at,
        recorded_at,
        superseded_at,
        text,
    ) = row;
    Ok(Edge {
        id: EdgeId(id),
        src: name(operation, src)?,
        relation: name(operation, relation)?,
        dst: name(operation, dst)?,
        weight,
        valid_from: valid_from.map(|at| at.0),
        valid_until: valid_until.map(|at| at.0),
        source: source.map(|source| name(operation, source)).transpose()?,
        data: data(operation, &text)?,
        created_at: created_at.0,
        recorded_at: recorded_at.0,
        superseded_at: superseded_at.map(|at| at.0),
        version: count(version),
    })
}

/// Names as an array argument.
pub(super) fn texts<'a>(names: impl IntoIterator<Item = &'a Name>) -> Vec<&'a str> {
    names.into_iter().map(Name::as_str).collect()
}
