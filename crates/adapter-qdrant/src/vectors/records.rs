//! Collections, aliases and points as records.
//!
//! Qdrant has no transactions over several points: a restore is checked as a whole, then written message by message. One
//! that fails in the middle can be repeated. Beside live writes to the same points the later one stays.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use hexmem_ports::rules::{check_point, no_collection};
use hexmem_ports::{
    CollectionId, CollectionSpec, Cursor, Error, ErrorKind, Filter, Limit, Page, Point, PointId,
    Record, RecordKind, Records, Restored, Result, VectorBody, VectorRecord,
};
use uuid::Uuid;

use super::ledger::{self, About, Entry, Which, ledger_name};
use super::life::Life;
use super::names::qdrant_name;
use super::point::{self, Stamp};
use super::read::{self, Scroll};
use super::{QdrantVectors, There, collection, write};
use crate::Qdrant;

const SCAN: &str = "vectors.scan";
const RESTORE: &str = "vectors.restore";

/// A place in the scan: each collection, then its points, then what was removed of it; after all of them what was dropped,
/// then aliases.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    /// Collections after this name in Qdrant.
    After(String),
    /// The points of a life, after an id.
    Points(String, String, Option<PointId>),
    /// What was removed from a life; where the ledger goes on.
    Gone(String, String, Option<PointId>),
    /// Dropped collections; where the ledger goes on.
    Dropped(Option<PointId>),
    /// Aliases; where the ledger goes on.
    Aliases(Option<PointId>),
}

impl Place {
    /// `began`: what is removed later was given already, or is for the next scan.
    fn cursor(&self, began: i64) -> Cursor {
        let at = |id: &Option<PointId>| id.map_or("-".to_owned(), |id| id.to_string());
        Cursor(match self {
            Self::After(name) => format!("{began}:c:{name}"),
            Self::Points(name, life, id) => format!("{began}:p:{name}:{life}:{}", at(id)),
            Self::Gone(name, life, id) => format!("{began}:g:{name}:{life}:{}", at(id)),
            Self::Dropped(id) => format!("{began}:d:{}", at(id)),
            Self::Aliases(id) => format!("{began}:a:{}", at(id)),
        })
    }

    fn read(cursor: &Cursor) -> Option<(i64, Self)> {
        let at = |text: &str| match text {
            "-" => Some(None),
            text => Uuid::parse_str(text).ok().map(|id| Some(PointId(id))),
        };
        let parts: Vec<&str> = cursor.0.split(':').collect();
        let (began, rest) = parts.split_first()?;
        let place = match *rest {
            ["c", name] => Self::After(name.to_owned()),
            ["p", name, life, id] => Self::Points(name.to_owned(), life.to_owned(), at(id)?),
            ["g", name, life, id] => Self::Gone(name.to_owned(), life.to_owned(), at(id)?),
            ["d", id] => Self::Dropped(at(id)?),
            ["a", id] => Self::Aliases(at(id)?),
            _ => return None,
        };
        Some((began.parse().ok()?, place))
    }
}

fn record(at: &CollectionId, stamp: Stamp, body: VectorBody) -> Result<Record> {
    let Stamp { version, modified_at } = stamp;
    VectorRecord { collection: at.clone(), version, modified_at, body }.into_record()
}

/// Whether an entry was there when the scan began.
fn before(entry: &Entry, began: i64) -> bool {
    entry.stamp.modified_at.as_micros() <= began
}

