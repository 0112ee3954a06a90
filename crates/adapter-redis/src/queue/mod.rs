//! The queue on Redis: each method is one script on the keys of one hash tag.
//!
//! A command is one packed text in a hash of its queue; beside it stand sets that say where it is filed. The ready ones lie
//! in one sorted set of equal scores, whose members begin with priority and sequence in digits of fixed width, so that the
//! set's own order is the order of the queue. Of a group only the head is in it. What time alone changes (a delay that
//! ends, a lease that runs out, a deadline) is settled in bounded steps by whoever comes next, and by
//! [`sweep`](CommandQueue::sweep).

mod listen;
mod manage;
mod names;
mod records;
mod row;
mod schedules;
mod scripts;
mod wait;
mod wake;

use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::rules::{Stage, jitter, stale};
use hexmem_ports::{
    Ack, CancelOutcome, Capabilities, Capability, CommandId, CommandQueue, CommandResult,
    CommandState, CommandView, Cursor, DeadLetters, Effect, Enqueued, Error, ErrorKind, Extended,
    FailOutcome, Failure, Fired, LeaseRequest, LeaseToken, Leased, Limit, Name, NewCommand, Page,
    Prefix, QueueId, QueueLimits, QueueStats, Result, Schedule, Tenant, Timestamp, Ttl, Verdict,
    WhenIdle, check_bytes, check_effects, check_json,
};
use serde_json::Value;

use crate::Redis;
use crate::keys::Tag;
use crate::reply::Reply;
use crate::script::{Script, ScriptCall};
use row::{
    body_bytes, id_bytes, id_of, lease_bytes, optional, outcome_of, packed_fields, stage_of,
};
pub(crate) use wake::Bells;

/// Queues of commands in Redis. Cheap to clone.
///
/// A lease or a result that waits is woken over one connection of the whole handle; a wait that is dropped takes back
/// nothing: what was handed out to it comes again when its lease runs out.
#[derive(Debug, Clone)]
pub struct RedisQueue {
    redis: Redis,
}

impl Redis {
    /// The queues under this prefix.
    pub fn queue(&self) -> RedisQueue {
        RedisQueue { redis: self.clone() }
    }
}

impl RedisQueue {
    fn tag(&self, queue: &QueueId) -> Tag {
        Tag::of_digest(self.redis.prefix(), 'q', &queue.digest())
    }

    /// Runs a script that brings a queue into being; lists the queue first where it is not. `fill` gives the arguments.
    async fn run_listed(
        &self,
        operation: &'static str,
        queue: &QueueId,
        script: &'static Script,
        fill: impl for<'a> Fn(ScriptCall<'a>) -> ScriptCall<'a> + Send + Sync,
    ) -> Result<Reply> {
        let tag = self.tag(queue);
        let call = |is_listed: u8| fill(self.redis.script(script, &tag).arg(is_listed));
        if let Some(answer) = call(0).run(operation).await?.some() {
            return Ok(answer);
        }
        names::list(&self.redis, operation, queue).await?;
        call(1).run(operation).await?.some().ok_or_else(|| {
            Error::new(ErrorKind::Internal, operation, "a queue is not listed after it was")
                .not_applied()
        })
    }

    /// A script about one lease; the caller adds what it says.
    fn lease_call<'a>(
        &'a self,
        script: &'static Script,
        tag: &'a Tag,
        lease: &LeaseToken,
    ) -> ScriptCall<'a> {
        self.redis.script(script, tag).bytes(id_bytes(lease.command)).bytes(lease_bytes(lease))
    }

    /// Reads a command; the caller adds what it wants beside the core.
    fn read_call<'a>(&'a self, tag: &'a Tag, id: CommandId) -> ScriptCall<'a> {
        self.redis.script(&scripts::READ, tag).bytes(id_bytes(id))
    }

    /// Settles all that is due, in bounded steps.
    async fn settle_queue(&self, operation: &'static str, tag: &Tag) -> Result<()> {
        loop {
            let call = self.redis.script(&scripts::SETTLE, tag).arg(BATCH);
            if call.run(operation).await?.uint()? < BATCH {
                return Ok(());
            }
        }
    }
}

/// Settled by one script: bounds how long it holds up everybody else.
const BATCH: u64 = 256;

