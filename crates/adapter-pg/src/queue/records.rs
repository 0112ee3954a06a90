//! The records of the queues of a schema.

use async_trait::async_trait;
use hexmem_ports::rules::{CommandCore, QueuePlace, QueueSection};
use hexmem_ports::{
    CommandId, Cursor, DedupeEntry, Digest, Limit, Name, Page, QueueEntry, QueueId, QueueRecord,
    Record, RecordKind, Records, Restored, Result, Schedule, StoredCommand, Tenant, Timestamp,
    from_hex, to_hex,
};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::manage::QueueRow;
use super::row::{Filed, group_hash, lease_bytes, name, place, settlement, signed, small, time};
use super::schedules::ScheduleRow;
use super::{PgQueue, one_more};
use crate::Tx;
use crate::query::Work;
use crate::value::{At, Hash};

/// Sections in order, each by the queue's row and by key.
type Place = QueuePlace<i64>;

/// An entry and where it stands.
struct Found<const SECTION: usize>(Place, QueueEntry);

fn queue_of(row: &PgRow, column: &str) -> sqlx::Result<QueueId> {
    Ok(QueueId::new(Tenant(name(row.try_get("tenant")?)?), name(row.try_get(column)?)?))
}

impl FromRow<'_, PgRow> for Found<0> {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let Filed { queue, core, payload, headers, result, .. } = Filed::from_row(row)?;
        let key = core.id.0.simple().to_string();
        let place = Place { section: QueueSection::Commands, queue, key };
        let (version, modified_at, deleted_at) = (core.version, core.modified_at, core.deleted_at);
        let what = if deleted_at.is_some() {
            QueueRecord::PurgedCommand(core.id)
        } else {
            QueueRecord::Command(Box::new(StoredCommand { core, payload, headers, result }))
        };
        let queue = queue_of(row, "name")?;
        Ok(Self(place, QueueEntry { queue, version, modified_at, deleted_at, what }))
    }
}

impl FromRow<'_, PgRow> for Found<1> {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let entry = DedupeEntry {
            key: name(row.try_get("key")?)?,
            command: CommandId(row.try_get("command")?),
            until: time(row, "until")?,
        };
        let key = to_hex(row.try_get::<&[u8], _>("key_hash")?);
        let place = Place { section: QueueSection::Dedupe, queue: row.try_get("queue")?, key };
        let entry = QueueEntry {
            queue: queue_of(row, "queue_name")?,
            version: 1,
            modified_at: time(row, "set_at")?,
            deleted_at: None,
            what: QueueRecord::Dedupe(entry),
        };
        Ok(Self(place, entry))
    }
}

impl FromRow<'_, PgRow> for Found<2> {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let found = QueueRow::from_row(row)?;
        let place = Place { section: QueueSection::Limits, queue: found.queue, key: String::new() };
        let entry = QueueEntry {
            queue: queue_of(row, "name")?,
            version: found.limits_version,
            modified_at: found.limits_modified_at.unwrap_or(Timestamp::MIN),
            deleted_at: None,
            what: QueueRecord::Limits(found.limits),
        };
        Ok(Self(place, entry))
    }
}

impl FromRow<'_, PgRow> for Found<3> {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let found = ScheduleRow::from_row(row)?;
        let key = to_hex(row.try_get::<&[u8], _>("name_hash")?);
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
        Ok(Self(place, entry))
    }
}

async fn section(
    read: &mut Tx,
    section: QueueSection,
    after: Option<&Place>,
    most: i64,
) -> Result<Vec<(Place, QueueEntry)>> {
    let queue = after.map_or(i64::MIN, |place| place.queue);
    let key = after.map(|place| place.key.clone()).unwrap_or_default();
    let bytes = from_hex(&key).unwrap_or_default();
    fn pairs<const S: usize>(found: Vec<Found<S>>) -> Vec<(Place, QueueEntry)> {
        found.into_iter().map(|found| (found.0, found.1)).collect()
    }
    Ok(match section {
        QueueSection::Commands => {
            let id = Uuid::from_slice(&bytes).unwrap_or_default();
            let query = read.query(include_str!("../sql/queue/scan_commands.sql"));
            pairs(query.bind(queue).bind(id).bind(most).fetch_all::<Found<0>>().await?)
        }
        QueueSection::Dedupe => {
            let query = read.query(include_str!("../sql/queue/scan_dedupe.sql"));
            pairs(query.bind(queue).bind(bytes).bind(most).fetch_all::<Found<1>>().await?)
        }
        QueueSection::Limits => {
            let query = read.query(include_str!("../sql/queue/scan_limits.sql"));
            pairs(query.bind(queue).bind(most).fetch_all::<Found<2>>().await?)
        }
        QueueSection::Schedules => {
            let query = read.query(include_str!("../sql/queue/scan_schedules.sql"));
            pairs(query.bind(queue).bind(bytes).bind(most).fetch_all::<Found<3>>().await?)
        }
    })
}

