//! Statements that several methods share, and what the rows mean.

use std::collections::HashMap;

use hexmem_ports::{CacheKey, Error, NamespaceId, Result, TagRef, Timestamp, next_cache_version};
use uuid::Uuid;

use super::remembered_until;
use crate::WriteTx;

/// The current generation of each tag that has one.
pub(super) type Generations = HashMap<TagRef, Uuid>;

/// A value of a row, or `Corrupt`.
pub(super) fn row<T, E: std::error::Error + Send + Sync + 'static>(
    operation: &'static str,
    value: std::result::Result<T, E>,
) -> Result<T> {
    value.map_err(|error| {
        Error::corrupt(operation, "a row of the cache is not what was written").caused_by(error)
    })
}

pub(super) fn time(operation: &'static str, micros: i64) -> Result<Timestamp> {
    Timestamp::from_micros(micros).ok_or_else(|| {
        Error::corrupt(operation, "a time of the cache lies outside years 0 to 9999")
    })
}

/// Sizes, counts and versions as SQLite holds them.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn size(value: &[u8]) -> i64 {
    i64::try_from(value.len()).unwrap_or(i64::MAX)
}

/// The digests of tags as a JSON array of hex: one parameter, whatever their number.
pub(super) fn tags_of(namespace: &NamespaceId, refs: &[TagRef]) -> String {
    let digests = refs.iter().map(|tag| format!("\"{}\"", tag.digest(namespace).to_hex()));
    format!("[{}]", digests.collect::<Vec<_>>().join(","))
}

/// Reads `[[place in refs, generation as hex], ...]`.
pub(super) fn generations(
    operation: &'static str,
    refs: &[TagRef],
    json: &str,
) -> Result<Generations> {
    let pairs: Vec<(usize, String)> = row(operation, serde_json::from_str(json))?;
    let mut known = Generations::with_capacity(pairs.len());
    for (place, hex) in pairs {
        let tag = refs.get(place).ok_or_else(|| {
            Error::corrupt(operation, "a generation of a tag that was not asked for")
        })?;
        known.insert(tag.clone(), row(operation, Uuid::try_parse(&hex))?);
    }
    Ok(known)
}

/// What a key and the tags of a ticket stand at, under the write lock.
pub(super) struct Held {
    pub(super) version: Option<u64>,
    pub(super) invalidation: Option<Uuid>,
    pub(super) generations: Generations,
    pub(super) servable: bool,
}

