//! Keys and values.

mod records;
mod rows;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use hexmem_ports::{
    BucketId, Capabilities, Capability, Cursor, Digest, Error, KV_PAGE_BYTES, KeyValueStore,
    KvCondition, KvEntry, KvSet, KvState, Limit, Name, OpId, Page, Prefix, Remaining, Result, Ttl,
    check_bytes, check_kv_batch, kv_cursor, kv_op, kv_position, rules,
};

use crate::{Database, WriteTx};
use rows::{EntryRow, StateRow};

/// Keys and values of a file.
#[derive(Debug, Clone)]
pub struct SqliteKeyValue(Database);

impl Database {
    /// The keys and values of this file.
    pub fn key_value(&self) -> SqliteKeyValue {
        SqliteKeyValue(self.clone())
    }
}

/// One key in a change: the address, and the digest that statements find its bucket by.
struct Target<'a> {
    bucket: &'a BucketId,
    digest: Digest,
    key: &'a Name,
}

impl<'a> Target<'a> {
    fn new(bucket: &'a BucketId, key: &'a Name) -> Self {
        Self { bucket, digest: bucket.digest(), key }
    }

    fn key(&self) -> &[u8] {
        self.key.as_str().as_bytes()
    }

    fn at(&self, error: Error) -> Error {
        error.with("bucket", self.bucket).with("key", self.key)
    }

    /// The state of the key, dead or alive.
    async fn held(&self, tx: &mut WriteTx) -> Result<Option<KvState>> {
        let row: Option<StateRow> = sqlx::query_as(include_str!("../sql/key_value/state.sql"))
            .bind(self.digest.0.as_slice())
            .bind(self.key())
            .fetch_optional(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        row.map(|row| rows::state(tx.operation(), row)).transpose()
    }

    async fn live(&self, tx: &mut WriteTx) -> Result<Option<KvState>> {
        let now = tx.now();
        Ok(self.held(tx).await?.filter(|held| held.is_live(now)))
    }

    async fn value(&self, tx: &mut WriteTx) -> Result<Vec<u8>> {
        sqlx::query_scalar(include_str!("../sql/key_value/value.sql"))
            .bind(self.digest.0.as_slice())
            .bind(self.key())
            .fetch_one(tx.connection())
            .await
            .map_err(|e| tx.error(e))
    }

    /// Writes the row. `is_new` where no row was there, so that the bucket may be missing too.
    async fn put(
        &self,
        tx: &mut WriteTx,
        state: KvState,
        value: Option<&[u8]>,
        is_new: bool,
    ) -> Result<()> {
        if is_new {
            sqlx::query(include_str!("../sql/key_value/bucket.sql"))
                .bind(self.digest.0.as_slice())
                .bind(self.bucket.tenant.as_str())
                .bind(self.bucket.name.as_str())
                .execute(tx.connection())
                .await
                .map_err(|e| tx.error(e))?;
        }
        sqlx::query(include_str!("../sql/key_value/put.sql"))
            .bind(self.digest.0.as_slice())
            .bind(self.key())
            .bind(rows::version(state.version))
            .bind(state.modified_at.as_micros())
            .bind(state.expires_at.map(|end| end.as_micros()))
            .bind(state.deleted_at.map(|end| end.as_micros()))
            .bind(state.free_at().map(|end| end.as_micros()))
            .bind(value)
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        Ok(())
    }

    async fn set(&self, tx: &mut WriteTx, request: &KvSet) -> Result<Result<u64>> {
        if let Err(refused) = check_bytes(tx.operation(), &request.value) {
            return Ok(Err(self.at(refused)));
        }
        let op = request.op.map(|op| kv_op("set", self.bucket, self.key, op));
        if let Some(op) = &op
            && let Some(first) = tx.replayed(op).await?
        {
            return rows::number(tx.operation(), &first).map(|version| Ok(version.cast_unsigned()));
        }
        let (now, held) = (tx.now(), self.held(tx).await?);
        let live = held.and_then(|held| held.live_version(now));
        if let Err(refused) = request.condition.check(tx.operation(), live) {
            return Ok(Err(self.at(refused)));
        }
        let state = KvState::written(held, request.ttl, now);
        self.put(tx, state, Some(&request.value), held.is_none()).await?;
        if let Some(op) = &op {
            tx.remember(op, &rows::version(state.version).to_be_bytes()).await?;
        }
        Ok(Ok(state.version))
    }

    async fn delete(&self, tx: &mut WriteTx, live: KvState) -> Result<()> {
        let state = live.deleted(tx.now());
        self.put(tx, state, None, false).await
    }
}

#[async_trait]
impl KeyValueStore for SqliteKeyValue {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([
            Capability::Records,
            Capability::OrderedScan,
            Capability::Durable,
            Capability::MultiProcess,
        ])
    }

