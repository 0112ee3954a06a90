//! A graph as one file of NetworkX node-link JSON.
//!
//! `nodes` and `links` are the current ones; the attributes of a graph have our own under `hexmem`: where the graph
//! stands, its past, its log. `source`, `target` and `key` of a link are NetworkX's, so provenance is `evidence`.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use hexmem_ports::rules::graph::{GraphLife, GraphState, LogEntry};
use hexmem_ports::{
    Applied, Edge, EdgeId, Error, ErrorKind, GraphId, Name, Node, OpId, Result, Revision, Tenant,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The form that this program reads and writes.
const FORM: u32 = 1;

/// What a snapshot holds beside the graph.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) state: GraphState,
    /// The last journal entry that is in it.
    pub(crate) entry: u64,
    pub(crate) last_effects: Option<OpId>,
}

#[derive(Serialize, Deserialize)]
struct File {
    directed: bool,
    multigraph: bool,
    graph: Attributes,
    nodes: Vec<NodeLine>,
    #[serde(alias = "edges")]
    links: Vec<EdgeLine>,
}

#[derive(Serialize, Deserialize)]
struct Attributes {
    hexmem: Bookkeeping,
}

#[derive(Serialize, Deserialize)]
struct Bookkeeping {
    form: u32,
    tenant: Tenant,
    name: Name,
    entry: u64,
    last_effects: Option<OpId>,
    life: GraphLife,
    batches: Vec<(OpId, Applied)>,
    log: Vec<LogEntry>,
    past_nodes: Vec<NodeLine>,
    past_edges: Vec<EdgeLine>,
}

#[derive(Serialize, Deserialize)]
struct NodeLine {
    id: Name,
    #[serde(rename = "type")]
    kind: Name,
    data: Value,
    created_at: Timestamp,
    recorded_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    superseded_at: Option<Timestamp>,
    version: u64,
    revision: Revision,
}

#[derive(Serialize, Deserialize)]
struct EdgeLine {
    source: Name,
    target: Name,
    key: EdgeId,
    #[serde(rename = "type")]
    relation: Name,
    weight: f64,
    valid_from: Option<Timestamp>,
    valid_until: Option<Timestamp>,
    evidence: Option<Name>,
    data: Value,
    created_at: Timestamp,
    recorded_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    superseded_at: Option<Timestamp>,
    version: u64,
    revision: Revision,
}

impl From<(Revision, &Node)> for NodeLine {
    fn from((revision, node): (Revision, &Node)) -> Self {
        let Node { id, kind, data, created_at, recorded_at, superseded_at, version } = node.clone();
        Self { id, kind, data, created_at, recorded_at, superseded_at, version, revision }
    }
}

impl From<NodeLine> for (Revision, Node) {
    fn from(line: NodeLine) -> Self {
        let NodeLine { id, kind, data, created_at, recorded_at, superseded_at, version, revision } =
            line;
        (revision, Node { id, kind, data, created_at, recorded_at, superseded_at, version })
    }
}

impl From<(Revision, &Edge)> for EdgeLine {
    fn from((revision, edge): (Revision, &Edge)) -> Self {
        let edge = edge.clone();
        Self {
            source: edge.src,
            target: edge.dst,
            key: edge.id,
            relation: edge.relation,
            weight: edge.weight,
            valid_from: edge.valid_from,
            valid_until: edge.valid_until,
            evidence: edge.source,
            data: edge.data,
            created_at: edge.created_at,
            recorded_at: edge.recorded_at,
            superseded_at: edge.superseded_at,
            version: edge.version,
            revision,
        }
    }
}

impl From<EdgeLine> for (Revision, Edge) {
    fn from(line: EdgeLine) -> Self {
        let edge = Edge {
            id: line.key,
            src: line.source,
            relation: line.relation,
            dst: line.target,
            weight: line.weight,
            valid_from: line.valid_from,
            valid_until: line.valid_until,
            source: line.evidence,
            data: line.data,
            created_at: line.created_at,
            recorded_at: line.recorded_at,
            superseded_at: line.superseded_at,
            version: line.version,
        };
        (line.revision, edge)
    }
}

