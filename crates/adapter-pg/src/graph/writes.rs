//! What the steps of batches come to, as the arrays of `hexmem.graph_write`.

use std::collections::{BTreeMap, HashMap};

use hexmem_ports::rules::graph::Step;
use hexmem_ports::{Edge, EdgeId, Element, ElementRef, Name, Node, Timestamp};
use uuid::Uuid;

use super::rows::column;
use super::touched::Touched;
use crate::query::Query;
use crate::value::At;

/// The elements of `hexmem.graph_count`.
const NODE: i16 = 0;
const EDGE: i16 = 1;

/// What becomes of one element.
struct Fate<'a, T> {
    /// All that was is gone.
    purged: bool,
    /// The version that was current has ended.
    archived: bool,
    /// Versions that were made, with their revisions.
    made: Vec<(&'a T, i32)>,
    /// The last of them has ended too.
    ended: bool,
}

impl<T> Default for Fate<'_, T> {
    fn default() -> Self {
        Self { purged: false, archived: false, made: Vec::new(), ended: false }
    }
}

impl<'a, T> Fate<'a, T> {
    fn put(&mut self, version: &'a T, offset: i32) {
        self.archived |= !self.purged;
        self.ended = false;
        self.made.push((version, offset));
    }

    fn end(&mut self) {
        self.archived |= !self.purged;
        self.ended = true;
    }

    fn purge(&mut self) {
        *self = Self { purged: true, ..Self::default() };
    }

    /// The version that is current in the end.
    fn current(&self) -> Option<&'a T> {
        self.made.last().filter(|_| !self.ended).map(|(version, _)| *version)
    }
}

/// One array an argument. Times that are `None` are those of the batch.
#[derive(Debug, Default)]
pub(super) struct Writes {
    purged_nodes: Vec<String>,
    archived_nodes: Vec<String>,
    ended_nodes: Vec<String>,
    nodes: NodeRows,
    purged_edges: Vec<Uuid>,
    archived_edges: Vec<Uuid>,
    ended_edges: Vec<Uuid>,
    edges: EdgeRows,
    log: LogRows,
    counts: BTreeMap<(i16, String), i64>,
}

#[derive(Debug, Default)]
struct NodeRows {
    id: Vec<String>,
    version: Vec<i64>,
    offset: Vec<i32>,
    kind: Vec<String>,
    created: Vec<Option<At>>,
    recorded: Vec<Option<At>>,
    superseded: Vec<Option<At>>,
    current: Vec<bool>,
    data: Vec<String>,
}

#[derive(Debug, Default)]
struct EdgeRows {
    id: Vec<Uuid>,
    version: Vec<i64>,
    offset: Vec<i32>,
    src: Vec<String>,
    relation: Vec<String>,
    dst: Vec<String>,
    weight: Vec<f64>,
    from: Vec<Option<At>>,
    until: Vec<Option<At>>,
    source: Vec<Option<String>>,
    created: Vec<Option<At>>,
    recorded: Vec<Option<At>>,
    superseded: Vec<Option<At>>,
    current: Vec<bool>,
    data: Vec<String>,
}

#[derive(Debug, Default)]
struct LogRows {
    offset: Vec<i32>,
    place: Vec<i32>,
    node: Vec<Option<String>>,
    edge: Vec<Option<Uuid>>,
    version: Vec<Option<i64>>,
}

/// When versions were recorded and ended.
#[derive(Clone, Copy)]
enum Times {
    /// Now; times of this value are now too.
    Pending(Timestamp),
    /// As they say.
    Own,
}

