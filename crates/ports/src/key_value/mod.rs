//! Keys and opaque values: the seeds' storage interface.

mod stored;

pub use stored::*;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{BucketId, Capabilities, Cursor, Error, Limit, Name, OpId, Page, Prefix, Result, Ttl};

/// The most keys of one call.
pub const KV_BATCH_LIMIT: usize = 10_000;

/// The most bytes of values in one page of [`KeyValueStore::scan`]: a page that holds more ends after the
/// row that crosses it, whatever the limit.
pub const KV_PAGE_BYTES: usize = 16 * 1024 * 1024;

/// `Invalid` for more than [`KV_BATCH_LIMIT`] keys.
pub fn check_kv_batch(operation: &'static str, keys: usize) -> Result<()> {
    if keys > KV_BATCH_LIMIT {
        return Err(Error::invalid(
            operation,
            format!("a call has {keys} keys; the limit is {KV_BATCH_LIMIT}: make several calls"),
        ));
    }
    Ok(())
}

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvEntry {
    /// The bytes as they were set.
    pub value: Vec<u8>,
    /// Grows with each change of the key, its time to live included, and is never used twice, also not
    /// after a delete: see [`next_version`](crate::rules::next_version).
    pub version: u64,
    /// Time left to live; `None` means for ever.
    pub remaining: Option<Duration>,
}

/// When a write or delete goes ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KvCondition {
    /// Always.
    #[default]
    Always,
    /// Only where no live entry exists. Otherwise `AlreadyExists`.
    IfAbsent,
    /// Only where the live entry has this version. Otherwise `Conflict`.
    IfVersion(u64),
}

/// How [`KeyValueStore::set`] writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvSet {
    /// At most [`BYTES_LIMIT`](crate::BYTES_LIMIT) bytes; empty is a value.
    pub value: Vec<u8>,
    /// Replaces the earlier time to live; `None` means for ever.
    pub ttl: Option<Ttl>,
    /// The precondition.
    pub condition: KvCondition,
    /// Given, a repeat within [`REPLAY_WINDOW`](crate::REPLAY_WINDOW) gets the first answer.
    pub op: Option<OpId>,
}

impl KvSet {
    /// Writes always, for ever.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self { value: value.into(), ttl: None, condition: KvCondition::Always, op: None }
    }

    /// With a time to live.
    #[must_use]
    pub fn ttl(mut self, ttl: Ttl) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// With a precondition.
    #[must_use]
    pub fn condition(mut self, condition: KvCondition) -> Self {
        self.condition = condition;
        self
    }

    /// With a key of idempotence.
    #[must_use]
    pub fn op(mut self, op: OpId) -> Self {
        self.op = Some(op);
        self
    }
}

/// How long an entry has to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// It does not expire.
    Forever,
    /// This long.
    For(Duration),
}

/// Durable keys and values with versions and times to live.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait KeyValueStore: Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// The live entries of `keys`, in their order.
    ///
    /// # Behavior
    /// - `KV-GET-1`: returns the bytes last set, whatever they are (empty, NUL, not UTF-8, 8,001 bytes, a megabyte).
    /// - `KV-GET-2`: an absent key is `None`, in its place among the others; no keys give no entries.
    /// - `KV-GET-3`: an entry whose time has run out is absent at once, without sweeping.
    /// - `KV-GET-4`: another tenant, or another bucket of the tenant, sees nothing.
    /// - `KV-GET-5`: reading does not extend a time to live.
    /// - `KV-GET-6`: more than [`KV_BATCH_LIMIT`] keys are `Invalid`, here, in `set_many` and in `delete_many`.
    async fn get_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<Vec<Option<KvEntry>>>;

    /// Writes one key and returns its new version.
    ///
    /// # Behavior
    /// - `KV-SET-1`: replaces value and time to live; without a time to live an earlier one is gone.
    /// - `KV-SET-2`: `IfAbsent` over a live entry is `AlreadyExists` and changes nothing; over an expired one it writes.
    /// - `KV-SET-3`: `IfVersion` of another version, or of an absent key, is `Conflict` and changes nothing.
    /// - `KV-SET-4`: of N concurrent `IfAbsent` writes exactly one succeeds; of N read-modify-write loops with `IfVersion` none is lost.
    /// - `KV-SET-5`: a repeat with the same `op` gives the first answer and writes nothing again; a refusal is not remembered. The same `op` on another key is another write.
    /// - `KV-SET-6`: versions of a key grow, also across delete, expiry and sweep.
    /// - `KV-SET-7`: a value beyond the limit is `Invalid` and changes nothing; keys that differ in one byte, of 1,024 bytes, of any Unicode, are different keys.
    async fn set(&self, bucket: &BucketId, key: &Name, request: KvSet) -> Result<u64>;

    /// Writes many keys, each atomic by itself; the answers are in their order.
    ///
    /// # Behavior
    /// - `KV-SETMANY-1`: a refused write does not stop the others; an empty list is an empty answer.
    /// - `KV-SETMANY-2`: a key given twice is written in the order given.
    async fn set_many(
        &self,
        bucket: &BucketId,
        writes: Vec<(Name, KvSet)>,
    ) -> Result<Vec<Result<u64>>>;

    /// Removes keys; returns how many live entries were removed. Each leaves a tombstone for
    /// [`KV_TOMBSTONE_RETENTION`], which only records show.
    ///
    /// # Behavior
    /// - `KV-DELETE-1`: a removed key is absent; removing it again counts zero and is no error.
    /// - `KV-DELETE-2`: an expired entry counts zero.
    /// - `KV-DELETE-3`: other buckets and tenants keep theirs.
    async fn delete_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<u64>;

    /// Removes `key` where its live entry has `version`. `false` when it is absent; `Conflict` when it
    /// has another version.
    ///
    /// # Behavior
    /// - `KV-DELETEIF-1`: removes on the version, conflicts on another, says `false` on an absent key.
    async fn delete_if(&self, bucket: &BucketId, key: &Name, version: u64) -> Result<bool>;

    /// Replaces the time to live of a live entry; `None` makes it stay for ever. `false` when absent.
    ///
    /// # Behavior
    /// - `KV-EXPIRE-1`: sets, shortens, extends and removes the time to live; the value stays, the version grows.
    /// - `KV-EXPIRE-2`: a missing or expired key is left absent and the answer is `false`.
    async fn expire(&self, bucket: &BucketId, key: &Name, ttl: Option<Ttl>) -> Result<bool>;

    /// The time left to live; `None` when absent.
    ///
    /// # Behavior
    /// - `KV-TTL-1`: tells for ever, a span not above the one set, and absent apart.
    async fn remaining(&self, bucket: &BucketId, key: &Name) -> Result<Option<Remaining>>;

    /// Adds `by` to the decimal integer under `key` (absent counts as 0) and returns the sum. A time to
    /// live is set only when the key is created.
    ///
    /// # Behavior
    /// - `KV-INCR-1`: N concurrent increments add up; the value reads as the decimal text of the sum.
    /// - `KV-INCR-2`: a value that is no i64 in its shortest decimal form is `Invalid`, a sum beyond i64 is `Invalid`; both change nothing.
    /// - `KV-INCR-3`: a repeat with the same `op` gives the first sum and adds nothing.
    /// - `KV-INCR-4`: the time to live is set on creation, kept afterwards; after expiry counting starts at 0.
    async fn increment(
        &self,
        bucket: &BucketId,
        key: &Name,
        by: i64,
        ttl: Option<Ttl>,
        op: OpId,
    ) -> Result<i64>;

    /// Live entries whose key starts with `prefix`. A page ends early at [`KV_PAGE_BYTES`].
    ///
    /// # Behavior
    /// - `KV-SCAN-1`: following `next` gives each entry that was there throughout exactly once while others come and go.
    /// - `KV-SCAN-2`: the prefix is literal: `%`, `_`, `*`, `[` and `\` mean themselves.
    /// - `KV-SCAN-3`: (ordered_scan) keys come in bytewise order.
    /// - `KV-SCAN-4`: expired entries, other buckets and other tenants are not listed.
    /// - `KV-SCAN-5`: a cursor that this store did not give is `Invalid`.
    async fn scan(
        &self,
        bucket: &BucketId,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<(Name, KvEntry)>>;

    /// Frees the space of at most `limit` expired entries and forgotten tombstones and returns how many.
    /// Never needed for correctness.
    ///
    /// # Behavior
    /// - `KV-SWEEP-1`: removes what no reader sees only, at most `limit`, until it answers 0.
    async fn sweep(&self, limit: Limit) -> Result<u64>;
}