/// Writes the snapshot element by element: memory does not grow with the graph.
pub(crate) fn write(
    out: &mut dyn Write,
    graph: &GraphId,
    state: &GraphState,
    entry: u64,
    last_effects: Option<OpId>,
) -> io::Result<()> {
    let (life, log, batches) = state.bookkeeping();
    out.write_all(b"{\"directed\": true, \"multigraph\": true, \"graph\": {\"hexmem\": {\n")?;
    field(out, "form", &FORM)?;
    field(out, "tenant", &graph.tenant)?;
    field(out, "name", &graph.name)?;
    field(out, "entry", &entry)?;
    field(out, "last_effects", &last_effects)?;
    field(out, "life", &life)?;
    list(out, "batches", batches.iter())?;
    out.write_all(b",\n")?;
    list(out, "log", log)?;
    out.write_all(b",\n")?;
    let nodes = || state.all_nodes().filter(|(_, node)| node.superseded_at.is_none());
    let edges = || state.all_edges().filter(|(_, edge)| edge.superseded_at.is_none());
    let past_nodes = state.all_nodes().filter(|(_, node)| node.superseded_at.is_some());
    let past_edges = state.all_edges().filter(|(_, edge)| edge.superseded_at.is_some());
    list(out, "past_nodes", past_nodes.map(NodeLine::from))?;
    out.write_all(b",\n")?;
    list(out, "past_edges", past_edges.map(EdgeLine::from))?;
    out.write_all(b"}},\n")?;
    list(out, "nodes", nodes().map(NodeLine::from))?;
    out.write_all(b",\n")?;
    list(out, "links", edges().map(EdgeLine::from))?;
    out.write_all(b"}\n")
}

fn field<T: Serialize>(out: &mut dyn Write, name: &str, value: &T) -> io::Result<()> {
    write!(out, "\"{name}\": ")?;
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b",\n")
}

fn list<T: Serialize>(
    out: &mut dyn Write,
    name: &str,
    items: impl Iterator<Item = T>,
) -> io::Result<()> {
    write!(out, "\"{name}\": [")?;
    for (place, item) in items.enumerate() {
        out.write_all(if place == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, &item)?;
    }
    out.write_all(b"]")
}

/// Reads a snapshot of `graph`. What is not one is refused, with the place, and left as it is.
pub(crate) fn read(
    operation: &'static str,
    path: &Path,
    graph: &GraphId,
    bytes: &[u8],
) -> Result<Loaded> {
    let file: File =
        serde_json::from_slice(bytes).map_err(|e| unreadable(operation, path, bytes, e))?;
    let Attributes { hexmem: book } = file.graph;
    if book.form > FORM {
        return Err(newer(operation, path, book.form));
    }
    if book.tenant != graph.tenant || book.name != graph.name {
        return Err(Error::corrupt(
            operation,
            "the snapshot is of another graph; it was left untouched: give it its own name back",
        )
        .with("file", path.display())
        .with("holds", format!("{}/{}", book.tenant, book.name))
        .with("graph", graph));
    }
    let nodes = book.past_nodes.into_iter().chain(file.nodes).map(Into::into).collect();
    let edges = book.past_edges.into_iter().chain(file.links).map(Into::into).collect();
    let batches: HashMap<OpId, Applied> = book.batches.into_iter().collect();
    let state = GraphState::assemble(book.life, book.log, batches, nodes, edges)
        .map_err(|e| e.with("file", path.display()))?;
    Ok(Loaded { state, entry: book.entry, last_effects: book.last_effects })
}

fn newer(operation: &'static str, path: &Path, form: u32) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        operation,
        format!("the snapshot has form {form}, this program reads up to {FORM}: use the newer hexmem that wrote it"),
    )
    .with("file", path.display())
}

fn unreadable(
    operation: &'static str,
    path: &Path,
    bytes: &[u8],
    error: serde_json::Error,
) -> Error {
    // A newer form need not parse as this one: its number alone is looked for.
    #[derive(Deserialize)]
    struct Form {
        form: u32,
    }
    #[derive(Deserialize)]
    struct Ours {
        hexmem: Form,
    }
    #[derive(Deserialize)]
    struct Probe {
        graph: Ours,
    }
    if let Ok(probe) = serde_json::from_slice::<Probe>(bytes)
        && probe.graph.hexmem.form > FORM
    {
        return newer(operation, path, probe.graph.hexmem.form);
    }
    Error::corrupt(
        operation,
        "the snapshot is cut short, damaged or another program's; it was left untouched: restore a backup, or import \
         a foreign file into a graph of another name",
    )
    .with("file", path.display())
    .with("line", error.line())
    .with("column", error.column())
    .caused_by(error)
}