#[async_trait]
impl Records for PgQueue {
    fn kind(&self) -> RecordKind {
        RecordKind::Queue
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let after = Place::read("records.scan", cursor.as_ref())?;
        // One snapshot: a command that ends in the middle is in one of its two tables.
        let mut read = self.postgres.snapshot("records.scan").await?;
        let found = entries(&mut read, after.as_ref(), limit).await;
        read.rollback().await?;
        Place::page(found?, limit)
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        const OPERATION: &str = "records.restore";
        let entries =
            records.into_iter().map(QueueEntry::from_record).collect::<Result<Vec<_>>>()?;
        let mut queues: Vec<QueueId> = Vec::new();
        for entry in &entries {
            if !queues.contains(&entry.queue) {
                queues.push(entry.queue.clone());
            }
        }
        let mut tx = self.postgres.begin(OPERATION).await?;
        let answers = tx.work().restore_entries(entries, &mut queues).await;
        let answers = tx.finish(answers).await?;
        for queue in queues {
            self.ring(OPERATION, &queue).await?;
        }
        Ok(answers)
    }
}

async fn entries(
    read: &mut Tx,
    after: Option<&Place>,
    limit: Limit,
) -> Result<Vec<(Place, QueueEntry)>> {
    let most = one_more(limit);
    let mut found = Vec::new();
    for part in QueueSection::ALL {
        if after.is_some_and(|place| place.section > part) {
            continue;
        }
        let after = after.filter(|place| place.section == part);
        let left = most - i64::try_from(found.len()).unwrap_or(most);
        if left > 0 {
            found.extend(section(read, part, after, left).await?);
        }
    }
    Ok(found)
}

