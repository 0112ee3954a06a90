//! Asserting facts: one fact, one edge; a functional relation has one value at a time.

use std::collections::BTreeSet;

use hexmem_ports::{
    Applied, AsOf, Direction, Edge, EdgeFilter, EdgeId, ElementRef, Error, ErrorKind, Expect,
    GraphBatch, GraphChange, PAGE_LIMIT, Result, Timestamp, check_json,
};

use super::{GraphMemory, Race};
use crate::fact::{Cardinality, Displaced, Fact, Span, displace, redraft};
use crate::identity::{fact_id, slot_id};

/// What became of an asserted fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asserted {
    /// The edge that states it.
    pub edge: EdgeId,
    /// Whether the edge is new.
    pub outcome: Outcome,
    /// Edges of other values of a functional relation that this one ended or corrected.
    pub displaced: Vec<EdgeId>,
    /// The revision it is in.
    pub applied: Applied,
}

/// Whether a fact was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No edge stated it for this span: a new one does.
    Created,
    /// An edge did: it has a new version, unless nothing differed.
    Restated,
}

/// Changes that assert one fact, decided on what was read.
struct Plan {
    edge: EdgeId,
    outcome: Outcome,
    displaced: Vec<EdgeId>,
    changes: Vec<GraphChange>,
}

impl GraphMemory {
    /// Asserts a fact. The same statement (ends, relation, source) over an overlapping span is the same edge:
    /// it gets a new version and keeps `created_at`; a span apart from the known ones is a new edge. Concurrent
    /// asserts of one fact make one edge.
    ///
    /// Where the vocabulary says that the relation is functional, other values end where this one begins, in
    /// the same batch; a later known value bounds this one. An end that does not exist is `NotFound`.
    pub async fn assert(&self, fact: Fact) -> Result<Asserted> {
        self.vocabulary.check_relation(&fact.relation)?;
        check_fact(&fact, self.now())?;
        let mut race = Race::new("graph.assert");
        loop {
            match self.assert_once(&fact).await {
                Err(error) if error.kind() == ErrorKind::Conflict => race.lost(&self.graph)?,
                answer => return answer,
            }
        }
    }

    async fn assert_once(&self, fact: &Fact) -> Result<Asserted> {
        let plan = self.plan(fact).await?;
        let applied = self.apply(GraphBatch::new(plan.changes)).await?;
        Ok(Asserted { edge: plan.edge, outcome: plan.outcome, displaced: plan.displaced, applied })
    }

    async fn plan(&self, fact: &Fact) -> Result<Plan> {
        match self.vocabulary.cardinality(&fact.relation) {
            Cardinality::Many => self.plan_many(fact).await,
            Cardinality::One => self.plan_one(fact).await,
        }
    }

    /// The changes that assert a fact, to be applied with others.
    pub(super) async fn plan_fact(&self, fact: &Fact) -> Result<Vec<GraphChange>> {
        Ok(self.plan(fact).await?.changes)
    }

    async fn plan_many(&self, fact: &Fact) -> Result<Plan> {
        let (known, free) = self.episodes(fact).await?;
        Ok(plan_statement(fact, &known, || free, self.now(), fact.until))
    }

    /// The current edges that state `fact`, whenever they hold, and the first id that none has.
    async fn episodes(&self, fact: &Fact) -> Result<(Vec<Edge>, EdgeId)> {
        let mut known = Vec::new();
        let mut free = None;
        let mut first = 0;
        let mut width = 4;
        loop {
            let ids: Vec<EdgeId> = (first..first + width)
                .map(|n| fact_id(&fact.src, &fact.relation, &fact.dst, fact.source.as_ref(), n))
                .collect();
            let found = self.store.edges(&self.graph, &ids, AsOf::ALL).await?;
            if free.is_none() {
                free = ids.iter().zip(&found).find(|(_, edge)| edge.is_none()).map(|(id, _)| *id);
            }
            let before = known.len();
            known.extend(found.into_iter().flatten());
            // Removed episodes leave holes, so only a stretch without any says that there are no more.
            match free {
                Some(free) if known.len() == before => return Ok((known, free)),
                _ => {}
            }
            first += width;
            width = (width * 2).min(PAGE_LIMIT);
        }
    }

