//! Recurring commands.

use hexmem_ports::rules::{schedule_cursor, schedule_cursor_of};
use hexmem_ports::{
    Cursor, Error, Fired, Limit, Name, NewCommand, Page, QueueId, Result, Schedule, Timestamp,
    WhenIdle, check_json,
};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::SqliteQueue;
use super::row::{instant, json, name, number, signed, time_or_none};
use crate::Work;

/// A schedule as the file has it.
pub(super) struct ScheduleRow {
    pub(super) schedule: Schedule,
    put_over: Option<i64>,
    pub(super) modified_at: Timestamp,
    pub(super) deleted_at: Option<Timestamp>,
}

impl ScheduleRow {
    pub(super) fn read(row: &SqliteRow) -> sqlx::Result<Self> {
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
            modified_at: instant(row.try_get("modified_at")?)?,
            deleted_at: time_or_none(row, "deleted_at")?,
        })
    }

    /// The version that a put must expect.
    fn present(&self) -> u64 {
        if self.deleted_at.is_some() { 0 } else { self.schedule.version }
    }
}

impl SqliteQueue {
    pub(super) async fn write_schedule(
        &self,
        queue: &QueueId,
        mut schedule: Schedule,
        expected: u64,
    ) -> Result<u64> {
        check_json("queue.put_schedule", &schedule.spec)?;
        schedule.template.check("queue.put_schedule")?;
        let mut tx = self.database.write("queue.put_schedule").await?;
        let now = tx.now();
        let found = tx.work().open_queue(queue).await?;
        let kept = tx.work().find_schedule(found.queue, &schedule.name).await?;
        let present = kept.as_ref().map_or(0, ScheduleRow::present);
        if present != expected {
            let repeat = kept.as_ref().is_some_and(|kept| {
                kept.put_over.is_some_and(|over| over == signed(expected))
                    && kept.deleted_at.is_none()
                    && kept.schedule.same_rule(&schedule)
            });
            if repeat {
                return Ok(present);
            }
            return Err(Error::conflict(
                "queue.put_schedule",
                format!("the schedule has version {present}, not {expected}; read it again"),
            )
            .with("schedule", &schedule.name));
        }
        schedule.version = kept.map_or(0, |kept| kept.schedule.version) + 1;
        let version = schedule.version;
        tx.work().put_schedule(found.queue, &schedule, Some(expected), now, None).await?;
        tx.commit().await?;
        Ok(version)
    }

    pub(super) async fn remove_schedule(&self, queue: &QueueId, name: &Name) -> Result<bool> {
        let mut tx = self.database.write("queue.delete_schedule").await?;
        let now = tx.now().as_micros();
        let Some(found) = tx.work().find_queue(queue).await? else { return Ok(false) };
        let done = sqlx::query(include_str!("../sql/queue/schedule_delete.sql"))
            .bind(found.queue)
            .bind(name.as_str())
            .bind(now)
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    pub(super) async fn schedule_page(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Schedule>> {
        let after =
            cursor.as_ref().map(schedule_cursor).transpose()?.map(String::from).unwrap_or_default();
        let mut read = self.database.read("queue.schedules").await?;
        let rows = sqlx::query(include_str!("../sql/queue/schedules.sql"))
            .bind(queue.digest().0.to_vec())
            .bind(after)
            .bind(limit.get() + 1)
            .fetch_all(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        let found = rows.iter().map(|row| ScheduleRow::read(row).map(|found| found.schedule));
        let found = found.collect::<sqlx::Result<Vec<_>>>().map_err(|e| read.error(e))?;
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
        let mut tx = self.database.write("queue.fire").await?;
        let now = tx.now().as_micros();
        let Some(found) = tx.work().find_queue(queue).await? else { return Ok(Fired::Lost) };
        let moved = sqlx::query(include_str!("../sql/queue/schedule_fire.sql"))
            .bind(found.queue)
            .bind(name.as_str())
            .bind(signed(expected))
            .bind(now)
            .bind(next_at.map(Timestamp::as_micros))
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        if moved.rows_affected() == 0 {
            let fired_before = tx.work().find_command(found.queue, command.id).await?.is_some();
            return Ok(if fired_before { Fired::Enqueued } else { Fired::Lost });
        }
        tx.work().enqueue_all(queue, vec![command], WhenIdle::Store).await?;
        tx.commit().await?;
        Ok(Fired::Enqueued)
    }
}

impl Work<'_> {
    pub(super) async fn find_schedule(
        &mut self,
        queue: i64,
        name: &Name,
    ) -> Result<Option<ScheduleRow>> {
        let row = sqlx::query(include_str!("../sql/queue/schedule.sql"))
            .bind(queue)
            .bind(name.as_str())
            .fetch_optional(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        row.as_ref().map(ScheduleRow::read).transpose().map_err(|e| self.error(e))
    }

    pub(super) async fn put_schedule(
        &mut self,
        queue: i64,
        schedule: &Schedule,
        put_over: Option<u64>,
        modified_at: Timestamp,
        deleted_at: Option<Timestamp>,
    ) -> Result<()> {
        let template = serde_json::to_string(&schedule.template).map_err(|error| {
            Error::new(
                hexmem_ports::ErrorKind::Internal,
                self.operation(),
                "a schedule's template cannot be written as JSON",
            )
            .caused_by(error)
        })?;
        sqlx::query(include_str!("../sql/queue/schedule_put.sql"))
            .bind(queue)
            .bind(schedule.name.as_str())
            .bind(schedule.spec.to_string())
            .bind(schedule.next_at.map(Timestamp::as_micros))
            .bind(signed(schedule.version))
            .bind(put_over.map(signed))
            .bind(template)
            .bind(modified_at.as_micros())
            .bind(deleted_at.map(Timestamp::as_micros))
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        Ok(())
    }
}