/// The arguments that `store.lua` takes of a command.
fn command_args<'a>(call: ScriptCall<'a>, command: &NewCommand) -> ScriptCall<'a> {
    let call = call
        .bytes(id_bytes(command.id))
        .bytes(body_bytes(&command.headers, &command.payload))
        // As `place` in `life.lua`: a high priority is a small number.
        .arg(format!("{:05}", i32::from(i16::MAX) - i32::from(command.priority)))
        .bytes(packed_fields(command.priority, &command.retry, command.result_ttl));
    let dedupe = command.dedupe.as_ref();
    if command.delay.is_none()
        && command.deadline.is_none()
        && dedupe.is_none()
        && command.group.is_none()
    {
        return call.arg("");
    }
    call.arg("+")
        .ttl(command.delay)
        .time(command.deadline)
        .arg(dedupe.map_or("", |dedupe| dedupe.key.as_str()))
        .ttl(dedupe.map(|dedupe| dedupe.window))
        .arg(command.group.as_ref().map_or("", Name::as_str))
}

fn enqueued(operation: &'static str, answer: Reply) -> Result<Enqueued> {
    let bytes = answer.bytes()?;
    match bytes.as_slice() {
        b"0" => Ok(Enqueued::Queued),
        b"1" => Ok(Enqueued::NoConsumer),
        first => id_of(operation, first).map(Enqueued::Duplicate),
    }
}

#[async_trait]
impl CommandQueue for RedisQueue {
    fn capabilities(&self) -> Capabilities {
        use Capability::{Effects, ExactCounts, MultiProcess, Records};
        Capabilities::of([MultiProcess, Effects, ExactCounts, Records])
    }

    async fn enqueue(
        &self,
        queue: &QueueId,
        commands: Vec<NewCommand>,
        when_idle: WhenIdle,
        effects: Vec<Effect>,
    ) -> Result<Vec<Enqueued>> {
        const OPERATION: &str = "queue.enqueue";
        commands.iter().try_for_each(|command| command.check(OPERATION))?;
        check_effects(OPERATION, &effects)?;
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let refuse = match when_idle {
            WhenIdle::Store => None,
            WhenIdle::Refuse(span) => Some(span),
        };
        let answer = self.run_listed(OPERATION, queue, &scripts::ENQUEUE, |call| {
            let call = call.effects(&effects).ttl(refuse).arg(commands.len());
            commands.iter().fold(call, command_args)
        });
        answer.await?.list()?.map(|one| enqueued(OPERATION, one)).collect()
    }

    async fn lease(&self, queue: &QueueId, request: LeaseRequest) -> Result<Vec<Leased>> {
        self.wait_for_commands(queue, &request).await
    }

    async fn extend(
        &self,
        queue: &QueueId,
        leases: Vec<LeaseToken>,
        visibility: Ttl,
    ) -> Result<Vec<Result<Extended>>> {
        const OPERATION: &str = "queue.extend";
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let tag = self.tag(queue);
        let call = self.redis.script(&scripts::EXTEND, &tag).ttl(Some(visibility));
        let call = leases.iter().fold(call.arg(leases.len()), |call, lease| {
            call.bytes(id_bytes(lease.command)).bytes(lease_bytes(lease))
        });
        let mut answer = call.run(OPERATION).await?.list()?;
        let leased_until = answer.item()?.time()?.plus(visibility.get());
        let told = |lease: &LeaseToken| {
            Ok(match answer.optional()? {
                None => Err(stale(OPERATION, lease)),
                Some(mark) => Ok(Extended { leased_until, cancel_requested: mark.int()? == 1 }),
            })
        };
        leases.iter().map(told).collect()
    }

    async fn ack(
        &self,
        queue: &QueueId,
        acks: Vec<Ack>,
        effects: Vec<Effect>,
    ) -> Result<Vec<Result<()>>> {
        const OPERATION: &str = "queue.ack";
        check_effects(OPERATION, &effects)?;
        for ack in &acks {
            check_bytes(OPERATION, ack.result.as_deref().unwrap_or_default())?;
        }
        if acks.is_empty() {
            return Ok(Vec::new());
        }
        let tag = self.tag(queue);
        let call = self.redis.script(&scripts::ACK, &tag).effects(&effects).arg(acks.len());
        let call = acks.iter().fold(call, |call, ack| {
            call.bytes(id_bytes(ack.lease.command))
                .bytes(lease_bytes(&ack.lease))
                .bytes(optional(ack.result.as_deref()))
        });
        let mut answer = call.run(OPERATION).await?.list()?;
        let told = |ack: &Ack| {
            Ok(answer.optional()?.map(drop).ok_or_else(|| stale(OPERATION, &ack.lease)))
        };
        acks.iter().map(told).collect()
    }