    async fn get_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<Vec<Option<KvEntry>>> {
        check_kv_batch("key_value.get_many", keys.len())?;
        let mut entries = vec![None; keys.len()];
        if keys.is_empty() {
            return Ok(entries);
        }
        let mut read = self.0.read("key_value.get_many").await?;
        let now = read.now();
        let keys: Vec<&str> = keys.iter().map(Name::as_str).collect();
        let found: Vec<(i64, i64, i64, Option<i64>, Option<i64>, Vec<u8>)> =
            sqlx::query_as(include_str!("../sql/key_value/get_many.sql"))
                .bind(bucket.digest().0.as_slice())
                .bind(serde_json::Value::from(keys).to_string())
                .bind(now.as_micros())
                .fetch_all(read.connection())
                .await
                .map_err(|e| read.error(e))?;
        for (place, version, modified_at, expires_at, deleted_at, value) in found {
            let state =
                rows::state(read.operation(), (version, modified_at, expires_at, deleted_at))?;
            let slot = usize::try_from(place).ok().and_then(|place| entries.get_mut(place));
            if let Some(slot) = slot {
                *slot = rows::entry(state, value, now);
            }
        }
        Ok(entries)
    }

    async fn set(&self, bucket: &BucketId, key: &Name, request: KvSet) -> Result<u64> {
        check_bytes("key_value.set", &request.value)?;
        let mut tx = self.0.write("key_value.set").await?;
        let version = Target::new(bucket, key).set(&mut tx, &request).await??;
        tx.commit().await?;
        Ok(version)
    }

    async fn set_many(
        &self,
        bucket: &BucketId,
        writes: Vec<(Name, KvSet)>,
    ) -> Result<Vec<Result<u64>>> {
        check_kv_batch("key_value.set_many", writes.len())?;
        let mut answers = Vec::with_capacity(writes.len());
        if writes.is_empty() {
            return Ok(answers);
        }
        // A refused write has changed nothing, so the others can share one transaction with it.
        let mut tx = self.0.write("key_value.set_many").await?;
        for (key, request) in &writes {
            answers.push(Target::new(bucket, key).set(&mut tx, request).await?);
        }
        tx.commit().await?;
        Ok(answers)
    }

    async fn delete_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<u64> {
        check_kv_batch("key_value.delete_many", keys.len())?;
        if keys.is_empty() {
            return Ok(0);
        }
        let mut tx = self.0.write("key_value.delete_many").await?;
        let mut removed = 0;
        for key in keys {
            let target = Target::new(bucket, key);
            if let Some(live) = target.live(&mut tx).await? {
                target.delete(&mut tx, live).await?;
                removed += 1;
            }
        }
        tx.commit().await?;
        Ok(removed)
    }

