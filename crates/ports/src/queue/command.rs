//! What is enqueued, handed out and reported back.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CommandId, LeaseToken};
use crate::rules::RetryPolicy;
use crate::{Limit, Name, Result, Timestamp, Ttl, check_bytes, check_json};

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
    /// How long a completed or cancelled one can be viewed after its end. Dead letters stay until they
    /// are requeued or purged.
    pub result_ttl: Ttl,
}

impl NewCommand {
    /// `Invalid` where a limit is broken; every store asks this before it writes.
    pub fn check(&self, operation: &'static str) -> Result<()> {
        check_bytes(operation, &self.payload)
            .and_then(|()| check_json(operation, &self.headers))
            .and_then(|()| self.retry.check())
            .map_err(|error| error.with("command", self.id))
    }
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
    /// What went wrong, for people; what is kept is [`Failure::kept_error`].
    pub error: String,
    /// Whether another attempt makes sense.
    pub verdict: Verdict,
}

/// The most bytes of a failure's text that are kept.
pub const FAILURE_LIMIT: usize = 8_192;

impl Failure {
    /// The text that stores keep: at most [`FAILURE_LIMIT`] bytes, cut between characters, with U+FFFD
    /// in place of NUL (which not every store's text can hold).
    pub fn kept_error(&self) -> String {
        let mut kept = String::new();
        for c in self.error.chars() {
            let c = if c == '\0' { char::REPLACEMENT_CHARACTER } else { c };
            if kept.len() + c.len_utf8() > FAILURE_LIMIT {
                break;
            }
            kept.push(c);
        }
        kept
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_error_is_bounded_and_has_no_nul() {
        let kept = |error: String| Failure { error, verdict: Verdict::Retry }.kept_error();
        assert_eq!(kept("a\0b".into()), "a\u{fffd}b");
        let long = kept("\u{20ac}".repeat(9_000));
        assert_eq!(long.len(), 8_190);
    }
}
