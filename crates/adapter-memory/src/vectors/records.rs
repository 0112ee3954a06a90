//! Collections, aliases and points as records.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use hexmem_ports::rules::check_point;
use hexmem_ports::{
    CollectionId, CollectionSpec, Cursor, Error, ErrorKind, Limit, Name, Page, Point, PointId,
    Record, RecordKind, Records, Restored, Result, Tenant, Timestamp, VectorBody, VectorRecord,
};
use uuid::Uuid;

use super::state::{Alias, Held, HeldPoint, Live, State, key};
use super::{MemoryVectors, Names};

const SCAN: &str = "vectors.scan";
const RESTORE: &str = "vectors.restore";

/// A place in the scan: each collection before its points, aliases last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Collection(Tenant, Name),
    Point(Tenant, Name, Uuid),
    Alias(Tenant, Name),
}

impl Place {
    fn cursor(&self) -> Cursor {
        let parts = match self {
            Self::Collection(tenant, name) => vec!["c", tenant.as_str(), name.as_str()],
            Self::Point(tenant, name, id) => {
                return Cursor(["p", tenant.as_str(), name.as_str(), &id.to_string()].join("\0"));
            }
            Self::Alias(tenant, name) => vec!["a", tenant.as_str(), name.as_str()],
        };
        Cursor(parts.join("\0"))
    }

    fn read(cursor: &Cursor) -> Result<Self> {
        let parts: Vec<&str> = cursor.0.split('\0').collect();
        let place = match *parts {
            [kind, tenant, name, ref rest @ ..] => {
                let (tenant, name) = (Tenant(Name::new(tenant)?), Name::new(name)?);
                match (kind, rest) {
                    ("c", []) => Some(Self::Collection(tenant, name)),
                    ("p", [id]) => Uuid::parse_str(id).ok().map(|id| Self::Point(tenant, name, id)),
                    ("a", []) => Some(Self::Alias(tenant, name)),
                    _ => None,
                }
            }
            _ => None,
        };
        place.ok_or_else(|| Error::invalid(SCAN, "a cursor that this store did not give"))
    }
}

impl State {
    /// At most `limit` records after `after`.
    fn records_after(&self, after: Option<&Place>, limit: usize) -> Vec<(Place, VectorRecord)> {
        let mut found = Vec::new();
        let (start, from_point) = match after {
            None => (Bound::Unbounded, None),
            Some(Place::Collection(t, n)) => {
                (Bound::Included((t.clone(), n.clone())), Some(Bound::Unbounded))
            }
            Some(Place::Point(t, n, id)) => {
                (Bound::Included((t.clone(), n.clone())), Some(Bound::Excluded(PointId(*id))))
            }
            Some(Place::Alias(t, n)) => {
                self.aliases_after(Bound::Excluded((t.clone(), n.clone())), limit, &mut found);
                return found;
            }
        };
        let first = match &start {
            Bound::Included(key) => Some(key.clone()),
            _ => None,
        };
        for (key, held) in self.collections.range((start, Bound::Unbounded)) {
            if found.len() >= limit {
                return found;
            }
            let points = match from_point.filter(|_| first.as_ref() == Some(key)) {
                Some(bound) => bound,
                None => {
                    found.push(held.record(key));
                    Bound::Unbounded
                }
            };
            if let Some(live) = &held.live {
                live.records_after(key, points, limit, &mut found);
            }
        }
        self.aliases_after(Bound::Unbounded, limit, &mut found);
        found
    }

    fn aliases_after(
        &self,
        start: Bound<(Tenant, Name)>,
        limit: usize,
        found: &mut Vec<(Place, VectorRecord)>,
    ) {
        let rest = self.aliases.range((start, Bound::Unbounded));
        for ((tenant, name), alias) in rest.take(limit.saturating_sub(found.len())) {
            let record = VectorRecord {
                collection: CollectionId::new(tenant.clone(), name.clone()),
                version: alias.version,
                modified_at: alias.modified_at,
                body: VectorBody::Alias(alias.target.clone()),
            };
            found.push((Place::Alias(tenant.clone(), name.clone()), record));
        }
    }
}

impl Held {
    fn record(&self, (tenant, name): &(Tenant, Name)) -> (Place, VectorRecord) {
        let spec = self.live.as_ref().map(|live| live.spec.clone());
        let record = VectorRecord {
            collection: CollectionId::new(tenant.clone(), name.clone()),
            version: self.version,
            modified_at: self.modified_at,
            body: VectorBody::Collection(spec),
        };
        (Place::Collection(tenant.clone(), name.clone()), record)
    }
}

impl Live {
    fn records_after(
        &self,
        (tenant, name): &(Tenant, Name),
        start: Bound<PointId>,
        limit: usize,
        found: &mut Vec<(Place, VectorRecord)>,
    ) {
        let room = limit.saturating_sub(found.len());
        let range = (start, Bound::Unbounded);
        let mut bodies: BTreeMap<PointId, (u64, Timestamp, Option<Point>)> = BTreeMap::new();
        for (id, held) in self.points.range(range).take(room) {
            bodies.insert(*id, (held.version, held.modified_at, Some(held.point.clone())));
        }
        for (id, (version, at)) in self.gone.range(range).take(room) {
            bodies.insert(*id, (*version, *at, None));
        }
        for (id, (version, modified_at, point)) in bodies.into_iter().take(room) {
            let record = VectorRecord {
                collection: CollectionId::new(tenant.clone(), name.clone()),
                version,
                modified_at,
                body: VectorBody::Point(id, point),
            };
            found.push((Place::Point(tenant.clone(), name.clone(), id.0), record));
        }
    }
}

