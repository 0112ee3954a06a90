//! A graph as one HTML page to look at: no network, no other file.
//!
//! The page draws the graph with a small force layout of its own, finds nodes as one types, shows what a node or edge
//! says and what is around it, and has a slider over valid time. It is written from the templates beside this file;
//! what comes from the graph lies in one block of JSON in which no `<` stands, and the page puts it up as text only.

mod pick;

use std::io::Write;

use hexmem_ports::{Edge, Error, ErrorKind, Name, Node, Result, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::GraphMemory;

const OPERATION: &str = "graph.view";

/// The most nodes one page takes.
pub const VIEW_NODES: u32 = 10_000;

/// The most edges one page takes.
const VIEW_EDGES: usize = 30_000;

/// So much text of one element's attributes is put into the page, in bytes.
const DATA: usize = 4_096;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: [&str; 4] = [
    include_str!("layout.js"),
    include_str!("draw.js"),
    include_str!("panel.js"),
    include_str!("main.js"),
];

/// Which part of a graph is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewOptions {
    /// What was known at this time; `None`: now. Facts of all valid times are drawn: the page has a slider.
    pub known: Option<Timestamp>,
    /// Draw what lies around these nodes; none: the whole graph, or its best-connected nodes.
    pub around: Vec<Name>,
    /// So many edges away from them, at most 32.
    pub hops: u32,
    /// At most this many nodes, 1 to [`VIEW_NODES`].
    pub nodes: u32,
}

impl Default for ViewOptions {
    /// The whole graph, 2,000 nodes of it at most.
    fn default() -> Self {
        Self { known: None, around: Vec::new(), hops: 2, nodes: 2_000 }
    }
}

/// What is drawn and what is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ViewReport {
    /// Nodes drawn.
    pub nodes: u64,
    /// Edges drawn.
    pub edges: u64,
    /// Nodes of the graph that are not drawn.
    pub nodes_left_out: u64,
    /// Edges that are not drawn though both their ends are: there were more than 30,000.
    pub edges_left_out: u64,
    /// Elements of whose attributes the page has the first 4 KiB.
    pub shortened: u64,
}

/// Writes the page. A graph that does not exist is `NotFound`, as is one of `around`; limits that are broken are
/// `Invalid`. Memory holds what is drawn, and for a graph with more nodes 32 bytes for each of them.
pub async fn view_graph(
    memory: &GraphMemory,
    out: &mut (dyn Write + Send),
    options: &ViewOptions,
) -> Result<ViewReport> {
    memory.existing(OPERATION).await?;
    if !(1..=VIEW_NODES).contains(&options.nodes) {
        return Err(Error::invalid(OPERATION, format!("a page takes 1 to {VIEW_NODES} nodes")));
    }
    let picked = pick::pick(memory, options).await?;
    let mut report = ViewReport {
        nodes: size(picked.nodes.len()),
        edges: size(picked.edges.len()),
        nodes_left_out: picked.nodes_left_out,
        edges_left_out: picked.edges_left_out,
        shortened: 0,
    };
    let data = document(memory, picked, options, &mut report);
    let text = serde_json::to_string(&data).map_err(|error| {
        Error::new(ErrorKind::Internal, OPERATION, "the graph cannot be written as JSON")
            .caused_by(error)
    })?;
    // No end tag and no comment can stand in the data.
    let text = text.replace('<', "\\u003c");
    let title = markup(&format!("{} - hexmem", memory.graph().name));
    fill(
        out,
        &[("title", &title), ("style", STYLE), ("script", &SCRIPT.concat()), ("data", &text)],
    )
    .and_then(|()| out.flush())
    .map_err(|error| {
        Error::new(ErrorKind::Unavailable, OPERATION, "the file cannot be written").caused_by(error)
    })?;
    Ok(report)
}

