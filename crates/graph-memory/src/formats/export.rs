//! Writes a graph to a file, page by page, whatever the form.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;

use hexmem_ports::{
    AsOf, Edge, EdgeFilter, Error, ErrorKind, Limit, Name, Node, NodeFilter, Result, ValidAt,
};
use serde::Serialize;
use serde_json::Value;

use super::Format;
use super::dot::Dot;
use super::graphml::GraphMl;
use super::jsonl::Jsonl;
use super::mcp::Mcp;
use super::node_link::NodeLink;
use super::problem::count;
use crate::GraphMemory;
use crate::identity::fingerprint;

const OPERATION: &str = "graph.export";

/// Rows of one page.
const PAGE: u32 = 1_000;

/// What is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Which facts. `None`: all that are known; for a form that cannot say when a fact holds, those that hold now.
    pub as_of: Option<AsOf>,
}

/// What was written, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// The form.
    pub format: Format,
    /// Nodes.
    pub nodes: u64,
    /// Edges.
    pub edges: u64,
    /// Edges that came to be while the graph was being written, with an end that had not: left out.
    pub left_out: u64,
    /// What the form cannot hold, and how often it was met: empty when the file holds the graph (without earlier
    /// versions, which are in no form).
    pub lost: BTreeMap<&'static str, u64>,
    /// Whether the graph changed meanwhile: each element is as it was when its page was read.
    pub changed_meanwhile: bool,
}

/// Writes the graph to `out`, nodes by id, then edges by id. Memory holds one page, and 16 bytes a node (in
/// [`Format::Mcp`] also 16 an edge).
///
/// Importing a file of a [lossless](Format::is_lossless) form into an empty graph gives an equal one: ids, times and
/// data. What another form cannot hold is counted in [`ExportReport::lost`]. A graph that does not exist is
/// `NotFound`.
pub async fn export_graph(
    memory: &GraphMemory,
    format: Format,
    out: &mut (dyn Write + Send),
    options: &ExportOptions,
) -> Result<ExportReport> {
    let before = memory.existing(OPERATION).await?;
    let mut sheet: Box<dyn Sheet> = match format {
        Format::NodeLink => Box::new(NodeLink::default()),
        Format::Jsonl => Box::new(Jsonl),
        Format::Mcp => Box::new(Mcp::default()),
        Format::Graphml => Box::new(GraphMl::default()),
        Format::Dot => Box::new(Dot::new(memory.graph().name.as_str())),
    };
    let as_of = options.as_of.unwrap_or(format.default_as_of());
    let mut out = Out { out, lost: BTreeMap::new(), left: false };
    if sheet.surveys() {
        let mut pages = Pages::new(memory, as_of)?;
        while let Some(nodes) = pages.nodes().await? {
            nodes.iter().for_each(|node| sheet.survey(&node.data, Part::Node));
        }
        while let Some(edges) = pages.edges().await? {
            edges.iter().for_each(|edge| sheet.survey(&edge.data, Part::Edge));
        }
    }
    let mut pages = Pages::new(memory, as_of)?;
    let mut written: HashSet<u128> = HashSet::new();
    let mark = |id: &Name| fingerprint(&[id.as_str().as_bytes()]);
    let (mut nodes, mut edges, mut left_out) = (0, 0, 0);
    sheet.head(&mut out)?;
    while let Some(page) = pages.nodes().await? {
        for node in page {
            written.insert(mark(&node.id));
            sheet.node(&mut out, node)?;
            nodes += 1;
        }
    }
    sheet.between(&mut out)?;
    while let Some(page) = pages.edges().await? {
        for edge in page {
            if !written.contains(&mark(&edge.src)) || !written.contains(&mark(&edge.dst)) {
                left_out += 1;
                continue;
            }
            sheet.edge(&mut out, edge)?;
            edges += u64::from(!std::mem::take(&mut out.left));
        }
    }
    sheet.foot(&mut out)?;
    out.out.flush().map_err(unwritable)?;
    let mut lost = out.lost;
    if options.as_of.is_none() && as_of.valid == ValidAt::Now {
        let all = memory.stats(AsOf::ALL).await?.edges;
        let now = memory.stats(as_of).await?.edges;
        if all > now {
            lost.insert("edges that do not hold now", all - now);
        }
    }
    let after = memory.head().await?;
    let changed_meanwhile = after.is_none_or(|after| after.revision != before.revision);
    Ok(ExportReport { format, nodes, edges, left_out, lost, changed_meanwhile })
}

