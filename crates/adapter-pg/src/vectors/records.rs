//! Collections, aliases and points as records.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use hexmem_ports::rules::{VectorPlace, check_point, no_collection};
use hexmem_ports::{
    CollectionId, Cursor, Error, ErrorKind, Limit, Name, Page, Point, PointId, Record, RecordKind,
    Records, Restored, Result, Tenant, Timestamp, VectorBody, VectorRecord,
};
use uuid::Uuid;

use super::batch::{self, Stamp};
use super::collection::{self, Collection};
use super::layout::Layout;
use super::turn::Turn;
use super::{PgVectors, corrupt, index, read, whole, write};
use crate::Tx;
use crate::value::{At, Hash};

const SCAN: &str = "vectors.scan";
const RESTORE: &str = "vectors.restore";

/// The most points that are restored in one go.
const RUN: usize = 10_000;

/// A name's row, whether a collection is there or was: place, id, tenant, name, version, time, stamp.
type Named = (i64, i64, String, String, i64, At, Option<String>);

fn address(tenant: &str, name: &str) -> Result<CollectionId> {
    let named = |text: &str| Name::new(text).map_err(|e| corrupt(SCAN, "a name").caused_by(e));
    Ok(CollectionId::new(Tenant(named(tenant)?), named(name)?))
}

fn record(
    collection: &CollectionId,
    version: i64,
    modified_at: Timestamp,
    body: VectorBody,
) -> Result<Record> {
    let version = u64::try_from(version).map_err(|_| corrupt(SCAN, "a version"))?;
    VectorRecord { collection: collection.clone(), version, modified_at, body }.into_record()
}

/// The first collection from a place on.
async fn next_collection(tx: &mut Tx, from: i64) -> Result<Option<Named>> {
    tx.query(include_str!("../sql/vectors/scan_collections.sql")).bind(from).fetch_optional().await
}

/// At most `room` records of points and of tombstones after `after`, in order of id.
async fn points_after(
    tx: &mut Tx,
    named: &Named,
    after: Option<PointId>,
    room: usize,
) -> Result<Vec<(PointId, Record)>> {
    let (_, id, tenant, name, version, _, spec) = named;
    let (Some(spec), Some(from)) = (spec, whole::next_id(after)) else { return Ok(Vec::new()) };
    let row = (*id, *version, 0, spec.clone(), Vec::new());
    let (there, at) = (Collection::of(SCAN, row)?, address(tenant, name)?);
    let mut found = Vec::new();
    for whole in whole::whole_after(&mut Turn::Tx(tx), &there, after, room).await? {
        let id = whole.point.id;
        let body = VectorBody::Point(id, Some(whole.point));
        found.push((id, record(&at, whole.version, whole.modified_at, body)?));
    }
    let gone: Vec<(Uuid, i64, At)> = tx
        .query(include_str!("../sql/vectors/gone_after.sql"))
        .bind(*id)
        .bind(from)
        .bind(read::rows(room))
        .fetch_all()
        .await?;
    for (id, version, At(deleted_at)) in gone {
        let id = PointId(id);
        found.push((id, record(&at, version, deleted_at, VectorBody::Point(id, None))?));
    }
    found.sort_by_key(|(id, _)| *id);
    found.truncate(room);
    Ok(found)
}

/// An alias's row: id, tenant, name, version, time, target.
type AliasRow = (i64, String, String, i64, At, Option<String>);

