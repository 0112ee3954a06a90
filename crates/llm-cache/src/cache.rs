//! The cache of one namespace.

use std::sync::Arc;

use hexmem_ports::{
    CacheCounts, CacheKey, CacheStats, CacheStore, CacheStoreExt as _, CacheTags, Clock, Cursor,
    Digest, Effectiveness, Freshness, Invalidate, Limit, Lookup, Name, NamespaceId, PutOutcome,
    Result, StatsRoom, TagRef, TagStats, Ticket,
};

use crate::answer::{Answer, Cached};
use crate::call::Call;
use crate::envelope::{self, Kept};
use crate::errand::{fingerprint, saved};
use crate::flights::Flights;
use crate::policy::Policy;
use crate::question::Question;
use crate::semantic::{BudgetState, SemanticHit, SemanticTier, Verdict};
use crate::tallies::Tallies;

/// Cached answers of one namespace. Cheap to clone; clones share what is being computed, what is counted, and the
/// local tier.
#[derive(Clone)]
pub struct LlmCache {
    pub(crate) store: Arc<dyn CacheStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) namespace: NamespaceId,
    pub(crate) policy: Arc<Policy>,
    pub(crate) flights: Flights,
    pub(crate) tallies: Tallies,
    pub(crate) semantic: Option<Arc<SemanticTier>>,
    #[cfg(feature = "moka")]
    pub(crate) local: Option<crate::LocalTier>,
}

impl std::fmt::Debug for LlmCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LlmCache")
            .field("namespace", &self.namespace)
            .field("policy", &self.policy)
            .field("semantic", &self.semantic)
            .finish_non_exhaustive()
    }
}

impl LlmCache {
    /// The cache of `namespace` in `store`. `clock` is what callers wait by; the store stamps by its own.
    ///
    /// # Errors
    /// `Invalid` for a policy outside its ranges.
    pub fn new(
        store: Arc<dyn CacheStore>,
        clock: Arc<dyn Clock>,
        namespace: NamespaceId,
        policy: Policy,
    ) -> Result<Self> {
        policy.check()?;
        Ok(Self {
            store,
            clock,
            namespace,
            policy: Arc::new(policy),
            flights: Flights::default(),
            tallies: Tallies::default(),
            semantic: None,
            #[cfg(feature = "moka")]
            local: None,
        })
    }

    /// With answers to similar questions.
    #[must_use]
    pub fn with_semantic(mut self, tier: SemanticTier) -> Self {
        self.semantic = Some(Arc::new(tier));
        self
    }

    /// With copies in this process. A tier belongs to one cache and its clones.
    #[cfg(feature = "moka")]
    #[must_use]
    pub fn with_local(mut self, tier: crate::LocalTier) -> Self {
        self.local = Some(tier);
        self
    }

    /// The namespace.
    pub fn namespace(&self) -> &NamespaceId {
        &self.namespace
    }

    /// Where the answer to a question is kept.
    ///
    /// # Errors
    /// `Invalid` where the question holds no JSON that stores accept.
    pub fn key(&self, question: &Question) -> Result<CacheKey> {
        self.key_of(question, &Call::new())
    }

    /// Where the answer to a call is kept: that of one of several samples, where the call names one.
    ///
    /// # Errors
    /// As [`LlmCache::key`].
    pub fn key_of(&self, question: &Question, call: &Call) -> Result<CacheKey> {
        let fingerprint = fingerprint(question, &self.namespace.tenant, call)?;
        Ok(CacheKey { namespace: self.namespace.clone(), fingerprint })
    }

    /// The answer to this very question, if there is one, fresh or stale. Counts a hit or a miss.
    pub async fn get(&self, question: &Question) -> Result<Option<Cached>> {
        let print = question.fingerprint(&self.namespace.tenant)?;
        let tags = CacheTags { model: Some(question.model.clone()), tags: Vec::new() };
        self.find(print, &tags).await
    }

    /// The answer under a fingerprint, if there is one, fresh or stale. Counts a hit or a miss of the namespace.
    pub async fn get_by_fingerprint(&self, fingerprint: Digest) -> Result<Option<Cached>> {
        self.find(fingerprint, &CacheTags::default()).await
    }

    async fn find(&self, print: Digest, tags: &CacheTags) -> Result<Option<Cached>> {
        let found = match self.copied(&print) {
            Some((answer, stored_at)) => Some(Cached { answer, stored_at, stale: false }),
            None => self.stored(print, tags).await?,
        };
        let counts = match &found {
            None => CacheCounts { misses: 1, ..CacheCounts::default() },
            Some(found) => {
                CacheCounts { hits: 1, stale_hits: u64::from(found.stale), ..saved(&found.answer) }
            }
        };
        self.count(tags, counts).await;
        Ok(found)
    }

    /// What the store has. A remembered failure is no answer.
    async fn stored(&self, print: Digest, tags: &CacheTags) -> Result<Option<Cached>> {
        let key = CacheKey { namespace: self.namespace.clone(), fingerprint: print };
        let seen = self.seen(&print);
        let Lookup::Hit(entry, _) = self.store.get(&key, tags).await? else { return Ok(None) };
        let Kept::Answer(answer) = envelope::read(entry.value, entry.meta) else {
            return Ok(None);
        };
        let (answer, stored_at) = (Arc::new(answer), entry.stored_at);
        let stale = entry.freshness == Freshness::Stale;
        self.copy(print, seen, &answer, stored_at, entry.fresh_for);
        Ok(Some(Cached { answer, stored_at, stale }))
    }