    async fn plan_one(&self, fact: &Fact) -> Result<Plan> {
        let now = self.now();
        let values = self.values(fact).await?;
        let (same, others): (Vec<Edge>, Vec<Edge>) =
            values.into_iter().partition(|edge| edge.dst == fact.dst && edge.source == fact.source);
        let taken: BTreeSet<EdgeId> = same.iter().chain(&others).map(|edge| edge.id).collect();
        let free = self.free_slot(fact, &taken).await?;

        let span = fact.span(now);
        let mut changes = Vec::new();
        let mut displaced = Vec::new();
        let mut until = fact.until;
        for edge in others.iter().filter(|edge| edge.dst != fact.dst) {
            let (id, expect) = (edge.id, Expect::Version(edge.version));
            match displace(Span::of(edge), span) {
                Displaced::Stays => continue,
                Displaced::Bounds(at) => {
                    until = Some(until.map_or(at, |until: Timestamp| until.min(at)));
                    continue;
                }
                Displaced::Ends(at) => {
                    let mut draft = redraft(edge);
                    draft.valid_until = Some(at);
                    changes.push(GraphChange::PutEdge(draft));
                }
                Displaced::Corrected => changes.push(GraphChange::RemoveEdge { id, expect }),
            }
            displaced.push(id);
        }
        let mut plan = plan_statement(fact, &same, || free, now, until);
        plan.changes.append(&mut changes);
        plan.displaced = displaced;
        Ok(plan)
    }

    /// Every current edge with the fact's source node and relation.
    async fn values(&self, fact: &Fact) -> Result<Vec<Edge>> {
        let filter = EdgeFilter {
            at: Some((vec![fact.src.clone()], Direction::Out)),
            relations: vec![fact.relation.clone()],
            ..EdgeFilter::default()
        };
        let mut edges = Vec::new();
        self.each_edge(&filter, AsOf::ALL, |edge| edges.push(edge)).await?;
        Ok(edges)
    }

    /// The first slot that no edge ever had: a removed one belongs to its old value for good.
    async fn free_slot(&self, fact: &Fact, taken: &BTreeSet<EdgeId>) -> Result<EdgeId> {
        for slot in 0..=u32::MAX {
            let id = slot_id(&fact.src, &fact.relation, slot);
            if !taken.contains(&id) && !self.ever_was(&ElementRef::Edge(id)).await? {
                return Ok(id);
            }
        }
        Err(Error::new(ErrorKind::Internal, "graph.assert", "a relation has no free slot left"))
    }
}

/// Changes that state `fact` until `until`, given the current edges that already state it.
fn plan_statement(
    fact: &Fact,
    known: &[Edge],
    free: impl FnOnce() -> EdgeId,
    now: Timestamp,
    until: Option<Timestamp>,
) -> Plan {
    let span = Span { until, ..fact.span(now) };
    let mut meets: Vec<&Edge> = known.iter().filter(|edge| Span::of(edge).overlaps(span)).collect();
    meets.sort_by_key(|edge| (edge.valid_from, edge.id));
    let Some((first, rest)) = meets.split_first() else {
        let edge = free();
        let changes = vec![GraphChange::PutEdge(fact.draft(edge, span))];
        return Plan { edge, outcome: Outcome::Created, displaced: Vec::new(), changes };
    };
    let mut changes = vec![GraphChange::PutEdge(fact.restate(first, now, until))];
    // One fact has one edge at any instant: what the new span swallows goes (its history stays).
    changes.extend(rest.iter().map(|edge| GraphChange::RemoveEdge {
        id: edge.id,
        expect: Expect::Version(edge.version),
    }));
    Plan { edge: first.id, outcome: Outcome::Restated, displaced: Vec::new(), changes }
}

fn check_fact(fact: &Fact, now: Timestamp) -> Result<()> {
    let refuse = |what: &str| {
        Err(Error::invalid("graph.assert", what)
            .with("src", &fact.src)
            .with("relation", &fact.relation)
            .with("dst", &fact.dst))
    };
    if !fact.weight.is_finite() {
        return refuse("a weight is not a finite number");
    }
    if !fact.data.is_object() {
        return refuse("attributes are a JSON object, for example {\"line\": 3}");
    }
    check_json("graph.assert", &fact.data)?;
    let span = fact.span(now);
    match (span.from, span.until) {
        (Some(from), Some(until)) if until <= from => {
            refuse("the fact would end before it begins; give an end after its start")
        }
        _ => Ok(()),
    }
}