async fn scan(tx: &mut Tx, mut place: VectorPlace, limit: Limit) -> Result<Page<Record>> {
    let mut items = Vec::new();
    loop {
        let room = limit.as_usize() - items.len();
        if room == 0 {
            return Ok(Page { items, next: Some(place.cursor()) });
        }
        place = match place {
            VectorPlace::From(from) => match next_collection(tx, from).await? {
                None => VectorPlace::Aliases(0),
                Some(named) => {
                    let (own, _, tenant, name, version, At(modified_at), spec) = &named;
                    let spec = spec.as_deref();
                    let spec = spec.map(|spec| collection::read_spec(SCAN, spec)).transpose()?;
                    let at = address(tenant, name)?;
                    let body = VectorBody::Collection(spec);
                    items.push(record(&at, *version, *modified_at, body)?);
                    VectorPlace::Points(*own, *version, None)
                }
            },
            VectorPlace::Points(own, version, after) => {
                // A later life is another collection, whose record was not given.
                let named = next_collection(tx, own).await?;
                let named = named.filter(|named| (named.0, named.4) == (own, version));
                let points = match &named {
                    Some(named) => points_after(tx, named, after, room).await?,
                    None => Vec::new(),
                };
                let full = points.len() == room;
                let last = points.last().map(|(id, _)| *id);
                items.extend(points.into_iter().map(|(_, record)| record));
                if full {
                    VectorPlace::Points(own, version, last)
                } else {
                    VectorPlace::From(own + 1)
                }
            }
            VectorPlace::Aliases(after) => {
                let rows: Vec<AliasRow> = tx
                    .query(include_str!("../sql/vectors/scan_aliases.sql"))
                    .bind(after)
                    .bind(read::rows(room))
                    .fetch_all()
                    .await?;
                let last = rows.last().map(|row| row.0).filter(|_| rows.len() == room);
                for (_, tenant, name, version, At(modified_at), target) in rows {
                    let target = target.map(Name::new).transpose();
                    let target = target.map_err(|e| corrupt(SCAN, "a name").caused_by(e))?;
                    let body = VectorBody::Alias(target);
                    items.push(record(&address(&tenant, &name)?, version, modified_at, body)?);
                }
                match last {
                    Some(last) => VectorPlace::Aliases(last),
                    None => return Ok(Page { items, next: None }),
                }
            }
        };
    }
}

#[async_trait]
impl Records for PgVectors {
    fn kind(&self) -> RecordKind {
        RecordKind::Vector
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let place = VectorPlace::read(SCAN, cursor.as_ref())?;
        let mut tx = self.0.snapshot(SCAN).await?;
        let page = scan(&mut tx, place, limit).await;
        tx.finish(page).await
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let records =
            records.into_iter().map(VectorRecord::from_record).collect::<Result<Vec<_>>>()?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.0.begin(RESTORE).await?;
        let answers = restore(&mut tx, &records).await;
        tx.finish(answers).await
    }
}

async fn restore(tx: &mut Tx, records: &[VectorRecord]) -> Result<Vec<Restored>> {
    // All names first and in one order: two restores do not wait for each other.
    let names: HashSet<Hash> =
        records.iter().map(|record| Hash(record.collection.digest())).collect();
    let mut names: Vec<Hash> = names.into_iter().collect();
    names.sort_unstable();
    tx.query(include_str!("../sql/vectors/lock_names.sql")).bind(names).execute().await?;
    let mut answers = Vec::with_capacity(records.len());
    let mut rest = records;
    while let Some(first) = rest.first() {
        match &first.body {
            VectorBody::Collection(_) | VectorBody::Alias(_) => {
                answers.push(restore_name(tx, first).await?);
                rest = &rest[1..];
            }
            VectorBody::Point(..) => {
                let run = run_of_points(rest);
                restore_points(tx, &rest[..run], &mut answers).await?;
                rest = &rest[run..];
            }
        }
    }
    Ok(answers)
}

