//! The records of the queues of a file.

use async_trait::async_trait;
use hexmem_ports::rules::{CommandCore, QueuePlace, QueueSection};
use hexmem_ports::{
    CommandId, Cursor, DedupeEntry, Limit, Name, Page, QueueEntry, QueueId, QueueRecord, Record,
    RecordKind, Records, Restored, Result, Schedule, StoredCommand, Tenant, Timestamp,
};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::SqliteQueue;
use super::row::{Filed, body, command_id, group_hash, instant, name, number, signed};
use super::schedules::ScheduleRow;
use super::steps::QueueRow;
use crate::{ReadTx, Work};

/// Sections in order, each by the queue's row and by key.
type Place = QueuePlace<i64>;

type Found = (Place, QueueEntry);

fn queue_of(row: &SqliteRow, column: &str) -> sqlx::Result<QueueId> {
    Ok(QueueId::new(Tenant(name(row.try_get("tenant")?)?), name(row.try_get(column)?)?))
}

fn command(row: &SqliteRow) -> sqlx::Result<Found> {
    let core = Filed::read(row)?.core;
    let place = Place {
        section: QueueSection::Commands,
        queue: row.try_get("queue")?,
        key: core.id.0.simple().to_string(),
    };
    let (version, modified_at, deleted_at) = (core.version, core.modified_at, core.deleted_at);
    let what = if deleted_at.is_some() {
        QueueRecord::PurgedCommand(core.id)
    } else {
        let (payload, headers) = body(row)?;
        let result = row.try_get("result")?;
        QueueRecord::Command(Box::new(StoredCommand { core, payload, headers, result }))
    };
    let queue = queue_of(row, "name")?;
    Ok((place, QueueEntry { queue, version, modified_at, deleted_at, what }))
}

fn dedupe(row: &SqliteRow) -> sqlx::Result<Found> {
    let key: String = row.try_get("key")?;
    let entry = DedupeEntry {
        key: name(key.clone())?,
        command: command_id(row, "command")?,
        until: instant(row.try_get("until")?)?,
    };
    let place = Place { section: QueueSection::Dedupe, queue: row.try_get("queue")?, key };
    let entry = QueueEntry {
        queue: queue_of(row, "queue_name")?,
        version: 1,
        modified_at: instant(row.try_get("set_at")?)?,
        deleted_at: None,
        what: QueueRecord::Dedupe(entry),
    };
    Ok((place, entry))
}

fn limits(row: &SqliteRow) -> sqlx::Result<Found> {
    let found = QueueRow::read(row)?;
    let place = Place { section: QueueSection::Limits, queue: found.queue, key: String::new() };
    let entry = QueueEntry {
        queue: queue_of(row, "name")?,
        version: found.limits_version,
        modified_at: found.limits_modified_at.unwrap_or(Timestamp::MIN),
        deleted_at: None,
        what: QueueRecord::Limits(found.limits),
    };
    Ok((place, entry))
}

fn schedule(row: &SqliteRow) -> sqlx::Result<Found> {
    let found = ScheduleRow::read(row)?;
    let key = found.schedule.name.to_string();
    let place = Place { section: QueueSection::Schedules, queue: row.try_get("queue")?, key };
    let version = found.schedule.version;
    let what = match found.deleted_at {
        Some(_) => QueueRecord::DeletedSchedule(found.schedule.name),
        None => QueueRecord::Schedule(Box::new(found.schedule)),
    };
    let entry = QueueEntry {
        queue: queue_of(row, "queue_name")?,
        version,
        modified_at: found.modified_at,
        deleted_at: found.deleted_at,
        what,
    };
    Ok((place, entry))
}

async fn section(
    read: &mut ReadTx,
    section: QueueSection,
    after: Option<&Place>,
    most: i64,
) -> Result<Vec<Found>> {
    let queue = after.map_or(i64::MIN, |place| place.queue);
    let key = after.map(|place| place.key.clone()).unwrap_or_default();
    let (query, parse): (_, fn(&SqliteRow) -> sqlx::Result<Found>) = match section {
        QueueSection::Commands => {
            let key = hexmem_ports::from_hex(&key).unwrap_or_default();
            let query = sqlx::query(include_str!("../sql/queue/scan_commands.sql"));
            (query.bind(queue).bind(key), command)
        }
        QueueSection::Dedupe => {
            let query = sqlx::query(include_str!("../sql/queue/scan_dedupe.sql"));
            (query.bind(queue).bind(key), dedupe)
        }
        QueueSection::Limits => {
            (sqlx::query(include_str!("../sql/queue/scan_limits.sql")).bind(queue), limits)
        }
        QueueSection::Schedules => {
            let query = sqlx::query(include_str!("../sql/queue/scan_schedules.sql"));
            (query.bind(queue).bind(key), schedule)
        }
    };
    let rows = query.bind(most).fetch_all(read.connection()).await.map_err(|e| read.error(e))?;
    rows.iter().map(parse).collect::<sqlx::Result<_>>().map_err(|e| read.error(e))
}