impl Writes {
    /// Of the steps of batches, each with the number of its revision above the graph's. What is `pending` is the
    /// instant of the batch.
    pub(super) fn of<'a>(
        before: &Touched,
        batches: impl IntoIterator<Item = (i32, &'a [Step])>,
        pending: Timestamp,
    ) -> Self {
        let mut writes = Self::default();
        let mut nodes: HashMap<&Name, Fate<'_, Node>> = HashMap::new();
        let mut edges: HashMap<EdgeId, Fate<'_, Edge>> = HashMap::new();
        for (offset, steps) in batches {
            for (place, step) in (0..).zip(steps) {
                writes.log.add(offset, place, step);
                match step {
                    Step::Put(Element::Node(node)) => {
                        nodes.entry(&node.id).or_default().put(node, offset);
                    }
                    Step::Put(Element::Edge(edge)) => {
                        edges.entry(edge.id).or_default().put(edge, offset);
                    }
                    Step::End(ElementRef::Node(id)) => nodes.entry(id).or_default().end(),
                    Step::End(ElementRef::Edge(id)) => edges.entry(*id).or_default().end(),
                    Step::Purge(ElementRef::Node(id)) => nodes.entry(id).or_default().purge(),
                    Step::Purge(ElementRef::Edge(id)) => edges.entry(*id).or_default().purge(),
                }
            }
        }
        for (id, fate) in nodes {
            writes.node(before, id, &fate, Times::Pending(pending));
        }
        for (id, fate) in edges {
            writes.edge(before, id, &fate, Times::Pending(pending));
        }
        writes
    }

    fn node(&mut self, before: &Touched, id: &Name, fate: &Fate<'_, Node>, times: Times) {
        let last = before.nodes.get(id).map(|last| &last.element);
        let current = last.filter(|node| node.superseded_at.is_none());
        if fate.purged && last.is_some() {
            self.purged_nodes.push(id.to_string());
        }
        if let Some(was) = current {
            if fate.archived {
                self.archived_nodes.push(id.to_string());
                if fate.current().is_none() {
                    self.ended_nodes.push(id.to_string());
                }
            }
            if fate.archived || fate.purged {
                self.count(NODE, &was.kind, -1);
            }
        }
        if let Some(now) = fate.current() {
            self.count(NODE, &now.kind, 1);
        }
        for (at, (node, offset)) in fate.made.iter().enumerate() {
            let current = at + 1 == fate.made.len() && !fate.ended;
            self.nodes.add(node, *offset, current, times);
        }
    }

    fn edge(&mut self, before: &Touched, id: EdgeId, fate: &Fate<'_, Edge>, times: Times) {
        let last = before.edges.get(&id).map(|last| &last.element);
        let current = last.filter(|edge| edge.superseded_at.is_none());
        if fate.purged && last.is_some() {
            self.purged_edges.push(id.0);
        }
        if let Some(was) = current {
            if fate.archived {
                self.archived_edges.push(id.0);
                if fate.current().is_none() {
                    self.ended_edges.push(id.0);
                }
            }
            if fate.archived || fate.purged {
                self.count(EDGE, &was.relation, -1);
            }
        }
        if let Some(now) = fate.current() {
            self.count(EDGE, &now.relation, 1);
        }
        for (at, (edge, offset)) in fate.made.iter().enumerate() {
            let current = at + 1 == fate.made.len() && !fate.ended;
            self.edges.add(edge, *offset, current, times);
        }
    }

    /// Replaces a node by these versions, oldest first, as they are; revisions are `offset`.
    pub(super) fn restore_node(&mut self, before: &Touched, versions: &[Node], offset: i32) {
        let Some(last) = versions.last() else { return };
        let made = versions.iter().map(|version| (version, offset)).collect();
        let ended = last.superseded_at.is_some();
        let fate = Fate { purged: true, archived: false, made, ended };
        self.node(before, &last.id, &fate, Times::Own);
    }

    /// As [`Self::restore_node`], of an edge.
    pub(super) fn restore_edge(&mut self, before: &Touched, versions: &[Edge], offset: i32) {
        let Some(last) = versions.last() else { return };
        let made = versions.iter().map(|version| (version, offset)).collect();
        let ended = last.superseded_at.is_some();
        let fate = Fate { purged: true, archived: false, made, ended };
        self.edge(before, last.id, &fate, Times::Own);
    }

