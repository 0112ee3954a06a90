//! Answers in this process, by weight: a tier above the store (feature `moka`).
//!
//! A copy is served at most [`LocalTier::max_stale`] after the store last confirmed it: so long at most an answer
//! outlives its invalidation *by another process*. An invalidation or a put by this process (through clones of the
//! cache) ends copies at once, and time to live is exact. Only fresh answers are copied.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hexmem_ports::{Digest, Error, Result, Timestamp};
use moka::sync::Cache;

use crate::answer::Answer;

/// Keys share so many counters of changes.
const SHARDS: usize = 256;

/// What a copy weighs beside its bytes, about: key, pointers, moka's bookkeeping.
const OVERHEAD: usize = 256;

/// Answers of one namespace in this process, at most so many bytes of them. Which ones stay is decided by how
/// often and how lately they were asked for (TinyLFU).
#[derive(Clone)]
pub struct LocalTier(Arc<Inner>);

struct Inner {
    copies: Cache<Digest, Arc<Copy>, BuildHasherDefault<FirstBytes>>,
    max_stale: Duration,
    /// Grows with each invalidation by tag, model or namespace.
    epoch: AtomicU64,
    /// Grow with each change of one of their keys.
    changes: [AtomicU64; SHARDS],
}

/// A copy, and what must not have changed since it was read.
struct Copy {
    answer: Arc<Answer>,
    stored_at: Timestamp,
    seen: Seen,
    until: Timestamp,
}

/// The state of things before the store was asked.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Seen {
    at: Timestamp,
    epoch: u64,
    changes: u64,
}

impl std::fmt::Debug for LocalTier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalTier")
            .field("copies", &self.0.copies.entry_count())
            .field("bytes", &self.0.copies.weighted_size())
            .field("max_stale", &self.0.max_stale)
            .finish()
    }
}

/// A fingerprint is evenly spread as it is.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }
    // The length of the fingerprint, which is always the same.
    fn write_usize(&mut self, _: usize) {}
}

impl LocalTier {
    /// A tier of at most `bytes`, whose copies are confirmed by the store after `max_stale` (a second is a good
    /// start: a hot answer then costs one read of the store a second).
    ///
    /// # Errors
    /// `Invalid` for zero.
    pub fn new(bytes: u64, max_stale: Duration) -> Result<Self> {
        if bytes == 0 || max_stale.is_zero() {
            let what = "a local tier has at least a byte, and copies that live a moment";
            return Err(Error::invalid("llm_cache.local", what));
        }
        let copies = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, copy: &Arc<Copy>| {
                let meta = copy.answer.chunks.len() * 8 + weight(&copy.answer.meta);
                let weight = copy.answer.value.len() + meta + OVERHEAD;
                u32::try_from(weight).unwrap_or(u32::MAX)
            })
            .build_with_hasher(BuildHasherDefault::default());
        let changes = [const { AtomicU64::new(0) }; SHARDS];
        Ok(Self(Arc::new(Inner { copies, max_stale, epoch: AtomicU64::new(0), changes })))
    }

    /// How long a copy is served before the store is asked again.
    pub fn max_stale(&self) -> Duration {
        self.0.max_stale
    }

    /// What is held, in bytes, once moka has settled what is pending.
    pub fn bytes_held(&self) -> u64 {
        self.0.copies.run_pending_tasks();
        self.0.copies.weighted_size()
    }

    fn changes(&self, key: &Digest) -> &AtomicU64 {
        // As many shards as a byte has values.
        &self.0.changes[usize::from(key.0[31])]
    }

    /// Taken before the store is asked: what it answers may be older than a change from now on.
    pub(crate) fn seen(&self, key: &Digest, now: Timestamp) -> Seen {
        let epoch = self.0.epoch.load(Ordering::Acquire);
        Seen { at: now, epoch, changes: self.changes(key).load(Ordering::Acquire) }
    }

    pub(crate) fn get(&self, key: &Digest, now: Timestamp) -> Option<(Arc<Answer>, Timestamp)> {
        let copy = self.0.copies.get(key)?;
        let current = Seen { at: copy.seen.at, ..self.seen(key, now) };
        // A clock that was set back proves nothing.
        let alive = copy.seen == current && copy.seen.at <= now && now < copy.until;
        alive.then(|| (Arc::clone(&copy.answer), copy.stored_at))
    }

    /// Keeps what the store answered, for `fresh_for` at most.
    pub(crate) fn keep(
        &self,
        key: Digest,
        seen: Seen,
        answer: &Arc<Answer>,
        stored_at: Timestamp,
        fresh_for: Duration,
    ) {
        let until = seen.at.plus(fresh_for.min(self.0.max_stale));
        let copy = Copy { answer: Arc::clone(answer), stored_at, seen, until };
        self.0.copies.insert(key, Arc::new(copy));
    }

    /// Something of the key changes.
    pub(crate) fn change(&self, key: &Digest) {
        self.changes(key).fetch_add(1, Ordering::AcqRel);
        self.0.copies.invalidate(key);
    }

    /// A tag, a model or the namespace ends: a copy does not know what its answer depends on, so all go.
    pub(crate) fn end_all(&self) {
        self.0.epoch.fetch_add(1, Ordering::AcqRel);
        self.0.copies.invalidate_all();
    }
}

/// About what a JSON value weighs.
fn weight(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 16,
        Value::String(text) => 32 + text.len(),
        Value::Array(items) => 32 + items.iter().map(weight).sum::<usize>(),
        Value::Object(fields) => {
            64 + fields.iter().map(|(key, value)| 64 + key.len() + weight(value)).sum::<usize>()
        }
    }
}