/// A form being written.
pub(super) trait Sheet: Send {
    /// Whether every element is looked at before the first is written.
    fn surveys(&self) -> bool {
        false
    }

    /// Looks at attributes.
    fn survey(&mut self, _data: &Value, _of: Part) {}

    fn head(&mut self, _out: &mut Out<'_>) -> Result<()> {
        Ok(())
    }

    fn node(&mut self, out: &mut Out<'_>, node: Node) -> Result<()>;

    fn between(&mut self, _out: &mut Out<'_>) -> Result<()> {
        Ok(())
    }

    fn edge(&mut self, out: &mut Out<'_>, edge: Edge) -> Result<()>;

    fn foot(&mut self, _out: &mut Out<'_>) -> Result<()> {
        Ok(())
    }
}

/// What attributes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Node,
    Edge,
}

/// Where a form is written, and what it lost.
pub(super) struct Out<'a> {
    out: &'a mut (dyn Write + Send),
    lost: BTreeMap<&'static str, u64>,
    left: bool,
}

impl Out<'_> {
    pub(super) fn put(&mut self, text: &str) -> Result<()> {
        self.out.write_all(text.as_bytes()).map_err(unwritable)
    }

    pub(super) fn json(&mut self, value: &Value) -> Result<()> {
        let text = serde_json::to_vec(value).map_err(|error| {
            Error::new(ErrorKind::Internal, OPERATION, "an element cannot be written as JSON")
                .caused_by(error)
        })?;
        self.out.write_all(&text).map_err(unwritable)
    }

    pub(super) fn json_line(&mut self, value: &Value) -> Result<()> {
        self.json(value)?;
        self.put("\n")
    }

    /// Counts what the form cannot hold.
    pub(super) fn lose(&mut self, what: &'static str, times: usize) {
        if times > 0 {
            *self.lost.entry(what).or_insert(0) += count(times);
        }
    }

    /// Counts an edge that the form cannot hold at all: it was not written.
    pub(super) fn leave_out(&mut self, why: &'static str) {
        self.lose(why, 1);
        self.left = true;
    }
}

fn unwritable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, OPERATION, "the file cannot be written").caused_by(error)
}

/// The pages of a graph: its nodes, then its edges, or its edges alone.
pub(crate) struct Pages<'a> {
    memory: &'a GraphMemory,
    as_of: AsOf,
    limit: Limit,
    nodes: NodeFilter,
    edges: EdgeFilter,
    cursor: Option<hexmem_ports::Cursor>,
    over: bool,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(memory: &'a GraphMemory, as_of: AsOf) -> Result<Self> {
        Ok(Self {
            memory,
            as_of,
            limit: Limit::new(PAGE)?,
            nodes: NodeFilter::default(),
            edges: EdgeFilter::default(),
            cursor: None,
            over: false,
        })
    }

    /// The next page of nodes; after the last, `None` once, and then edges may be asked for.
    pub(crate) async fn nodes(&mut self) -> Result<Option<Vec<Node>>> {
        if std::mem::take(&mut self.over) {
            return Ok(None);
        }
        let (store, graph) = (&self.memory.store, &self.memory.graph);
        let cursor = self.cursor.take();
        let page = store.find_nodes(graph, &self.nodes, self.as_of, cursor, self.limit).await?;
        self.over = page.next.is_none();
        self.cursor = page.next;
        Ok(Some(page.items))
    }

    /// The next page of edges; after the last, `None` once.
    pub(crate) async fn edges(&mut self) -> Result<Option<Vec<Edge>>> {
        if std::mem::take(&mut self.over) {
            return Ok(None);
        }
        let (store, graph) = (&self.memory.store, &self.memory.graph);
        let cursor = self.cursor.take();
        let page = store.find_edges(graph, &self.edges, self.as_of, cursor, self.limit).await?;
        self.over = page.next.is_none();
        self.cursor = page.next;
        Ok(Some(page.items))
    }
}
