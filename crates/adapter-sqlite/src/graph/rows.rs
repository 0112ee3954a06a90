//! Rows as values, and what reading and writing turns have in common.

use hexmem_ports::rules::graph::GraphLife;
use hexmem_ports::{Edge, EdgeId, Error, Name, Node, Result, Revision, Timestamp};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _, SqliteConnection};
use uuid::Uuid;

use crate::{ReadTx, WriteTx};

/// Whoever holds a connection.
pub(super) trait Turn: Send {
    fn connection(&mut self) -> &mut SqliteConnection;
    fn error(&self, error: sqlx::Error) -> Error;
    fn operation(&self) -> &'static str;
    fn now(&self) -> Timestamp;
}

macro_rules! turn {
    ($($holder:ty),*) => {$(
        impl Turn for $holder {
            fn connection(&mut self) -> &mut SqliteConnection {
                self.connection()
            }
            fn error(&self, error: sqlx::Error) -> Error {
                self.error(error)
            }
            fn operation(&self) -> &'static str {
                self.operation()
            }
            fn now(&self) -> Timestamp {
                self.now()
            }
        }
    )*};
}

turn!(ReadTx, WriteTx);

pub(super) type LifeRow = (i64, i64, Option<i64>, Option<i64>, Option<i64>, i64, i64);
pub(super) type NodeRow = (Vec<u8>, i64, String, i64, i64, Option<i64>, String);
pub(super) type EdgeRow = (
    Vec<u8>,
    i64,
    Vec<u8>,
    String,
    Vec<u8>,
    f64,
    Option<i64>,
    Option<i64>,
    Option<String>,
    i64,
    i64,
    Option<i64>,
    String,
);

fn corrupt(operation: &'static str, what: &'static str) -> Error {
    Error::corrupt(operation, what).with("table", "graph")
}

pub(super) fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

fn time(operation: &'static str, micros: i64) -> Result<Timestamp> {
    Timestamp::from_micros(micros).ok_or_else(|| corrupt(operation, "a time lies beyond year 9999"))
}

fn maybe_time(operation: &'static str, micros: Option<i64>) -> Result<Option<Timestamp>> {
    micros.map(|micros| time(operation, micros)).transpose()
}

pub(super) fn name(operation: &'static str, bytes: Vec<u8>) -> Result<Name> {
    let text = String::from_utf8(bytes).ok().and_then(|text| Name::new(text).ok());
    text.ok_or_else(|| corrupt(operation, "an id is not UTF-8 or too long"))
}

pub(super) fn edge_id(operation: &'static str, bytes: &[u8]) -> Result<EdgeId> {
    Uuid::from_slice(bytes)
        .map(EdgeId)
        .map_err(|_| corrupt(operation, "an edge id is not 16 bytes"))
}

fn data(operation: &'static str, text: &str) -> Result<Value> {
    serde_json::from_str(text)
        .map_err(|e| corrupt(operation, "the data of an element is not JSON").caused_by(e))
}

pub(super) fn life(operation: &'static str, row: LifeRow) -> Result<(i64, GraphLife)> {
    let (id, version, created_at, deleted_at, updated_at, revision, log_start) = row;
    let life = GraphLife {
        version: count(version),
        created_at: maybe_time(operation, created_at)?,
        deleted_at: maybe_time(operation, deleted_at)?,
        updated_at: maybe_time(operation, updated_at)?,
        revision: Revision(count(revision)),
        log_start: Revision(count(log_start)),
    };
    Ok((id, life))
}

pub(super) fn node(operation: &'static str, row: NodeRow) -> Result<Node> {
    let (id, version, kind, created_at, recorded_at, superseded_at, text) = row;
    Ok(Node {
        id: name(operation, id)?,
        kind: name(operation, kind.into_bytes())?,
        data: data(operation, &text)?,
        created_at: time(operation, created_at)?,
        recorded_at: time(operation, recorded_at)?,
        superseded_at: maybe_time(operation, superseded_at)?,
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
        id: edge_id(operation, &id)?,
        src: name(operation, src)?,
        relation: name(operation, relation.into_bytes())?,
        dst: name(operation, dst)?,
        weight,
        valid_from: maybe_time(operation, valid_from)?,
        valid_until: maybe_time(operation, valid_until)?,
        source: source.map(|source| name(operation, source.into_bytes())).transpose()?,
        data: data(operation, &text)?,
        created_at: time(operation, created_at)?,
        recorded_at: time(operation, recorded_at)?,
        superseded_at: maybe_time(operation, superseded_at)?,
        version: count(version),
    })
}

/// Names as the JSON array that statements take.
pub(super) fn name_list<'a>(names: impl IntoIterator<Item = &'a Name>) -> String {
    names.into_iter().map(Name::as_str).collect::<Value>().to_string()
}

/// Edge ids as a JSON array of hex digits.
pub(super) fn edge_list<'a>(ids: impl IntoIterator<Item = &'a EdgeId>) -> String {
    ids.into_iter().map(|id| id.0.simple().to_string()).collect::<Value>().to_string()
}

/// A row and the position that it answers, which stands behind its columns.
pub(super) struct Keyed<T> {
    pub(super) key: i64,
    pub(super) row: T,
}

impl<'r, T: FromRow<'r, SqliteRow>> FromRow<'r, SqliteRow> for Keyed<T> {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        Ok(Self { key: row.try_get(row.len() - 1)?, row: T::from_row(row)? })
    }
}

/// A row and the revision and place of the log entry that it belongs to, which stand behind its columns.
pub(super) struct Logged<T> {
    pub(super) key: (i64, i64),
    pub(super) row: T,
}

impl<'r, T: FromRow<'r, SqliteRow>> FromRow<'r, SqliteRow> for Logged<T> {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        let key = (row.try_get(row.len() - 2)?, row.try_get(row.len() - 1)?);
        Ok(Self { key, row: T::from_row(row)? })
    }
}
