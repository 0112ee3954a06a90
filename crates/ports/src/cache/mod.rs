//! Cached answers with tags, tickets and single flight.

mod record;
mod stats;
mod tags;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Capabilities, Digest, Error, Limit, NamespaceId, Result, Timestamp, Ttl, check_bytes,
    check_json,
};

pub use record::{CacheBody, CacheRecord, EntryBody, next_cache_version};
pub use stats::{COUNTED_NAMES, CacheCounts, CacheStats, StatsRoom, TagStats, check_counts};
pub use tags::{CacheTags, TAG_LIMIT, TagRef};

/// The most keys of one call.
pub const CACHE_BATCH_LIMIT: usize = 1_000;

/// `Invalid` for more than [`CACHE_BATCH_LIMIT`] keys.
pub fn check_cache_batch(operation: &'static str, keys: usize) -> Result<()> {
    if keys > CACHE_BATCH_LIMIT {
        return Err(Error::invalid(
            operation,
            format!("a call has {keys} keys; the limit is {CACHE_BATCH_LIMIT}: make several calls"),
        ));
    }
    Ok(())
}

/// Where an answer is kept: the full fingerprint of the question, never truncated.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// The namespace; itself a tag.
    pub namespace: NamespaceId,
    /// SHA-256 of the canonical question.
    pub fingerprint: Digest,
}

impl CacheKey {
    /// SHA-256 of tenant, namespace and fingerprint: what unique indexes use.
    pub fn digest(&self) -> Digest {
        Digest::of_parts([
            self.namespace.tenant.as_str().as_bytes(),
            self.namespace.name.as_str().as_bytes(),
            &self.fingerprint.0,
        ])
    }
}

/// What a lookup returns and a put presents: the generation of each tag, and of the key, at the time of
/// the lookup. One that was invalidated in between has another generation, and the put is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// When the lookup was, by the store's clock, stamped before anything was read. A ticket of the age of
    /// [`REPLAY_WINDOW`](crate::REPLAY_WINDOW) is refused: a store forgets a key's invalidation then.
    pub issued_at: Timestamp,
    /// The generation of the key's last invalidation, if there was one within the window.
    pub key: Option<Uuid>,
    /// The random generation of each tag of the lookup. A store makes one where it has none.
    pub generations: Vec<(TagRef, Uuid)>,
}

/// A cached answer.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheEntry {
    /// The bytes as they were put.
    pub value: Vec<u8>,
    /// What the caller keeps beside it (tokens, cost, chunk boundaries). Any JSON.
    pub meta: Value,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// Whether it is still fresh, or within its stale time only.
    pub freshness: Freshness,
    /// Time left until it is stale; zero when it is.
    pub fresh_for: Duration,
    /// Time left until it is not served any more.
    pub remaining: Duration,
}

/// Fresh, or stale but still servable while it is computed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Freshness {
    /// Within its time to live.
    Fresh,
    /// Within its stale time: serve it and compute it anew. The ticket is for that put.
    Stale,
}

/// What a lookup found.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// An answer. The ticket serves to replace it, should it be stale.
    Hit(CacheEntry, Ticket),
    /// None; compute it and present the ticket.
    Miss(Ticket),
}

/// An answer to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct CachePut {
    /// At most [`BYTES_LIMIT`](crate::BYTES_LIMIT) bytes.
    pub value: Vec<u8>,
    /// Kept beside it.
    pub meta: Value,
    /// How long it is fresh.
    pub ttl: Ttl,
    /// How long beyond that it may be served stale.
    pub stale: Option<Ttl>,
    /// The ticket of the lookup that preceded the computation.
    pub ticket: Ticket,
}

impl CachePut {
    /// `Invalid` for a value or meta beyond its limits, and for a ticket of more generations than any
    /// lookup has.
    pub fn check(&self) -> Result<()> {
        check_bytes("cache.put", &self.value)?;
        check_json("cache.put", &self.meta)?;
        let most = TAG_LIMIT + 2;
        if self.ticket.generations.len() > most {
            return Err(Error::invalid(
                "cache.put",
                format!(
                    "a ticket of {} generations; a lookup gives at most {most}",
                    self.ticket.generations.len()
                ),
            ));
        }
        Ok(())
    }

    /// Until when an answer stored at `now` is fresh, and until when it is served.
    pub fn ends(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let fresh_until = now.plus(self.ttl.get());
        (fresh_until, self.stale.map_or(fresh_until, |stale| fresh_until.plus(stale.get())))
    }
}

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The answer is stored.
    Stored,
    /// One of its tags was invalidated since the lookup: nothing is stored.
    Outdated,
}

