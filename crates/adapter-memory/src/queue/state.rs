//! One queue: its commands, filed by stage.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use hexmem_ports::rules::{CommandCore, Stage, TokenBucket, allowance};
use hexmem_ports::{
    CommandId, CommandView, DeadLetters, DedupeEntry, Enqueued, LeaseRequest, Leased, Name,
    NewCommand, QueueLimits, QueueStats, Result, Schedule, Timestamp,
};
use serde_json::Value;

use super::secret;

/// Workers are counted for this long after they were last seen.
pub(super) const CONSUMER_SPAN: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Queue {
    pub(super) next: u64,
    pub(super) commands: BTreeMap<CommandId, Command>,
    ready: BTreeSet<(Reverse<i16>, u64, CommandId)>,
    due: BTreeSet<(Timestamp, CommandId)>,
    free: BTreeSet<(Timestamp, CommandId)>,
    pub(super) dead: BTreeSet<CommandId>,
    groups: HashMap<Name, Group>,
    leased: u64,
    pub(super) dedupe: BTreeMap<Name, (DedupeEntry, Timestamp)>,
    pub(super) limits: Option<Limits>,
    bucket: Option<TokenBucket>,
    workers: HashMap<Name, Worker>,
    consumer_seen_at: Option<Timestamp>,
    pub(super) schedules: BTreeMap<Name, ScheduleEntry>,
}

pub(super) struct Command {
    pub(super) core: CommandCore,
    stage: Stage,
    pub(super) payload: Vec<u8>,
    pub(super) headers: Value,
    pub(super) result: Option<Vec<u8>>,
}

impl Command {
    pub(super) fn new(
        core: CommandCore,
        payload: Vec<u8>,
        headers: Value,
        result: Option<Vec<u8>>,
    ) -> Self {
        Self { core, stage: Stage::Purged, payload, headers, result }
    }

    pub(super) fn view(&self) -> CommandView {
        self.core.view(self.payload.clone(), self.headers.clone())
    }
}

/// The unfinished commands of a group, and how many of them are held.
#[derive(Default)]
struct Group {
    unfinished: BTreeSet<(u64, CommandId)>,
    leased: u32,
}

#[derive(Default)]
struct Worker {
    seen_at: Option<Timestamp>,
    waiting: u32,
}

pub(super) struct Limits {
    pub(super) limits: QueueLimits,
    pub(super) version: u64,
    pub(super) modified_at: Timestamp,
}

pub(super) struct ScheduleEntry {
    pub(super) schedule: Schedule,
    /// The version that the last put expected: a repeat of it gets the present one.
    pub(super) put_over: Option<u64>,
    pub(super) modified_at: Timestamp,
    pub(super) deleted_at: Option<Timestamp>,
}

impl Queue {
    /// Writes down what time has made of up to `most` commands; returns how many.
    pub(super) fn settle(&mut self, now: Timestamp, most: usize) -> usize {
        let mut count = 0;
        while let Some((at, id)) = self.due.first().copied() {
            if at > now || count >= most {
                break;
            }
            self.change(id, now, |core| core.settle(now));
            count += 1;
        }
        count
    }

