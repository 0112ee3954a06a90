//! Find or compute, once at a time.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, Either, FutureExt as _, select};
use hexmem_ports::{
    CacheEntry, CacheKey, CacheTags, Error, ErrorKind, Flight, Freshness, Lookup, Name, PutOutcome,
    Tally, Ticket,
};

use crate::answer::{Answer, CacheError, Kept, Origin, Served};
use crate::cache::LlmCache;
use crate::flights::{Leader, LeaseGuard, Part, flight_of};
use crate::policy::{OnOutage, poll_wait};
use crate::question::Question;

type BoxError = Box<dyn StdError + Send + Sync>;
type Compute<'a> = Box<dyn FnOnce() -> BoxFuture<'a, Result<Answer, BoxError>> + Send + 'a>;
type Outcome = Result<(Arc<Answer>, Origin), CacheError>;

/// A stale answer being computed anew. Does nothing until awaited; dropped, another caller may do it.
#[must_use = "await it or spawn it: nothing is computed otherwise"]
pub struct Refresh<'a>(BoxFuture<'a, Result<Refreshed, CacheError>>);

/// What a refresh did.
#[derive(Debug, Clone)]
pub enum Refreshed {
    /// A new answer, and where it comes from.
    Answer(Arc<Answer>, Origin),
    /// Another process computes it already.
    Elsewhere,
}

impl Future for Refresh<'_> {
    type Output = Result<Refreshed, CacheError>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Refresh<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refresh")
    }
}

/// One question on its way.
struct Errand {
    key: CacheKey,
    tags: CacheTags,
}

/// What a leader does while another process computes the same.
#[derive(Clone, Copy, PartialEq)]
enum Patience {
    Wait,
    GiveWay,
}

/// What a leader found before it computed.
enum Turn {
    Compute(Ticket, Option<LeaseGuard>),
    Found(CacheEntry),
    Elsewhere,
}