/// What to invalidate in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalidate {
    /// One answer; a computation in flight for it is refused too.
    Key(Digest),
    /// All that depends on a tag, a model or the namespace.
    Tag(TagRef),
}

/// The right to compute an answer, alone among processes: 128 random bits compared for equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FlightLease(pub Uuid);

/// The answer to the wish to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flight {
    /// Compute it; the right ends with the visibility asked for.
    Leader(FlightLease),
    /// Another computes it, at most this long.
    Follower(Duration),
}

/// Answers under fingerprints, with tags. An entry is served only while each generation it was stored
/// with is the current one; a missing generation is a mismatch.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CacheStore: Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Looks up answers, in their order; the tickets cover the tags of the lookup. A lookup counts nothing: what
    /// it means is known to who asked ([`CacheStore::count`]).
    ///
    /// # Behavior
    /// - `CACHE-GET-1`: returns bytes and meta as put, whatever they are (empty, NUL, a megabyte, null).
    /// - `CACHE-GET-2`: past the time to live it is stale within the stale time and a miss after it, at once; the time left of both is told.
    /// - `CACHE-GET-3`: another tenant or namespace sees nothing.
    /// - `CACHE-GET-4`: reading does not extend.
    /// - `CACHE-GET-5`: more than 32 tags, or more than [`CACHE_BATCH_LIMIT`] keys, are `Invalid`.
    /// - `CACHE-GET-6`: an entry stored under tags that the lookup does not name is still bound by them.
    /// - `CACHE-GET-7`: of many keys each has its answer in its place, one given twice in both; no keys give no answers.
    async fn get_many(
        &self,
        namespace: &NamespaceId,
        fingerprints: &[Digest],
        tags: &CacheTags,
    ) -> Result<Vec<Lookup>>;

    /// Stores each answer of which no tag was invalidated since its ticket was given. The tags of an
    /// answer are those of its ticket. Whether the ticket holds is
    /// [`ticket_holds`](crate::rules::ticket_holds), decided and written as one.
    ///
    /// # Behavior
    /// - `CACHE-PUT-1`: with a current ticket the answer is stored and served; a second put replaces it.
    /// - `CACHE-PUT-2`: after an invalidation of a tag, the model, the namespace or the key it is `Outdated` and nothing is stored or replaced.
    /// - `CACHE-PUT-3`: a ticket with forged or missing generations, or as old as the replay window, is `Outdated`.
    /// - `CACHE-PUT-4`: invalid meta or a value beyond the limit is `Invalid`, and nothing of the list is stored.
    /// - `CACHE-PUT-5`: of many the outdated do not stop the others; one key given twice keeps the last; more than [`CACHE_BATCH_LIMIT`] are `Invalid`.
    async fn put_many(
        &self,
        namespace: &NamespaceId,
        puts: Vec<(Digest, CachePut)>,
    ) -> Result<Vec<PutOutcome>>;

    /// Ends answers. Returns how many live entries ended, where the store knows (`exact_counts`).
    ///
    /// # Behavior
    /// - `CACHE-INV-1`: by key, by tag, by model, by namespace: what depends on it is a miss at once, everything else stays.
    /// - `CACHE-INV-2`: a value whose computation began before the invalidation is never served after it, also not with concurrent puts.
    /// - `CACHE-INV-3`: a tag that nothing has is no error; other tenants' equal tags are untouched.
    /// - `CACHE-INV-4`: (exact_counts) counts the live entries that ended.
    async fn invalidate(&self, namespace: &NamespaceId, target: Invalidate) -> Result<Option<u64>>;

    /// Asks for the right to compute an answer for at most `visibility`.
    ///
    /// # Behavior
    /// - `CACHE-FLIGHT-1`: of N concurrent askers exactly one leads; the others learn how long at most.
    /// - `CACHE-FLIGHT-2`: after release, or after the visibility ran out, another leads.
    async fn begin(&self, key: &CacheKey, visibility: Ttl) -> Result<Flight>;

    /// Gives the right back. `false` when the lease ran out or is not the current one: nothing changes.
    ///
    /// # Behavior
    /// - `CACHE-RELEASE-1`: a lease that was replaced, ran out or is of another key releases nothing; a repeat says `false`.
    async fn release(&self, key: &CacheKey, lease: FlightLease) -> Result<bool>;

    /// Adds what was counted: under the namespace, under models and under tags, as given. Callers add up first
    /// and call seldom. Counts end at the greatest i64. After a failure of unknown outcome do not repeat: too few
    /// is better than twice.
    ///
    /// # Behavior
    /// - `CACHE-COUNT-1`: counts of all handles and processes add up, exactly, each under its own name; other namespaces and tenants keep theirs.
    /// - `CACHE-COUNT-2`: of each room the first [`COUNTED_NAMES`] names have counts of their own; what is counted under others is added up under none.
    /// - `CACHE-COUNT-3`: more than 10,000 names, or a count beyond i64, is `Invalid` and counts nothing; no counts are no error.
    async fn count(
        &self,
        namespace: &NamespaceId,
        counts: Vec<(TagRef, CacheCounts)>,
    ) -> Result<()>;

    /// The statistics of a namespace.
    ///
    /// # Behavior
    /// - `CACHE-STATS-1`: a namespace that nobody used has zeros, and asking makes nothing.
    /// - `CACHE-STATS-2`: entries and bytes count what can be served in this namespace (exact where `exact_counts`).
    async fn stats(&self, namespace: &NamespaceId) -> Result<CacheStats>;

    /// The statistics of the models, or of the tags, of a namespace: of each that was ever counted, in bytewise
    /// order, then of those beyond [`COUNTED_NAMES`] together, where there are any.
    ///
    /// # Behavior
    /// - `CACHE-BREAK-1`: each counted name once, in order, with the entries and bytes that can be served of it (exact where `exact_counts`); the rest last, without a name.
    async fn breakdown(&self, namespace: &NamespaceId, room: StatsRoom) -> Result<Vec<TagStats>>;

    /// Frees the space of at most `limit` entries that can never be served again; returns how many. Never
    /// needed for correctness. What a store keeps beside the entries (forgotten invalidations, flights that
    /// ran out, generations that nothing uses) goes on the way and is not counted.
    ///
    /// # Behavior
    /// - `CACHE-SWEEP-1`: removes only expired and outdated entries, at most `limit`.
    async fn sweep(&self, limit: Limit) -> Result<u64>;
}