#[async_trait]
impl Records for SqliteQueue {
    fn kind(&self) -> RecordKind {
        RecordKind::Queue
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let after = Place::read("records.scan", cursor.as_ref())?;
        let mut read = self.database.snapshot("records.scan").await?;
        let most = i64::from(limit.get()) + 1;
        let mut found: Vec<Found> = Vec::new();
        for part in QueueSection::ALL {
            if after.as_ref().is_some_and(|place| place.section > part) {
                continue;
            }
            let after = after.as_ref().filter(|place| place.section == part);
            let left = most - i64::try_from(found.len()).unwrap_or(most);
            if left > 0 {
                found.extend(section(&mut read, part, after, left).await?);
            }
        }
        Place::page(found, limit)
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let entries =
            records.into_iter().map(QueueEntry::from_record).collect::<Result<Vec<_>>>()?;
        let mut tx = self.database.write("records.restore").await?;
        let mut answers = Vec::with_capacity(entries.len());
        let mut queues = std::collections::HashSet::new();
        for entry in entries {
            queues.insert(entry.queue.digest());
            answers.push(tx.work().restore_entry(entry).await?);
        }
        tx.commit().await?;
        for queue in queues {
            self.database.bells().ring(&queue);
        }
        Ok(answers)
    }
}

impl Work<'_> {
    /// Writes an entry that is newer than what is held.
    async fn restore_entry(&mut self, entry: QueueEntry) -> Result<Restored> {
        let found = self.open_queue(&entry.queue).await?;
        let queue = found.queue;
        let held = match &entry.what {
            QueueRecord::Command(command) => self.command_stamp(queue, command.core.id).await?,
            QueueRecord::PurgedCommand(id) => self.command_stamp(queue, *id).await?,
            QueueRecord::Dedupe(dedupe) => self.dedupe_stamp(queue, &dedupe.key).await?,
            QueueRecord::Limits(_) => found.limits_modified_at.map(|at| (found.limits_version, at)),
            QueueRecord::Schedule(schedule) => self.schedule_stamp(queue, &schedule.name).await?,
            QueueRecord::DeletedSchedule(name) => self.schedule_stamp(queue, name).await?,
        };
        let (version, modified_at) = (entry.version, entry.modified_at);
        if held.is_some_and(|held| held >= (version, modified_at)) {
            return Ok(Restored::Kept);
        }
        match entry.what {
            QueueRecord::Command(command) => self.replace_command(queue, &command).await?,
            QueueRecord::PurgedCommand(id) => {
                let at = entry.deleted_at.unwrap_or(modified_at);
                let core = CommandCore::tombstone(id, version, modified_at, at);
                let (payload, headers) = (Vec::new(), Value::Null);
                let tombstone = StoredCommand { core, payload, headers, result: None };
                self.replace_command(queue, &tombstone).await?;
            }
            QueueRecord::Dedupe(dedupe) => self.put_dedupe(queue, &dedupe, modified_at).await?,
            QueueRecord::Limits(limits) => {
                self.put_limits(queue, limits, version, modified_at).await?;
            }
            QueueRecord::Schedule(schedule) => {
                self.put_schedule(queue, &schedule, None, modified_at, None).await?;
            }
            QueueRecord::DeletedSchedule(name) => {
                let deleted_at = entry.deleted_at.or(Some(modified_at));
                let gone = Schedule::deleted(name, version);
                self.put_schedule(queue, &gone, None, modified_at, deleted_at).await?;
            }
        }
        Ok(Restored::Written)
    }

    async fn replace_command(&mut self, queue: i64, command: &StoredCommand) -> Result<()> {
        let now = self.now();
        let id = command.core.id.0.as_bytes().to_vec();
        let old = sqlx::query(include_str!("../sql/queue/command.sql"))
            .bind(queue)
            .bind(id)
            .fetch_optional(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        if let Some(old) = old {
            let row = old.try_get("row").map_err(|e| self.error(e))?;
            self.delete_command(row).await?;
        }
        sqlx::query(include_str!("../sql/queue/restore_sequence.sql"))
            .bind(queue)
            .bind(signed(command.core.sequence))
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        self.insert_command(queue, command, true).await?;
        if let Some(group) = &command.core.group
            && command.core.stage(true, now).is_unfinished()
        {
            sqlx::query(include_str!("../sql/queue/group_block.sql"))
                .bind(queue)
                .bind(group_hash(group))
                .execute(self.connection())
                .await
                .map_err(|e| self.error(e))?;
        }
        if let Some(group) = &command.core.group {
            self.advance_group(queue, group).await?;
        }
        Ok(())
    }

    async fn command_stamp(
        &mut self,
        queue: i64,
        id: CommandId,
    ) -> Result<Option<(u64, Timestamp)>> {
        let row = sqlx::query(include_str!("../sql/queue/command.sql"))
            .bind(queue)
            .bind(id.0.as_bytes().to_vec())
            .fetch_optional(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        let stamp =
            |row: &SqliteRow| Ok((number(row, "version")?, instant(row.try_get("modified_at")?)?));
        row.as_ref().map(stamp).transpose().map_err(|e| self.error(e))
    }

    async fn schedule_stamp(
        &mut self,
        queue: i64,
        name: &Name,
    ) -> Result<Option<(u64, Timestamp)>> {
        let kept = self.find_schedule(queue, name).await?;
        Ok(kept.map(|kept| (kept.schedule.version, kept.modified_at)))
    }

    async fn dedupe_stamp(&mut self, queue: i64, key: &Name) -> Result<Option<(u64, Timestamp)>> {
        let at: Option<i64> = sqlx::query_scalar(include_str!("../sql/queue/dedupe_stamp.sql"))
            .bind(queue)
            .bind(key.as_str())
            .fetch_optional(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        let at = at.map(instant).transpose().map_err(|e| self.error(e))?;
        Ok(at.map(|at| (1, at)))
    }
}
