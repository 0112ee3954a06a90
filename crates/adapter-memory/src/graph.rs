//! Graphs in process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use hexmem_ports::rules::graph::{
    GraphRecord, GraphState, RecordCursor, list_cursor, list_cursor_of, scan_records,
};
use hexmem_ports::{
    Applied, AsOf, Capabilities, Capability, ChangeLog, Clock, Compact, Cursor, Edge, EdgeFilter,
    EdgeId, Effect, Element, ElementRef, GraphBatch, GraphHead, GraphId, GraphStats, GraphStore,
    Limit, Name, NeighbourQuery, Neighbourhood, Node, NodeFilter, Page, Prefix, Record, RecordKind,
    Records, Restored, Result, Revision, Tenant, check_effects,
};

use crate::MemoryOutbox;

/// Graphs that live as long as the process. Clones share them.
#[derive(Clone)]
pub struct MemoryGraphs {
    clock: Arc<dyn Clock>,
    outbox: MemoryOutbox,
    graphs: Arc<RwLock<BTreeMap<GraphId, GraphState>>>,
}

impl MemoryGraphs {
    /// No graphs. Effects go to `outbox`.
    pub fn new(clock: Arc<dyn Clock>, outbox: MemoryOutbox) -> Self {
        Self { clock, outbox, graphs: Arc::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<GraphId, GraphState>> {
        self.graphs.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<GraphId, GraphState>> {
        self.graphs.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a graph; one that never was reads as an empty one.
    fn with<T>(&self, graph: &GraphId, read: impl FnOnce(&GraphState) -> T) -> T {
        match self.read().get(graph) {
            Some(state) => read(state),
            None => read(&GraphState::default()),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl GraphStore for MemoryGraphs {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([
            Capability::Effects,
            Capability::Records,
            Capability::ExactCounts,
            Capability::NeighbourhoodInStore,
            Capability::History,
        ])
    }

    async fn apply(&self, graph: &GraphId, batch: GraphBatch) -> Result<Applied> {
        let mut graphs = self.write();
        let now = self.clock.now();
        let absent = GraphState::default();
        let state = graphs.get(graph).unwrap_or(&absent);
        if let Some(first) = state.replay(batch.id) {
            return Ok(first);
        }
        let planned = state.plan(&batch, now)?;
        if batch.changes.is_empty() && batch.effects.is_empty() {
            return Ok(planned.answer);
        }
        let applied = graphs.entry(graph.clone()).or_default().commit(&planned);
        self.outbox.commit(applied.recorded_at, batch.effects);
        Ok(applied)
    }

    async fn changes(&self, graph: &GraphId, after: Revision, limit: Limit) -> Result<ChangeLog> {
        self.with(graph, |state| state.changes(after, limit))
    }

    async fn head(&self, graph: &GraphId) -> Result<Option<GraphHead>> {
        Ok(self.with(graph, GraphState::head))
    }

    async fn nodes(&self, graph: &GraphId, ids: &[Name], as_of: AsOf) -> Result<Vec<Option<Node>>> {
        Ok(self.with(graph, |state| ids.iter().map(|id| state.node(id, as_of)).collect()))
    }

    async fn edges(
        &self,
        graph: &GraphId,
        ids: &[EdgeId],
        as_of: AsOf,
    ) -> Result<Vec<Option<Edge>>> {
        let now = self.clock.now();
        Ok(self.with(graph, |state| ids.iter().map(|id| state.edge(*id, as_of, now)).collect()))
    }

    async fn find_nodes(
        &self,
        graph: &GraphId,
        filter: &NodeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Node>> {
        self.with(graph, |state| state.find_nodes(filter, as_of, cursor.as_ref(), limit))
    }

    async fn find_edges(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        let now = self.clock.now();
        self.with(graph, |state| state.find_edges(filter, as_of, now, cursor.as_ref(), limit))
    }

    async fn find_versions(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        self.with(graph, |state| state.find_versions(filter, cursor.as_ref(), limit))
    }

    async fn neighbourhood(
        &self,
        graph: &GraphId,
        query: &NeighbourQuery,
    ) -> Result<Neighbourhood> {
        let now = self.clock.now();
        self.with(graph, |state| state.neighbourhood(query, now))
    }

    async fn history(
        &self,
        graph: &GraphId,
        element: &ElementRef,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Element>> {
        self.with(graph, |state| state.history(element, cursor.as_ref(), limit))
    }

    async fn stats(&self, graph: &GraphId, as_of: AsOf) -> Result<GraphStats> {
        let now = self.clock.now();
        Ok(self.with(graph, |state| state.stats(as_of, now)))
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        let after = cursor.as_ref().map(list_cursor).transpose()?;
        let graphs = self.read();
        let names = graphs
            .iter()
            .filter(|(id, state)| id.tenant == *tenant && state.head().is_some())
            .map(|(id, _)| &id.name)
            .filter(|name| {
                prefix.matches(name.as_str()) && after.as_ref().is_none_or(|a| *name > a)
            });
        Ok(Page::cut(names.cloned(), limit, list_cursor_of))
    }

    async fn delete(&self, graph: &GraphId, effects: Vec<Effect>) -> Result<bool> {
        check_effects("graph.delete", &effects)?;
        let mut graphs = self.write();
        let now = self.clock.now();
        let deleted = graphs.get_mut(graph).is_some_and(|state| state.delete(now));
        if deleted {
            self.outbox.commit(now, effects);
        }
        Ok(deleted)
    }

    async fn compact(&self, graph: &GraphId, compact: Compact) -> Result<()> {
        if let Some(state) = self.write().get_mut(graph) {
            state.compact(compact);
        }
        Ok(())
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Records for MemoryGraphs {
    fn kind(&self) -> RecordKind {
        RecordKind::Graph
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let cursor = cursor.as_ref().map(RecordCursor::decode).transpose()?;
        let start = cursor.as_ref().map_or(Bound::Unbounded, |c| Bound::Included(&c.graph));
        scan_records(self.read().range((start, Bound::Unbounded)), cursor.as_ref(), limit)
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let read = records.iter().map(GraphRecord::decode).collect::<Result<Vec<_>>>()?;
        let mut by_graph: BTreeMap<GraphId, Vec<(usize, GraphRecord)>> = BTreeMap::new();
        for (place, (graph, record)) in read.into_iter().enumerate() {
            by_graph.entry(graph).or_default().push((place, record));
        }
        let mut answers = vec![Restored::Kept; records.len()];
        let mut graphs = self.write();
        for (graph, group) in by_graph {
            let (places, group): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            let restored = graphs.entry(graph).or_default().restore(group);
            for (place, answer) in places.into_iter().zip(restored) {
                answers[place] = answer;
            }
        }
        Ok(answers)
    }
}
