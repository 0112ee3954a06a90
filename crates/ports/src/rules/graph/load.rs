//! Graphs as texts: read into memory and written out again without a value between.

use std::collections::HashMap;

use serde_json::Value;

use super::slots::{Data, EdgeVersion, Maybe, NONE, NodeVersion, index};
use super::state::Logged;
use super::{GraphLife, GraphState, LogEntry};
use crate::{
    Applied, EdgeId, ElementRef, Error, JSON_DEPTH_LIMIT, Name, OpId, Result, Revision, Timestamp,
    json::depth,
};

const LOAD: &str = "graph.load";

/// One version of a node: to be read with its attributes as a value, given out with their JSON text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NodeText<'a, D = &'a str> {
    /// The id.
    pub id: &'a str,
    /// The type.
    pub kind: &'a str,
    /// A JSON object.
    pub data: D,
    /// As in [`Node`](crate::Node).
    pub created_at: Timestamp,
    /// Likewise.
    pub recorded_at: Timestamp,
    /// Likewise.
    pub superseded_at: Option<Timestamp>,
    /// Likewise.
    pub version: u64,
    /// The revision that made it; 0 where it was restored.
    pub revision: Revision,
}

/// One version of an edge, likewise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EdgeText<'a, D = &'a str> {
    /// The id.
    pub id: EdgeId,
    /// From.
    pub src: &'a str,
    /// The relation.
    pub relation: &'a str,
    /// To.
    pub dst: &'a str,
    /// As in [`Edge`](crate::Edge).
    pub weight: f64,
    /// Likewise.
    pub valid_from: Option<Timestamp>,
    /// Likewise.
    pub valid_until: Option<Timestamp>,
    /// Likewise.
    pub source: Option<&'a str>,
    /// A JSON object.
    pub data: D,
    /// As in [`Edge`](crate::Edge).
    pub created_at: Timestamp,
    /// Likewise.
    pub recorded_at: Timestamp,
    /// Likewise.
    pub superseded_at: Option<Timestamp>,
    /// Likewise.
    pub version: u64,
    /// The revision that made it; 0 where it was restored.
    pub revision: Revision,
}

/// Puts a graph together, piece by piece and in any order. Fastest where each kind comes in order of id.
#[derive(Debug, Default)]
pub struct GraphLoader {
    state: GraphState,
    log: Vec<LogEntry>,
}

impl GraphLoader {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the graph is in its life.
    pub fn life(&mut self, life: GraphLife) {
        self.state.life = life;
    }

    /// The answer of a remembered batch.
    pub fn batch(&mut self, id: OpId, answer: Applied) {
        self.state.batches.insert(id, answer);
    }

    /// An entry of the log; they come in order.
    pub fn log(&mut self, entry: LogEntry) {
        self.log.push(entry);
    }

    /// A version of a node. `Corrupt`, naming it, where it is none or comes twice.
    pub fn node(&mut self, node: NodeText<'_, &Value>) -> Result<()> {
        let wrong = |what| Err(Error::corrupt(LOAD, what).with("node", node.id.escape_debug()));
        if !Name::fits(node.id) || !Name::fits(node.kind) {
            return wrong("an id or a type is empty, too long or has a NUL");
        }
        if !is_object(node.data) {
            return wrong("the data of a node is no JSON object");
        }
        if !self.state.elements.has_room(1) {
            return wrong("the graph has more nodes than fit");
        }
        let version = NodeVersion {
            version: node.version,
            revision: node.revision,
            created_at: node.created_at,
            recorded_at: node.recorded_at,
            superseded_at: Maybe::of(node.superseded_at),
            data: Data::of(node.data),
            kind: self.state.elements.texts.number(node.kind),
        };
        if !self.state.elements.add_node_version(node.id, version) {
            return wrong("a version of a node comes twice");
        }
        Ok(())
    }

    /// A version of an edge. `Corrupt`, naming it, where it is none, comes twice, or has other ends than another
    /// version of the edge.
    pub fn edge(&mut self, edge: EdgeText<'_, &Value>) -> Result<()> {
        let wrong = |what| Err(Error::corrupt(LOAD, what).with("edge", edge.id));
        let names = [Some(edge.src), Some(edge.relation), Some(edge.dst), edge.source];
        if !names.into_iter().flatten().all(Name::fits) {
            return wrong("an end, a relation or a source is empty, too long or has a NUL");
        }
        if !is_object(edge.data) || !edge.weight.is_finite() {
            return wrong("the data of an edge is no JSON object, or its weight no number");
        }
        let elements = &mut self.state.elements;
        if !elements.has_room(1) {
            return wrong("the graph has more edges than fit");
        }
        let place = match elements.edge_place(edge.id) {
            None => elements.new_edge(edge.id, edge.src, edge.relation, edge.dst),
            Some(place) => {
                let slot = &elements.edges[index(place)];
                let same = *elements.nodes[index(slot.src)].id == *edge.src
                    && *elements.nodes[index(slot.dst)].id == *edge.dst
                    && elements.texts.text(slot.relation) == edge.relation;
                if !same {
                    return wrong("two versions of an edge have other ends or relations");
                }
                place
            }
        };
        let source = edge.source.map_or(NONE, |text| elements.texts.number(text));
        let version = EdgeVersion {
            version: edge.version,
            revision: edge.revision,
            weight: edge.weight,
            valid_from: Maybe::of(edge.valid_from),
            valid_until: Maybe::of(edge.valid_until),
            created_at: edge.created_at,
            recorded_at: edge.recorded_at,
            superseded_at: Maybe::of(edge.superseded_at),
            data: Data::of(edge.data),
            source,
        };
        if !elements.add_edge_version(place, version) {
            return wrong("a version of an edge comes twice");
        }
        Ok(())
    }

