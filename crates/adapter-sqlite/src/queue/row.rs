//! Rows as commands, and commands as rows.

use hexmem_ports::rules::{CommandCore, RetryPolicy, Settlement, Stage};
use hexmem_ports::{
    CommandId, Digest, LeaseToken, Name, Result, StoredCommand, Timestamp, Ttl, to_hex,
};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row as _, Sqlite};
use uuid::Uuid;

use crate::Work;

/// A command as it lies in the file.
pub(super) struct Filed {
    /// Its row.
    pub(super) row: i64,
    /// Where it was filed when it was read.
    pub(super) stage: Stage,
    /// The rest, as the shared state machine has it.
    pub(super) core: CommandCore,
}

type Read<T> = sqlx::Result<T>;

fn corrupt(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

fn time(row: &SqliteRow, column: &str) -> Read<Timestamp> {
    instant(row.try_get(column)?)
}

pub(super) fn instant(micros: i64) -> Read<Timestamp> {
    Timestamp::from_micros(micros).ok_or_else(|| corrupt("an instant out of range"))
}

pub(super) fn time_or_none(row: &SqliteRow, column: &str) -> Read<Option<Timestamp>> {
    row.try_get::<Option<i64>, _>(column)?.map(instant).transpose()
}

pub(super) fn number<T: TryFrom<i64>>(row: &SqliteRow, column: &str) -> Read<T> {
    T::try_from(row.try_get(column)?).map_err(|_| corrupt("a number out of range"))
}

pub(super) fn name(text: String) -> Read<Name> {
    Name::new(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) fn json<T: for<'de> serde::Deserialize<'de>>(text: &str) -> Read<T> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) fn command_id(row: &SqliteRow, column: &str) -> Read<CommandId> {
    let bytes: Vec<u8> = row.try_get(column)?;
    Uuid::from_slice(&bytes).map(CommandId).map_err(|_| corrupt("an id that is none"))
}

fn lease(id: CommandId, bytes: &[u8]) -> Read<LeaseToken> {
    let parts = bytes.split_first_chunk::<4>().and_then(|(attempt, secret)| {
        let secret = u128::from_be_bytes(secret.try_into().ok()?);
        Some(LeaseToken { command: id, attempt: u32::from_be_bytes(*attempt), secret })
    });
    parts.ok_or_else(|| corrupt("a lease that is none"))
}

fn lease_bytes(lease: &LeaseToken) -> Vec<u8> {
    let mut bytes = lease.attempt.to_be_bytes().to_vec();
    bytes.extend(lease.secret.to_be_bytes());
    bytes
}

impl Filed {
    /// From a row of `queue_command`.
    pub(super) fn read(row: &SqliteRow) -> Read<Self> {
        let number_of_stage: usize = number(row, "stage")?;
        let stage = *Stage::ALL.get(number_of_stage).ok_or_else(|| corrupt("an unknown stage"))?;
        let id = command_id(row, "id")?;
        let retry = RetryPolicy {
            max_attempts: number(row, "max_attempts")?,
            base_ms: number(row, "base_ms")?,
            cap_ms: number(row, "cap_ms")?,
            jitter_percent: number(row, "jitter_percent")?,
        };
        let result_ttl = Ttl::try_from(number::<u64>(row, "result_ttl")?)
            .map_err(|error| sqlx::Error::Decode(error.into()))?;
        let text = |column| row.try_get::<Option<String>, _>(column);
        let core = CommandCore {
            id,
            version: number(row, "version")?,
            modified_at: time(row, "modified_at")?,
            sequence: number(row, "sequence")?,
            priority: number(row, "priority")?,
            group: text("group_name")?.map(name).transpose()?,
            retry,
            result_ttl,
            enqueued_at: time(row, "enqueued_at")?,
            deadline: time_or_none(row, "deadline")?,
            state: stage.state(),
            attempts: number(row, "attempts")?,
            ready_at: time(row, "ready_at")?,
            leased_until: time_or_none(row, "leased_until")?,
            worker: text("worker")?.map(name).transpose()?,
            lease: row
                .try_get::<Option<Vec<u8>>, _>("lease")?
                .map(|bytes| lease(id, &bytes))
                .transpose()?,
            settlement: json::<Settlement>(&row.try_get::<String, _>("settlement")?)?,
            cancel_requested: row.try_get("cancel_requested")?,
            progress: text("progress")?.as_deref().map(json).transpose()?,
            last_error: text("last_error")?,
            ended_at: time_or_none(row, "ended_at")?,
            deleted_at: time_or_none(row, "deleted_at")?,
        };
        Ok(Self { row: row.try_get("row")?, stage, core })
    }
}

/// Payload and headers of a row that has them.
pub(super) fn body(row: &SqliteRow) -> Read<(Vec<u8>, serde_json::Value)> {
    Ok((row.try_get("payload")?, json(&row.try_get::<String, _>("headers")?)?))
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_micros)
}

