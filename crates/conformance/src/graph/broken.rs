//! A graph store that breaks one clause.

use std::sync::Arc;

use async_trait::async_trait;
use hexmem_ports::{
    Applied, AsOf, Capabilities, ChangeLog, Compact, Cursor, Direction, Edge, EdgeFilter, EdgeId,
    Effect, Element, ElementRef, ErrorKind, Expect, GraphBatch, GraphChange, GraphHead, GraphId,
    GraphStats, GraphStore, Limit, Name, NeighbourQuery, Neighbourhood, Node, NodeFilter, OpId,
    Page, Prefix, Result, Revision, Tenant, ValidAt,
};

use crate::{Rig, outbox, records};

/// The rig with stores that break `clause`; panics when no double is written for it.
pub fn broken(clause: &str, rig: Rig<dyn GraphStore>) -> Rig<dyn GraphStore> {
    let breaks = match clause {
        "GRAPH-APPLY-1" => Breaks::LosesSource,
        "GRAPH-APPLY-2" => Breaks::ForgetsCreation,
        "GRAPH-APPLY-3" => Breaks::AppliesHalf,
        "GRAPH-APPLY-4" | "GRAPH-APPLY-8" => Breaks::IgnoresPreconditions,
        "GRAPH-APPLY-5" => Breaks::PurgesForRemoves,
        "GRAPH-APPLY-6" => Breaks::RemovesForPurges,
        "GRAPH-APPLY-7" => Breaks::RepeatsBatches,
        "GRAPH-APPLY-9" => Breaks::SwallowsInvalid,
        "GRAPH-APPLY-10" => Breaks::DropsEffects,
        "GRAPH-APPLY-11" => Breaks::PurgesJoined,
        "GRAPH-LOG-1" => Breaks::LosesLoggedChange,
        "GRAPH-LOG-2" => Breaks::JumpsToHead,
        "GRAPH-LOG-3" => Breaks::HidesGap,
        "GRAPH-HEAD-1" => Breaks::StandsStill,
        "GRAPH-NODES-1" => Breaks::IgnoresKnown,
        "GRAPH-NODES-2" => Breaks::SharesTenants(rig.tenant.clone()),
        "GRAPH-EDGES-1" => Breaks::IgnoresNow,
        "GRAPH-FIND-1" => Breaks::EndsPagesEarly,
        "GRAPH-FIND-2" => Breaks::DoublesLoops,
        "GRAPH-FIND-3" => Breaks::IgnoresData,
        "GRAPH-EVER-1" => Breaks::SeesCurrentOnly,
        "GRAPH-NEAR-1" => Breaks::IgnoresDirection,
        "GRAPH-NEAR-2" => Breaks::HidesTruncation,
        "GRAPH-NEAR-3" => Breaks::LosesSteps,
        "GRAPH-NEAR-4" => Breaks::RepeatsPages,
        "GRAPH-HIST-1" => Breaks::LosesHistory,
        "GRAPH-STATS-1" => Breaks::CountsEverything,
        "GRAPH-LIST-1" => Breaks::IgnoresPrefix,
        "GRAPH-DELETE-1" => Breaks::NeverDeletes,
        "GRAPH-COMPACT-1" => Breaks::NeverCompacts,
        _ => {
            return records::broken(clause, rig.clone())
                .or_else(|| outbox::broken(clause, rig))
                .unwrap_or_else(|| panic!("no double of the graph store breaks {clause}"));
        }
    };
    rig.wrapped(|inner| -> Arc<dyn GraphStore> {
        Arc::new(Broken { inner, breaks: breaks.clone() })
    })
}

