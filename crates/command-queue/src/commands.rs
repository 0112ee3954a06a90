//! One queue, as a team uses it.

use std::sync::Arc;
use std::time::Duration;

use hexmem_ports::{
    Ack, CancelOutcome, Clock, CommandId, CommandQueue, CommandResult, CommandState, CommandView,
    Cursor, DeadLetters, Effect, Enqueued, Error, ErrorKind, Extended, FailOutcome, Failure,
    LeaseRequest, LeaseToken, Leased, Limit, Name, NewCommand, Page, QueueId, QueueLimits,
    QueueStats, Result, Timestamp, Ttl,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::{NoContext, Uuid};

use crate::PushOptions;

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It waits under this id.
    Queued(CommandId),
    /// Its dedupe key is taken by this command, which stands for it.
    Duplicate(CommandId),
    /// Nobody consumes the queue: it is not stored. The id would have been this.
    NoConsumer(CommandId),
}

impl Pushed {
    /// The id under which a result will be found, where there will be one.
    pub fn id(self) -> CommandId {
        match self {
            Self::Queued(id) | Self::Duplicate(id) | Self::NoConsumer(id) => id,
        }
    }

    fn of(id: CommandId, answer: Enqueued) -> Self {
        match answer {
            Enqueued::Queued => Self::Queued(id),
            Enqueued::Duplicate(first) => Self::Duplicate(first),
            Enqueued::NoConsumer => Self::NoConsumer(id),
        }
    }
}

/// One queue. Cheap to clone.
#[derive(Clone)]
pub struct Commands {
    store: Arc<dyn CommandQueue>,
    clock: Arc<dyn Clock>,
    queue: QueueId,
}

impl std::fmt::Debug for Commands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commands").field("queue", &self.queue).finish_non_exhaustive()
    }
}

fn json_error(operation: &'static str, what: &'static str, error: serde_json::Error) -> Error {
    Error::invalid(operation, what).caused_by(error)
}

fn no_answer(operation: &'static str) -> Error {
    Error::new(ErrorKind::Internal, operation, "the store gave no answer")
}

/// A UUID of version 7 of this instant: time, then 74 random bits (RFC 9562, section 5.7).
fn fresh_id(now: Timestamp) -> CommandId {
    let micros = u64::try_from(now.as_micros()).unwrap_or(0);
    let nanos = u32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
    CommandId(Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, micros / 1_000_000, nanos)))
}

impl Commands {
    /// The queue `queue` of a store.
    pub fn new(store: Arc<dyn CommandQueue>, clock: Arc<dyn Clock>, queue: QueueId) -> Self {
        Self { store, clock, queue }
    }

    /// Its address.
    pub fn queue(&self) -> &QueueId {
        &self.queue
    }

    /// The store below, for what has no shorter form here.
    pub fn store(&self) -> &Arc<dyn CommandQueue> {
        &self.store
    }

    /// The clock that relative deadlines and heartbeats go by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// A command that is not pushed yet, under a fresh id (a UUID of version 7, so that ids sort by time)
    /// unless the options bring one.
    pub fn command(&self, payload: impl Into<Vec<u8>>, options: &PushOptions) -> NewCommand {
        NewCommand {
            id: options.id.unwrap_or_else(|| fresh_id(self.clock.now())),
            payload: payload.into(),
            headers: options.headers.clone(),
            priority: options.priority,
            delay: options.delay,
            deadline: options.deadline_at(self.clock.now()),
            dedupe: options.dedupe.clone(),
            group: options.group.clone(),
            retry: options.retry,
            result_ttl: options.result_ttl,
        }
    }

    /// Pushes bytes.
    pub async fn push(&self, payload: impl Into<Vec<u8>>, options: &PushOptions) -> Result<Pushed> {
        let command = self.command(payload, options);
        let id = command.id;
        let mut answers =
            self.store.enqueue(&self.queue, vec![command], options.when_idle, vec![]).await?;
        let answer = answers.pop().ok_or_else(|| no_answer("queue.push"))?;
        Ok(Pushed::of(id, answer))
    }

    /// Pushes a value as JSON.
    pub async fn push_json<T: Serialize + ?Sized + Sync>(
        &self,
        value: &T,
        options: &PushOptions,
    ) -> Result<Pushed> {
        let payload = serde_json::to_vec(value)
            .map_err(|error| json_error("queue.push", "the value cannot be JSON", error))?;
        self.push(payload, options).await
    }

    /// Pushes many at once, all or none, with effects that are committed with them.
    pub async fn push_many(
        &self,
        commands: Vec<NewCommand>,
        effects: Vec<Effect>,
    ) -> Result<Vec<Pushed>> {
        let ids: Vec<_> = commands.iter().map(|command| command.id).collect();
        let store = hexmem_ports::WhenIdle::Store;
        let answers = self.store.enqueue(&self.queue, commands, store, effects).await?;
        Ok(ids.into_iter().zip(answers).map(|(id, answer)| Pushed::of(id, answer)).collect())
    }