impl LlmCache {
    /// The answer from the cache, or from `compute`, which then runs once for all who ask at the same time, in
    /// this process and in others.
    ///
    /// - Who asked after an invalidation never gets an answer whose computation began before it.
    /// - A failed computation is not kept: those of this process who waited get the same failure, others compute.
    /// - A leader that is dropped or crashes is replaced: at once in this process, after at most
    ///   [`Policy::flight`](crate::Policy::flight) in others.
    /// - A stale answer comes at once, with a [`Refresh`] for one caller.
    /// - While the store does not answer, each call computes for itself (nobody can know what was invalidated), as
    ///   [`OnOutage`](crate::OnOutage) says.
    ///
    /// # Errors
    /// [`CacheError::Computation`] with the error of `compute`; [`CacheError::Store`] for an argument that can
    /// never be accepted, or with [`OnOutage::Fail`](crate::OnOutage::Fail).
    pub async fn get_or_compute<'a, F, Fut, E>(
        &self,
        question: &Question,
        tags: &[Name],
        compute: F,
    ) -> Result<Served<'a>, CacheError>
    where
        F: FnOnce() -> Fut + Send + 'a,
        Fut: Future<Output = Result<Answer, E>> + Send + 'a,
        E: Into<BoxError>,
    {
        let compute: Compute<'a> = Box::new(move || {
            let answer = compute();
            async move { answer.await.map_err(Into::into) }.boxed()
        });
        let errand = Errand { key: self.key(question)?, tags: Self::tags(question, tags) };
        let served = |(answer, origin)| Served { answer, origin, refresh: None };
        match self.store.get(&errand.key, &errand.tags, Tally::Count).await {
            Ok(Lookup::Hit(entry, _)) if entry.freshness == Freshness::Fresh => {
                Ok(served(found(entry)))
            }
            Ok(Lookup::Hit(entry, ticket)) => {
                let (answer, origin) = found(entry);
                Ok(Served { answer, origin, refresh: self.refresh(errand, ticket, compute) })
            }
            Ok(Lookup::Miss(ticket)) => self.fly(&errand, ticket, compute).await.map(served),
            Err(error) => self.without_store(error, compute).await.map(served),
        }
    }

    /// Offers the refresh to one caller at a time.
    fn refresh<'a>(
        &self,
        errand: Errand,
        ticket: Ticket,
        compute: Compute<'a>,
    ) -> Option<Refresh<'a>> {
        let now = self.clock.now();
        let until = now.plus(self.policy.flight.get());
        let flight = flight_of(&errand.key, &ticket);
        let claim = self.flights.claim_refresh(flight, now, until)?;
        let cache = self.clone();
        Some(Refresh(
            async move {
                let _claim = claim;
                let Part::Leader(leader) = cache.flights.join(flight) else {
                    return Ok(Refreshed::Elsewhere);
                };
                match cache.lead(&errand, ticket, compute, Patience::GiveWay).await {
                    Some(outcome) => {
                        land(leader, &outcome);
                        outcome.map(|(answer, origin)| Refreshed::Answer(answer, origin))
                    }
                    None => Ok(Refreshed::Elsewhere),
                }
            }
            .boxed(),
        ))
    }

    /// Joins those of this process who ask the same, or leads them.
    async fn fly(&self, errand: &Errand, ticket: Ticket, compute: Compute<'_>) -> Outcome {
        let flight = flight_of(&errand.key, &ticket);
        loop {
            match self.flights.join(flight) {
                Part::Leader(leader) => {
                    let outcome = self.lead(errand, ticket, compute, Patience::Wait).await;
                    let outcome = outcome.unwrap_or_else(|| {
                        let what = "a caller that waits did not";
                        Err(Error::new(ErrorKind::Internal, "llm_cache.compute", what).into())
                    });
                    land(leader, &outcome);
                    return outcome;
                }
                Part::Passenger(id, seat) => {
                    // A leader that nobody polls any more must not hold others for ever.
                    let limit = self.clock.sleep(self.policy.flight.get());
                    match select(seat, limit).await {
                        Either::Left((Ok(landing), _)) => {
                            return landing.map(|answer| (answer, Origin::Shared));
                        }
                        Either::Left((Err(_dropped), _)) => {}
                        Either::Right(((), _)) => self.flights.give_up(&flight, id),
                    }
                }
            }
        }
    }

    /// Computes, alone among processes. `None` where another does and this one does not wait.
    async fn lead(
        &self,
        errand: &Errand,
        ticket: Ticket,
        compute: Compute<'_>,
        patience: Patience,
    ) -> Option<Outcome> {
        let (ticket, lease) = match self.turn(errand, ticket, patience).await {
            Ok(Turn::Compute(ticket, lease)) => (ticket, lease),
            Ok(Turn::Found(entry)) => return Some(Ok(found(entry))),
            Ok(Turn::Elsewhere) => return None,
            Err(error) => return Some(self.without_store(error, compute).await),
        };
        let outcome = match compute().await {
            Ok(answer) => {
                let put = self.request(&errand.key, ticket, &answer);
                let kept = match self.store.put(&errand.key, put).await {
                    Ok(PutOutcome::Stored) => Kept::Stored,
                    Ok(PutOutcome::Outdated) => Kept::Outdated,
                    // The answer is worth more than its place in the cache.
                    Err(error) => Kept::Not(Arc::new(error)),
                };
                Ok((Arc::new(answer), Origin::Computed(kept)))
            }
            Err(error) => Err(CacheError::Computation(error.into())),
        };
        self.give_back(&errand.key, lease).await;
        Some(outcome)
    }

    /// Waits for the right to compute, or for the answer of another process.
    async fn turn(
        &self,
        errand: &Errand,
        mut ticket: Ticket,
        patience: Patience,
    ) -> hexmem_ports::Result<Turn> {
        if let Some(lease) = self.flights.take_abandoned(&errand.key) {
            // Fails at worst because it ran out.
            let _ = self.store.release(&errand.key, lease).await;
        }
        // Owners may crash one after the other; after two whole flights this call computes in any case.
        let patience_ends = self.clock.now().plus(self.policy.flight.get().saturating_mul(2));
        for look in 0.. {
            let lease = match self.store.begin(&errand.key, self.policy.flight).await? {
                Flight::Leader(lease) => Some(self.flights.watch(&errand.key, lease)),
                Flight::Follower(_) if patience == Patience::GiveWay => return Ok(Turn::Elsewhere),
                Flight::Follower(left) => {
                    let least = Duration::from_micros(1);
                    let wait = poll_wait(self.policy.poll, look, left).max(least);
                    self.clock.sleep(wait).await;
                    None
                }
            };
            // As the leader too: an answer may have come between the lookup and the lease.
            match self.store.get(&errand.key, &errand.tags, Tally::Silent).await? {
                Lookup::Hit(entry, _) if entry.freshness == Freshness::Fresh => {
                    self.give_back(&errand.key, lease).await;
                    return Ok(Turn::Found(entry));
                }
                Lookup::Hit(_, newer) | Lookup::Miss(newer) => ticket = newer,
            }
            if lease.is_some() || self.clock.now() >= patience_ends {
                return Ok(Turn::Compute(ticket, lease));
            }
        }
        Ok(Turn::Compute(ticket, None))
    }

    async fn give_back(&self, key: &CacheKey, lease: Option<LeaseGuard>) {
        if let Some(lease) = lease.and_then(LeaseGuard::disarm) {
            // At worst it runs out by itself.
            let _ = self.store.release(key, lease).await;
        }
    }

    /// While the store does not answer: computes without keeping the answer.
    async fn without_store(&self, error: Error, compute: Compute<'_>) -> Outcome {
        let outage = matches!(
            error.kind(),
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::RateLimited
        );
        if !outage || self.policy.on_outage == OnOutage::Fail {
            return Err(error.into());
        }
        let answer = compute().await.map_err(|error| CacheError::Computation(error.into()))?;
        Ok((Arc::new(answer), Origin::Computed(Kept::Not(Arc::new(error)))))
    }
}

fn found(entry: CacheEntry) -> (Arc<Answer>, Origin) {
    let origin = match entry.freshness {
        Freshness::Fresh => Origin::Fresh(entry.stored_at),
        Freshness::Stale => Origin::Stale(entry.stored_at),
    };
    (Arc::new(Answer { value: entry.value, meta: entry.meta }), origin)
}

/// Ends a flight with its outcome. All who share it had equal tickets, so that no invalidation lies between
/// their lookups and the computation, whether or not the store could keep the answer.
fn land(leader: Leader, outcome: &Outcome) {
    leader.land(outcome.as_ref().map(|(answer, _)| Arc::clone(answer)).map_err(Clone::clone));
}
