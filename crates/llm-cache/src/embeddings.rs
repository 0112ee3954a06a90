//! Embeddings, computed once: an embedder before an embedder.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use hexmem_ports::{
    CACHE_BATCH_LIMIT, CachePut, CacheStore, CacheTags, Digest, EmbedMode, Embedder,
    EmbeddingSpace, Error, ErrorKind, Lookup, NamespaceId, PutOutcome, Result, Ticket, Ttl,
};
use serde_json::Value;

use crate::policy::jittered;

/// The version of what a fingerprint and a value are made of.
const FORM: &[u8] = b"embedding 1";

/// Keeps the vectors of another embedder in a cache: under the SHA-256 of its space, the mode and the text, with
/// the model as the tag. Of a batch only the texts that are not there are embedded, in one call, each once.
///
/// It is a cache: while its store fails it embeds everything and keeps nothing. Vectors come back bit for bit.
///
/// ```
/// use std::sync::Arc;
///
/// use hexmem_adapter_memory::{HashEmbedder, MemoryCache, SystemClock};
/// use hexmem_llm_cache::CachedEmbedder;
/// use hexmem_ports::{EmbedMode, Embedder, NamespaceId, Tenant, Ttl};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> hexmem_ports::Result<()> {
/// let store = Arc::new(MemoryCache::new(Arc::new(SystemClock)));
/// let namespace = NamespaceId::new(Tenant("acme".try_into()?), "embeddings".try_into()?);
/// let inner = Arc::new(HashEmbedder::new(64)?);
/// let embedder = CachedEmbedder::new(inner, store, namespace, Ttl::secs(30 * 86_400)?);
/// let texts = ["a lease ends".to_owned(), "a lease ends".to_owned()];
/// let vectors = embedder.embed(EmbedMode::Passage, &texts).await?;
/// assert_eq!(vectors[0], vectors[1]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CachedEmbedder {
    inner: Arc<dyn Embedder>,
    store: Arc<dyn CacheStore>,
    namespace: NamespaceId,
    ttl: Ttl,
    space: EmbeddingSpace,
}

impl std::fmt::Debug for CachedEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedEmbedder")
            .field("space", &self.space)
            .field("namespace", &self.namespace)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

impl CachedEmbedder {
    /// Keeps vectors in `namespace` for up to `ttl`, less up to a tenth of it, so that a corpus does not end at
    /// one moment.
    pub fn new(
        inner: Arc<dyn Embedder>,
        store: Arc<dyn CacheStore>,
        namespace: NamespaceId,
        ttl: Ttl,
    ) -> Self {
        let space = inner.space();
        Self { inner, store, namespace, ttl, space }
    }

    fn fingerprint(&self, mode: EmbedMode, text: &str) -> Digest {
        let space = &self.space;
        let mode: &[u8] = match mode {
            EmbedMode::Query => b"query",
            EmbedMode::Passage => b"passage",
        };
        Digest::of_parts([
            FORM,
            space.provider.as_str().as_bytes(),
            space.model.as_str().as_bytes(),
            &space.dimension.to_be_bytes(),
            &[u8::from(space.normalised)],
            space.preprocessing.as_bytes(),
            mode,
            text.as_bytes(),
        ])
    }

    fn tags(&self) -> CacheTags {
        CacheTags { model: Some(self.space.model.clone()), tags: Vec::new() }
    }

    /// Vectors that are there, and tickets for those that are not; nothing while the store fails.
    async fn found(
        &self,
        prints: &[Digest],
    ) -> HashMap<Digest, std::result::Result<Vec<f32>, Ticket>> {
        let mut known = HashMap::with_capacity(prints.len());
        for batch in prints.chunks(CACHE_BATCH_LIMIT) {
            let Ok(found) = self.store.get_many(&self.namespace, batch, &self.tags()).await else {
                continue;
            };
            for (print, found) in batch.iter().zip(found) {
                let vector = match found {
                    Lookup::Hit(entry, ticket) => self.read(&entry.value).ok_or(ticket),
                    Lookup::Miss(ticket) => Err(ticket),
                };
                known.insert(*print, vector);
            }
        }
        known
    }

    /// A vector as it was written; `None` for what is none of this space.
    fn read(&self, bytes: &[u8]) -> Option<Vec<f32>> {
        let (numbers, rest) = bytes.as_chunks::<4>();
        let whole = rest.is_empty() && u32::try_from(numbers.len()) == Ok(self.space.dimension);
        let numbers = || numbers.iter().map(|bytes| f32::from_le_bytes(*bytes));
        (whole && numbers().all(f32::is_finite)).then(|| numbers().collect())
    }

    async fn keep(&self, made: Vec<(Digest, &[f32], Ticket)>) -> Result<Vec<PutOutcome>> {
        let puts = made.into_iter().map(|(print, vector, ticket)| {
            let value = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            let ttl = jittered(self.ttl, 10, &print);
            (print, CachePut { value, meta: Value::Null, ttl, stale: None, ticket })
        });
        let mut puts: Vec<_> = puts.collect();
        let mut outcomes = Vec::with_capacity(puts.len());
        while !puts.is_empty() {
            let rest = puts.split_off(puts.len().min(CACHE_BATCH_LIMIT));
            outcomes.extend(self.store.put_many(&self.namespace, puts).await?);
            puts = rest;
        }
        Ok(outcomes)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Embedder for CachedEmbedder {
    fn space(&self) -> EmbeddingSpace {
        self.space.clone()
    }

    async fn embed(&self, mode: EmbedMode, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        let prints: Vec<Digest> = texts.iter().map(|text| self.fingerprint(mode, text)).collect();
        // Each text once, in the order given.
        let mut places: HashMap<Digest, usize> = HashMap::with_capacity(prints.len());
        let mut apart: Vec<Digest> = Vec::with_capacity(prints.len());
        for (place, print) in prints.iter().enumerate() {
            places.entry(*print).or_insert_with(|| {
                apart.push(*print);
                place
            });
        }
        let mut known = self.found(&apart).await;
        let missing: Vec<Digest> =
            apart.into_iter().filter(|print| !matches!(known.get(print), Some(Ok(_)))).collect();
        let asked: Vec<String> = missing
            .iter()
            .filter_map(|print| places.get(print).and_then(|place| texts.get(*place)).cloned())
            .collect();
        if !asked.is_empty() {
            let vectors = self.inner.embed(mode, &asked).await?;
            if vectors.len() != asked.len() {
                let what = format!("{} vectors for {} texts", vectors.len(), asked.len());
                return Err(Error::new(ErrorKind::Internal, "llm_cache.embed", what));
            }
            let made = missing.iter().zip(&vectors).filter_map(|(print, vector)| {
                let ticket = known.get(print)?.as_ref().err()?.clone();
                Some((*print, vector.as_slice(), ticket))
            });
            // The vectors are worth more than their place in the cache.
            let _ = self.keep(made.collect()).await;
            known.extend(missing.into_iter().zip(vectors.into_iter().map(Ok)));
        }
        let vectors = prints.iter().map(|print| known.get(print)?.as_ref().ok().cloned());
        vectors.collect::<Option<_>>().ok_or_else(|| {
            Error::new(ErrorKind::Internal, "llm_cache.embed", "a text was left without a vector")
        })
    }
}
