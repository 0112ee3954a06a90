//! Keys and values.

mod records;

use async_trait::async_trait;
use hexmem_ports::{
    BucketId, Capabilities, Capability, Cursor, Error, KV_PAGE_BYTES, KV_TOMBSTONE_RETENTION,
    KeyValueStore, KvCondition, KvEntry, KvSet, Limit, Name, OpId, Page, Prefix, REPLAY_WINDOW,
    Remaining, Result, Ttl, check_bytes, check_kv_batch, kv_cursor, kv_op, kv_position, rules,
};

use crate::Postgres;
use crate::value::{Hash, last_of, micros, span};

/// The most bytes of values in one statement of [`KeyValueStore::set_many`]; the rest goes into the next one.
const STATEMENT_BYTES: usize = 32 * 1024 * 1024;

/// Keys and values of a schema.
#[derive(Debug, Clone)]
pub struct PgKeyValue(Postgres);

impl Postgres {
    /// The keys and values of this schema.
    pub fn key_value(&self) -> PgKeyValue {
        PgKeyValue(self.clone())
    }
}

fn corrupt(operation: &'static str, column: &'static str) -> Error {
    Error::corrupt(operation, "a stored entry is not what this program wrote; restore a backup")
        .with("column", column)
}

fn number(operation: &'static str, version: i64) -> Result<u64> {
    u64::try_from(version).map_err(|_| corrupt(operation, "version"))
}

fn name(operation: &'static str, key: String) -> Result<Name> {
    Name::new(key).map_err(|_| corrupt(operation, "key"))
}

