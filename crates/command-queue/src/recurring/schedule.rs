//! Schedules: recurring commands as a store keeps them.

use hexmem_ports::{
    CommandId, Cursor, Digest, Error, ErrorKind, Limit, Name, NewCommand, Page, QueueId, Result,
    Schedule, Timestamp, Ttl, WhenIdle,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Commands, PushOptions, Recurrence};

const OPERATION: &str = "queue.schedule";

/// How often a put is repeated that others kept overtaking.
const TRIES: u32 = 8;

/// What becomes of times that passed while nobody was there to fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// The latest one fires, once, however many passed.
    #[default]
    One,
    /// None fires that is later than this.
    Skip {
        /// What still counts as in time; not less than a scheduler needs to look.
        later_than: Ttl,
    },
    /// The latest ones fire, oldest first.
    All {
        /// At most so many: 1 to 1,000.
        most: u32,
    },
}

/// A recurring command as asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSchedule {
    /// Unique within the queue.
    pub name: Name,
    /// When it fires.
    pub recurrence: Recurrence,
    /// What becomes of missed times.
    pub missed: Missed,
    /// The payload of each command.
    pub payload: Vec<u8>,
    /// How each is pushed. `within` counts from the firing. With a `group` no firing runs beside the one before it.
    /// An `id`, a `deadline` and `when_idle` make no sense here and are refused.
    pub options: PushOptions,
}

/// A recurring command as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurring {
    /// Its name.
    pub name: Name,
    /// When it fires.
    pub recurrence: Recurrence,
    /// What becomes of missed times.
    pub missed: Missed,
    /// A deadline for each command, counted from its firing.
    pub within: Option<Ttl>,
    /// When it fires next; `None`: never again.
    pub next_at: Option<Timestamp>,
    /// Grows with each change and firing.
    pub version: u64,
    /// What each command is made from.
    pub template: NewCommand,
}

/// What the store keeps as the rule.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    rule: Value,
    #[serde(default)]
    missed: Missed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<Ttl>,
}

/// What is to be done about a schedule whose time has come.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// The time to fire for; `None`: all are too late.
    pub(super) fire: Option<Timestamp>,
    /// When it is due again, possibly at once.
    pub(super) next_at: Option<Timestamp>,
}

impl NewSchedule {
    /// Named `name`, with the defaults: the latest of missed times fires once.
    pub fn new(name: Name, recurrence: Recurrence, payload: impl Into<Vec<u8>>) -> Self {
        let (missed, options) = (Missed::One, PushOptions::default());
        Self { name, recurrence, missed, payload: payload.into(), options }
    }

    fn check(&self) -> Result<()> {
        let wrong = if self.options.id.is_some() {
            "a recurring command has no id of its own; each firing has one"
        } else if self.options.deadline.is_some() {
            "a deadline would end all firings; give `within`, which counts from each"
        } else if self.options.when_idle != WhenIdle::Store {
            "a firing is always stored; give `within` for one that nobody takes in time"
        } else if matches!(self.missed, Missed::All { most } if !(1..=1_000).contains(&most)) {
            "missed firings: `most` is 1 to 1000"
        } else {
            return Ok(());
        };
        Err(Error::invalid(OPERATION, wrong).with("schedule", &self.name))
    }
}

impl Recurring {
    /// Reads a schedule that this crate wrote; `Invalid` for any other.
    pub fn read(kept: Schedule) -> Result<Self> {
        let unreadable = |error: Error| error.with("schedule", &kept.name);
        let spec = Spec::deserialize(&kept.spec).map_err(|error| {
            unreadable(
                Error::invalid(OPERATION, "the schedule's rule is not of this version")
                    .caused_by(error),
            )
        })?;
        Ok(Self {
            recurrence: Recurrence::from_value(&spec.rule).map_err(unreadable)?,
            name: kept.name,
            missed: spec.missed,
            within: spec.within,
            next_at: kept.next_at,
            version: kept.version,
            template: kept.template,
        })
    }

    /// What to do at `now`; `None` while its time has not come.
    pub(super) fn plan(&self, now: Timestamp) -> Option<Plan> {
        let due = self.next_at.filter(|due| *due <= now)?;
        let most = match self.missed {
            Missed::One | Missed::Skip { .. } => 1,
            Missed::All { most } => usize::try_from(most).unwrap_or(usize::MAX),
        };
        let times = self.recurrence.latest(most, due, now);
        // A rule that was changed by hand may not name its own due time.
        let first = times.first().copied().unwrap_or(due);
        let next_at = times.get(1).copied().or_else(|| self.recurrence.next_after(now));
        let too_late = match self.missed {
            Missed::Skip { later_than } => now.since(first) > later_than.get(),
            Missed::One | Missed::All { .. } => false,
        };
        Some(Plan { fire: Some(first).filter(|_| !too_late), next_at })
    }