    /// The graph.
    pub fn finish(self) -> GraphState {
        let Self { mut state, log } = self;
        let now = state.life.revision;
        state.elements.log_starts(state.life.log_start);
        let mut buried: HashMap<ElementRef, u32> = HashMap::new();
        for LogEntry { revision, element, version } in log {
            let (edge, place) = match &element {
                ElementRef::Node(id) => (false, state.elements.node_place(id.as_str())),
                ElementRef::Edge(id) => (true, state.elements.edge_place(*id)),
            };
            let place = place.unwrap_or_else(|| {
                let elements = &mut state.elements;
                *buried.entry(element).or_insert_with_key(|element| elements.bury(element, now))
            });
            state.log.push_back(Logged { revision, version, place, edge });
        }
        state
    }
}

fn is_object(data: &Value) -> bool {
    data.as_object().is_some_and(|fields| fields.is_empty() || depth(data) <= JSON_DEPTH_LIMIT)
}

impl GraphState {
    /// A node's versions, oldest first.
    pub fn node_texts(&self, id: &str) -> impl Iterator<Item = NodeText<'_>> {
        self.elements.node_place(id).into_iter().flat_map(|place| self.node_texts_at(place))
    }

    /// An edge's versions, oldest first.
    pub fn edge_texts(&self, id: EdgeId) -> impl Iterator<Item = EdgeText<'_>> {
        self.elements.edge_place(id).into_iter().flat_map(|place| self.edge_texts_at(place))
    }

    /// The versions of the nodes after an id, in bytewise order of id, those of one node oldest first.
    pub fn node_texts_after(&self, after: Option<&str>) -> impl Iterator<Item = NodeText<'_>> {
        self.elements.nodes_after(after).flat_map(|place| self.node_texts_at(place))
    }

    /// The versions of the edges after an id, in order of id, those of one edge oldest first.
    pub fn edge_texts_after(&self, after: Option<EdgeId>) -> impl Iterator<Item = EdgeText<'_>> {
        self.elements.edges_after(after).flat_map(|place| self.edge_texts_at(place))
    }

    /// The remembered batches after one, in order of id.
    pub fn batches_after(&self, after: Option<OpId>) -> impl Iterator<Item = (OpId, Applied)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, Excluded);
        self.batches.range((start, Unbounded)).map(|(id, answer)| (*id, *answer))
    }

    /// The entries of the log from a position on, counted from its start.
    pub fn log_from(&self, position: usize) -> impl Iterator<Item = LogEntry> + '_ {
        self.log.range(position.min(self.log.len())..).map(|entry| LogEntry {
            revision: entry.revision,
            element: self.elements.element_ref(entry.edge, entry.place),
            version: entry.version,
        })
    }

    fn node_texts_at(&self, place: u32) -> impl Iterator<Item = NodeText<'_>> {
        self.elements.node_versions(place).map(move |kept| NodeText {
            id: &self.elements.nodes[index(place)].id,
            kind: self.elements.texts.text(kept.kind),
            data: kept.data.text(),
            created_at: kept.created_at,
            recorded_at: kept.recorded_at,
            superseded_at: kept.superseded_at.get(),
            version: kept.version,
            revision: kept.revision,
        })
    }

    fn edge_texts_at(&self, place: u32) -> impl Iterator<Item = EdgeText<'_>> {
        self.elements.edge_versions(place).map(move |kept| {
            let slot = &self.elements.edges[index(place)];
            EdgeText {
                id: slot.id,
                src: &self.elements.nodes[index(slot.src)].id,
                relation: self.elements.texts.text(slot.relation),
                dst: &self.elements.nodes[index(slot.dst)].id,
                weight: kept.weight,
                valid_from: kept.valid_from.get(),
                valid_until: kept.valid_until.get(),
                source: self.elements.source(kept),
                data: kept.data.text(),
                created_at: kept.created_at,
                recorded_at: kept.recorded_at,
                superseded_at: kept.superseded_at.get(),
                version: kept.version,
                revision: kept.revision,
            }
        })
    }
}
