//! A store that counts calls, and can be out of reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hexmem_command_queue::Commands;
use hexmem_ports::{
    Ack, CancelOutcome, Capabilities, CommandId, CommandQueue, CommandResult, CommandView, Cursor,
    DeadLetters, Effect, Enqueued, Error, ErrorKind, Extended, FailOutcome, Failure, Fired,
    LeaseRequest, LeaseToken, Leased, Limit, Name, NewCommand, Page, Prefix, QueueId, QueueLimits,
    QueueStats, Result, Retry, Schedule, Tenant, Timestamp, Ttl, WhenIdle,
};
use serde_json::Value;

/// A store that counts calls, and can be out of reach.
pub(crate) struct Counting {
    inner: Arc<dyn CommandQueue>,
    pub(crate) extends: AtomicU32,
    pub(crate) acks: AtomicU32,
    pub(crate) unreachable: AtomicBool,
}

impl Counting {
    pub(crate) fn over(commands: &Commands) -> Self {
        Self {
            inner: commands.store().clone(),
            extends: AtomicU32::new(0),
            acks: AtomicU32::new(0),
            unreachable: AtomicBool::new(false),
        }
    }

    fn reach(&self) -> Result<()> {
        if self.unreachable.load(Ordering::Relaxed) {
            return Err(
                Error::new(ErrorKind::Unavailable, "test", "out of reach").retry(Retry::Soon)
            );
        }
        Ok(())
    }
}

#[async_trait]
impl CommandQueue for Counting {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn enqueue(
        &self,
        queue: &QueueId,
        commands: Vec<NewCommand>,
        when_idle: WhenIdle,
        effects: Vec<Effect>,
    ) -> Result<Vec<Enqueued>> {
        self.inner.enqueue(queue, commands, when_idle, effects).await
    }
    async fn lease(&self, queue: &QueueId, request: LeaseRequest) -> Result<Vec<Leased>> {
        self.inner.lease(queue, request).await
    }
    async fn extend(
        &self,
        queue: &QueueId,
        leases: Vec<LeaseToken>,
        visibility: Ttl,
    ) -> Result<Vec<Result<Extended>>> {
        self.reach()?;
        self.extends.fetch_add(1, Ordering::Relaxed);
        self.inner.extend(queue, leases, visibility).await
    }
    async fn ack(
        &self,
        queue: &QueueId,
        acks: Vec<Ack>,
        effects: Vec<Effect>,
    ) -> Result<Vec<Result<()>>> {
        self.reach()?;
        self.acks.fetch_add(1, Ordering::Relaxed);
        self.inner.ack(queue, acks, effects).await
    }
    async fn fail(
        &self,
        queue: &QueueId,
        lease: &LeaseToken,
        failure: Failure,
    ) -> Result<FailOutcome> {
        self.inner.fail(queue, lease, failure).await
    }
    async fn release(&self, queue: &QueueId, lease: &LeaseToken) -> Result<()> {
        self.inner.release(queue, lease).await
    }
    async fn progress(&self, queue: &QueueId, lease: &LeaseToken, progress: Value) -> Result<()> {
        self.inner.progress(queue, lease, progress).await
    }
    async fn cancel(&self, queue: &QueueId, id: CommandId) -> Result<CancelOutcome> {
        self.inner.cancel(queue, id).await
    }
    async fn view(&self, queue: &QueueId, id: CommandId) -> Result<Option<CommandView>> {
        self.inner.view(queue, id).await
    }
    async fn result(
        &self,
        queue: &QueueId,
        id: CommandId,
        wait: Duration,
    ) -> Result<Option<CommandResult>> {
        self.inner.result(queue, id, wait).await
    }
    async fn dead(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<CommandView>> {
        self.inner.dead(queue, cursor, limit).await
    }
    async fn requeue(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        self.inner.requeue(queue, which).await
    }
    async fn purge(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        self.inner.purge(queue, which).await
    }
    async fn stats(&self, queue: &QueueId) -> Result<QueueStats> {
        self.inner.stats(queue).await
    }
    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        self.inner.list(tenant, prefix, cursor, limit).await
    }
    async fn set_limits(&self, queue: &QueueId, limits: QueueLimits) -> Result<()> {
        self.inner.set_limits(queue, limits).await
    }
    async fn limits(&self, queue: &QueueId) -> Result<QueueLimits> {
        self.inner.limits(queue).await
    }
    async fn put_schedule(
        &self,
        queue: &QueueId,
        schedule: Schedule,
        expected: u64,
    ) -> Result<u64> {
        self.inner.put_schedule(queue, schedule, expected).await
    }
    async fn delete_schedule(&self, queue: &QueueId, name: &Name) -> Result<bool> {
        self.inner.delete_schedule(queue, name).await
    }
    async fn schedules(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Schedule>> {
        self.inner.schedules(queue, cursor, limit).await
    }
    async fn fire(
        &self,
        queue: &QueueId,
        name: &Name,
        expected: u64,
        command: NewCommand,
        next_at: Option<Timestamp>,
    ) -> Result<Fired> {
        self.inner.fire(queue, name, expected, command, next_at).await
    }
    async fn sweep(&self, limit: Limit) -> Result<u64> {
        self.inner.sweep(limit).await
    }
}
