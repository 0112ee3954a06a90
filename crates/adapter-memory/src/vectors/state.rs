//! Collections, their lives and their points.

use std::collections::BTreeMap;
use std::ops::Bound;

use hexmem_ports::rules::{check_spec, check_stamp, no_collection};
use hexmem_ports::{
    CollectionId, CollectionSpec, Error, ErrorKind, Filter, Name, Point, PointId, Result, Tenant,
    Timestamp,
};

use super::{Names, count};

/// Everything that the store holds.
#[derive(Default)]
pub(super) struct State {
    pub(super) collections: Names<Held>,
    pub(super) aliases: Names<Alias>,
}

/// A name that has, or had, a collection.
pub(super) struct Held {
    /// Of the last creation or drop.
    pub(super) version: u64,
    pub(super) modified_at: Timestamp,
    /// The highest version given under this name.
    pub(super) revision: u64,
    pub(super) live: Option<Live>,
}

/// A collection that is there, and the counter of its name.
pub(super) struct Life<'a> {
    pub(super) revision: &'a mut u64,
    pub(super) live: &'a mut Live,
}

/// A collection that is there.
pub(super) struct Live {
    pub(super) spec: CollectionSpec,
    pub(super) points: BTreeMap<PointId, HeldPoint>,
    pub(super) gone: BTreeMap<PointId, (u64, Timestamp)>,
}

pub(super) struct HeldPoint {
    pub(super) point: Point,
    pub(super) version: u64,
    pub(super) modified_at: Timestamp,
}

/// An alias, or the tombstone of one.
pub(super) struct Alias {
    pub(super) target: Option<Name>,
    pub(super) version: u64,
    pub(super) modified_at: Timestamp,
}

pub(super) fn key(collection: &CollectionId) -> (Tenant, Name) {
    (collection.tenant.clone(), collection.name.clone())
}

impl Live {
    pub(super) fn new(spec: CollectionSpec) -> Self {
        Self { spec, points: BTreeMap::new(), gone: BTreeMap::new() }
    }

    pub(super) fn points_after(&self, after: Option<PointId>) -> impl Iterator<Item = &HeldPoint> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.points.range((start, Bound::Unbounded)).map(|(_, held)| held)
    }

    pub(super) fn passing(&self, filter: &Filter) -> Vec<PointId> {
        let passing = self.points.values().filter(|held| filter.matches(&held.point.payload));
        passing.map(|held| held.point.id).collect()
    }
}

impl State {
    /// The name of the collection that `collection` reaches: itself, or an alias's target.
    fn resolve(&self, collection: &CollectionId) -> Option<(Tenant, Name)> {
        let own = key(collection);
        if self.collections.get(&own).is_some_and(|held| held.live.is_some()) {
            return Some(own);
        }
        let target = self.aliases.get(&own)?.target.clone()?;
        Some((collection.tenant.clone(), target))
    }

    pub(super) fn live(&self, collection: &CollectionId) -> Option<&Live> {
        self.collections.get(&self.resolve(collection)?)?.live.as_ref()
    }

    pub(super) fn reach(&self, op: &'static str, collection: &CollectionId) -> Result<&Live> {
        self.live(collection).ok_or_else(|| no_collection(op, collection))
    }

    pub(super) fn reach_mut(
        &mut self,
        op: &'static str,
        collection: &CollectionId,
    ) -> Result<Life<'_>> {
        let found = self.resolve(collection).and_then(|key| self.collections.get_mut(&key));
        found.and_then(Held::life).ok_or_else(|| no_collection(op, collection))
    }

    pub(super) fn names<'a>(&'a self, tenant: &Tenant) -> impl Iterator<Item = &'a Name> {
        let tenant = tenant.clone();
        let held = self.collections.iter().filter(move |((t, _), _)| *t == tenant);
        held.filter(|(_, held)| held.live.is_some()).map(|((_, name), _)| name)
    }

    pub(super) fn create(
        &mut self,
        collection: &CollectionId,
        spec: CollectionSpec,
        now: Timestamp,
    ) -> Result<bool> {
        const OP: &str = "vectors.create";
        check_spec(OP, &spec)?;
        let key = key(collection);
        if self.aliases.get(&key).is_some_and(|alias| alias.target.is_some()) {
            return Err(Error::new(ErrorKind::AlreadyExists, OP, "an alias has this name")
                .with("collection", collection));
        }
        let held = self.collections.entry(key).or_insert(Held {
            version: 0,
            modified_at: now,
            revision: 0,
            live: None,
        });
        if let Some(live) = &held.live {
            return check_stamp(OP, &live.spec, &spec)
                .map(|()| false)
                .map_err(|error| error.with("collection", collection));
        }
        held.revive(Some(Live::new(spec)), now);
        Ok(true)
    }

    pub(super) fn drop_collection(&mut self, collection: &CollectionId, now: Timestamp) -> bool {
        let held = self.collections.get_mut(&key(collection));
        let Some(held) = held.filter(|held| held.live.is_some()) else { return false };
        held.revive(None, now);
        for ((tenant, _), alias) in &mut self.aliases {
            if *tenant == collection.tenant && alias.target.as_ref() == Some(&collection.name) {
                alias.set(None, now);
            }
        }
        true
    }

    pub(super) fn set_alias(
        &mut self,
        alias: &CollectionId,
        target: Option<Name>,
        now: Timestamp,
    ) -> Result<()> {
        const OP: &str = "vectors.set_alias";
        let live = |key| self.collections.get(key).is_some_and(|held| held.live.is_some());
        let key = key(alias);
        if let Some(target) = &target {
            if live(&key) {
                return Err(Error::new(ErrorKind::AlreadyExists, OP, "a collection has this name")
                    .with("alias", alias));
            }
            if !live(&(alias.tenant.clone(), target.clone())) {
                return Err(no_collection(OP, target).with("alias", alias));
            }
        }
        match self.aliases.get_mut(&key) {
            Some(held) if held.target == target => {}
            Some(held) => held.set(target, now),
            None if target.is_none() => {}
            None => {
                self.aliases.insert(key, Alias { target, version: 1, modified_at: now });
            }
        }
        Ok(())
    }
}

impl Alias {
    fn set(&mut self, target: Option<Name>, now: Timestamp) {
        self.target = target;
        self.version += 1;
        self.modified_at = now;
    }
}

impl Held {
    /// Begins a life, or ends one.
    fn revive(&mut self, live: Option<Live>, now: Timestamp) {
        self.revision += 1;
        self.version = self.revision;
        self.modified_at = now;
        self.live = live;
    }

    fn life(&mut self) -> Option<Life<'_>> {
        Some(Life { revision: &mut self.revision, live: self.live.as_mut()? })
    }
}

impl Life<'_> {
    pub(super) fn put(&mut self, points: Vec<Point>, now: Timestamp) {
        *self.revision += 1;
        for point in points {
            self.live.gone.remove(&point.id);
            let held = HeldPoint { version: *self.revision, modified_at: now, point };
            self.live.points.insert(held.point.id, held);
        }
    }

    pub(super) fn remove(&mut self, ids: &[PointId], now: Timestamp) -> u64 {
        *self.revision += 1;
        let there = ids.iter().filter(|id| {
            let there = self.live.points.remove(*id).is_some();
            if there {
                self.live.gone.insert(**id, (*self.revision, now));
            }
            there
        });
        count(there.count())
    }
}