#[derive(Clone, PartialEq)]
enum Breaks {
    LosesSource,
    ForgetsCreation,
    AppliesHalf,
    IgnoresPreconditions,
    PurgesForRemoves,
    RemovesForPurges,
    RepeatsBatches,
    SwallowsInvalid,
    DropsEffects,
    PurgesJoined,
    LosesLoggedChange,
    JumpsToHead,
    HidesGap,
    StandsStill,
    IgnoresKnown,
    SharesTenants(Tenant),
    IgnoresNow,
    EndsPagesEarly,
    DoublesLoops,
    IgnoresData,
    SeesCurrentOnly,
    IgnoresDirection,
    HidesTruncation,
    LosesSteps,
    RepeatsPages,
    LosesHistory,
    CountsEverything,
    IgnoresPrefix,
    NeverDeletes,
    NeverCompacts,
}

struct Broken {
    inner: Arc<dyn GraphStore>,
    breaks: Breaks,
}

impl Broken {
    fn changed(&self, change: GraphChange) -> GraphChange {
        match (&self.breaks, change) {
            (Breaks::IgnoresPreconditions, GraphChange::PutNode(mut draft)) => {
                draft.expect = Expect::Any;
                GraphChange::PutNode(draft)
            }
            (Breaks::IgnoresPreconditions, GraphChange::PutEdge(mut draft)) => {
                draft.expect = Expect::Any;
                GraphChange::PutEdge(draft)
            }
            (Breaks::PurgesForRemoves, GraphChange::RemoveNode { id, .. }) => {
                GraphChange::PurgeNode(id)
            }
            (Breaks::RemovesForPurges, GraphChange::PurgeNode(id)) => {
                GraphChange::RemoveNode { id, expect: Expect::Any }
            }
            (Breaks::PurgesJoined, GraphChange::PurgeOrphan(id)) => GraphChange::PurgeNode(id),
            (_, change) => change,
        }
    }

