//! Leased, fenced command dispatch with results.

mod command;
mod record;
mod token;
mod view;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    Capabilities, Cursor, Effect, Limit, Name, Page, Prefix, QueueId, Result, Tenant, Timestamp,
    Ttl,
};

pub use command::*;
pub use record::*;
pub use token::*;
pub use view::*;

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
    /// - `QUEUE-ENQ-2`: a repeat with the same id answers as the first did and adds nothing, also while it runs and after it ended, as long as it can be viewed.
    /// - `QUEUE-ENQ-3`: a dedupe key within its window answers `Duplicate` with the first command's id; after the window it is free; N concurrent ones store one.
    /// - `QUEUE-ENQ-4`: with `Refuse` and no worker seen it answers `NoConsumer` and stores nothing; a worker that waits counts as seen.
    /// - `QUEUE-ENQ-5`: one invalid command ([`NewCommand::check`]: payload beyond the limit, NUL in headers, a policy out of range) refuses the whole list, which changes nothing; an empty list is an empty answer.
    /// - `QUEUE-ENQ-6`: (effects) effects are committed with the commands; when none is newly stored, none of the effects is.
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
    /// - `QUEUE-LEASE-9`: with a rate at most `count` are handed out at once and, over any span, at most `count` more than the span refills ([`TokenBucket`](crate::rules::TokenBucket)); the rest later.
    /// - `QUEUE-LEASE-10`: a wait returns as soon as a command is ready, and empty when the wait is over.
    /// - `QUEUE-LEASE-11`: other queues and tenants are untouched.
    async fn lease(&self, queue: &QueueId, request: LeaseRequest) -> Result<Vec<Leased>>;

    /// Renews leases for `visibility` from now: the heartbeat of all that a worker holds. Answers for each in
    /// order.
    ///
    /// # Behavior
    /// - `QUEUE-EXTEND-1`: moves the end of the lease; the token stays.
    /// - `QUEUE-EXTEND-2`: a stale lease is `StaleLease`, also when nobody else holds the command yet.
    /// - `QUEUE-EXTEND-3`: tells that a cancel was asked for.
    /// - `QUEUE-EXTEND-4`: a stale lease does not stop the others of the list; an empty list is an empty answer.
    async fn extend(
        &self,
        queue: &QueueId,
        leases: Vec<LeaseToken>,
        visibility: Ttl,
    ) -> Result<Vec<Result<Extended>>>;

    /// Completes commands and stores their results; answers for each in order.
    ///
    /// # Behavior
    /// - `QUEUE-ACK-1`: the command is completed, its result readable; it is never handed out again.
    /// - `QUEUE-ACK-2`: a stale lease is `StaleLease`, changes nothing and does not stop the others of the list.
    /// - `QUEUE-ACK-3`: a repeat with the lease that completed it succeeds; the first result stays.
    /// - `QUEUE-ACK-4`: of N concurrent acks under leases old and new only the current one's result is kept.
    /// - `QUEUE-ACK-5`: (effects) effects are committed with the completions; when any lease is stale, or all were completed before, none of the effects is.
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
    /// - `QUEUE-FAIL-2`: out of attempts, with `Dead`, or when the retry would come at or after the deadline, it lies in the dead letters with its error.
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
    /// - `QUEUE-RELEASE-2`: a stale lease is `StaleLease` and changes nothing; a repeat with the same lease succeeds while the command was not handed out again.
    /// - `QUEUE-RELEASE-3`: a command whose cancel was asked for is cancelled.
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

    /// The dead letters. Each stays until it is requeued or purged.
    ///
    /// # Behavior
    /// - `QUEUE-DEAD-1`: pages give each dead letter exactly once, with its error.
    async fn dead(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<CommandView>>;

    /// Puts dead letters back into the queue, as if enqueued now: ready at once, behind the others of
    /// their priority and group, attempts counted from zero, without a deadline; returns how many.
    ///
    /// # Behavior
    /// - `QUEUE-REQUEUE-1`: they are handed out again with attempt 1; ids that are not dead are not counted. A lease of before is stale.
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
    /// - `QUEUE-SCHED-1`: another version is `Conflict` and changes nothing; versions grow, also over a delete. A repeat of the put that made the present version gives that version.
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

    /// Enqueues `command` for a schedule and moves the schedule's next time, in one step, where its version is
    /// still `expected` and its time has come. The caller makes the command from the template it read under that
    /// version.
    ///
    /// # Behavior
    /// - `QUEUE-SCHED-4`: of N concurrent firings of one version exactly one enqueues; before its time it is `Lost`. A repeat with the id that fired is `Enqueued`.
    /// - `QUEUE-SCHED-5`: the command is enqueued as given; an invalid one ([`NewCommand::check`]) is `Invalid`, and the schedule stays as it was.
    async fn fire(
        &self,
        queue: &QueueId,
        name: &Name,
        expected: u64,
        command: NewCommand,
        next_at: Option<Timestamp>,
    ) -> Result<Fired>;

    /// Moves expired leases and passed deadlines on and frees results past their time, at most `limit`
    /// commands; returns how many. Never needed for correctness.
    ///
    /// # Behavior
    /// - `QUEUE-SWEEP-1`: changes nothing that a reader could tell, and ends at 0.
    async fn sweep(&self, limit: Limit) -> Result<u64>;
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: CommandQueue + ?Sized> CommandQueue for Arc<T> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    async fn enqueue(
        &self,
        queue: &QueueId,
        commands: Vec<NewCommand>,
        when_idle: WhenIdle,
        effects: Vec<Effect>,
    ) -> Result<Vec<Enqueued>> {
        (**self).enqueue(queue, commands, when_idle, effects).await
    }
    async fn lease(&self, queue: &QueueId, request: LeaseRequest) -> Result<Vec<Leased>> {
        (**self).lease(queue, request).await
    }
    async fn extend(
        &self,
        queue: &QueueId,
        leases: Vec<LeaseToken>,
        visibility: Ttl,
    ) -> Result<Vec<Result<Extended>>> {
        (**self).extend(queue, leases, visibility).await
    }
    async fn ack(
        &self,
        queue: &QueueId,
        acks: Vec<Ack>,
        effects: Vec<Effect>,
    ) -> Result<Vec<Result<()>>> {
        (**self).ack(queue, acks, effects).await
    }
    async fn fail(
        &self,
        queue: &QueueId,
        lease: &LeaseToken,
        failure: Failure,
    ) -> Result<FailOutcome> {
        (**self).fail(queue, lease, failure).await
    }
    async fn release(&self, queue: &QueueId, lease: &LeaseToken) -> Result<()> {
        (**self).release(queue, lease).await
    }
    async fn progress(&self, queue: &QueueId, lease: &LeaseToken, progress: Value) -> Result<()> {
        (**self).progress(queue, lease, progress).await
    }
    async fn cancel(&self, queue: &QueueId, id: CommandId) -> Result<CancelOutcome> {
        (**self).cancel(queue, id).await
    }
    async fn view(&self, queue: &QueueId, id: CommandId) -> Result<Option<CommandView>> {
        (**self).view(queue, id).await
    }
    async fn result(
        &self,
        queue: &QueueId,
        id: CommandId,
        wait: Duration,
    ) -> Result<Option<CommandResult>> {
        (**self).result(queue, id, wait).await
    }
    async fn dead(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<CommandView>> {
        (**self).dead(queue, cursor, limit).await
    }
    async fn requeue(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        (**self).requeue(queue, which).await
    }
    async fn purge(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        (**self).purge(queue, which).await
    }
    async fn stats(&self, queue: &QueueId) -> Result<QueueStats> {
        (**self).stats(queue).await
    }
    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        (**self).list(tenant, prefix, cursor, limit).await
    }
    async fn set_limits(&self, queue: &QueueId, limits: QueueLimits) -> Result<()> {
        (**self).set_limits(queue, limits).await
    }
    async fn limits(&self, queue: &QueueId) -> Result<QueueLimits> {
        (**self).limits(queue).await
    }
    async fn put_schedule(
        &self,
        queue: &QueueId,
        schedule: Schedule,
        expected: u64,
    ) -> Result<u64> {
        (**self).put_schedule(queue, schedule, expected).await
    }
    async fn delete_schedule(&self, queue: &QueueId, name: &Name) -> Result<bool> {
        (**self).delete_schedule(queue, name).await
    }
    async fn schedules(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Schedule>> {
        (**self).schedules(queue, cursor, limit).await
    }
    async fn fire(
        &self,
        queue: &QueueId,
        name: &Name,
        expected: u64,
        command: NewCommand,
        next_at: Option<Timestamp>,
    ) -> Result<Fired> {
        (**self).fire(queue, name, expected, command, next_at).await
    }
    async fn sweep(&self, limit: Limit) -> Result<u64> {
        (**self).sweep(limit).await
    }
}