/// A version as the column has it. One that no entry can have stays one.
fn column(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// As `hexmem.kv_set` takes it: the kind, and the version that is expected.
fn condition(condition: KvCondition) -> (i16, Option<i64>) {
    match condition {
        KvCondition::Always => (0, None),
        KvCondition::IfAbsent => (1, None),
        KvCondition::IfVersion(version) => (2, Some(column(version))),
    }
}

/// What `hexmem.kv_set` answers, as the port says it.
fn written(
    operation: &'static str,
    (bucket, key): (&BucketId, &Name),
    wanted: KvCondition,
    (done, version): (bool, Option<i64>),
) -> Result<u64> {
    let version = version.map(|version| number(operation, version)).transpose()?;
    if done {
        return version.ok_or_else(|| corrupt(operation, "version"));
    }
    let refused = wanted.check(operation, version);
    let refused = refused.err().unwrap_or_else(|| {
        Error::conflict(operation, "the key changes too often; repeat the call")
    });
    Err(refused.with("bucket", bucket).with("key", key))
}

#[async_trait]
impl KeyValueStore for PgKeyValue {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([
            Capability::Records,
            Capability::OrderedScan,
            Capability::Durable,
            Capability::MultiProcess,
        ])
    }

    async fn get_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<Vec<Option<KvEntry>>> {
        const OPERATION: &str = "key_value.get_many";
        check_kv_batch(OPERATION, keys.len())?;
        let mut entries = vec![None; keys.len()];
        if keys.is_empty() {
            return Ok(entries);
        }
        let keys: Vec<&str> = keys.iter().map(Name::as_str).collect();
        let found: Vec<(i64, i64, Option<i64>, Vec<u8>)> = self
            .0
            .read(OPERATION, include_str!("../sql/key_value/get_many.sql"))
            .bind(Hash(bucket.digest()))
            .bind(keys)
            .fetch_all()
            .await?;
        for (place, version, left, value) in found {
            // Places count from 1.
            let slot = usize::try_from(place - 1).ok().and_then(|place| entries.get_mut(place));
            if let Some(slot) = slot {
                let version = number(OPERATION, version)?;
                *slot = Some(KvEntry { value, version, remaining: left.map(span) });
            }
        }
        Ok(entries)
    }

    async fn set(&self, bucket: &BucketId, key: &Name, request: KvSet) -> Result<u64> {
        const OPERATION: &str = "key_value.set";
        check_bytes(OPERATION, &request.value)?;
        let (kind, expected) = condition(request.condition);
        let answer = self
            .0
            .write(OPERATION, include_str!("../sql/key_value/set.sql"))
            .bind(Hash(bucket.digest()))
            .bind(bucket.tenant.as_str())
            .bind(bucket.name.as_str())
            .bind(key.as_str())
            .bind(request.value)
            .bind(request.ttl.map(Ttl::as_micros))
            .bind(kind)
            .bind(expected)
            .bind(request.op.map(|op| Hash(kv_op("set", bucket, key, op))))
            .bind(micros(REPLAY_WINDOW))
            .fetch_one()
            .await?;
        written(OPERATION, (bucket, key), request.condition, answer)
    }

    async fn set_many(
        &self,
        bucket: &BucketId,
        writes: Vec<(Name, KvSet)>,
    ) -> Result<Vec<Result<u64>>> {
        const OPERATION: &str = "key_value.set_many";
        check_kv_batch(OPERATION, writes.len())?;
        let mut answers = Vec::with_capacity(writes.len());
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (key, request) in writes {
            if bytes > 0 && bytes + request.value.len() > STATEMENT_BYTES {
                self.set_batch(bucket, std::mem::take(&mut batch), &mut answers).await?;
                bytes = 0;
            }
            bytes += request.value.len();
            batch.push((key, request));
        }
        self.set_batch(bucket, batch, &mut answers).await?;
        Ok(answers)
    }

    async fn delete_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<u64> {
        const OPERATION: &str = "key_value.delete_many";
        check_kv_batch(OPERATION, keys.len())?;
        if keys.is_empty() {
            return Ok(0);
        }
        let keys: Vec<&str> = keys.iter().map(Name::as_str).collect();
        let (removed,): (i64,) = self
            .0
            .write(OPERATION, include_str!("../sql/key_value/delete_many.sql"))
            .bind(Hash(bucket.digest()))
            .bind(keys)
            .bind(micros(KV_TOMBSTONE_RETENTION))
            .fetch_one()
            .await?;
        Ok(u64::try_from(removed).unwrap_or(0))
    }

    async fn delete_if(&self, bucket: &BucketId, key: &Name, version: u64) -> Result<bool> {
        const OPERATION: &str = "key_value.delete_if";
        let (removed, held): (bool, Option<i64>) = self
            .0
            .write(OPERATION, include_str!("../sql/key_value/delete_if.sql"))
            .bind(Hash(bucket.digest()))
            .bind(key.as_str())
            .bind(column(version))
            .bind(micros(KV_TOMBSTONE_RETENTION))
            .fetch_one()
            .await?;
        let Some(held) = held else { return Ok(removed) };
        let held = number(OPERATION, held)?;
        KvCondition::IfVersion(version)
            .check(OPERATION, Some(held))
            .map_err(|e| e.with("bucket", bucket).with("key", key))?;
        Ok(removed)
    }

    async fn expire(&self, bucket: &BucketId, key: &Name, ttl: Option<Ttl>) -> Result<bool> {
        let changed = self
            .0
            .write("key_value.expire", include_str!("../sql/key_value/expire.sql"))
            .bind(Hash(bucket.digest()))
            .bind(key.as_str())
            .bind(ttl.map(Ttl::as_micros))
            .execute()
            .await?;
        Ok(changed > 0)
    }

    async fn remaining(&self, bucket: &BucketId, key: &Name) -> Result<Option<Remaining>> {
        let left: Option<(Option<i64>,)> = self
            .0
            .read("key_value.remaining", include_str!("../sql/key_value/remaining.sql"))
            .bind(Hash(bucket.digest()))
            .bind(key.as_str())
            .fetch_optional()
            .await?;
        let left = left.map(|(left,)| left.map(span));
        Ok(left.map(|left| left.map_or(Remaining::Forever, Remaining::For)))
    }

    async fn increment(
        &self,
        bucket: &BucketId,
        key: &Name,
        by: i64,
        ttl: Option<Ttl>,
        op: OpId,
    ) -> Result<i64> {
        const OPERATION: &str = "key_value.increment";
        let (outcome, total): (Option<i16>, Option<i64>) = self
            .0
            .write(OPERATION, include_str!("../sql/key_value/increment.sql"))
            .bind(Hash(bucket.digest()))
            .bind(bucket.tenant.as_str())
            .bind(bucket.name.as_str())
            .bind(key.as_str())
            .bind(by)
            .bind(ttl.map(Ttl::as_micros))
            .bind(Hash(kv_op("increment", bucket, key, op)))
            .bind(micros(REPLAY_WINDOW))
            .fetch_one()
            .await?;
        let refused = match (outcome, total) {
            (Some(0), Some(sum)) => return Ok(sum),
            (Some(1), _) => rules::add(OPERATION, Some(b"no number"), by),
            (Some(2), Some(held)) => rules::add(OPERATION, Some(held.to_string().as_bytes()), by),
            _ => Err(Error::conflict(OPERATION, "the key changes too often; repeat the call")),
        };
        // What the function refused, the rule refuses.
        let refused = refused.err().unwrap_or_else(|| corrupt(OPERATION, "value"));
        Err(refused.with("bucket", bucket).with("key", key))
    }

    async fn scan(
        &self,
        bucket: &BucketId,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<(Name, KvEntry)>> {
        const OPERATION: &str = "key_value.scan";
        let after = cursor.map(|cursor| kv_position(OPERATION, prefix, &cursor)).transpose()?;
        let rows: Vec<(String, i64, Option<i64>, Vec<u8>, bool)> = self
            .0
            .read(OPERATION, include_str!("../sql/key_value/scan.sql"))
            .bind(Hash(bucket.digest()))
            // No key is empty.
            .bind(after.as_ref().map_or("", Name::as_str))
            .bind(prefix.as_str())
            .bind(last_of(prefix))
            .bind(i64::from(limit.get()))
            .bind(i64::try_from(KV_PAGE_BYTES).unwrap_or(i64::MAX))
            .fetch_all()
            .await?;
        let more = rows.last().is_some_and(|row| row.4);
        let mut page = Page { items: Vec::with_capacity(rows.len()), next: None };
        for (key, version, left, value, _) in rows {
            let version = number(OPERATION, version)?;
            let entry = KvEntry { value, version, remaining: left.map(span) };
            page.items.push((name(OPERATION, key)?, entry));
        }
        if more {
            page.next = page.items.last().map(|(key, _)| kv_cursor(key));
        }
        Ok(page)
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        self.0
            .write("key_value.sweep", include_str!("../sql/key_value/sweep.sql"))
            .bind(i64::from(limit.get()))
            .execute()
            .await
    }
}

impl PgKeyValue {
    /// Writes `batch` in one statement and adds the answers, in their order.
    async fn set_batch(
        &self,
        bucket: &BucketId,
        batch: Vec<(Name, KvSet)>,
        answers: &mut Vec<Result<u64>>,
    ) -> Result<()> {
        const OPERATION: &str = "key_value.set_many";
        let first = answers.len();
        let mut places = Vec::new();
        let (mut keys, mut values, mut ttls) = (Vec::new(), Vec::new(), Vec::new());
        let (mut kinds, mut expected, mut ops) = (Vec::new(), Vec::new(), Vec::new());
        for (key, request) in batch {
            let refused = check_bytes(OPERATION, &request.value).err();
            let refused = refused.map(|e| e.with("bucket", bucket).with("key", &key));
            if refused.is_none() {
                let (kind, version) = condition(request.condition);
                ops.push(request.op.map(|op| Hash(kv_op("set", bucket, &key, op))));
                kinds.push(kind);
                expected.push(version);
                ttls.push(request.ttl.map(Ttl::as_micros));
                values.push(request.value);
                places.push((answers.len(), request.condition));
                keys.push(key);
            }
            // Until the answer is there.
            answers.push(refused.map_or(Ok(0), Err));
        }
        if keys.is_empty() {
            return Ok(());
        }
        let texts: Vec<&str> = keys.iter().map(Name::as_str).collect();
        let done: Vec<(i64, bool, Option<i64>)> = self
            .0
            .write(OPERATION, include_str!("../sql/key_value/set_many.sql"))
            .bind(Hash(bucket.digest()))
            .bind(bucket.tenant.as_str())
            .bind(bucket.name.as_str())
            .bind(texts)
            .bind(values)
            .bind(ttls)
            .bind(kinds)
            .bind(expected)
            .bind(ops)
            .bind(micros(REPLAY_WINDOW))
            .fetch_all()
            .await?;
        if done.len() != keys.len() {
            return Err(corrupt(OPERATION, "place").with("first", first));
        }
        for (place, was_written, version) in done {
            let at = usize::try_from(place - 1).ok();
            let (at, key) = (at.and_then(|at| places.get(at)), at.and_then(|at| keys.get(at)));
            let (Some((slot, wanted)), Some(key)) = (at, key) else { continue };
            if let Some(slot) = answers.get_mut(*slot) {
                *slot = written(OPERATION, (bucket, key), *wanted, (was_written, version));
            }
        }
        Ok(())
    }
}
