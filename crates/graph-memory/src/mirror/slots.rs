//! How nodes and edges lie in memory: what searches touch inline, the rest behind a pointer, names once.

use std::collections::HashMap;

use hexmem_ports::{Edge, EdgeId, Filter, Name, Node, Timestamp};
use serde_json::{Map, Value};

use super::order::UNRANKED;

/// Texts that many elements share, by number.
#[derive(Debug, Default)]
pub(super) struct Names {
    texts: Vec<Name>,
    numbers: HashMap<Name, u32>,
}

impl Names {
    /// The number of `text`, a new one where it is new. Beyond 2^32 different texts, the last number.
    pub(super) fn number(&mut self, text: &Name) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.clone());
        self.numbers.insert(text.clone(), number);
        number
    }

    /// The number of `text`, if it has one.
    pub(super) fn known(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    /// The text of a number that was given out.
    pub(super) fn text(&self, number: u32) -> Option<&Name> {
        usize::try_from(number).ok().and_then(|i| self.texts.get(i))
    }
}

/// A node.
#[derive(Debug)]
pub(super) struct NodeSlot {
    pub(super) id: Name,
    pub(super) kind: u32,
    /// Its place in the order of ids.
    pub(super) rank: u32,
    version: u64,
    created_at: Timestamp,
    recorded_at: Timestamp,
    data: Data,
}

/// Attributes as JSON text, a fifth of the room that a value takes. An empty object takes nothing.
#[derive(Debug)]
struct Data(Box<str>);

impl Data {
    fn of(value: &Value) -> Self {
        let empty = value.as_object().is_some_and(Map::is_empty);
        Self(if empty { "".into() } else { value.to_string().into() })
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn value(&self) -> Value {
        if self.is_empty() {
            return Value::Object(Map::new());
        }
        // It was written from a value.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl NodeSlot {
    pub(super) fn of(node: &Node, kinds: &mut Names) -> Self {
        Self {
            id: node.id.clone(),
            kind: kinds.number(&node.kind),
            rank: UNRANKED,
            version: node.version,
            created_at: node.created_at,
            recorded_at: node.recorded_at,
            data: Data::of(&node.data),
        }
    }

    /// Whether its data passes.
    pub(super) fn passes(&self, filter: &Filter) -> bool {
        filter.matches(&self.data.value())
    }

    /// The node as the port shows it. `None` cannot happen: its numbers were given out.
    pub(super) fn node(&self, kinds: &Names) -> Option<Node> {
        Some(Node {
            id: self.id.clone(),
            kind: kinds.text(self.kind)?.clone(),
            data: self.data.value(),
            created_at: self.created_at,
            recorded_at: self.recorded_at,
            superseded_at: None,
            version: self.version,
        })
    }
}

/// No start, no end: beyond every instant.
const OPEN_START: i64 = i64::MIN;
const OPEN_END: i64 = i64::MAX;

/// An edge. Its ends are the graph's.
#[derive(Debug)]
pub(super) struct EdgeSlot {
    pub(super) id: EdgeId,
    pub(super) relation: u32,
    pub(super) weight: f64,
    from: i64,
    until: i64,
    version: u64,
    created_at: Timestamp,
    recorded_at: Timestamp,
    /// `None` for no source and an empty object.
    cold: Option<Box<Cold>>,
}

#[derive(Debug)]
struct Cold {
    source: Option<Box<str>>,
    data: Data,
}

impl EdgeSlot {
    pub(super) fn of(edge: Edge, relations: &mut Names) -> Self {
        let source = edge.source.map(|source| source.as_str().into());
        let cold = Cold { source, data: Data::of(&edge.data) };
        Self {
            id: edge.id,
            relation: relations.number(&edge.relation),
            weight: edge.weight,
            from: edge.valid_from.map_or(OPEN_START, Timestamp::as_micros),
            until: edge.valid_until.map_or(OPEN_END, Timestamp::as_micros),
            version: edge.version,
            created_at: edge.created_at,
            recorded_at: edge.recorded_at,
            cold: Some(Box::new(cold))
                .filter(|cold| cold.source.is_some() || !cold.data.is_empty()),
        }
    }

    /// Whether it holds at an instant, in microseconds; `None`: whenever.
    pub(super) fn holds(&self, at: Option<i64>) -> bool {
        at.is_none_or(|at| self.from <= at && at < self.until)
    }

    /// Where it comes from.
    pub(super) fn source(&self) -> Option<&str> {
        self.cold.as_deref()?.source.as_deref()
    }

    /// Whether its data passes.
    pub(super) fn passes(&self, filter: &Filter) -> bool {
        match self.cold.as_deref() {
            Some(cold) => filter.matches(&cold.data.value()),
            None => filter.matches(&Value::Object(Map::new())),
        }
    }

    /// The edge as the port shows it. `None` cannot happen: its numbers were given out.
    pub(super) fn edge(&self, src: &NodeSlot, dst: &NodeSlot, relations: &Names) -> Option<Edge> {
        let (source, data) = match self.cold.as_deref() {
            Some(cold) => {
                let source = cold.source.as_deref().and_then(|source| Name::new(source).ok());
                (source, cold.data.value())
            }
            None => (None, Value::Object(Map::new())),
        };
        Some(Edge {
            id: self.id,
            src: src.id.clone(),
            relation: relations.text(self.relation)?.clone(),
            dst: dst.id.clone(),
            weight: self.weight,
            valid_from: Timestamp::from_micros(self.from),
            valid_until: Timestamp::from_micros(self.until),
            source,
            data,
            created_at: self.created_at,
            recorded_at: self.recorded_at,
            superseded_at: None,
            version: self.version,
        })
    }
}
