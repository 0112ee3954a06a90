//! Rows as commands, and commands as rows.

use hexmem_ports::rules::{CommandCore, RetryPolicy, Settlement, Stage};
use hexmem_ports::{CommandId, Digest, LeaseToken, Name, Timestamp, Ttl};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use crate::value::{At, Hash};

/// Ready again: a command that waited, ran or was restored before. New ones are at 0.
pub(super) const AGAIN: i16 = 8;

/// A command as the database has it.
pub(super) struct Filed {
    /// The queue's key.
    pub(super) queue: i64,
    /// The store's present when it was read.
    pub(super) now: Timestamp,
    /// Where it was filed.
    pub(super) stage: Stage,
    /// What the shared state machine has of it.
    pub(super) core: CommandCore,
    pub(super) payload: Vec<u8>,
    pub(super) headers: Value,
    pub(super) result: Option<Vec<u8>>,
}

type Read<T> = sqlx::Result<T>;

pub(super) fn corrupt(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

pub(super) fn time(row: &PgRow, column: &str) -> Read<Timestamp> {
    row.try_get::<At, _>(column).map(|at| at.0)
}

pub(super) fn time_or_none(row: &PgRow, column: &str) -> Read<Option<Timestamp>> {
    row.try_get::<Option<At>, _>(column).map(|at| at.map(|at| at.0))
}

/// A `bigint` that is a count, or a part of a rule.
pub(super) fn number<T: TryFrom<i64>>(row: &PgRow, column: &str) -> Read<T> {
    T::try_from(row.try_get(column)?).map_err(|_| corrupt("a number out of range"))
}

pub(super) fn name(text: String) -> Read<Name> {
    Name::new(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) fn json<T: for<'de> serde::Deserialize<'de>>(text: &str) -> Read<T> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) fn ttl(micros: u64) -> Read<Ttl> {
    Ttl::try_from(micros).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A count as the columns hold it. Nothing that this program counts comes near the end of i64.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count of at most 32 bits, as `integer` columns hold it.
pub(super) fn small(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

pub(super) fn lease(id: CommandId, bytes: &[u8]) -> Read<LeaseToken> {
    let parts = bytes.split_first_chunk::<4>().and_then(|(attempt, secret)| {
        let secret = u128::from_be_bytes(secret.try_into().ok()?);
        Some(LeaseToken { command: id, attempt: u32::from_be_bytes(*attempt), secret })
    });
    parts.ok_or_else(|| corrupt("a lease that is none"))
}

pub(super) fn lease_bytes(lease: &LeaseToken) -> Vec<u8> {
    let mut bytes = lease.attempt.to_be_bytes().to_vec();
    bytes.extend(lease.secret.to_be_bytes());
    bytes
}

/// SHA-256 of a group's name, as the index has it.
pub(super) fn group_hash(group: &Name) -> Hash {
    Hash(Digest::of(group.as_str().as_bytes()))
}

/// The number that the tables have for a stage.
pub(super) fn place(stage: Stage) -> i16 {
    match stage {
        Stage::Ready => AGAIN,
        other => i16::try_from(other.number()).unwrap_or(AGAIN),
    }
}

/// A settlement as the column has it.
pub(super) fn settlement(settlement: &Settlement) -> Option<String> {
    match settlement {
        Settlement::Open => None,
        other => serde_json::to_string(other).ok(),
    }
}

fn stage(row: &PgRow) -> Read<Stage> {
    let number: i16 = row.try_get("stage")?;
    if number == AGAIN {
        return Ok(Stage::Ready);
    }
    let place = usize::try_from(number).ok();
    let found = place.and_then(|place| Stage::ALL.get(place)).copied();
    found.ok_or_else(|| corrupt("an unknown stage"))
}

impl Filed {
    /// Whether it stood at the head of its group, or in none, when it was read.
    pub(super) fn was_head(&self) -> bool {
        self.stage != Stage::Blocked
    }
}

/// From a row of `queue_any` with the present beside it.
impl FromRow<'_, PgRow> for Filed {
    fn from_row(row: &PgRow) -> Read<Self> {
        let stage = stage(row)?;
        let id = CommandId(row.try_get::<Uuid, _>("id")?);
        let retry = RetryPolicy {
            max_attempts: attempts(row, "max_attempts")?,
            base_ms: number(row, "base_ms")?,
            cap_ms: number(row, "cap_ms")?,
            jitter_percent: u8::try_from(row.try_get::<i16, _>("jitter_percent")?)
                .map_err(|_| corrupt("a number out of range"))?,
        };
        let text = |column| row.try_get::<Option<String>, _>(column);
        let core = CommandCore {
            id,
            version: number(row, "version")?,
            modified_at: time(row, "modified_at")?,
            sequence: number(row, "sequence")?,
            priority: row.try_get("priority")?,
            group: text("group_name")?.map(name).transpose()?,
            retry,
            result_ttl: ttl(number(row, "result_ttl")?)?,
            enqueued_at: time(row, "enqueued_at")?,
            deadline: time_or_none(row, "deadline")?,
            state: stage.state(),
            attempts: attempts(row, "attempts")?,
            ready_at: time(row, "ready_at")?,
            leased_until: time_or_none(row, "leased_until")?,
            worker: text("worker")?.map(name).transpose()?,
            lease: row
                .try_get::<Option<&[u8]>, _>("lease")?
                .map(|bytes| lease(id, bytes))
                .transpose()?,
            settlement: text("settlement")?.as_deref().map(json).transpose()?.unwrap_or_default(),
            cancel_requested: row.try_get("cancel_requested")?,
            progress: text("progress")?.as_deref().map(json).transpose()?,
            last_error: text("last_error")?,
            ended_at: time_or_none(row, "ended_at")?,
            deleted_at: time_or_none(row, "deleted_at")?,
        };
        Ok(Self {
            queue: row.try_get("queue")?,
            now: time(row, "now")?,
            stage,
            core,
            payload: row.try_get("payload")?,
            headers: json(row.try_get::<&str, _>("headers")?)?,
            result: row.try_get("result")?,
        })
    }
}

fn attempts(row: &PgRow, column: &str) -> Read<u32> {
    u32::try_from(row.try_get::<i32, _>(column)?).map_err(|_| corrupt("a number out of range"))
}
