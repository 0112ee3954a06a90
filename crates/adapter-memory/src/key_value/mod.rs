//! Keys and values in process.

mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hexmem_ports::{
    BucketId, Capabilities, Capability, Clock, Cursor, Digest, Error, KV_PAGE_BYTES, KeyValueStore,
    KvCondition, KvEntry, KvSet, KvState, Limit, Name, OpId, Page, Prefix, Remaining, Result,
    Timestamp, Ttl, check_bytes, check_kv_batch, kv_cursor, kv_op, kv_position, rules,
};

use crate::replay::Replay;

/// Keys and values of one process. Clones share them.
#[derive(Clone)]
pub struct MemoryKeyValue {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    buckets: BTreeMap<BucketId, BTreeMap<Name, Row>>,
    /// What can be freed, and when, so that a sweep does not look at what stays.
    ends: BTreeSet<(Timestamp, BucketId, Name)>,
    versions: Replay<Digest, u64>,
    sums: Replay<Digest, i64>,
}

struct Row {
    state: KvState,
    /// Empty in a tombstone.
    value: Vec<u8>,
}

impl Row {
    fn entry(&self, now: Timestamp) -> Option<KvEntry> {
        let remaining = match self.state.remaining(now)? {
            Remaining::Forever => None,
            Remaining::For(left) => Some(left),
        };
        Some(KvEntry { value: self.value.clone(), version: self.state.version, remaining })
    }
}

impl State {
    fn row(&self, bucket: &BucketId, key: &Name) -> Option<&Row> {
        self.buckets.get(bucket)?.get(key)
    }

    fn held(&self, bucket: &BucketId, key: &Name) -> Option<KvState> {
        self.row(bucket, key).map(|row| row.state)
    }

    fn live(&self, bucket: &BucketId, key: &Name, now: Timestamp) -> Option<&Row> {
        self.row(bucket, key).filter(|row| row.state.is_live(now))
    }

    fn put(&mut self, bucket: &BucketId, key: &Name, row: Row) {
        let end = |state: KvState| state.free_at().map(|at| (at, bucket.clone(), key.clone()));
        if let Some(old) = self.held(bucket, key).and_then(end) {
            self.ends.remove(&old);
        }
        self.ends.extend(end(row.state));
        self.buckets.entry(bucket.clone()).or_default().insert(key.clone(), row);
    }

    fn set(
        &mut self,
        operation: &'static str,
        bucket: &BucketId,
        key: &Name,
        request: KvSet,
        now: Timestamp,
    ) -> Result<u64> {
        check_bytes(operation, &request.value).map_err(|e| at(e, bucket, key))?;
        let op = request.op.map(|op| kv_op("set", bucket, key, op));
        if let Some(first) = op.and_then(|op| self.versions.find(&op, now)) {
            return Ok(first);
        }
        let held = self.held(bucket, key);
        request
            .condition
            .check(operation, held.and_then(|state| state.live_version(now)))
            .map_err(|e| at(e, bucket, key))?;
        let state = KvState::written(held, request.ttl, now);
        self.put(bucket, key, Row { state, value: request.value });
        if let Some(op) = op {
            self.versions.remember(op, state.version, now);
        }
        Ok(state.version)
    }

    fn delete(&mut self, bucket: &BucketId, key: &Name, now: Timestamp) -> bool {
        let Some(live) = self.live(bucket, key, now) else { return false };
        let state = live.state.deleted(now);
        self.put(bucket, key, Row { state, value: Vec::new() });
        true
    }
}

fn at(error: Error, bucket: &BucketId, key: &Name) -> Error {
    error.with("bucket", bucket).with("key", key)
}

impl MemoryKeyValue {
    /// An empty store that stamps with `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default() }
    }

    /// The state, and the present as it is once the lock is held.
    fn lock(&self) -> (MutexGuard<'_, State>, Timestamp) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        (state, now)
    }
}

