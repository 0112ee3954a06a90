//! What observers and operators see and set.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{CommandId, CommandState, NewCommand};
use crate::rules::RetryPolicy;
use crate::{Error, Name, Result, Timestamp, Ttl};

/// What a cancel did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelOutcome {
    /// It was waiting and will never run.
    Cancelled,
    /// It is running; its worker learns it at the next heartbeat.
    Requested,
    /// It had ended before.
    Ended(CommandState),
    /// There is no such command.
    Unknown,
}

/// A command as an observer sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandView {
    /// The command.
    pub id: CommandId,
    /// Where it stands. A lease that ran out shows as what the next lease would make of it.
    pub state: CommandState,
    /// Deliveries so far.
    pub attempts: u32,
    /// Its priority.
    pub priority: i16,
    /// Its group.
    pub group: Option<Name>,
    /// When it was enqueued.
    pub enqueued_at: Timestamp,
    /// From when it can be handed out.
    pub ready_at: Timestamp,
    /// Its deadline.
    pub deadline: Option<Timestamp>,
    /// When its lease runs out.
    pub leased_until: Option<Timestamp>,
    /// Who holds it.
    pub worker: Option<Name>,
    /// The last reported progress.
    pub progress: Option<Value>,
    /// The error of the last failed attempt.
    pub last_error: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its payload.
    pub payload: Vec<u8>,
    /// What was enqueued beside it.
    pub headers: Value,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandResult {
    /// `Completed`, `Dead` or `Cancelled`.
    pub state: CommandState,
    /// The bytes of the acknowledgement.
    pub result: Option<Vec<u8>>,
    /// Why it is dead.
    pub error: Option<String>,
    /// Deliveries it took.
    pub attempts: u32,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// Which dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetters {
    /// These.
    Only(Vec<CommandId>),
    /// All of the queue.
    All,
}

/// Limits of a queue that leases keep to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueLimits {
    /// At most this many leased at once, over all workers.
    pub max_in_flight: Option<u32>,
    /// At most `count` handed out per `per`, as a token bucket of size `count`.
    pub rate: Option<Rate>,
}

impl QueueLimits {
    /// `Invalid` where a limit is zero: a queue that hands nothing out is no limit but a stop.
    pub fn check(&self, operation: &'static str) -> Result<()> {
        if self.max_in_flight == Some(0) || self.rate.is_some_and(|rate| rate.count == 0) {
            return Err(Error::invalid(
                operation,
                "a limit is zero; give at least 1, or leave it out for no limit",
            ));
        }
        Ok(())
    }
}

/// `count` per `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// At least 1.
    pub count: u32,
    /// The span.
    pub per: Ttl,
}

/// What a queue holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStats {
    /// Could be handed out now, group order and limits aside.
    pub ready: u64,
    /// Wait for their instant.
    pub delayed: u64,
    /// In workers' hands.
    pub in_flight: u64,
    /// In the dead letters.
    pub dead: u64,
    /// Completed and cancelled ones that can still be viewed.
    pub results: u64,
    /// Age of the oldest ready one.
    pub oldest_ready: Option<Duration>,
    /// Workers seen in the last minute.
    pub consumers: u64,
}

/// A recurring command. The domain computes the times; the store commits the next one by
/// compare-and-set, together with the enqueue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Unique within the queue.
    pub name: Name,
    /// The rule as the domain wrote it (a cron line and its time zone); opaque to the store.
    pub spec: Value,
    /// When it fires next; `None`: never again.
    pub next_at: Option<Timestamp>,
    /// Grows with each change.
    pub version: u64,
    /// What a firing enqueues, as the domain makes it for each; the id in it is ignored.
    pub template: NewCommand,
}

impl Schedule {
    /// Whether `other` asks for the same: equal but for the version and the template's id.
    pub fn same_rule(&self, other: &Self) -> bool {
        let other = Self {
            version: self.version,
            template: NewCommand { id: self.template.id, ..other.template.clone() },
            ..other.clone()
        };
        *self == other
    }

    /// What stays of a deleted one: its name and version.
    pub fn deleted(name: Name, version: u64) -> Self {
        let template = NewCommand {
            id: CommandId(Uuid::nil()),
            payload: Vec::new(),
            headers: Value::Null,
            priority: 0,
            delay: None,
            deadline: None,
            dedupe: None,
            group: None,
            retry: RetryPolicy::default(),
            result_ttl: Ttl::from_const(Duration::from_secs(1)),
        };
        Self { name, spec: Value::Null, next_at: None, version, template }
    }
}

/// What a firing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// The command is enqueued and the next time is set.
    Enqueued,
    /// Another instance fired it, or it was changed: nothing happened.
    Lost,
}
