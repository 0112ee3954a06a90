//! The records of cached answers.

use async_trait::async_trait;
use hexmem_ports::rules::CachePlace;
use hexmem_ports::{
    CacheBody, CacheKey, CacheRecord, Cursor, Digest, EntryBody, Error, Limit, Name, NamespaceId,
    Page, Record, RecordKind, Records, Restored, Result, TagRef, Tenant, Timestamp,
};
use uuid::Uuid;

use super::{SqliteCache, rows};
use crate::WriteTx;

const SCAN: &str = "cache.scan";

/// A row of `scan_entries.sql`.
type EntryRow = (
    Vec<u8>,
    String,
    String,
    Vec<u8>,
    i64,
    i64,
    Option<Vec<u8>>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<Vec<u8>>,
    String,
);

/// A row of `scan_tags.sql`.
type TagRow = (Vec<u8>, String, String, String, String, Vec<u8>, i64, i64);

fn address(tenant: String, name: String) -> Result<NamespaceId> {
    Ok(NamespaceId::new(
        Tenant(rows::row(SCAN, Name::new(tenant))?),
        rows::row(SCAN, Name::new(name))?,
    ))
}

fn damaged() -> Error {
    Error::corrupt(SCAN, "a row of the cache is not what was written")
}

fn digest(bytes: &[u8]) -> Result<Digest> {
    Digest::from_slice(bytes).ok_or_else(damaged)
}

/// What a scan goes on after, as statements take it; no digest lies before the empty one.
fn bytes(after: Option<Digest>) -> Vec<u8> {
    after.map(|digest| digest.0.to_vec()).unwrap_or_default()
}

fn generation(bytes: &[u8]) -> Result<Uuid> {
    rows::row(SCAN, Uuid::from_slice(bytes))
}

fn entry(row: EntryRow) -> Result<Record> {
    let (_, tenant, name, fingerprint, version, modified_at, ..) = &row;
    let namespace = address(tenant.clone(), name.clone())?;
    let fingerprint = digest(fingerprint)?;
    let (version, modified_at) = (rows::unsigned(*version), rows::time(SCAN, *modified_at)?);
    let (.., invalidation, remembered, stored, fresh, expires, meta, value, bound) = row;
    let invalidated = match (invalidation, remembered) {
        (Some(id), Some(until)) => Some((generation(&id)?, rows::time(SCAN, until)?)),
        _ => None,
    };
    let answer = match (stored, fresh, expires, meta, value) {
        (Some(stored), Some(fresh), Some(expires), Some(meta), Some(value)) => Some(EntryBody {
            value,
            meta: rows::row(SCAN, serde_json::from_str(&meta))?,
            stored_at: rows::time(SCAN, stored)?,
            fresh_until: rows::time(SCAN, fresh)?,
            expires_at: rows::time(SCAN, expires)?,
            generations: bound_to(&bound)?,
        }),
        _ => None,
    };
    let body = CacheBody::Entry { fingerprint, invalidated, answer };
    CacheRecord { namespace, version, modified_at, body }.into_record()
}

fn bound_to(json: &str) -> Result<Vec<(TagRef, Uuid)>> {
    let bound: Vec<(String, String, String)> = rows::row(SCAN, serde_json::from_str(json))?;
    let mut generations = Vec::with_capacity(bound.len());
    for (kind, name, hex) in bound {
        let tag = TagRef::from_parts(&kind, &name).ok_or_else(damaged)?;
        generations.push((tag, rows::row(SCAN, Uuid::try_parse(&hex))?));
    }
    Ok(generations)
}

fn tag((_, tenant, name, kind, tag, id, version, modified_at): TagRow) -> Result<Record> {
    let tag = TagRef::from_parts(&kind, &tag).ok_or_else(damaged)?;
    CacheRecord {
        namespace: address(tenant, name)?,
        version: rows::unsigned(version),
        modified_at: rows::time(SCAN, modified_at)?,
        body: CacheBody::Tag { tag, generation: generation(&id)? },
    }
    .into_record()
}

