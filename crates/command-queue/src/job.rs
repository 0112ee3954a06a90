//! One delivery in a handler's hands.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::Shared;
use hexmem_ports::{CommandId, Effect, Error, ErrorKind, Leased, Result, Verdict};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Commands;

/// Why an attempt failed, and whether another makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    /// For people; kept with the command.
    pub error: String,
    /// What it means for the command.
    pub verdict: Verdict,
}

impl JobError {
    /// Try again after the policy's backoff.
    pub fn retry(error: impl fmt::Display) -> Self {
        Self { error: error.to_string(), verdict: Verdict::Retry }
    }

    /// Try again after `wait`.
    pub fn retry_after(error: impl fmt::Display, wait: Duration) -> Self {
        Self { error: error.to_string(), verdict: Verdict::RetryAfter(wait) }
    }

    /// Never again: to the dead letters.
    pub fn dead(error: impl fmt::Display) -> Self {
        Self { error: error.to_string(), verdict: Verdict::Dead }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl std::error::Error for JobError {}

impl From<Error> for JobError {
    /// What can never be accepted is dead; anything else is worth another attempt.
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::Corrupt => Self::dead(error),
            _ => Self::retry(error),
        }
    }
}

/// What a handler gives back: the bytes to keep as the result, if any.
pub type JobResult = std::result::Result<Option<Vec<u8>>, JobError>;

/// One delivery. The worker renews its lease while the handler runs.
#[derive(Debug, Clone)]
pub struct Job {
    leased: Leased,
    commands: Commands,
    cancelled: Shared<oneshot::Receiver<()>>,
    pub(crate) effects: Effects,
}

/// Effects that a handler asked for; committed with its completion, or never.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effects(Arc<Mutex<Vec<Effect>>>);

impl Effects {
    fn push(&self, effect: Effect) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(effect);
    }

    pub(crate) fn take(&self) -> Vec<Effect> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Job {
    pub(crate) fn new(
        leased: Leased,
        commands: Commands,
        cancelled: Shared<oneshot::Receiver<()>>,
    ) -> Self {
        Self { leased, commands, cancelled, effects: Effects::default() }
    }

    /// Has `effect` committed in the same step as the completion of this command: what follows from it is done if and
    /// only if it was completed, by this delivery. With [`Commands::effect`] the follow-up is another command.
    pub fn then(&self, effect: Effect) {
        self.effects.push(effect);
    }

    /// The command's id: the same for every delivery, so a good key of idempotence.
    pub fn id(&self) -> CommandId {
        self.leased.id
    }

    /// Which delivery it is, from 1.
    pub fn attempt(&self) -> u32 {
        self.leased.attempt
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.leased.payload
    }

    /// What was pushed beside it.
    pub fn headers(&self) -> &Value {
        &self.leased.headers
    }

    /// Everything the store handed out.
    pub fn leased(&self) -> &Leased {
        &self.leased
    }

    /// The payload as JSON. What is no JSON of this type never will be: `Invalid`, which as a [`JobError`]
    /// is dead.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.leased.payload).map_err(|error| {
            Error::invalid("queue.job", "the payload is not the JSON that this worker expects")
                .with("command", self.leased.id)
                .caused_by(error)
        })
    }

    /// Reports progress that observers see.
    pub async fn progress(&self, progress: Value) -> Result<()> {
        self.commands.progress(&self.leased.lease, progress).await
    }

    /// Ends when somebody asked for the command to stop and the worker has learnt it. Never ends otherwise.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        let asked = self.cancelled.clone();
        async move {
            // The sender goes away with the delivery, which is no cancel.
            if asked.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether somebody asked for the command to stop, as far as the worker knows.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.clone().now_or_never().is_some_and(|asked| asked.is_ok())
    }
}
