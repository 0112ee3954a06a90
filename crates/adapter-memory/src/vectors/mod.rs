//! The vectors port in process: every search compares every point.

mod records;
mod search;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use hexmem_ports::rules::{check_points, check_search};
use hexmem_ports::{
    Capabilities, Capability, Clock, CollectionId, CollectionInfo, CollectionSpec, Cursor, Error,
    FieldPath, Filter, Found, Limit, Name, Page, Point, PointId, Prefix, Result, Tenant,
    VectorSearch, VectorStore,
};
use serde_json::Value;
use uuid::Uuid;

use state::State;

/// Collections of vectors in process. Clones share them.
#[derive(Clone)]
pub struct MemoryVectors {
    clock: Arc<dyn Clock>,
    state: Arc<RwLock<State>>,
}

impl MemoryVectors {
    /// An empty store on `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl VectorStore for MemoryVectors {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([
            Capability::Records,
            Capability::ExactCounts,
            Capability::DenseVectors,
            Capability::SparseVectors,
        ])
    }

    async fn create(&self, collection: &CollectionId, spec: CollectionSpec) -> Result<bool> {
        let mut state = self.write();
        state.create(collection, spec, self.clock.now())
    }

    async fn info(&self, collection: &CollectionId) -> Result<Option<CollectionInfo>> {
        let state = self.read();
        let Some(live) = state.live(collection) else { return Ok(None) };
        Ok(Some(CollectionInfo { spec: live.spec.clone(), points: count(live.points.len()) }))
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        let state = self.read();
        let names = state.names(tenant).filter(|name| {
            prefix.matches(name.as_str())
                && cursor.as_ref().is_none_or(|c| name.as_str() > c.0.as_str())
        });
        let mut items: Vec<Name> = names.take(limit.as_usize() + 1).cloned().collect();
        let more = items.len() > limit.as_usize();
        items.truncate(limit.as_usize());
        let next = items.last().filter(|_| more).map(|name| Cursor(name.to_string()));
        Ok(Page { items, next })
    }

    async fn drop_collection(&self, collection: &CollectionId) -> Result<bool> {
        let mut state = self.write();
        Ok(state.drop_collection(collection, self.clock.now()))
    }

    async fn set_alias(&self, alias: &CollectionId, target: Option<Name>) -> Result<()> {
        let mut state = self.write();
        state.set_alias(alias, target, self.clock.now())
    }

    async fn upsert(&self, collection: &CollectionId, points: Vec<Point>) -> Result<()> {
        let mut state = self.write();
        let now = self.clock.now();
        let mut life = state.reach_mut("vectors.upsert", collection)?;
        check_points("vectors.upsert", &life.live.spec, &points)?;
        life.put(points, now);
        Ok(())
    }

    async fn delete(&self, collection: &CollectionId, ids: &[PointId]) -> Result<u64> {
        let mut state = self.write();
        let now = self.clock.now();
        Ok(state.reach_mut("vectors.delete", collection)?.remove(ids, now))
    }

    async fn delete_where(&self, collection: &CollectionId, filter: &Filter) -> Result<u64> {
        let mut state = self.write();
        let now = self.clock.now();
        let mut life = state.reach_mut("vectors.delete_where", collection)?;
        let ids = life.live.passing(filter);
        Ok(life.remove(&ids, now))
    }

    async fn get(&self, collection: &CollectionId, ids: &[PointId]) -> Result<Vec<Option<Point>>> {
        let state = self.read();
        let live = state.reach("vectors.get", collection)?;
        Ok(ids.iter().map(|id| live.points.get(id).map(|held| held.point.clone())).collect())
    }

    async fn search(&self, collection: &CollectionId, search: &VectorSearch) -> Result<Vec<Found>> {
        let state = self.read();
        let live = state.reach("vectors.search", collection)?;
        check_search("vectors.search", &live.spec, search)?;
        Ok(live.search(search))
    }

    async fn scroll(
        &self,
        collection: &CollectionId,
        filter: &Filter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Point>> {
        let after = cursor.map(|cursor| point_cursor("vectors.scroll", &cursor)).transpose()?;
        let state = self.read();
        let live = state.reach("vectors.scroll", collection)?;
        let mut items: Vec<Point> = live
            .points_after(after)
            .filter(|held| filter.matches(&held.point.payload))
            .take(limit.as_usize() + 1)
            .map(|held| held.point.clone())
            .collect();
        let more = items.len() > limit.as_usize();
        items.truncate(limit.as_usize());
        let next = items.last().filter(|_| more).map(|point| Cursor(point.id.to_string()));
        Ok(Page { items, next })
    }

    async fn count(&self, collection: &CollectionId, filter: &Filter) -> Result<u64> {
        let state = self.read();
        let live = state.reach("vectors.count", collection)?;
        let points = live.points.values();
        Ok(count(points.filter(|held| filter.matches(&held.point.payload)).count()))
    }

    async fn facets(
        &self,
        collection: &CollectionId,
        field: &FieldPath,
        filter: &Filter,
        limit: Limit,
    ) -> Result<Vec<(Value, u64)>> {
        let state = self.read();
        let live = state.reach("vectors.facets", collection)?;
        let mut facets = hexmem_ports::rules::Facets::default();
        for held in live.points.values().filter(|held| filter.matches(&held.point.payload)) {
            facets.add(field, &held.point.payload);
        }
        Ok(facets.top(limit))
    }
}

fn point_cursor(operation: &'static str, cursor: &Cursor) -> Result<PointId> {
    Uuid::parse_str(&cursor.0)
        .map(PointId)
        .map_err(|_| Error::invalid(operation, "a cursor that this store did not give"))
}

/// What a point's address sorts by, in process.
type Names<T> = BTreeMap<(Tenant, Name), T>;
