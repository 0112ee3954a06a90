//! What the one does who computes for all.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use hexmem_ports::{
    CacheCounts, CacheEntry, CacheKey, CacheStoreExt as _, Error, ErrorKind, Flight, Freshness,
    Lookup, PutOutcome, Ticket,
};

use crate::answer::{Answer, CacheError, Kept, Origin};
use crate::cache::LlmCache;
use crate::compute::{Compute, Outcome};
use crate::envelope;
use crate::errand::Errand;
use crate::flights::LeaseGuard;
use crate::policy::{OnOutage, poll_wait};
use crate::review::Review;
use crate::semantic::{Candidate, Look};

/// What a leader does while another process computes the same.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Patience {
    Wait,
    GiveWay,
}

/// What a leader found before it computed.
pub(crate) enum Turn {
    Compute(Ticket, Option<LeaseGuard>),
    Found(CacheEntry),
    Elsewhere,
}

/// What a leader brings.
pub(crate) struct Led<'a> {
    pub(crate) outcome: Outcome,
    pub(crate) review: Option<Review<'a>>,
    pub(crate) semantic_failure: Option<Arc<Error>>,
}

/// What the semantic tier had to say.
pub(crate) struct Similar {
    pub(crate) look: Option<Look>,
    pub(crate) failure: Option<Arc<Error>>,
}

impl Similar {
    pub(crate) fn candidate(&self) -> Option<&Candidate> {
        self.look.as_ref().and_then(|look| look.candidate.as_ref())
    }
}

impl LlmCache {
    /// Asks the semantic tier. It never fails a call.
    pub(crate) async fn similar(&self, errand: &Errand) -> Similar {
        let (Some(tier), Some(asked)) = (&self.semantic, &errand.similarly) else {
            return Similar { look: None, failure: None };
        };
        match tier.look(self.store.as_ref(), &self.namespace, asked).await {
            Ok(look) => Similar { look: Some(look), failure: None },
            Err(error) => Similar { look: None, failure: Some(Arc::new(error)) },
        }
    }

    /// What of it is served.
    pub(crate) fn served_similar(&self, similar: &Similar) -> Option<Candidate> {
        let serves = self.semantic.as_ref().is_some_and(|tier| tier.serves());
        similar.candidate().filter(|candidate| serves && candidate.near).cloned()
    }

    /// Keeps the question of a stored answer; a failure is told.
    pub(crate) async fn keep_similar(
        &self,
        errand: &Errand,
        mut similar: Similar,
    ) -> Option<Arc<Error>> {
        if let (Some(tier), Some(asked), Some(look)) =
            (&self.semantic, &errand.similarly, similar.look.take())
            && let Err(error) = tier.keep(&errand.key, asked, look.vector).await
        {
            return Some(Arc::new(error));
        }
        similar.failure
    }