#[async_trait]
impl Records for MemoryVectors {
    fn kind(&self) -> RecordKind {
        RecordKind::Vector
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let after = cursor.map(|cursor| Place::read(&cursor)).transpose()?;
        let state = self.read();
        let mut found = state.records_after(after.as_ref(), limit.as_usize() + 1);
        let more = found.len() > limit.as_usize();
        found.truncate(limit.as_usize());
        let next = found.last().filter(|_| more).map(|(place, _)| place.cursor());
        let items = found.into_iter().map(|(_, record)| record.into_record());
        Ok(Page { items: items.collect::<Result<_>>()?, next })
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let records =
            records.into_iter().map(VectorRecord::from_record).collect::<Result<Vec<_>>>()?;
        let mut state = self.write();
        state.check_restore(&records)?;
        Ok(records.iter().map(|record| state.restore(record)).collect())
    }
}

fn no_collection_of(collection: &CollectionId, point: PointId) -> Error {
    Error::new(
        ErrorKind::NotFound,
        RESTORE,
        "the collection of a point is not there; restore it first",
    )
    .with("collection", collection)
    .with("point", point)
}

fn newer(record: &VectorRecord, version: u64, at: Timestamp) -> bool {
    (record.version, record.modified_at) > (version, at)
}

impl State {
    /// Refuses a batch with a point that has no collection or does not fit it, before anything is written.
    fn check_restore(&self, records: &[VectorRecord]) -> Result<()> {
        // Collections as they will be once the records before a point are written.
        let mut coming: Names<(u64, Timestamp, Option<&CollectionSpec>)> = Names::new();
        for record in records {
            let address = key(&record.collection);
            let held = || {
                let held = self.collections.get(&address)?;
                let spec = held.live.as_ref().map(|live| &live.spec);
                Some((held.version, held.modified_at, spec))
            };
            let there = coming.get(&address).copied().or_else(held);
            match &record.body {
                VectorBody::Collection(spec) => {
                    if there.is_none_or(|(version, at, _)| newer(record, version, at)) {
                        let coming_one = (record.version, record.modified_at, spec.as_ref());
                        coming.insert(address, coming_one);
                    }
                }
                VectorBody::Alias(_) => {}
                VectorBody::Point(id, point) => {
                    let Some((version, _, spec)) = there else {
                        return Err(no_collection_of(&record.collection, *id));
                    };
                    if let (Some(spec), Some(point)) = (spec, point)
                        && record.version > version
                    {
                        check_point(RESTORE, spec, point)
                            .map_err(|e| e.with("collection", &record.collection))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn restore(&mut self, record: &VectorRecord) -> Restored {
        let address = key(&record.collection);
        match &record.body {
            VectorBody::Collection(spec) => {
                let held = self.collections.get(&address);
                if held.is_some_and(|held| !newer(record, held.version, held.modified_at)) {
                    return Restored::Kept;
                }
                let revision = held.map_or(0, |held| held.revision).max(record.version);
                let live = spec.clone().map(Live::new);
                let (version, modified_at) = (record.version, record.modified_at);
                self.collections.insert(address, Held { version, modified_at, revision, live });
            }
            VectorBody::Alias(target) => {
                let held = self.aliases.get(&address);
                if held.is_some_and(|held| !newer(record, held.version, held.modified_at)) {
                    return Restored::Kept;
                }
                let (version, modified_at) = (record.version, record.modified_at);
                self.aliases
                    .insert(address, Alias { target: target.clone(), version, modified_at });
            }
            VectorBody::Point(..) => {
                return match self.collections.get_mut(&address) {
                    Some(held) => held.restore_point(record),
                    None => Restored::Kept,
                };
            }
        }
        Restored::Written
    }
}

impl Held {
    fn restore_point(&mut self, record: &VectorRecord) -> Restored {
        let Some(live) = self.live.as_mut().filter(|_| record.version > self.version) else {
            return Restored::Kept;
        };
        let VectorRecord { version, modified_at, .. } = *record;
        let VectorBody::Point(id, point) = &record.body else { return Restored::Kept };
        let held = live.points.get(id).map(|held| (held.version, held.modified_at));
        let held = held.or_else(|| live.gone.get(id).copied());
        if held.is_some_and(|(version, at)| !newer(record, version, at)) {
            return Restored::Kept;
        }
        self.revision = self.revision.max(version);
        match point {
            Some(point) => {
                live.gone.remove(id);
                live.points.insert(*id, HeldPoint { point: point.clone(), version, modified_at });
            }
            None => {
                live.points.remove(id);
                live.gone.insert(*id, (version, modified_at));
            }
        }
        Restored::Written
    }
}
