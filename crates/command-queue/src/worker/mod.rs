//! The worker: a future that the caller drives.

mod heart;
mod options;
mod settle;

use std::any::Any;
use std::future::{Future, pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::{BoxFuture, FusedFuture as _, Shared};
use futures::stream::{FuturesUnordered, StreamExt as _};
use hexmem_ports::{Error, Failure, Leased, Limit, Name, Result, Verdict};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{Commands, Job, JobResult};
use heart::{Ending, Held};
use settle::{Finished, Outcome, Settled};

pub use options::*;

/// Runs a handler for each command of a queue.
#[derive(Debug, Clone)]
pub struct Worker {
    commands: Commands,
    options: WorkerOptions,
}

/// Something that the worker's loop reacts to.
enum Event {
    Stop,
    HandBack,
    Leased(Result<Vec<Leased>>),
    Finished(Vec<Finished>),
    Settled(Vec<Settled>),
}

impl Worker {
    /// A worker of the queue.
    pub fn new(commands: Commands, options: WorkerOptions) -> Self {
        Self { commands, options }
    }

    /// Works until `stop` ends, then lets go of what runs as the options say. Runs where it is polled: all
    /// handlers share one task, so they must not block it (hand long computations to a thread).
    ///
    /// Each handler runs in a tracing span `command` with `queue`, `id`, `attempt` and `worker`. One that panics
    /// fails its attempt and nothing else; one whose lease is lost is dropped. Handlers that end together are settled
    /// by one call. Dropped, the worker leaves what it holds to run out of its leases.
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
        self.run_until(handler, stop, pending()).await
    }

    /// Like [`Self::run`], with a second stop: when `hand_back` ends, what still runs is dropped and handed back at
    /// once, whatever the options say.
    pub async fn run_until<H, F>(
        &self,
        handler: H,
        stop: impl Future<Output = ()>,
        hand_back: impl Future<Output = ()>,
    ) -> Result<WorkerReport>
    where
        H: Fn(Job) -> F,
        F: Future<Output = JobResult>,
    {
        let worker = start_name(&self.options.name)?;
        let slots = self.options.concurrency.as_usize();
        let held = Held::default();
        let (give_back, given_back) = oneshot::channel::<()>();
        let (mut give_back, given_back) = (Some(give_back), given_back.shared());
        let (mut report, mut failed) = (WorkerReport::default(), None);
        let mut running = FuturesUnordered::new();
        let mut finished: Vec<Finished> = Vec::new();
        let mut unsettled = 0;
        let mut lease: Option<BoxFuture<'_, Result<Vec<Leased>>>> = None;
        let mut settling: Option<BoxFuture<'_, Vec<Settled>>> = None;
        let mut grace: Option<BoxFuture<'_, ()>> = None;
        let (visibility, when_cancelled) = (self.options.visibility, self.options.when_cancelled);
        let mut heart = pin!(held.beat(&self.commands, visibility, when_cancelled));
        let mut stop = pin!(stop.fuse());
        let mut hand_back = pin!(hand_back.fuse());
        loop {
            let stopping = stop.is_terminated() || hand_back.is_terminated() || failed.is_some();
            if settling.is_none() && !finished.is_empty() {
                let batch = std::mem::take(&mut finished);
                settling = Some(Box::pin(self.settle(batch)));
            }
            if stopping && lease.is_none() && settling.is_none() && running.is_empty() {
                return failed.map_or(Ok(report), Err);
            }
            let busy = running.len() + unsettled;
            if !stopping && lease.is_none() && busy < slots {
                let free = Limit::new(u32::try_from(slots - busy).unwrap_or(1))?;
                lease = Some(Box::pin(self.lease(&worker, free)));
            }
            let event = poll_fn(|cx| {
                // The heart has no end; it is polled so that it beats.
                let _ = heart.as_mut().poll(cx);
                if !stop.is_terminated() && stop.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Stop);
                }
                if !hand_back.is_terminated() && hand_back.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::HandBack);
                }
                if let Some(Poll::Ready(())) = grace.as_mut().map(|over| over.as_mut().poll(cx)) {
                    return Poll::Ready(Event::HandBack);
                }
                if let Some(Poll::Ready(all)) = settling.as_mut().map(|all| all.as_mut().poll(cx)) {
                    return Poll::Ready(Event::Settled(all));
                }
                if let Some(Poll::Ready(got)) = lease.as_mut().map(|got| got.as_mut().poll(cx)) {
                    return Poll::Ready(Event::Leased(got));
                }
                let mut ended = Vec::new();
                while let Poll::Ready(Some(one)) = running.poll_next_unpin(cx) {
                    ended.push(one);
                }
                if ended.is_empty() { Poll::Pending } else { Poll::Ready(Event::Finished(ended)) }
            })
            .await;
            match event {
                Event::Stop => match self.options.when_stopping {
                    WhenStopping::Finish => {}
                    WhenStopping::FinishWithin(span) => {
                        grace = Some(self.commands.clock().sleep(span));
                    }
                    WhenStopping::HandBack => give_all_back(&mut give_back),
                },
                Event::HandBack => {
                    grace = None;
                    give_all_back(&mut give_back);
                }
                Event::Leased(leased) => {
                    lease = None;
                    match leased {
                        // Whoever is told to stop begins nothing new.
                        Ok(leased) if stop.is_terminated() || hand_back.is_terminated() => {
                            unsettled += leased.len();
                            finished.extend(leased.iter().map(|one| Finished {
                                lease: one.lease,
                                outcome: Outcome::HandedBack,
                            }));
                        }
                        Ok(leased) => running.extend(leased.into_iter().map(|one| {
                            self.deliver(&worker, one, &handler, &held, given_back.clone())
                        })),
                        Err(error) => failed = Some(error),
                    }
                }
                Event::Finished(ended) => {
                    unsettled += ended.len();
                    finished.extend(ended);
                }
                Event::Settled(all) => {
                    settling = None;
                    unsettled -= all.len();
                    for one in all {
                        held.drop(&one.lease);
                        match one.end {
                            Ok(end) => report.count(&end),
                            Err(error) => failed = Some(error),
                        }
                    }
                }
            }
        }
    }

    /// One wait for work; what may succeed later is repeated.
    async fn lease(&self, worker: &Name, max: Limit) -> Result<Vec<Leased>> {
        let (visibility, wait) = (self.options.visibility, self.options.wait);
        self.again(|| Box::pin(self.commands.lease(worker, max, visibility, wait))).await
    }

    /// Runs the handler for one delivery until it ends, or is ended.
    fn deliver<'a, H, F>(
        &'a self,
        worker: &Name,
        leased: Leased,
        handler: &'a H,
        held: &Held,
        given_back: Shared<oneshot::Receiver<()>>,
    ) -> impl Future<Output = Finished> + use<'a, H, F>
    where
        H: Fn(Job) -> F,
        F: Future<Output = JobResult>,
    {
        let (clock, lease) = (self.commands.clock(), leased.lease);
        let heard = held.hold(lease, clock.now().plus(self.options.visibility.get()));
        let span = tracing::info_span!(
            "command",
            queue = %self.commands.queue().name,
            id = %leased.id,
            attempt = leased.attempt,
            worker = %worker,
        );
        let job = Job::new(leased, self.commands.clone(), heard.told.shared());
        let effects = job.effects.clone();
        // Called within the future, so that a panic before the first await is caught too.
        let work = AssertUnwindSafe(async move { handler(job).await }).catch_unwind();
        let timeout = self.options.timeout;
        let late = async move {
            match timeout {
                Some(span) => clock.sleep(span.get()).await,
                None => pending().await,
            }
        };
        let run = async move {
            let outcome = futures::select_biased! {
                done = work.fuse() => match done {
                    Ok(Ok(result)) => Outcome::Done(result, effects.take()),
                    Ok(Err(error)) => failed(error.error, error.verdict),
                    Err(panic) => failed(panic_text(panic.as_ref()), Verdict::Retry),
                },
                ending = or_never(heard.ended).fuse() => match ending {
                    Ending::Lost => Outcome::Lost,
                    Ending::Cancelled => failed("cancelled while it ran".to_owned(), Verdict::Retry),
                },
                () = or_never(given_back).fuse() => Outcome::HandedBack,
                () = late.fuse() => {
                    let span = timeout.map(hexmem_ports::Ttl::get).unwrap_or_default();
                    failed(format!("it ran longer than {span:?}"), Verdict::Retry)
                }
            };
            match &outcome {
                Outcome::Done(..) => tracing::debug!("completed"),
                Outcome::Failed(failure) => tracing::warn!(error = failure.error, "failed"),
                Outcome::HandedBack => tracing::info!("handed back"),
                Outcome::Lost => {}
            }
            Finished { lease, outcome }
        };
        run.instrument(span)
    }
}

fn failed(error: String, verdict: Verdict) -> Outcome {
    Outcome::Failed(Failure { error, verdict })
}

fn give_all_back(give_back: &mut Option<oneshot::Sender<()>>) {
    if let Some(give_back) = give_back.take() {
        // Nobody listens when nothing runs.
        let _ = give_back.send(());
    }
}

/// What is sent; never where the sender goes away.
async fn or_never<T>(sent: impl Future<Output = std::result::Result<T, oneshot::Canceled>>) -> T {
    match sent.await {
        Ok(sent) => sent,
        Err(oneshot::Canceled) => pending().await,
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
