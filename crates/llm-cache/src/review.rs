//! Comparing answers of the semantic tier with computed ones.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt as _};
use hexmem_ports::{CacheCounts, Digest, Ticket};

use crate::answer::{Answer, CacheError};
use crate::cache::LlmCache;
use crate::compute::Compute;
use crate::errand::Errand;
use crate::semantic::{Candidate, Judge, SemanticHit, SemanticTier, Verdict};

/// An answer of the semantic tier being judged. Does nothing until awaited; dropped, nothing is learnt.
#[must_use = "await it or spawn it: nothing is learnt otherwise"]
pub struct Review<'a>(BoxFuture<'a, Result<Reviewed, CacheError>>);

/// What a review found.
#[derive(Debug, Clone)]
pub struct Reviewed {
    /// The similar question's answer that was judged.
    pub hit: SemanticHit,
    /// The verdict; `None` where the judge could not say.
    pub verdict: Option<Verdict>,
    /// The answer to the question itself.
    pub computed: Arc<Answer>,
}

impl Future for Review<'_> {
    type Output = Result<Reviewed, CacheError>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Review<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Review")
    }
}

/// Whether a served answer is reviewed: a share of `percent`, decided by question and moment, so that each process
/// decides alike and no question escapes for ever.
fn drawn(errand: &Errand, ticket: &Ticket, percent: u8) -> bool {
    let moment = ticket.issued_at.as_micros().to_be_bytes();
    let digest = Digest::of_parts([&errand.key.fingerprint.0[..], b"review", &moment]);
    let random = u32::from_be_bytes([digest.0[0], digest.0[1], digest.0[2], digest.0[3]]);
    u64::from(random) * 100 < u64::from(percent) << 32
}

impl LlmCache {
    fn judge(&self) -> Option<(Arc<SemanticTier>, Arc<dyn Judge>)> {
        let tier = self.semantic.as_ref()?;
        Some((Arc::clone(tier), Arc::clone(tier.judge()?)))
    }

    /// For some of the answers that were served: computes the question's own, keeps it and compares.
    pub(crate) fn review_served<'a>(
        &self,
        errand: &Arc<Errand>,
        hit: &SemanticHit,
        found: &Arc<Answer>,
        ticket: Ticket,
        compute: Compute<'a>,
    ) -> Option<Review<'a>> {
        let (tier, judge) = self.judge()?;
        if !drawn(errand, &ticket, tier.policy().review_percent) {
            return None;
        }
        let (cache, errand, hit) = (self.clone(), Arc::clone(errand), hit.clone());
        let found = Arc::clone(found);
        Some(Review(
            async move {
                let (computed, _) = cache.compute_and_keep(&errand, ticket, compute).await?;
                cache.weigh(&errand, &*judge, hit, &found, computed).await
            }
            .boxed(),
        ))
    }

    /// For an answer that was computed though a similar question has one: compares, and counts what shadow mode
    /// would have served.
    pub(crate) async fn review_computed<'a>(
        &self,
        errand: &Arc<Errand>,
        candidate: Option<&Candidate>,
        computed: &Arc<Answer>,
    ) -> Option<Review<'a>> {
        let candidate = candidate?;
        if candidate.near {
            let counts = CacheCounts { shadow_hits: 1, ..CacheCounts::default() };
            self.count(&errand.tags, counts).await;
        }
        let (_, judge) = self.judge()?;
        let (cache, errand) = (self.clone(), Arc::clone(errand));
        let (hit, found) = (candidate.hit.clone(), Arc::clone(&candidate.answer));
        let computed = Arc::clone(computed);
        Some(Review(
            async move { cache.weigh(&errand, &*judge, hit, &found, computed).await }.boxed(),
        ))
    }

    async fn weigh(
        &self,
        errand: &Errand,
        judge: &dyn Judge,
        hit: SemanticHit,
        found: &Answer,
        computed: Arc<Answer>,
    ) -> Result<Reviewed, CacheError> {
        let asked = errand.similarly.as_ref().map_or("", |asked| asked.text.as_str());
        let verdict = judge.judge(asked, found, &computed).await;
        let verdict = verdict.map_err(|error| CacheError::Computation(error.into()))?;
        if let Some(verdict) = verdict {
            self.report(&hit, verdict).await?;
        }
        Ok(Reviewed { hit, verdict, computed })
    }
}
