//! Cached answers with tags, tickets and single flight.

mod record;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Capabilities, Digest, Error, Limit, Name, NamespaceId, Result, Timestamp, Ttl, check_bytes,
    check_json,
};

pub use record::{CacheBody, CacheRecord, EntryBody, next_cache_version};

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
    /// When the lookup was, by the store's clock, stamped before anything was read. A ticket of the age of
    /// [`REPLAY_WINDOW`](crate::REPLAY_WINDOW) is refused: a store forgets a key's invalidation then.
    pub issued_at: Timestamp,
    /// The generation of the key's last invalidation, if there was one within the window.
    pub key: Option<Uuid>,
    /// The random generation of each tag of the lookup. A store makes one where it has none.
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

impl TagRef {
    /// The room it is in, as records and indexes write it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Model(_) => "model",
            Self::Tag(_) => "tag",
        }
    }

    /// Its name; [`ABSENT`](crate::ABSENT) for the namespace.
    pub fn name(&self) -> &str {
        match self {
            Self::Namespace => crate::ABSENT,
            Self::Model(name) | Self::Tag(name) => name.as_str(),
        }
    }

    /// From room and name; `None` for what [`TagRef::kind`] and [`TagRef::name`] do not give.
    pub fn from_parts(kind: &str, name: &str) -> Option<Self> {
        match (kind, Name::new(name)) {
            ("namespace", Err(_)) if name == crate::ABSENT => Some(Self::Namespace),
            ("model", Ok(name)) => Some(Self::Model(name)),
            ("tag", Ok(name)) => Some(Self::Tag(name)),
            _ => None,
        }
    }

    /// SHA-256 of tenant, namespace, room and name: what unique indexes use.
    pub fn digest(&self, namespace: &NamespaceId) -> Digest {
        Digest::of_parts([
            namespace.tenant.as_str().as_bytes(),
            namespace.name.as_str().as_bytes(),
            self.kind().as_bytes(),
            self.name().as_bytes(),
        ])
    }
}

impl fmt::Display for TagRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace => f.write_str("namespace"),
            _ => write!(f, "{} {}", self.kind(), self.name().escape_debug()),
        }
    }
}

impl CacheTags {
    /// `Invalid` beyond [`TAG_LIMIT`] tags.
    pub fn check(&self, operation: &'static str) -> Result<()> {
        if self.tags.len() > TAG_LIMIT {
            return Err(Error::invalid(
                operation,
                format!("{} tags; the limit is {TAG_LIMIT} of one answer", self.tags.len()),
            ));
        }
        Ok(())
    }

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

/// Whether a lookup is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tally {
    /// As a hit or a miss.
    #[default]
    Count,
    /// Not at all: one question that looks again while another computes the answer is still one question.
    Silent,
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

    /// Looks up an answer and counts a hit or a miss, as `tally` says.
    ///
    /// # Behavior
    /// - `CACHE-GET-1`: returns bytes and meta as put, whatever they are (empty, NUL, a megabyte, null).
    /// - `CACHE-GET-2`: past the time to live it is stale within the stale time and a miss after it, at once.
    /// - `CACHE-GET-3`: another tenant or namespace sees nothing.
    /// - `CACHE-GET-4`: reading does not extend.
    /// - `CACHE-GET-5`: more than 32 tags are `Invalid`.
    /// - `CACHE-GET-6`: an entry stored under tags that the lookup does not name is still bound by them.
    /// - `CACHE-GET-7`: a silent lookup finds the same and counts nothing.
    async fn get(&self, key: &CacheKey, tags: &CacheTags, tally: Tally) -> Result<Lookup>;

    /// Stores an answer if none of its tags was invalidated since the ticket was given. The tags of the
    /// answer are those of the ticket. Whether the ticket holds is
    /// [`ticket_holds`](crate::rules::ticket_holds), decided and written as one.
    ///
    /// # Behavior
    /// - `CACHE-PUT-1`: with a current ticket the answer is stored and served; a second put replaces it.
    /// - `CACHE-PUT-2`: after an invalidation of a tag, the model, the namespace or the key it is `Outdated` and nothing is stored or replaced.
    /// - `CACHE-PUT-3`: a ticket with forged or missing generations, or as old as the replay window, is `Outdated`.
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

    /// Gives the right back. `false` when the lease ran out or is not the current one: nothing changes.
    ///
    /// # Behavior
    /// - `CACHE-RELEASE-1`: a lease that was replaced, ran out or is of another key releases nothing; a repeat says `false`.
    async fn release(&self, key: &CacheKey, lease: FlightLease) -> Result<bool>;

    /// Writes out counters that were kept aside: a read need not write, so a store may keep a bounded
    /// number of them in the handle. What was not flushed is lost with the process.
    ///
    /// # Behavior
    /// - `CACHE-STATS-1`: after a flush hits and misses are exact, over all handles and processes.
    async fn flush(&self) -> Result<()>;

    /// The statistics of a namespace.
    ///
    /// # Behavior
    /// - `CACHE-STATS-2`: entries and bytes count what can be served in this namespace (exact where `exact_counts`).
    async fn stats(&self, namespace: &NamespaceId) -> Result<CacheStats>;

    /// Frees the space of at most `limit` entries that can never be served again; returns how many. Never
    /// needed for correctness. What a store keeps beside the entries (forgotten invalidations, flights that
    /// ran out, generations that nothing uses) goes on the way and is not counted.
    ///
    /// # Behavior
    /// - `CACHE-SWEEP-1`: removes only expired and outdated entries, at most `limit`.
    async fn sweep(&self, limit: Limit) -> Result<u64>;
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: CacheStore + ?Sized> CacheStore for Arc<T> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    async fn get(&self, key: &CacheKey, tags: &CacheTags, tally: Tally) -> Result<Lookup> {
        (**self).get(key, tags, tally).await
    }
    async fn put(&self, key: &CacheKey, put: CachePut) -> Result<PutOutcome> {
        (**self).put(key, put).await
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
    async fn flush(&self) -> Result<()> {
        (**self).flush().await
    }
    async fn stats(&self, namespace: &NamespaceId) -> Result<CacheStats> {
        (**self).stats(namespace).await
    }
    async fn sweep(&self, limit: Limit) -> Result<u64> {
        (**self).sweep(limit).await
    }
}