/// Writes the template with each `{{name}}` replaced, once: what is put in is not looked at again.
fn fill(out: &mut (dyn Write + Send), parts: &[(&str, &str)]) -> std::io::Result<()> {
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        out.write_all(before.as_bytes())?;
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        let part = parts.iter().find(|(key, _)| *key == name).map_or("", |(_, part)| part);
        out.write_all(part.as_bytes())?;
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

/// The data of the page. Nodes: id, type, created, attributes. Edges: from, relation, to, weight, created, valid from,
/// valid until, source, attributes. Types, relations and nodes by their index; times in milliseconds.
fn document(
    memory: &GraphMemory,
    picked: pick::Picked,
    options: &ViewOptions,
    report: &mut ViewReport,
) -> Value {
    let mut types = Words::default();
    let mut relations = Words::default();
    let mut places = std::collections::HashMap::new();
    let mut nodes = Vec::with_capacity(picked.nodes.len());
    for (place, Node { id, kind, created_at, data, .. }) in picked.nodes.into_iter().enumerate() {
        let data = short(data, report);
        nodes.push(json!([id, types.place(kind.as_str()), millis(created_at), data]));
        places.insert(id, place);
    }
    let mut edges = Vec::with_capacity(picked.edges.len());
    for edge in picked.edges {
        let (Some(src), Some(dst)) = (places.get(&edge.src), places.get(&edge.dst)) else {
            continue;
        };
        let Edge { relation, weight, created_at, valid_from, valid_until, source, data, .. } = edge;
        let data = short(data, report);
        edges.push(json!([
            src,
            relations.place(relation.as_str()),
            dst,
            weight,
            millis(created_at),
            valid_from.map(millis),
            valid_until.map(millis),
            source,
            data
        ]));
    }
    json!({
        "graph": memory.graph().name,
        "made": millis(options.known.unwrap_or_else(|| memory.now())),
        "left": left(options, report),
        "types": types.words,
        "relations": relations.words,
        "nodes": nodes,
        "edges": edges,
    })
}

/// What is not drawn, in sentences.
fn left(options: &ViewOptions, report: &ViewReport) -> Vec<String> {
    let mut said = Vec::new();
    if !options.around.is_empty() {
        let around: Vec<&str> = options.around.iter().map(Name::as_str).collect();
        said.push(format!(
            "Within {} of {}.",
            plural(options.hops.into(), "edge"),
            around.join(", ")
        ));
    }
    if report.nodes_left_out > 0 {
        let kept = if options.around.is_empty() {
            "the best connected are drawn"
        } else {
            "the nearest are drawn"
        };
        let left = plural(report.nodes_left_out, "node");
        said.push(format!("{left} left out: {kept}."));
    }
    if report.edges_left_out > 0 {
        said.push(format!("{} left out.", plural(report.edges_left_out, "edge")));
    }
    if report.shortened > 0 {
        let many = plural(report.shortened, "element");
        said.push(format!("Long attributes of {many} are shortened."));
    }
    said
}

fn plural(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// Attributes with what is over the limit cut off.
fn short(data: Value, report: &mut ViewReport) -> Value {
    let Value::Object(fields) = data else { return json!({}) };
    let mut left = DATA;
    let mut kept = Map::new();
    let mut cut = false;
    for (key, value) in fields {
        let value = match value {
            Value::String(text) if text.len() > left => {
                cut = true;
                let end = text.floor_char_boundary(left);
                Value::String(format!("{}\u{2026}", &text[..end]))
            }
            other => other,
        };
        let long = key.len() + value.to_string().len();
        if !matches!(value, Value::String(_)) && long > left || left == 0 {
            cut = true;
            continue;
        }
        left = left.saturating_sub(long);
        kept.insert(key, value);
    }
    report.shortened += u64::from(cut);
    Value::Object(kept)
}

fn millis(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(1_000)
}

fn size(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Words by the order in which they came.
#[derive(Default)]
struct Words {
    words: Vec<String>,
    places: std::collections::HashMap<String, usize>,
}

impl Words {
    fn place(&mut self, word: &str) -> usize {
        if let Some(place) = self.places.get(word) {
            return *place;
        }
        self.places.insert(word.to_owned(), self.words.len());
        self.words.push(word.to_owned());
        self.words.len() - 1
    }
}