    async fn delete_if(&self, bucket: &BucketId, key: &Name, version: u64) -> Result<bool> {
        let mut tx = self.0.write("key_value.delete_if").await?;
        let target = Target::new(bucket, key);
        let Some(live) = target.live(&mut tx).await? else { return Ok(false) };
        KvCondition::IfVersion(version)
            .check(tx.operation(), Some(live.version))
            .map_err(|e| target.at(e))?;
        target.delete(&mut tx, live).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn expire(&self, bucket: &BucketId, key: &Name, ttl: Option<Ttl>) -> Result<bool> {
        let mut tx = self.0.write("key_value.expire").await?;
        let target = Target::new(bucket, key);
        let Some(live) = target.live(&mut tx).await? else { return Ok(false) };
        let state = live.expiring(ttl, tx.now());
        sqlx::query(include_str!("../sql/key_value/expire.sql"))
            .bind(target.digest.0.as_slice())
            .bind(target.key())
            .bind(rows::version(state.version))
            .bind(state.modified_at.as_micros())
            .bind(state.expires_at.map(|end| end.as_micros()))
            .bind(state.free_at().map(|end| end.as_micros()))
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        tx.commit().await?;
        Ok(true)
    }

    async fn remaining(&self, bucket: &BucketId, key: &Name) -> Result<Option<Remaining>> {
        let mut read = self.0.read("key_value.remaining").await?;
        let row: Option<StateRow> = sqlx::query_as(include_str!("../sql/key_value/state.sql"))
            .bind(bucket.digest().0.as_slice())
            .bind(key.as_str().as_bytes())
            .fetch_optional(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        let held = row.map(|row| rows::state(read.operation(), row)).transpose()?;
        Ok(held.and_then(|held| held.remaining(read.now())))
    }

    async fn increment(
        &self,
        bucket: &BucketId,
        key: &Name,
        by: i64,
        ttl: Option<Ttl>,
        op: OpId,
    ) -> Result<i64> {
        let mut tx = self.0.write("key_value.increment").await?;
        let target = Target::new(bucket, key);
        let op = kv_op("increment", bucket, key, op);
        if let Some(first) = tx.replayed(&op).await? {
            return rows::number(tx.operation(), &first);
        }
        let (now, held) = (tx.now(), target.held(&mut tx).await?);
        let live = held.filter(|held| held.is_live(now));
        let value = match live {
            Some(_) => Some(target.value(&mut tx).await?),
            None => None,
        };
        let sum = rules::add(tx.operation(), value.as_deref(), by).map_err(|e| target.at(e))?;
        let state = KvState::counted(held, ttl, now);
        let text = sum.to_string();
        target.put(&mut tx, state, Some(text.as_bytes()), held.is_none()).await?;
        tx.remember(&op, &sum.to_be_bytes()).await?;
        tx.commit().await?;
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
        let mut read = self.0.read("key_value.scan").await?;
        let (now, operation) = (read.now(), read.operation());
        // The first key after `after`, bytewise: keys contain no NUL.
        let start = match &after {
            Some(after) => [after.as_str().as_bytes(), &[0]].concat(),
            None => prefix.as_str().as_bytes().to_vec(),
        };
        let (mut page, mut bytes, mut more) = (Page::default(), 0, false);
        let mut rows = sqlx::query_as(include_str!("../sql/key_value/scan.sql"))
            .bind(bucket.digest().0.to_vec())
            .bind(start)
            .bind(prefix.end().unwrap_or_else(|| vec![0xff]))
            .bind(now.as_micros())
            // One more than asked for, to tell whether it goes on.
            .bind(i64::from(limit.get()) + 1)
            .fetch(read.connection());
        let failed = loop {
            let row: EntryRow = match rows.try_next().await {
                Ok(Some(row)) => row,
                Ok(None) => break None,
                Err(error) => break Some(error),
            };
            if page.items.len() == limit.as_usize() || bytes >= KV_PAGE_BYTES {
                more = true;
                break None;
            }
            let (key, version, modified_at, expires_at, deleted_at, value) = row;
            bytes += value.len();
            let state = rows::state(operation, (version, modified_at, expires_at, deleted_at))?;
            let key = rows::key(operation, key)?;
            page.items.extend(rows::entry(state, value, now).map(|entry| (key, entry)));
        };
        drop(rows);
        if let Some(error) = failed {
            return Err(read.error(error));
        }
        if more {
            page.next = page.items.last().map(|(key, _)| kv_cursor(key));
        }
        Ok(page)
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        let mut tx = self.0.write("key_value.sweep").await?;
        let now = tx.now().as_micros();
        let freed = sqlx::query(include_str!("../sql/key_value/sweep.sql"))
            .bind(now)
            .bind(limit.get())
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?
            .rows_affected();
        tx.commit().await?;
        Ok(freed)
    }
}
