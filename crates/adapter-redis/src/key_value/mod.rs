//! Keys and values.

mod records;

use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::{
    BucketId, Capabilities, Capability, Cursor, Error, KV_PAGE_BYTES, KeyValueStore, KvCondition,
    KvEntry, KvSet, Limit, Name, OpId, Page, Prefix, REPLAY_WINDOW, Remaining, Result, Ttl,
    check_bytes, check_kv_batch, kv_cursor, kv_op, kv_position, rules,
};

use redis::Cmd;

use crate::Redis;
use crate::directory::{Directory, SHARDS};
use crate::keys::Tag;
use crate::reply::{Fields, Reply};
use crate::script::Script;

/// The tags that hold entries.
const DIRECTORY: Directory = Directory('b');

const ENTRY: &str = include_str!("../lua/key_value/entry.lua");
static GET_MANY: Script = Script::reads(&[include_str!("../lua/key_value/get_many.lua")]);
static SET: Script =
    Script::writes(&[ENTRY, include_str!("../lua/key_value/set.lua")]).in_directory(DIRECTORY);
static INCREMENT: Script = Script::writes(&[ENTRY, include_str!("../lua/key_value/increment.lua")])
    .in_directory(DIRECTORY);
static DELETE: Script = Script::frees(&[ENTRY, include_str!("../lua/key_value/delete.lua")]);
static EXPIRE: Script = Script::writes(&[ENTRY, include_str!("../lua/key_value/expire.lua")]);
static REMAINING: Script = Script::reads(&[include_str!("../lua/key_value/remaining.lua")]);
static SCAN: Script = Script::reads(&[include_str!("../lua/key_value/scan.lua")]);
static SWEEP: Script = Script::frees(&[ENTRY, include_str!("../lua/key_value/sweep.lua")]);

/// Up to how many keys are read by plain commands, which cost the server less than a script does.
const PLAIN_READS: usize = 16;
/// The most bytes of values that one script is given.
const CALL_BYTES: usize = 16 * 1024 * 1024;

/// Keys and values in Redis. Durable as far as the server is: see `docs/redis.md`.
#[derive(Debug, Clone)]
pub struct RedisKeyValue(Redis);

impl Redis {
    /// The keys and values under this prefix.
    pub fn key_value(&self) -> RedisKeyValue {
        RedisKeyValue(self.clone())
    }

    fn bucket(&self, bucket: &BucketId) -> Tag {
        Tag::of_digest(self.prefix(), 'k', &bucket.digest())
    }
}

fn at(error: Error, bucket: &BucketId, key: &Name) -> Error {
    error.with("bucket", bucket).with("key", key)
}

fn micros(span: Duration) -> String {
    span.as_micros().to_string()
}

/// A span in microseconds that a script gave.
fn span(reply: Reply) -> Result<Duration> {
    Ok(Duration::from_micros(reply.uint()?))
}

fn entry(fields: &mut Fields) -> Result<KvEntry> {
    let value = fields.item()?.bytes()?;
    let version = fields.item()?.uint()?;
    let remaining = fields.optional()?.map(span).transpose()?;
    Ok(KvEntry { value, version, remaining })
}

/// A write, and what becomes of it where it is refused.
struct Write {
    key: Name,
    request: KvSet,
}

impl RedisKeyValue {
    /// Writes in one script, which is given them in order.
    async fn write(
        &self,
        operation: &'static str,
        bucket: &BucketId,
        writes: Vec<Write>,
    ) -> Result<Vec<Result<u64>>> {
        let tag = self.0.bucket(bucket);
        let mut call = self
            .0
            .script(&SET, &tag)
            .arg(bucket.tenant.as_str())
            .arg(bucket.name.as_str())
            .arg(micros(REPLAY_WINDOW))
            .arg(writes.len());
        let mut conditions = Vec::with_capacity(writes.len());
        for Write { key, request } in writes {
            let (condition, expected) = match request.condition {
                KvCondition::Always => ("", String::new()),
                KvCondition::IfAbsent => ("absent", String::new()),
                KvCondition::IfVersion(version) => ("version", version.to_string()),
            };
            let op = request.op.map(|op| kv_op("set", bucket, &key, op).to_hex());
            call = call
                .arg(key.as_str())
                .bytes(request.value)
                .ttl(request.ttl)
                .arg(condition)
                .arg(expected)
                .arg(op.unwrap_or_default());
            conditions.push((key, request.condition));
        }
        let mut answers = call.run(operation).await?.list()?;
        let mut written = Vec::with_capacity(conditions.len());
        for (key, condition) in conditions {
            let mut answer = answers.item()?.list()?;
            let done = answer.item()?.text()? == "done";
            let version = answer.optional()?.map(Reply::uint).transpose()?;
            written.push(match (done, version) {
                (true, Some(version)) => Ok(version),
                (true, None) => Err(Error::corrupt(operation, "a version is missing")),
                (false, live) => {
                    let refused = condition.check(operation, live).err().unwrap_or_else(|| {
                        Error::conflict(operation, "the entry changed meanwhile; repeat the call")
                    });
                    Err(at(refused, bucket, &key))
                }
            });
        }
        Ok(written)
    }

