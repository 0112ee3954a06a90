//! What a failure, a release, a cancel and the passing of time do to a command.
//!
//! ```text
//!            enqueue                 lease                    ack
//!   (none) ----------> Queued -----------------> Leased -------------> Completed
//!                       ^ ^ |                     | |
//!                       | | | cancel, deadline    | | attempts used up, verdict Dead, deadline
//!                       | | +--> Cancelled, Dead <+ |  (or Cancelled, when a cancel was asked for)
//!                       | |                         |
//!                       | +--- release (the attempt does not count)
//!                       +----- failure (after the backoff), lease ran out (at once)
//! ```

use crate::rules::{RetryPolicy, TokenBucket, Tokens, backoff};
use crate::{CommandId, CommandState, FailOutcome, QueueLimits, Timestamp, Verdict};

/// Why a command is dead whose time ran out.
pub const DEADLINE_PASSED: &str = "the deadline passed before the command was finished";

/// The error of an attempt that ended without a word from its worker.
pub const LEASE_RAN_OUT: &str = "the lease ran out before the attempt was finished";

/// What decides on the next state of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandFacts {
    /// The command.
    pub id: CommandId,
    /// Where it stood when it was last written.
    pub state: CommandState,
    /// Deliveries so far, the present one included.
    pub attempts: u32,
    /// Its policy.
    pub retry: RetryPolicy,
    /// From when it can be handed out, while it is queued.
    pub ready_at: Timestamp,
    /// From when it is never handed out.
    pub deadline: Option<Timestamp>,
    /// When its lease runs out, while it is leased.
    pub leased_until: Option<Timestamp>,
    /// Somebody asked a running one to stop.
    pub cancel_requested: bool,
}

/// What the passing of time made of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    /// `Queued`, `Dead` or `Cancelled`.
    pub state: CommandState,
    /// Since when: the new `ready_at` of a queued one, else when it ended.
    pub at: Timestamp,
    /// The error to keep, if there is one.
    pub error: Option<&'static str>,
}

impl CommandFacts {
    /// The instant at which time alone changes the command: the end of its lease, or its deadline
    /// while it waits. From that instant on [`overdue`] tells what became of it.
    pub fn due_at(&self) -> Option<Timestamp> {
        match self.state {
            CommandState::Leased => self.leased_until,
            CommandState::Queued => self.deadline,
            CommandState::Completed | CommandState::Dead | CommandState::Cancelled => None,
        }
    }

    fn past_deadline(&self, at: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= at)
    }
}

/// What time alone has made of the command by `now`; `None` when nothing changed. The answer does not
/// depend on when it is asked for: whoever writes it down late writes the same.
pub fn overdue(facts: &CommandFacts, now: Timestamp) -> Option<Overdue> {
    let at = facts.due_at().filter(|at| *at <= now)?;
    if facts.state == CommandState::Leased {
        if facts.cancel_requested {
            return Some(Overdue { state: CommandState::Cancelled, at, error: None });
        }
        if facts.attempts >= facts.retry.max_attempts {
            return Some(Overdue { state: CommandState::Dead, at, error: Some(LEASE_RAN_OUT) });
        }
        if !facts.past_deadline(now) {
            return Some(Overdue { state: CommandState::Queued, at, error: Some(LEASE_RAN_OUT) });
        }
    }
    let at = facts.deadline.map_or(at, |deadline| deadline.max(at));
    Some(Overdue { state: CommandState::Dead, at, error: Some(DEADLINE_PASSED) })
}

/// What the failure of the present attempt leads to. A retry that would come at or after the deadline is
/// no retry.
pub fn after_failure(facts: &CommandFacts, verdict: Verdict, now: Timestamp) -> FailOutcome {
    if facts.cancel_requested {
        return FailOutcome::Cancelled;
    }
    let wait = match verdict {
        Verdict::Dead => return FailOutcome::Dead,
        Verdict::Retry => backoff(&facts.retry, facts.id, facts.attempts),
        Verdict::RetryAfter(wait) => wait,
    };
    let at = now.plus(wait);
    if facts.attempts >= facts.retry.max_attempts || facts.past_deadline(at) {
        FailOutcome::Dead
    } else {
        FailOutcome::RetryAt(at)
    }
}

