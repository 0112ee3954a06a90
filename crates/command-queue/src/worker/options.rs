//! How a worker works, and what it did.

use std::time::Duration;

use hexmem_ports::{FailOutcome, Limit, Ttl};

/// How a worker works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOptions {
    /// The start of the worker's name, for observers; a random part is added at each start, so that two
    /// starts are never taken for one.
    pub name: String,
    /// Deliveries at once.
    pub concurrency: Limit,
    /// How long each is held without a sign of life. One heartbeat for all goes out after each third of it.
    pub visibility: Ttl,
    /// How long one wait for work lasts: a bound of how long a stop takes while nothing runs.
    pub wait: Duration,
    /// How long one delivery may run; after it the handler is dropped and the attempt has failed.
    pub timeout: Option<Ttl>,
    /// What a stop does with what runs.
    pub when_stopping: WhenStopping,
    /// What a cancel does with what runs.
    pub when_cancelled: WhenCancelled,
}

/// What a stop does with what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenStopping {
    /// Handlers may finish.
    Finish,
    /// Handlers may finish within this span; then what is left is handed back.
    FinishWithin(Duration),
    /// Handlers are dropped at once and their commands handed back; the attempts do not count.
    HandBack,
}

/// What a cancel does with what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenCancelled {
    /// The handler is dropped at the next heartbeat and the command is cancelled.
    Drop,
    /// The handler is told ([`Job::cancelled`](crate::Job::cancelled)) and decides; it may still complete.
    Tell,
}

impl Default for WorkerOptions {
    /// One at a time, held for 30 s, without a timeout; what runs may finish, a cancel drops the handler.
    fn default() -> Self {
        Self {
            name: "worker".to_owned(),
            concurrency: Limit::try_from(1).unwrap_or_default(),
            visibility: Ttl::from_const(Duration::from_secs(30)),
            wait: Duration::from_secs(1),
            timeout: None,
            when_stopping: WhenStopping::Finish,
            when_cancelled: WhenCancelled::Drop,
        }
    }
}

/// What a worker did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerReport {
    /// Completed, the result kept.
    pub completed: u64,
    /// Attempts that failed and will be repeated.
    pub retried: u64,
    /// Attempts whose failure was the last one.
    pub dead: u64,
    /// Cancelled while they ran.
    pub cancelled: u64,
    /// Deliveries that were lost to another worker: the lease had run out.
    pub lost: u64,
    /// Handed back at the stop.
    pub handed_back: u64,
}

/// How one delivery ended.
pub(super) enum End {
    Completed,
    Failed(FailOutcome),
    Lost,
    HandedBack,
}

impl WorkerReport {
    pub(super) fn count(&mut self, end: &End) {
        let counter = match end {
            End::Completed => &mut self.completed,
            End::Failed(FailOutcome::RetryAt(_)) => &mut self.retried,
            End::Failed(FailOutcome::Dead) => &mut self.dead,
            End::Failed(FailOutcome::Cancelled) => &mut self.cancelled,
            End::Lost => &mut self.lost,
            End::HandedBack => &mut self.handed_back,
        };
        *counter += 1;
    }
}