/// A count as SQLite holds it. Nothing that this program counts comes near the end of i64.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Binds what can change, in the order in which `insert.sql` and `update.sql` name it.
fn changing<'q>(
    query: Query<'q>,
    core: &CommandCore,
    stage: Stage,
) -> std::result::Result<Query<'q>, serde_json::Error> {
    Ok(query
        .bind(stage.number())
        .bind(signed(core.sequence))
        .bind(micros(core.due_at(stage)))
        .bind(micros(core.free_at()))
        .bind(signed(core.version))
        .bind(core.modified_at.as_micros())
        .bind(core.ready_at.as_micros())
        .bind(micros(core.deadline))
        .bind(i64::from(core.attempts))
        .bind(micros(core.leased_until))
        .bind(core.worker.as_ref().map(|worker| worker.as_str().to_owned()))
        .bind(core.lease.as_ref().map(lease_bytes))
        .bind(serde_json::to_string(&core.settlement)?)
        .bind(core.cancel_requested)
        .bind(core.progress.as_ref().map(ToString::to_string))
        .bind(core.last_error.clone())
        .bind(micros(core.ended_at))
        .bind(micros(core.deleted_at)))
}

/// The row and what can change, in the order in which `update_many.sql` takes it.
fn listed(filed: &Filed, stage: Stage) -> serde_json::Result<serde_json::Value> {
    let core = &filed.core;
    Ok(serde_json::json!([
        filed.row,
        stage.number(),
        signed(core.sequence),
        micros(core.due_at(stage)),
        micros(core.free_at()),
        signed(core.version),
        core.modified_at.as_micros(),
        core.ready_at.as_micros(),
        micros(core.deadline),
        core.attempts,
        micros(core.leased_until),
        core.worker.as_ref().map(Name::as_str),
        core.lease.as_ref().map(|lease| to_hex(&lease_bytes(lease))),
        serde_json::to_string(&core.settlement)?,
        u8::from(core.cancel_requested),
        core.progress.as_ref().map(ToString::to_string),
        core.last_error,
        micros(core.ended_at),
        micros(core.deleted_at),
    ]))
}

/// SHA-256 of a group's name, as the index has it.
pub(super) fn group_hash(group: &Name) -> Vec<u8> {
    Digest::of(group.as_str().as_bytes()).0.to_vec()
}

