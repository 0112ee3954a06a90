//! Records of keys and values in process.

use std::ops::Bound;

use async_trait::async_trait;
use hexmem_ports::{
    BucketId, Cursor, Error, KV_PAGE_BYTES, KvRecord, Limit, Name, Page, Record, RecordKind,
    Records, Restored, Result, Tenant, from_hex, to_hex,
};

use super::{MemoryKeyValue, Row};

/// Where a scan goes on: after this key of this bucket.
fn cursor(bucket: &BucketId, key: &Name) -> Cursor {
    let parts = [bucket.tenant.as_str(), bucket.name.as_str(), key.as_str()];
    Cursor(parts.map(|part| to_hex(part.as_bytes())).join("."))
}

fn position(cursor: &Cursor) -> Option<(BucketId, Name)> {
    let name = |part: &str| Name::new(String::from_utf8(from_hex(part)?).ok()?).ok();
    let mut parts = cursor.0.split('.').map(name);
    let (tenant, bucket, key) = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then(|| (BucketId::new(Tenant(tenant), bucket), key))
}

#[async_trait]
impl Records for MemoryKeyValue {
    fn kind(&self) -> RecordKind {
        RecordKind::KeyValue
    }

    async fn scan(&self, after: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let after = match &after {
            Some(text) => Some(position(text).ok_or_else(|| {
                Error::invalid("key_value.records", "the cursor is not one that this scan gave")
            })?),
            None => None,
        };
        let (state, _) = self.lock();
        let start = after.as_ref().map_or(Bound::Unbounded, |(bucket, _)| Bound::Included(bucket));
        let mut rows = state
            .buckets
            .range((start, Bound::Unbounded))
            .flat_map(|(bucket, rows)| {
                let start = match &after {
                    Some((last, key)) if last == bucket => Bound::Excluded(key),
                    _ => Bound::Unbounded,
                };
                rows.range::<Name, _>((start, Bound::Unbounded))
                    .map(move |(key, row)| (bucket, key, row))
            })
            .peekable();
        let (mut page, mut bytes, mut last) = (Page::default(), 0, None);
        while page.items.len() < limit.as_usize() && bytes < KV_PAGE_BYTES {
            let Some((bucket, key, row)) = rows.next() else { break };
            bytes += row.value.len();
            let value = row.state.deleted_at.is_none().then(|| row.value.clone());
            let (owner, name) = (bucket.clone(), key.clone());
            let record = KvRecord { bucket: owner, key: name, state: row.state, value };
            page.items.push(record.into());
            last = Some((bucket, key));
        }
        if rows.peek().is_some() {
            page.next = last.map(|(bucket, key)| cursor(bucket, key));
        }
        Ok(page)
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let entries =
            records.into_iter().map(KvRecord::try_from).collect::<Result<Vec<KvRecord>>>()?;
        let (mut state, _) = self.lock();
        let write = |entry: KvRecord| {
            let held = state.held(&entry.bucket, &entry.key);
            if held.is_some_and(|held| !entry.is_newer_than(&held)) {
                return Restored::Kept;
            }
            let row = Row { state: entry.state, value: entry.value.unwrap_or_default() };
            state.put(&entry.bucket, &entry.key, row);
            Restored::Written
        };
        Ok(entries.into_iter().map(write).collect())
    }
}
