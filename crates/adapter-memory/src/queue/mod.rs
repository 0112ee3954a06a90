//! The queue port in process.

mod records;
mod schedules;
mod state;
mod wake;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::rules::{
    dead_cursor, dead_cursor_of, queue_cursor, queue_cursor_of, schedule_cursor,
    schedule_cursor_of, stale,
};
use hexmem_ports::{
    Ack, CancelOutcome, Capabilities, Capability, Clock, CommandId, CommandQueue, CommandResult,
    CommandView, Cursor, DeadLetters, Effect, Enqueued, Error, ErrorKind, Extended, FailOutcome,
    Failure, Fired, LeaseRequest, LeaseToken, Leased, Limit, Name, NewCommand, Page, Prefix,
    QueueId, QueueLimits, QueueStats, Result, Schedule, Tenant, Timestamp, Ttl, WhenIdle,
    check_effects, check_json,
};
use serde_json::Value;

use crate::MemoryOutbox;
use state::{Limits, Queue, Waits};
use wake::Bells;

/// How often a waiting lease looks again while a rate limit holds it back.
const LOOK: Duration = Duration::from_millis(50);

/// Queues of commands in memory. Cheap to clone; clones are the same store.
#[derive(Clone)]
pub struct MemoryQueue {
    clock: Arc<dyn Clock>,
    outbox: MemoryOutbox,
    state: Arc<Mutex<State>>,
    bells: Arc<Bells>,
}

#[derive(Default)]
struct State {
    queues: BTreeMap<QueueId, Queue>,
}

impl MemoryQueue {
    /// No queues. Effects go to `outbox`.
    pub fn new(clock: Arc<dyn Clock>, outbox: MemoryOutbox) -> Self {
        Self { clock, outbox, state: Arc::default(), bells: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held leaves a state that is whole: every step ends before the next begins.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or changes a queue that may not exist, as it stands now.
    fn with<R>(&self, queue: &QueueId, step: impl FnOnce(&mut Queue, Timestamp) -> R) -> Option<R> {
        let mut state = self.state();
        let now = self.clock.now();
        let queue = state.queues.get_mut(queue)?;
        queue.settle(now, usize::MAX);
        Some(step(queue, now))
    }

    /// Changes a queue, which comes to be where it is missing, and wakes who waits at it.
    fn change<R>(&self, queue: &QueueId, step: impl FnOnce(&mut Queue, Timestamp) -> R) -> R {
        let answer = {
            let mut state = self.state();
            let now = self.clock.now();
            let queue = state.queues.entry(queue.clone()).or_default();
            queue.settle(now, usize::MAX);
            step(queue, now)
        };
        self.bells.ring(queue);
        answer
    }

    /// One step with the command of a lease.
    fn settle_lease<R>(
        &self,
        operation: &'static str,
        queue: &QueueId,
        lease: &LeaseToken,
        step: impl FnOnce(&mut hexmem_ports::rules::CommandCore, Timestamp) -> Result<R>,
    ) -> Result<R> {
        let answer = self.with(queue, |queue, now| {
            queue.seen(lease.command, now)?;
            queue.change(lease.command, now, |core| step(core, now))
        });
        self.bells.ring(queue);
        answer.flatten().unwrap_or_else(|| Err(stale(operation, lease)))
    }

    /// Sleeps until somebody changes the queue or `until`, and at most for `span`.
    async fn rest(
        &self,
        bell: std::pin::Pin<&mut tokio::sync::futures::Notified<'_>>,
        until: Timestamp,
    ) {
        let span = until.since(self.clock.now()).max(Duration::from_millis(1));
        tokio::select! {
            () = bell => {}
            () = self.clock.sleep(span) => {}
        }
    }
}

/// Takes back the mark of a waiting worker, also when the wait is given up.
struct Waiting<'a> {
    store: &'a MemoryQueue,
    queue: &'a QueueId,
    worker: &'a Name,
}

impl<'a> Waiting<'a> {
    fn begin(store: &'a MemoryQueue, queue: &'a QueueId, worker: &'a Name) -> Self {
        store.mark(queue, worker, Waits::Begins);
        Self { store, queue, worker }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.store.mark(self.queue, self.worker, Waits::Ends);
    }
}

impl MemoryQueue {
    fn mark(&self, queue: &QueueId, worker: &Name, waits: Waits) {
        let mut state = self.state();
        let now = self.clock.now();
        state.queues.entry(queue.clone()).or_default().waits(worker, now, waits);
    }
}

/// 128 random bits.
fn secret() -> Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, "queue.lease", "the system gives no random bytes")
            .caused_by(error)
    })?;
    Ok(u128::from_be_bytes(bytes))
}

#[async_trait]
impl CommandQueue for MemoryQueue {
    fn capabilities(&self) -> Capabilities {
        use Capability::{Effects, ExactCounts, Records};
        Capabilities::of([Effects, ExactCounts, Records])
    }