    /// Stores an answer that is known to be right as of now. What takes time to compute belongs into
    /// [`LlmCache::get_or_compute`], or between [`LlmCache::ticket`] and [`LlmCache::put_since`].
    pub async fn put(
        &self,
        question: &Question,
        call: impl Into<Call>,
        answer: Answer,
    ) -> Result<PutOutcome> {
        let call = call.into();
        let ticket = self.ticket(question, call.clone()).await?;
        self.put_since(question, call, ticket, answer).await
    }

    /// The state of everything that an answer depends on, to be taken before it is computed.
    pub async fn ticket(&self, question: &Question, call: impl Into<Call>) -> Result<Ticket> {
        let errand = self.errand(question, call.into())?;
        match self.store.get(&errand.key, &errand.tags).await? {
            Lookup::Hit(_, ticket) | Lookup::Miss(ticket) => Ok(ticket),
        }
    }

    /// Stores an answer computed since `ticket`, under the tags of the ticket; `Outdated` where something it
    /// depends on was invalidated since then.
    pub async fn put_since(
        &self,
        question: &Question,
        call: impl Into<Call>,
        ticket: Ticket,
        answer: Answer,
    ) -> Result<PutOutcome> {
        let errand = self.errand(question, call.into())?;
        let put = self.put_of(&errand, ticket, &answer)?;
        let outcome = self.store.put(&errand.key, put).await?;
        self.changed(&errand.key.fingerprint);
        if outcome == PutOutcome::Stored {
            self.count(&errand.tags, CacheCounts { stored: 1, ..CacheCounts::default() }).await;
        }
        Ok(outcome)
    }

    /// Ends the answer to a question, and one that is being computed. How many ended, where the store knows.
    pub async fn invalidate(&self, question: &Question) -> Result<Option<u64>> {
        self.invalidate_fingerprint(question.fingerprint(&self.namespace.tenant)?).await
    }

    /// Ends the answer under a fingerprint, and one that is being computed.
    pub async fn invalidate_fingerprint(&self, fingerprint: Digest) -> Result<Option<u64>> {
        let ended = self.store.invalidate(&self.namespace, Invalidate::Key(fingerprint)).await;
        // Also where it failed: its outcome may be unknown.
        self.changed(&fingerprint);
        ended
    }

    /// Ends all answers with a tag.
    pub async fn invalidate_tag(&self, tag: Name) -> Result<Option<u64>> {
        self.end(TagRef::Tag(tag)).await
    }

    /// Ends all answers of a model.
    pub async fn invalidate_model(&self, model: Name) -> Result<Option<u64>> {
        self.end(TagRef::Model(model)).await
    }

    /// Ends all answers of the namespace.
    pub async fn invalidate_all(&self) -> Result<Option<u64>> {
        self.end(TagRef::Namespace).await
    }

    async fn end(&self, tag: TagRef) -> Result<Option<u64>> {
        let ended = self.store.invalidate(&self.namespace, Invalidate::Tag(tag)).await;
        #[cfg(feature = "moka")]
        if let Some(local) = &self.local {
            local.end_all();
        }
        ended
    }

    /// Tells that a semantic answer was right or wrong: the threshold of all who share the evidence follows. Counts
    /// a wrong one as a false hit.
    ///
    /// # Errors
    /// `Unsupported` without a semantic tier; those of its store.
    pub async fn report(&self, hit: &SemanticHit, verdict: Verdict) -> Result<()> {
        self.tier()?.learn(&self.namespace, hit.similarity, verdict).await?;
        if verdict == Verdict::Wrong {
            let counts = CacheCounts { false_hits: 1, ..CacheCounts::default() };
            self.count(&CacheTags::default(), counts).await;
        }
        Ok(())
    }

    /// The false-hit budget as it stands.
    ///
    /// # Errors
    /// As [`LlmCache::report`].
    pub async fn budget(&self) -> Result<BudgetState> {
        self.tier()?.budget(&self.namespace).await
    }

    /// Forgets questions of the semantic tier whose answers ended, a page at a time. Never needed for
    /// correctness: those that are met are forgotten anyway. How many, and where the next page starts.
    ///
    /// # Errors
    /// As [`LlmCache::report`].
    pub async fn sweep_semantic(
        &self,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<(u64, Option<Cursor>)> {
        self.tier()?.tidy(self.store.as_ref(), &self.namespace, cursor, limit).await
    }

    fn tier(&self) -> Result<&SemanticTier> {
        self.semantic.as_deref().ok_or_else(|| {
            hexmem_ports::Error::new(
                hexmem_ports::ErrorKind::Unsupported,
                "llm_cache.semantic",
                "this cache has no semantic tier; add one with with_semantic",
            )
        })
    }

    /// What was counted, entries and bytes. Writes out first what this cache counted aside.
    pub async fn stats(&self) -> Result<CacheStats> {
        self.flush().await?;
        self.store.stats(&self.namespace).await
    }

    /// The same by model or by tag: of each that was counted, those without counts of their own together last.
    pub async fn stats_by(&self, room: StatsRoom) -> Result<Vec<TagStats>> {
        self.flush().await?;
        self.store.breakdown(&self.namespace, room).await
    }

    /// Writes out what was counted aside: at most a thousand calls. Call it before the process ends.
    pub async fn flush(&self) -> Result<()> {
        let counts = self.tallies.take();
        if counts.is_empty() {
            return Ok(());
        }
        let written = self.store.count(&self.namespace, counts.clone()).await;
        if let Err(error) = &written
            // An outcome that is not known is not repeated: too few is better than twice.
            && error.effectiveness() == Effectiveness::NotApplied
        {
            self.tallies.put_back(&counts);
        }
        written
    }

    /// Frees at most `limit` answers, of any namespace, that can never be served again.
    pub async fn sweep(&self, limit: Limit) -> Result<u64> {
        self.store.sweep(limit).await
    }
}
