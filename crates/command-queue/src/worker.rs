//! The worker: a future that the caller drives.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::{BoxFuture, Either, FusedFuture as _, Shared, select};
use futures::stream::{FuturesUnordered, StreamExt as _};
use hexmem_ports::{
    Error, ErrorKind, FailOutcome, Failure, LeaseToken, Leased, Limit, Name, Result, Retry,
    Timestamp, Ttl, Verdict,
};
use uuid::Uuid;

use crate::{Commands, Job, JobResult};

/// How a worker works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOptions {
    /// The start of the worker's name, for observers; a random part is added at each start, so that two
    /// starts are never taken for one.
    pub name: String,
    /// Deliveries at once.
    pub concurrency: Limit,
    /// How long each is held without a sign of life. A heartbeat goes out after a third of it.
    pub visibility: Ttl,
    /// How long one wait for work lasts: a bound of how long a stop takes while nothing runs.
    pub wait: Duration,
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
    /// The handler is told ([`Job::cancelled`]) and decides; it may still complete.
    Tell,
}

impl Default for WorkerOptions {
    /// One at a time, held for 30 s, what runs may finish, a cancel drops the handler.
    fn default() -> Self {
        Self {
            name: "worker".to_owned(),
            concurrency: Limit::try_from(1).unwrap_or_default(),
            visibility: Ttl::from_const(Duration::from_secs(30)),
            wait: Duration::from_secs(1),
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
enum End {
    Completed,
    Failed(FailOutcome),
    Lost,
    HandedBack,
}

impl WorkerReport {
    fn count(&mut self, end: &End) {
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

/// Runs a handler for each command of a queue.
#[derive(Debug, Clone)]
pub struct Worker {
    commands: Commands,
    options: WorkerOptions,
}

/// How often a call that may succeed later is repeated before the worker gives up on it.
const TRIES: u32 = 6;

/// Something that the worker's loop reacts to.
enum Event {
    Stop,
    Grace,
    Leased(Result<Vec<Leased>>),
    Ended(Result<End>),
}

impl Worker {
    /// A worker of the queue.
    pub fn new(commands: Commands, options: WorkerOptions) -> Self {
        Self { commands, options }
    }

    /// Works until `stop` ends, then lets go of what runs as the options say. Runs where it is polled: all
    /// handlers share one task, so they must not block it (hand long computations to a thread).
    ///
    /// A handler that panics fails its attempt and nothing else. Dropped, the worker leaves what it holds to
    /// run out of its leases.
    ///
    /// # Errors
    /// A store that refuses for good, or does not answer again and again. What runs is finished first.
    pub async fn run<H, F>(
        &self,
        handler: H,
        stop: impl Future<Output = ()>,
    ) -> Result<WorkerReport>
    where
        H: Fn(Job) -> F,
        F: Future<Output = JobResult>,
    {
        let worker = start_name(&self.options.name)?;
        let slots = self.options.concurrency.as_usize();
        let (hand_back, handed_back) = oneshot::channel::<()>();
        let handed_back = handed_back.shared();
        let mut hand_back = Some(hand_back);
        let mut report = WorkerReport::default();
        let mut failed = None;
        let mut running = FuturesUnordered::new();
        let mut lease: Option<BoxFuture<'_, Result<Vec<Leased>>>> = None;
        let mut grace: Option<BoxFuture<'_, ()>> = None;
        let mut stop = pin!(stop.fuse());
        loop {
            let stopping = stop.is_terminated() || failed.is_some();
            if stopping && lease.is_none() && running.is_empty() {
                return failed.map_or(Ok(report), Err);
            }
            if !stopping && lease.is_none() && running.len() < slots {
                let free = Limit::new(u32::try_from(slots - running.len()).unwrap_or(1))?;
                lease = Some(Box::pin(self.lease(&worker, free)));
            }
            let event = poll_fn(|cx| {
                if !stop.is_terminated() && stop.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Stop);
                }
                if let Some(over) = &mut grace
                    && over.as_mut().poll(cx).is_ready()
                {
                    return Poll::Ready(Event::Grace);
                }
                if let Some(pending) = &mut lease
                    && let Poll::Ready(leased) = pending.as_mut().poll(cx)
                {
                    return Poll::Ready(Event::Leased(leased));
                }
                match running.poll_next_unpin(cx) {
                    Poll::Ready(Some(end)) => Poll::Ready(Event::Ended(end)),
                    Poll::Ready(None) | Poll::Pending => Poll::Pending,
                }
            })
            .await;
            match event {
                Event::Stop => match self.options.when_stopping {
                    WhenStopping::Finish => {}
                    WhenStopping::FinishWithin(span) => {
                        grace = Some(self.commands.clock().sleep(span));
                    }
                    WhenStopping::HandBack => hand_back_now(&mut hand_back),
                },
                Event::Grace => {
                    grace = None;
                    hand_back_now(&mut hand_back);
                }
                Event::Leased(leased) => {
                    lease = None;
                    match leased {
                        Ok(leased) if stop.is_terminated() => {
                            for one in leased {
                                self.commands.release(&one.lease).await?;
                                report.count(&End::HandedBack);
                            }
                        }
                        Ok(leased) => running.extend(
                            leased
                                .into_iter()
                                .map(|one| self.deliver(one, &handler, handed_back.clone())),
                        ),
                        Err(error) => failed = Some(error),
                    }
                }
                Event::Ended(Ok(end)) => report.count(&end),
                Event::Ended(Err(error)) => failed = Some(error),
            }
        }
    }

    /// One wait for work; what may succeed later is repeated.
    async fn lease(&self, worker: &Name, max: Limit) -> Result<Vec<Leased>> {
        let (visibility, wait) = (self.options.visibility, self.options.wait);
        self.again(|| Box::pin(self.commands.lease(worker, max, visibility, wait))).await
    }

    /// Runs the handler for one delivery, with heartbeats, and settles it.
    async fn deliver<H, F>(
        &self,
        leased: Leased,
        handler: &H,
        handed_back: Shared<oneshot::Receiver<()>>,
    ) -> Result<End>
    where
        H: Fn(Job) -> F,
        F: Future<Output = JobResult>,
    {
        let (lease, leased_until) = (leased.lease, leased.leased_until);
        let (tell, cancelled) = oneshot::channel();
        let job = Job { leased, commands: self.commands.clone(), cancelled: cancelled.shared() };
        // Called within the future, so that a panic before the first await is caught too.
        let work = AssertUnwindSafe(async move { handler(job).await }).catch_unwind();
        let outcome = {
            let work = pin!(work);
            let heart = pin!(self.beat(&lease, leased_until, tell));
            let back = pin!(asked_back(handed_back));
            match select(work, select(heart, back)).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right((Either::Left((Beat::Lost, _)), _)) => return Ok(End::Lost),
                Either::Right((Either::Left((Beat::Cancelled, _)), _)) => {
                    Ok(Err(crate::JobError::retry("cancelled while it ran")))
                }
                Either::Right((Either::Right(_), _)) => {
                    let release = self.again(|| Box::pin(self.commands.release(&lease)));
                    return self.settled(release.await.map(|()| End::HandedBack));
                }
            }
        };
        let failure = match outcome {
            Ok(Ok(result)) => {
                let ack = self.again(|| Box::pin(self.commands.ack(lease, result.clone())));
                return self.settled(ack.await.map(|()| End::Completed));
            }
            Ok(Err(error)) => Failure { error: error.error, verdict: error.verdict },
            Err(panic) => Failure { error: panic_text(panic.as_ref()), verdict: Verdict::Retry },
        };
        let fail = self.again(|| Box::pin(self.commands.fail(&lease, failure.clone())));
        self.settled(fail.await.map(End::Failed))
    }

    /// A delivery that was lost to another worker is no failure of this one.
    fn settled(&self, end: Result<End>) -> Result<End> {
        match end {
            Err(error) if error.kind() == ErrorKind::StaleLease => Ok(End::Lost),
            end => end,
        }
    }

    /// Heartbeats at a third of the visibility, until the lease is lost or a cancel ends the work. The first
    /// one comes sooner where the delivery had to wait for its start.
    async fn beat(
        &self,
        lease: &LeaseToken,
        leased_until: Timestamp,
        tell: oneshot::Sender<()>,
    ) -> Beat {
        let mut tell = Some(tell);
        let clock = self.commands.clock();
        let third = self.options.visibility.get() / 3;
        let mut pause = leased_until.since(clock.now()).saturating_sub(third * 2).min(third);
        loop {
            clock.sleep(pause).await;
            pause = third;
            match self.commands.extend(lease, self.options.visibility).await {
                Ok(extended) if extended.cancel_requested => {
                    if self.options.when_cancelled == WhenCancelled::Drop {
                        return Beat::Cancelled;
                    }
                    if let Some(tell) = tell.take() {
                        // The handler may have ended in between.
                        let _ = tell.send(());
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StaleLease => return Beat::Lost,
                // The store may answer the next one in time; if not, the lease runs out and is lost.
                Err(_) => {}
            }
        }
    }

    /// Repeats a call that may succeed later, waiting twice as long each time. Every call here is
    /// idempotent: by its lease, or because a lease nobody saw runs out.
    async fn again<'a, T>(&self, call: impl Fn() -> BoxFuture<'a, Result<T>>) -> Result<T> {
        let mut wait = Duration::from_millis(100);
        for _ in 1..TRIES {
            match call().await {
                Err(error) => match error.retry_hint() {
                    Retry::Never => return Err(error),
                    Retry::Soon => self.commands.clock().sleep(wait).await,
                    Retry::After(span) => self.commands.clock().sleep(span).await,
                },
                done => return done,
            }
            wait *= 2;
        }
        call().await
    }
}

/// Why heartbeats ended.
enum Beat {
    Lost,
    Cancelled,
}

fn hand_back_now(hand_back: &mut Option<oneshot::Sender<()>>) {
    if let Some(hand_back) = hand_back.take() {
        // Nobody listens when nothing runs.
        let _ = hand_back.send(());
    }
}

async fn asked_back(asked: Shared<oneshot::Receiver<()>>) {
    if asked.await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.map_or_else(
        || "the handler panicked".to_owned(),
        |text| format!("the handler panicked: {text}"),
    )
}

/// The name of one start: what was asked for, cut where it is long, and a random part.
fn start_name(name: &str) -> Result<Name> {
    let mut end = name.len().min(900);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    Name::new(format!("{}-{}", &name[..end], Uuid::new_v4()))
        .map_err(|error| Error::invalid("queue.worker", "the worker's name").caused_by(error))
}