#[async_trait]
impl KeyValueStore for MemoryKeyValue {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([Capability::Records, Capability::OrderedScan])
    }

    async fn get_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<Vec<Option<KvEntry>>> {
        check_kv_batch("key_value.get_many", keys.len())?;
        let (state, now) = self.lock();
        Ok(keys.iter().map(|key| state.row(bucket, key)?.entry(now)).collect())
    }

    async fn set(&self, bucket: &BucketId, key: &Name, request: KvSet) -> Result<u64> {
        let (mut state, now) = self.lock();
        state.set("key_value.set", bucket, key, request, now)
    }

    async fn set_many(
        &self,
        bucket: &BucketId,
        writes: Vec<(Name, KvSet)>,
    ) -> Result<Vec<Result<u64>>> {
        check_kv_batch("key_value.set_many", writes.len())?;
        let (mut state, now) = self.lock();
        let set = |(key, request)| state.set("key_value.set_many", bucket, &key, request, now);
        Ok(writes.into_iter().map(set).collect())
    }

    async fn delete_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<u64> {
        check_kv_batch("key_value.delete_many", keys.len())?;
        let (mut state, now) = self.lock();
        Ok(keys.iter().map(|key| u64::from(state.delete(bucket, key, now))).sum())
    }

    async fn delete_if(&self, bucket: &BucketId, key: &Name, version: u64) -> Result<bool> {
        let (mut state, now) = self.lock();
        let Some(live) = state.live(bucket, key, now) else { return Ok(false) };
        KvCondition::IfVersion(version)
            .check("key_value.delete_if", Some(live.state.version))
            .map_err(|e| at(e, bucket, key))?;
        Ok(state.delete(bucket, key, now))
    }

    async fn expire(&self, bucket: &BucketId, key: &Name, ttl: Option<Ttl>) -> Result<bool> {
        let (mut state, now) = self.lock();
        let Some(live) = state.live(bucket, key, now) else { return Ok(false) };
        let row = Row { state: live.state.expiring(ttl, now), value: live.value.clone() };
        state.put(bucket, key, row);
        Ok(true)
    }

    async fn remaining(&self, bucket: &BucketId, key: &Name) -> Result<Option<Remaining>> {
        let (state, now) = self.lock();
        Ok(state.held(bucket, key).and_then(|held| held.remaining(now)))
    }

    async fn increment(
        &self,
        bucket: &BucketId,
        key: &Name,
        by: i64,
        ttl: Option<Ttl>,
        op: OpId,
    ) -> Result<i64> {
        let op = kv_op("increment", bucket, key, op);
        let (mut state, now) = self.lock();
        if let Some(first) = state.sums.find(&op, now) {
            return Ok(first);
        }
        let live = state.live(bucket, key, now);
        let value = live.map(|row| row.value.as_slice());
        let sum = rules::add("key_value.increment", value, by).map_err(|e| at(e, bucket, key))?;
        let next = KvState::counted(state.held(bucket, key), ttl, now);
        state.put(bucket, key, Row { state: next, value: sum.to_string().into_bytes() });
        state.sums.remember(op, sum, now);
        Ok(sum)
    }

    async fn scan(
        &self,
        bucket: &BucketId,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<(Name, KvEntry)>> {
        let after =
            cursor.map(|cursor| kv_position("key_value.scan", prefix, &cursor)).transpose()?;
        let (state, now) = self.lock();
        let Some(rows) = state.buckets.get(bucket) else { return Ok(Page::default()) };
        let start = match &after {
            Some(after) => Bound::Excluded(after.as_str()),
            None => Bound::Included(prefix.as_str()),
        };
        let mut rows = rows
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| prefix.matches(key.as_str()))
            .filter_map(|(key, row)| Some((key, row.entry(now)?)))
            .peekable();
        let (mut page, mut bytes) = (Page::default(), 0);
        while page.items.len() < limit.as_usize() && bytes < KV_PAGE_BYTES {
            let Some((key, entry)) = rows.next() else { break };
            bytes += entry.value.len();
            page.items.push((key.clone(), entry));
        }
        if rows.peek().is_some() {
            page.next = page.items.last().map(|(key, _)| kv_cursor(key));
        }
        Ok(page)
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        let (mut state, now) = self.lock();
        let mut freed = 0;
        while freed < u64::from(limit.get())
            && state.ends.first().is_some_and(|(end, ..)| *end <= now)
        {
            let Some((_, bucket, key)) = state.ends.pop_first() else { break };
            let Some(rows) = state.buckets.get_mut(&bucket) else { continue };
            rows.remove(&key);
            if rows.is_empty() {
                state.buckets.remove(&bucket);
            }
            freed += 1;
        }
        Ok(freed)
    }
}