    /// The live entries of a few keys: plain reads in one round trip.
    async fn read(
        &self,
        operation: &'static str,
        tag: &Tag,
        keys: &[Name],
    ) -> Result<Vec<Option<KvEntry>>> {
        let read = |key: &Name| {
            let mut read = Cmd::new();
            read.arg("HMGET").arg(tag.key(&format!(":e:{key}"))).arg(&["v", "n", "x", "d"]);
            read
        };
        let reads: Vec<Cmd> = keys.iter().map(read).collect();
        let (now, rows) = self.0.read_with_time(operation, reads).await?;
        let live = |row: Reply| {
            let mut row = row.list()?;
            let (value, version) = (row.optional()?, row.optional()?);
            let ends = row.optional()?.map(Reply::time).transpose()?;
            let dead = row.optional()?.is_some() || ends.is_some_and(|end| end <= now);
            let (Some(value), Some(version), false) = (value, version, dead) else {
                return Ok(None);
            };
            let remaining = ends.map(|end| end.since(now));
            Ok(Some(KvEntry { value: value.bytes()?, version: version.uint()?, remaining }))
        };
        rows.map(live).collect()
    }

    /// How many live entries were removed, and the version that was not the expected one.
    async fn remove(
        &self,
        operation: &'static str,
        bucket: &BucketId,
        keys: &[Name],
        expected: Option<u64>,
    ) -> Result<(u64, Option<u64>)> {
        let tag = self.0.bucket(bucket);
        let expected = expected.map(|version| version.to_string()).unwrap_or_default();
        let call = self.0.script(&DELETE, &tag).arg(expected);
        let mut answer = call.list(keys).run(operation).await?.list()?;
        let removed = answer.item()?.uint()?;
        Ok((removed, answer.optional()?.map(Reply::uint).transpose()?))
    }
}

