//! What a batch does to a graph, decided before anything is written.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use crate::{
    Edge, EdgeDraft, EdgeId, Element, ElementRef, Error, ErrorKind, Expect, GraphChange, Name,
    Node, NodeDraft, Result, Timestamp,
};

const OP: &str = "graph.apply";

/// What [`plan`] needs to know of the graph before the batch.
pub trait GraphView {
    /// The last version that is kept of a node, ended or not.
    fn node(&self, id: &Name) -> Option<Node>;
    /// Whether a node exists: its last version has not ended.
    fn lives(&self, id: &Name) -> bool;
    /// The last version that is kept of an edge, ended or not.
    fn edge(&self, id: EdgeId) -> Option<Edge>;
    /// Edges of which a version at this node is kept. Asked for nodes that the batch removes (the edges that
    /// ended may be left out) or purges.
    fn edges_at(&self, id: &Name) -> Vec<EdgeId>;
    /// Whether an edge of which a version is kept is at this node, other than those that are `gone`. Asked for
    /// orphans that the batch purges.
    fn edge_left_at(&self, id: &Name, gone: &dyn Fn(EdgeId) -> bool) -> bool;
}

/// One thing that a batch does. Each is one entry of the change log.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "most steps are puts, and they live for one call")]
pub enum Step {
    /// The version becomes the current one; the one before ends where it has not.
    Put(Element),
    /// The current version ends.
    End(ElementRef),
    /// All versions go. The edges of a purged node have steps of their own, before it.
    Purge(ElementRef),
}

impl Step {
    /// What it is about.
    pub fn element(&self) -> ElementRef {
        match self {
            Self::Put(Element::Node(node)) => ElementRef::Node(node.id.clone()),
            Self::Put(Element::Edge(edge)) => ElementRef::Edge(edge.id),
            Self::End(element) | Self::Purge(element) => element.clone(),
        }
    }
}

/// The steps of `changes` at the instant `now`, in order; none when they change nothing. Fails with the
/// first change that is refused (`GRAPH-APPLY-3`, `GRAPH-APPLY-4`).
///
/// `now` must not lie before the last batch of the graph.
pub fn plan(view: &dyn GraphView, changes: &[GraphChange], now: Timestamp) -> Result<Vec<Step>> {
    let mut planner = Planner {
        view,
        now,
        nodes: HashMap::new(),
        edges: HashMap::new(),
        joined: HashMap::new(),
        steps: Vec::with_capacity(changes.len()),
    };
    for (place, change) in changes.iter().enumerate() {
        planner.change(change).map_err(|error| error.with("change", place))?;
    }
    Ok(planner.steps)
}

struct Planner<'a> {
    view: &'a dyn GraphView,
    now: Timestamp,
    // What earlier changes of the batch made of an element; `None`: purged.
    nodes: HashMap<Name, Option<Node>>,
    edges: HashMap<EdgeId, Option<Edge>>,
    // Edges that the batch put, by their ends.
    joined: HashMap<Name, BTreeSet<EdgeId>>,
    steps: Vec<Step>,
}