    /// Serves a similar question's answer, or computes, alone among processes.
    pub(crate) async fn lead<'a>(
        &self,
        errand: &Arc<Errand>,
        ticket: Ticket,
        compute: Compute<'a>,
    ) -> Led<'a> {
        let similar = self.similar(errand).await;
        if let Some(Candidate { hit, answer, .. }) = self.served_similar(&similar) {
            let origin = Origin::Semantic(hit.clone());
            self.count_given(errand, &answer, &origin).await;
            let review = self.review_served(errand, &hit, &answer, ticket, compute);
            return Led { outcome: Ok((answer, origin)), review, semantic_failure: None };
        }
        let outcome = self.lead_exactly(errand, ticket, compute, Patience::Wait).await;
        let outcome = outcome.unwrap_or_else(|| Err(impatient()));
        let Ok((answer, Origin::Computed(kept))) = &outcome else {
            return Led { outcome, review: None, semantic_failure: similar.failure };
        };
        let review = self.review_computed(errand, similar.candidate(), answer).await;
        let semantic_failure = match kept {
            Kept::Stored => self.keep_similar(errand, similar).await,
            _ => similar.failure,
        };
        Led { outcome, review, semantic_failure }
    }

    /// Computes, alone among processes. `None` where another does and this one does not wait.
    pub(crate) async fn lead_exactly(
        &self,
        errand: &Errand,
        ticket: Ticket,
        compute: Compute<'_>,
        patience: Patience,
    ) -> Option<Outcome> {
        let (ticket, lease) = match self.turn(errand, ticket, patience).await {
            Ok(Turn::Compute(ticket, lease)) => (ticket, lease),
            Ok(Turn::Found(entry)) => {
                let outcome = found(entry);
                if patience == Patience::Wait
                    && let Ok((answer, _)) = &outcome
                {
                    self.count_given(errand, answer, &Origin::Shared).await;
                }
                return Some(outcome);
            }
            Ok(Turn::Elsewhere) => return None,
            Err(error) => {
                self.missed(errand).await;
                return Some(self.without_store(error, compute).await);
            }
        };
        if patience == Patience::Wait {
            self.missed(errand).await;
        }
        let outcome = self.compute_and_keep(errand, ticket, compute).await;
        self.give_back(&errand.key, lease).await;
        Some(outcome)
    }

    /// Computes and stores.
    pub(crate) async fn compute_and_keep(
        &self,
        errand: &Errand,
        ticket: Ticket,
        compute: Compute<'_>,
    ) -> Outcome {
        match compute().await {
            Ok(answer) => {
                let kept = self.keep(errand, ticket, &answer).await;
                Ok((Arc::new(answer), Origin::Computed(kept)))
            }
            Err(error) => {
                self.keep_failure(errand, ticket, error.as_ref()).await;
                Err(CacheError::Computation(error.into()))
            }
        }
    }

    /// Stores an answer, as the policy says.
    pub(crate) async fn keep(&self, errand: &Errand, ticket: Ticket, answer: &Answer) -> Kept {
        if let Some(skip) = self.policy.refuses(answer) {
            return Kept::Skipped(skip);
        }
        let done = match self.put_of(errand, ticket, answer) {
            Ok(put) => self.store.put(&errand.key, put).await,
            Err(error) => Err(error),
        };
        self.changed(&errand.key.fingerprint);
        match done {
            Ok(PutOutcome::Stored) => {
                self.count(&errand.tags, CacheCounts { stored: 1, ..CacheCounts::default() }).await;
                Kept::Stored
            }
            Ok(PutOutcome::Outdated) => Kept::Outdated,
            // The answer is worth more than its place in the cache.
            Err(error) => Kept::Not(Arc::new(error)),
        }
    }

    /// Remembers a failure, where the caller asked for it.
    pub(crate) async fn keep_failure(
        &self,
        errand: &Errand,
        ticket: Ticket,
        error: &(dyn StdError + Send + Sync + 'static),
    ) {
        let Some(ttl) = errand.call.failure_ttl(error) else { return };
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        if let Ok(put) = self.put_of_failure(errand, ticket, &text, ttl) {
            // At worst the next one fails by itself.
            let _ = self.store.put(&errand.key, put).await;
            self.changed(&errand.key.fingerprint);
        }
    }

    /// Waits for the right to compute, or for the answer of another process.
    pub(crate) async fn turn(
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
            match self.store.get(&errand.key, &errand.tags).await? {
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

    pub(crate) async fn give_back(&self, key: &CacheKey, lease: Option<LeaseGuard>) {
        if let Some(lease) = lease.and_then(LeaseGuard::disarm) {
            // At worst it runs out by itself.
            let _ = self.store.release(key, lease).await;
        }
    }

    /// Whether calls are computed though the store failed; its error where they are not.
    pub(crate) fn outage(&self, error: Error) -> Result<Arc<Error>, CacheError> {
        let outage = matches!(
            error.kind(),
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::RateLimited
        );
        if !outage || self.policy.on_outage == OnOutage::Fail {
            return Err(error.into());
        }
        Ok(Arc::new(error))
    }

    /// While the store does not answer: computes without keeping the answer.
    pub(crate) async fn without_store(&self, error: Error, compute: Compute<'_>) -> Outcome {
        let error = self.outage(error)?;
        let answer = compute().await.map_err(|error| CacheError::Computation(error.into()))?;
        Ok((Arc::new(answer), Origin::Computed(Kept::Not(error))))
    }
}

/// What an entry says.
pub(crate) fn found(entry: CacheEntry) -> Outcome {
    let at = entry.stored_at;
    match envelope::read(entry.value, entry.meta) {
        envelope::Kept::Failure(message) => {
            Err(CacheError::Remembered { message: message.into(), at })
        }
        envelope::Kept::Answer(answer) => {
            let origin = match entry.freshness {
                Freshness::Fresh => Origin::Fresh(at),
                Freshness::Stale => Origin::Stale(at),
            };
            Ok((Arc::new(answer), origin))
        }
    }
}

/// A caller that waits cannot give way.
pub(crate) fn impatient() -> CacheError {
    Error::new(ErrorKind::Internal, "llm_cache.compute", "a caller that waits did not").into()
}
