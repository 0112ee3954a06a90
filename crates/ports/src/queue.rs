//! Leased, fenced command dispatch with results.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::rules::RetryPolicy;
use crate::{
    Capabilities, Cursor, Effect, Error, Limit, Name, Page, Prefix, QueueId, Result, Tenant,
    Timestamp, Ttl,
};

/// A command's id: the key of idempotence of its enqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub Uuid);

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The fencing token of one delivery: command, attempt, and 128 random bits, compared for equality.
/// Prints and parses as `COMMAND.ATTEMPT.HEX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken {
    /// The command it is a lease of.
    pub command: CommandId,
    /// Which delivery it is, from 1.
    pub attempt: u32,
    /// Random.
    pub secret: u128,
}

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{:032x}", self.command, self.attempt, self.secret)
    }
}

impl FromStr for LeaseToken {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let mut parts = text.split('.');
            let command = CommandId(parts.next()?.parse().ok()?);
            let attempt = parts.next()?.parse().ok()?;
            let hex = parts.next().filter(|hex| hex.len() == 32)?;
            let secret = u128::from_str_radix(hex, 16).ok()?;
            parts.next().is_none().then_some(Self { command, attempt, secret })
        };
        parse().ok_or_else(|| {
            Error::invalid(
                "queue.lease_token",
                "not a lease; give the `lease` that the lease command printed",
            )
        })
    }
}

impl Serialize for LeaseToken {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LeaseToken {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// Waiting: ready, delayed, or behind another of its group.
    Queued,
    /// Held by a worker.
    Leased,
    /// Done; its result is kept for the result's time to live.
    Completed,
    /// Out of attempts, failed for good, or past its deadline: in the dead letters.
    Dead,
    /// Cancelled.
    Cancelled,
}

/// Refuses a second command of the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dedupe {
    /// Unique within the queue.
    pub key: Name,
    /// How long from the first enqueue the key is remembered, also after the command ended.
    pub window: Ttl,
}

/// A command to be enqueued, with the policy that the store applies for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewCommand {
    /// A fresh id.
    pub id: CommandId,
    /// At most [`BYTES_LIMIT`](crate::BYTES_LIMIT) bytes.
    pub payload: Vec<u8>,
    /// Kept beside the payload, for routing and tracing. Any JSON.
    pub headers: Value,
    /// Higher goes first; equals go in the order of their enqueue.
    pub priority: i16,
    /// Not before this long from now.
    pub delay: Option<Ttl>,
    /// Never handed out from this instant on.
    pub deadline: Option<Timestamp>,
    /// Refuse a second one.
    pub dedupe: Option<Dedupe>,
    /// Commands of one group run one at a time, in the order of their enqueue.
    pub group: Option<Name>,
    /// Attempts and backoff.
    pub retry: RetryPolicy,
    /// How long result and outcome are kept after the end.
    pub result_ttl: Ttl,
}

/// What became of one enqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enqueued {
    /// It waits in the queue (also the answer to a repeat with the same id).
    Queued,
    /// Its dedupe key is taken by this command.
    Duplicate(CommandId),
    /// No consumer was seen within the span asked for: it is not stored.
    NoConsumer,
}

/// What an enqueue does when nobody consumes the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenIdle {
    /// Stores the command.
    #[default]
    Store,
    /// Answers `NoConsumer` at once unless a worker leased from the queue, or waits at it, within this span.
    Refuse(Ttl),
}

/// A wish for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// Who asks; unique per process start.
    pub worker: Name,
    /// At most this many.
    pub max: Limit,
    /// How long each is held before it is handed out again.
    pub visibility: Ttl,
    /// How long to wait for the first one; zero answers at once.
    pub wait: Duration,
}

