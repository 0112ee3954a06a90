//! The life of one command: each transition as a pure step, the same in every store.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::rules::{CommandFacts, RetryPolicy, Settlement, Stage, after_failure, overdue};
use crate::{
    CancelOutcome, CommandId, CommandResult, CommandState, CommandView, Error, Extended,
    FailOutcome, Failure, LeaseToken, Name, NewCommand, Result, TOMBSTONE_TTL, Timestamp, Ttl,
};

/// What a store keeps of a command beside its payload, headers and result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandCore {
    /// The command.
    pub id: CommandId,
    /// Grows with each change.
    pub version: u64,
    /// When it last changed.
    pub modified_at: Timestamp,
    /// Its place in the order of enqueues of its queue.
    pub sequence: u64,
    /// Higher goes first.
    pub priority: i16,
    /// Its group.
    pub group: Option<Name>,
    /// Attempts and backoff.
    pub retry: RetryPolicy,
    /// How long it can be viewed after it was completed or cancelled.
    pub result_ttl: Ttl,
    /// When it was enqueued.
    pub enqueued_at: Timestamp,
    /// From when it is never handed out.
    pub deadline: Option<Timestamp>,
    /// Where it stands.
    pub state: CommandState,
    /// Deliveries so far.
    pub attempts: u32,
    /// From when it can be handed out.
    pub ready_at: Timestamp,
    /// When its lease runs out.
    pub leased_until: Option<Timestamp>,
    /// Who holds it.
    pub worker: Option<Name>,
    /// The lease of the last delivery.
    pub lease: Option<LeaseToken>,
    /// How that delivery ended.
    pub settlement: Settlement,
    /// Somebody asked a running one to stop.
    pub cancel_requested: bool,
    /// The last reported progress.
    pub progress: Option<Value>,
    /// The error of the last failed attempt.
    pub last_error: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When it was removed.
    pub deleted_at: Option<Timestamp>,
}

impl CommandCore {
    /// The core of a command enqueued `now`.
    pub fn new(command: &NewCommand, sequence: u64, version: u64, now: Timestamp) -> Self {
        Self {
            id: command.id,
            version,
            modified_at: now,
            sequence,
            priority: command.priority,
            group: command.group.clone(),
            retry: command.retry,
            result_ttl: command.result_ttl,
            enqueued_at: now,
            deadline: command.deadline,
            state: CommandState::Queued,
            attempts: 0,
            ready_at: command.delay.map_or(now, |delay| now.plus(delay.get())),
            leased_until: None,
            worker: None,
            lease: None,
            settlement: Settlement::Open,
            cancel_requested: false,
            progress: None,
            last_error: None,
            ended_at: None,
            deleted_at: None,
        }
    }

    /// What stays of a removed command that this store never held: nothing but the fact.
    pub fn tombstone(
        id: CommandId,
        version: u64,
        modified_at: Timestamp,
        deleted_at: Timestamp,
    ) -> Self {
        Self {
            id,
            version,
            modified_at,
            sequence: 0,
            priority: 0,
            group: None,
            retry: RetryPolicy::default(),
            result_ttl: Ttl::from_const(TOMBSTONE_TTL),
            enqueued_at: deleted_at,
            deadline: None,
            state: CommandState::Dead,
            attempts: 0,
            ready_at: deleted_at,
            leased_until: None,
            worker: None,
            lease: None,
            settlement: Settlement::Open,
            cancel_requested: false,
            progress: None,
            last_error: None,
            ended_at: None,
            deleted_at: Some(deleted_at),
        }
    }

    /// What decides on its next state.
    pub fn facts(&self) -> CommandFacts {
        CommandFacts {
            id: self.id,
            state: self.state,
            attempts: self.attempts,
            retry: self.retry,
            ready_at: self.ready_at,
            deadline: self.deadline,
            leased_until: self.leased_until,
            cancel_requested: self.cancel_requested,
        }
    }

    /// Where it is to be filed. `head`: no older one of its group is unfinished.
    pub fn stage(&self, head: bool, now: Timestamp) -> Stage {
        if self.deleted_at.is_some() {
            return Stage::Purged;
        }
        match self.state {
            CommandState::Queued if !head => Stage::Blocked,
            CommandState::Queued if self.ready_at > now => Stage::Parked,
            CommandState::Queued => Stage::Ready,
            CommandState::Leased => Stage::Leased,
            CommandState::Completed => Stage::Completed,
            CommandState::Dead => Stage::Dead,
            CommandState::Cancelled => Stage::Cancelled,
        }
    }

    /// When time alone changes its state or its stage.
    pub fn due_at(&self, stage: Stage) -> Option<Timestamp> {
        let due = self.facts().due_at();
        match stage {
            Stage::Parked => Some(due.map_or(self.ready_at, |due| due.min(self.ready_at))),
            Stage::Purged => None,
            _ => due,
        }
    }

