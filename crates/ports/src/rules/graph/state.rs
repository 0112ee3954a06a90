//! The whole of one graph in memory: elements, change log, remembered batches.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::elements::{Elements, Kept};
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

/// One graph in memory.
#[derive(Debug, Clone, Default)]
pub struct GraphState {
    pub(super) life: GraphLife,
    pub(super) elements: Elements,
    log: VecDeque<LogEntry>,
    batches: HashMap<OpId, Applied>,
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
            let version = self.elements.commit(step, recorded_at, revision);
            self.log.push_back(LogEntry { revision, element: step.element(), version });
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
                element: entry.element.clone(),
                state: self.logged(entry),
            });
        }
        found.upto = head;
        Ok(found)
    }

    /// The version that an entry made, as it was then; `None` when it was purged or let go since.
    fn logged(&self, entry: &LogEntry) -> Option<Element> {
        let version = entry.version?;
        match &entry.element {
            ElementRef::Node(id) => {
                let versions = &self.elements.node_slot(id)?.versions;
                let place = versions.binary_search_by_key(&version, |k| k.value.version).ok()?;
                let kept = versions.get(place).filter(|kept| kept.revision == entry.revision)?;
                Some(Element::Node(Node { superseded_at: None, ..kept.value.clone() }))
            }
            ElementRef::Edge(id) => {
                let versions = &self.elements.edge_slot(*id)?.versions;
                let place = versions.binary_search_by_key(&version, |k| k.value.version).ok()?;
                let kept = versions.get(place).filter(|kept| kept.revision == entry.revision)?;
                Some(Element::Edge(Edge { superseded_at: None, ..kept.value.clone() }))
            }
        }
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
        }
        if let Some(before) = compact.history_before {
            self.elements.forget_before(before);
        }
    }

    /// Notes that elements were restored: the log restarts, so that every reader loads again.
    pub(super) fn restored(&mut self, at: Timestamp) {
        self.life = self.life.changed_without_log(at);
        self.log.clear();
    }

    /// What a snapshot keeps beside the elements.
    pub fn bookkeeping(
        &self,
    ) -> (GraphLife, impl Iterator<Item = &LogEntry>, &HashMap<OpId, Applied>) {
        (self.life, self.log.iter(), &self.batches)
    }

    /// Every version of every node, in bytewise order of id, oldest version first, with the revision that made it.
    pub fn all_nodes(&self) -> impl Iterator<Item = (Revision, &Node)> {
        let places = self.elements.by_name.values();
        places
            .flat_map(|place| &self.elements.nodes[*place].versions)
            .map(|kept| (kept.revision, &kept.value))
    }

    /// Every version of every edge, likewise.
    pub fn all_edges(&self) -> impl Iterator<Item = (Revision, &Edge)> {
        let places = self.elements.by_edge.values();
        places
            .filter_map(|place| self.elements.edge_at(*place))
            .flat_map(|slot| &slot.versions)
            .map(|kept| (kept.revision, &kept.value))
    }

    /// Puts a graph together from what [`GraphState::bookkeeping`], [`GraphState::all_nodes`] and
    /// [`GraphState::all_edges`] gave. The versions of one element may come in any order; `Corrupt` when one comes
    /// twice.
    pub fn assemble(
        life: GraphLife,
        log: Vec<LogEntry>,
        batches: HashMap<OpId, Applied>,
        nodes: Vec<(Revision, Node)>,
        edges: Vec<(Revision, Edge)>,
    ) -> Result<Self> {
        let mut elements = Elements::default();
        for (id, versions) in grouped(nodes, |node| node.id.clone(), |node| node.version)? {
            elements.set_node(&id, versions);
        }
        for (id, versions) in grouped(edges, |edge| edge.id, |edge| edge.version)? {
            elements.set_edge(id, versions);
        }
        Ok(Self { life, elements, log: log.into(), batches })
    }

    /// The versions of one node, oldest first.
    pub fn node_versions(&self, id: &Name) -> impl Iterator<Item = &Node> {
        self.elements.node_slot(id).into_iter().flat_map(|slot| &slot.versions).map(|k| &k.value)
    }

    /// The versions of one edge, oldest first.
    pub fn edge_versions(&self, id: EdgeId) -> impl Iterator<Item = &Edge> {
        self.elements.edge_slot(id).into_iter().flat_map(|slot| &slot.versions).map(|k| &k.value)
    }
}

type Grouped<K, T> = Vec<(K, Vec<Kept<T>>)>;

fn grouped<K: Ord + std::fmt::Debug, T>(
    mut all: Vec<(Revision, T)>,
    key: impl Fn(&T) -> K,
    version: impl Fn(&T) -> u64,
) -> Result<Grouped<K, T>> {
    all.sort_by_cached_key(|(_, value)| (key(value), version(value)));
    let mut groups: Grouped<K, T> = Vec::new();
    for (revision, value) in all {
        let id = key(&value);
        let kept = Kept { revision, value };
        match groups.last_mut() {
            Some((last, versions)) if *last == id => {
                if versions.last().is_some_and(|v| version(&v.value) == version(&kept.value)) {
                    return Err(Error::corrupt(
                        "graph.load",
                        "a version of an element comes twice",
                    )
                    .with("element", format!("{id:?}"))
                    .with("version", version(&kept.value)));
                }
                versions.push(kept);
            }
            _ => groups.push((id, vec![kept])),
        }
    }
    Ok(groups)
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
