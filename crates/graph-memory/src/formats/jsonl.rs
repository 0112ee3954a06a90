//! Kagura's JSON Lines: a node or an edge a line.
//!
//! `{"type":"node","id":..,"node_type":..,"data":{..}}` and
//! `{"type":"edge","src":..,"dst":..,"rel_type":..,"weight":..,"data":{..}}`, times and provenance (`source`) within
//! `data`. Kagura's `exported_at` is read over and not written, so that two exports of one graph are equal. Two keys
//! are ours and pass Kagura's reader: `id` of an edge, and `also` for attributes whose names `data` reserves.

use hexmem_ports::{Edge, Node};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::export::{Out, Sheet};
use super::json::kind_of;
use super::parts::{EdgeParts, NodeParts};
use super::problem::Fault;
use super::{time, valid_until};

/// Keys of `data` that are no attributes.
const NODE_KEYS: [&str; 1] = ["created_at"];
const EDGE_KEYS: [&str; 4] = ["created_at", "valid_from", "valid_until", "source"];

/// Attributes whose names are reserved in `data`.
const ALSO: &str = "also";

type Fields = Map<String, Value>;

/// A line's element.
pub(super) enum Line {
    Node(Box<NodeParts>),
    Edge(Box<EdgeParts>),
}

/// Reads a line's object.
pub(super) fn line(mut fields: Map<String, Value>) -> Result<Line, Fault> {
    let kind = fields.shift_remove("type");
    match kind.as_ref().and_then(Value::as_str) {
        Some("node") => {
            let (mut data, also) = attributes(&mut fields)?;
            let created_at = data.shift_remove("created_at");
            data.extend(also);
            Ok(Line::Node(Box::new(NodeParts {
                names: ["id", "node_type"],
                id: fields.shift_remove("id"),
                kind: fields.shift_remove("node_type"),
                created_at,
                data,
            })))
        }
        Some("edge") => edge(fields).map(|parts| Line::Edge(Box::new(parts))),
        Some("memory") => Err("it is a memory, not a node or an edge; `graph.jsonl` beside this \
                               file has the graph"
            .into()),
        Some("entity" | "relation") => {
            Err("it is a line of an MCP memory server; read the file with the format mcp".into())
        }
        _ => Err("its `type` is not \"node\" or \"edge\"".into()),
    }
}

fn edge(mut fields: Map<String, Value>) -> Result<EdgeParts, Fault> {
    let (mut data, also) = attributes(&mut fields)?;
    let mut take = |key: &str| data.shift_remove(key);
    let (created_at, valid_from, valid_until) =
        (take("created_at"), take("valid_from"), take("valid_until"));
    let source = match data.get("source") {
        Some(Value::Array(_) | Value::Object(_)) => None,
        _ => data.shift_remove("source"),
    };
    data.extend(also);
    let id = match fields.shift_remove("id") {
        None | Some(Value::Null) => None,
        Some(id) => {
            let read = id.as_str().and_then(|text| Uuid::parse_str(text).ok());
            Some(read.ok_or("`id` of an edge is a UUID, or is left out")?)
        }
    };
    Ok(EdgeParts {
        names: ["src", "dst", "rel_type", "source"],
        src: fields.shift_remove("src"),
        dst: fields.shift_remove("dst"),
        relation: fields.shift_remove("rel_type"),
        weight: fields.shift_remove("weight"),
        created_at,
        valid_from,
        valid_until,
        source,
        id,
        key: None,
        data,
    })
}

/// `data` and `also`.
fn attributes(fields: &mut Map<String, Value>) -> Result<(Fields, Fields), Fault> {
    let mut take = |key: &str| match fields.shift_remove(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(data)) => Ok(data),
        Some(other) => Err(Fault::from(format!("`{key}` is {}, not an object", kind_of(&other)))),
    };
    Ok((take("data")?, take(ALSO)?))
}

/// Writes the form.
#[derive(Debug, Default)]
pub(super) struct Jsonl;

impl Sheet for Jsonl {
    fn node(&mut self, out: &mut Out<'_>, node: Node) -> hexmem_ports::Result<()> {
        let mut fields = Map::new();
        fields.insert("type".into(), "node".into());
        fields.insert("id".into(), String::from(node.id).into());
        fields.insert("node_type".into(), String::from(node.kind).into());
        let (mut data, also) = split(node.data, &NODE_KEYS);
        data.insert("created_at".into(), time(Some(node.created_at)));
        finish(&mut fields, data, also);
        out.json_line(&Value::Object(fields))
    }

    fn edge(&mut self, out: &mut Out<'_>, mut edge: Edge) -> hexmem_ports::Result<()> {
        let until = valid_until(&mut edge);
        let mut fields = Map::new();
        fields.insert("type".into(), "edge".into());
        fields.insert("id".into(), edge.id.to_string().into());
        fields.insert("src".into(), String::from(edge.src).into());
        fields.insert("dst".into(), String::from(edge.dst).into());
        fields.insert("rel_type".into(), String::from(edge.relation).into());
        fields.insert("weight".into(), edge.weight.into());
        let (mut data, also) = split(edge.data, &EDGE_KEYS);
        data.insert("created_at".into(), time(Some(edge.created_at)));
        data.insert("valid_from".into(), time(edge.valid_from));
        data.insert("valid_until".into(), time(until));
        data.insert("source".into(), edge.source.map_or(Value::Null, |s| String::from(s).into()));
        finish(&mut fields, data, also);
        out.json_line(&Value::Object(fields))
    }
}

/// Attributes that `data` can hold, and those whose names it reserves.
fn split(data: Value, reserved: &[&str]) -> (Fields, Fields) {
    let Value::Object(data) = data else { return (Map::new(), Map::new()) };
    data.into_iter().partition(|(key, _)| !reserved.contains(&key.as_str()))
}

fn finish(fields: &mut Fields, data: Fields, also: Fields) {
    fields.insert("data".into(), Value::Object(data));
    if !also.is_empty() {
        fields.insert(ALSO.into(), Value::Object(also));
    }
}
