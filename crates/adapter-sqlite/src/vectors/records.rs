//! Collections, aliases and points as records.

use std::collections::HashSet;

use async_trait::async_trait;
use hexmem_ports::rules::{VectorPlace, check_point};
use hexmem_ports::{
    CollectionId, Cursor, Error, ErrorKind, Limit, Name, Page, Point, PointId, Record, RecordKind,
    Records, Restored, Result, Tenant, Timestamp, VectorBody, VectorRecord,
};
use uuid::Uuid;

use super::batch;
use super::collection::{self, Collection, Named};
use super::layout::Layout;
use super::near::Due;
use super::write::Writer;
use super::{SqliteVectors, corrupt, read};
use crate::{ReadTx, WriteTx};

const SCAN: &str = "vectors.scan";
const RESTORE: &str = "vectors.restore";

/// The most points that are restored in one go.
const RUN: usize = 10_000;

fn address(turn: &ReadTx, tenant: &str, name: &str) -> Result<CollectionId> {
    let named = |text: &str| Name::new(text).map_err(|e| corrupt(turn, "a name").caused_by(e));
    Ok(CollectionId::new(Tenant(named(tenant)?), named(name)?))
}

fn record(
    turn: &ReadTx,
    collection: &CollectionId,
    version: i64,
    modified_at: i64,
    body: VectorBody,
) -> Result<Record> {
    let read = u64::try_from(version).ok().zip(Timestamp::from_micros(modified_at));
    let (version, modified_at) = read.ok_or_else(|| corrupt(turn, "a version or time"))?;
    VectorRecord { collection: collection.clone(), version, modified_at, body }.into_record()
}

/// The first collection from `id` on.
async fn next_collection(turn: &mut ReadTx, id: i64) -> Result<Option<Named>> {
    sqlx::query_as(include_str!("../sql/vectors/scan_collections.sql"))
        .bind(id)
        .bind(1)
        .fetch_optional(turn.connection())
        .await
        .map_err(|e| turn.error(e))
}

/// At most `room` records of points and of tombstones after `after`, in order of id.
async fn points_after(
    turn: &mut ReadTx,
    named: &Named,
    after: Option<PointId>,
    room: usize,
) -> Result<Vec<(PointId, Record)>> {
    let Some(spec) = &named.spec else { return Ok(Vec::new()) };
    let spec = collection::read_spec(turn, spec)?;
    let at = address(turn, &named.tenant, &named.name)?;
    let layout = Layout::of(&spec);
    let (version, revision) = (named.version, named.revision);
    let there =
        Collection { id: named.id, version, revision, next_ord: 0, points: 0, spec, layout };
    let rows = read::rows_after(turn, named.id, after, room).await?;
    let mut found = Vec::new();
    for whole in read::whole(turn, &there, rows).await? {
        let id = whole.point.id;
        let body = VectorBody::Point(id, Some(whole.point));
        found.push((id, record(turn, &at, whole.version, whole.modified_at, body)?));
    }
    let gone: Vec<(Vec<u8>, i64, i64)> =
        sqlx::query_as(include_str!("../sql/vectors/gone_scroll.sql"))
            .bind(named.id)
            .bind(after.map_or(Vec::new(), |id| id.0.as_bytes().to_vec()))
            .bind(i64::try_from(room).unwrap_or(i64::MAX))
            .fetch_all(turn.connection())
            .await
            .map_err(|e| turn.error(e))?;
    for (id, version, deleted_at) in gone {
        let id = Uuid::from_slice(&id).map_err(|e| corrupt(turn, "a tombstone").caused_by(e))?;
        let body = VectorBody::Point(PointId(id), None);
        found.push((PointId(id), record(turn, &at, version, deleted_at, body)?));
    }
    found.sort_by_key(|(id, _)| *id);
    found.truncate(room);
    Ok(found)
}

type AliasRow = (i64, String, String, i64, i64, Option<String>);

#[async_trait]
impl Records for SqliteVectors {
    fn kind(&self) -> RecordKind {
        RecordKind::Vector
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let mut place = VectorPlace::read(SCAN, cursor.as_ref())?;
        let mut turn = self.0.snapshot(SCAN).await?;
        let mut items = Vec::new();
        loop {
            let room = limit.as_usize() - items.len();
            if room == 0 {
                return Ok(Page { items, next: Some(place.cursor()) });
            }
            place = match place {
                VectorPlace::From(id) => match next_collection(&mut turn, id).await? {
                    None => VectorPlace::Aliases(0),
                    Some(named) => {
                        let at = address(&turn, &named.tenant, &named.name)?;
                        let spec = named.spec.as_deref();
                        let spec =
                            spec.map(|spec| collection::read_spec(&turn, spec)).transpose()?;
                        let body = VectorBody::Collection(spec);
                        items.push(record(&turn, &at, named.version, named.modified_at, body)?);
                        VectorPlace::Points(named.id, named.version, None)
                    }
                },
                VectorPlace::Points(id, version, after) => {
                    // A later life is another collection, whose record was not given.
                    let named = next_collection(&mut turn, id).await?;
                    let named = named.filter(|named| (named.id, named.version) == (id, version));
                    let points = match &named {
                        Some(named) => points_after(&mut turn, named, after, room).await?,
                        None => Vec::new(),
                    };
                    let full = points.len() == room;
                    let last = points.last().map(|(id, _)| *id);
                    items.extend(points.into_iter().map(|(_, record)| record));
                    if full {
                        VectorPlace::Points(id, version, last)
                    } else {
                        VectorPlace::From(id + 1)
                    }
                }
                VectorPlace::Aliases(after) => {
                    let rows: Vec<AliasRow> =
                        sqlx::query_as(include_str!("../sql/vectors/scan_aliases.sql"))
                            .bind(after)
                            .bind(i64::try_from(room).unwrap_or(i64::MAX))
                            .fetch_all(turn.connection())
                            .await
                            .map_err(|e| turn.error(e))?;
                    let last = rows.last().map(|row| row.0).filter(|_| rows.len() == room);
                    for (_, tenant, name, version, modified_at, target) in rows {
                        let at = address(&turn, &tenant, &name)?;
                        let target = target.map(Name::new).transpose();
                        let target = target.map_err(|e| corrupt(&turn, "a name").caused_by(e))?;
                        let body = VectorBody::Alias(target);
                        items.push(record(&turn, &at, version, modified_at, body)?);
                    }
                    match last {
                        Some(last) => VectorPlace::Aliases(last),
                        None => return Ok(Page { items, next: None }),
                    }
                }
            };
        }
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let records =
            records.into_iter().map(VectorRecord::from_record).collect::<Result<Vec<_>>>()?;
        let mut tx = self.0.write(RESTORE).await?;
        let mut answers = Vec::with_capacity(records.len());
        let mut due = Vec::new();
        let mut rest = records.as_slice();
        while let Some(first) = rest.first() {
            match &first.body {
                VectorBody::Collection(_) | VectorBody::Alias(_) => {
                    answers.push(restore_name(&mut tx, first).await?);
                    rest = &rest[1..];
                }
                VectorBody::Point(..) => {
                    let run = run_of_points(rest);
                    let tend = restore_points(&mut tx, &rest[..run], &mut answers).await?;
                    due.push((&first.collection, tend));
                    rest = &rest[run..];
                }
            }
        }
        tx.commit().await?;
        for (collection, due) in due {
            self.tend(collection, due).await;
        }
        Ok(answers)
    }
}

