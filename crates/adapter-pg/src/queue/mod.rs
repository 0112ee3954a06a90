//! Queues of commands.
//!
//! The hot calls (enqueue, lease, acknowledge, extend) are one round trip each: a function of the schema that locks
//! first and looks after that, statement by statement. The others take the command under its locks, ask the shared
//! state machine, and write its answer down.

mod enqueue;
mod hints;
mod manage;
mod records;
mod row;
mod schedules;
mod settle;
mod steps;
mod wait;

use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::{
    Ack, CancelOutcome, Capabilities, Capability, CommandId, CommandQueue, CommandResult,
    CommandView, Cursor, DeadLetters, Effect, Enqueued, Extended, FailOutcome, Failure, Fired,
    LeaseRequest, LeaseToken, Leased, Limit, Name, NewCommand, Page, Prefix, QueueId, QueueLimits,
    QueueStats, Result, Schedule, Tenant, Timestamp, Ttl, WhenIdle, check_json,
};
use serde_json::Value;

use crate::Postgres;
pub(crate) use hints::Hints;

/// Settled in one transaction: bounds how long rows are held for what time has piled up.
const BATCH: i32 = 256;

/// A worker's word is not written again within this; an enqueue that asks for consumers allows for it.
const SLACK: Duration = Duration::from_millis(250);

/// Queues of a schema. A lease that waits is woken within milliseconds of an enqueue by any process
/// ([`Notify::Listen`](crate::Notify)), and looks by itself twice a second.
///
/// Equals of one priority are handed out in the order in which their enqueues began. Dropping the future of a lease
/// in the middle of its statement leaves open whether commands were handed out; they come back when their visibility
/// is over.
#[derive(Debug, Clone)]
pub struct PgQueue {
    postgres: Postgres,
}

impl Postgres {
    /// The queues of this schema.
    pub fn queue(&self) -> PgQueue {
        PgQueue { postgres: self.clone() }
    }
}

/// What is told when workers at a queue should look.
fn topic(queue: &QueueId) -> String {
    format!("q{}", queue.digest().to_hex())
}

/// What is told when a command ended whose result somebody waits for.
fn result_topic(queue: &QueueId, id: CommandId) -> String {
    format!("r{}{id}", queue.digest().to_hex())
}

impl PgQueue {
    /// Has those of this process who wait at the queue look at once, also where nobody listens.
    fn wake(&self, queue: &QueueId) {
        self.postgres.tell_here(&topic(queue));
    }
}

/// One row more than asked for.
fn one_more(limit: Limit) -> i64 {
    i64::from(limit.get()) + 1
}

#[async_trait]
impl CommandQueue for PgQueue {
    fn capabilities(&self) -> Capabilities {
        use Capability::{Durable, Effects, ExactCounts, MultiProcess, Records};
        Capabilities::of([Durable, MultiProcess, Effects, ExactCounts, Records])
    }

    async fn enqueue(
        &self,
        queue: &QueueId,
        commands: Vec<NewCommand>,
        when_idle: WhenIdle,
        effects: Vec<Effect>,
    ) -> Result<Vec<Enqueued>> {
        self.enqueue_list(queue, commands, when_idle, effects).await
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
        self.extend_all(queue, &leases, visibility).await
    }

    async fn ack(
        &self,
        queue: &QueueId,
        acks: Vec<Ack>,
        effects: Vec<Effect>,
    ) -> Result<Vec<Result<()>>> {
        self.ack_all(queue, acks, effects).await
    }

    async fn fail(
        &self,
        queue: &QueueId,
        lease: &LeaseToken,
        failure: Failure,
    ) -> Result<FailOutcome> {
        self.fail_one(queue, lease, &failure).await
    }

    async fn release(&self, queue: &QueueId, lease: &LeaseToken) -> Result<()> {
        self.release_one(queue, lease).await
    }

    async fn progress(&self, queue: &QueueId, lease: &LeaseToken, progress: Value) -> Result<()> {
        check_json("queue.progress", &progress)?;
        self.report(queue, lease, progress).await
    }

    async fn cancel(&self, queue: &QueueId, id: CommandId) -> Result<CancelOutcome> {
        self.cancel_one(queue, id).await
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
        self.fire_schedule(queue, name, expected, command, next_at).await
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        self.sweep_schema(limit).await
    }
}
