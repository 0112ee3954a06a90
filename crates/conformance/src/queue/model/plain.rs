//! A queue as docs/queue.md describes it, in the plainest way: a list that is searched.

use std::time::Duration;

use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{
    CancelOutcome, CommandId, CommandState, CommandView, FailOutcome, LeaseToken, Name, NewCommand,
    Timestamp, Ttl,
};

/// What a run enqueues. Spans are seconds from now.
#[derive(Debug, Clone, Default)]
pub(crate) struct New {
    pub(crate) priority: i16,
    pub(crate) group: Option<u8>,
    pub(crate) delay: Option<u64>,
    pub(crate) deadline: Option<u64>,
    pub(crate) max_attempts: u32,
}

fn after(now: Timestamp, seconds: u64) -> Timestamp {
    now.plus(Duration::from_secs(seconds))
}

impl New {
    pub(crate) fn command(&self, id: CommandId, now: Timestamp) -> NewCommand {
        NewCommand {
            id,
            payload: vec![],
            headers: serde_json::Value::Null,
            priority: self.priority,
            delay: self.delay.map(|seconds| Ttl::secs(seconds).unwrap()),
            deadline: self.deadline.map(|seconds| after(now, seconds)),
            dedupe: None,
            group: self.group.map(|n| Name::new(format!("g{n}")).unwrap()),
            retry: RetryPolicy { max_attempts: self.max_attempts.max(1), ..RetryPolicy::default() },
            // Outlasts every run.
            result_ttl: Ttl::secs(3_000_000_000).unwrap(),
        }
    }
}

/// How the last delivery was settled.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Settled {
    No,
    Acked,
    Failed(FailOutcome),
    Released,
}

#[derive(Debug, Clone)]
pub(crate) struct Command {
    id: CommandId,
    place: u64,
    priority: i16,
    group: Option<u8>,
    ready_at: Timestamp,
    deadline: Option<Timestamp>,
    max_attempts: u32,
    state: CommandState,
    attempts: u32,
    until: Timestamp,
    /// `None` also for a lease that nobody was told of.
    lease: Option<LeaseToken>,
    settled: Settled,
    cancel: bool,
}

impl Command {
    fn unfinished(&self) -> bool {
        matches!(self.state, CommandState::Queued | CommandState::Leased)
    }

    fn late(&self, at: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= at)
    }

    fn settle(&mut self, now: Timestamp) {
        if self.state == CommandState::Leased && self.until <= now {
            self.settled = Settled::No;
            self.state = match () {
                () if self.cancel => CommandState::Cancelled,
                () if self.attempts >= self.max_attempts => CommandState::Dead,
                () => CommandState::Queued,
            };
            self.ready_at = self.until;
        }
        if self.state == CommandState::Queued && self.late(now) {
            self.state = CommandState::Dead;
        }
    }

    fn holds(&self, lease: &LeaseToken) -> bool {
        self.state == CommandState::Leased && self.lease == Some(*lease)
    }

    fn repeats(&self, lease: &LeaseToken, settled: Settled) -> bool {
        self.lease == Some(*lease) && self.settled == settled
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    commands: Vec<Command>,
    next: u64,
    pub(crate) cap: Option<u32>,
}

impl Model {
    pub(crate) fn settle(&mut self, now: Timestamp) {
        self.commands.iter_mut().for_each(|command| command.settle(now));
    }

    pub(crate) fn of(&self, id: CommandId) -> Option<&Command> {
        self.commands.iter().find(|command| command.id == id)
    }

    fn find(&mut self, id: CommandId) -> Option<&mut Command> {
        self.commands.iter_mut().find(|command| command.id == id)
    }

    pub(crate) fn enqueue(&mut self, id: CommandId, new: &New, now: Timestamp) {
        self.next += 1;
        self.commands.push(Command {
            id,
            place: self.next,
            priority: new.priority,
            group: new.group,
            ready_at: after(now, new.delay.unwrap_or(0)),
            deadline: new.deadline.map(|seconds| after(now, seconds)),
            max_attempts: new.max_attempts.max(1),
            state: CommandState::Queued,
            attempts: 0,
            until: now,
            lease: None,
            settled: Settled::No,
            cancel: false,
        });
    }

    /// Ids and attempts in the order in which they are handed out.
    pub(crate) fn lease(
        &mut self,
        max: u32,
        seconds: u64,
        now: Timestamp,
    ) -> Vec<(CommandId, u32)> {
        self.settle(now);
        let held = self.commands.iter().filter(|one| one.state == CommandState::Leased).count();
        let free = self.cap.map_or(usize::MAX, |cap| (cap as usize).saturating_sub(held));
        let is_head = |one: &Command| {
            let group = self.commands.iter().filter(|other| other.group == one.group);
            one.group.is_none()
                || group.filter(|other| other.unfinished()).all(|other| {
                    other.id == one.id
                        || other.place > one.place && other.state != CommandState::Leased
                })
        };
        let mut ready: Vec<_> = self
            .commands
            .iter()
            .filter(|one| one.state == CommandState::Queued && one.ready_at <= now && is_head(one))
            .map(|one| (-one.priority, one.place, one.id))
            .collect();
        ready.sort_unstable();
        ready.truncate(free.min(max as usize));
        let mut handed = Vec::new();
        for (_, _, id) in ready {
            let one = self.find(id).unwrap();
            one.state = CommandState::Leased;
            one.attempts += 1;
            one.until = after(now, seconds);
            one.lease = None;
            one.settled = Settled::No;
            handed.push((id, one.attempts));
        }
        handed
    }