    /// From when it is not to be seen any more, while it is not removed.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self.state {
            CommandState::Completed | CommandState::Cancelled => {
                self.ended_at.map(|ended| ended.plus(self.result_ttl.get()))
            }
            CommandState::Queued | CommandState::Leased | CommandState::Dead => None,
        }
    }

    /// From when sweeping may free it.
    pub fn free_at(&self) -> Option<Timestamp> {
        self.deleted_at.map_or_else(|| self.expires_at(), |at| Some(at.plus(TOMBSTONE_TTL)))
    }

    /// Whether no reader may see it.
    pub fn is_gone(&self, now: Timestamp) -> bool {
        self.deleted_at.is_some() || self.expires_at().is_some_and(|end| end <= now)
    }

    /// Writes down what time has made of it; whether anything changed.
    pub fn settle(&mut self, now: Timestamp) -> bool {
        let Some(passed) = overdue(&self.facts(), now).filter(|_| self.deleted_at.is_none()) else {
            return false;
        };
        if self.state == CommandState::Leased {
            self.settlement = Settlement::Expired;
        }
        self.leave(passed.state, passed.at, now);
        if let Some(error) = passed.error {
            self.last_error = Some(error.to_owned());
        }
        true
    }

    /// Gives it to a worker.
    pub fn hand_out(
        &mut self,
        worker: &Name,
        secret: u128,
        visibility: Ttl,
        now: Timestamp,
    ) -> LeaseToken {
        self.attempts = self.attempts.saturating_add(1);
        let lease = LeaseToken { command: self.id, attempt: self.attempts, secret };
        self.state = CommandState::Leased;
        self.worker = Some(worker.clone());
        self.lease = Some(lease);
        self.settlement = Settlement::Open;
        self.leased_until = Some(now.plus(visibility.get()));
        self.changed(now);
        lease
    }

    /// Renews the lease.
    pub fn extend(
        &mut self,
        lease: &LeaseToken,
        visibility: Ttl,
        now: Timestamp,
    ) -> Result<Extended> {
        self.check_current("queue.extend", lease, now)?;
        let leased_until = now.plus(visibility.get());
        self.leased_until = Some(leased_until);
        self.changed(now);
        Ok(Extended { leased_until, cancel_requested: self.cancel_requested })
    }

    /// Completes it; `false` for a repeat.
    pub fn complete(&mut self, lease: &LeaseToken, now: Timestamp) -> Result<bool> {
        if self.repeats(lease, Settlement::Acked) {
            return Ok(false);
        }
        self.check_current("queue.ack", lease, now)?;
        self.settlement = Settlement::Acked;
        self.leave(CommandState::Completed, now, now);
        Ok(true)
    }

    /// Ends the attempt without success.
    pub fn fail(
        &mut self,
        lease: &LeaseToken,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<FailOutcome> {
        if let (true, Settlement::Failed(first)) = (self.lease == Some(*lease), self.settlement) {
            return Ok(first);
        }
        self.check_current("queue.fail", lease, now)?;
        let outcome = after_failure(&self.facts(), failure.verdict, now);
        self.settlement = Settlement::Failed(outcome);
        self.last_error = Some(failure.kept_error());
        match outcome {
            FailOutcome::RetryAt(at) => self.leave(CommandState::Queued, at, now),
            FailOutcome::Dead => self.leave(CommandState::Dead, now, now),
            FailOutcome::Cancelled => self.leave(CommandState::Cancelled, now, now),
        }
        Ok(outcome)
    }

    /// Takes it back unprocessed.
    pub fn release(&mut self, lease: &LeaseToken, now: Timestamp) -> Result<()> {
        if self.repeats(lease, Settlement::Released) {
            return Ok(());
        }
        self.check_current("queue.release", lease, now)?;
        self.settlement = Settlement::Released;
        self.attempts = self.attempts.saturating_sub(1);
        let state =
            if self.cancel_requested { CommandState::Cancelled } else { CommandState::Queued };
        self.leave(state, now, now);
        // A deadline that passed while it ran ends it now, not at the next look.
        self.settle(now);
        Ok(())
    }

    /// Notes progress.
    pub fn report(&mut self, lease: &LeaseToken, progress: Value, now: Timestamp) -> Result<()> {
        self.check_current("queue.progress", lease, now)?;
        self.progress = Some(progress);
        self.changed(now);
        Ok(())
    }

    /// Cancels it, or asks its worker to stop.
    pub fn cancel(&mut self, now: Timestamp) -> CancelOutcome {
        match self.state {
            CommandState::Queued => {
                self.leave(CommandState::Cancelled, now, now);
                CancelOutcome::Cancelled
            }
            CommandState::Leased => {
                if !self.cancel_requested {
                    self.cancel_requested = true;
                    self.changed(now);
                }
                CancelOutcome::Requested
            }
            ended => CancelOutcome::Ended(ended),
        }
    }

    /// Puts a dead letter back as if enqueued now; `false` for anything else.
    pub fn requeue(&mut self, sequence: u64, now: Timestamp) -> bool {
        if self.state != CommandState::Dead || self.deleted_at.is_some() {
            return false;
        }
        self.sequence = sequence;
        self.attempts = 0;
        self.deadline = None;
        self.lease = None;
        self.settlement = Settlement::Open;
        self.ended_at = None;
        self.leave(CommandState::Queued, now, now);
        true
    }

    /// Removes it, leaving a tombstone.
    pub fn purge(&mut self, now: Timestamp) {
        self.deleted_at = Some(now);
        self.changed(now);
    }

    /// The command as observers see it.
    pub fn view(&self, payload: Vec<u8>, headers: Value) -> CommandView {
        CommandView {
            id: self.id,
            state: self.state,
            attempts: self.attempts,
            priority: self.priority,
            group: self.group.clone(),
            enqueued_at: self.enqueued_at,
            ready_at: self.ready_at,
            deadline: self.deadline,
            leased_until: self.leased_until,
            worker: self.worker.clone(),
            progress: self.progress.clone(),
            last_error: self.last_error.clone(),
            ended_at: self.ended_at,
            payload,
            headers,
        }
    }

    /// How it ended; `None` while it has not.
    pub fn result(&self, result: Option<Vec<u8>>) -> Option<CommandResult> {
        let error = self.last_error.clone().filter(|_| self.state == CommandState::Dead);
        Some(CommandResult {
            state: self.state,
            result,
            error,
            attempts: self.attempts,
            ended_at: self.ended_at?,
        })
    }

    /// `at` is the `ready_at` of a queued one, else the end.
    fn leave(&mut self, state: CommandState, at: Timestamp, now: Timestamp) {
        self.state = state;
        self.leased_until = None;
        self.worker = None;
        if state == CommandState::Queued {
            self.ready_at = at;
        } else {
            self.ended_at = Some(at);
        }
        self.changed(now);
    }

    fn changed(&mut self, now: Timestamp) {
        self.version += 1;
        self.modified_at = now;
    }

    fn repeats(&self, lease: &LeaseToken, settlement: Settlement) -> bool {
        self.lease == Some(*lease) && self.settlement == settlement
    }

    fn check_current(
        &self,
        operation: &'static str,
        lease: &LeaseToken,
        now: Timestamp,
    ) -> Result<()> {
        let held = self.state == CommandState::Leased
            && self.deleted_at.is_none()
            && self.lease == Some(*lease)
            && self.leased_until.is_some_and(|until| until > now);
        if held { Ok(()) } else { Err(stale(operation, lease)) }
    }
}