    async fn enqueue(
        &self,
        queue: &QueueId,
        commands: Vec<NewCommand>,
        when_idle: WhenIdle,
        effects: Vec<Effect>,
    ) -> Result<Vec<Enqueued>> {
        commands.iter().try_for_each(|command| command.check("queue.enqueue"))?;
        check_effects("queue.enqueue", &effects)?;
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.change(queue, |queue, now| {
            let idle = match when_idle {
                WhenIdle::Store => false,
                WhenIdle::Refuse(span) => !queue.has_consumer(now, span.get()),
            };
            let before = queue.next;
            let answers: Vec<_> =
                commands.into_iter().map(|command| queue.enqueue(command, idle, now)).collect();
            if queue.next > before {
                self.outbox.commit(now, effects);
            }
            answers
        }))
    }

    async fn lease(&self, queue: &QueueId, request: LeaseRequest) -> Result<Vec<Leased>> {
        let until = self.clock.now().plus(request.wait);
        let mut waiting = None;
        loop {
            let mut bell = std::pin::pin!(self.bells.listen(queue));
            bell.as_mut().enable();
            let (leased, now, next) = {
                let mut state = self.state();
                let now = self.clock.now();
                let queue = state.queues.entry(queue.clone()).or_default();
                queue.settle(now, usize::MAX);
                let leased = queue.lease(&request, now)?;
                let look = queue.held_back().then(|| now.plus(LOOK));
                (leased, now, queue.next_due().into_iter().chain(look).min())
            };
            if !leased.is_empty() || now >= until {
                return Ok(leased);
            }
            waiting.get_or_insert_with(|| Waiting::begin(self, queue, &request.worker));
            self.rest(bell, next.map_or(until, |next| next.min(until))).await;
        }
    }

    async fn extend(
        &self,
        queue: &QueueId,
        leases: Vec<LeaseToken>,
        visibility: Ttl,
    ) -> Result<Vec<Result<Extended>>> {
        // Under one lock each, not one for all: nothing is promised across the list.
        let extend = |lease: &LeaseToken| {
            self.settle_lease("queue.extend", queue, lease, |core, now| {
                core.extend(lease, visibility, now)
            })
        };
        Ok(leases.iter().map(extend).collect())
    }

    async fn ack(
        &self,
        queue: &QueueId,
        acks: Vec<Ack>,
        effects: Vec<Effect>,
    ) -> Result<Vec<Result<()>>> {
        check_effects("queue.ack", &effects)?;
        for ack in &acks {
            hexmem_ports::check_bytes("queue.ack", ack.result.as_deref().unwrap_or_default())?;
        }
        if acks.is_empty() {
            return Ok(Vec::new());
        }
        let leases: Vec<_> = acks.iter().map(|ack| ack.lease).collect();
        let answers = self.with(queue, |queue, now| {
            let mut newly = false;
            let answers: Vec<Result<()>> = acks
                .into_iter()
                .map(|Ack { lease, result }| {
                    let refusal = || Err(stale("queue.ack", &lease));
                    if queue.seen(lease.command, now).is_none() {
                        return refusal();
                    }
                    let done = queue.change(lease.command, now, |core| core.complete(&lease, now));
                    if done.unwrap_or_else(refusal_of(&lease))? {
                        newly = true;
                        if let Some(command) = queue.commands.get_mut(&lease.command) {
                            command.result = result;
                        }
                    }
                    Ok(())
                })
                .collect();
            if newly && answers.iter().all(Result::is_ok) {
                self.outbox.commit(now, effects);
            }
            answers
        });
        self.bells.ring(queue);
        Ok(answers
            .unwrap_or_else(|| leases.iter().map(|lease| Err(stale("queue.ack", lease))).collect()))
    }

    async fn fail(
        &self,
        queue: &QueueId,
        lease: &LeaseToken,
        failure: Failure,
    ) -> Result<FailOutcome> {
        self.settle_lease("queue.fail", queue, lease, |core, now| core.fail(lease, &failure, now))
    }

    async fn release(&self, queue: &QueueId, lease: &LeaseToken) -> Result<()> {
        self.settle_lease("queue.release", queue, lease, |core, now| core.release(lease, now))
    }

    async fn progress(&self, queue: &QueueId, lease: &LeaseToken, progress: Value) -> Result<()> {
        check_json("queue.progress", &progress)?;
        self.settle_lease("queue.progress", queue, lease, |core, now| {
            core.report(lease, progress, now)
        })
    }

    async fn cancel(&self, queue: &QueueId, id: CommandId) -> Result<CancelOutcome> {
        let answer = self.with(queue, |queue, now| {
            queue.seen(id, now)?;
            queue.change(id, now, |core| core.cancel(now))
        });
        self.bells.ring(queue);
        Ok(answer.flatten().unwrap_or(CancelOutcome::Unknown))
    }

    async fn view(&self, queue: &QueueId, id: CommandId) -> Result<Option<CommandView>> {
        Ok(self.with(queue, |queue, now| Some(queue.seen(id, now)?.view())).flatten())
    }

    async fn result(
        &self,
        queue: &QueueId,
        id: CommandId,
        wait: Duration,
    ) -> Result<Option<CommandResult>> {
        let until = self.clock.now().plus(wait);
        loop {
            let mut bell = std::pin::pin!(self.bells.listen(queue));
            bell.as_mut().enable();
            let found = self.with(queue, |queue, now| {
                let command = queue.seen(id, now)?;
                let result = command.core.result(command.result.clone());
                Some((result, queue.next_due()))
            });
            let next = match found.flatten() {
                Some((Some(result), _)) => return Ok(Some(result)),
                Some((None, next)) => next,
                None => None,
            };
            if self.clock.now() >= until {
                return Ok(None);
            }
            self.rest(bell, next.map_or(until, |next| next.min(until))).await;
        }
    }

    async fn dead(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<CommandView>> {
        let after = cursor.as_ref().map(dead_cursor).transpose()?;
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = self.with(queue, |queue, _| {
            let ids = queue.dead.range((after, Bound::Unbounded));
            let views = ids.filter_map(|id| Some(queue.commands.get(id)?.view()));
            Page::cut(views, limit, dead_cursor_of)
        });
        Ok(found.unwrap_or_default())
    }

    async fn requeue(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        let count = self.with(queue, |queue, now| {
            let chosen = queue.chosen_dead(&which);
            for id in &chosen {
                let sequence = queue.next;
                queue.next += 1;
                queue.change(*id, now, |core| core.requeue(sequence, now));
            }
            chosen.len()
        });
        self.bells.ring(queue);
        Ok(u64::try_from(count.unwrap_or_default()).unwrap_or(u64::MAX))
    }

    async fn purge(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        let count = self.with(queue, |queue, now| {
            let chosen = queue.chosen_dead(&which);
            for id in &chosen {
                queue.change(*id, now, |core| core.purge(now));
                if let Some(command) = queue.commands.get_mut(id) {
                    command.payload = Vec::new();
                    command.headers = Value::Null;
                }
            }
            chosen.len()
        });
        Ok(u64::try_from(count.unwrap_or_default()).unwrap_or(u64::MAX))
    }

    async fn stats(&self, queue: &QueueId) -> Result<QueueStats> {
        Ok(self.with(queue, |queue, now| queue.stats(now)).unwrap_or_default())
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        let after = cursor.as_ref().map(queue_cursor).transpose()?;
        let state = self.state();
        let now = self.clock.now();
        let names = state
            .queues
            .iter()
            .filter(|(id, queue)| {
                id.tenant == *tenant
                    && prefix.matches(id.name.as_str())
                    && after.as_ref().is_none_or(|after| id.name > *after)
                    && queue.holds_something(now)
            })
            .map(|(id, _)| id.name.clone());
        Ok(Page::cut(names, limit, queue_cursor_of))
    }

    async fn set_limits(&self, queue: &QueueId, limits: QueueLimits) -> Result<()> {
        limits.check("queue.set_limits")?;
        self.change(queue, |queue, now| {
            let version = queue.limits.as_ref().map_or(0, |kept| kept.version) + 1;
            queue.limits = Some(Limits { limits, version, modified_at: now });
        });
        Ok(())
    }

    async fn limits(&self, queue: &QueueId) -> Result<QueueLimits> {
        let kept = self.with(queue, |queue, _| queue.limits.as_ref().map(|kept| kept.limits));
        Ok(kept.flatten().unwrap_or_default())
    }

    async fn put_schedule(
        &self,
        queue: &QueueId,
        schedule: Schedule,
        expected: u64,
    ) -> Result<u64> {
        schedules::check(&schedule)?;
        self.change(queue, |queue, now| queue.put_schedule(schedule, expected, now))
    }

    async fn delete_schedule(&self, queue: &QueueId, name: &Name) -> Result<bool> {
        Ok(self.with(queue, |queue, now| queue.delete_schedule(name, now)).unwrap_or_default())
    }

    async fn schedules(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Schedule>> {
        let after = cursor.as_ref().map(schedule_cursor).transpose()?;
        let found = self.with(queue, |queue, _| {
            Page::cut(queue.live_schedules(after.as_ref()), limit, schedule_cursor_of)
        });
        Ok(found.unwrap_or_default())
    }

    async fn fire(
        &self,
        queue: &QueueId,
        name: &Name,
        expected: u64,
        command: NewCommand,
        next_at: Option<Timestamp>,
    ) -> Result<Fired> {
        command.check("queue.fire")?;
        let fired =
            self.with(queue, |queue, now| queue.fire(name, expected, command, next_at, now));
        self.bells.ring(queue);
        Ok(fired.unwrap_or(Fired::Lost))
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        let mut state = self.state();
        let now = self.clock.now();
        let (most, mut count) = (limit.as_usize(), 0);
        for queue in state.queues.values_mut() {
            count += queue.settle(now, most - count);
            count += queue.free(now, most - count);
        }
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }
}

/// For a command that vanished between two looks under one lock: cannot happen, and is refused.
fn refusal_of<R>(lease: &LeaseToken) -> impl FnOnce() -> Result<R> + '_ {
    move || Err(stale("queue.ack", lease))
}