/// A command in a worker's hands.
#[derive(Debug, Clone, PartialEq)]
pub struct Leased {
    /// The command.
    pub id: CommandId,
    /// What `extend`, `ack` and `fail` present.
    pub lease: LeaseToken,
    /// Which delivery it is, from 1. A delivery that ended in a crash counts.
    pub attempt: u32,
    /// The payload.
    pub payload: Vec<u8>,
    /// What was enqueued beside it.
    pub headers: Value,
    /// Its group.
    pub group: Option<Name>,
    /// Its deadline.
    pub deadline: Option<Timestamp>,
    /// When the lease runs out.
    pub leased_until: Timestamp,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extended {
    /// The new end of the lease.
    pub leased_until: Timestamp,
    /// Somebody wishes the command to stop.
    pub cancel_requested: bool,
}

/// A completion.
#[derive(Debug, Clone, PartialEq)]
pub struct Ack {
    /// The lease of the delivery.
    pub lease: LeaseToken,
    /// The result, if there is one.
    pub result: Option<Vec<u8>>,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, for people; at most 8,192 bytes are kept.
    pub error: String,
    /// Whether another attempt makes sense.
    pub verdict: Verdict,
}

/// What a failure means for the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after the policy's backoff, while attempts are left.
    Retry,
    /// Try again after this long, while attempts are left.
    RetryAfter(Duration),
    /// Never again: to the dead letters.
    Dead,
}

/// What a failure led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailOutcome {
    /// It is handed out again from this instant on.
    RetryAt(Timestamp),
    /// It lies in the dead letters.
    Dead,
    /// A cancel had been asked for: it is cancelled.
    Cancelled,
}

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
    /// Results kept.
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
    /// What is enqueued; the id in it is ignored.
    pub template: NewCommand,
}

/// What a firing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// The command is enqueued and the next time is set.
    Enqueued,
    /// Another instance fired it, or it was changed: nothing happened.
    Lost,
}

