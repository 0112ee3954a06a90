//! The whole of one graph in memory: elements, change log, remembered batches.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::elements::Elements;
use super::slots::Kept as _;
use super::{Step, check_batch, plan};
use crate::{
    Applied, ChangeLog, Compact, Edge, EdgeId, Element, ElementRef, Error, ErrorKind, GraphBatch,
    GraphHead, Limit, LoggedChange, Name, Node, OpId, Result, Revision, Timestamp,
};

/// Where a graph is in its life. It outlives the graph, so that revisions go on after a delete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphLife {
    /// 1 for the first creation, one more for each deletion and each later creation; 0 for a graph that a
    /// restore made before the record of the graph itself came.
    pub version: u64,
    /// When it was created, unless it never was.
    pub created_at: Option<Timestamp>,
    /// When it was deleted; `None` while it exists.
    pub deleted_at: Option<Timestamp>,
    /// When anything last changed. No batch is recorded before it, whatever the clock says.
    pub updated_at: Option<Timestamp>,
    /// The last revision.
    pub revision: Revision,
    /// The log holds changes after this revision.
    pub log_start: Revision,
}

impl GraphLife {
    /// Whether the graph exists.
    pub fn exists(&self) -> bool {
        self.created_at.is_some() && self.deleted_at.is_none()
    }

    /// What [`GraphStore::head`](crate::GraphStore::head) answers.
    pub fn head(&self) -> Option<GraphHead> {
        let created_at = self.created_at.filter(|_| self.exists())?;
        Some(GraphHead {
            revision: self.revision,
            log_start: self.log_start,
            created_at,
            updated_at: self.updated_at.unwrap_or(created_at),
        })
    }

    /// The revision that readers see: 0 for a graph that does not exist.
    pub fn seen(&self) -> Revision {
        if self.exists() { self.revision } else { Revision(0) }
    }

    /// The instant of a change made at `now`: never before the last one.
    pub fn instant(&self, now: Timestamp) -> Timestamp {
        self.updated_at.map_or(now, |last| last.max(now))
    }

    /// The life after a batch that changed something at `at`.
    #[must_use]
    pub fn changed(mut self, at: Timestamp) -> Self {
        if !self.exists() {
            self.version += 1;
            self.created_at = Some(at);
            self.deleted_at = None;
        }
        self.revision.0 += 1;
        self.updated_at = Some(at);
        self
    }

    /// The life after a delete at `at`. The revision grows, so that a reader of the old graph that had seen
    /// everything gets `Gap` from a new one of the name.
    #[must_use]
    pub fn deleted(mut self, at: Timestamp) -> Self {
        self.version += 1;
        self.deleted_at = Some(at);
        self.changed_without_log(at)
    }

    /// The life after changes that are not in the log: a restore. Every reader gets `Gap`.
    #[must_use]
    pub fn changed_without_log(mut self, at: Timestamp) -> Self {
        self.revision.0 += 1;
        self.log_start = self.revision;
        self.updated_at = Some(self.instant(at));
        self
    }

    /// Checks that the log can serve a reader at `after` (`GRAPH-LOG-3`). `false`: there is nothing new.
    pub fn can_read(&self, after: Revision) -> Result<bool> {
        let gap = |what: String| {
            Err(Error::new(ErrorKind::Gap, "graph.changes", what).with("after", after.0))
        };
        let head = self.seen();
        if after > head {
            return gap(format!(
                "the graph is at revision {}; the position comes from another store or from before a \
                 delete: load the graph again",
                head.0
            ));
        }
        if self.exists() && after < self.log_start {
            return gap(format!(
                "the log starts after revision {}; load the graph again",
                self.log_start.0
            ));
        }
        Ok(after < head)
    }
}

/// One entry of the log: what changed, and which version it left current.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The revision.
    pub revision: Revision,
    /// What changed.
    pub element: ElementRef,
    /// The version that became current; `None`: it ended or was purged.
    pub version: Option<u64>,
}

/// An entry of the log as it lies in memory: the element by its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logged {
    pub(super) revision: Revision,
    pub(super) version: Option<u64>,
    pub(super) place: u32,
    pub(super) edge: bool,
}

/// One graph in memory: about 200 bytes a node and 140 an edge beside the texts of ids and attributes.
#[derive(Debug, Clone, Default)]
pub struct GraphState {
    pub(super) life: GraphLife,
    pub(super) elements: Elements,
    pub(super) log: VecDeque<Logged>,
    pub(super) batches: BTreeMap<OpId, Applied>,
}

impl GraphState {
    /// Where it stands; `None` when it does not exist.
    pub fn head(&self) -> Option<GraphHead> {
        self.life.head()
    }

    /// Where it is in its life.
    pub fn life(&self) -> GraphLife {
        self.life
    }

    /// The answer that a batch got before.
    pub fn replay(&self, id: OpId) -> Option<Applied> {
        self.batches.get(&id).copied()
    }

