//! The double: a store that keeps every clause but one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::{
    Ack, CancelOutcome, Capabilities, CommandId, CommandQueue, CommandResult, CommandState,
    CommandView, Cursor, DeadLetters, Effect, Enqueued, ErrorKind, Extended, FailOutcome, Failure,
    Fired, LeaseRequest, LeaseToken, Leased, Limit, Name, NewCommand, Page, Prefix, QueueId,
    QueueLimits, QueueStats, Result, Schedule, Tenant, Timestamp, Ttl, Verdict, WhenIdle,
};
use serde_json::Value;
use uuid::Uuid;

use super::Queue;
use crate::{name, outbox, records};

/// Every clause that the double can break.
const CLAUSES: [&str; 53] = [
    "QUEUE-ENQ-1",
    "QUEUE-ENQ-2",
    "QUEUE-ENQ-3",
    "QUEUE-ENQ-4",
    "QUEUE-ENQ-5",
    "QUEUE-ENQ-6",
    "QUEUE-LEASE-1",
    "QUEUE-LEASE-2",
    "QUEUE-LEASE-3",
    "QUEUE-LEASE-4",
    "QUEUE-LEASE-5",
    "QUEUE-LEASE-6",
    "QUEUE-LEASE-7",
    "QUEUE-LEASE-8",
    "QUEUE-LEASE-9",
    "QUEUE-LEASE-10",
    "QUEUE-LEASE-11",
    "QUEUE-EXTEND-1",
    "QUEUE-EXTEND-2",
    "QUEUE-EXTEND-3",
    "QUEUE-EXTEND-4",
    "QUEUE-ACK-1",
    "QUEUE-ACK-2",
    "QUEUE-ACK-3",
    "QUEUE-ACK-4",
    "QUEUE-ACK-5",
    "QUEUE-FAIL-1",
    "QUEUE-FAIL-2",
    "QUEUE-FAIL-3",
    "QUEUE-FAIL-4",
    "QUEUE-RELEASE-1",
    "QUEUE-RELEASE-2",
    "QUEUE-RELEASE-3",
    "QUEUE-PROGRESS-1",
    "QUEUE-CANCEL-1",
    "QUEUE-CANCEL-2",
    "QUEUE-CANCEL-3",
    "QUEUE-VIEW-1",
    "QUEUE-RESULT-1",
    "QUEUE-RESULT-2",
    "QUEUE-DEAD-1",
    "QUEUE-REQUEUE-1",
    "QUEUE-PURGE-1",
    "QUEUE-STATS-1",
    "QUEUE-LIST-1",
    "QUEUE-LIMITS-1",
    "QUEUE-LIMITS-2",
    "QUEUE-SCHED-1",
    "QUEUE-SCHED-2",
    "QUEUE-SCHED-3",
    "QUEUE-SCHED-4",
    "QUEUE-SCHED-5",
    "QUEUE-SWEEP-1",
];

/// The rig over stores that break `clause` and nothing else; panics on an unknown clause.
pub fn broken(clause: &str, rig: Queue) -> Queue {
    if let Some(rig) = records::broken(clause, rig.clone()) {
        return rig;
    }
    if let Some(rig) = outbox::broken(clause, rig.clone()) {
        return rig;
    }
    let known = CLAUSES.iter().find(|known| **known == clause);
    let clause =
        *known.unwrap_or_else(|| panic!("{clause} is no clause of the queue: add it to broken.rs"));
    rig.wrapped(|inner| {
        let double = Broken { inner, clause, memory: Mutex::default() };
        Arc::new(double) as Arc<dyn CommandQueue>
    })
}

/// What the double must remember to misbehave.
#[derive(Default)]
struct Memory {
    enqueued: HashSet<CommandId>,
    leased: Option<Leased>,
    current: HashMap<CommandId, LeaseToken>,
    acked: HashSet<u128>,
    read: HashSet<CommandId>,
}

struct Broken {
    inner: Arc<dyn CommandQueue>,
    clause: &'static str,
    memory: Mutex<Memory>,
}

impl Broken {
    fn breaks(&self, clause: &str) -> bool {
        self.clause == clause
    }

