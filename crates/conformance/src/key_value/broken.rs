//! A store of keys and values that breaks one clause.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hexmem_ports::{
    BucketId, Capabilities, Cursor, ErrorKind, KV_BATCH_LIMIT, KeyValueExt as _, KeyValueStore,
    KvCondition, KvEntry, KvSet, Limit, Name, OpId, PAGE_LIMIT, Page, Prefix, Remaining, Result,
    Tenant, Ttl,
};

use super::{Kv, write};
use crate::{name, records};

const CLAUSES: [&str; 32] = [
    "KV-GET-1",
    "KV-GET-2",
    "KV-GET-3",
    "KV-GET-4",
    "KV-GET-5",
    "KV-GET-6",
    "KV-SET-1",
    "KV-SET-2",
    "KV-SET-3",
    "KV-SET-4",
    "KV-SET-5",
    "KV-SET-6",
    "KV-SET-7",
    "KV-SETMANY-1",
    "KV-SETMANY-2",
    "KV-DELETE-1",
    "KV-DELETE-2",
    "KV-DELETE-3",
    "KV-DELETEIF-1",
    "KV-EXPIRE-1",
    "KV-EXPIRE-2",
    "KV-TTL-1",
    "KV-INCR-1",
    "KV-INCR-2",
    "KV-INCR-3",
    "KV-INCR-4",
    "KV-SCAN-1",
    "KV-SCAN-2",
    "KV-SCAN-3",
    "KV-SCAN-4",
    "KV-SCAN-5",
    "KV-SWEEP-1",
];

/// The rig with stores that break `clause`. Panics where no double breaks it.
pub fn broken(clause: &str, rig: Kv) -> Kv {
    if let Some(rig) = records::broken(clause, rig.clone()) {
        return rig;
    }
    let clause = CLAUSES.into_iter().find(|known| *known == clause);
    let clause =
        clause.unwrap_or_else(|| panic!("no double breaks this clause: add it to CLAUSES"));
    // Both handles break in the same way, with one memory.
    let memory = Arc::new(Mutex::new(Memory::default()));
    rig.wrapped(|inner| -> Arc<dyn KeyValueStore> {
        Arc::new(Broken { inner, clause, memory: Arc::clone(&memory) })
    })
}

#[derive(Default)]
struct Memory {
    written: BTreeMap<(BucketId, Name), KvSet>,
    buckets: BTreeSet<BucketId>,
    increments: u64,
}

struct Broken {
    inner: Arc<dyn KeyValueStore>,
    clause: &'static str,
    memory: Arc<Mutex<Memory>>,
}

impl Broken {
    fn breaks(&self, clause: &str) -> bool {
        self.clause == clause
    }