    /// Checks and plans a batch on this state, which stays as it is. `now` is the clock's.
    pub fn plan(&self, batch: &GraphBatch, now: Timestamp) -> Result<Planned> {
        check_batch(batch)?;
        if !self.elements.has_room(batch.changes.len()) {
            return Err(Error::invalid(
                "graph.apply",
                "the graph is full: it holds up to 4,294,967,294 nodes and as many edges",
            ));
        }
        let at = self.life.instant(now);
        let steps = plan(&self.elements, &batch.changes, at)?;
        let life = if steps.is_empty() { self.life } else { self.life.changed(at) };
        let answer = Applied { revision: life.seen(), recorded_at: at };
        Ok(Planned { id: batch.id, steps, life, answer })
    }

    /// Carries out what [`GraphState::plan`] decided on this very state.
    pub fn commit(&mut self, planned: &Planned) -> Applied {
        let Applied { revision, recorded_at } = planned.answer;
        for step in &planned.steps {
            if let Some(left) = self.elements.commit(step, recorded_at, revision) {
                let edge = matches!(step.element(), ElementRef::Edge(_));
                let (place, version) = (left.place, left.version);
                self.log.push_back(Logged { revision, version, place, edge });
            }
        }
        self.life = planned.life;
        self.batches.insert(planned.id, planned.answer);
        planned.answer
    }

    /// Plans and commits, or gives the first answer again (`GRAPH-APPLY-7`).
    pub fn apply(&mut self, batch: &GraphBatch, now: Timestamp) -> Result<Applied> {
        if let Some(first) = self.replay(batch.id) {
            return Ok(first);
        }
        let planned = self.plan(batch, now)?;
        Ok(self.commit(&planned))
    }

    /// The log after a revision: whole revisions, about `limit` entries.
    pub fn changes(&self, after: Revision, limit: Limit) -> Result<ChangeLog> {
        let head = self.life.seen();
        let mut found = ChangeLog { changes: Vec::new(), upto: after, head };
        if !self.life.can_read(after)? {
            return Ok(found);
        }
        let start = self.log.partition_point(|entry| entry.revision <= after);
        for entry in self.log.range(start..) {
            if found.changes.len() >= limit.as_usize() && entry.revision > found.upto {
                return Ok(found);
            }
            found.upto = entry.revision;
            found.changes.push(LoggedChange {
                revision: entry.revision,
                element: self.elements.element_ref(entry.edge, entry.place),
                state: self.logged(entry),
            });
        }
        found.upto = head;
        Ok(found)
    }

    /// The version that an entry made, as it was then; `None` when it was purged or let go since.
    fn logged(&self, entry: &Logged) -> Option<Element> {
        let version = entry.version?;
        let (elements, place) = (&self.elements, entry.place);
        if entry.edge {
            let mut versions = elements.edge_versions(place).rev();
            let made = versions.find(|kept| kept.version() <= version)?;
            let made = (made.revision == entry.revision).then(|| elements.edge(place, made))?;
            return Some(Element::Edge(Edge { superseded_at: None, ..made }));
        }
        let mut versions = elements.node_versions(place).rev();
        let made = versions.find(|kept| kept.version() <= version)?;
        let made = (made.revision == entry.revision).then(|| elements.node(place, made))?;
        Some(Element::Node(Node { superseded_at: None, ..made }))
    }

    /// Deletes the graph; `false` when there is none.
    pub fn delete(&mut self, now: Timestamp) -> bool {
        if !self.life.exists() {
            return false;
        }
        let life = self.life.deleted(self.life.instant(now));
        *self = Self { life, ..Self::default() };
        true
    }

    /// Lets go of log entries, remembered batches and versions.
    pub fn compact(&mut self, compact: Compact) {
        if let Some(upto) = compact.log_upto {
            let start = upto.min(self.life.revision).max(self.life.log_start);
            self.life.log_start = start;
            let gone = self.log.partition_point(|entry| entry.revision <= start);
            self.log.drain(..gone);
            self.batches.retain(|_, answer| answer.revision > start);
            self.elements.log_starts(start);
        }
        if let Some(before) = compact.history_before {
            self.elements.forget_before(before, self.life.revision);
        }
    }

    /// Notes that elements were restored: the log restarts, so that every reader loads again.
    pub(super) fn restored(&mut self, at: Timestamp) {
        self.life = self.life.changed_without_log(at);
        self.log.clear();
        self.elements.log_starts(self.life.log_start);
    }

    /// How many entries the log has.
    pub fn log_len(&self) -> usize {
        self.log.len()
    }

    /// The versions of one node, oldest first.
    pub fn node_versions(&self, id: &Name) -> impl DoubleEndedIterator<Item = Node> + '_ {
        let place = self.elements.node_place(id.as_str());
        place.into_iter().flat_map(move |place| {
            self.elements.node_versions(place).map(move |kept| self.elements.node(place, kept))
        })
    }

    /// The versions of one edge, oldest first.
    pub fn edge_versions(&self, id: EdgeId) -> impl DoubleEndedIterator<Item = Edge> + '_ {
        let place = self.elements.edge_place(id);
        place.into_iter().flat_map(move |place| {
            self.elements.edge_versions(place).map(move |kept| self.elements.edge(place, kept))
        })
    }
}

/// A batch that was checked and planned, and what it will answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The key of idempotence.
    pub id: OpId,
    /// What it does; empty when it changes nothing.
    pub steps: Vec<Step>,
    /// The graph's life with it.
    pub life: GraphLife,
    /// What the caller is answered.
    pub answer: Applied,
}
