//! Recurring commands of one queue.

use std::ops::Bound;

use hexmem_ports::{Error, Fired, Name, NewCommand, Result, Schedule, Timestamp, check_json};

use super::state::{Queue, ScheduleEntry};

/// What can be refused before anything is looked at.
pub(super) fn check(schedule: &Schedule) -> Result<()> {
    check_json("queue.put_schedule", &schedule.spec)?;
    schedule.template.check("queue.put_schedule")
}

impl Queue {
    pub(super) fn put_schedule(
        &mut self,
        mut schedule: Schedule,
        expected: u64,
        now: Timestamp,
    ) -> Result<u64> {
        let kept = self.schedules.get(&schedule.name);
        let live = kept.filter(|entry| entry.deleted_at.is_none());
        let present = live.map_or(0, |entry| entry.schedule.version);
        if present != expected {
            if let Some(entry) = live
                && entry.put_over == Some(expected)
                && entry.schedule.same_rule(&schedule)
            {
                return Ok(present);
            }
            return Err(Error::conflict(
                "queue.put_schedule",
                format!("the schedule has version {present}, not {expected}; read it again"),
            )
            .with("schedule", &schedule.name));
        }
        let version = kept.map_or(0, |entry| entry.schedule.version) + 1;
        schedule.version = version;
        let entry = ScheduleEntry {
            put_over: Some(expected),
            modified_at: now,
            deleted_at: None,
            schedule,
        };
        self.schedules.insert(entry.schedule.name.clone(), entry);
        Ok(version)
    }

    pub(super) fn delete_schedule(&mut self, name: &Name, now: Timestamp) -> bool {
        let live = self.schedules.get_mut(name).filter(|entry| entry.deleted_at.is_none());
        let Some(entry) = live else { return false };
        entry.schedule.version += 1;
        entry.modified_at = now;
        entry.deleted_at = Some(now);
        true
    }

    pub(super) fn live_schedules(&self, after: Option<&Name>) -> impl Iterator<Item = Schedule> {
        self.schedules
            .range::<Name, _>((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
            .filter(|(_, entry)| entry.deleted_at.is_none())
            .map(|(_, entry)| entry.schedule.clone())
    }

    pub(super) fn fire(
        &mut self,
        name: &Name,
        expected: u64,
        command: NewCommand,
        next_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Fired {
        let due = self.schedules.get_mut(name).filter(|entry| {
            entry.deleted_at.is_none()
                && entry.schedule.version == expected
                && entry.schedule.next_at.is_some_and(|at| at <= now)
        });
        let Some(entry) = due else {
            let fired_before = self.seen(command.id, now).is_some();
            return if fired_before { Fired::Enqueued } else { Fired::Lost };
        };
        entry.schedule.version += 1;
        entry.schedule.next_at = next_at;
        entry.put_over = None;
        entry.modified_at = now;
        self.enqueue(command, false, now);
        Fired::Enqueued
    }
}