#[async_trait]
impl KeyValueStore for RedisKeyValue {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([Capability::Records, Capability::MultiProcess, Capability::OrderedScan])
    }

    async fn get_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<Vec<Option<KvEntry>>> {
        const OPERATION: &str = "key_value.get_many";
        check_kv_batch(OPERATION, keys.len())?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let tag = self.0.bucket(bucket);
        if keys.len() <= PLAIN_READS {
            return self.read(OPERATION, &tag, keys).await;
        }
        let found = self.0.script(&GET_MANY, &tag).list(keys).run(OPERATION).await?.list()?;
        found.map(|row| row.some().map(|row| entry(&mut row.list()?)).transpose()).collect()
    }

    async fn set(&self, bucket: &BucketId, key: &Name, request: KvSet) -> Result<u64> {
        const OPERATION: &str = "key_value.set";
        check_bytes(OPERATION, &request.value).map_err(|error| at(error, bucket, key))?;
        let write = Write { key: key.clone(), request };
        let written = self.write(OPERATION, bucket, vec![write]).await?.pop();
        written.unwrap_or_else(|| Err(Error::corrupt(OPERATION, "an answer is missing")))
    }

    async fn set_many(
        &self,
        bucket: &BucketId,
        writes: Vec<(Name, KvSet)>,
    ) -> Result<Vec<Result<u64>>> {
        const OPERATION: &str = "key_value.set_many";
        check_kv_batch(OPERATION, writes.len())?;
        let mut answers: Vec<Option<Result<u64>>> = Vec::with_capacity(writes.len());
        let (mut batch, mut places, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut writes = writes.into_iter().peekable();
        while let Some((key, request)) = writes.next() {
            match check_bytes(OPERATION, &request.value) {
                Err(error) => answers.push(Some(Err(at(error, bucket, &key)))),
                Ok(()) => {
                    bytes += request.value.len();
                    places.push(answers.len());
                    answers.push(None);
                    batch.push(Write { key, request });
                }
            }
            if bytes >= CALL_BYTES || (writes.peek().is_none() && !batch.is_empty()) {
                let sent = places.drain(..);
                match self.write(OPERATION, bucket, std::mem::take(&mut batch)).await {
                    Ok(written) => {
                        for (place, answer) in sent.zip(written) {
                            answers[place] = Some(answer);
                        }
                    }
                    // Each write is atomic by itself: what went before stands, and is told.
                    Err(error) => {
                        for place in sent {
                            answers[place] = Some(Err(error.shared()));
                        }
                    }
                }
                bytes = 0;
            }
        }
        let missing = || Err(Error::corrupt(OPERATION, "an answer is missing"));
        Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect())
    }

    async fn delete_many(&self, bucket: &BucketId, keys: &[Name]) -> Result<u64> {
        const OPERATION: &str = "key_value.delete_many";
        check_kv_batch(OPERATION, keys.len())?;
        if keys.is_empty() {
            return Ok(0);
        }
        Ok(self.remove(OPERATION, bucket, keys, None).await?.0)
    }

    async fn delete_if(&self, bucket: &BucketId, key: &Name, version: u64) -> Result<bool> {
        const OPERATION: &str = "key_value.delete_if";
        let one = std::slice::from_ref(key);
        let (removed, other) = self.remove(OPERATION, bucket, one, Some(version)).await?;
        if other.is_some() {
            KvCondition::IfVersion(version)
                .check(OPERATION, other)
                .map_err(|error| at(error, bucket, key))?;
        }
        Ok(removed > 0)
    }

    async fn expire(&self, bucket: &BucketId, key: &Name, ttl: Option<Ttl>) -> Result<bool> {
        let tag = self.0.bucket(bucket);
        let call = self.0.script(&EXPIRE, &tag).arg(key.as_str()).ttl(ttl);
        Ok(call.run("key_value.expire").await?.int()? == 1)
    }

    async fn remaining(&self, bucket: &BucketId, key: &Name) -> Result<Option<Remaining>> {
        let tag = self.0.bucket(bucket);
        let call = self.0.script(&REMAINING, &tag).arg(key.as_str());
        let Some(left) = call.run("key_value.remaining").await?.some() else { return Ok(None) };
        let text = left.text()?;
        if text.is_empty() {
            return Ok(Some(Remaining::Forever));
        }
        let left = Reply::new("key_value.remaining", redis::Value::BulkString(text.into_bytes()));
        Ok(Some(Remaining::For(span(left)?)))
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
        let tag = self.0.bucket(bucket);
        let mut answer = self
            .0
            .script(&INCREMENT, &tag)
            .arg(bucket.tenant.as_str())
            .arg(bucket.name.as_str())
            .arg(micros(REPLAY_WINDOW))
            .arg(key.as_str())
            .arg(by.to_string())
            .ttl(ttl)
            .arg(kv_op("increment", bucket, key, op).to_hex())
            .run(OPERATION)
            .await?
            .list()?;
        if answer.item()?.text()? == "done" {
            return answer.item()?.int();
        }
        // The rule says what is wrong with what was found.
        let found = answer.item()?.bytes()?;
        let refused = rules::add(OPERATION, Some(&found), by).err().unwrap_or_else(|| {
            Error::corrupt(OPERATION, "Redis refused a sum that the rule allows")
        });
        Err(at(refused, bucket, key))
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
        let mut from = match &after {
            Some(after) => bound(b'(', after.as_str().as_bytes()),
            None => bound(b'[', prefix.as_str().as_bytes()),
        };
        let to = prefix.end().map_or_else(|| vec![b'+'], |end| bound(b'(', &end));
        let tag = self.0.bucket(bucket);
        let (mut page, mut bytes) = (Page::default(), 0);
        loop {
            let mut answer = self
                .0
                .script(&SCAN, &tag)
                .bytes(from)
                .bytes(to.clone())
                .arg(limit.as_usize() - page.items.len())
                .arg(KV_PAGE_BYTES.saturating_sub(bytes))
                .run(OPERATION)
                .await?
                .list()?;
            let done = answer.item()?.int()? == 1;
            let last = answer.optional()?.map(Reply::bytes).transpose()?;
            for row in answer.item()?.list()? {
                let mut row = row.list()?;
                let key = Name::new(row.item()?.text()?)?;
                let entry = entry(&mut row)?;
                bytes += entry.value.len();
                page.items.push((key, entry));
            }
            let full = page.items.len() >= limit.as_usize() || bytes >= KV_PAGE_BYTES;
            match last {
                Some(last) if !done && !full => from = bound(b'(', &last),
                _ => {
                    page.next = page.items.last().filter(|_| !done).map(|(key, _)| kv_cursor(key));
                    return Ok(page);
                }
            }
        }
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        const OPERATION: &str = "key_value.sweep";
        let mut freed = 0;
        for shard in 0..SHARDS {
            let mut after = String::new();
            loop {
                let page = DIRECTORY.page(&self.0, OPERATION, shard, &after).await?;
                let Some(last) = page.last() else { break };
                last.tag.as_str().clone_into(&mut after);
                for known in &page {
                    let left = u64::from(limit.get()) - freed;
                    let call = self.0.script(&SWEEP, &known.tag).arg(left);
                    let mut answer = call.run(OPERATION).await?.list()?;
                    freed += answer.item()?.uint()?;
                    if answer.item()?.int()? == 1 {
                        DIRECTORY.forget(&self.0, OPERATION, known).await?;
                    }
                    if freed >= u64::from(limit.get()) {
                        return Ok(freed);
                    }
                }
            }
        }
        Ok(freed)
    }
}

/// An end of a range of names: `[` with, `(` without the name itself.
pub(crate) fn bound(kind: u8, name: &[u8]) -> Vec<u8> {
    let mut bound = vec![kind];
    bound.extend_from_slice(name);
    bound
}