impl Work<'_> {
    /// Under the locks of all queues and groups that are named, taken in one order.
    async fn restore_entries(
        &mut self,
        entries: Vec<QueueEntry>,
        queues: &mut [QueueId],
    ) -> Result<Vec<Restored>> {
        queues.sort_by_key(|queue| queue.digest().0);
        let mut keys = Vec::with_capacity(queues.len());
        for queue in queues.iter() {
            let found = self.open_queue(queue).await?;
            self.query(include_str!("../sql/queue/lock.sql")).bind(found.queue).execute().await?;
            let groups: Vec<Hash> = entries
                .iter()
                .filter(|entry| entry.queue == *queue)
                .filter_map(|entry| match &entry.what {
                    QueueRecord::Command(command) => command.core.group.as_ref().map(group_hash),
                    _ => None,
                })
                .collect();
            self.query(include_str!("../sql/queue/lock_groups.sql"))
                .bind(found.queue)
                .bind(groups)
                .execute()
                .await?;
            keys.push((queue.digest(), found.queue));
        }
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            let digest = entry.queue.digest();
            let key = keys.iter().find(|(of, _)| *of == digest).map_or(0, |(_, key)| *key);
            answers.push(self.restore_entry(key, entry).await?);
        }
        Ok(answers)
    }

    /// Writes an entry that is newer than what is held.
    async fn restore_entry(&mut self, queue: i64, entry: QueueEntry) -> Result<Restored> {
        let held = self.stamp(queue, &entry.what).await?;
        let (version, modified_at) = (entry.version, entry.modified_at);
        if held.is_some_and(|held| held >= (version, modified_at)) {
            if let QueueRecord::Command(command) = &entry.what {
                self.advance(queue, command.core.group.as_ref()).await?;
            }
            return Ok(Restored::Kept);
        }
        let over = held.map_or(0, |held| held.0);
        match entry.what {
            QueueRecord::Command(command) => self.replace_command(queue, *command).await?,
            QueueRecord::PurgedCommand(id) => {
                let at = entry.deleted_at.unwrap_or(modified_at);
                let core = CommandCore::tombstone(id, version, modified_at, at);
                let (payload, headers) = (Vec::new(), Value::Null);
                let tombstone = StoredCommand { core, payload, headers, result: None };
                self.replace_command(queue, tombstone).await?;
            }
            QueueRecord::Dedupe(dedupe) => {
                self.query(include_str!("../sql/queue/dedupe_put.sql"))
                    .bind(queue)
                    .bind(group_hash(&dedupe.key))
                    .bind(dedupe.key.as_str())
                    .bind(dedupe.command.0)
                    .bind(At(dedupe.until))
                    .bind(At(modified_at))
                    .execute()
                    .await?;
            }
            QueueRecord::Limits(limits) => {
                self.put_limits(queue, limits, version, Some(modified_at)).await?;
            }
            QueueRecord::Schedule(schedule) => {
                let over = (None, over);
                self.put_schedule(queue, &schedule, over, Some(modified_at), None).await?;
            }
            QueueRecord::DeletedSchedule(name) => {
                let deleted_at = entry.deleted_at.or(Some(modified_at));
                let gone = Schedule::deleted(name, version);
                self.put_schedule(queue, &gone, (None, over), Some(modified_at), deleted_at)
                    .await?;
            }
        }
        Ok(Restored::Written)
    }

    /// How new what is held of an entity is.
    async fn stamp(&mut self, queue: i64, what: &QueueRecord) -> Result<Option<(u64, Timestamp)>> {
        let stamp: Option<(i64, At)> = match what {
            QueueRecord::Command(command) => self.command_stamp(queue, command.core.id).await?,
            QueueRecord::PurgedCommand(id) => self.command_stamp(queue, *id).await?,
            QueueRecord::Dedupe(dedupe) => {
                self.query(include_str!("../sql/queue/dedupe_stamp.sql"))
                    .bind(queue)
                    .bind(group_hash(&dedupe.key))
                    .fetch_optional()
                    .await?
            }
            QueueRecord::Limits(_) => {
                let row: QueueRow = self
                    .query(include_str!("../sql/queue/lock.sql"))
                    .bind(queue)
                    .fetch_one()
                    .await?;
                row.limits_modified_at.map(|at| (signed(row.limits_version), At(at)))
            }
            QueueRecord::Schedule(schedule) => self.schedule_stamp(queue, &schedule.name).await?,
            QueueRecord::DeletedSchedule(name) => self.schedule_stamp(queue, name).await?,
        };
        Ok(stamp.map(|(version, at)| (u64::try_from(version).unwrap_or(0), at.0)))
    }

    async fn command_stamp(&mut self, queue: i64, id: CommandId) -> Result<Option<(i64, At)>> {
        self.query(include_str!("../sql/queue/command_stamp.sql"))
            .bind(queue)
            .bind(id.0)
            .fetch_optional()
            .await
    }

    async fn schedule_stamp(&mut self, queue: i64, name: &Name) -> Result<Option<(i64, At)>> {
        let kept = self.find_schedule(queue, name).await?;
        Ok(kept.map(|kept| (signed(kept.schedule.version), At(kept.modified_at))))
    }

    async fn replace_command(&mut self, queue: i64, command: StoredCommand) -> Result<()> {
        let StoredCommand { core, payload, headers, result } = command;
        self.query(include_str!("../sql/queue/restore_remove.sql"))
            .bind(queue)
            .bind(core.id.0)
            .execute()
            .await?;
        self.query(include_str!("../sql/queue/restore_prepare.sql"))
            .bind(queue)
            .bind(signed(core.sequence))
            .bind(core.priority)
            .bind(core.group.is_some())
            .execute()
            .await?;
        let now = self.present().await?;
        let stage = core.stage(true, now);
        let live = stage.is_unfinished();
        let text = if live {
            include_str!("../sql/queue/restore_live.sql")
        } else {
            include_str!("../sql/queue/restore_ended.sql")
        };
        let query = self
            .query(text)
            .bind(queue)
            .bind(core.id.0)
            .bind(signed(core.sequence))
            .bind(signed(core.version))
            .bind(At(core.modified_at))
            .bind(At(core.enqueued_at))
            .bind(At(core.ready_at))
            .bind(core.deadline.map(At))
            .bind(signed(core.retry.base_ms))
            .bind(signed(core.retry.cap_ms))
            .bind(core.result_ttl.as_micros())
            .bind(small(core.retry.max_attempts))
            .bind(small(core.attempts))
            .bind(core.priority)
            .bind(place(stage))
            .bind(i16::from(core.retry.jitter_percent))
            .bind(core.cancel_requested)
            .bind(core.group.as_ref().map(group_hash))
            .bind(core.group.as_ref().map(|group| group.as_str().to_owned()))
            .bind(core.lease.as_ref().map(lease_bytes))
            .bind(settlement(&core.settlement))
            .bind(core.progress.as_ref().map(ToString::to_string))
            .bind(core.last_error.clone())
            .bind(headers.to_string())
            .bind(payload);
        let query = if live {
            query
                .bind(core.due_at(stage).map(At))
                .bind(core.leased_until.map(At))
                .bind(core.worker.as_ref().map(|worker| worker.as_str().to_owned()))
        } else {
            query
                .bind(core.ended_at.map(At))
                .bind(core.deleted_at.map(At))
                .bind(core.free_at().map(At))
                .bind(result)
        };
        query.execute().await?;
        if let Some(group) = core.group.as_ref().filter(|_| live) {
            self.query(include_str!("../sql/queue/group_block.sql"))
                .bind(queue)
                .bind(group_hash(group))
                .execute()
                .await?;
        }
        self.advance(queue, core.group.as_ref()).await
    }

    async fn present(&mut self) -> Result<Timestamp> {
        let (now,): (At,) =
            self.query(include_str!("../sql/queue/present.sql")).fetch_one().await?;
        Ok(now.0)
    }

    async fn advance(&mut self, queue: i64, group: Option<&Name>) -> Result<()> {
        let Some(group) = group else { return Ok(()) };
        let digest = Digest::of(group.as_str().as_bytes());
        self.query(include_str!("../sql/queue/advance.sql"))
            .bind(queue)
            .bind(vec![Hash(digest)])
            .execute()
            .await?;
        Ok(())
    }
}
