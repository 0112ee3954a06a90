//! Collections and aliases.

use hexmem_ports::rules::{check_spec, check_stamp, no_collection};
use hexmem_ports::{
    CollectionId, CollectionSpec, Cursor, Error, ErrorKind, Limit, Name, Page, Prefix, Result,
    Tenant,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};

use super::layout::Layout;
use super::{Turn, corrupt, near};
use crate::{ReadTx, WriteTx};

/// A collection that is there.
#[derive(Debug, Clone)]
pub(super) struct Collection {
    pub(super) id: i64,
    pub(super) version: i64,
    /// The highest version given under its name.
    pub(super) revision: i64,
    pub(super) next_ord: u32,
    pub(super) points: u64,
    pub(super) spec: CollectionSpec,
    pub(super) layout: Layout,
}

impl Collection {
    pub(super) async fn resolve(turn: &mut impl Turn, at: &CollectionId) -> Result<Option<Self>> {
        let row: Option<(i64, i64, i64, i64, i64, i64, String)> =
            sqlx::query_as(include_str!("../sql/vectors/resolve.sql"))
                .bind(at.digest().0.as_slice())
                .fetch_optional(turn.connection())
                .await
                .map_err(|e| turn.error(e))?;
        let Some((_, id, version, revision, next_ord, points, spec)) = row else { return Ok(None) };
        let made = (|| {
            let spec: CollectionSpec = serde_json::from_str(&spec).ok()?;
            Some(Self {
                id,
                version,
                revision,
                next_ord: u32::try_from(next_ord).ok()?,
                points: u64::try_from(points).ok()?,
                layout: Layout::of(&spec),
                spec,
            })
        })();
        made.map(Some).ok_or_else(|| corrupt(turn, "a collection").with("collection", at))
    }

    /// The key of a point's row.
    pub(super) fn at(&self, ord: u32) -> i64 {
        self.id << 32 | i64::from(ord)
    }

    /// The ord of a row's key.
    pub(super) fn ord(at: i64) -> u32 {
        u32::try_from(at & 0xffff_ffff).unwrap_or(u32::MAX)
    }
}

/// A name's row, whether a collection is there or was.
pub(super) struct Named {
    pub(super) id: i64,
    pub(super) tenant: String,
    pub(super) name: String,
    pub(super) version: i64,
    pub(super) modified_at: i64,
    pub(super) revision: i64,
    pub(super) spec: Option<String>,
}

impl FromRow<'_, SqliteRow> for Named {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            tenant: row.try_get("tenant")?,
            name: row.try_get("name")?,
            version: row.try_get("version")?,
            modified_at: row.try_get("modified_at")?,
            revision: row.try_get("revision")?,
            spec: row.try_get("spec")?,
        })
    }
}

pub(super) async fn named(turn: &mut impl Turn, at: &CollectionId) -> Result<Option<Named>> {
    sqlx::query_as(include_str!("../sql/vectors/collection.sql"))
        .bind(at.digest().0.as_slice())
        .fetch_optional(turn.connection())
        .await
        .map_err(|e| turn.error(e))
}

pub(super) fn read_spec(turn: &impl Turn, text: &str) -> Result<CollectionSpec> {
    serde_json::from_str(text).map_err(|e| corrupt(turn, "a collection's stamp").caused_by(e))
}