impl Planner<'_> {
    fn node(&self, id: &Name) -> Option<Cow<'_, Node>> {
        match self.nodes.get(id) {
            Some(known) => known.as_ref().map(Cow::Borrowed),
            None => self.view.node(id).map(Cow::Owned),
        }
    }

    fn lives(&self, id: &Name) -> bool {
        match self.nodes.get(id) {
            Some(known) => known.as_ref().is_some_and(|node| node.superseded_at.is_none()),
            None => self.view.lives(id),
        }
    }

    fn edge(&self, id: EdgeId) -> Option<Cow<'_, Edge>> {
        match self.edges.get(&id) {
            Some(known) => known.as_ref().map(Cow::Borrowed),
            None => self.view.edge(id).map(Cow::Owned),
        }
    }

    fn change(&mut self, change: &GraphChange) -> Result<()> {
        match change {
            GraphChange::PutNode(draft) => self.put_node(draft),
            GraphChange::PutEdge(draft) => self.put_edge(draft),
            GraphChange::RemoveNode { id, expect } => self.remove_node(id, *expect),
            GraphChange::RemoveEdge { id, expect } => self.remove_edge(*id, *expect),
            GraphChange::PurgeNode(id) => {
                self.purge_node(id);
                Ok(())
            }
            GraphChange::PurgeEdge(id) => {
                self.purge_edge(*id);
                Ok(())
            }
            GraphChange::PurgeOrphan(id) => {
                self.purge_orphan(id);
                Ok(())
            }
        }
    }

    fn put_node(&mut self, draft: &NodeDraft) -> Result<()> {
        let last = self.node(&draft.id);
        let current = last.as_ref().filter(|node| node.superseded_at.is_none());
        check_expect(draft.expect, current.map(|node| node.version), "node", &draft.id)?;
        if current.is_some_and(|node| node.kind == draft.kind && node.data == draft.data) {
            return Ok(());
        }
        let node = Node {
            id: draft.id.clone(),
            kind: draft.kind.clone(),
            data: draft.data.clone(),
            created_at: last
                .as_ref()
                .map_or(draft.created_at.unwrap_or(self.now), |node| node.created_at),
            recorded_at: self.now,
            superseded_at: None,
            version: last.as_ref().map_or(1, |node| node.version.saturating_add(1)),
        };
        self.nodes.insert(node.id.clone(), Some(node.clone()));
        self.steps.push(Step::Put(Element::Node(node)));
        Ok(())
    }

    fn put_edge(&mut self, draft: &EdgeDraft) -> Result<()> {
        let last = self.edge(draft.id);
        let current = last.as_ref().filter(|edge| edge.superseded_at.is_none());
        check_expect(draft.expect, current.map(|edge| edge.version), "edge", &draft.id)?;
        if last.as_ref().is_some_and(|edge| {
            edge.src != draft.src || edge.dst != draft.dst || edge.relation != draft.relation
        }) {
            return Err(Error::conflict(
                OP,
                "the edge joins other nodes or has another relation; give a new edge id",
            )
            .with("edge", draft.id));
        }
        for end in [&draft.src, &draft.dst] {
            if !self.lives(end) {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    OP,
                    "an end of the edge does not exist; put the node first",
                )
                .with("node", end)
                .with("edge", draft.id));
            }
        }
        if current.is_some_and(|edge| says_the_same(edge, draft)) {
            return Ok(());
        }
        let edge = Edge {
            id: draft.id,
            src: draft.src.clone(),
            relation: draft.relation.clone(),
            dst: draft.dst.clone(),
            // A negative zero becomes zero: not every store keeps its sign.
            weight: draft.weight + 0.0,
            valid_from: draft.valid_from,
            valid_until: draft.valid_until,
            source: draft.source.clone(),
            data: draft.data.clone(),
            created_at: last
                .as_ref()
                .map_or(draft.created_at.unwrap_or(self.now), |edge| edge.created_at),
            recorded_at: self.now,
            superseded_at: None,
            version: last.as_ref().map_or(1, |edge| edge.version.saturating_add(1)),
        };
        for end in [&edge.src, &edge.dst] {
            self.joined.entry(end.clone()).or_default().insert(edge.id);
        }
        self.edges.insert(edge.id, Some(edge.clone()));
        self.steps.push(Step::Put(Element::Edge(edge)));
        Ok(())
    }

    fn remove_node(&mut self, id: &Name, expected: Expect) -> Result<()> {
        let current =
            self.node(id).filter(|node| node.superseded_at.is_none()).map(Cow::into_owned);
        check_expect(expected, current.as_ref().map(|node| node.version), "node", id)?;
        let Some(node) = current else { return Ok(()) };
        for edge in self.edges_at(id) {
            self.end_edge(edge);
        }
        let ended = Node { superseded_at: Some(self.now), ..node };
        self.nodes.insert(id.clone(), Some(ended));
        self.steps.push(Step::End(ElementRef::Node(id.clone())));
        Ok(())
    }

    fn remove_edge(&mut self, id: EdgeId, expected: Expect) -> Result<()> {
        let current = self.edge(id).filter(|edge| edge.superseded_at.is_none());
        check_expect(expected, current.map(|edge| edge.version), "edge", &id)?;
        self.end_edge(id);
        Ok(())
    }

    fn end_edge(&mut self, id: EdgeId) {
        let current = self.edge(id).filter(|edge| edge.superseded_at.is_none());
        let Some(edge) = current.map(Cow::into_owned) else { return };
        self.edges.insert(id, Some(Edge { superseded_at: Some(self.now), ..edge }));
        self.steps.push(Step::End(ElementRef::Edge(id)));
    }

    fn purge_node(&mut self, id: &Name) {
        for edge in self.edges_at(id) {
            self.purge_edge(edge);
        }
        self.purge_alone(id);
    }

    fn purge_alone(&mut self, id: &Name) {
        if self.node(id).is_some() {
            self.nodes.insert(id.clone(), None);
            self.steps.push(Step::Purge(ElementRef::Node(id.clone())));
        }
    }

    fn purge_orphan(&mut self, id: &Name) {
        let gone = |edge: EdgeId| matches!(self.edges.get(&edge), Some(None));
        let mut joined = self.joined.get(id).into_iter().flatten();
        if !joined.any(|edge| !gone(*edge)) && !self.view.edge_left_at(id, &gone) {
            self.purge_alone(id);
        }
    }

    fn purge_edge(&mut self, id: EdgeId) {
        if self.edge(id).is_some() {
            self.edges.insert(id, None);
            self.steps.push(Step::Purge(ElementRef::Edge(id)));
        }
    }

    fn edges_at(&self, id: &Name) -> BTreeSet<EdgeId> {
        let mut edges: BTreeSet<_> = self.view.edges_at(id).into_iter().collect();
        edges.extend(self.joined.get(id).into_iter().flatten());
        edges
    }
}

fn says_the_same(edge: &Edge, draft: &EdgeDraft) -> bool {
    edge.weight == draft.weight
        && edge.valid_from == draft.valid_from
        && edge.valid_until == draft.valid_until
        && edge.source == draft.source
        && edge.data == draft.data
}

fn check_expect(
    expected: Expect,
    current: Option<u64>,
    what: &'static str,
    id: &dyn std::fmt::Display,
) -> Result<()> {
    let wrong = match (expected, current) {
        (Expect::Any, _) | (Expect::Absent, None) => return Ok(()),
        (Expect::Version(version), Some(now)) if version == now => return Ok(()),
        (Expect::Absent, Some(now)) => format!("the {what} exists, at version {now}"),
        (Expect::Version(version), Some(now)) => {
            format!("the {what} is at version {now}, not {version}; read it again")
        }
        (Expect::Version(version), None) => {
            format!("the {what} does not exist; version {version} was expected")
        }
    };
    Err(Error::conflict(OP, wrong).with(what, id))
}
