//! The records of the queues of a prefix.

use std::collections::HashMap;

use async_trait::async_trait;
use hexmem_ports::rules::{CommandCore, QueuePlace, QueueSection};
use hexmem_ports::{
    Cursor, DedupeEntry, Error, Limit, Name, Page, QueueEntry, QueueId, QueueRecord, Record,
    RecordKind, Records, Restored, Result, Schedule, StoredCommand, TOMBSTONE_TTL, Timestamp,
    from_hex, to_hex,
};
use serde_json::Value;

use super::manage::{limits_args, read_limits};
use super::names::{self, From};
use super::row::{id_bytes, id_of, optional, read_body, read_core, restore_args};
use super::schedules::schedule_text;
use super::{RedisQueue, scripts};
use crate::keys::Tag;
use crate::reply::Reply;

const SCAN: &str = "records.scan";
const RESTORE: &str = "records.restore";
/// Records that one script writes.
const RESTORE_BATCH: usize = 500;

/// Queues by tenant and name, sections of each in order, each by key in hexadecimal.
type Place = QueuePlace<QueueId>;

type Found = (Place, QueueEntry);

impl RedisQueue {
    /// Up to `most` records of a section, behind a key.
    async fn section(
        &self,
        queue: &QueueId,
        section: QueueSection,
        after: Option<&Place>,
        most: u32,
    ) -> Result<Vec<Found>> {
        let tag = self.tag(queue);
        let after = after.map(|place| from_hex(&place.key).unwrap_or_default()).unwrap_or_default();
        let found = match section {
            QueueSection::Commands => self.commands(&tag, after, most).await?,
            QueueSection::Dedupe => self.dedupe_keys(&tag, after, most).await?,
            // One record, so nothing is behind it.
            QueueSection::Limits if !after.is_empty() => Vec::new(),
            QueueSection::Limits => self.kept_limits(&tag).await?,
            QueueSection::Schedules => {
                let after = String::from_utf8_lossy(&after);
                let kept = self.kept_schedules(SCAN, &tag, &after, most).await?;
                let entry = |kept: super::schedules::Kept| {
                    let key = kept.schedule.name.as_str().as_bytes().to_vec();
                    let (version, deleted_at) = (kept.schedule.version, kept.deleted_at);
                    let what = match deleted_at {
                        Some(_) => QueueRecord::DeletedSchedule(kept.schedule.name),
                        None => QueueRecord::Schedule(Box::new(kept.schedule)),
                    };
                    (key, version, kept.modified_at, deleted_at, what)
                };
                kept.into_iter().map(entry).collect()
            }
        };
        let whole = |(key, version, modified_at, deleted_at, what): Row| {
            let place = Place { queue: queue.clone(), section, key: to_hex(&key) };
            let queue = queue.clone();
            (place, QueueEntry { queue, version, modified_at, deleted_at, what })
        };
        Ok(found.into_iter().map(whole).collect())
    }

    async fn commands(&self, tag: &Tag, after: Vec<u8>, most: u32) -> Result<Vec<Row>> {
        let call = self.redis.script(&scripts::SCAN, tag).arg("c").bytes(after).arg(most);
        let mut answer = call.run(SCAN).await?.list()?;
        let mut rows = Vec::with_capacity(answer.left() / 5);
        while answer.left() > 0 {
            let key = answer.item()?.bytes()?;
            let id = id_of(SCAN, &key)?;
            let (core, body) = (answer.item()?, answer.optional()?);
            let result = answer.optional()?.map(Reply::bytes).transpose()?;
            let core = read_core(SCAN, id, core, answer.optional()?)?;
            let (version, modified_at) = (core.version, core.modified_at);
            let deleted_at = core.deleted_at;
            let what = if deleted_at.is_some() {
                QueueRecord::PurgedCommand(id)
            } else {
                let (payload, headers) = read_body(SCAN, body)?;
                QueueRecord::Command(Box::new(StoredCommand { core, payload, headers, result }))
            };
            rows.push((key, version, modified_at, deleted_at, what));
        }
        Ok(rows)
    }

    async fn dedupe_keys(&self, tag: &Tag, after: Vec<u8>, most: u32) -> Result<Vec<Row>> {
        let call = self.redis.script(&scripts::SCAN, tag).arg("d").bytes(after).arg(most);
        let mut answer = call.run(SCAN).await?.list()?;
        let mut rows = Vec::with_capacity(answer.left() / 2);
        while answer.left() > 0 {
            let key = answer.item()?.text()?;
            let mut row = answer.item()?.list()?;
            let command = id_of(SCAN, &row.item()?.bytes()?)?;
            let until = row.item()?.time()?;
            let set_at = row.item()?.time()?;
            let entry = DedupeEntry { key: Name::new(key.as_str())?, command, until };
            rows.push((key.into_bytes(), 1, set_at, None, QueueRecord::Dedupe(entry)));
        }
        Ok(rows)
    }

    async fn kept_limits(&self, tag: &Tag) -> Result<Vec<Row>> {
        let call = self.redis.script(&scripts::SCAN, tag).arg("l").arg("").arg(1);
        let mut row = call.run(SCAN).await?.list()?;
        let Some(version) = row.optional()? else { return Ok(Vec::new()) };
        let version = version.uint()?;
        let modified_at = row.item()?.time()?;
        let limits = read_limits(SCAN, row.optional()?, row.optional()?, row.optional()?)?;
        let what = QueueRecord::Limits(limits);
        Ok(vec![(b"limits".to_vec(), version, modified_at, None, what)])
    }