/// The next collection of this program after a name in Qdrant.
async fn next_collection(qdrant: &Qdrant, after: &str) -> Result<Option<There>> {
    let prefix = &qdrant.config().prefix;
    let (begins, ledger) = (format!("{prefix}."), ledger_name(prefix));
    let all = qdrant.read(SCAN, |client| async move { client.list_collections().await }).await?;
    let mut names: Vec<String> = all
        .collections
        .into_iter()
        .map(|collection| collection.name)
        .filter(|name| name.starts_with(&begins) && *name != ledger && name.as_str() > after)
        .collect();
    names.sort_unstable();
    for name in names {
        match collection::look(qdrant, SCAN, &name).await {
            Ok(Some(life)) => return Ok(Some(There { name, life })),
            Ok(None) => {}
            // Something else made it: none of ours.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(collection = name, "left out: it has no stamp");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The life that a place is of, where it is still there.
async fn still(qdrant: &Qdrant, name: &str, life: &str) -> Result<Option<There>> {
    let found = collection::look(qdrant, SCAN, name).await?;
    let found = found.filter(|found| found.life == life);
    Ok(found.map(|life| There { name: name.to_owned(), life }))
}

/// At most `room` points after an id, as records.
async fn points(
    qdrant: &Qdrant,
    there: &There,
    after: Option<PointId>,
    room: usize,
) -> Result<Vec<(PointId, Record)>> {
    let (with_payload, with_vectors) = read::whole();
    let mut scroll = Scroll::new(there, None, with_payload, with_vectors).after(after);
    let rows = u32::try_from(room).unwrap_or(u32::MAX).min(read::PAGE);
    let page = scroll.next(qdrant, SCAN, rows).await?.unwrap_or_default();
    let mut records = Vec::with_capacity(page.len());
    for (id, one) in page {
        let stamp = point::stamp_of(SCAN, &one.payload)?;
        let point = point::decode(SCAN, &there.life, id, one.payload, one.vectors)?;
        records.push((id, record(&there.life.at, stamp, VectorBody::Point(id, Some(point)))?));
    }
    Ok(records)
}

/// Entries about removed points that tell something: the point is not there, and was of this life.
async fn still_gone(
    qdrant: &Qdrant,
    there: &There,
    began: i64,
    entries: Vec<Entry>,
) -> Result<Vec<Record>> {
    let of_life = |entry: &Entry| entry.stamp.version > there.life.version && before(entry, began);
    let entries: Vec<Entry> = entries.into_iter().filter(of_life).collect();
    let ids: Vec<PointId> = entries
        .iter()
        .filter_map(|entry| match entry.about {
            About::Gone(id) => Some(id),
            _ => None,
        })
        .collect();
    let nothing = (read::fields::<&str>([]), read::vectors(Vec::new()));
    let live = read::by_id(qdrant, SCAN, there, &ids, &nothing.0, &nothing.1).await?;
    let live: HashSet<PointId> = live.into_iter().map(|(id, _)| id).collect();
    let gone = entries.into_iter().filter_map(|entry| match entry.about {
        About::Gone(id) if !live.contains(&id) => {
            Some(record(&entry.at, entry.stamp, VectorBody::Point(id, None)))
        }
        _ => None,
    });
    gone.collect()
}

async fn scan(qdrant: &Qdrant, began: i64, mut place: Place, limit: Limit) -> Result<Page<Record>> {
    let mut items = Vec::new();
    loop {
        let room = limit.as_usize() - items.len();
        if room == 0 {
            return Ok(Page { items, next: Some(place.cursor(began)) });
        }
        place = match place {
            Place::After(after) => match next_collection(qdrant, &after).await? {
                None => Place::Dropped(None),
                Some(There { name, life }) => {
                    let stamp = Stamp { version: life.version, modified_at: life.modified_at };
                    let body = VectorBody::Collection(Some(life.spec.clone()));
                    items.push(record(&life.at, stamp, body)?);
                    Place::Points(name, life.life.clone(), None)
                }
            },
            Place::Points(name, life, after) => match still(qdrant, &name, &life).await? {
                // A later life is another collection, whose record was not given.
                None => Place::After(name),
                Some(there) => {
                    let found = points(qdrant, &there, after, room).await?;
                    let last = found.last().map(|(id, _)| *id);
                    items.extend(found.into_iter().map(|(_, record)| record));
                    match last {
                        Some(last) => Place::Points(name, life, Some(last)),
                        None => Place::Gone(name, life, None),
                    }
                }
            },
            Place::Gone(name, life, from) => match still(qdrant, &name, &life).await? {
                None => Place::After(name),
                Some(there) => {
                    let which = Which::Gone(&there.life.at);
                    let (entries, next) = ledger::scroll(qdrant, SCAN, which, from, room).await?;
                    items.extend(still_gone(qdrant, &there, began, entries).await?);
                    match next {
                        Some(next) => Place::Gone(name, life, Some(next)),
                        None => Place::After(name),
                    }
                }
            },
            Place::Dropped(from) => {
                let (entries, next) =
                    ledger::scroll(qdrant, SCAN, Which::Dropped, from, room).await?;
                for entry in entries.into_iter().filter(|entry| before(entry, began)) {
                    if collection::exactly(qdrant, SCAN, &entry.at).await?.is_none() {
                        items.push(record(&entry.at, entry.stamp, VectorBody::Collection(None))?);
                    }
                }
                next.map_or(Place::Aliases(None), |next| Place::Dropped(Some(next)))
            }
            Place::Aliases(from) => {
                let (entries, next) =
                    ledger::scroll(qdrant, SCAN, Which::Aliases, from, room).await?;
                for entry in entries {
                    // What Qdrant has counts.
                    let name = qdrant_name(&qdrant.config().prefix, &entry.at);
                    let target = collection::look(qdrant, SCAN, &name).await?;
                    let target = target.filter(|life| life.at != entry.at);
                    let body = VectorBody::Alias(target.map(|life| life.at.name.clone()));
                    items.push(record(&entry.at, entry.stamp, body)?);
                }
                match next {
                    Some(next) => Place::Aliases(Some(next)),
                    None => return Ok(Page { items, next: None }),
                }
            }
        };
    }
}

#[async_trait]
impl Records for QdrantVectors {
    fn kind(&self) -> RecordKind {
        RecordKind::Vector
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let (began, place) = match cursor {
            None => (self.0.clock().now().as_micros(), Place::After(String::new())),
            Some(cursor) => Place::read(&cursor)
                .ok_or_else(|| Error::invalid(SCAN, "a cursor that this store did not give"))?,
        };
        scan(&self.0, began, place, limit).await
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let records =
            records.into_iter().map(VectorRecord::from_record).collect::<Result<Vec<_>>>()?;
        check(&self.0, &records).await?;
        let mut answers = Vec::with_capacity(records.len());
        let mut rest = records.as_slice();
        while let Some(first) = rest.first() {
            match &first.body {
                VectorBody::Collection(spec) => {
                    let at = (first, spec.as_ref());
                    answers.push(restore_collection(&self.0, at.0, at.1).await?);
                    rest = &rest[1..];
                }
                VectorBody::Alias(_) => {
                    answers.push(restore_alias(&self.0, first).await?);
                    rest = &rest[1..];
                }
                VectorBody::Point(..) => {
                    let run = run_of_points(rest);
                    restore_points(&self.0, &rest[..run], &mut answers).await?;
                    rest = &rest[run..];
                }
            }
        }
        Ok(answers)
    }
}

fn stamp_of(record: &VectorRecord) -> Stamp {
    Stamp { version: record.version, modified_at: record.modified_at }
}

fn life_stamp(life: &Life) -> Stamp {
    Stamp { version: life.version, modified_at: life.modified_at }
}

/// What is known of a name: the collection that is there, and when it was last made or dropped.
async fn standing(
    qdrant: &Qdrant,
    at: &CollectionId,
) -> Result<(Option<Arc<Life>>, Option<Stamp>)> {
    if let Some(life) = collection::exactly(qdrant, RESTORE, at).await? {
        let stamp = life_stamp(&life);
        return Ok((Some(life), Some(stamp)));
    }
    let dropped = ledger::get(qdrant, RESTORE, at, About::Dropped).await?;
    Ok((None, dropped.map(|entry| entry.stamp)))
}

/// Refuses a batch with a point that has no collection or does not fit it, before anything is written.
async fn check(qdrant: &Qdrant, records: &[VectorRecord]) -> Result<()> {
    // Collections as they will be once the records before a point are written.
    let mut known: BTreeMap<&CollectionId, (Option<Stamp>, Option<CollectionSpec>)> =
        BTreeMap::new();
    for record in records {
        let at = &record.collection;
        if matches!(record.body, VectorBody::Alias(_)) {
            continue;
        }
        if !known.contains_key(at) {
            let (life, stamp) = standing(qdrant, at).await?;
            known.insert(at, (stamp, life.map(|life| life.spec.clone())));
        }
        let Some((stamp, spec)) = known.get_mut(at) else { continue };
        match &record.body {
            VectorBody::Collection(coming) => {
                if stamp.is_none_or(|stamp| stamp_of(record) > stamp) {
                    (*stamp, *spec) = (Some(stamp_of(record)), coming.clone());
                }
            }
            VectorBody::Point(id, point) => {
                let Some(stamp) = stamp else {
                    let what = "the collection of a point is not there; restore it first";
                    return Err(Error::new(ErrorKind::NotFound, RESTORE, what)
                        .with("collection", at)
                        .with("point", id));
                };
                if let (Some(spec), Some(point)) = (spec, point)
                    && record.version > stamp.version
                {
                    check_point(RESTORE, spec, point).map_err(|e| e.with("collection", at))?;
                }
            }
            VectorBody::Alias(_) => {}
        }
    }
    Ok(())
}

async fn restore_collection(
    qdrant: &Qdrant,
    record: &VectorRecord,
    spec: Option<&CollectionSpec>,
) -> Result<Restored> {
    let at = &record.collection;
    let (life, held) = standing(qdrant, at).await?;
    let stamp = stamp_of(record);
    if held.is_some_and(|held| stamp <= held) {
        return Ok(Restored::Kept);
    }
    match (&life, spec) {
        (Some(life), _) => {
            collection::drop_life(qdrant, RESTORE, life, stamp).await?;
        }
        (None, None) => {
            let entry = Entry { at: at.clone(), about: About::Dropped, stamp };
            ledger::put(qdrant, RESTORE, &[entry]).await?;
        }
        (None, Some(_)) => {}
    }
    if let Some(spec) = spec {
        let life = Life::new(at.clone(), spec.clone(), stamp.version, stamp.modified_at);
        collection::make(qdrant, RESTORE, at, life).await?;
    }
    Ok(Restored::Written)
}

async fn restore_alias(qdrant: &Qdrant, record: &VectorRecord) -> Result<Restored> {
    let (at, stamp) = (&record.collection, stamp_of(record));
    let VectorBody::Alias(target) = &record.body else { return Ok(Restored::Kept) };
    let held = ledger::get(qdrant, RESTORE, at, About::Alias(None)).await?;
    if held.is_some_and(|held| stamp <= held.stamp) {
        return Ok(Restored::Kept);
    }
    collection::point_alias(qdrant, RESTORE, at, target.as_ref(), Some(stamp)).await?;
    Ok(Restored::Written)
}

/// How many of the first records are different points of one collection.
fn run_of_points(records: &[VectorRecord]) -> usize {
    let mut seen = HashSet::new();
    let same = |record: &&VectorRecord| match &record.body {
        VectorBody::Point(id, _) => record.collection == records[0].collection && seen.insert(*id),
        _ => false,
    };
    records.iter().take_while(same).count()
}

async fn restore_points(
    qdrant: &Qdrant,
    records: &[VectorRecord],
    answers: &mut Vec<Restored>,
) -> Result<()> {
    let Some(first) = records.first() else { return Ok(()) };
    let at = &first.collection;
    let (life, held) = standing(qdrant, at).await?;
    let Some(life) = life else {
        if held.is_none() {
            return Err(no_collection(RESTORE, at));
        }
        answers.extend(records.iter().map(|_| Restored::Kept));
        return Ok(());
    };
    let there = There { name: qdrant_name(&qdrant.config().prefix, at), life };
    let ids: Vec<PointId> = records
        .iter()
        .filter_map(|record| match &record.body {
            VectorBody::Point(id, _) => Some(*id),
            _ => None,
        })
        .collect();
    let stamps = read::fields([point::VERSION, point::MODIFIED]);
    let nothing = read::vectors(Vec::new());
    let mut held: HashMap<PointId, Stamp> = HashMap::new();
    for entry in ledger::gone(qdrant, RESTORE, at, &ids).await? {
        if let About::Gone(id) = entry.about {
            held.insert(id, entry.stamp);
        }
    }
    for (id, one) in read::by_id(qdrant, RESTORE, &there, &ids, &stamps, &nothing).await? {
        held.insert(id, point::stamp_of(RESTORE, &one.payload)?);
    }
    let (mut coming, mut gone): (Vec<(&Point, Stamp)>, Vec<Entry>) = (Vec::new(), Vec::new());
    for record in records {
        let VectorBody::Point(id, point) = &record.body else { continue };
        let stamp = stamp_of(record);
        let newer = held.get(id).is_none_or(|held| stamp > *held);
        if !newer || record.version <= there.life.version {
            answers.push(Restored::Kept);
            continue;
        }
        answers.push(Restored::Written);
        match point {
            Some(point) => coming.push((point, stamp)),
            None => gone.push(Entry { at: at.clone(), about: About::Gone(*id), stamp }),
        }
    }
    if !coming.is_empty() {
        write::send(qdrant, RESTORE, &there, &coming).await?;
    }
    if !gone.is_empty() {
        ledger::put(qdrant, RESTORE, &gone).await?;
        let ids: Vec<PointId> = gone
            .iter()
            .filter_map(|entry| match entry.about {
                About::Gone(id) => Some(id),
                _ => None,
            })
            .collect();
        write::take(qdrant, RESTORE, &there, &ids, &Filter::all()).await?;
    }
    Ok(())
}
