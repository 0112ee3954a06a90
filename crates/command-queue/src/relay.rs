//! Enqueueing as an effect of another store's write, and the future that carries such effects out.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use hexmem_ports::{
    Clock, CommandQueue, Effect, Error, ErrorKind, Limit, Name, NewCommand, Outbox, OutboxEntry,
    QueueId, Result, Retry, Tenant, Ttl, WhenIdle, from_base64, to_base64,
};
use serde::{Deserialize, Serialize};

use crate::{Commands, PushOptions};

/// The topic of effects that are enqueues.
pub const ENQUEUE_TOPIC: &str = "queue.enqueue";

const OPERATION: &str = "queue.relay";

/// What an effect of [`ENQUEUE_TOPIC`] carries. The payload stands apart, as base64.
#[derive(Serialize, Deserialize)]
struct Enqueue {
    tenant: Name,
    queue: Name,
    payload_b64: String,
    command: NewCommand,
}

fn broken(what: &'static str) -> Error {
    Error::invalid(OPERATION, what)
}

impl Commands {
    /// The push of a command as an effect, to be committed with a write of any store that takes effects. A
    /// [`Relay`] pushes it then, once for those who count by the command's id. Effects of one queue are pushed in
    /// the order of their commits.
    ///
    /// # Errors
    /// What a push refuses; `Invalid` for `when_idle`, which nobody would hear the answer of.
    pub fn effect(&self, payload: impl Into<Vec<u8>>, options: &PushOptions) -> Result<Effect> {
        if options.when_idle != WhenIdle::Store {
            return Err(broken("an effect has nobody to answer to; leave `when_idle` out"));
        }
        let mut command = self.command(payload, options);
        command.check(OPERATION)?;
        let id = command.id;
        let payload_b64 = to_base64(&std::mem::take(&mut command.payload));
        let QueueId { tenant, name: queue } = self.queue().clone();
        let carried = Enqueue { tenant: tenant.0, queue, payload_b64, command };
        let payload = serde_json::to_value(carried)
            .map_err(|error| broken("the command cannot be written").caused_by(error))?;
        let effect = Effect {
            id: id.0,
            topic: Name::new(ENQUEUE_TOPIC)?,
            // A tenant and a name together may be longer than a key.
            key: Name::new(format!("queue:{}", self.queue().digest().to_hex()))?,
            payload,
        };
        hexmem_ports::check_effects(OPERATION, std::slice::from_ref(&effect))?;
        Ok(effect)
    }
}

impl Enqueue {
    /// `None` for what is no enqueue, or cannot be read as one.
    fn read(effect: &Effect) -> Option<(QueueId, NewCommand)> {
        if effect.topic.as_str() != ENQUEUE_TOPIC {
            return None;
        }
        let Self { tenant, queue, payload_b64, mut command } =
            Self::deserialize(&effect.payload).ok()?;
        command.payload = from_base64(&payload_b64)?;
        command.check(OPERATION).ok()?;
        Some((QueueId::new(Tenant(tenant), queue), command))
    }
}

/// What a relay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayReport {
    /// Commands that it pushed. One that was pushed before and is pushed again counts again.
    pub pushed: u64,
    /// Effects that it gave to the other handler.
    pub others: u64,
}

/// Carries effects from an outbox to the queues. Any number may run; the outbox keeps the order of each key.
#[derive(Clone)]
pub struct Relay {
    outbox: Arc<dyn Outbox>,
    store: Arc<dyn CommandQueue>,
    clock: Arc<dyn Clock>,
    look: Duration,
    visibility: Ttl,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("look", &self.look).finish_non_exhaustive()
    }
}

/// For an outbox that carries nothing but enqueues: any other effect stops the relay, and stays.
pub async fn no_other_effects(effect: Effect) -> Result<()> {
    Err(Error::new(
        ErrorKind::Unsupported,
        OPERATION,
        "the outbox holds an effect that is no enqueue; give the relay a handler for it",
    )
    .with("topic", effect.topic)
    .with("effect", effect.id))
}

impl Relay {
    /// From `outbox` to the queues of `store`, which may lie elsewhere. Looks five times a second, and holds a batch for
    /// 30 s.
    pub fn new(
        outbox: Arc<dyn Outbox>,
        store: Arc<dyn CommandQueue>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let visibility = Ttl::from_const(Duration::from_secs(30));
        Self { outbox, store, clock, look: Duration::from_millis(200), visibility }
    }

    /// Looks this often while the outbox is empty.
    #[must_use]
    pub fn looking_each(mut self, span: Duration) -> Self {
        self.look = span.max(Duration::from_millis(1));
        self
    }

    /// Drains until `stop` ends. Effects that are no enqueue, or one that cannot be read, go to `others`, in their
    /// order; an error of it leaves the effect in the outbox. A batch counts as done when all of it is: a
    /// crash in between repeats it, which the queue knows by the commands' ids for as long as they can be viewed.
    ///
    /// # Errors
    /// What will not succeed later; the batch is handed out again after its time.
    pub async fn run<H, F>(&self, others: H, stop: impl Future<Output = ()>) -> Result<RelayReport>
    where
        H: Fn(Effect) -> F,
        F: Future<Output = Result<()>>,
    {
        let mut report = RelayReport::default();
        let mut stop = pin!(stop);
        loop {
            let carried = match self.carry(&others, &mut report).await {
                Ok(carried) => carried,
                Err(error) if error.retry_hint() == Retry::Never => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "effects are tried again later");
                    false
                }
            };
            let pause = if carried { Duration::ZERO } else { self.look };
            match select(stop.as_mut(), pin!(self.clock.sleep(pause))).await {
                Either::Left(_) => return Ok(report),
                Either::Right(_) => {}
            }
        }
    }

    /// Carries one batch; `false` when there was none.
    pub async fn carry<H, F>(&self, others: &H, report: &mut RelayReport) -> Result<bool>
    where
        H: Fn(Effect) -> F,
        F: Future<Output = Result<()>>,
    {
        let Some(batch) = self.outbox.lease(Limit::new(100)?, self.visibility).await? else {
            return Ok(false);
        };
        let mut run: Option<(QueueId, Vec<NewCommand>)> = None;
        for OutboxEntry { effect, .. } in batch.entries {
            match Enqueue::read(&effect) {
                Some((queue, command)) => match &mut run {
                    // What goes to one queue in a row goes by one call.
                    Some((same, commands)) if *same == queue => commands.push(command),
                    _ => {
                        self.push(run.replace((queue, vec![command])), report).await?;
                    }
                },
                None => {
                    self.push(run.take(), report).await?;
                    others(effect).await?;
                    report.others += 1;
                }
            }
        }
        self.push(run, report).await?;
        match self.outbox.ack(batch.lease).await {
            // It took too long: another relay repeats it, and nothing comes of that.
            Err(error) if error.kind() == ErrorKind::StaleLease => Ok(true),
            done => done.map(|()| true),
        }
    }

    async fn push(
        &self,
        run: Option<(QueueId, Vec<NewCommand>)>,
        report: &mut RelayReport,
    ) -> Result<()> {
        let Some((queue, commands)) = run else { return Ok(()) };
        let count = commands.len();
        self.store.enqueue(&queue, commands, WhenIdle::Store, Vec::new()).await?;
        report.pushed += u64::try_from(count).unwrap_or(u64::MAX);
        Ok(())
    }
}
