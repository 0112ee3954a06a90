//! Writes node-link JSON.

use hexmem_ports::{Edge, Node, Result};
use serde_json::{Map, Value};

use super::{EDGE_KEYS, ESCAPE, FORM, MARK, NODE_KEYS};
use crate::formats::export::{Out, Sheet};
use crate::formats::{time, valid_until};

/// Writes the form: one element on a line of its own, so that line tools and version control see elements.
#[derive(Debug, Default)]
pub(in crate::formats) struct NodeLink {
    /// Whether the open list has an element.
    begun: bool,
}

impl Sheet for NodeLink {
    fn head(&mut self, out: &mut Out<'_>) -> Result<()> {
        out.put(&format!(
            "{{\n\"directed\": true,\n\"multigraph\": true,\n\"graph\": {{\"{MARK}\": {{\"form\": {FORM}}}}},\n\"nodes\": ["
        ))
    }

    fn node(&mut self, out: &mut Out<'_>, node: Node) -> Result<()> {
        let mut fields = Map::new();
        fields.insert("id".into(), String::from(node.id).into());
        fields.insert("type".into(), String::from(node.kind).into());
        fields.insert("created_at".into(), time(Some(node.created_at)));
        flatten(&mut fields, node.data, &NODE_KEYS);
        self.element(out, fields)
    }

    fn between(&mut self, out: &mut Out<'_>) -> Result<()> {
        self.begun = false;
        out.put("\n],\n\"links\": [")
    }

    fn edge(&mut self, out: &mut Out<'_>, mut edge: Edge) -> Result<()> {
        let until = valid_until(&mut edge);
        let source = edge.source.map_or(Value::Null, |source| String::from(source).into());
        let mut fields = Map::new();
        fields.insert("source".into(), String::from(edge.src).into());
        fields.insert("target".into(), String::from(edge.dst).into());
        fields.insert("key".into(), edge.id.to_string().into());
        fields.insert("type".into(), String::from(edge.relation).into());
        fields.insert("weight".into(), edge.weight.into());
        fields.insert("created_at".into(), time(Some(edge.created_at)));
        fields.insert("valid_from".into(), time(edge.valid_from));
        fields.insert("valid_until".into(), time(until));
        fields.insert("evidence".into(), source);
        flatten(&mut fields, edge.data, &EDGE_KEYS);
        self.element(out, fields)
    }

    fn foot(&mut self, out: &mut Out<'_>) -> Result<()> {
        out.put("\n]\n}\n")
    }
}

impl NodeLink {
    fn element(&mut self, out: &mut Out<'_>, fields: Map<String, Value>) -> Result<()> {
        out.put(if std::mem::replace(&mut self.begun, true) { ",\n" } else { "\n" })?;
        out.json(&Value::Object(fields))
    }
}

/// Puts attributes beside the reserved keys; one that would be taken for another is escaped.
fn flatten(fields: &mut Map<String, Value>, data: Value, reserved: &[&str]) {
    let Value::Object(data) = data else { return };
    for (key, value) in data {
        let key = if reserved.contains(&key.as_str()) || key.starts_with(ESCAPE) {
            format!("{ESCAPE}{key}")
        } else {
            key
        };
        fields.insert(key, value);
    }
}