pub(super) async fn held(tx: &mut WriteTx, key: &CacheKey, refs: &[TagRef]) -> Result<Held> {
    let (operation, now) = (tx.operation(), tx.now());
    let (version, invalidation, known, servable): (Option<i64>, Option<Vec<u8>>, String, bool) =
        sqlx::query_as(include_str!("../sql/cache/held.sql"))
            .bind(key.digest().0.as_slice())
            .bind(now.as_micros())
            .bind(tags_of(&key.namespace, refs))
            .fetch_one(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
    Ok(Held {
        version: version.map(unsigned),
        invalidation: row(operation, invalidation.map(|b| Uuid::from_slice(&b)).transpose())?,
        generations: generations(operation, refs, &known)?,
        servable,
    })
}

/// The row of a namespace, made where there is none.
pub(super) async fn room(tx: &mut WriteTx, namespace: &NamespaceId) -> Result<i64> {
    let digest = namespace.digest();
    let found: Option<i64> = sqlx::query_scalar(include_str!("../sql/cache/room_find.sql"))
        .bind(digest.0.as_slice())
        .fetch_optional(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    if let Some(room) = found {
        return Ok(room);
    }
    sqlx::query_scalar(include_str!("../sql/cache/room_make.sql"))
        .bind(digest.0.as_slice())
        .bind(namespace.tenant.as_str())
        .bind(namespace.name.as_str())
        .fetch_one(tx.connection())
        .await
        .map_err(|e| tx.error(e))
}

/// Frees what an answer is bound to.
pub(super) async fn unbind(tx: &mut WriteTx, entry: i64) -> Result<()> {
    sqlx::query(include_str!("../sql/cache/entry_unbind.sql"))
        .bind(entry)
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(())
}

/// Ends the answer of one key; returns how many could be served.
pub(super) async fn end_key(tx: &mut WriteTx, key: &CacheKey) -> Result<u64> {
    let now = tx.now();
    let before = held(tx, key, &[]).await?;
    let room = room(tx, &key.namespace).await?;
    let entry: i64 = sqlx::query_scalar(include_str!("../sql/cache/entry_end.sql"))
        .bind(key.digest().0.as_slice())
        .bind(room)
        .bind(key.fingerprint.0.as_slice())
        .bind(signed(next_cache_version(before.version, now)))
        .bind(now.as_micros())
        .bind(Uuid::new_v4().as_bytes().as_slice())
        .bind(remembered_until(now).as_micros())
        .fetch_one(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    unbind(tx, entry).await?;
    Ok(u64::from(before.servable))
}

/// A tag as it stands.
pub(super) struct Tag {
    pub(super) id: i64,
    pub(super) generation: Option<Vec<u8>>,
    pub(super) version: u64,
    pub(super) modified_at: i64,
}

pub(super) async fn tag(
    tx: &mut WriteTx,
    namespace: &NamespaceId,
    tag: &TagRef,
) -> Result<Option<Tag>> {
    let found: Option<(i64, Option<Vec<u8>>, i64, i64)> =
        sqlx::query_as(include_str!("../sql/cache/tag_find.sql"))
            .bind(tag.digest(namespace).0.as_slice())
            .fetch_optional(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
    Ok(found.map(|(id, generation, version, modified_at)| Tag {
        id,
        generation,
        version: unsigned(version),
        modified_at,
    }))
}

/// Gives a tag a generation; the answers of the one before wait to be freed.
pub(super) async fn set_tag(
    tx: &mut WriteTx,
    namespace: &NamespaceId,
    tag: &TagRef,
    before: Option<&Tag>,
    (generation, version, modified_at): (Uuid, u64, Timestamp),
) -> Result<()> {
    let room = room(tx, namespace).await?;
    if let Some(Tag { id, generation: Some(before), .. }) = before
        && before.as_slice() != generation.as_bytes()
    {
        sqlx::query(include_str!("../sql/cache/tag_end.sql"))
            .bind(id)
            .bind(before.as_slice())
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
    }
    sqlx::query(include_str!("../sql/cache/tag_set.sql"))
        .bind(tag.digest(namespace).0.as_slice())
        .bind(room)
        .bind(tag.kind())
        .bind(tag.name())
        .bind(generation.as_bytes().as_slice())
        .bind(signed(version))
        .bind(modified_at.as_micros())
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(())
}

/// Ends what depends on a tag by giving it another generation; returns how many could be served.
pub(super) async fn end_tag(
    tx: &mut WriteTx,
    namespace: &NamespaceId,
    target: &TagRef,
) -> Result<u64> {
    let now = tx.now();
    let before = tag(tx, namespace, target).await?;
    let ended: i64 = match &before {
        Some(Tag { id, generation: Some(generation), .. }) => {
            sqlx::query_scalar(include_str!("../sql/cache/tag_live.sql"))
                .bind(id)
                .bind(generation.as_slice())
                .bind(now.as_micros())
                .fetch_one(tx.connection())
                .await
                .map_err(|e| tx.error(e))?
        }
        _ => 0,
    };
    let version = next_cache_version(before.as_ref().map(|tag| tag.version), now);
    set_tag(tx, namespace, target, before.as_ref(), (Uuid::new_v4(), version, now)).await?;
    Ok(unsigned(ended))
}

/// A JSON array of row ids: one parameter, whatever their number.
pub(super) fn ids(ids: &[i64]) -> String {
    format!("[{}]", ids.iter().map(i64::to_string).collect::<Vec<_>>().join(","))
}
