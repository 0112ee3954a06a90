//! Leasing and reading results, with a wait.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hexmem_ports::{
    Clock, CommandId, CommandResult, Error, ErrorKind, LeaseRequest, LeaseToken, Leased, Name,
    QueueId, Result, Timestamp,
};
use tokio::time::Instant;

use super::row::{id_of, read_body, read_core};
use super::wake::{ENDED, Ear, READY};
use super::{RedisQueue, scripts};
use crate::reply::Reply;

/// How long a waiting worker is believed to be there without another word: a killed one counts as a consumer no longer
/// than this.
const PRESENCE: Duration = Duration::from_secs(10);
/// Who waits looks this often: it says that it is there, and finds what no wake-up told.
const LOOK: Duration = Duration::from_secs(5);
/// Likewise while wake-ups do not come.
const LOOK_UNHEARD: Duration = Duration::from_millis(500);
/// What is due settles at least so much later than it was seen to be.
const LEAST: Duration = Duration::from_millis(1);

/// What one call of the script gives.
struct Attempt {
    leased: Vec<Leased>,
    /// Much had fallen due: nothing was handed out yet.
    more: bool,
    /// How long until time alone changes something.
    due_in: Option<Duration>,
}

/// The rest of a wait: by the tests' clock where they move it, else by this machine's, since a server's clock may be set.
enum Patience {
    Machine(Instant),
    Moved(Arc<dyn Clock>, Timestamp),
}

impl Patience {
    fn new(clock: Option<&Arc<dyn Clock>>, wait: Duration) -> Self {
        match clock {
            None => Self::Machine(
                Instant::now().checked_add(wait).unwrap_or_else(|| Instant::now() + FOREVER),
            ),
            Some(clock) => Self::Moved(Arc::clone(clock), clock.now().plus(wait)),
        }
    }

    fn left(&self) -> Duration {
        match self {
            Self::Machine(until) => until.saturating_duration_since(Instant::now()),
            Self::Moved(clock, until) => until.since(clock.now()),
        }
    }

    async fn sleep(&self, span: Duration) {
        match self {
            Self::Machine(_) => tokio::time::sleep(span).await,
            Self::Moved(clock, _) => {
                tokio::select! {
                    () = clock.sleep(span) => {}
                    () = tokio::time::sleep(span) => {}
                }
            }
        }
    }

    /// Until a ring, or for `span`.
    async fn rest(&self, hearing: impl Future<Output = ()>, span: Duration) {
        tokio::select! {
            () = hearing => {}
            () = self.sleep(span.max(LEAST)) => {}
        }
    }
}

/// What stands for a wait beyond what the machine can count.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 86_400);

/// 128 random bits for each of so many.
fn secrets(count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count * 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, "queue.lease", "the system gives no random bytes")
            .caused_by(error)
    })?;
    Ok(bytes)
}

impl RedisQueue {
    pub(super) async fn wait_for_commands(
        &self,
        queue: &QueueId,
        request: &LeaseRequest,
    ) -> Result<Vec<Leased>> {
        let tag = self.tag(queue);
        if request.wait.is_zero() {
            loop {
                let attempt = self.try_lease(queue, request, None, false).await?;
                if !attempt.more {
                    return Ok(attempt.leased);
                }
            }
        }
        let patience = Patience::new(self.redis.clock(), request.wait);
        let ear = self.redis.bells().listen(self.redis.config(), tag.key(READY));
        let mut waited = false;
        loop {
            let mut hearing = pin!(ear.hear());
            hearing.as_mut().enable();
            let left = patience.left();
            let waits_for = Some(left.min(PRESENCE)).filter(|left| !left.is_zero());
            let attempt = self.try_lease(queue, request, waits_for, waited).await?;
            if attempt.more {
                continue;
            }
            if !attempt.leased.is_empty() || left.is_zero() {
                return Ok(attempt.leased);
            }
            waited = true;
            let due = attempt.due_in.filter(|_| ear.watches());
            patience.rest(hearing, next_look(&ear, left, due)).await;
        }
    }