/// A record's version was checked to fit.
fn number(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

fn answer(written: bool) -> Restored {
    if written { Restored::Written } else { Restored::Kept }
}

async fn restore_name(tx: &mut Tx, record: &VectorRecord) -> Result<Restored> {
    let at = &record.collection;
    let (version, modified_at) = (number(record.version), At(record.modified_at));
    let (written,): (bool,) = match &record.body {
        VectorBody::Collection(spec) => {
            let layout = spec.as_ref().map(Layout::of);
            let wishes = spec.as_ref().zip(layout.as_ref());
            let wishes = wishes.map(|(spec, l)| index::wishes(spec, l)).unwrap_or_default();
            let text =
                spec.as_ref().map(|spec| collection::spec_text(RESTORE, spec)).transpose()?;
            tx.query(include_str!("../sql/vectors/restore_collection.sql"))
                .bind(Hash(at.digest()))
                .bind(at.tenant.as_str())
                .bind(at.name.as_str())
                .bind(version)
                .bind(modified_at)
                .bind(text)
                .bind(layout.as_ref().map_or(0, Layout::dense_count))
                .bind(layout.as_ref().map_or(0, Layout::sparse_count))
                .bind(wishes.channels)
                .bind(wishes.distances)
                .bind(wishes.dimensions)
                .fetch_one()
                .await?
        }
        VectorBody::Alias(target) => {
            let aimed = target.clone().map(|name| CollectionId::new(at.tenant.clone(), name));
            tx.query(include_str!("../sql/vectors/restore_alias.sql"))
                .bind(Hash(at.digest()))
                .bind(at.tenant.as_str())
                .bind(at.name.as_str())
                .bind(version)
                .bind(modified_at)
                .bind(target.as_ref().map(Name::as_str))
                .bind(aimed.map(|aimed| Hash(aimed.digest())))
                .fetch_one()
                .await?
        }
        VectorBody::Point(..) => (false,),
    };
    Ok(answer(written))
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
    tx: &mut Tx,
    records: &[VectorRecord],
    answers: &mut Vec<Restored>,
) -> Result<()> {
    let Some(first) = records.first() else { return Ok(()) };
    let at = &first.collection;
    let named: Option<(i64, bool)> = tx
        .query(include_str!("../sql/vectors/named.sql"))
        .bind(Hash(at.digest()))
        .fetch_optional()
        .await?;
    let Some((id, lives)) = named else {
        let what = "the collection of a point is not there; restore it first";
        return Err(Error::new(ErrorKind::NotFound, RESTORE, what).with("collection", at));
    };
    if !lives {
        answers.extend(records.iter().map(|_| Restored::Kept));
        return Ok(());
    }
    let (there, base) = write::reserve_within(tx, at, records.len()).await?;
    if there.id != id {
        return Err(no_collection(RESTORE, at));
    }
    let ids: Vec<Uuid> = records
        .iter()
        .filter_map(|record| match &record.body {
            VectorBody::Point(id, _) => Some(id.0),
            _ => None,
        })
        .collect();
    let held: Vec<(Uuid, i64, At)> = tx
        .query(include_str!("../sql/vectors/versions.sql"))
        .bind(there.id)
        .bind(ids)
        .fetch_all()
        .await?;
    let held: HashMap<Uuid, (i64, Timestamp)> =
        held.into_iter().map(|(id, version, At(at))| (id, (version, at))).collect();
    let (mut points, mut stamps): (Vec<Point>, Vec<Stamp>) = (Vec::new(), Vec::new());
    let (mut buried, mut ends): (Vec<Uuid>, Vec<Stamp>) = (Vec::new(), Vec::new());
    for record in records {
        let VectorBody::Point(id, point) = &record.body else { continue };
        let stamp = Stamp { version: number(record.version), modified_at: record.modified_at };
        let own = (stamp.version, stamp.modified_at);
        let newer = held.get(&id.0).is_none_or(|held| own > *held);
        let written = newer && stamp.version > there.version;
        answers.push(answer(written));
        match point {
            _ if !written => {}
            Some(point) => {
                check_point(RESTORE, &there.spec, point)
                    .map_err(|error| error.with("collection", at))?;
                points.push(point.clone());
                stamps.push(stamp);
            }
            None => {
                buried.push(id.0);
                ends.push(stamp);
            }
        }
    }
    let mut done = 0;
    for batch in batch::all(&there, base, &points) {
        let count = batch.ids.len();
        let own = stamps.get(done..done + count);
        write::put(tx, &there, batch, own).await?.ok_or_else(|| read::changed(RESTORE))?;
        done += count;
    }
    if !buried.is_empty() {
        let (versions, times) = Stamp::columns(&ends);
        tx.query(include_str!("../sql/vectors/bury.sql"))
            .bind(there.id)
            .bind(buried)
            .bind(versions)
            .bind(times)
            .execute()
            .await?;
    }
    Ok(())
}