    fn count(&mut self, element: i16, name: &Name, more: i64) {
        *self.counts.entry((element, name.to_string())).or_default() += more;
    }

    /// As the last arguments of `hexmem.graph_write`, from the purged nodes on.
    pub(super) fn bind(self, query: Query<'_>) -> Query<'_> {
        let Self { nodes, edges, log, mut counts, .. } = self;
        counts.retain(|_, more| *more != 0);
        let (mut elements, mut names, mut more) = (Vec::new(), Vec::new(), Vec::new());
        for ((element, name), by) in counts {
            elements.push(element);
            names.push(name);
            more.push(by);
        }
        query
            .bind(self.purged_nodes)
            .bind(self.archived_nodes)
            .bind(self.ended_nodes)
            .bind(nodes.id)
            .bind(nodes.version)
            .bind(nodes.offset)
            .bind(nodes.kind)
            .bind(nodes.created)
            .bind(nodes.recorded)
            .bind(nodes.superseded)
            .bind(nodes.current)
            .bind(nodes.data)
            .bind(self.purged_edges)
            .bind(self.archived_edges)
            .bind(self.ended_edges)
            .bind(edges.id)
            .bind(edges.version)
            .bind(edges.offset)
            .bind(edges.src)
            .bind(edges.relation)
            .bind(edges.dst)
            .bind(edges.weight)
            .bind(edges.from)
            .bind(edges.until)
            .bind(edges.source)
            .bind(edges.created)
            .bind(edges.recorded)
            .bind(edges.superseded)
            .bind(edges.current)
            .bind(edges.data)
            .bind(log.offset)
            .bind(log.place)
            .bind(log.node)
            .bind(log.edge)
            .bind(log.version)
            .bind(elements)
            .bind(names)
            .bind(more)
    }
}

impl Times {
    fn created(self, at: Timestamp) -> Option<At> {
        match self {
            Self::Pending(pending) => (at != pending).then_some(At(at)),
            Self::Own => Some(At(at)),
        }
    }

    fn own(self, at: Option<Timestamp>) -> Option<At> {
        match self {
            Self::Pending(_) => None,
            Self::Own => at.map(At),
        }
    }
}

impl NodeRows {
    fn add(&mut self, node: &Node, offset: i32, current: bool, times: Times) {
        self.id.push(node.id.to_string());
        self.version.push(column(node.version));
        self.offset.push(offset);
        self.kind.push(node.kind.to_string());
        self.created.push(times.created(node.created_at));
        self.recorded.push(times.own(Some(node.recorded_at)));
        self.superseded.push(times.own(node.superseded_at));
        self.current.push(current);
        self.data.push(node.data.to_string());
    }
}

impl EdgeRows {
    fn add(&mut self, edge: &Edge, offset: i32, current: bool, times: Times) {
        self.id.push(edge.id.0);
        self.version.push(column(edge.version));
        self.offset.push(offset);
        self.src.push(edge.src.to_string());
        self.relation.push(edge.relation.to_string());
        self.dst.push(edge.dst.to_string());
        self.weight.push(edge.weight);
        self.from.push(edge.valid_from.map(At));
        self.until.push(edge.valid_until.map(At));
        self.source.push(edge.source.as_ref().map(ToString::to_string));
        self.created.push(times.created(edge.created_at));
        self.recorded.push(times.own(Some(edge.recorded_at)));
        self.superseded.push(times.own(edge.superseded_at));
        self.current.push(current);
        self.data.push(edge.data.to_string());
    }
}

impl LogRows {
    fn add(&mut self, offset: i32, place: i32, step: &Step) {
        self.offset.push(offset);
        self.place.push(place);
        let (node, edge) = match step.element() {
            ElementRef::Node(id) => (Some(id.to_string()), None),
            ElementRef::Edge(id) => (None, Some(id.0)),
        };
        self.node.push(node);
        self.edge.push(edge);
        self.version.push(match step {
            Step::Put(element) => Some(column(element.version())),
            Step::End(_) | Step::Purge(_) => None,
        });
    }
}
