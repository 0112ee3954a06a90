//! The scheduler: a future that the caller drives.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use hexmem_ports::{ErrorKind, Fired, Result, Retry, Schedule, Timestamp};

use crate::{Commands, Recurring};

/// What a scheduler did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedulerReport {
    /// Commands that it enqueued.
    pub fired: u64,
    /// Times that it dropped as too late ([`Missed::Skip`](crate::Missed::Skip)).
    pub skipped: u64,
    /// Times that another instance fired first.
    pub lost: u64,
    /// Schedules that it could not read; each is counted at each look.
    pub unreadable: u64,
}

/// Fires the recurring commands of some queues. Any number of instances may run at once: each time fires once.
#[derive(Debug, Clone)]
pub struct Scheduler {
    queues: Vec<Commands>,
    look: Duration,
}

/// What one look found.
struct Look {
    next_at: Option<Timestamp>,
    again: bool,
}

impl Scheduler {
    /// How often a scheduler looks for schedules that others put, unless said otherwise.
    pub const LOOK: Duration = Duration::from_secs(5);

    /// A scheduler of these queues.
    pub fn new(queues: Vec<Commands>) -> Self {
        Self { queues, look: Self::LOOK }
    }

    /// Looks this often, at least each millisecond: what is put elsewhere fires at most so much too late.
    #[must_use]
    pub fn looking_each(mut self, span: Duration) -> Self {
        self.look = span.max(Duration::from_millis(1));
        self
    }

    /// Fires until `stop` ends. Runs where it is polled. Dropped at any point, nothing is half fired.
    ///
    /// # Errors
    /// A store that refuses for good. What may succeed later is tried again at the next look.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<SchedulerReport> {
        let mut report = SchedulerReport::default();
        let mut stop = pin!(stop);
        let Some(first) = self.queues.first() else {
            stop.await;
            return Ok(report);
        };
        let clock = first.clock().clone();
        loop {
            let fired = match select(stop.as_mut(), pin!(self.fire_due(&mut report))).await {
                Either::Left(_) => None,
                Either::Right((fired, _)) => Some(fired),
            };
            let Some(fired) = fired else { return Ok(report) };
            let next_at = match fired {
                Ok(next_at) => next_at,
                Err(error) if error.retry_hint() == Retry::Never => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "recurring commands are looked at again later");
                    None
                }
            };
            let until = next_at.map_or(self.look, |at| at.since(clock.now()).min(self.look));
            let pause = clock.sleep(until.max(Duration::from_millis(1)));
            if let Either::Left(_) = select(stop.as_mut(), pause).await {
                return Ok(report);
            }
        }
    }

    /// Fires what is due by now, and ends; when the next is due, as far as it is known.
    pub async fn fire_due(&self, report: &mut SchedulerReport) -> Result<Option<Timestamp>> {
        let mut next_at = None;
        for commands in &self.queues {
            // What comes due meanwhile is for the next call: one that fires all the time would hold up the others.
            let now = commands.clock().now();
            loop {
                let look = self.look_at(commands, now, report).await?;
                if !look.again {
                    next_at = next_at.into_iter().chain(look.next_at).min();
                    break;
                }
            }
        }
        Ok(next_at)
    }

    /// Fires each due schedule of a queue once.
    async fn look_at(
        &self,
        commands: &Commands,
        now: Timestamp,
        report: &mut SchedulerReport,
    ) -> Result<Look> {
        let mut look = Look { next_at: None, again: false };
        let mut cursor = None;
        loop {
            let page = commands.schedules(cursor, hexmem_ports::Limit::default()).await?;
            for kept in page.items {
                let next = self.fire_one(commands, kept, now, report).await?;
                look.again |= next.is_some_and(|at| at <= now);
                look.next_at = look.next_at.into_iter().chain(next).min();
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(look);
            }
        }
    }

    /// Fires one schedule where it is due; when it is due next.
    async fn fire_one(
        &self,
        commands: &Commands,
        kept: Schedule,
        now: Timestamp,
        report: &mut SchedulerReport,
    ) -> Result<Option<Timestamp>> {
        let (queue, name) = (commands.queue(), kept.name.clone());
        if kept.next_at.is_none_or(|due| due > now) {
            return Ok(kept.next_at);
        }
        let recurring = match Recurring::read(kept.clone()) {
            Ok(recurring) => recurring,
            Err(error) => {
                // The others go on; whoever wrote it sees this one.
                tracing::error!(%error, queue = %queue.name, schedule = %name, "not fired");
                report.unreadable += 1;
                return Ok(None);
            }
        };
        let Some(plan) = recurring.plan(now) else { return Ok(recurring.next_at) };
        let Some(at) = plan.fire else {
            let moved = Schedule { next_at: plan.next_at, ..kept };
            let version = moved.version;
            match commands.store().put_schedule(queue, moved, version).await {
                Ok(_) => {
                    report.skipped += 1;
                    tracing::warn!(queue = %queue.name, schedule = %name, "missed and skipped");
                }
                Err(error) if error.kind() == ErrorKind::Conflict => report.lost += 1,
                Err(error) => return Err(error),
            }
            return Ok(plan.next_at);
        };
        let command = recurring.command(queue, at, now);
        let id = command.id;
        let fired =
            commands.store().fire(queue, &name, recurring.version, command, plan.next_at).await?;
        match fired {
            Fired::Enqueued => {
                report.fired += 1;
                tracing::info!(queue = %queue.name, schedule = %name, %at, command = %id, "fired");
            }
            Fired::Lost => {
                report.lost += 1;
                // Also where the store's clock is behind ours: not again at once.
                return Ok(plan.next_at.filter(|at| *at > now));
            }
        }
        Ok(plan.next_at)
    }
}