impl Work<'_> {
    /// Writes a step of the state machine down. `head`: no older one of its group is unfinished. When one
    /// of a group ends, the oldest one left is its head.
    pub(super) async fn file_command(
        &mut self,
        queue: i64,
        filed: &Filed,
        head: bool,
    ) -> Result<()> {
        let stage = filed.core.stage(head, self.now());
        let query = sqlx::query(include_str!("../sql/queue/update.sql")).bind(filed.row);
        let query = changing(query, &filed.core, stage).map_err(|e| self.unwritable(e))?;
        query.execute(self.connection()).await.map_err(|e| self.error(e))?;
        self.follow(queue, filed, stage).await
    }

    /// Likewise for many, by one statement: a statement each is a turn of the connection's thread each.
    pub(super) async fn file_commands(&mut self, queue: i64, many: &[&Filed]) -> Result<()> {
        // SQLite ends a string of JSON at a NUL. Names have none, and what `fail` keeps has none.
        let listable = many
            .iter()
            .all(|one| one.core.last_error.as_ref().is_none_or(|error| !error.contains('\0')));
        if many.len() < 2 || !listable {
            for filed in many {
                self.file_command(queue, filed, filed.was_head()).await?;
            }
            return Ok(());
        }
        let now = self.now();
        let mut rows = Vec::with_capacity(many.len());
        for filed in many {
            let row = listed(filed, filed.core.stage(filed.was_head(), now));
            rows.push(row.map_err(|e| self.unwritable(e))?);
        }
        sqlx::query(include_str!("../sql/queue/update_many.sql"))
            .bind(serde_json::Value::from(rows).to_string())
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        for filed in many {
            self.follow(queue, filed, filed.core.stage(filed.was_head(), now)).await?;
        }
        Ok(())
    }

    /// When one of a group ended, the next one takes its place, if that was the head: the row as it was read does
    /// not say, since another that ended in this transaction may have made it the head.
    async fn follow(&mut self, queue: i64, filed: &Filed, stage: Stage) -> Result<()> {
        match &filed.core.group {
            Some(group) if !stage.is_unfinished() => self.advance_group(queue, group).await,
            _ => Ok(()),
        }
    }

    /// Writes a new command with its payload; returns its row.
    pub(super) async fn insert_command(
        &mut self,
        queue: i64,
        command: &StoredCommand,
        head: bool,
    ) -> Result<i64> {
        let core = &command.core;
        let stage = core.stage(head, self.now());
        let query = sqlx::query(include_str!("../sql/queue/insert.sql"))
            .bind(queue)
            .bind(core.id.0.as_bytes().to_vec())
            .bind(i64::from(core.priority))
            .bind(core.group.as_ref().map(|group| group.as_str().to_owned()))
            .bind(core.group.as_ref().map(group_hash))
            .bind(core.enqueued_at.as_micros())
            .bind(i64::from(core.retry.max_attempts))
            .bind(signed(core.retry.base_ms))
            .bind(signed(core.retry.cap_ms))
            .bind(i64::from(core.retry.jitter_percent))
            .bind(core.result_ttl.as_micros());
        let query = changing(query, core, stage).map_err(|e| self.unwritable(e))?;
        let inserted = query.fetch_one(self.connection()).await.map_err(|e| self.error(e))?;
        let row: i64 = inserted.try_get("row").map_err(|e| self.error(e))?;
        if core.deleted_at.is_none() {
            sqlx::query(include_str!("../sql/queue/insert_body.sql"))
                .bind(row)
                .bind(command.payload.as_slice())
                .bind(command.headers.to_string())
                .execute(self.connection())
                .await
                .map_err(|e| self.error(e))?;
        }
        if let Some(result) = &command.result {
            self.insert_result(row, result).await?;
        }
        Ok(row)
    }

    /// Keeps a result.
    pub(super) async fn insert_result(&mut self, row: i64, result: &[u8]) -> Result<()> {
        sqlx::query(include_str!("../sql/queue/insert_result.sql"))
            .bind(row)
            .bind(result)
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        Ok(())
    }

    /// The oldest unfinished command of a group becomes its head.
    pub(super) async fn advance_group(&mut self, queue: i64, group: &Name) -> Result<()> {
        let now = self.now().as_micros();
        sqlx::query(include_str!("../sql/queue/group_advance.sql"))
            .bind(queue)
            .bind(group_hash(group))
            .bind(now)
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        Ok(())
    }

    fn unwritable(&self, error: serde_json::Error) -> hexmem_ports::Error {
        hexmem_ports::Error::new(
            hexmem_ports::ErrorKind::Internal,
            self.operation(),
            "a command cannot be written as JSON",
        )
        .caused_by(error)
    }
}
