//! The records of the queues in process.

use std::ops::Bound;

use async_trait::async_trait;
use hexmem_ports::rules::CommandCore;
use hexmem_ports::{
    CommandId, Cursor, Limit, Name, Page, QueueEntry, QueueId, QueueRecord, Record, RecordKind,
    Records, Restored, Result, StoredCommand, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MemoryQueue;
use super::state::{Command, Limits, Queue, ScheduleEntry};

/// The place of one record in the order of a scan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Place {
    Command(CommandId),
    Dedupe(Name),
    Limits,
    Schedule(Name),
}

#[async_trait]
impl Records for MemoryQueue {
    fn kind(&self) -> RecordKind {
        RecordKind::Queue
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let after: Option<(QueueId, Place)> = cursor
            .map(|cursor| {
                serde_json::from_str(&cursor.0).map_err(|_| cursor.refused("records.scan"))
            })
            .transpose()?;
        let state = self.state();
        let from = after.as_ref().map_or(Bound::Unbounded, |(queue, _)| Bound::Included(queue));
        let mut found = Vec::new();
        for (id, queue) in state.queues.range::<QueueId, _>((from, Bound::Unbounded)) {
            let left = limit.as_usize() + 1 - found.len();
            let after = after.as_ref().filter(|(queue, _)| queue == id).map(|(_, place)| place);
            let entries = queue.entries(id, after, left);
            found.extend(entries.into_iter().map(|(place, entry)| ((id.clone(), place), entry)));
            if found.len() > limit.as_usize() {
                break;
            }
        }
        let found = found
            .into_iter()
            .map(|(key, entry)| Ok((key, entry.into_record()?)))
            .collect::<Result<Vec<_>>>()?;
        let page = Page::cut(found, limit, |(key, _)| {
            Cursor(serde_json::to_string(key).unwrap_or_default())
        });
        Ok(page.map(|(_, record)| record))
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let entries =
            records.into_iter().map(QueueEntry::from_record).collect::<Result<Vec<_>>>()?;
        let mut state = self.state();
        let now = self.clock.now();
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            let queue = state.queues.entry(entry.queue.clone()).or_default();
            answers.push(queue.restore(entry, now));
        }
        Ok(answers)
    }
}

impl Queue {
    /// Up to `most` entries after a place.
    fn entries(
        &self,
        id: &QueueId,
        after: Option<&Place>,
        most: usize,
    ) -> Vec<(Place, QueueEntry)> {
        let behind = |place: &Place| after.is_none_or(|after| place > after);
        let from = match after {
            None => Bound::Unbounded,
            Some(Place::Command(id)) => Bound::Excluded(*id),
            // Every command lies before the other sections.
            Some(_) => Bound::Excluded(CommandId(uuid::Uuid::max())),
        };
        let commands = self.commands.range((from, Bound::Unbounded)).map(|(key, command)| {
            let core = &command.core;
            let what = if core.deleted_at.is_some() {
                QueueRecord::PurgedCommand(*key)
            } else {
                QueueRecord::Command(Box::new(StoredCommand {
                    core: core.clone(),
                    payload: command.payload.clone(),
                    headers: command.headers.clone(),
                    result: command.result.clone(),
                }))
            };
            let entry = QueueEntry {
                queue: id.clone(),
                version: core.version,
                modified_at: core.modified_at,
                deleted_at: core.deleted_at,
                what,
            };
            (Place::Command(*key), entry)
        });
        let live = |version, modified_at, what| QueueEntry {
            queue: id.clone(),
            version,
            modified_at,
            deleted_at: None,
            what,
        };
        let dedupe = self.dedupe.iter().map(|(key, (entry, at))| {
            (Place::Dedupe(key.clone()), live(1, *at, QueueRecord::Dedupe(entry.clone())))
        });
        let limits = self.limits.iter().map(|kept| {
            let what = QueueRecord::Limits(kept.limits);
            (Place::Limits, live(kept.version, kept.modified_at, what))
        });
        let schedules = self.schedules.iter().map(|(name, entry)| {
            let what = if entry.deleted_at.is_some() {
                QueueRecord::DeletedSchedule(name.clone())
            } else {
                QueueRecord::Schedule(Box::new(entry.schedule.clone()))
            };
            let version = entry.schedule.version;
            let deleted_at = entry.deleted_at;
            let entry = QueueEntry { deleted_at, ..live(version, entry.modified_at, what) };
            (Place::Schedule(name.clone()), entry)
        });
        commands
            .chain(dedupe)
            .chain(limits)
            .chain(schedules)
            .filter(|(place, _)| behind(place))
            .take(most)
            .collect()
    }

    /// Writes an entry that is newer than what is held.
    fn restore(&mut self, entry: QueueEntry, now: Timestamp) -> Restored {
        let held = match &entry.what {
            QueueRecord::Command(command) => self.stamp_of(command.core.id),
            QueueRecord::PurgedCommand(id) => self.stamp_of(*id),
            QueueRecord::Dedupe(dedupe) => self.dedupe.get(&dedupe.key).map(|(_, at)| (1, *at)),
            QueueRecord::Limits(_) => {
                self.limits.as_ref().map(|kept| (kept.version, kept.modified_at))
            }
            QueueRecord::Schedule(schedule) => self.schedule_stamp(&schedule.name),
            QueueRecord::DeletedSchedule(name) => self.schedule_stamp(name),
        };
        let (version, modified_at) = (entry.version, entry.modified_at);
        if held.is_some_and(|held| held >= (version, modified_at)) {
            return Restored::Kept;
        }
        match entry.what {
            QueueRecord::Command(command) => {
                let StoredCommand { core, payload, headers, result } = *command;
                self.replace(Command::new(core, payload, headers, result), now);
            }
            QueueRecord::PurgedCommand(id) => {
                let at = entry.deleted_at.unwrap_or(modified_at);
                let core = CommandCore::tombstone(id, version, modified_at, at);
                self.replace(Command::new(core, Vec::new(), Value::Null, None), now);
            }
            QueueRecord::Dedupe(dedupe) => {
                self.dedupe.insert(dedupe.key.clone(), (dedupe, modified_at));
            }
            QueueRecord::Limits(limits) => {
                self.limits = Some(Limits { limits, version, modified_at });
            }
            QueueRecord::Schedule(schedule) => {
                self.schedules.insert(
                    schedule.name.clone(),
                    ScheduleEntry {
                        schedule: *schedule,
                        put_over: None,
                        modified_at,
                        deleted_at: None,
                    },
                );
            }
            QueueRecord::DeletedSchedule(name) => {
                let deleted_at = entry.deleted_at.or(Some(modified_at));
                let schedule = hexmem_ports::Schedule::deleted(name.clone(), version);
                self.schedules.insert(
                    name,
                    ScheduleEntry { schedule, put_over: None, modified_at, deleted_at },
                );
            }
        }
        Restored::Written
    }

    fn replace(&mut self, command: Command, now: Timestamp) {
        self.take(command.core.id);
        self.next = self.next.max(command.core.sequence.saturating_add(1));
        let group = command.core.group.clone();
        self.put(command, now);
        if let Some(group) = group {
            self.refile_group(&group, now);
        }
    }

    fn stamp_of(&self, id: CommandId) -> Option<(u64, Timestamp)> {
        self.commands.get(&id).map(|command| (command.core.version, command.core.modified_at))
    }

    fn schedule_stamp(&self, name: &Name) -> Option<(u64, Timestamp)> {
        self.schedules.get(name).map(|entry| (entry.schedule.version, entry.modified_at))
    }
}
