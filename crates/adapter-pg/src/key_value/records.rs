//! Records of keys and values.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hexmem_ports::{
    BucketId, Cursor, Error, KV_PAGE_BYTES, KvRecord, KvState, Limit, Page, Record, RecordKind,
    Records, Restored, Result, Tenant, from_hex, to_hex,
};

use super::{PgKeyValue, STATEMENT_BYTES, column, name, number};
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

/// In statements of at most [`STATEMENT_BYTES`] of values. A key that comes again begins the next one.
async fn restore(tx: &mut Tx, entries: Vec<KvRecord>) -> Result<Vec<Restored>> {
    let mut restored = vec![Restored::Kept; entries.len()];
    let (mut batch, mut bytes) = (BTreeMap::new(), 0);
    for (place, entry) in entries.into_iter().enumerate() {
        let address = (Hash(entry.bucket.digest()), entry.key.as_str().to_owned());
        let size = entry.value.as_ref().map_or(0, Vec::len);
        if batch.contains_key(&address) || (bytes > 0 && bytes + size > STATEMENT_BYTES) {
            write(tx, std::mem::take(&mut batch), &mut restored).await?;
            bytes = 0;
        }
        bytes += size;
        batch.insert(address, (place, entry));
    }
    write(tx, batch, &mut restored).await?;
    Ok(restored)
}

type Batch = BTreeMap<(Hash, String), (usize, KvRecord)>;

async fn write(tx: &mut Tx, batch: Batch, restored: &mut [Restored]) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let (mut digests, mut tenants, mut names, mut keys) = (vec![], vec![], vec![], vec![]);
    let (mut versions, mut modified, mut expires) = (vec![], vec![], vec![]);
    let (mut deleted, mut free, mut values) = (vec![], vec![], vec![]);
    let mut places = BTreeMap::new();
    for ((digest, key), (place, entry)) in batch {
        tenants.push(entry.bucket.tenant.as_str().to_owned());
        names.push(entry.bucket.name.as_str().to_owned());
        versions.push(column(entry.state.version));
        modified.push(At(entry.state.modified_at));
        expires.push(entry.state.expires_at.map(At));
        deleted.push(entry.state.deleted_at.map(At));
        free.push(entry.state.free_at().map(At));
        values.push(entry.value);
        digests.push(digest);
        keys.push(key.clone());
        places.insert((digest, key), place);
    }
    tx.query(include_str!("../sql/key_value/buckets.sql"))
        .bind(&digests)
        .bind(tenants)
        .bind(names)
        .execute()
        .await?;
    let written: Vec<(Hash, String)> = tx
        .query(include_str!("../sql/key_value/restore.sql"))
        .bind(digests)
        .bind(keys)
        .bind(versions)
        .bind(modified)
        .bind(expires)
        .bind(deleted)
        .bind(free)
        .bind(values)
        .fetch_all()
        .await?;
    for address in written {
        let place = places.get(&address).and_then(|place| restored.get_mut(*place));
        if let Some(slot) = place {
            *slot = Restored::Written;
        }
    }
    Ok(())
}