/// The refusal of a lease that is not current.
pub fn stale(operation: &'static str, lease: &LeaseToken) -> Error {
    Error::stale_lease(
        operation,
        "the lease ran out, was settled before, or the command was handed out again; drop its work",
    )
    .with("command", lease.command)
    .with("attempt", lease.attempt)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{ErrorKind, Verdict};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    fn fresh() -> CommandCore {
        let command = NewCommand {
            id: CommandId(Uuid::from_u128(1)),
            payload: vec![],
            headers: json!(null),
            priority: 0,
            delay: None,
            deadline: None,
            dedupe: None,
            group: None,
            retry: RetryPolicy { max_attempts: 2, ..RetryPolicy::default() },
            result_ttl: Ttl::secs(60).unwrap(),
        };
        CommandCore::new(&command, 1, 1, at(0))
    }

    fn lease(core: &mut CommandCore, now: i64) -> LeaseToken {
        core.hand_out(&Name::new("w").unwrap(), 7, Ttl::secs(10).unwrap(), at(now))
    }

    #[test]
    fn a_repeat_is_answered_as_the_first_call_was() {
        let mut core = fresh();
        let token = lease(&mut core, 0);
        let failure =
            Failure { error: "e".into(), verdict: Verdict::RetryAfter(Duration::from_secs(5)) };
        let first = core.fail(&token, &failure, at(1)).unwrap();
        let before = core.clone();
        assert_eq!(core.fail(&token, &failure, at(3)).unwrap(), first);
        assert_eq!(core, before);
        assert_eq!(core.complete(&token, at(3)).unwrap_err().kind(), ErrorKind::StaleLease);

        let token = lease(&mut core, 6);
        assert!(core.complete(&token, at(7)).unwrap());
        assert!(!core.complete(&token, at(50)).unwrap());
        assert!(!core.is_gone(at(66)) && core.is_gone(at(67)));
    }

    #[test]
    fn a_release_does_not_count_and_an_expiry_does() {
        let mut core = fresh();
        let token = lease(&mut core, 0);
        core.release(&token, at(1)).unwrap();
        core.release(&token, at(1)).unwrap();
        assert_eq!((core.attempts, core.state), (0, CommandState::Queued));
        for attempt in 1..=2 {
            assert_eq!(lease(&mut core, 10 * i64::from(attempt)).attempt, attempt);
            assert!(core.settle(at(10 * i64::from(attempt) + 10)));
        }
        assert_eq!((core.state, core.ended_at), (CommandState::Dead, Some(at(30))));
        assert!(core.requeue(9, at(40)));
        assert_eq!((core.attempts, core.sequence), (0, 9));
    }
}