#[async_trait]
impl Records for SqliteCache {
    fn kind(&self) -> RecordKind {
        RecordKind::Cache
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let place = CachePlace::read(SCAN, cursor.as_ref())?;
        let mut read = self.database.read(SCAN).await?;
        match place {
            CachePlace::Entry(after) => {
                let sql = include_str!("../sql/cache/scan_entries.sql");
                let found: Vec<EntryRow> = sqlx::query_as(sql)
                    .bind(bytes(after))
                    .bind(limit.get())
                    .fetch_all(read.connection())
                    .await
                    .map_err(|e| read.error(e))?;
                let full = found.len() == limit.as_usize();
                let last = found.last().filter(|_| full).map(|row| digest(&row.0)).transpose()?;
                let next = last.map_or(CachePlace::Tag(None), |last| CachePlace::Entry(Some(last)));
                let items = found.into_iter().map(entry).collect::<Result<_>>()?;
                Ok(Page { items, next: Some(next.cursor()) })
            }
            CachePlace::Tag(after) => {
                let sql = include_str!("../sql/cache/scan_tags.sql");
                let found: Vec<TagRow> = sqlx::query_as(sql)
                    .bind(bytes(after))
                    .bind(limit.get())
                    .fetch_all(read.connection())
                    .await
                    .map_err(|e| read.error(e))?;
                let full = found.len() == limit.as_usize();
                let last = found.last().filter(|_| full).map(|row| digest(&row.0)).transpose()?;
                let items = found.into_iter().map(tag).collect::<Result<_>>()?;
                Ok(Page { items, next: last.map(|last| CachePlace::Tag(Some(last)).cursor()) })
            }
        }
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let records: Vec<CacheRecord> =
            records.into_iter().map(CacheRecord::from_record).collect::<Result<_>>()?;
        let mut tx = self.database.write("cache.restore").await?;
        let mut done = Vec::with_capacity(records.len());
        for record in records {
            let stamp = (record.version, record.modified_at);
            done.push(match record.body {
                CacheBody::Tag { tag, generation } => {
                    restore_tag(&mut tx, &record.namespace, &tag, generation, stamp).await?
                }
                CacheBody::Entry { fingerprint, invalidated, answer } => {
                    let key = CacheKey { namespace: record.namespace, fingerprint };
                    restore_entry(&mut tx, &key, stamp, invalidated, answer).await?
                }
            });
        }
        tx.commit().await?;
        Ok(done)
    }
}

async fn restore_tag(
    tx: &mut WriteTx,
    namespace: &NamespaceId,
    tag: &TagRef,
    generation: Uuid,
    (version, modified_at): (u64, Timestamp),
) -> Result<Restored> {
    let before = rows::tag(tx, namespace, tag).await?;
    // A place without a generation is older than any record.
    let held = before.as_ref().filter(|tag| tag.generation.is_some());
    let held = held.map(|tag| (tag.version, tag.modified_at));
    if held.is_some_and(|held| (version, modified_at.as_micros()) <= held) {
        return Ok(Restored::Kept);
    }
    rows::set_tag(tx, namespace, tag, before.as_ref(), (generation, version, modified_at)).await?;
    Ok(Restored::Written)
}

async fn restore_entry(
    tx: &mut WriteTx,
    key: &CacheKey,
    (version, modified_at): (u64, Timestamp),
    invalidated: Option<(Uuid, Timestamp)>,
    answer: Option<EntryBody>,
) -> Result<Restored> {
    let digest = key.digest();
    let held: Option<(i64, i64)> = sqlx::query_as(include_str!("../sql/cache/restore_find.sql"))
        .bind(digest.0.as_slice())
        .fetch_optional(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    if held.is_some_and(|held| (rows::signed(version), modified_at.as_micros()) <= held) {
        return Ok(Restored::Kept);
    }
    let room = rows::room(tx, &key.namespace).await?;
    let (generation, until) = invalidated.unzip();
    let answer = answer.as_ref();
    let entry: i64 = sqlx::query_scalar(include_str!("../sql/cache/restore_entry.sql"))
        .bind(digest.0.as_slice())
        .bind(room)
        .bind(key.fingerprint.0.as_slice())
        .bind(rows::signed(version))
        .bind(modified_at.as_micros())
        .bind(generation.map(|id| id.as_bytes().to_vec()))
        .bind(until.map(Timestamp::as_micros))
        .bind(answer.map(|answer| answer.stored_at.as_micros()))
        .bind(answer.map(|answer| answer.fresh_until.as_micros()))
        .bind(answer.map(|answer| answer.expires_at.as_micros()))
        .bind(answer.map(|answer| rows::size(&answer.value)))
        .bind(answer.map(|answer| answer.meta.to_string()))
        .bind(answer.map(|answer| answer.value.as_slice()))
        .fetch_one(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    rows::unbind(tx, entry).await?;
    for (tag, generation) in answer.into_iter().flat_map(|answer| &answer.generations) {
        let digest = tag.digest(&key.namespace);
        sqlx::query(include_str!("../sql/cache/tag_place.sql"))
            .bind(digest.0.as_slice())
            .bind(room)
            .bind(tag.kind())
            .bind(tag.name())
            .bind(modified_at.as_micros())
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        sqlx::query(include_str!("../sql/cache/entry_bind_to.sql"))
            .bind(entry)
            .bind(digest.0.as_slice())
            .bind(generation.as_bytes().as_slice())
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
    }
    Ok(Restored::Written)
}