/// Sugar over [`CacheStore`].
#[async_trait]
pub trait CacheStoreExt {
    /// Looks up one answer.
    async fn get(&self, key: &CacheKey, tags: &CacheTags) -> Result<Lookup>;
    /// Stores one answer.
    async fn put(&self, key: &CacheKey, put: CachePut) -> Result<PutOutcome>;
}

#[async_trait]
impl<T: CacheStore + ?Sized> CacheStoreExt for T {
    async fn get(&self, key: &CacheKey, tags: &CacheTags) -> Result<Lookup> {
        let found = self.get_many(&key.namespace, &[key.fingerprint], tags).await?;
        found.into_iter().next().ok_or_else(|| unanswered("cache.get"))
    }
    async fn put(&self, key: &CacheKey, put: CachePut) -> Result<PutOutcome> {
        let done = self.put_many(&key.namespace, vec![(key.fingerprint, put)]).await?;
        done.first().copied().ok_or_else(|| unanswered("cache.put"))
    }
}

fn unanswered(operation: &'static str) -> Error {
    Error::new(crate::ErrorKind::Internal, operation, "the store gave no answer for one key")
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: CacheStore + ?Sized> CacheStore for Arc<T> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    async fn get_many(
        &self,
        namespace: &NamespaceId,
        fingerprints: &[Digest],
        tags: &CacheTags,
    ) -> Result<Vec<Lookup>> {
        (**self).get_many(namespace, fingerprints, tags).await
    }
    async fn put_many(
        &self,
        namespace: &NamespaceId,
        puts: Vec<(Digest, CachePut)>,
    ) -> Result<Vec<PutOutcome>> {
        (**self).put_many(namespace, puts).await
    }
    async fn invalidate(&self, namespace: &NamespaceId, target: Invalidate) -> Result<Option<u64>> {
        (**self).invalidate(namespace, target).await
    }
    async fn begin(&self, key: &CacheKey, visibility: Ttl) -> Result<Flight> {
        (**self).begin(key, visibility).await
    }
    async fn release(&self, key: &CacheKey, lease: FlightLease) -> Result<bool> {
        (**self).release(key, lease).await
    }
    async fn count(
        &self,
        namespace: &NamespaceId,
        counts: Vec<(TagRef, CacheCounts)>,
    ) -> Result<()> {
        (**self).count(namespace, counts).await
    }
    async fn stats(&self, namespace: &NamespaceId) -> Result<CacheStats> {
        (**self).stats(namespace).await
    }
    async fn breakdown(&self, namespace: &NamespaceId, room: StatsRoom) -> Result<Vec<TagStats>> {
        (**self).breakdown(namespace, room).await
    }
    async fn sweep(&self, limit: Limit) -> Result<u64> {
        (**self).sweep(limit).await
    }
}