    async fn restore_queue(&self, queue: &QueueId, entries: &[&QueueEntry]) -> Result<Vec<i64>> {
        let mut args: Vec<Vec<u8>> = Vec::new();
        for entry in entries {
            restore_entry(entry, &mut args)?;
        }
        let answer = self.run_listed(RESTORE, queue, &scripts::RESTORE, |call| {
            args.iter().fold(call.arg(entries.len()), |call, arg| call.arg(arg.as_slice()))
        });
        answer.await?.list()?.map(Reply::int).collect()
    }
}

/// Key, version, last change, end of a tombstone's entity, and the entity.
type Row = (Vec<u8>, u64, Timestamp, Option<Timestamp>, QueueRecord);

fn restore_entry(entry: &QueueEntry, args: &mut Vec<Vec<u8>>) -> Result<()> {
    let text = |text: &str| text.as_bytes().to_vec();
    let time = |at: Timestamp| at.as_micros().to_string().into_bytes();
    let tombstone = TOMBSTONE_TTL.as_micros();
    if entry.version >= 1 << 53 {
        let what = "a version is 2^53 or more, which Redis does not hold";
        return Err(Error::invalid(RESTORE, what).with("address", entry.address().join("/")));
    }
    let version = entry.version.to_string().into_bytes();
    let schedule = |schedule: &Schedule, text_of: Option<String>, args: &mut Vec<Vec<u8>>| {
        args.extend([
            text("s"),
            text(schedule.name.as_str()),
            version.clone(),
            schedule.next_at.map(time).unwrap_or_default(),
            time(entry.modified_at),
        ]);
        args.push(entry.deleted_at.map(time).unwrap_or_default());
        args.push(optional(text_of.as_deref().map(str::as_bytes)));
        args.push(tombstone.to_string().into_bytes());
    };
    match &entry.what {
        QueueRecord::Command(command) => {
            args.push(text("c"));
            args.extend(restore_args(command, tombstone)?);
        }
        QueueRecord::PurgedCommand(id) => {
            let at = entry.deleted_at.unwrap_or(entry.modified_at);
            let core = CommandCore::tombstone(*id, entry.version, entry.modified_at, at);
            let gone =
                StoredCommand { core, payload: Vec::new(), headers: Value::Null, result: None };
            args.push(text("c"));
            args.extend(restore_args(&gone, tombstone)?);
        }
        QueueRecord::Dedupe(dedupe) => args.extend([
            text("d"),
            text(dedupe.key.as_str()),
            id_bytes(dedupe.command),
            time(dedupe.until),
            time(entry.modified_at),
        ]),
        QueueRecord::Limits(limits) => {
            args.extend([text("l"), version, time(entry.modified_at)]);
            args.extend(limits_args(limits).map(String::into_bytes));
        }
        QueueRecord::Schedule(kept) => {
            schedule(kept, Some(schedule_text(RESTORE, kept)?), args);
        }
        QueueRecord::DeletedSchedule(name) => {
            let gone = Schedule::deleted(name.clone(), entry.version);
            args.extend([text("s"), text(name.as_str()), version.clone(), Vec::new()]);
            args.push(time(entry.modified_at));
            args.push(time(entry.deleted_at.unwrap_or(entry.modified_at)));
            args.push(optional(Some(schedule_text(RESTORE, &gone)?.as_bytes())));
            args.push(tombstone.to_string().into_bytes());
        }
    }
    Ok(())
}

#[async_trait]
impl Records for RedisQueue {
    fn kind(&self) -> RecordKind {
        RecordKind::Queue
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let mut after = Place::read(SCAN, cursor.as_ref())?;
        let most = limit.as_usize() + 1;
        let mut found: Vec<Found> = Vec::new();
        let mut from =
            From::At(after.as_ref().map(|place| names::member(&place.queue)).unwrap_or_default());
        'queues: loop {
            let listed = names::page(&self.redis, SCAN, from, None, 64).await?;
            let Some(last) = listed.last() else { break };
            from = From::After(names::member(&last.queue));
            for one in &listed {
                let here = after.take().filter(|place| place.queue == one.queue);
                for part in QueueSection::ALL {
                    if here.as_ref().is_some_and(|place| place.section > part) {
                        continue;
                    }
                    let behind = here.as_ref().filter(|place| place.section == part);
                    let left = u32::try_from(most - found.len()).unwrap_or(u32::MAX);
                    found.extend(self.section(&one.queue, part, behind, left).await?);
                    if found.len() >= most {
                        break 'queues;
                    }
                }
            }
        }
        Place::page(found, limit)
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let entries =
            records.into_iter().map(QueueEntry::from_record).collect::<Result<Vec<_>>>()?;
        let mut answers = vec![Restored::Kept; entries.len()];
        let mut queues: HashMap<&QueueId, Vec<usize>> = HashMap::new();
        for (i, entry) in entries.iter().enumerate() {
            // What cannot be written is refused before anything is.
            restore_entry(entry, &mut Vec::new())?;
            queues.entry(&entry.queue).or_default().push(i);
        }
        for (queue, places) in queues {
            for part in places.chunks(RESTORE_BATCH) {
                let of = |i: &usize| entries.get(*i);
                let chosen: Vec<_> = part.iter().filter_map(of).collect();
                let written = self.restore_queue(queue, &chosen).await?;
                for (i, written) in part.iter().zip(written) {
                    if let (1, Some(answer)) = (written, answers.get_mut(*i)) {
                        *answer = Restored::Written;
                    }
                }
            }
        }
        Ok(answers)
    }
}