    async fn apply_singly(&self, graph: &GraphId, batch: GraphBatch) {
        for change in batch.changes {
            // Those that can be applied are; the others are what the error is about.
            let _ = self.inner.apply(graph, GraphBatch::new(vec![change])).await;
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl GraphStore for Broken {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn apply(&self, graph: &GraphId, mut batch: GraphBatch) -> Result<Applied> {
        batch.changes = batch.changes.into_iter().map(|change| self.changed(change)).collect();
        match self.breaks {
            Breaks::DropsEffects => batch.effects.clear(),
            Breaks::RepeatsBatches => batch.id = OpId::random(),
            _ => {}
        }
        let answer = self.inner.apply(graph, batch.clone()).await;
        match (&self.breaks, answer) {
            (Breaks::AppliesHalf, Err(error)) => {
                self.apply_singly(graph, batch).await;
                Err(error)
            }
            (Breaks::SwallowsInvalid, Err(error)) if error.kind() == ErrorKind::Invalid => {
                self.inner.apply(graph, GraphBatch::new(vec![])).await
            }
            (_, answer) => answer,
        }
    }

    async fn changes(&self, graph: &GraphId, after: Revision, limit: Limit) -> Result<ChangeLog> {
        let log = self.inner.changes(graph, after, limit).await;
        match (&self.breaks, log) {
            (Breaks::HidesGap, Err(error)) if error.kind() == ErrorKind::Gap => {
                Ok(ChangeLog::default())
            }
            (Breaks::LosesLoggedChange, Ok(mut log)) => {
                log.changes.pop();
                Ok(log)
            }
            (Breaks::JumpsToHead, Ok(log)) => Ok(ChangeLog { upto: log.head, ..log }),
            (_, log) => log,
        }
    }

    async fn head(&self, graph: &GraphId) -> Result<Option<GraphHead>> {
        let head = self.inner.head(graph).await?;
        Ok(match self.breaks {
            Breaks::StandsStill => head.map(|head| GraphHead { revision: Revision(1), ..head }),
            _ => head,
        })
    }

    async fn nodes(
        &self,
        graph: &GraphId,
        ids: &[Name],
        mut as_of: AsOf,
    ) -> Result<Vec<Option<Node>>> {
        let mut graph = graph.clone();
        match &self.breaks {
            Breaks::IgnoresKnown => as_of.known = None,
            Breaks::SharesTenants(tenant) => graph.tenant = tenant.clone(),
            _ => {}
        }
        let mut nodes = self.inner.nodes(&graph, ids, as_of).await?;
        if self.breaks == Breaks::ForgetsCreation {
            nodes.iter_mut().flatten().for_each(|node| node.created_at = node.recorded_at);
        }
        Ok(nodes)
    }

    async fn edges(
        &self,
        graph: &GraphId,
        ids: &[EdgeId],
        mut as_of: AsOf,
    ) -> Result<Vec<Option<Edge>>> {
        if self.breaks == Breaks::IgnoresNow && as_of.valid == ValidAt::Now {
            as_of.valid = ValidAt::Any;
        }
        let mut edges = self.inner.edges(graph, ids, as_of).await?;
        if self.breaks == Breaks::LosesSource {
            edges.iter_mut().flatten().for_each(|edge| edge.source = None);
        }
        Ok(edges)
    }

    async fn find_nodes(
        &self,
        graph: &GraphId,
        filter: &NodeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Node>> {
        let mut filter = filter.clone();
        if self.breaks == Breaks::IgnoresData {
            filter.data = None;
        }
        let mut page = self.inner.find_nodes(graph, &filter, as_of, cursor, limit).await?;
        if self.breaks == Breaks::EndsPagesEarly {
            page.next = None;
        }
        Ok(page)
    }

    async fn find_edges(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        let mut page = self.inner.find_edges(graph, filter, as_of, cursor, limit).await?;
        if self.breaks == Breaks::DoublesLoops {
            let loops: Vec<_> = page.items.iter().filter(|e| e.src == e.dst).cloned().collect();
            page.items.extend(loops);
        }
        Ok(page)
    }

    async fn find_versions(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        let mut page = self.inner.find_versions(graph, filter, cursor, limit).await?;
        if self.breaks == Breaks::SeesCurrentOnly {
            page.items.retain(|edge| edge.superseded_at.is_none());
        }
        Ok(page)
    }

    async fn neighbourhood(
        &self,
        graph: &GraphId,
        query: &NeighbourQuery,
    ) -> Result<Neighbourhood> {
        let mut query = query.clone();
        if self.breaks == Breaks::IgnoresDirection {
            query.direction = Direction::Both;
        }
        if self.breaks == Breaks::RepeatsPages {
            query.cursor = None;
        }
        let mut found = self.inner.neighbourhood(graph, &query).await?;
        match self.breaks {
            Breaks::HidesTruncation => found.next = None,
            Breaks::LosesSteps => found.nodes.iter_mut().for_each(|reached| reached.via = None),
            _ => {}
        }
        Ok(found)
    }

    async fn history(
        &self,
        graph: &GraphId,
        element: &ElementRef,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Element>> {
        let mut page = self.inner.history(graph, element, cursor, limit).await?;
        if self.breaks == Breaks::LosesHistory {
            page.items.truncate(1);
            page.next = None;
        }
        Ok(page)
    }

    async fn stats(&self, graph: &GraphId, as_of: AsOf) -> Result<GraphStats> {
        let as_of = if self.breaks == Breaks::CountsEverything { AsOf::ALL } else { as_of };
        self.inner.stats(graph, as_of).await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        let all = Prefix::default();
        let prefix = if self.breaks == Breaks::IgnoresPrefix { &all } else { prefix };
        self.inner.list(tenant, prefix, cursor, limit).await
    }

    async fn delete(&self, graph: &GraphId, effects: Vec<Effect>) -> Result<bool> {
        if self.breaks == Breaks::NeverDeletes {
            return Ok(self.inner.head(graph).await?.is_some());
        }
        self.inner.delete(graph, effects).await
    }

    async fn compact(&self, graph: &GraphId, compact: Compact) -> Result<()> {
        if self.breaks == Breaks::NeverCompacts {
            return Ok(());
        }
        self.inner.compact(graph, compact).await
    }
}
