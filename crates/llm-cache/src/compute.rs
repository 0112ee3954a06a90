//! Find or compute, once at a time.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, Either, FutureExt as _, select};
use hexmem_ports::{CacheCounts, CacheStoreExt as _, Freshness, Lookup, Ticket};

use crate::answer::{Answer, CacheError, Kept, Origin, Served};
use crate::cache::LlmCache;
use crate::call::{Call, Mode};
use crate::errand::{Errand, saved};
use crate::flights::{Leader, Part, Seat, flight_of};
use crate::lead::{Led, Patience, found};
use crate::question::Question;

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;
pub(crate) type Compute<'a> =
    Box<dyn FnOnce() -> BoxFuture<'a, Result<Answer, BoxError>> + Send + 'a>;

/// An answer and where it comes from.
pub(crate) type Outcome = Result<(Arc<Answer>, Origin), CacheError>;

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

/// What the first look gave.
pub(crate) enum First {
    /// Served as it is.
    Fresh(Arc<Answer>, Origin),
    /// Served, and to be computed anew.
    Stale(Arc<Answer>, Origin, Ticket),
    /// To be computed.
    Miss(Ticket),
}

impl LlmCache {
    /// The answer from the cache, or from `compute`, which then runs once for all who ask at the same time, in
    /// this process and in others.
    ///
    /// - Who asked after an invalidation never gets an answer whose computation began before it.
    /// - A failed computation is not kept, unless [`Call::keep_failures`] says so: those of this process who waited
    ///   get the same failure, others compute.
    /// - A leader that is dropped or crashes is replaced: at once in this process, after at most
    ///   [`Policy::flight`](crate::Policy::flight) in others.
    /// - A stale answer comes at once, with a [`Refresh`] for one caller.
    /// - With a [`SemanticTier`](crate::SemanticTier) the answer to a similar question may do; a
    ///   [`Review`](crate::Review) then comes with some.
    /// - While the store does not answer, each call computes for itself (nobody can know what was invalidated), as
    ///   [`OnOutage`](crate::OnOutage) says. While the semantic tier does not, the call goes on without it.
    ///
    /// # Errors
    /// [`CacheError::Computation`] with the error of `compute`; [`CacheError::Remembered`] with that of an earlier
    /// one; [`CacheError::Store`] for an argument that can never be accepted, or with
    /// [`OnOutage::Fail`](crate::OnOutage::Fail).
    pub async fn get_or_compute<'a, F, Fut, E>(
        &self,
        question: &Question,
        call: impl Into<Call>,
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
        let errand = Arc::new(self.errand(question, call.into())?);
        self.serve(errand, compute).await
    }

    async fn serve<'a>(
        &self,
        errand: Arc<Errand>,
        compute: Compute<'a>,
    ) -> Result<Served<'a>, CacheError> {
        if let Some(skip) = errand.pass {
            let bypassed = CacheCounts { bypassed: 1, ..CacheCounts::default() };
            self.count(&errand.tags, bypassed).await;
            let answer = compute().await.map_err(|error| CacheError::Computation(error.into()))?;
            return Ok(served((Arc::new(answer), Origin::Computed(Kept::Skipped(skip)))));
        }
        let first = match self.first(&errand).await {
            Ok(first) => first?,
            Err(error) => {
                self.missed(&errand).await;
                return self.without_store(error, compute).await.map(served);
            }
        };
        match first {
            First::Fresh(answer, origin) => Ok(served((answer, origin))),
            First::Stale(answer, origin, ticket) => {
                let refresh = self.refresh(errand, ticket, compute);
                Ok(Served { refresh, ..served((answer, origin)) })
            }
            First::Miss(ticket) if errand.call.mode == Mode::Recompute => {
                self.missed(&errand).await;
                self.compute_and_keep(&errand, ticket, compute).await.map(served)
            }
            First::Miss(ticket) => self.fly(&errand, ticket, compute).await,
        }
    }

    /// Looks for the answer, and counts it where there is one.
    pub(crate) async fn first(
        &self,
        errand: &Errand,
    ) -> hexmem_ports::Result<Result<First, CacheError>> {
        let print = errand.key.fingerprint;
        let recompute = errand.call.mode == Mode::Recompute;
        if !recompute && let Some((answer, stored_at)) = self.copied(&print) {
            self.hit(errand, &answer, 0).await;
            return Ok(Ok(First::Fresh(answer, Origin::Fresh(stored_at))));
        }
        let seen = self.seen(&print);
        let (entry, ticket) = match self.store.get(&errand.key, &errand.tags).await? {
            Lookup::Hit(entry, ticket) if !recompute => (entry, ticket),
            Lookup::Hit(_, ticket) | Lookup::Miss(ticket) => return Ok(Ok(First::Miss(ticket))),
        };
        let (fresh_for, stored_at) = (entry.fresh_for, entry.stored_at);
        let stale = entry.freshness == Freshness::Stale;
        let (answer, origin) = match found(entry) {
            Ok(found) => found,
            Err(remembered) => {
                let counts = CacheCounts { hits: 1, ..CacheCounts::default() };
                self.count(&errand.tags, counts).await;
                return Ok(Err(remembered));
            }
        };
        self.hit(errand, &answer, u64::from(stale)).await;
        if stale {
            return Ok(Ok(First::Stale(answer, origin, ticket)));
        }
        self.copy(print, seen, &answer, stored_at, fresh_for);
        Ok(Ok(First::Fresh(answer, origin)))
    }

    async fn hit(&self, errand: &Errand, answer: &Answer, stale_hits: u64) {
        self.count(&errand.tags, CacheCounts { hits: 1, stale_hits, ..saved(answer) }).await;
    }

    pub(crate) async fn missed(&self, errand: &Errand) {
        self.count(&errand.tags, CacheCounts { misses: 1, ..CacheCounts::default() }).await;
    }

    /// Counts what a call that did not compute was given by another.
    pub(crate) async fn count_given(&self, errand: &Errand, answer: &Answer, origin: &Origin) {
        let saved = saved(answer);
        let counts = match origin {
            Origin::Semantic(_) => CacheCounts { semantic_hits: 1, ..saved },
            _ => CacheCounts { shared: 1, ..saved },
        };
        self.count(&errand.tags, counts).await;
    }

    /// Offers the refresh to one caller at a time.
    pub(crate) fn refresh<'a>(
        &self,
        errand: Arc<Errand>,
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
                match cache.lead_exactly(&errand, ticket, compute, Patience::GiveWay).await {
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
    async fn fly<'a>(
        &self,
        errand: &Arc<Errand>,
        ticket: Ticket,
        compute: Compute<'a>,
    ) -> Result<Served<'a>, CacheError> {
        match self.board(errand, &ticket).await? {
            Boarded::Given(answer, origin) => Ok(served((answer, origin))),
            Boarded::Leads(leader) => {
                let Led { outcome, review, semantic_failure } =
                    self.lead(errand, ticket, compute).await;
                land(leader, &outcome);
                let (answer, origin) = outcome?;
                Ok(Served { review, semantic_failure, ..served((answer, origin)) })
            }
        }
    }

    /// Waits for those of this process who ask the same, or becomes the one who computes.
    pub(crate) async fn board(
        &self,
        errand: &Errand,
        ticket: &Ticket,
    ) -> Result<Boarded, CacheError> {
        let flight = flight_of(&errand.key, ticket);
        loop {
            match self.flights.join(flight) {
                Part::Leader(leader) => return Ok(Boarded::Leads(leader)),
                Part::Passenger(id, seat) => match self.ride(seat).await {
                    Some(landing) => {
                        let (answer, similar) = landing?;
                        let origin = similar.map_or(Origin::Shared, Origin::Semantic);
                        self.count_given(errand, &answer, &origin).await;
                        return Ok(Boarded::Given(answer, origin));
                    }
                    None => self.flights.give_up(&flight, id),
                },
            }
        }
    }

    /// What the flight ends with; `None` when its leader was dropped, or holds others for too long.
    async fn ride(&self, seat: Seat) -> Option<crate::flights::Landing> {
        // A leader that nobody polls any more must not hold others for ever.
        let limit = self.clock.sleep(self.policy.flight.get());
        match select(seat, limit).await {
            Either::Left((landing, _)) => landing.ok(),
            Either::Right(((), _)) => None,
        }
    }
}

/// A caller's part once there is nobody to wait for.
pub(crate) enum Boarded {
    /// It got what another computed.
    Given(Arc<Answer>, Origin),
    /// It computes.
    Leads(Leader),
}

fn served<'a>((answer, origin): (Arc<Answer>, Origin)) -> Served<'a> {
    Served { answer, origin, refresh: None, review: None, semantic_failure: None }
}

/// Ends a flight with its outcome. All who share it had equal tickets, so that no invalidation lies between
/// their lookups and the computation, whether or not the store could keep the answer.
pub(crate) fn land(leader: Leader, outcome: &Outcome) {
    leader.land(match outcome {
        Ok((answer, Origin::Semantic(hit))) => Ok((Arc::clone(answer), Some(hit.clone()))),
        Ok((answer, _)) => Ok((Arc::clone(answer), None)),
        Err(error) => Err(error.clone()),
    });
}
