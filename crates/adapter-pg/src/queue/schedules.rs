//! Recurring commands.

use hexmem_ports::rules::{schedule_cursor, schedule_cursor_of};
use hexmem_ports::{
    Cursor, Digest, Error, Fired, Limit, Name, NewCommand, Page, QueueId, Result, Schedule,
    Timestamp, WhenIdle, check_json,
};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::row::{AGAIN, json, name, number, signed, time, time_or_none};
use super::{PgQueue, one_more};
use crate::Tx;
use crate::query::Work;
use crate::value::{At, Hash};

/// How often a put looks again when another was faster with a first one.
const TRIES: u32 = 3;

/// A schedule as the database has it.
pub(super) struct ScheduleRow {
    pub(super) schedule: Schedule,
    put_over: Option<i64>,
    pub(super) modified_at: Timestamp,
    pub(super) deleted_at: Option<Timestamp>,
}

impl FromRow<'_, PgRow> for ScheduleRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let text = |column| row.try_get::<String, _>(column);
        Ok(Self {
            schedule: Schedule {
                name: name(text("name")?)?,
                spec: json(&text("spec")?)?,
                next_at: time_or_none(row, "next_at")?,
                version: number(row, "version")?,
                template: json(&text("template")?)?,
            },
            put_over: row.try_get("put_over")?,
            modified_at: time(row, "modified_at")?,
            deleted_at: time_or_none(row, "deleted_at")?,
        })
    }
}

impl ScheduleRow {
    /// The version that a put must expect.
    fn present(&self) -> u64 {
        if self.deleted_at.is_some() { 0 } else { self.schedule.version }
    }
}

/// SHA-256 of a name, as the index has it.
pub(super) fn name_hash(name: &Name) -> Hash {
    Hash(Digest::of(name.as_str().as_bytes()))
}

impl PgQueue {
    pub(super) async fn write_schedule(
        &self,
        queue: &QueueId,
        schedule: Schedule,
        expected: u64,
    ) -> Result<u64> {
        const OPERATION: &str = "queue.put_schedule";
        check_json(OPERATION, &schedule.spec)?;
        schedule.template.check(OPERATION)?;
        for _ in 0..TRIES {
            let mut tx = self.postgres.begin(OPERATION).await?;
            let put = tx.work().put_expected(queue, schedule.clone(), expected).await;
            if let Some(version) = tx.finish(put).await? {
                return Ok(version);
            }
        }
        Err(Error::conflict(OPERATION, "the schedule changes too often; repeat the call")
            .with("schedule", &schedule.name))
    }

    pub(super) async fn remove_schedule(&self, queue: &QueueId, name: &Name) -> Result<bool> {
        let removed = self
            .postgres
            .write("queue.delete_schedule", include_str!("../sql/queue/schedule_delete.sql"))
            .bind(Hash(queue.digest()))
            .bind(name_hash(name))
            .execute()
            .await?;
        Ok(removed > 0)
    }