/// How many commands a queue with `limits` may hand out at `now`, of `wanted`, with `in_flight` held; and
/// the tokens to take them from. A queue without a rate has none.
pub fn allowance(
    limits: &QueueLimits,
    bucket: Option<TokenBucket>,
    in_flight: u64,
    wanted: u64,
    now: Timestamp,
) -> (u64, Option<Tokens>) {
    let free = limits.max_in_flight.map_or(wanted, |max| u64::from(max).saturating_sub(in_flight));
    let bucket =
        limits.rate.map(|rate| bucket.unwrap_or_else(|| TokenBucket::full(now)).at(rate, now));
    let tokens = bucket.map_or(wanted, Tokens::available);
    (wanted.min(free).min(tokens), bucket)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::{Rate, Ttl};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    fn leased() -> CommandFacts {
        CommandFacts {
            id: CommandId(Uuid::from_u128(1)),
            state: CommandState::Leased,
            attempts: 1,
            retry: RetryPolicy {
                max_attempts: 2,
                base_ms: 4_000,
                cap_ms: 9_000,
                jitter_percent: 0,
            },
            ready_at: at(0),
            deadline: None,
            leased_until: Some(at(10)),
            cancel_requested: false,
        }
    }

    /// Facts, instant, and what became of it: the vectors that SQL and Lua are held against.
    #[test]
    fn time_alone() {
        use CommandState::{Cancelled, Completed, Dead, Queued};
        let queued = CommandFacts { state: Queued, leased_until: None, ..leased() };
        let by = |seconds| Some(at(seconds));
        let vectors = [
            (leased(), 9, None),
            (leased(), 10, Some((Queued, 10, Some(LEASE_RAN_OUT)))),
            (leased(), 99, Some((Queued, 10, Some(LEASE_RAN_OUT)))),
            (CommandFacts { attempts: 2, ..leased() }, 9, None),
            (CommandFacts { attempts: 2, ..leased() }, 99, Some((Dead, 10, Some(LEASE_RAN_OUT)))),
            (CommandFacts { deadline: by(8), ..leased() }, 9, None),
            (
                CommandFacts { deadline: by(8), ..leased() },
                99,
                Some((Dead, 10, Some(DEADLINE_PASSED))),
            ),
            (
                CommandFacts { deadline: by(20), ..leased() },
                15,
                Some((Queued, 10, Some(LEASE_RAN_OUT))),
            ),
            (
                CommandFacts { deadline: by(20), ..leased() },
                99,
                Some((Dead, 20, Some(DEADLINE_PASSED))),
            ),
            (
                CommandFacts { cancel_requested: true, attempts: 2, ..leased() },
                99,
                Some((Cancelled, 10, None)),
            ),
            (queued, 99, None),
            (CommandFacts { deadline: by(20), ..queued }, 19, None),
            (
                CommandFacts { deadline: by(20), ..queued },
                20,
                Some((Dead, 20, Some(DEADLINE_PASSED))),
            ),
            (CommandFacts { state: Completed, deadline: by(20), ..leased() }, 99, None),
            (CommandFacts { state: Dead, deadline: by(20), ..leased() }, 99, None),
        ];
        for (i, (facts, now, expected)) in vectors.into_iter().enumerate() {
            let expected =
                expected.map(|(state, since, error)| Overdue { state, at: at(since), error });
            assert_eq!(overdue(&facts, at(now)), expected, "vector {i}");
        }
    }

    #[test]
    fn failures() {
        let wait = |seconds| Verdict::RetryAfter(Duration::from_secs(seconds));
        let deadline = |seconds| CommandFacts { deadline: Some(at(seconds)), ..leased() };
        let vectors = [
            (leased(), Verdict::Retry, FailOutcome::RetryAt(at(9))),
            (leased(), wait(0), FailOutcome::RetryAt(at(5))),
            (leased(), wait(60), FailOutcome::RetryAt(at(65))),
            (leased(), Verdict::Dead, FailOutcome::Dead),
            (CommandFacts { attempts: 2, ..leased() }, Verdict::Retry, FailOutcome::Dead),
            (deadline(10), Verdict::Retry, FailOutcome::RetryAt(at(9))),
            (deadline(9), Verdict::Retry, FailOutcome::Dead),
            (
                CommandFacts { cancel_requested: true, ..leased() },
                Verdict::Dead,
                FailOutcome::Cancelled,
            ),
        ];
        for (i, (facts, verdict, expected)) in vectors.into_iter().enumerate() {
            assert_eq!(after_failure(&facts, verdict, at(5)), expected, "vector {i}");
        }
    }

    #[test]
    fn limits_are_kept_together() {
        let rate = Rate { count: 4, per: Ttl::secs(4).unwrap() };
        let both = QueueLimits { max_in_flight: Some(3), rate: Some(rate) };
        assert_eq!(allowance(&QueueLimits::default(), None, 9, 5, at(0)), (5, None));
        let (allowed, bucket) = allowance(&both, None, 1, 5, at(0));
        assert_eq!(allowed, 2);
        let left = bucket.map(|bucket| bucket.take(allowed));
        assert_eq!(allowance(&both, left, 0, 5, at(0)).0, 2);
        assert_eq!(allowance(&both, left, 0, 5, at(1)).0, 3);
        assert_eq!(allowance(&both, left, 3, 5, at(9)).0, 0);
    }
}