/// A queue of commands: at-least-once delivery, fenced completion.
///
/// A lease is *current* until its time runs out or the command is handed out again. Whatever presents a
/// lease that is not current is refused with `StaleLease` and changes nothing.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CommandQueue: Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Stores commands, all or none, and answers for each in order.
    ///
    /// # Behavior
    /// - `QUEUE-ENQ-1`: an enqueued command is handed out with the same payload and headers, whatever they are.
    /// - `QUEUE-ENQ-2`: a repeat with the same id answers as the first did and adds nothing, also while it runs and after it ended, as long as its result is kept.
    /// - `QUEUE-ENQ-3`: a dedupe key within its window answers `Duplicate` with the first command's id; after the window it is free; N concurrent ones store one.
    /// - `QUEUE-ENQ-4`: with `Refuse` and no worker seen it answers `NoConsumer` and stores nothing; a worker that waits counts as seen.
    /// - `QUEUE-ENQ-5`: one invalid command (payload beyond the limit, NUL in headers) refuses the whole list, which changes nothing; an empty list is an empty answer.
    /// - `QUEUE-ENQ-6`: (effects) effects are committed with the commands.
    async fn enqueue(
        &self,
        queue: &QueueId,
        commands: Vec<NewCommand>,
        when_idle: WhenIdle,
        effects: Vec<Effect>,
    ) -> Result<Vec<Enqueued>>;

    /// Hands out ready commands: the highest priority first, then the oldest.
    ///
    /// # Behavior
    /// - `QUEUE-LEASE-1`: order is priority, then enqueue; at most `max`; none ready is empty, at once without a wait.
    /// - `QUEUE-LEASE-2`: N concurrent workers never hold one command twice, and together get each.
    /// - `QUEUE-LEASE-3`: after the visibility ran out it is handed out again with the next attempt and another lease.
    /// - `QUEUE-LEASE-4`: a delayed command is not handed out before its time and is after it.
    /// - `QUEUE-LEASE-5`: from its deadline on a command is not handed out; it lies in the dead letters.
    /// - `QUEUE-LEASE-6`: a command whose last allowed attempt ran out of its lease goes to the dead letters, not to a worker.
    /// - `QUEUE-LEASE-7`: of one group only the oldest unfinished command is handed out, also with N concurrent workers, also while it waits for a retry; other groups go on.
    /// - `QUEUE-LEASE-8`: with `max_in_flight` never more than that are held, over all workers.
    /// - `QUEUE-LEASE-9`: with a rate never more than `count` are handed out within `per`, and later the rest.
    /// - `QUEUE-LEASE-10`: a wait returns as soon as a command is ready, and empty when the wait is over.
    /// - `QUEUE-LEASE-11`: other queues and tenants are untouched.
    async fn lease(&self, queue: &QueueId, request: LeaseRequest) -> Result<Vec<Leased>>;

    /// Renews a lease for `visibility` from now: the heartbeat.
    ///
    /// # Behavior
    /// - `QUEUE-EXTEND-1`: moves the end of the lease; the token stays.
    /// - `QUEUE-EXTEND-2`: a stale lease is `StaleLease`, also when nobody else holds the command yet.
    /// - `QUEUE-EXTEND-3`: tells that a cancel was asked for.
    async fn extend(
        &self,
        queue: &QueueId,
        lease: &LeaseToken,
        visibility: Ttl,
    ) -> Result<Extended>;

    /// Completes commands and stores their results; answers for each in order.
    ///
    /// # Behavior
    /// - `QUEUE-ACK-1`: the command is completed, its result readable; it is never handed out again.
    /// - `QUEUE-ACK-2`: a stale lease is `StaleLease`, changes nothing and does not stop the others of the list.
    /// - `QUEUE-ACK-3`: a repeat with the lease that completed it succeeds; the first result stays.
    /// - `QUEUE-ACK-4`: of N concurrent acks under leases old and new only the current one's result is kept.
    /// - `QUEUE-ACK-5`: (effects) effects are committed with the completions; when any lease is stale none of the effects is.
    async fn ack(
        &self,
        queue: &QueueId,
        acks: Vec<Ack>,
        effects: Vec<Effect>,
    ) -> Result<Vec<Result<()>>>;

    /// Ends an attempt without success.
    ///
    /// # Behavior
    /// - `QUEUE-FAIL-1`: it is handed out again after the policy's backoff ([`rules::backoff`](crate::rules::backoff)), not before.
    /// - `QUEUE-FAIL-2`: out of attempts, or with `Dead`, it lies in the dead letters with its error.
    /// - `QUEUE-FAIL-3`: a stale lease is `StaleLease` and changes nothing; a repeat with the same lease gives the first answer while the command was not handed out again.
    /// - `QUEUE-FAIL-4`: a command whose cancel was asked for is cancelled.
    async fn fail(
        &self,
        queue: &QueueId,
        lease: &LeaseToken,
        failure: Failure,
    ) -> Result<FailOutcome>;

    /// Hands a command back unprocessed (a graceful shutdown): it is ready at once and the attempt does
    /// not count.
    ///
    /// # Behavior
    /// - `QUEUE-RELEASE-1`: the next lease gives it the same attempt number and another token; the released token is stale.
    async fn release(&self, queue: &QueueId, lease: &LeaseToken) -> Result<()>;

    /// Stores progress that observers see.
    ///
    /// # Behavior
    /// - `QUEUE-PROGRESS-1`: the last progress is seen by observers; a stale lease is `StaleLease`.
    async fn progress(&self, queue: &QueueId, lease: &LeaseToken, progress: Value) -> Result<()>;

    /// Cancels a waiting command, or asks a running one to stop.
    ///
    /// # Behavior
    /// - `QUEUE-CANCEL-1`: a waiting command is cancelled, is never handed out, and its group goes on.
    /// - `QUEUE-CANCEL-2`: a running one stays with its worker, who is told at the next heartbeat and may still complete it; when its lease runs out it is cancelled.
    /// - `QUEUE-CANCEL-3`: an ended one says how it ended; an unknown one says so.
    async fn cancel(&self, queue: &QueueId, id: CommandId) -> Result<CancelOutcome>;

    /// A command as it stands. `None` when it is unknown or its result is not kept any more.
    ///
    /// # Behavior
    /// - `QUEUE-VIEW-1`: shows state, attempts, times, progress and error through the whole life; other tenants and queues see nothing.
    async fn view(&self, queue: &QueueId, id: CommandId) -> Result<Option<CommandView>>;

    /// How a command ended, waiting up to `wait` for it. `None` when it has not ended (or is unknown).
    ///
    /// # Behavior
    /// - `QUEUE-RESULT-1`: a result is readable as often as wished until its time to live runs out, also by those who come late.
    /// - `QUEUE-RESULT-2`: a wait returns as soon as the command ends, and `None` when the wait is over.
    async fn result(
        &self,
        queue: &QueueId,
        id: CommandId,
        wait: Duration,
    ) -> Result<Option<CommandResult>>;

    /// The dead letters.
    ///
    /// # Behavior
    /// - `QUEUE-DEAD-1`: pages give each dead letter exactly once, with its error.
    async fn dead(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<CommandView>>;

    /// Puts dead letters back into the queue, ready at once, attempts counted from zero, without the
    /// deadline that has passed; returns how many.
    ///
    /// # Behavior
    /// - `QUEUE-REQUEUE-1`: they are handed out again with attempt 1; ids that are not dead are not counted.
    async fn requeue(&self, queue: &QueueId, which: DeadLetters) -> Result<u64>;

    /// Removes dead letters for good; returns how many.
    ///
    /// # Behavior
    /// - `QUEUE-PURGE-1`: they are gone from list and view; others stay.
    async fn purge(&self, queue: &QueueId, which: DeadLetters) -> Result<u64>;

    /// Counts of a queue.
    ///
    /// # Behavior
    /// - `QUEUE-STATS-1`: (exact_counts) the counts are those of the commands; an unknown queue has zeros.
    async fn stats(&self, queue: &QueueId) -> Result<QueueStats>;

    /// The queues of a tenant that hold commands, limits or schedules.
    ///
    /// # Behavior
    /// - `QUEUE-LIST-1`: pages give each exactly once, this tenant's only.
    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>>;

    /// Sets the limits that leases keep to from now on.
    ///
    /// # Behavior
    /// - `QUEUE-LIMITS-1`: the limits read back; defaults remove them; a zero in them is `Invalid`.
    async fn set_limits(&self, queue: &QueueId, limits: QueueLimits) -> Result<()>;

    /// The limits of a queue.
    ///
    /// # Behavior
    /// - `QUEUE-LIMITS-2`: a queue without limits has the defaults.
    async fn limits(&self, queue: &QueueId) -> Result<QueueLimits>;

    /// Creates or replaces a schedule: `expected` is 0 for a new one, else its present version.
    /// Returns the new version.
    ///
    /// # Behavior
    /// - `QUEUE-SCHED-1`: another version is `Conflict` and changes nothing; versions grow.
    async fn put_schedule(&self, queue: &QueueId, schedule: Schedule, expected: u64)
    -> Result<u64>;

    /// Removes a schedule; whether it was there.
    ///
    /// # Behavior
    /// - `QUEUE-SCHED-2`: it fires no more.
    async fn delete_schedule(&self, queue: &QueueId, name: &Name) -> Result<bool>;

    /// The schedules of a queue.
    ///
    /// # Behavior
    /// - `QUEUE-SCHED-3`: pages give each exactly once, as put.
    async fn schedules(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Schedule>>;

    /// Enqueues a schedule's command under `id` and moves its next time, in one step, where its version
    /// is still `expected` and its time has come.
    ///
    /// # Behavior
    /// - `QUEUE-SCHED-4`: of N concurrent firings of one version exactly one enqueues; before its time it is `Lost`.
    async fn fire(
        &self,
        queue: &QueueId,
        name: &Name,
        expected: u64,
        id: CommandId,
        next_at: Option<Timestamp>,
    ) -> Result<Fired>;

    /// Moves expired leases and passed deadlines on and frees results past their time, at most `limit`
    /// commands; returns how many. Never needed for correctness.
    ///
    /// # Behavior
    /// - `QUEUE-SWEEP-1`: changes nothing that a reader could tell, and ends at 0.
    async fn sweep(&self, limit: Limit) -> Result<u64>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_round_trips_and_foreign_text_is_refused() {
        let lease = LeaseToken { command: CommandId(Uuid::from_u128(7)), attempt: 3, secret: 0xab };
        assert_eq!(lease.to_string().parse::<LeaseToken>().unwrap(), lease);
        for text in ["", "x", "..", "a.b.c", &format!("{lease}.1"), &lease.to_string()[..40]] {
            assert!(text.parse::<LeaseToken>().is_err(), "{text}");
        }
    }
}
