//! Writing and removing points.

use hexmem_ports::rules::{check_points, no_collection};
use hexmem_ports::{CollectionId, Error, ErrorKind, Point, PointId, Result};
use uuid::Uuid;

use super::batch::{self, Batch, Stamp};
use super::collection::Collection;
use super::tidy::Dead;
use super::{index, read};
use crate::query::Query;
use crate::value::Hash;
use crate::{Postgres, Tx};

/// How often a write begins anew because its collection was changed meanwhile.
const TRIES: u32 = 20;

const RESERVE: &str = include_str!("../sql/vectors/reserve.sql");
const WRITE: &str = include_str!("../sql/vectors/write.sql");

/// A collection, and the first of the ords that were taken for its points.
type Reserved = (i64, i64, i64, String, Vec<i16>, Option<i32>);

/// The collection at `at`, and the first of `count` ords that are taken for its points. Ords are taken before the lock
/// of a write, so that everything is made without holding up other writers.
async fn reserve(
    query: Query<'_>,
    operation: &'static str,
    at: &CollectionId,
    count: usize,
) -> Result<(Collection, i32)> {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let row: Option<Reserved> = query.bind(Hash(at.digest())).bind(count).fetch_optional().await?;
    let Some((id, version, points, spec, indexes, base)) = row else {
        return Err(no_collection(operation, at));
    };
    let there = Collection::of(operation, (id, version, points, spec, indexes))?;
    let base = base.ok_or_else(|| {
        let what = "the collection has taken 2 billion writes; make a new one and switch its alias";
        Error::new(ErrorKind::Unavailable, operation, what).not_applied().with("collection", at)
    })?;
    Ok((there, base))
}

/// As [`reserve`], in a transaction.
pub(super) async fn reserve_within(
    tx: &mut Tx,
    at: &CollectionId,
    count: usize,
) -> Result<(Collection, i32)> {
    let operation = tx.operation();
    reserve(tx.query(RESERVE), operation, at, count).await
}

/// Writes points; what their collection's blocks still say of removed ones.
pub(super) async fn upsert(
    postgres: &Postgres,
    at: &CollectionId,
    points: Vec<Point>,
) -> Result<Option<Dead>> {
    const OP: &str = "vectors.upsert";
    let reserved = async |count| reserve(postgres.write(OP, RESERVE), OP, at, count).await;
    let count = points.len().min(batch::MOST);
    let (mut there, mut base) = reserved(count).await?;
    check_points(OP, &there.spec, &points)?;
    if points.is_empty() {
        return Ok(None);
    }
    let mut points = batch::distinct(points);
    for _ in 0..TRIES {
        let made = aside(OP, move || {
            let batches = batch::all(&there, base, &points);
            (there, points, batches)
        });
        let (one, back, batches) = made.await?;
        if let Some(dead) = write(postgres, OP, &one, batches).await? {
            return Ok(Some(dead));
        }
        // Another life of it, or another target of the alias.
        points = back;
        (there, base) = reserved(points.len()).await?;
        check_points(OP, &there.spec, &points)?;
    }
    Err(read::changed(OP).not_applied())
}

/// Runs what would hold up other tasks for milliseconds on a thread for that.
async fn aside<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Internal, operation, "a worker thread ended").caused_by(error)
    })
}

/// Writes all batches or none. `None` when the collection is not as it was when they were made.
async fn write(
    postgres: &Postgres,
    operation: &'static str,
    there: &Collection,
    mut batches: Vec<Batch>,
) -> Result<Option<Dead>> {
    if there.indexes.is_empty()
        && batches.len() == 1
        && let Some(batch) = batches.pop()
    {
        let query = bound(postgres.write(operation, WRITE), there, batch, None);
        let (dead,): (Option<i64>,) = query.fetch_one().await?;
        return Ok(dead.map(|dead| Dead::of(there.id, dead, there.points)));
    }
    let mut tx = postgres.begin(operation).await?;
    match write_all(&mut tx, there, batches).await {
        Ok(None) => tx.rollback().await.map(|()| None),
        // Who drops the collection holds its indexes and waits for its row: the server ends one of both.
        Err(error) if error.kind() == ErrorKind::Conflict => tx.rollback().await.map(|()| None),
        written => tx.finish(written).await,
    }
}

async fn write_all(
    tx: &mut Tx,
    there: &Collection,
    mut batches: Vec<Batch>,
) -> Result<Option<Dead>> {
    // Before the collection's row is locked: an index takes long, and several writers may add to it at once.
    for part in batches.iter_mut().flat_map(|batch| std::mem::take(&mut batch.indexed)) {
        index::add(tx, there, &part).await?;
    }
    let mut last = None;
    for batch in batches {
        last = put(tx, there, batch, None).await?;
        if last.is_none() {
            break;
        }
    }
    Ok(last)
}

/// Writes a batch. `None` when the collection is not as it was when it was made.
pub(super) async fn put(
    tx: &mut Tx,
    there: &Collection,
    batch: Batch,
    stamps: Option<&[Stamp]>,
) -> Result<Option<Dead>> {
    for part in &batch.indexed {
        index::add(tx, there, part).await?;
    }
    let (dead,): (Option<i64>,) = bound(tx.query(WRITE), there, batch, stamps).fetch_one().await?;
    Ok(dead.map(|dead| Dead::of(there.id, dead, there.points)))
}

/// The columns of a batch.
fn bound<'t>(
    query: Query<'t>,
    there: &Collection,
    batch: Batch,
    stamps: Option<&[Stamp]>,
) -> Query<'t> {
    let (versions, times) = stamps.map(Stamp::columns).unzip();
    query
        .bind(there.id)
        .bind(there.version)
        .bind(batch.base)
        .bind(batch.ids)
        .bind(versions)
        .bind(times)
        .bind(batch.payloads)
        .bind(batch.sparse)
        .bind(batch.members)
        .bind(batch.dense_channels)
        .bind(batch.dense_ords)
        .bind(batch.embeddings)
        .bind(batch.lists)
        .bind(batch.chunks)
        .bind(batch.blocks)
        .bind(batch::CLOSED)
        .bind(there.indexes.clone())
}

/// What is removed.
pub(super) enum Doomed<'a> {
    /// The points of these ids.
    Ids(&'a [PointId]),
    /// What lies at these places of a life of the collection, and has not been replaced.
    Places(&'a Collection, Vec<i32>),
}

/// Removes points; how many there were, and what blocks still say of removed ones.
pub(super) async fn remove(
    postgres: &Postgres,
    operation: &'static str,
    at: &CollectionId,
    doomed: Doomed<'_>,
) -> Result<(u64, Dead)> {
    let (life, ids, places) = match doomed {
        Doomed::Ids(ids) => (None, Some(ids.iter().map(|id| id.0).collect::<Vec<Uuid>>()), None),
        Doomed::Places(there, places) => (Some(there.version), None, Some(places)),
    };
    let (one, removed, dead, held): (Option<i64>, Option<i32>, Option<i64>, Option<i64>) = postgres
        .write(operation, include_str!("../sql/vectors/remove.sql"))
        .bind(Hash(at.digest()))
        .bind(life)
        .bind(ids)
        .bind(places)
        .fetch_one()
        .await?;
    let one = one.ok_or_else(|| no_collection(operation, at))?;
    let held = u64::try_from(held.unwrap_or(0)).unwrap_or(0);
    let removed = removed.and_then(|removed| u64::try_from(removed).ok()).unwrap_or(0);
    Ok((removed, Dead::of(one, dead.unwrap_or(0), held)))
}