    async fn try_lease(
        &self,
        queue: &QueueId,
        request: &LeaseRequest,
        waits_for: Option<Duration>,
        waited: bool,
    ) -> Result<Attempt> {
        const OPERATION: &str = "queue.lease";
        let secrets = secrets(request.max.as_usize())?;
        let tag = self.tag(queue);
        let call = self
            .redis
            .script(&scripts::LEASE, &tag)
            .arg(request.worker.as_str())
            .arg(request.max.get())
            .ttl(Some(request.visibility))
            .arg(waits_for.map(|span| span.as_micros().to_string()).unwrap_or_default())
            .arg(u8::from(waited))
            .arg(secrets.as_slice());
        let mut answer = call.run(OPERATION).await?.list()?;
        let now = answer.item()?.time()?;
        let more = answer.item()?.int()? == 1;
        let due_at = answer.optional()?.map(Reply::time).transpose()?;
        let mut leased = Vec::with_capacity(answer.left() / 6);
        while answer.left() > 0 {
            let id = id_of(OPERATION, &answer.item()?.bytes()?)?;
            let place = usize::try_from(answer.item()?.uint()?).unwrap_or(usize::MAX);
            let attempt = u32::try_from(answer.item()?.uint()?).unwrap_or(u32::MAX);
            let group = answer.optional()?.map(Reply::text).transpose()?;
            let deadline = answer.optional()?.map(Reply::time).transpose()?;
            let (payload, headers) = read_body(OPERATION, answer.optional()?)?;
            let secret = secrets.as_chunks::<16>().0.get(place).copied().unwrap_or_default();
            leased.push(Leased {
                id,
                lease: LeaseToken { command: id, attempt, secret: u128::from_be_bytes(secret) },
                attempt,
                payload,
                headers,
                group: group.map(Name::new).transpose()?,
                deadline,
                leased_until: now.plus(request.visibility.get()),
            });
        }
        Ok(Attempt { leased, more, due_in: due_at.map(|due| due.since(now)) })
    }

    pub(super) async fn wait_for_result(
        &self,
        queue: &QueueId,
        id: CommandId,
        wait: Duration,
    ) -> Result<Option<CommandResult>> {
        if wait.is_zero() {
            return Ok(self.read_result(queue, id).await?.0);
        }
        let patience = Patience::new(self.redis.clock(), wait);
        let name = self.tag(queue).key(ENDED);
        let ear = self.redis.bells().listen(self.redis.config(), name).of(id);
        loop {
            let mut hearing = pin!(ear.hear());
            hearing.as_mut().enable();
            let left = patience.left();
            let (result, due) = self.read_result(queue, id).await?;
            if result.is_some() || left.is_zero() {
                return Ok(result);
            }
            patience.rest(hearing, next_look(&ear, left, due)).await;
        }
    }

    /// The result of a command that can be seen, else how long until time alone changes it.
    async fn read_result(
        &self,
        queue: &QueueId,
        id: CommandId,
    ) -> Result<(Option<CommandResult>, Option<Duration>)> {
        const OPERATION: &str = "queue.result";
        let tag = self.tag(queue);
        let call = self.read_call(&tag, id).arg("r");
        let Some(answer) = call.run(OPERATION).await?.some() else { return Ok((None, None)) };
        let mut answer = answer.list()?;
        let now = answer.item()?.time()?;
        let mut core = read_core(OPERATION, id, answer.item()?, None)?;
        let bytes = answer.optional()?.map(Reply::bytes).transpose()?;
        core.settle(now);
        if core.is_gone(now) {
            return Ok((None, None));
        }
        Ok((core.result(bytes), core.facts().due_at().map(|due| due.since(now))))
    }
}

/// How long to sleep when no ring comes.
fn next_look(ear: &Ear, left: Duration, due: Option<Duration>) -> Duration {
    let look = if ear.is_live() { LOOK } else { LOOK_UNHEARD };
    left.min(look).min(due.unwrap_or(look))
}
