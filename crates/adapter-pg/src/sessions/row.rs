//! Rows as sessions, and places in listings.

use hexmem_ports::{
    Cursor, Digest, Name, OpId, Result, Session, SessionId, SessionOrigin, StoredSession,
    StoredToken, Tenant, Ttl, UserScope, from_hex, to_hex,
};
use sqlx::error::BoxDynError;
use sqlx::postgres::PgRow;
use sqlx::{Decode, FromRow, Postgres, Row as _, Type};
use uuid::Uuid;

use crate::value::{At, Hash};

/// SHA-256 of tenant and user.
pub(super) fn owner_key(owner: &UserScope) -> Hash {
    part_key(&owner.tenant, &owner.user)
}

/// SHA-256 of a tenant and a name of it.
pub(super) fn part_key(tenant: &Tenant, name: &Name) -> Hash {
    Hash(Digest::of_parts([tenant.as_str().as_bytes(), name.as_str().as_bytes()]))
}

/// The first 19 columns of every statement that gives sessions.
pub(super) struct SessionRow {
    /// Its number: its place in listings that are not by id.
    pub(super) seq: i64,
    pub(super) last_op: Option<Uuid>,
    pub(super) session: Session,
}

/// How many columns a [`SessionRow`] has: what else a statement gives follows them.
const COLUMNS: usize = 19;

impl FromRow<'_, PgRow> for SessionRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let at = |column: usize| row.try_get(column).map(|At(time)| time);
        let session = Session {
            id: SessionId(row.try_get(1)?),
            owner: UserScope { tenant: Tenant(name(row, 2)?), user: name(row, 3)? },
            created_at: at(4)?,
            last_seen_at: at(5)?,
            idle_expires_at: at(6)?,
            absolute_expires_at: at(7)?,
            token_issued_at: at(8)?,
            version: unsigned(row, 9)?,
            origin: SessionOrigin {
                parent: row.try_get::<Option<Uuid>, _>(11)?.map(SessionId),
                auth_hash: row.try_get::<Option<Hash>, _>(12)?.map(|hash| hash.0),
                cluster: optional_name(row, 13)?,
                correlation: optional_name(row, 14)?,
                service: optional_name(row, 15)?,
                ip: match row.try_get::<Option<&str>, _>(16)? {
                    Some(ip) => Some(ip.parse().map_err(decode)?),
                    None => None,
                },
                user_agent: optional_name(row, 17)?,
            },
            // None where the caller has just sent it.
            data: match row.try_get::<Option<&str>, _>(18)? {
                Some(data) => serde_json::from_str(data).map_err(decode)?,
                None => serde_json::Value::Null,
            },
        };
        Ok(Self { seq: row.try_get(0)?, last_op: row.try_get(10)?, session })
    }
}

/// A session and one column more.
pub(super) struct Judged<T>(pub(super) SessionRow, pub(super) T);

impl<T> FromRow<'_, PgRow> for Judged<T>
where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self(SessionRow::from_row(row)?, row.try_get(COLUMNS)?))
    }
}

/// What a rotation came to, and the session unless there is none.
pub(super) struct RotatedRow(pub(super) String, pub(super) Option<SessionRow>);

impl FromRow<'_, PgRow> for RotatedRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let outcome: String = row.try_get(COLUMNS)?;
        let session = (outcome != "none").then(|| SessionRow::from_row(row)).transpose()?;
        Ok(Self(outcome, session))
    }
}

/// A session with all that is kept of it.
pub(super) struct StoredRow {
    pub(super) seq: i64,
    pub(super) stored: StoredSession,
    /// Whether rows follow this one.
    pub(super) more: bool,
}

impl FromRow<'_, PgRow> for StoredRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let SessionRow { seq, last_op, session } = SessionRow::from_row(row)?;
        let hashes: Option<Vec<Hash>> = row.try_get(COLUMNS + 6)?;
        let replaced: Option<Vec<Option<Hash>>> = row.try_get(COLUMNS + 7)?;
        let ends: Option<Vec<Option<At>>> = row.try_get(COLUMNS + 8)?;
        let tokens = hashes.into_iter().flatten();
        let tokens = tokens.zip(replaced.into_iter().flatten()).zip(ends.into_iter().flatten());
        let tokens = tokens.map(|((hash, replaces), end)| StoredToken {
            hash: hash.0,
            replaces: replaces.map(|hash| hash.0),
            valid_until: end.map(|end| end.0),
        });
        let evicted: Vec<Uuid> = row.try_get(COLUMNS + 5)?;
        let stored = StoredSession {
            idle: ttl(row, COLUMNS + 2)?,
            retention: ttl(row, COLUMNS + 3)?,
            revision: unsigned(row, COLUMNS + 4)?,
            modified_at: row.try_get::<At, _>(COLUMNS + 1)?.0,
            revoked_at: row.try_get::<Option<At>, _>(COLUMNS)?.map(|at| at.0),
            last_op: last_op.map(OpId),
            evicted: evicted.into_iter().map(SessionId).collect(),
            tokens: tokens.collect(),
            session,
        };
        Ok(Self { seq, stored, more: row.try_get(COLUMNS + 9)? })
    }
}

fn decode(error: impl Into<BoxDynError>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

fn name(row: &PgRow, column: usize) -> sqlx::Result<Name> {
    Name::new(row.try_get::<String, _>(column)?).map_err(decode)
}

fn optional_name(row: &PgRow, column: usize) -> sqlx::Result<Option<Name>> {
    let text: Option<String> = row.try_get(column)?;
    text.map(Name::new).transpose().map_err(decode)
}

fn unsigned(row: &PgRow, column: usize) -> sqlx::Result<u64> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(decode)
}

fn ttl(row: &PgRow, column: usize) -> sqlx::Result<Ttl> {
    Ttl::try_from(unsigned(row, column)?).map_err(decode)
}

/// A place in a listing: what the listing is, and the key of the last row in hex.
pub(super) fn cursor(mark: &str, key: &[u8]) -> Cursor {
    Cursor(format!("{mark}{}", to_hex(key)))
}

/// The id after which a listing of an owner goes on.
pub(super) fn after_id(operation: &'static str, mark: &str, cursor: &Cursor) -> Result<Uuid> {
    position(operation, mark, cursor).map(Uuid::from_bytes)
}

/// The number after which any other listing goes on.
pub(super) fn after_seq(operation: &'static str, mark: &str, cursor: &Cursor) -> Result<i64> {
    position(operation, mark, cursor).map(i64::from_be_bytes)
}

fn position<const BYTES: usize>(
    operation: &'static str,
    mark: &str,
    cursor: &Cursor,
) -> Result<[u8; BYTES]> {
    // The length first: a cursor of a megabyte is refused without reading it.
    let hex = cursor.0.strip_prefix(mark).filter(|hex| hex.len() == BYTES * 2);
    hex.and_then(from_hex)
        .and_then(|key| key.try_into().ok())
        .ok_or_else(|| cursor.refused(operation))
}
