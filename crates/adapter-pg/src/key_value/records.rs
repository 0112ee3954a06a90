//! Records of keys and values.

use async_trait::async_trait;
use hexmem_ports::{
    BucketId, Cursor, Error, KV_PAGE_BYTES, KvRecord, KvState, Limit, Page, Record, RecordKind,
    Records, Restored, Result, Tenant, from_hex, to_hex,
};

use super::{PgKeyValue, column, name, number};
use crate::Tx;
use crate::value::{At, Hash};

/// bucket id, tenant, bucket, key, version, modified_at, expires_at, deleted_at, value.
type Row = (i64, String, String, String, i64, At, Option<At>, Option<At>, Option<Vec<u8>>);

/// Where a scan goes on: after this key of the bucket with this id.
fn cursor(bucket: i64, key: &str) -> Cursor {
    Cursor(format!("{bucket}.{}", to_hex(key.as_bytes())))
}

fn position(cursor: &Cursor) -> Option<(i64, String)> {
    let (bucket, key) = cursor.0.split_once('.')?;
    let key = String::from_utf8(from_hex(key)?).ok()?;
    Some((bucket.parse().ok()?, key)).filter(|(_, key)| !key.contains('\0'))
}

fn record(operation: &'static str, row: Row) -> Result<Record> {
    let (_, tenant, bucket, key, version, modified_at, expires_at, deleted_at, value) = row;
    let tenant = Tenant(name(operation, tenant)?);
    Ok(Record::from(KvRecord {
        bucket: BucketId::new(tenant, name(operation, bucket)?),
        key: name(operation, key)?,
        state: KvState {
            version: number(operation, version)?,
            modified_at: modified_at.0,
            expires_at: expires_at.map(|end| end.0),
            deleted_at: deleted_at.map(|end| end.0),
        },
        value,
    }))
}

#[async_trait]
impl Records for PgKeyValue {
    fn kind(&self) -> RecordKind {
        RecordKind::KeyValue
    }

    async fn scan(&self, after: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        const OPERATION: &str = "key_value.records";
        let (bucket, key) = match &after {
            // Ids start at 1.
            None => (0, String::new()),
            Some(text) => position(text).ok_or_else(|| {
                Error::invalid(OPERATION, "the cursor is not one that this scan gave")
            })?,
        };
        let rows: Vec<Row> = self
            .0
            .read(OPERATION, include_str!("../sql/key_value/records.sql"))
            .bind(bucket)
            .bind(key)
            .bind(i64::from(limit.get()))
            .bind(i64::try_from(KV_PAGE_BYTES).unwrap_or(i64::MAX))
            .fetch_all()
            .await?;
        // An empty page ends the scan; any other may be followed by one.
        let next = rows.last().map(|row| cursor(row.0, &row.3));
        let items = rows.into_iter().map(|row| record(OPERATION, row)).collect::<Result<_>>()?;
        Ok(Page { items, next })
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let entries =
            records.into_iter().map(KvRecord::try_from).collect::<Result<Vec<KvRecord>>>()?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.0.begin("key_value.restore").await?;
        let restored = restore(&mut tx, entries).await;
        tx.finish(restored).await
    }
}

async fn restore(tx: &mut Tx, entries: Vec<KvRecord>) -> Result<Vec<Restored>> {
    let mut order: Vec<(usize, KvRecord)> = entries.into_iter().enumerate().collect();
    // Two who restore the same do not wait for each other in a circle.
    order.sort_by(|(_, a), (_, b)| (&a.bucket, &a.key).cmp(&(&b.bucket, &b.key)));
    let mut restored = vec![Restored::Kept; order.len()];
    for (place, entry) in order {
        let changed = tx
            .query(include_str!("../sql/key_value/restore.sql"))
            .bind(Hash(entry.bucket.digest()))
            .bind(entry.bucket.tenant.as_str())
            .bind(entry.bucket.name.as_str())
            .bind(entry.key.as_str())
            .bind(column(entry.state.version))
            .bind(At(entry.state.modified_at))
            .bind(entry.state.expires_at.map(At))
            .bind(entry.state.deleted_at.map(At))
            .bind(entry.state.free_at().map(At))
            .bind(entry.value)
            .execute()
            .await?;
        if let Some(slot) = restored.get_mut(place).filter(|_| changed > 0) {
            *slot = Restored::Written;
        }
    }
    Ok(restored)
}