/// Sugar over [`KeyValueStore`].
#[async_trait]
pub trait KeyValueExt {
    /// The live entry of one key.
    async fn get(&self, bucket: &BucketId, key: &Name) -> Result<Option<KvEntry>>;
    /// Whether a live entry exists.
    async fn exists(&self, bucket: &BucketId, key: &Name) -> Result<bool>;
    /// Removes one key; whether a live entry was there.
    async fn delete(&self, bucket: &BucketId, key: &Name) -> Result<bool>;
}

#[async_trait]
impl<T: KeyValueStore + ?Sized> KeyValueExt for T {
    async fn get(&self, bucket: &BucketId, key: &Name) -> Result<Option<KvEntry>> {
        Ok(self.get_many(bucket, std::slice::from_ref(key)).await?.pop().flatten())
    }
    async fn exists(&self, bucket: &BucketId, key: &Name) -> Result<bool> {
        Ok(self.remaining(bucket, key).await?.is_some())
    }
    async fn delete(&self, bucket: &BucketId, key: &Name) -> Result<bool> {
        Ok(self.delete_many(bucket, std::slice::from_ref(key)).await? > 0)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: KeyValueStore + ?Sized> KeyValueStore for Arc<T> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    async fn get_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<Vec<Option<KvEntry>>> {
        (**self).get_many(bucket, keys).await
    }
    async fn set(&self, bucket: &BucketId, key: &Name, request: KvSet) -> Result<u64> {
        (**self).set(bucket, key, request).await
    }
    async fn set_many(
        &self,
        bucket: &BucketId,
        writes: Vec<(Name, KvSet)>,
    ) -> Result<Vec<Result<u64>>> {
        (**self).set_many(bucket, writes).await
    }
    async fn delete_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<u64> {
        (**self).delete_many(bucket, keys).await
    }
    async fn delete_if(&self, bucket: &BucketId, key: &Name, version: u64) -> Result<bool> {
        (**self).delete_if(bucket, key, version).await
    }
    async fn expire(&self, bucket: &BucketId, key: &Name, ttl: Option<Ttl>) -> Result<bool> {
        (**self).expire(bucket, key, ttl).await
    }
    async fn remaining(&self, bucket: &BucketId, key: &Name) -> Result<Option<Remaining>> {
        (**self).remaining(bucket, key).await
    }
    async fn increment(
        &self,
        bucket: &BucketId,
        key: &Name,
        by: i64,
        ttl: Option<Ttl>,
        op: OpId,
    ) -> Result<i64> {
        (**self).increment(bucket, key, by, ttl, op).await
    }
    async fn scan(
        &self,
        bucket: &BucketId,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<(Name, KvEntry)>> {
        (**self).scan(bucket, prefix, cursor, limit).await
    }
    async fn sweep(&self, limit: Limit) -> Result<u64> {
        (**self).sweep(limit).await
    }
}
