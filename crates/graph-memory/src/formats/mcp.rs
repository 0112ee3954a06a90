//! The JSON Lines file of the MCP reference memory server: an entity or a relation a line.
//!
//! `{"type":"entity","name":..,"entityType":..,"observations":[..]}` and
//! `{"type":"relation","from":..,"to":..,"relationType":..}`. Observations become the attribute `observations` of a
//! node; other keys of a line are kept as attributes. The form holds nothing else, and what it cannot hold is counted
//! when a graph is written.

use std::collections::HashSet;

use hexmem_ports::{Edge, Node, Result};
use serde_json::{Map, Value, json};

use super::export::{Out, Sheet};
use super::json::kind_of;
use super::jsonl::Line;
use super::parts::{EdgeParts, NodeParts};
use super::problem::Fault;
use crate::identity::fingerprint;

const OBSERVATIONS: &str = "observations";

/// Reads a line's object.
pub(super) fn line(mut fields: Map<String, Value>) -> std::result::Result<Line, Fault> {
    let kind = fields.shift_remove("type");
    match kind.as_ref().and_then(Value::as_str) {
        Some("entity") => {
            observations(&fields)?;
            Ok(Line::Node(Box::new(NodeParts {
                names: ["name", "entityType"],
                id: fields.shift_remove("name"),
                kind: fields.shift_remove("entityType"),
                created_at: None,
                data: fields,
            })))
        }
        Some("relation") => Ok(Line::Edge(Box::new(EdgeParts {
            names: ["from", "to", "relationType", "source"],
            src: fields.shift_remove("from"),
            dst: fields.shift_remove("to"),
            relation: fields.shift_remove("relationType"),
            weight: None,
            created_at: None,
            valid_from: None,
            valid_until: None,
            source: None,
            id: None,
            key: None,
            data: fields,
        }))),
        _ => Err("its `type` is not \"entity\" or \"relation\"".into()),
    }
}

fn observations(fields: &Map<String, Value>) -> std::result::Result<(), Fault> {
    match fields.get(OBSERVATIONS) {
        None => Ok(()),
        Some(Value::Array(all)) => match all.iter().find(|one| !one.is_string()) {
            None => Ok(()),
            Some(other) => Err(format!("an observation is {}, not a text", kind_of(other)).into()),
        },
        Some(other) => Err(format!("`observations` is {}, not a list", kind_of(other)).into()),
    }
}

/// Writes the form.
#[derive(Debug, Default)]
pub(super) struct Mcp {
    /// What was written: the form has one relation of a type between two entities.
    relations: HashSet<u128>,
}

impl Sheet for Mcp {
    fn node(&mut self, out: &mut Out<'_>, node: Node) -> Result<()> {
        out.lose("creation times of nodes", 1);
        let mut observations = Vec::new();
        if let Value::Object(data) = node.data {
            for (key, value) in data {
                match value {
                    Value::Array(all) if key == OBSERVATIONS => {
                        let before = all.len();
                        observations.extend(all.into_iter().filter(Value::is_string));
                        out.lose("observations that are no text", before - observations.len());
                    }
                    _ => out.lose("attributes of nodes", 1),
                }
            }
        }
        out.json_line(&json!({
            "type": "entity", "name": node.id, "entityType": node.kind, "observations": observations,
        }))
    }

    fn edge(&mut self, out: &mut Out<'_>, edge: Edge) -> Result<()> {
        let relation = fingerprint(&[
            edge.src.as_str().as_bytes(),
            edge.relation.as_str().as_bytes(),
            edge.dst.as_str().as_bytes(),
        ]);
        if !self.relations.insert(relation) {
            out.leave_out("edges that state a relation again (another source or span)");
            return Ok(());
        }
        out.lose("times of edges", 1);
        out.lose("weights of edges", usize::from(edge.weight != 1.0));
        out.lose("sources of edges", usize::from(edge.source.is_some()));
        out.lose("attributes of edges", edge.data.as_object().map_or(0, Map::len));
        out.json_line(&json!({
            "type": "relation", "from": edge.src, "to": edge.dst, "relationType": edge.relation,
        }))
    }
}
