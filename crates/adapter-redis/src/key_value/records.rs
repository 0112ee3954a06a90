//! Records of keys and values.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hexmem_ports::{
    BucketId, Cursor, Error, KV_PAGE_BYTES, KvRecord, KvState, Limit, Name, Page, Record,
    RecordKind, Records, Restored, Result, Tenant, from_hex, to_hex,
};

use super::{CALL_BYTES, DIRECTORY, ENTRY, RedisKeyValue, bound};
use crate::directory::SHARDS;
use crate::keys::Tag;
use crate::reply::Reply;
use crate::script::Script;

static RECORDS: Script = Script::reads(&[include_str!("../lua/key_value/records.lua")]);
static RESTORE: Script =
    Script::writes(&[ENTRY, include_str!("../lua/key_value/restore.lua")]).in_directory(DIRECTORY);

/// Where a scan goes on: in this shard of the directory, at this tag, after this key.
#[derive(Default)]
struct Position {
    shard: u16,
    tag: String,
    key: Option<Vec<u8>>,
}

impl Position {
    fn cursor(&self) -> Cursor {
        let key = self.key.as_deref().map(to_hex).unwrap_or_default();
        Cursor(format!("{}.{}.{key}", self.shard, to_hex(self.tag.as_bytes())))
    }

    fn read(cursor: &Cursor) -> Option<Self> {
        let mut parts = cursor.0.split('.');
        let shard = parts.next()?.parse().ok().filter(|shard| *shard < SHARDS)?;
        let tag = String::from_utf8(from_hex(parts.next()?)?).ok()?;
        let key = from_hex(parts.next()?).filter(|key| !key.is_empty());
        parts.next().is_none().then_some(Self { shard, tag, key })
    }
}

fn record(tenant: &Name, bucket: &Name, row: Reply) -> Result<KvRecord> {
    let mut row = row.list()?;
    let key = Name::new(row.item()?.text()?)?;
    let mut fields = row.item()?.list()?;
    let state = KvState {
        version: fields.item()?.uint()?,
        modified_at: fields.item()?.time()?,
        expires_at: fields.optional()?.map(Reply::time).transpose()?,
        deleted_at: fields.optional()?.map(Reply::time).transpose()?,
    };
    let value = fields.optional()?.map(Reply::bytes).transpose()?;
    let bucket = BucketId::new(Tenant(tenant.clone()), bucket.clone());
    Ok(KvRecord { bucket, key, state, value })
}

impl RedisKeyValue {
    /// Records of one tag after `key`; whether they were the last.
    async fn of_tag(
        &self,
        tag: &Tag,
        key: Option<&[u8]>,
        limit: usize,
        most: usize,
    ) -> Result<(bool, Vec<KvRecord>)> {
        let from = key.map_or_else(|| vec![b'-'], |key| bound(b'(', key));
        let call = self.0.script(&RECORDS, tag).bytes(from).arg(limit).arg(most);
        let mut answer = call.run("key_value.records").await?.list()?;
        let (tenant, bucket) = (answer.optional()?, answer.optional()?);
        let done = answer.item()?.int()? == 1;
        let rows = answer.item()?.list()?;
        // Announced, and nothing written yet.
        let (Some(tenant), Some(bucket)) = (tenant, bucket) else { return Ok((true, Vec::new())) };
        let (tenant, bucket) = (Name::new(tenant.text()?)?, Name::new(bucket.text()?)?);
        let rows = rows.map(|row| record(&tenant, &bucket, row)).collect::<Result<_>>()?;
        Ok((done, rows))
    }

    /// Restores records of one bucket, few enough for one script.
    async fn restore_some(&self, bucket: &BucketId, some: Vec<KvRecord>) -> Result<Vec<Restored>> {
        let tag = self.0.bucket(bucket);
        let mut call = self
            .0
            .script(&RESTORE, &tag)
            .arg(bucket.tenant.as_str())
            .arg(bucket.name.as_str())
            .arg(some.len());
        for KvRecord { key, state, value, .. } in some {
            call = call
                .arg(key.as_str())
                .arg(state.version.to_string())
                .time(Some(state.modified_at))
                .time(state.expires_at)
                .time(state.deleted_at)
                .bytes(value.unwrap_or_default());
        }
        let restored =
            |row: Reply| Ok(if row.int()? == 1 { Restored::Written } else { Restored::Kept });
        call.run("key_value.restore").await?.list()?.map(restored).collect()
    }
}

#[async_trait]
impl Records for RedisKeyValue {
    fn kind(&self) -> RecordKind {
        RecordKind::KeyValue
    }

    async fn scan(&self, after: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        const OPERATION: &str = "key_value.records";
        let mut at = match &after {
            None => Position::default(),
            Some(cursor) => Position::read(cursor).ok_or_else(|| {
                Error::invalid(OPERATION, "the cursor is not one that this scan gave")
            })?,
        };
        let (mut page, mut bytes) = (Page::default(), 0);
        loop {
            // The tag in which the last page ended comes first, then those after it.
            let mut tags = Vec::new();
            if at.key.is_some() {
                tags.push(Tag::known(at.tag.clone()));
            }
            let known = DIRECTORY.page(&self.0, OPERATION, at.shard, &at.tag).await?;
            let last_of_shard = known.is_empty();
            tags.extend(known.into_iter().map(|known| known.tag));
            for tag in tags {
                let key = at.key.take();
                tag.as_str().clone_into(&mut at.tag);
                let left = limit.as_usize() - page.items.len();
                let most = KV_PAGE_BYTES.saturating_sub(bytes);
                let (done, rows) = self.of_tag(&tag, key.as_deref(), left, most).await?;
                for row in rows {
                    bytes += row.value.as_ref().map_or(0, Vec::len);
                    at.key = Some(row.key.as_str().as_bytes().to_vec());
                    page.items.push(row.into());
                }
                if done {
                    at.key = None;
                }
                if page.items.len() >= limit.as_usize() || bytes >= KV_PAGE_BYTES {
                    page.next = Some(at.cursor());
                    return Ok(page);
                }
            }
            if last_of_shard {
                at = Position { shard: at.shard + 1, ..Position::default() };
                if at.shard >= SHARDS {
                    return Ok(page);
                }
            }
        }
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let entries =
            records.into_iter().map(KvRecord::try_from).collect::<Result<Vec<KvRecord>>>()?;
        let mut answers = vec![Restored::Kept; entries.len()];
        let mut buckets: BTreeMap<BucketId, Vec<(usize, KvRecord)>> = BTreeMap::new();
        for (place, entry) in entries.into_iter().enumerate() {
            buckets.entry(entry.bucket.clone()).or_default().push((place, entry));
        }
        for (bucket, entries) in buckets {
            let mut entries = entries.into_iter().peekable();
            while entries.peek().is_some() {
                let (mut places, mut some, mut bytes) = (Vec::new(), Vec::new(), 0);
                while let Some((place, entry)) =
                    entries.next_if(|_| some.len() < 1_000 && bytes < CALL_BYTES)
                {
                    bytes += entry.value.as_ref().map_or(0, Vec::len);
                    places.push(place);
                    some.push(entry);
                }
                let restored = self.restore_some(&bucket, some).await?;
                for (place, answer) in places.into_iter().zip(restored) {
                    answers[place] = answer;
                }
            }
        }
        Ok(answers)
    }
}