    /// The command of the firing for `at`, made at `now`. Its id follows from queue, schedule and time, so that
    /// it is the same whoever fires; its headers say `"schedule": {"name", "at"}` where they are an object or null.
    pub(super) fn command(&self, queue: &QueueId, at: Timestamp, now: Timestamp) -> NewCommand {
        let mut command = NewCommand {
            id: firing_id(queue, &self.name, at),
            deadline: self.within.map(|within| now.plus(within.get())),
            ..self.template.clone()
        };
        if command.headers.is_null() {
            command.headers = json!({});
        }
        if let Value::Object(headers) = &mut command.headers {
            headers.insert("schedule".to_owned(), json!({ "name": self.name, "at": at }));
        }
        command
    }
}

/// A UUID of version 7 of the time fired for, its random part being a digest of queue, schedule and time.
fn firing_id(queue: &QueueId, name: &Name, at: Timestamp) -> CommandId {
    let micros = at.as_micros().to_be_bytes();
    let queue = queue.digest();
    let digest = Digest::of_parts([&queue.0, name.as_str().as_bytes(), &micros]);
    let mut random = [0; 10];
    random.copy_from_slice(&digest.0[..10]);
    let millis = u64::try_from(at.as_micros() / 1_000).unwrap_or(0);
    CommandId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

impl Commands {
    /// Creates a recurring command or changes the one of this name. One that is there and asks for the same is
    /// left alone, with its next time, so that a program may do this at each start. It fires where a
    /// [`Scheduler`](crate::Scheduler) runs.
    ///
    /// # Errors
    /// `Invalid` for options that make no sense in a schedule, and what `push` refuses.
    pub async fn put_schedule(&self, schedule: NewSchedule) -> Result<Recurring> {
        schedule.check()?;
        let spec = Spec {
            rule: schedule.recurrence.to_value()?,
            missed: schedule.missed,
            within: schedule.options.within,
        };
        let options =
            PushOptions { within: None, id: Some(CommandId(Uuid::nil())), ..schedule.options };
        let wanted = Schedule {
            spec: serde_json::to_value(spec).map_err(|error| {
                Error::new(ErrorKind::Internal, OPERATION, "a rule cannot be written")
                    .caused_by(error)
            })?,
            next_at: schedule.recurrence.next_after(self.clock().now()),
            version: 0,
            template: self.command(schedule.payload, &options),
            name: schedule.name,
        };
        for _ in 0..TRIES {
            let present = self.find_schedule(&wanted.name).await?;
            if let Some(present) = &present
                && asks_for_the_same(present, &wanted)
            {
                return Recurring::read(present.clone());
            }
            let expected = present.map_or(0, |present| present.version);
            match self.store().put_schedule(self.queue(), wanted.clone(), expected).await {
                Ok(version) => return Recurring::read(Schedule { version, ..wanted }),
                // It fired, or another changed it.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::conflict(OPERATION, "others kept changing the schedule; try again")
            .with("schedule", &wanted.name))
    }

    /// The recurring command of a name.
    pub async fn schedule(&self, name: &Name) -> Result<Option<Recurring>> {
        self.find_schedule(name).await?.map(Recurring::read).transpose()
    }

    /// A page of recurring commands, as the store keeps them; [`Recurring::read`] reads each.
    pub async fn schedules(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Schedule>> {
        self.store().schedules(self.queue(), cursor, limit).await
    }

    /// Ends a recurring command; whether it was there. What it enqueued before stays.
    pub async fn remove_schedule(&self, name: &Name) -> Result<bool> {
        self.store().delete_schedule(self.queue(), name).await
    }

    async fn find_schedule(&self, name: &Name) -> Result<Option<Schedule>> {
        let mut cursor = None;
        loop {
            let page = self.schedules(cursor, Limit::default()).await?;
            if let Some(found) = page.items.into_iter().find(|kept| kept.name == *name) {
                return Ok(Some(found));
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(None);
            }
        }
    }
}

/// Equal but for what moves: the next time, the version, and the instant from which a span is counted.
fn asks_for_the_same(present: &Schedule, wanted: &Schedule) -> bool {
    let timeless = |schedule: &Schedule| {
        let mut spec = schedule.spec.clone();
        if let Some(every) = spec.pointer_mut("/rule/every").and_then(Value::as_object_mut) {
            every.remove("from");
        }
        Schedule { spec, next_at: None, ..schedule.clone() }
    };
    present.next_at.is_some() && timeless(present).same_rule(&timeless(wanted))
}
