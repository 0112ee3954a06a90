//! Cached answers with tags, tickets and single flight.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Capabilities, Digest, Limit, Name, NamespaceId, Result, Timestamp, Ttl};

/// Where an answer is kept: the full fingerprint of the question, never truncated.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// The namespace; itself a tag.
    pub namespace: NamespaceId,
    /// SHA-256 of the canonical question.
    pub fingerprint: Digest,
}

/// What an answer depends on. Model and tags are known before the lookup; the namespace is implied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheTags {
    /// The model that answers; itself a tag, in a room of its own.
    pub model: Option<Name>,
    /// At most [`TAG_LIMIT`] tags.
    pub tags: Vec<Name>,
}

/// The most tags of one entry.
pub const TAG_LIMIT: usize = 32;

/// What a lookup returns and a put presents: the generation of each tag, and of the key, at the time of
/// the lookup. One that was invalidated in between has another generation, and the put is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// When the lookup was, by the store's clock. A ticket older than
    /// [`REPLAY_WINDOW`](crate::REPLAY_WINDOW) is refused: a store forgets a key's invalidation after it.
    pub issued_at: Timestamp,
    /// The generation of the key's last invalidation, if there was one within the window.
    pub key: Option<Uuid>,
    /// The random generation of each tag. A store makes one where it has none.
    pub generations: Vec<(TagRef, Uuid)>,
}

/// A tag of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TagRef {
    /// The namespace itself.
    Namespace,
    /// A model.
    Model(Name),
    /// A tag of the caller's.
    Tag(Name),
}

impl CacheTags {
    /// All tags an entry depends on: the namespace, the model, the caller's tags; sorted, each once.
    pub fn refs(&self) -> Vec<TagRef> {
        let mut refs = vec![TagRef::Namespace];
        refs.extend(self.model.clone().map(TagRef::Model));
        refs.extend(self.tags.iter().cloned().map(TagRef::Tag));
        refs.sort();
        refs.dedup();
        refs
    }
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

/// Statistics of a namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStats {
    /// Lookups answered, stale ones included.
    pub hits: u64,
    /// Lookups not answered.
    pub misses: u64,
    /// Entries held that could be served.
    pub entries: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Whether `entries` and `bytes` are exact.
    pub exact: bool,
}

/// Answers under fingerprints, with tags. An entry is served only while each generation it was stored
/// with is the current one; a missing generation is a mismatch.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CacheStore: Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Looks up an answer and counts a hit or a miss.
    ///
    /// # Behavior
    /// - `CACHE-GET-1`: returns bytes and meta as put, whatever they are (empty, NUL, a megabyte, null).
    /// - `CACHE-GET-2`: past the time to live it is stale within the stale time and a miss after it, at once.
    /// - `CACHE-GET-3`: another tenant or namespace sees nothing.
    /// - `CACHE-GET-4`: reading does not extend.
    /// - `CACHE-GET-5`: more than 32 tags are `Invalid`.
    /// - `CACHE-GET-6`: an entry stored under tags that the lookup does not name is still bound by them.
    async fn get(&self, key: &CacheKey, tags: &CacheTags) -> Result<Lookup>;

    /// Stores an answer if none of its tags was invalidated since the ticket was given.
    ///
    /// # Behavior
    /// - `CACHE-PUT-1`: with a current ticket the answer is stored and served; a second put replaces it.
    /// - `CACHE-PUT-2`: after an invalidation of a tag, the model, the namespace or the key it is `Outdated` and nothing is stored or replaced.
    /// - `CACHE-PUT-3`: a ticket with forged or missing generations is `Outdated`.
    /// - `CACHE-PUT-4`: invalid meta or a value beyond the limit is `Invalid` and changes nothing.
    async fn put(&self, key: &CacheKey, put: CachePut) -> Result<PutOutcome>;

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

    /// Gives the right back. `false` when the lease is not the current one: nothing changes.
    ///
    /// # Behavior
    /// - `CACHE-RELEASE-1`: a lease that was replaced cannot release its successor.
    async fn release(&self, key: &CacheKey, lease: FlightLease) -> Result<bool>;

    /// Writes out counters that were kept aside.
    ///
    /// # Behavior
    /// - `CACHE-STATS-1`: after a flush hits and misses are exact, over all handles and processes.
    async fn flush(&self) -> Result<()>;

    /// The statistics of a namespace.
    ///
    /// # Behavior
    /// - `CACHE-STATS-2`: entries and bytes count what can be served in this namespace (exact where `exact_counts`).
    async fn stats(&self, namespace: &NamespaceId) -> Result<CacheStats>;

    /// Frees the space of at most `limit` entries that can never be served again; returns how many.
    ///
    /// # Behavior
    /// - `CACHE-SWEEP-1`: removes only expired and outdated entries, at most `limit`.
    async fn sweep(&self, limit: Limit) -> Result<u64>;
}