    fn memory<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        work(&mut self.memory.lock().unwrap())
    }

    /// What was last written, as long as it was not deleted.
    fn written(&self, bucket: &BucketId, key: &Name) -> Option<KvSet> {
        self.memory(|memory| memory.written.get(&(bucket.clone(), key.clone())).cloned())
    }

    /// The bucket as the double addresses it.
    fn bucket(&self, bucket: &BucketId) -> BucketId {
        if self.breaks("KV-GET-4") {
            return BucketId::new(Tenant(name("everybody")), name("everything"));
        }
        bucket.clone()
    }

    /// The key as the double addresses it.
    fn key(&self, key: &Name) -> Name {
        let mut text = String::from(key.clone());
        if self.breaks("KV-SET-7") {
            text = text.chars().take(1_000).collect();
        }
        name(text)
    }

    fn keys(&self, keys: &[Name]) -> Vec<Name> {
        keys.iter().map(|key| self.key(key)).collect()
    }

    /// One part of a read, which may be of any size.
    async fn read(&self, bucket: &BucketId, keys: &[Name]) -> Result<Vec<Option<KvEntry>>> {
        let mut found = self.inner.get_many(bucket, keys).await?;
        for (key, entry) in keys.iter().zip(&mut found) {
            let Some(written) = self.written(bucket, key) else { continue };
            if self.breaks("KV-GET-3") && entry.is_none() {
                *entry = Some(KvEntry { value: written.value, version: 1, remaining: None });
            } else if self.breaks("KV-GET-5") && entry.is_some() {
                self.inner.expire(bucket, key, written.ttl).await?;
            }
        }
        for entry in found.iter_mut().flatten().filter(|_| self.breaks("KV-GET-1")) {
            entry.value.retain(|byte| *byte != 0);
        }
        if self.breaks("KV-GET-2") {
            found.sort_by_key(Option::is_none);
        }
        Ok(found)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl KeyValueStore for Broken {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn get_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<Vec<Option<KvEntry>>> {
        let (bucket, keys) = (self.bucket(bucket), self.keys(keys));
        if !self.breaks("KV-GET-6") {
            return self.read(&bucket, &keys).await;
        }
        let mut found = Vec::new();
        for part in keys.chunks(KV_BATCH_LIMIT) {
            found.extend(self.read(&bucket, part).await?);
        }
        Ok(found)
    }

    async fn set(&self, bucket: &BucketId, key: &Name, mut request: KvSet) -> Result<u64> {
        let (bucket, key) = (self.bucket(bucket), self.key(key));
        match (self.clause, request.condition) {
            ("KV-SET-1", _) if request.ttl.is_none() => {
                if let Some(Remaining::For(left)) = self.inner.remaining(&bucket, &key).await? {
                    request.ttl = Some(Ttl::new(left)?);
                }
            }
            ("KV-SET-2", KvCondition::IfAbsent) | ("KV-SET-3", KvCondition::IfVersion(_)) => {
                request.condition = KvCondition::Always;
            }
            ("KV-SET-5", _) => request.op = None,
            _ => {}
        }
        self.memory(|memory| {
            memory.buckets.insert(bucket.clone());
            memory.written.insert((bucket.clone(), key.clone()), request.clone());
        });
        match self.inner.set(&bucket, &key, request).await {
            Ok(_) if self.breaks("KV-SET-6") => Ok(1),
            Err(error) if self.breaks("KV-SET-4") && error.kind() == ErrorKind::AlreadyExists => {
                Ok(1)
            }
            answer => answer,
        }
    }

    async fn set_many(
        &self,
        bucket: &BucketId,
        mut writes: Vec<(Name, KvSet)>,
    ) -> Result<Vec<Result<u64>>> {
        let bucket = self.bucket(bucket);
        if self.breaks("KV-SETMANY-1") {
            let mut answers = Vec::new();
            for (key, request) in writes {
                answers.push(Ok(self.inner.set(&bucket, &key, request).await?));
            }
            return Ok(answers);
        }
        if self.breaks("KV-SETMANY-2") {
            writes.reverse();
            let mut answers = self.inner.set_many(&bucket, writes).await?;
            answers.reverse();
            return Ok(answers);
        }
        self.inner.set_many(&bucket, writes).await
    }

    async fn delete_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<u64> {
        let (bucket, keys) = (self.bucket(bucket), self.keys(keys));
        if self.breaks("KV-DELETE-3") {
            for all in self.memory(|memory| memory.buckets.clone()) {
                self.inner.delete_many(&all, &keys).await?;
            }
            return Ok(1);
        }
        let live = self.inner.delete_many(&bucket, &keys).await?;
        let forget = |memory: &mut Memory, key: &Name| {
            memory.written.remove(&(bucket.clone(), key.clone())).is_some()
        };
        let known = keys.iter().filter(|key| self.memory(|memory| forget(memory, key))).count();
        Ok(match self.clause {
            "KV-DELETE-1" => keys.len() as u64,
            "KV-DELETE-2" => known as u64,
            _ => live,
        })
    }

    async fn delete_if(&self, bucket: &BucketId, key: &Name, version: u64) -> Result<bool> {
        let (bucket, key) = (self.bucket(bucket), self.key(key));
        if self.breaks("KV-DELETEIF-1") {
            return self.inner.delete(&bucket, &key).await;
        }
        self.inner.delete_if(&bucket, &key, version).await
    }

    async fn expire(&self, bucket: &BucketId, key: &Name, ttl: Option<Ttl>) -> Result<bool> {
        let (bucket, key) = (self.bucket(bucket), self.key(key));
        if self.breaks("KV-EXPIRE-1") {
            return self.inner.exists(&bucket, &key).await;
        }
        let done = self.inner.expire(&bucket, &key, ttl).await?;
        if self.breaks("KV-EXPIRE-2") && !done {
            self.inner.set(&bucket, &key, KvSet { ttl, ..write(b"") }).await?;
        }
        Ok(done)
    }

    async fn remaining(&self, bucket: &BucketId, key: &Name) -> Result<Option<Remaining>> {
        let (bucket, key) = (self.bucket(bucket), self.key(key));
        let left = self.inner.remaining(&bucket, &key).await?;
        Ok(if self.breaks("KV-TTL-1") { left.map(|_| Remaining::Forever) } else { left })
    }

    async fn increment(
        &self,
        bucket: &BucketId,
        key: &Name,
        by: i64,
        ttl: Option<Ttl>,
        op: OpId,
    ) -> Result<i64> {
        let (bucket, key) = (self.bucket(bucket), self.key(key));
        let count = self.memory(|memory| {
            memory.increments += 1;
            memory.increments
        });
        let by = if self.breaks("KV-INCR-1") && count.is_multiple_of(7) { 0 } else { by };
        let op = if self.breaks("KV-INCR-3") { OpId::random() } else { op };
        let sum = self.inner.increment(&bucket, &key, by, ttl, op).await;
        match sum {
            Ok(_) if self.breaks("KV-INCR-4") => {
                self.inner.expire(&bucket, &key, ttl).await?;
            }
            Err(error) if self.breaks("KV-INCR-2") => {
                self.inner.set(&bucket, &key, write(b"0")).await?;
                return Err(error);
            }
            _ => {}
        }
        sum
    }

    async fn scan(
        &self,
        bucket: &BucketId,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<(Name, KvEntry)>> {
        let bucket = self.bucket(bucket);
        let pattern = prefix.as_str().contains(['%', '_', '*']);
        let every = Prefix::default();
        let prefix = if self.breaks("KV-SCAN-2") && pattern { &every } else { prefix };
        let mut page = match self.inner.scan(&bucket, prefix, cursor, limit).await {
            Err(_) if self.breaks("KV-SCAN-5") => {
                self.inner.scan(&bucket, prefix, None, limit).await?
            }
            page => page?,
        };
        match self.clause {
            "KV-SCAN-1" => page.next = None,
            "KV-SCAN-3" => page.items.reverse(),
            "KV-SCAN-4" => {
                for all in self.memory(|memory| memory.buckets.clone()) {
                    page.items.extend(self.inner.scan(&all, prefix, None, limit).await?.items);
                }
            }
            _ => {}
        }
        Ok(page)
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        let limit = if self.breaks("KV-SWEEP-1") { Limit::new(PAGE_LIMIT)? } else { limit };
        self.inner.sweep(limit).await
    }
}