    async fn fail(
        &self,
        queue: &QueueId,
        lease: &LeaseToken,
        failure: Failure,
    ) -> Result<FailOutcome> {
        const OPERATION: &str = "queue.fail";
        let (verdict, wait) = match failure.verdict {
            Verdict::Retry => ("r", Duration::ZERO),
            Verdict::RetryAfter(wait) => ("a", wait),
            Verdict::Dead => ("d", Duration::ZERO),
        };
        let tag = self.tag(queue);
        let call = self
            .lease_call(&scripts::FAIL, &tag, lease)
            .arg(verdict)
            // The script cuts what lies beyond the calendar.
            .arg(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX))
            .arg(jitter(lease.command, lease.attempt))
            .arg(failure.kept_error());
        let outcome = call.run(OPERATION).await?.some().ok_or_else(|| stale(OPERATION, lease))?;
        outcome_of(OPERATION, &outcome.text()?)
    }

    async fn release(&self, queue: &QueueId, lease: &LeaseToken) -> Result<()> {
        const OPERATION: &str = "queue.release";
        let tag = self.tag(queue);
        let done = self.lease_call(&scripts::RELEASE, &tag, lease).run(OPERATION).await?;
        done.some().map(drop).ok_or_else(|| stale(OPERATION, lease))
    }

    async fn progress(&self, queue: &QueueId, lease: &LeaseToken, progress: Value) -> Result<()> {
        const OPERATION: &str = "queue.progress";
        check_json(OPERATION, &progress)?;
        let tag = self.tag(queue);
        let call = self.lease_call(&scripts::PROGRESS, &tag, lease).arg(progress.to_string());
        call.run(OPERATION).await?.some().map(drop).ok_or_else(|| stale(OPERATION, lease))
    }

    async fn cancel(&self, queue: &QueueId, id: CommandId) -> Result<CancelOutcome> {
        const OPERATION: &str = "queue.cancel";
        let tag = self.tag(queue);
        let call = self.redis.script(&scripts::CANCEL, &tag).bytes(id_bytes(id));
        let Some(stage) = call.run(OPERATION).await?.some() else {
            return Ok(CancelOutcome::Unknown);
        };
        Ok(match stage_of(OPERATION, stage.int()?)? {
            Stage::Ready | Stage::Parked | Stage::Blocked => CancelOutcome::Cancelled,
            Stage::Leased => CancelOutcome::Requested,
            Stage::Completed => CancelOutcome::Ended(CommandState::Completed),
            Stage::Dead => CancelOutcome::Ended(CommandState::Dead),
            Stage::Cancelled => CancelOutcome::Ended(CommandState::Cancelled),
            Stage::Purged => CancelOutcome::Unknown,
        })
    }

    async fn view(&self, queue: &QueueId, id: CommandId) -> Result<Option<CommandView>> {
        self.view_command(queue, id).await
    }

    async fn result(
        &self,
        queue: &QueueId,
        id: CommandId,
        wait: Duration,
    ) -> Result<Option<CommandResult>> {
        self.wait_for_result(queue, id, wait).await
    }

    async fn dead(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<CommandView>> {
        self.dead_page(queue, cursor, limit).await
    }

    async fn requeue(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        self.requeue_dead(queue, which).await
    }

    async fn purge(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        self.purge_dead(queue, which).await
    }

    async fn stats(&self, queue: &QueueId) -> Result<QueueStats> {
        self.count(queue).await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        self.list_queues(tenant, prefix, cursor, limit).await
    }

    async fn set_limits(&self, queue: &QueueId, limits: QueueLimits) -> Result<()> {
        self.write_limits(queue, limits).await
    }

    async fn limits(&self, queue: &QueueId) -> Result<QueueLimits> {
        self.read_limits(queue).await
    }

    async fn put_schedule(
        &self,
        queue: &QueueId,
        schedule: Schedule,
        expected: u64,
    ) -> Result<u64> {
        self.write_schedule(queue, schedule, expected).await
    }

    async fn delete_schedule(&self, queue: &QueueId, name: &Name) -> Result<bool> {
        self.remove_schedule(queue, name).await
    }

    async fn schedules(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Schedule>> {
        self.schedule_page(queue, cursor, limit).await
    }

    async fn fire(
        &self,
        queue: &QueueId,
        name: &Name,
        expected: u64,
        command: NewCommand,
        next_at: Option<Timestamp>,
    ) -> Result<Fired> {
        self.fire_schedule(queue, name, expected, &command, next_at).await
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        self.sweep_queues(limit).await
    }
}