    pub(super) async fn schedule_page(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Schedule>> {
        const OPERATION: &str = "queue.schedules";
        let after =
            cursor.as_ref().map(schedule_cursor).transpose()?.map(String::from).unwrap_or_default();
        let rows: Vec<ScheduleRow> = self
            .postgres
            .read(OPERATION, include_str!("../sql/queue/schedules.sql"))
            .bind(Hash(queue.digest()))
            .bind(after)
            .bind(one_more(limit))
            .fetch_all()
            .await?;
        let found = rows.into_iter().map(|row| row.schedule);
        Ok(Page::cut(found, limit, schedule_cursor_of))
    }

    pub(super) async fn fire_schedule(
        &self,
        queue: &QueueId,
        name: &Name,
        expected: u64,
        command: NewCommand,
        next_at: Option<Timestamp>,
    ) -> Result<Fired> {
        const OPERATION: &str = "queue.fire";
        command.check(OPERATION)?;
        let mut tx = self.postgres.begin(OPERATION).await?;
        let fired = self.fire_in(&mut tx, queue, name, expected, command, next_at).await;
        let fired = tx.finish(fired).await?;
        self.wake(queue);
        Ok(fired)
    }

    async fn fire_in(
        &self,
        tx: &mut Tx,
        queue: &QueueId,
        name: &Name,
        expected: u64,
        command: NewCommand,
        next_at: Option<Timestamp>,
    ) -> Result<Fired> {
        let moved = tx
            .query(include_str!("../sql/queue/schedule_fire.sql"))
            .bind(Hash(queue.digest()))
            .bind(name_hash(name))
            .bind(signed(expected))
            .bind(next_at.map(At))
            .execute()
            .await?;
        if moved == 0 {
            let seen: Option<(bool,)> = tx
                .query(include_str!("../sql/queue/seen.sql"))
                .bind(Hash(queue.digest()))
                .bind(command.id.0)
                .fetch_optional()
                .await?;
            let fired_before = seen.is_some_and(|(seen,)| seen);
            return Ok(if fired_before { Fired::Enqueued } else { Fired::Lost });
        }
        let query = tx.query(include_str!("../sql/queue/enqueue.sql"));
        self.send(query, queue, vec![command], WhenIdle::Store, AGAIN).await?;
        Ok(Fired::Enqueued)
    }
}

impl Work<'_> {
    /// The new version; `None` when another was faster with a first one.
    async fn put_expected(
        &mut self,
        queue: &QueueId,
        mut schedule: Schedule,
        expected: u64,
    ) -> Result<Option<u64>> {
        let found = self.open_queue(queue).await?;
        let kept = self.find_schedule(found.queue, &schedule.name).await?;
        let present = kept.as_ref().map_or(0, ScheduleRow::present);
        if present != expected {
            let repeat = kept.as_ref().is_some_and(|kept| {
                kept.put_over.is_some_and(|over| over == signed(expected))
                    && kept.deleted_at.is_none()
                    && kept.schedule.same_rule(&schedule)
            });
            if repeat {
                return Ok(Some(present));
            }
            return Err(Error::conflict(
                self.operation(),
                format!("the schedule has version {present}, not {expected}; read it again"),
            )
            .with("schedule", &schedule.name));
        }
        let held = kept.map_or(0, |kept| kept.schedule.version);
        schedule.version = held + 1;
        let version = schedule.version;
        let put =
            self.put_schedule(found.queue, &schedule, (Some(expected), held), None, None).await?;
        Ok(put.then_some(version))
    }

    pub(super) async fn find_schedule(
        &mut self,
        queue: i64,
        name: &Name,
    ) -> Result<Option<ScheduleRow>> {
        self.query(include_str!("../sql/queue/schedule.sql"))
            .bind(queue)
            .bind(name_hash(name))
            .fetch_optional()
            .await
    }

    /// Writes over the version `held`, or a first one; whether it was written. `modified_at`: the present where none
    /// is given.
    pub(super) async fn put_schedule(
        &mut self,
        queue: i64,
        schedule: &Schedule,
        (put_over, held): (Option<u64>, u64),
        modified_at: Option<Timestamp>,
        deleted_at: Option<Timestamp>,
    ) -> Result<bool> {
        let template = serde_json::to_string(&schedule.template).map_err(|error| {
            Error::new(
                hexmem_ports::ErrorKind::Internal,
                self.operation(),
                "a schedule's template cannot be written as JSON",
            )
            .caused_by(error)
        })?;
        let written = self
            .query(include_str!("../sql/queue/schedule_put.sql"))
            .bind(queue)
            .bind(name_hash(&schedule.name))
            .bind(schedule.name.as_str())
            .bind(schedule.spec.to_string())
            .bind(schedule.next_at.map(At))
            .bind(signed(schedule.version))
            .bind(put_over.map(signed))
            .bind(template)
            .bind(modified_at.map(At))
            .bind(deleted_at.map(At))
            .bind(signed(held))
            .execute()
            .await?;
        Ok(written > 0)
    }
}