/// Begins a life of the name, or ends one: whatever was in it goes.
pub(super) async fn put(
    tx: &mut WriteTx,
    at: &CollectionId,
    version: i64,
    modified_at: i64,
    spec: Option<&CollectionSpec>,
) -> Result<()> {
    let spec = spec.map(serde_json::to_string).transpose().map_err(|e| {
        Error::new(ErrorKind::Internal, tx.operation(), "a stamp cannot be written").caused_by(e)
    })?;
    let id: i64 = sqlx::query_scalar(include_str!("../sql/vectors/collection_put.sql"))
        .bind(at.digest().0.as_slice())
        .bind(at.tenant.as_str())
        .bind(at.name.as_str())
        .bind(version)
        .bind(modified_at)
        .bind(version)
        .bind(spec)
        .fetch_one(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    for sql in [
        include_str!("../sql/vectors/clear_points.sql"),
        include_str!("../sql/vectors/clear_gone.sql"),
        include_str!("../sql/vectors/clear_live.sql"),
        include_str!("../sql/vectors/clear_segments.sql"),
        include_str!("../sql/vectors/clear_postings.sql"),
        include_str!("../sql/vectors/clear_dense.sql"),
    ] {
        sqlx::query(sql).bind(id).execute(tx.connection()).await.map_err(|e| tx.error(e))?;
    }
    near::clear(tx, id).await
}

pub(super) async fn create(
    tx: &mut WriteTx,
    at: &CollectionId,
    spec: &CollectionSpec,
) -> Result<bool> {
    check_spec(tx.operation(), spec)?;
    if alias(tx, at).await?.is_some_and(|alias| alias.target.is_some()) {
        return Err(Error::new(ErrorKind::AlreadyExists, tx.operation(), "an alias has this name")
            .with("collection", at));
    }
    let named = named(tx, at).await?;
    if let Some(existing) = named.as_ref().and_then(|named| named.spec.as_ref()) {
        let existing = read_spec(tx, existing)?;
        return check_stamp(tx.operation(), &existing, spec)
            .map(|()| false)
            .map_err(|error| error.with("collection", at));
    }
    let now = tx.now().as_micros();
    put(tx, at, named.map_or(0, |named| named.revision) + 1, now, Some(spec)).await?;
    Ok(true)
}

pub(super) async fn remove(tx: &mut WriteTx, at: &CollectionId) -> Result<bool> {
    let there = named(tx, at).await?.filter(|named| named.spec.is_some());
    let Some(there) = there else { return Ok(false) };
    let now = tx.now().as_micros();
    put(tx, at, there.revision + 1, now, None).await?;
    sqlx::query(include_str!("../sql/vectors/alias_drop.sql"))
        .bind(at.digest().0.as_slice())
        .bind(now)
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(true)
}

pub(super) async fn list(
    read: &mut ReadTx,
    tenant: &Tenant,
    prefix: &Prefix,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Name>> {
    let names: Vec<String> = sqlx::query_scalar(include_str!("../sql/vectors/list.sql"))
        .bind(tenant.as_str())
        .bind(prefix.as_str())
        .bind(cursor.map_or(String::new(), |cursor| cursor.0))
        .bind(i64::from(limit.get()) + 1)
        .fetch_all(read.connection())
        .await
        .map_err(|e| read.error(e))?;
    let mut items = Vec::with_capacity(names.len());
    for name in names.into_iter().take_while(|name| prefix.matches(name)) {
        items.push(Name::new(name).map_err(|e| corrupt(read, "a name").caused_by(e))?);
    }
    let more = items.len() > limit.as_usize();
    items.truncate(limit.as_usize());
    let next = items.last().filter(|_| more).map(|name| Cursor(name.to_string()));
    Ok(Page { items, next })
}

/// An alias, or the tombstone of one.
pub(super) struct Alias {
    pub(super) version: i64,
    pub(super) modified_at: i64,
    pub(super) target: Option<String>,
}

impl FromRow<'_, SqliteRow> for Alias {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            version: row.try_get("version")?,
            modified_at: row.try_get("modified_at")?,
            target: row.try_get("target")?,
        })
    }
}

pub(super) async fn alias(turn: &mut impl Turn, at: &CollectionId) -> Result<Option<Alias>> {
    sqlx::query_as(include_str!("../sql/vectors/alias.sql"))
        .bind(at.digest().0.as_slice())
        .fetch_optional(turn.connection())
        .await
        .map_err(|e| turn.error(e))
}

pub(super) async fn put_alias(
    tx: &mut WriteTx,
    at: &CollectionId,
    version: i64,
    modified_at: i64,
    target: Option<&Name>,
) -> Result<()> {
    let digest = target.map(|name| CollectionId::new(at.tenant.clone(), name.clone()).digest());
    sqlx::query(include_str!("../sql/vectors/alias_put.sql"))
        .bind(at.digest().0.as_slice())
        .bind(at.tenant.as_str())
        .bind(at.name.as_str())
        .bind(version)
        .bind(modified_at)
        .bind(target.map(Name::as_str))
        .bind(digest.as_ref().map(|digest| digest.0.as_slice()))
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(())
}

pub(super) async fn set_alias(
    tx: &mut WriteTx,
    at: &CollectionId,
    target: Option<Name>,
) -> Result<()> {
    if let Some(target) = &target {
        if named(tx, at).await?.is_some_and(|named| named.spec.is_some()) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                tx.operation(),
                "a collection has this name",
            )
            .with("alias", at));
        }
        let aimed = CollectionId::new(at.tenant.clone(), target.clone());
        if named(tx, &aimed).await?.is_none_or(|named| named.spec.is_none()) {
            return Err(no_collection(tx.operation(), target).with("alias", at));
        }
    }
    let held = alias(tx, at).await?;
    let current = held.as_ref().and_then(|alias| alias.target.as_deref());
    if current == target.as_ref().map(Name::as_str) {
        return Ok(());
    }
    let now = tx.now().as_micros();
    put_alias(tx, at, held.map_or(0, |alias| alias.version) + 1, now, target.as_ref()).await
}
