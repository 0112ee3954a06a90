//! Writes a graph as node-link JSON, page by page.

use std::collections::HashSet;
use std::io::Write;

use hexmem_ports::{
    AsOf, Edge, EdgeFilter, Error, ErrorKind, Limit, Name, Node, NodeFilter, Result, Timestamp,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{EDGE_KEYS, ESCAPE, FORM, MARK, NODE_KEYS, WITHDRAWN, WITHDRAWN_AT};
use crate::GraphMemory;
use crate::identity::fingerprint;

const OPERATION: &str = "graph.export";

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportOptions {
    /// Which facts; all that are known by default.
    pub as_of: AsOf,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { as_of: AsOf::ALL }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// Nodes.
    pub nodes: u64,
    /// Edges.
    pub edges: u64,
    /// Edges that came to be while the graph was being written, with an end that had not: left out.
    pub left_out: u64,
    /// Whether the graph changed meanwhile: each element is as it was when its page was read.
    pub changed_meanwhile: bool,
}

/// Writes the graph to `out` in the form that the module describes, nodes by id, edges by id. Importing it into
/// an empty graph gives an equal one: ids, times and data. History is not in this form. Memory holds one page,
/// and 16 bytes a node.
pub async fn export_node_link(
    memory: &GraphMemory,
    out: &mut (dyn Write + Send),
    options: &ExportOptions,
) -> Result<ExportReport> {
    let before = memory.existing(OPERATION).await?;
    let mut report = ExportReport { nodes: 0, edges: 0, left_out: 0, changed_meanwhile: false };
    let limit = Limit::new(1_000)?;
    let (nodes, edges) = (NodeFilter::default(), EdgeFilter::default());
    let mut written: HashSet<u128> = HashSet::new();

    let head = format!(
        "{{\n\"directed\": true,\n\"multigraph\": true,\n\"graph\": {{\"{MARK}\": {{\"form\": {FORM}}}}},\n\"nodes\": ["
    );
    put(out, head.as_bytes())?;
    let mut cursor = None;
    loop {
        let page =
            memory.store.find_nodes(&memory.graph, &nodes, options.as_of, cursor, limit).await?;
        for node in page.items {
            written.insert(fingerprint(&[node.id.as_str().as_bytes()]));
            line(out, report.nodes, node_object(node))?;
            report.nodes += 1;
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    put(out, b"\n],\n\"links\": [")?;
    loop {
        let page =
            memory.store.find_edges(&memory.graph, &edges, options.as_of, cursor, limit).await?;
        for edge in page.items {
            let there = |end: &Name| written.contains(&fingerprint(&[end.as_str().as_bytes()]));
            if there(&edge.src) && there(&edge.dst) {
                line(out, report.edges, edge_object(edge))?;
                report.edges += 1;
            } else {
                report.left_out += 1;
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    put(out, b"\n]\n}\n")?;
    out.flush().map_err(unwritable)?;
    let after = memory.head().await?;
    report.changed_meanwhile = after.is_none_or(|after| after.revision != before.revision);
    Ok(report)
}

fn put(out: &mut (dyn Write + Send), bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(unwritable)
}

/// One element on a line of its own, so that line tools and version control see elements.
fn line(out: &mut (dyn Write + Send), before: u64, fields: Map<String, Value>) -> Result<()> {
    put(out, if before == 0 { b"\n" } else { b",\n" })?;
    let text = serde_json::to_vec(&Value::Object(fields)).map_err(|error| {
        Error::new(ErrorKind::Internal, OPERATION, "an element cannot be written as JSON")
            .caused_by(error)
    })?;
    put(out, &text)
}

fn unwritable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, OPERATION, "the file cannot be written").caused_by(error)
}

fn node_object(node: Node) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("id".into(), String::from(node.id).into());
    fields.insert("type".into(), String::from(node.kind).into());
    fields.insert("created_at".into(), time(Some(node.created_at)));
    flatten(&mut fields, node.data, &NODE_KEYS);
    fields
}

fn edge_object(mut edge: Edge) -> Map<String, Value> {
    let mut fields = Map::new();
    let withdrawn = withdrawn_at(&edge);
    if let (Some(_), Some(data)) = (withdrawn, edge.data.as_object_mut()) {
        data.shift_remove(WITHDRAWN_AT);
    }
    fields.insert("source".into(), String::from(edge.src).into());
    fields.insert("target".into(), String::from(edge.dst).into());
    fields.insert("key".into(), edge.id.to_string().into());
    fields.insert("type".into(), String::from(edge.relation).into());
    fields.insert("weight".into(), edge.weight.into());
    fields.insert("created_at".into(), time(Some(edge.created_at)));
    fields.insert("valid_from".into(), time(edge.valid_from));
    fields.insert("valid_until".into(), time(withdrawn.or(edge.valid_until)));
    fields.insert("evidence".into(), edge.source.map_or(Value::Null, |s| String::from(s).into()));
    flatten(&mut fields, edge.data, &EDGE_KEYS);
    fields
}

/// When a fact that never held was withdrawn: the instant that the import kept. Its file said it in `valid_until`,
/// and says it there again.
fn withdrawn_at(edge: &Edge) -> Option<Timestamp> {
    let from = edge.valid_from.filter(|from| edge.valid_until == Some(*from))?;
    let marked = edge.data.get(WITHDRAWN) == Some(&Value::Bool(true));
    let text = edge.data.get(WITHDRAWN_AT).filter(|_| marked)?.as_str()?;
    let at = Timestamp::parse(text).ok()?;
    (at < from && at.to_string() == text).then_some(at)
}

fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| at.to_string().into())
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