    /// Leases up to `max` for `visibility`, waiting up to `wait` for the first one.
    pub async fn lease(
        &self,
        worker: &Name,
        max: Limit,
        visibility: Ttl,
        wait: Duration,
    ) -> Result<Vec<Leased>> {
        let request = LeaseRequest { worker: worker.clone(), max, visibility, wait };
        self.store.lease(&self.queue, request).await
    }

    /// The heartbeat: renews a lease for `visibility` from now.
    pub async fn extend(&self, lease: &LeaseToken, visibility: Ttl) -> Result<Extended> {
        let mut answers = self.extend_many(vec![*lease], visibility).await?;
        answers.pop().unwrap_or_else(|| Err(no_answer("queue.extend")))
    }

    /// Renews many leases at once; answers for each in order.
    pub async fn extend_many(
        &self,
        leases: Vec<LeaseToken>,
        visibility: Ttl,
    ) -> Result<Vec<Result<Extended>>> {
        self.store.extend(&self.queue, leases, visibility).await
    }

    /// Completes one command.
    pub async fn ack(&self, lease: LeaseToken, result: Option<Vec<u8>>) -> Result<()> {
        let mut answers = self.store.ack(&self.queue, vec![Ack { lease, result }], vec![]).await?;
        answers.pop().unwrap_or_else(|| Err(no_answer("queue.ack")))
    }

    /// Completes many, with effects that are committed when none of the leases is stale.
    pub async fn ack_many(&self, acks: Vec<Ack>, effects: Vec<Effect>) -> Result<Vec<Result<()>>> {
        self.store.ack(&self.queue, acks, effects).await
    }

    /// Ends an attempt without success.
    pub async fn fail(&self, lease: &LeaseToken, failure: Failure) -> Result<FailOutcome> {
        self.store.fail(&self.queue, lease, failure).await
    }

    /// Hands a command back unprocessed; the attempt does not count.
    pub async fn release(&self, lease: &LeaseToken) -> Result<()> {
        self.store.release(&self.queue, lease).await
    }

    /// Reports progress that observers see.
    pub async fn progress(&self, lease: &LeaseToken, progress: Value) -> Result<()> {
        self.store.progress(&self.queue, lease, progress).await
    }

    /// How a command ended; `None` when it has not, or is unknown.
    pub async fn result(&self, id: CommandId) -> Result<Option<CommandResult>> {
        self.store.result(&self.queue, id, Duration::ZERO).await
    }

    /// How a command ended, waiting up to `wait` for it.
    pub async fn await_result(
        &self,
        id: CommandId,
        wait: Duration,
    ) -> Result<Option<CommandResult>> {
        self.store.result(&self.queue, id, wait).await
    }

    /// The result of a completed command as JSON, waiting up to `wait` for it; `None` when it has not ended.
    ///
    /// # Errors
    /// `Conflict` when it ended without being completed (the message says how), `Invalid` when its result
    /// is not the JSON asked for.
    pub async fn await_json<T: DeserializeOwned>(
        &self,
        id: CommandId,
        wait: Duration,
    ) -> Result<Option<T>> {
        let Some(ended) = self.await_result(id, wait).await? else { return Ok(None) };
        if ended.state != CommandState::Completed {
            let why = ended.error.unwrap_or_else(|| "it was cancelled".to_owned());
            return Err(Error::conflict(
                "queue.await",
                format!("the command ended without a result: {why}"),
            )
            .with("command", id));
        }
        serde_json::from_slice(&ended.result.unwrap_or_default()).map(Some).map_err(|error| {
            json_error("queue.await", "the result is not the JSON asked for", error)
                .with("command", id)
        })
    }

    /// Cancels a waiting command, or asks a running one to stop.
    pub async fn cancel(&self, id: CommandId) -> Result<CancelOutcome> {
        self.store.cancel(&self.queue, id).await
    }

    /// A command as it stands.
    pub async fn view(&self, id: CommandId) -> Result<Option<CommandView>> {
        self.store.view(&self.queue, id).await
    }

    /// A page of dead letters.
    pub async fn dead(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<CommandView>> {
        self.store.dead(&self.queue, cursor, limit).await
    }

    /// Puts dead letters back, with fresh attempts and without their deadline; returns how many.
    pub async fn requeue(&self, which: DeadLetters) -> Result<u64> {
        self.store.requeue(&self.queue, which).await
    }

    /// Removes dead letters for good; returns how many.
    pub async fn purge(&self, which: DeadLetters) -> Result<u64> {
        self.store.purge(&self.queue, which).await
    }

    /// Counts.
    pub async fn stats(&self) -> Result<QueueStats> {
        self.store.stats(&self.queue).await
    }

    /// The limits that leases keep to.
    pub async fn limits(&self) -> Result<QueueLimits> {
        self.store.limits(&self.queue).await
    }

    /// Sets them; the defaults remove them.
    pub async fn set_limits(&self, limits: QueueLimits) -> Result<()> {
        self.store.set_limits(&self.queue, limits).await
    }
}