    /// The token of what was just handed out.
    pub(crate) fn hand(&mut self, id: CommandId, lease: LeaseToken) {
        self.find(id).unwrap().lease = Some(lease);
    }

    pub(crate) fn ack(&mut self, lease: &LeaseToken, now: Timestamp) -> bool {
        self.settle(now);
        let Some(one) = self.find(lease.command) else { return false };
        if one.repeats(lease, Settled::Acked) {
            return true;
        }
        let holds = one.holds(lease);
        if holds {
            (one.state, one.settled) = (CommandState::Completed, Settled::Acked);
        }
        holds
    }

    pub(crate) fn fail(
        &mut self,
        lease: &LeaseToken,
        wait: Option<u64>,
        now: Timestamp,
    ) -> Option<FailOutcome> {
        let one = self.find(lease.command)?;
        if let (true, Settled::Failed(first)) = (one.lease == Some(*lease), one.settled) {
            return Some(first);
        }
        if !one.holds(lease) {
            return None;
        }
        let again = wait.map(|wait| after(now, wait)).filter(|at| !one.late(*at));
        let outcome = match again.filter(|_| one.attempts < one.max_attempts) {
            _ if one.cancel => FailOutcome::Cancelled,
            Some(at) => FailOutcome::RetryAt(at),
            None => FailOutcome::Dead,
        };
        one.settled = Settled::Failed(outcome);
        one.state = match outcome {
            FailOutcome::Cancelled => CommandState::Cancelled,
            FailOutcome::Dead => CommandState::Dead,
            FailOutcome::RetryAt(at) => {
                one.ready_at = at;
                CommandState::Queued
            }
        };
        Some(outcome)
    }

    pub(crate) fn release(&mut self, lease: &LeaseToken, now: Timestamp) -> bool {
        let Some(one) = self.find(lease.command) else { return false };
        if one.repeats(lease, Settled::Released) {
            return true;
        }
        let holds = one.holds(lease);
        if holds {
            one.attempts -= 1;
            one.settled = Settled::Released;
            one.ready_at = now;
            one.state = if one.cancel { CommandState::Cancelled } else { CommandState::Queued };
            if one.state == CommandState::Queued && one.late(now) {
                one.state = CommandState::Dead;
            }
        }
        holds
    }

    pub(crate) fn extend(
        &mut self,
        lease: &LeaseToken,
        seconds: u64,
        now: Timestamp,
    ) -> Option<(Timestamp, bool)> {
        let one = self.find(lease.command)?;
        one.holds(lease).then(|| {
            one.until = after(now, seconds);
            (one.until, one.cancel)
        })
    }

    pub(crate) fn cancel(&mut self, id: CommandId, _now: Timestamp) -> CancelOutcome {
        let Some(one) = self.find(id) else { return CancelOutcome::Unknown };
        match one.state {
            CommandState::Queued => {
                one.state = CommandState::Cancelled;
                CancelOutcome::Cancelled
            }
            CommandState::Leased => {
                one.cancel = true;
                CancelOutcome::Requested
            }
            ended => CancelOutcome::Ended(ended),
        }
    }

    pub(crate) fn requeue(&mut self, id: CommandId, now: Timestamp) -> bool {
        self.next += 1;
        let place = self.next;
        let Some(one) = self.find(id).filter(|one| one.state == CommandState::Dead) else {
            return false;
        };
        (one.state, one.place, one.attempts) = (CommandState::Queued, place, 0);
        (one.deadline, one.lease, one.settled, one.ready_at) = (None, None, Settled::No, now);
        true
    }

    /// Held, and in the dead letters.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let count = |state| {
            let count = self.commands.iter().filter(|one| one.state == state).count();
            u64::try_from(count).unwrap()
        };
        (count(CommandState::Leased), count(CommandState::Dead))
    }

    /// Whether a view shows the command as it is here.
    pub(crate) fn agrees(&self, id: CommandId, view: Option<&CommandView>, now: Timestamp) -> bool {
        let (Some(one), Some(view)) = (self.of(id), view) else { return view.is_none() };
        let mut one = one.clone();
        one.settle(now);
        let held = one.state == CommandState::Leased;
        let waits = one.state == CommandState::Queued;
        (view.state, view.attempts) == (one.state, one.attempts)
            && view.leased_until == held.then_some(one.until)
            && (!waits || view.ready_at == one.ready_at)
            && (!waits || view.deadline == one.deadline)
    }
}
