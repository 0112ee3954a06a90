//! Records of keys and values.

use async_trait::async_trait;
use futures::TryStreamExt as _;
use hexmem_ports::{
    BucketId, Cursor, Error, KV_PAGE_BYTES, KvRecord, Limit, Page, Record, RecordKind, Records,
    Restored, Result, Tenant, from_hex, to_hex,
};

use super::{SqliteKeyValue, Target, rows};

/// bucket id, tenant, bucket, key, the state, value.
type Row = (i64, String, String, Vec<u8>, i64, i64, Option<i64>, Option<i64>, Option<Vec<u8>>);

/// Where a scan goes on: after this key of the bucket with this id.
fn cursor(bucket: i64, key: &[u8]) -> Cursor {
    Cursor(format!("{bucket}.{}", to_hex(key)))
}

fn position(cursor: &Cursor) -> Option<(i64, Vec<u8>)> {
    let (bucket, key) = cursor.0.split_once('.')?;
    Some((bucket.parse().ok()?, from_hex(key)?))
}

fn record(operation: &'static str, row: Row) -> Result<Record> {
    let (_, tenant, bucket, key, version, modified_at, expires_at, deleted_at, value) = row;
    let name = |text: String| rows::key(operation, text.into_bytes());
    Ok(Record::from(KvRecord {
        bucket: BucketId::new(Tenant(name(tenant)?), name(bucket)?),
        key: rows::key(operation, key)?,
        state: rows::state(operation, (version, modified_at, expires_at, deleted_at))?,
        value,
    }))
}

#[async_trait]
impl Records for SqliteKeyValue {
    fn kind(&self) -> RecordKind {
        RecordKind::KeyValue
    }

    async fn scan(&self, after: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        const OPERATION: &str = "key_value.records";
        let (bucket, key) = match &after {
            // Ids start at 1.
            None => (0, Vec::new()),
            Some(text) => position(text).ok_or_else(|| {
                Error::invalid(OPERATION, "the cursor is not one that this scan gave")
            })?,
        };
        let mut read = self.0.read(OPERATION).await?;
        let (mut page, mut bytes, mut last) = (Page::default(), 0, None);
        let mut rows = sqlx::query_as(include_str!("../sql/key_value/records.sql"))
            .bind(bucket)
            .bind(key)
            // One more than asked for, to tell whether it goes on.
            .bind(i64::from(limit.get()) + 1)
            .fetch(read.connection());
        let failed = loop {
            let row: Row = match rows.try_next().await {
                Ok(Some(row)) => row,
                Ok(None) => break None,
                Err(error) => break Some(error),
            };
            if page.items.len() == limit.as_usize() || bytes >= KV_PAGE_BYTES {
                page.next = last;
                break None;
            }
            bytes += row.8.as_ref().map_or(0, Vec::len);
            last = Some(cursor(row.0, &row.3));
            page.items.push(record(OPERATION, row)?);
        };
        drop(rows);
        failed.map_or(Ok(page), |error| Err(read.error(error)))
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let entries =
            records.into_iter().map(KvRecord::try_from).collect::<Result<Vec<KvRecord>>>()?;
        let mut tx = self.0.write("key_value.restore").await?;
        let mut restored = Vec::with_capacity(entries.len());
        for entry in entries {
            let target = Target::new(&entry.bucket, &entry.key);
            let held = target.held(&mut tx).await?;
            if held.is_some_and(|held| !entry.is_newer_than(&held)) {
                restored.push(Restored::Kept);
                continue;
            }
            target.put(&mut tx, entry.state, entry.value.as_deref(), held.is_none()).await?;
            restored.push(Restored::Written);
        }
        tx.commit().await?;
        Ok(restored)
    }
}