    /// The next instant at which time alone changes something.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Whether something is ready that a limit holds back.
    pub(super) fn held_back(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A command that a reader may see.
    pub(super) fn seen(&self, id: CommandId, now: Timestamp) -> Option<&Command> {
        self.commands.get(&id).filter(|command| !command.core.is_gone(now))
    }

    /// Takes one step with a command and files it anew.
    pub(super) fn change<R>(
        &mut self,
        id: CommandId,
        now: Timestamp,
        step: impl FnOnce(&mut CommandCore) -> R,
    ) -> Option<R> {
        let mut command = self.commands.remove(&id)?;
        self.unfile(&command);
        let answer = step(&mut command.core);
        self.put(command, now);
        Some(answer)
    }

    /// Files a command and lets its group go on.
    pub(super) fn put(&mut self, mut command: Command, now: Timestamp) {
        self.file(&mut command, now);
        let group = command.core.group.clone();
        self.commands.insert(command.core.id, command);
        if let Some(group) = group {
            self.advance(&group, now);
        }
    }

    /// Takes a command out of every index.
    pub(super) fn take(&mut self, id: CommandId) -> Option<Command> {
        let command = self.commands.remove(&id)?;
        self.unfile(&command);
        Some(command)
    }

    /// Files the whole group anew: a restore may have put one before its head.
    pub(super) fn refile_group(&mut self, group: &Name, now: Timestamp) {
        let members: Vec<_> = self
            .groups
            .get(group)
            .map(|group| group.unfinished.iter().map(|(_, id)| *id).collect())
            .unwrap_or_default();
        for id in members {
            self.change(id, now, |_| ());
        }
    }

    fn advance(&mut self, group: &Name, now: Timestamp) {
        let Some((_, head)) = self.groups.get(group).and_then(|group| group.unfinished.first())
        else {
            self.groups.remove(group);
            return;
        };
        let head = *head;
        if self.commands.get(&head).is_some_and(|command| command.stage == Stage::Blocked)
            && let Some(mut command) = self.commands.remove(&head)
        {
            self.unfile(&command);
            self.file(&mut command, now);
            self.commands.insert(head, command);
        }
    }

    fn file(&mut self, command: &mut Command, now: Timestamp) {
        let core = &command.core;
        let place = (core.sequence, core.id);
        let unfinished = core.stage(true, now).is_unfinished();
        let mut head = true;
        if let Some(group) = core.group.as_ref().filter(|_| unfinished) {
            let group = self.groups.entry(group.clone()).or_default();
            group.unfinished.insert(place);
            head = group.leased == 0 && group.unfinished.first() == Some(&place);
        }
        command.stage = core.stage(head, now);
        if let Some(at) = core.due_at(command.stage) {
            self.due.insert((at, core.id));
        }
        if let Some(at) = core.free_at() {
            self.free.insert((at, core.id));
        }
        match command.stage {
            Stage::Ready => {
                self.ready.insert((Reverse(core.priority), core.sequence, core.id));
            }
            Stage::Dead => {
                self.dead.insert(core.id);
            }
            Stage::Leased => {
                self.leased += 1;
                if let Some(group) = core.group.as_ref().and_then(|g| self.groups.get_mut(g)) {
                    group.leased += 1;
                }
            }
            _ => {}
        }
    }

    fn unfile(&mut self, command: &Command) {
        let core = &command.core;
        if let Some(at) = core.due_at(command.stage) {
            self.due.remove(&(at, core.id));
        }
        if let Some(at) = core.free_at() {
            self.free.remove(&(at, core.id));
        }
        self.ready.remove(&(Reverse(core.priority), core.sequence, core.id));
        self.dead.remove(&core.id);
        let leased = command.stage == Stage::Leased;
        if leased {
            self.leased = self.leased.saturating_sub(1);
        }
        if let Some(group) = core.group.as_ref().and_then(|group| self.groups.get_mut(group)) {
            group.unfinished.remove(&(core.sequence, core.id));
            group.leased = group.leased.saturating_sub(u32::from(leased));
        }
    }

    /// Whether a worker was seen within `span`, or waits.
    pub(super) fn has_consumer(&self, now: Timestamp, span: Duration) -> bool {
        self.consumer_seen_at.is_some_and(|seen| seen > now.minus(span))
            || self.workers.values().any(|worker| worker.waiting > 0)
    }

    pub(super) fn saw(&mut self, worker: &Name, now: Timestamp) {
        self.consumer_seen_at = Some(now);
        self.workers.entry(worker.clone()).or_default().seen_at = Some(now);
    }

    /// Counts a worker as waiting, or no more.
    pub(super) fn waits(&mut self, worker: &Name, now: Timestamp, begins: Waits) {
        self.saw(worker, now);
        let worker = self.workers.entry(worker.clone()).or_default();
        worker.waiting = match begins {
            Waits::Begins => worker.waiting + 1,
            Waits::Ends => worker.waiting.saturating_sub(1),
        };
    }

    /// The answer to one command of an enqueue.
    pub(super) fn enqueue(&mut self, command: NewCommand, idle: bool, now: Timestamp) -> Enqueued {
        if self.seen(command.id, now).is_some() {
            return Enqueued::Queued;
        }
        if let Some(dedupe) = &command.dedupe
            && let Some((entry, _)) = self.dedupe.get(&dedupe.key)
            && entry.until > now
        {
            return Enqueued::Duplicate(entry.command);
        }
        if idle {
            return Enqueued::NoConsumer;
        }
        // Over what is gone the version goes on, so that a copy takes the new one.
        let version = self.take(command.id).map_or(1, |old| old.core.version + 1);
        let core = CommandCore::new(&command, self.next, version, now);
        self.next += 1;
        if let Some(dedupe) = command.dedupe {
            let until = now.plus(dedupe.window.get());
            let entry = DedupeEntry { key: dedupe.key.clone(), command: command.id, until };
            self.dedupe.insert(dedupe.key, (entry, now));
        }
        self.put(Command::new(core, command.payload, command.headers, None), now);
        // A deadline that has passed already.
        self.settle(now, usize::MAX);
        Enqueued::Queued
    }

    pub(super) fn lease(&mut self, request: &LeaseRequest, now: Timestamp) -> Result<Vec<Leased>> {
        self.saw(&request.worker, now);
        let limits = self.limits.as_ref().map(|limits| limits.limits).unwrap_or_default();
        let wanted = u64::from(request.max.get());
        let (allowed, bucket) = allowance(&limits, self.bucket, self.leased, wanted, now);
        let most = usize::try_from(allowed).unwrap_or(usize::MAX);
        let chosen: Vec<_> = self.ready.iter().take(most).map(|(_, _, id)| *id).collect();
        let secrets = chosen.iter().map(|_| secret()).collect::<Result<Vec<_>>>()?;
        let mut leased = Vec::with_capacity(chosen.len());
        for (id, secret) in chosen.into_iter().zip(secrets) {
            let (worker, visibility) = (&request.worker, request.visibility);
            let lease = self.change(id, now, |core| core.hand_out(worker, secret, visibility, now));
            if let (Some(lease), Some(command)) = (lease, self.commands.get(&id)) {
                leased.push(Leased {
                    id,
                    lease,
                    attempt: lease.attempt,
                    payload: command.payload.clone(),
                    headers: command.headers.clone(),
                    group: command.core.group.clone(),
                    deadline: command.core.deadline,
                    leased_until: now.plus(visibility.get()),
                });
            }
        }
        let taken = u64::try_from(leased.len()).unwrap_or(u64::MAX);
        self.bucket = bucket.map(|bucket| bucket.take(taken));
        Ok(leased)
    }

    /// The chosen dead letters, oldest enqueue first.
    pub(super) fn chosen_dead(&self, which: &DeadLetters) -> Vec<CommandId> {
        let mut chosen: Vec<_> = match which {
            DeadLetters::All => self.dead.iter().copied().collect(),
            DeadLetters::Only(ids) => {
                let ids: BTreeSet<_> = ids.iter().copied().collect();
                ids.into_iter().filter(|id| self.dead.contains(id)).collect()
            }
        };
        chosen.sort_by_key(|id| self.commands.get(id).map(|command| command.core.sequence));
        chosen
    }

    pub(super) fn stats(&self, now: Timestamp) -> QueueStats {
        let mut stats = QueueStats::default();
        let mut oldest: Option<Timestamp> = None;
        for command in self.commands.values().filter(|command| !command.core.is_gone(now)) {
            let ready_at = command.core.ready_at;
            match command.stage {
                Stage::Ready | Stage::Parked | Stage::Blocked if ready_at <= now => {
                    stats.ready += 1;
                    oldest = Some(oldest.map_or(ready_at, |oldest| oldest.min(ready_at)));
                }
                Stage::Ready | Stage::Parked | Stage::Blocked => stats.delayed += 1,
                Stage::Leased => stats.in_flight += 1,
                Stage::Dead => stats.dead += 1,
                Stage::Completed | Stage::Cancelled => stats.results += 1,
                Stage::Purged => {}
            }
        }
        stats.oldest_ready = oldest.map(|oldest| now.since(oldest));
        let since = now.minus(CONSUMER_SPAN);
        let present = |worker: &&Worker| {
            worker.waiting > 0 || worker.seen_at.is_some_and(|seen| seen > since)
        };
        let consumers = self.workers.values().filter(present).count();
        stats.consumers = u64::try_from(consumers).unwrap_or(u64::MAX);
        stats
    }

    /// Whether a listing names it.
    pub(super) fn holds_something(&self, now: Timestamp) -> bool {
        self.limits.as_ref().is_some_and(|kept| kept.limits != QueueLimits::default())
            || self.schedules.values().any(|entry| entry.deleted_at.is_none())
            || self.commands.values().any(|command| !command.core.is_gone(now))
    }

    /// Frees up to `most` things whose time is over; returns how many.
    pub(super) fn free(&mut self, now: Timestamp, most: usize) -> usize {
        let mut count = 0;
        while let Some((at, id)) = self.free.first().copied() {
            if at > now || count >= most {
                break;
            }
            self.take(id);
            count += 1;
        }
        let over: Vec<_> = self
            .dedupe
            .iter()
            .filter(|(_, (entry, _))| entry.until <= now)
            .map(|(key, _)| key.clone())
            .take(most - count)
            .collect();
        count += over.len();
        for key in over {
            self.dedupe.remove(&key);
        }
        let since = now.minus(hexmem_ports::TOMBSTONE_TTL);
        let buried: Vec<_> = self
            .schedules
            .iter()
            .filter(|(_, entry)| entry.deleted_at.is_some_and(|at| at <= since))
            .map(|(name, _)| name.clone())
            .take(most - count)
            .collect();
        count += buried.len();
        for name in buried {
            self.schedules.remove(&name);
        }
        let since = now.minus(CONSUMER_SPAN);
        self.workers.retain(|_, w| w.waiting > 0 || w.seen_at.is_some_and(|seen| seen > since));
        count
    }
}

/// Whether a wait begins or ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    Begins,
    Ends,
}