    fn breaks_any(&self, clauses: &[&str]) -> bool {
        clauses.contains(&self.clause)
    }

    fn queue(&self, queue: &QueueId) -> QueueId {
        let mut queue = queue.clone();
        if self.breaks("QUEUE-LEASE-11") {
            queue.name = name("one for all");
        }
        queue
    }

    fn enqueued(&self, mut command: NewCommand) -> NewCommand {
        match self.clause {
            "QUEUE-ENQ-2" if !self.memory.lock().unwrap().enqueued.insert(command.id) => {
                command.id = CommandId(Uuid::new_v4());
            }
            "QUEUE-ENQ-3" => command.dedupe = None,
            "QUEUE-LEASE-4" => command.delay = None,
            "QUEUE-LEASE-5" => command.deadline = None,
            "QUEUE-LEASE-6" => command.retry.max_attempts = 1_000,
            "QUEUE-LEASE-7" => command.group = None,
            _ => {}
        }
        command
    }
}

/// A stale lease is answered as if it were none.
fn forgive<T>(answer: Result<T>, instead: T) -> Result<T> {
    match answer {
        Err(error) if error.kind() == ErrorKind::StaleLease => Ok(instead),
        answer => answer,
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl CommandQueue for Broken {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn enqueue(
        &self,
        queue: &QueueId,
        commands: Vec<NewCommand>,
        when_idle: WhenIdle,
        effects: Vec<Effect>,
    ) -> Result<Vec<Enqueued>> {
        let queue = self.queue(queue);
        let commands: Vec<_> = commands.into_iter().map(|one| self.enqueued(one)).collect();
        let when_idle = if self.breaks("QUEUE-ENQ-4") { WhenIdle::Store } else { when_idle };
        let effects = if self.breaks("QUEUE-ENQ-6") { vec![] } else { effects };
        let good: Vec<_> =
            commands.iter().filter(|one| one.check("queue.enqueue").is_ok()).cloned().collect();
        let answer = self.inner.enqueue(&queue, commands, when_idle, effects).await;
        if self.breaks("QUEUE-ENQ-5") && answer.is_err() {
            self.inner.enqueue(&queue, good, when_idle, vec![]).await?;
        }
        answer
    }

    async fn lease(&self, queue: &QueueId, mut request: LeaseRequest) -> Result<Vec<Leased>> {
        match self.clause {
            "QUEUE-LEASE-3" => request.visibility = Ttl::new(request.visibility.get() * 1_000)?,
            "QUEUE-LEASE-10" => request.wait = Duration::ZERO,
            _ => {}
        }
        let mut leased = self.inner.lease(&self.queue(queue), request).await?;
        let mut memory = self.memory.lock().unwrap();
        for one in &leased {
            memory.current.insert(one.id, one.lease);
        }
        match self.clause {
            "QUEUE-ENQ-1" => leased.iter_mut().for_each(|one| {
                one.payload.pop();
                one.headers = Value::Null;
            }),
            "QUEUE-LEASE-1" => leased.reverse(),
            "QUEUE-LEASE-2" => match leased.last() {
                Some(last) => memory.leased = Some(last.clone()),
                None => leased.extend(memory.leased.take()),
            },
            _ => {}
        }
        Ok(leased)
    }

    async fn extend(
        &self,
        queue: &QueueId,
        leases: Vec<LeaseToken>,
        visibility: Ttl,
    ) -> Result<Vec<Result<Extended>>> {
        let visibility = if self.breaks("QUEUE-EXTEND-1") {
            Ttl::new(Duration::from_micros(1))?
        } else {
            visibility
        };
        let mut answers = self.inner.extend(&self.queue(queue), leases, visibility).await?;
        if self.breaks("QUEUE-EXTEND-4") {
            let refused = answers.iter().position(Result::is_err);
            answers.truncate(refused.map_or(answers.len(), |refused| refused + 1));
        }
        let lie = Extended { leased_until: Timestamp::MAX, cancel_requested: false };
        let told = |answer: Result<Extended>| match (self.clause, answer) {
            ("QUEUE-EXTEND-2", answer) => forgive(answer, lie),
            ("QUEUE-EXTEND-3", Ok(told)) => Ok(Extended { cancel_requested: false, ..told }),
            (_, answer) => answer,
        };
        Ok(answers.into_iter().map(told).collect())
    }

    async fn ack(
        &self,
        queue: &QueueId,
        mut acks: Vec<Ack>,
        effects: Vec<Effect>,
    ) -> Result<Vec<Result<()>>> {
        let effects = if self.breaks("QUEUE-ACK-5") { vec![] } else { effects };
        if self.breaks("QUEUE-ACK-1") {
            return Ok(acks.iter().map(|_| Ok(())).collect());
        }
        if self.breaks("QUEUE-ACK-4") {
            let memory = self.memory.lock().unwrap();
            for ack in &mut acks {
                let current = memory.current.get(&ack.lease.command);
                ack.lease = current.copied().unwrap_or(ack.lease);
            }
        }
        let secrets: Vec<_> = acks.iter().map(|ack| ack.lease).collect();
        let mut answers = self.inner.ack(&self.queue(queue), acks, effects).await?;
        let mut memory = self.memory.lock().unwrap();
        for (answer, lease) in answers.iter_mut().zip(secrets) {
            match self.clause {
                "QUEUE-ACK-2" => *answer = Ok(()),
                "QUEUE-ACK-3" if !memory.acked.insert(lease.secret) => {
                    *answer = Err(hexmem_ports::rules::stale("queue.ack", &lease));
                }
                _ => {}
            }
        }
        Ok(answers)
    }

    async fn fail(
        &self,
        queue: &QueueId,
        lease: &LeaseToken,
        mut failure: Failure,
    ) -> Result<FailOutcome> {
        let at_once = Verdict::RetryAfter(Duration::ZERO);
        match (self.clause, failure.verdict) {
            ("QUEUE-FAIL-1", Verdict::Retry | Verdict::RetryAfter(_))
            | ("QUEUE-FAIL-2", Verdict::Dead) => failure.verdict = at_once,
            _ => {}
        }
        let answer = self.inner.fail(&self.queue(queue), lease, failure).await;
        if self.breaks("QUEUE-FAIL-3") { forgive(answer, FailOutcome::Dead) } else { answer }
    }

    async fn release(&self, queue: &QueueId, lease: &LeaseToken) -> Result<()> {
        let queue = self.queue(queue);
        if self.breaks("QUEUE-RELEASE-1") {
            let verdict = Verdict::RetryAfter(Duration::ZERO);
            let failure = Failure { error: "released".into(), verdict };
            return self.inner.fail(&queue, lease, failure).await.map(|_| ());
        }
        let answer = self.inner.release(&queue, lease).await;
        if self.breaks("QUEUE-RELEASE-2") { forgive(answer, ()) } else { answer }
    }

    async fn progress(&self, queue: &QueueId, lease: &LeaseToken, progress: Value) -> Result<()> {
        if self.breaks("QUEUE-PROGRESS-1") {
            return Ok(());
        }
        self.inner.progress(&self.queue(queue), lease, progress).await
    }

    async fn cancel(&self, queue: &QueueId, id: CommandId) -> Result<CancelOutcome> {
        let queue = self.queue(queue);
        let view = self.inner.view(&queue, id).await?;
        let state = view.map(|view| view.state);
        let deaf = ["QUEUE-CANCEL-2", "QUEUE-FAIL-4", "QUEUE-RELEASE-3"];
        if self.breaks("QUEUE-CANCEL-1") && state == Some(CommandState::Queued) {
            return Ok(CancelOutcome::Cancelled);
        }
        if self.breaks_any(&deaf) && state == Some(CommandState::Leased) {
            return Ok(CancelOutcome::Requested);
        }
        let outcome = self.inner.cancel(&queue, id).await?;
        let ended = matches!(outcome, CancelOutcome::Ended(_));
        Ok(if self.breaks("QUEUE-CANCEL-3") && ended { CancelOutcome::Unknown } else { outcome })
    }

    async fn view(&self, queue: &QueueId, id: CommandId) -> Result<Option<CommandView>> {
        let mut view = self.inner.view(&self.queue(queue), id).await?;
        if let (true, Some(view)) = (self.breaks("QUEUE-VIEW-1"), &mut view) {
            view.attempts = 0;
        }
        Ok(view)
    }

    async fn result(
        &self,
        queue: &QueueId,
        id: CommandId,
        wait: Duration,
    ) -> Result<Option<CommandResult>> {
        let wait = if self.breaks("QUEUE-RESULT-2") { Duration::ZERO } else { wait };
        let result = self.inner.result(&self.queue(queue), id, wait).await?;
        let first = result.is_none() || self.memory.lock().unwrap().read.insert(id);
        Ok(result.filter(|_| !self.breaks("QUEUE-RESULT-1") || first))
    }

    async fn dead(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<CommandView>> {
        let page = self.inner.dead(&self.queue(queue), cursor, limit).await?;
        Ok(if self.breaks("QUEUE-DEAD-1") { Page { next: None, ..page } } else { page })
    }

    async fn requeue(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        match which {
            DeadLetters::Only(ids) if self.breaks("QUEUE-REQUEUE-1") => {
                Ok(u64::try_from(ids.len()).unwrap())
            }
            which => self.inner.requeue(&self.queue(queue), which).await,
        }
    }

    async fn purge(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        if self.breaks("QUEUE-PURGE-1") {
            return Ok(1);
        }
        self.inner.purge(&self.queue(queue), which).await
    }

    async fn stats(&self, queue: &QueueId) -> Result<QueueStats> {
        let mut stats = self.inner.stats(&self.queue(queue)).await?;
        stats.ready += u64::from(self.breaks("QUEUE-STATS-1"));
        Ok(stats)
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        let page = self.inner.list(tenant, prefix, cursor, limit).await?;
        Ok(if self.breaks("QUEUE-LIST-1") { Page { next: None, ..page } } else { page })
    }

    async fn set_limits(&self, queue: &QueueId, mut limits: QueueLimits) -> Result<()> {
        match self.clause {
            "QUEUE-LIMITS-1" => return limits.check("queue.set_limits"),
            "QUEUE-LEASE-8" => limits.max_in_flight = None,
            "QUEUE-LEASE-9" => limits.rate = None,
            _ => {}
        }
        self.inner.set_limits(&self.queue(queue), limits).await
    }

    async fn limits(&self, queue: &QueueId) -> Result<QueueLimits> {
        let mut limits = self.inner.limits(&self.queue(queue)).await?;
        if self.breaks("QUEUE-LIMITS-2") && limits == QueueLimits::default() {
            limits.max_in_flight = Some(1);
        }
        Ok(limits)
    }

    async fn put_schedule(
        &self,
        queue: &QueueId,
        schedule: Schedule,
        expected: u64,
    ) -> Result<u64> {
        let answer = self.inner.put_schedule(&self.queue(queue), schedule, expected).await;
        match answer {
            Err(error) if self.breaks("QUEUE-SCHED-1") && error.kind() == ErrorKind::Conflict => {
                Ok(expected + 1)
            }
            answer => answer,
        }
    }

    async fn delete_schedule(&self, queue: &QueueId, name: &Name) -> Result<bool> {
        if self.breaks("QUEUE-SCHED-2") {
            return Ok(true);
        }
        self.inner.delete_schedule(&self.queue(queue), name).await
    }

    async fn schedules(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Schedule>> {
        let page = self.inner.schedules(&self.queue(queue), cursor, limit).await?;
        Ok(if self.breaks("QUEUE-SCHED-3") { Page { next: None, ..page } } else { page })
    }

    async fn fire(
        &self,
        queue: &QueueId,
        name: &Name,
        expected: u64,
        mut command: NewCommand,
        next_at: Option<Timestamp>,
    ) -> Result<Fired> {
        if self.breaks("QUEUE-SCHED-5") {
            command.headers = Value::Null;
        }
        let fired = self.inner.fire(&self.queue(queue), name, expected, command, next_at).await?;
        Ok(if self.breaks("QUEUE-SCHED-4") { Fired::Enqueued } else { fired })
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        let swept = self.inner.sweep(limit).await?;
        Ok(if self.breaks("QUEUE-SWEEP-1") { swept + 1 } else { swept })
    }
}
