//! The cache of one namespace.

use std::sync::Arc;

use hexmem_ports::{
    CacheKey, CachePut, CacheStats, CacheStore, CacheTags, Clock, Digest, Freshness, Invalidate,
    Limit, Lookup, Name, NamespaceId, PutOutcome, Result, TagRef, Tally, Ticket,
};

use crate::answer::{Answer, Cached};
use crate::flights::Flights;
use crate::policy::{Policy, jittered};
use crate::question::Question;

/// Cached answers of one namespace. Cheap to clone; clones share what is being computed.
#[derive(Clone)]
pub struct LlmCache {
    pub(crate) store: Arc<dyn CacheStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) namespace: NamespaceId,
    pub(crate) policy: Arc<Policy>,
    pub(crate) flights: Flights,
}

impl std::fmt::Debug for LlmCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LlmCache")
            .field("namespace", &self.namespace)
            .field("policy", &self.policy)
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
        let policy = Arc::new(policy);
        Ok(Self { store, clock, namespace, policy, flights: Flights::default() })
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
        let fingerprint = question.fingerprint(&self.namespace.tenant)?;
        Ok(CacheKey { namespace: self.namespace.clone(), fingerprint })
    }

    pub(crate) fn tags(question: &Question, tags: &[Name]) -> CacheTags {
        CacheTags { model: Some(question.model.clone()), tags: tags.to_vec() }
    }

    /// The answer to a question, if there is one, fresh or stale. Counts a hit or a miss.
    pub async fn get(&self, question: &Question) -> Result<Option<Cached>> {
        self.get_by_fingerprint(question.fingerprint(&self.namespace.tenant)?).await
    }

    /// The answer under a fingerprint, if there is one, fresh or stale. Counts a hit or a miss.
    pub async fn get_by_fingerprint(&self, fingerprint: Digest) -> Result<Option<Cached>> {
        let key = CacheKey { namespace: self.namespace.clone(), fingerprint };
        match self.store.get(&key, &CacheTags::default(), Tally::Count).await? {
            Lookup::Miss(_) => Ok(None),
            Lookup::Hit(entry, _) => Ok(Some(Cached {
                answer: Answer { value: entry.value, meta: entry.meta },
                stored_at: entry.stored_at,
                stale: entry.freshness == Freshness::Stale,
            })),
        }
    }

    /// Stores an answer that is known to be right as of now. What takes time to compute belongs into
    /// [`LlmCache::get_or_compute`], or between [`LlmCache::ticket`] and [`LlmCache::put_since`].
    pub async fn put(
        &self,
        question: &Question,
        tags: &[Name],
        answer: Answer,
    ) -> Result<PutOutcome> {
        let ticket = self.ticket(question, tags).await?;
        self.put_since(question, ticket, answer).await
    }

    /// The state of everything that an answer depends on, to be taken before it is computed.
    pub async fn ticket(&self, question: &Question, tags: &[Name]) -> Result<Ticket> {
        let (key, tags) = (self.key(question)?, Self::tags(question, tags));
        match self.store.get(&key, &tags, Tally::Silent).await? {
            Lookup::Hit(_, ticket) | Lookup::Miss(ticket) => Ok(ticket),
        }
    }

    /// Stores an answer computed since `ticket`; `Outdated` where something it depends on was invalidated
    /// since then.
    pub async fn put_since(
        &self,
        question: &Question,
        ticket: Ticket,
        answer: Answer,
    ) -> Result<PutOutcome> {
        let key = self.key(question)?;
        self.store.put(&key, self.request(&key, ticket, &answer)).await
    }

    pub(crate) fn request(&self, key: &CacheKey, ticket: Ticket, answer: &Answer) -> CachePut {
        CachePut {
            value: answer.value.clone(),
            meta: answer.meta.clone(),
            ttl: jittered(self.policy.ttl, self.policy.jitter_percent, &key.fingerprint),
            stale: self.policy.stale,
            ticket,
        }
    }

    /// Ends the answer to a question, and one that is being computed. How many ended, where the store knows.
    pub async fn invalidate(&self, question: &Question) -> Result<Option<u64>> {
        self.invalidate_fingerprint(question.fingerprint(&self.namespace.tenant)?).await
    }

    /// Ends the answer under a fingerprint, and one that is being computed.
    pub async fn invalidate_fingerprint(&self, fingerprint: Digest) -> Result<Option<u64>> {
        self.store.invalidate(&self.namespace, Invalidate::Key(fingerprint)).await
    }

    /// Ends all answers with a tag.
    pub async fn invalidate_tag(&self, tag: Name) -> Result<Option<u64>> {
        self.store.invalidate(&self.namespace, Invalidate::Tag(TagRef::Tag(tag))).await
    }

    /// Ends all answers of a model.
    pub async fn invalidate_model(&self, model: Name) -> Result<Option<u64>> {
        self.store.invalidate(&self.namespace, Invalidate::Tag(TagRef::Model(model))).await
    }

    /// Ends all answers of the namespace.
    pub async fn invalidate_all(&self) -> Result<Option<u64>> {
        self.store.invalidate(&self.namespace, Invalidate::Tag(TagRef::Namespace)).await
    }

    /// Hits, misses, entries and bytes. Writes out first what the store counted aside.
    pub async fn stats(&self) -> Result<CacheStats> {
        self.store.flush().await?;
        self.store.stats(&self.namespace).await
    }

    /// Writes out what the store counted aside. Call it before the process ends.
    pub async fn flush(&self) -> Result<()> {
        self.store.flush().await
    }

    /// Frees at most `limit` answers, of any namespace, that can never be served again.
    pub async fn sweep(&self, limit: Limit) -> Result<u64> {
        self.store.sweep(limit).await
    }
}