fn newer(record: &VectorRecord, version: i64, modified_at: i64) -> bool {
    (number(record.version), record.modified_at.as_micros()) > (version, modified_at)
}

/// A record's version was checked to fit.
fn number(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

async fn restore_name(tx: &mut WriteTx, record: &VectorRecord) -> Result<Restored> {
    let at = &record.collection;
    let (version, modified_at) = (number(record.version), record.modified_at.as_micros());
    match &record.body {
        VectorBody::Collection(spec) => {
            let held = collection::named(tx, at).await?;
            if held.is_some_and(|held| !newer(record, held.version, held.modified_at)) {
                return Ok(Restored::Kept);
            }
            collection::put(tx, at, version, modified_at, spec.as_ref()).await?;
        }
        VectorBody::Alias(target) => {
            let held = collection::alias(tx, at).await?;
            if held.is_some_and(|held| !newer(record, held.version, held.modified_at)) {
                return Ok(Restored::Kept);
            }
            collection::put_alias(tx, at, version, modified_at, target.as_ref()).await?;
        }
        VectorBody::Point(..) => {}
    }
    Ok(Restored::Written)
}

/// How many of the first records are different points of one collection.
fn run_of_points(records: &[VectorRecord]) -> usize {
    let mut seen = HashSet::new();
    let same = |record: &&VectorRecord| match &record.body {
        VectorBody::Point(id, _) => record.collection == records[0].collection && seen.insert(*id),
        _ => false,
    };
    records.iter().take(RUN).take_while(same).count()
}

async fn restore_points(
    tx: &mut WriteTx,
    records: &[VectorRecord],
    answers: &mut Vec<Restored>,
) -> Result<Due> {
    let Some(first) = records.first() else { return Ok(Due::No) };
    let at = &first.collection;
    let Some(named) = collection::named(tx, at).await? else {
        return Err(Error::new(
            ErrorKind::NotFound,
            RESTORE,
            "the collection of a point is not there; restore it first",
        )
        .with("collection", at));
    };
    let there = match named.spec {
        Some(_) => Collection::resolve(tx, at).await?,
        None => None,
    };
    let Some(there) = there else {
        answers.extend(records.iter().map(|_| Restored::Kept));
        return Ok(Due::No);
    };
    let mut writer = Writer::begin(tx, there).await?;
    let (mut points, mut stamps): (Vec<Point>, Vec<(i64, i64)>) = (Vec::new(), Vec::new());
    for record in records {
        let VectorBody::Point(id, point) = &record.body else { continue };
        let (version, modified_at) = (number(record.version), record.modified_at.as_micros());
        if version <= writer.collection.version || !is_newer(&mut writer, *id, record).await? {
            answers.push(Restored::Kept);
            continue;
        }
        answers.push(Restored::Written);
        writer.seen_version(version);
        match point {
            Some(point) => {
                check_point(RESTORE, &writer.collection.spec, point)
                    .map_err(|error| error.with("collection", at))?;
                points.push(point.clone());
                stamps.push((version, modified_at));
            }
            None => writer.bury(*id, version, modified_at).await?,
        }
    }
    let mut done = 0;
    for batch in batch::all(&writer.collection.layout.clone(), &points) {
        let stamps = &stamps[done..];
        writer.put(&batch, |i| stamps[i]).await?;
        done += batch.ids.len();
    }
    writer.finish().await
}

/// Whether the record is newer than the point that is there, or its tombstone.
async fn is_newer(writer: &mut Writer<'_>, id: PointId, record: &VectorRecord) -> Result<bool> {
    let held: Option<(i64, i64)> = sqlx::query_as(include_str!("../sql/vectors/versions.sql"))
        .bind(writer.collection.id)
        .bind(id.0.as_bytes().as_slice())
        .fetch_optional(writer.tx.connection())
        .await
        .map_err(|e| writer.tx.error(e))?;
    Ok(held.is_none_or(|(version, modified_at)| newer(record, version, modified_at)))
}
