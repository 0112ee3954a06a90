//! Reads a file into a graph, whatever its form: checks the whole file, then writes it in batches.

use std::io::{Read, Seek, SeekFrom};
use std::task::Poll;

use hexmem_ports::{
    AsOf, Error, ErrorKind, GraphBatch, GraphChange, NodeDraft, OpId, Result, Revision,
};
use serde::Serialize;
use uuid::Uuid;

use super::json::fields;
use super::jsonl::Line;
use super::lines::Lines;
use super::node_link::{Header, Scanner, Writer};
use super::parts::{EdgeParts, NodeParts, RawEdge, Rules, Tally};
use super::problem::{Element, Fault, IMPORT, Problem, count};
use super::seen::{Edges, Nodes, Once};
use super::{Format, jsonl, mcp};
use crate::GraphMemory;

/// Changes of one batch.
const BATCH: usize = 5_000;

/// Text of one batch's elements, in bytes: large attributes make smaller batches.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// How many problems a report lists; the rest is counted.
const LISTED: usize = 100;

/// What becomes of elements that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadItems {
    /// One of them refuses the file: nothing is imported.
    #[default]
    Refuse,
    /// They are left out, counted and listed.
    Skip,
}

/// How a file is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportOptions {
    /// What becomes of elements that cannot be taken.
    pub bad: BadItems,
    /// Minutes east of UTC of times without an offset.
    pub naive_offset: i32,
    /// The key of the import: a repeat with the same one writes no batch twice. `None`: a fresh one, and then a
    /// repeat puts the same elements again, which changes only what was changed since.
    pub run: Option<Uuid>,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes passed, over the two readings for checking and the two for writing.
    pub passed: u64,
    /// Bytes to pass.
    pub total: u64,
    /// Nodes and edges that are in the graph by now.
    pub written: u64,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportReport {
    /// The form that was read.
    pub format: Format,
    /// Nodes written.
    pub nodes: u64,
    /// Edges written.
    pub edges: u64,
    /// Elements left out.
    pub skipped: u64,
    /// The first hundred of them.
    pub problems: Vec<Problem>,
    /// Times without an offset.
    pub naive_times: u64,
    /// Times with one.
    pub zoned_times: u64,
    /// Facts that were invalidated before they began: they are there, and hold at no instant.
    pub never_held: u64,
    /// Whether the file says that its edges have a direction.
    pub directed: bool,
    /// The graph's revision with them; `None` when the file has nothing.
    pub revision: Option<Revision>,
}

/// Imports a file of the form `format`. Its elements are put over those of the same id that the graph has, the rest
/// of the graph stays. An edge may lead to a node that only the graph has; that costs a read of the node.
///
/// The whole file is checked before anything is written, so a refused file changes nothing; writing then goes in
/// batches of at most 5,000 elements, each whole or not at all. An import that was interrupted is finished by running
/// it again, and importing a file twice changes nothing the second time. Memory holds one batch, 16 bytes a node and
/// 32 an edge. Reads of `file` block: call it where that may be.
///
/// `Invalid` names the first bad element with its line and column. A file that cannot be cut into elements (cut short
/// in node-link JSON, UTF-16, another form) is `Invalid` whatever the options say, and so is one of which nothing
/// could be taken. A format that is only written is `Unsupported`.
pub async fn import_graph<R: Read + Seek + Send>(
    memory: &GraphMemory,
    format: Format,
    file: &mut R,
    options: &ImportOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ImportReport> {
    if !format.is_read() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            IMPORT,
            format!("{format} is written, not read; export as node-link or jsonl to read it back"),
        ));
    }
    let size = seek(file, SeekFrom::End(0))?;
    let rules = Rules { vocabulary: &memory.vocabulary, naive_offset: options.naive_offset };
    let mut meter = Meter { size, told: 0, written: 0, progress };
    let (checked, met) = check(memory, format, file, &mut meter, rules).await?;
    if checked.skipped > 0 && (options.bad == BadItems::Refuse || checked.taken == 0) {
        return Err(refusal(&checked));
    }
    let run = options.run.unwrap_or_else(Uuid::new_v4);
    let mut batches =
        Batches { memory, run, number: 0, changes: Vec::new(), bytes: 0, revision: None };
    let mut tally = Tally::default();
    let mut nodes = Nodes::beside(met);
    let mut feed = Feed::open(format, file, Want::Nodes)?;
    while let Some(element) = feed.next()? {
        let size = element.text.map_or(0, <[u8]>::len);
        if let Ok(Some(draft)) = checked.node(&element, &rules, &mut tally, &mut nodes) {
            meter.written += batches.put(GraphChange::PutNode(draft), size).await?;
        }
        meter.tell(2, feed.position()).await;
    }
    let mut edges = checked.edges();
    let mut feed = Feed::open(format, file, Want::Edges)?;
    while let Some(element) = feed.next()? {
        let size = element.text.map_or(0, <[u8]>::len);
        let read = checked.edge(&element, &rules, &mut tally);
        if let Ok(Some(raw)) = read
            && let Ok(draft) = edges.enter(raw, &nodes)
        {
            meter.written += batches.put(GraphChange::PutEdge(draft), size).await?;
        }
        meter.tell(3, feed.position()).await;
    }
    batches.flush().await?;
    Ok(ImportReport {
        format,
        nodes: nodes.count,
        edges: edges.count,
        skipped: checked.skipped,
        problems: checked.problems,
        naive_times: tally.naive,
        zoned_times: tally.zoned,
        never_held: tally.withdrawn,
        directed: checked.header.directed.unwrap_or(true),
        revision: batches.revision,
    })
}

/// Which elements a reading is after; the others are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Nodes,
    Edges,
}

/// A file being read from its start.
enum Feed<R> {
    NodeLink(Scanner<R>),
    Lines(Lines<R>),
}

impl<'a, R: Read + Seek> Feed<&'a mut R> {
    fn open(format: Format, file: &'a mut R, want: Want) -> Result<Self> {
        seek(file, SeekFrom::Start(0))?;
        Ok(match format {
            Format::NodeLink => Self::NodeLink(Scanner::new(file, want)),
            _ => Self::Lines(Lines::new(file)),
        })
    }

    fn next(&mut self) -> Result<Option<Element<'_>>> {
        match self {
            Self::NodeLink(scanner) => scanner.next(),
            Self::Lines(lines) => lines.next(),
        }
    }

    fn position(&self) -> u64 {
        match self {
            Self::NodeLink(scanner) => scanner.position(),
            Self::Lines(lines) => lines.position(),
        }
    }
}

/// What the readings for checking found.
struct Checked {
    format: Format,
    header: Header,
    writer: Writer,
    taken: u64,
    skipped: u64,
    problems: Vec<Problem>,
}

impl Checked {
    fn add(&mut self, problem: Problem) {
        self.skipped += 1;
        if self.problems.len() < LISTED {
            self.problems.push(problem);
        }
    }

    /// The node that an element is; `None` when it is an edge.
    fn node(
        &self,
        element: &Element<'_>,
        rules: &Rules<'_>,
        tally: &mut Tally,
        nodes: &mut Nodes,
    ) -> std::result::Result<Option<NodeDraft>, Fault> {
        let Some(parts) = self.node_parts(element)? else { return Ok(None) };
        Ok(Some(nodes.enter(rules.node(parts, tally)?)?))
    }

    fn node_parts(&self, element: &Element<'_>) -> std::result::Result<Option<NodeParts>, Fault> {
        if self.format == Format::NodeLink {
            return fields(element.text).map(|fields| Some(self.writer.node(fields)));
        }
        match self.line(element, Want::Nodes)? {
            Some(Line::Node(parts)) => Ok(Some(*parts)),
            _ => Ok(None),
        }
    }

    /// The edge that an element is; `None` when it is a node, or was found bad with the nodes.
    fn edge(
        &self,
        element: &Element<'_>,
        rules: &Rules<'_>,
        tally: &mut Tally,
    ) -> std::result::Result<Option<RawEdge>, Fault> {
        let Some(parts) = self.edge_parts(element)? else { return Ok(None) };
        Ok(Some(rules.edge(parts, tally)?))
    }

    fn edge_parts(&self, element: &Element<'_>) -> std::result::Result<Option<EdgeParts>, Fault> {
        if self.format == Format::NodeLink {
            return fields(element.text).map(|fields| Some(self.writer.edge(fields)));
        }
        let passed_over = |text| is_plainly_other(self.format, text, Want::Nodes);
        match self.line(element, Want::Edges) {
            Ok(Some(Line::Edge(parts))) => Ok(Some(*parts)),
            // What else is no element was named when nodes were read.
            Err(fault) if element.text.is_some_and(passed_over) => Err(fault),
            _ => Ok(None),
        }
    }

    fn line(&self, element: &Element<'_>, want: Want) -> std::result::Result<Option<Line>, Fault> {
        if element.text.is_some_and(|text| is_plainly_other(self.format, text, want)) {
            return Ok(None);
        }
        let fields = fields(element.text)?;
        let line = if self.format == Format::Mcp { mcp::line } else { jsonl::line };
        line(fields).map(Some)
    }

    fn edges(&self) -> Edges {
        let directed = self.header.directed.unwrap_or(true);
        let once = match (self.format, directed, self.header.multigraph.unwrap_or(false)) {
            (Format::NodeLink, true, false) => Once::Relation,
            (Format::NodeLink, false, false) => Once::UndirectedRelation,
            (Format::NodeLink, true, true) => Once::Key,
            (Format::NodeLink, false, true) => Once::UndirectedKey,
            (Format::Mcp, ..) => Once::Relation,
            _ => Once::Span,
        };
        let ends = match self.format {
            Format::NodeLink => ["source", "target"],
            Format::Mcp => ["from", "to"],
            _ => ["src", "dst"],
        };
        Edges::new(ends, once)
    }
}

/// Whether a line begins like one of the other kind, as our own files, Kagura's and the MCP server's do: then it need
/// not be parsed to be passed over. Its faults are found in the reading that is after it.
fn is_plainly_other(format: Format, text: &[u8], want: Want) -> bool {
    let other = match (format, want) {
        (Format::Mcp, Want::Nodes) => "relation\",",
        (Format::Mcp, Want::Edges) => "entity\",",
        (_, Want::Nodes) => "edge\",",
        (_, Want::Edges) => "node\",",
    };
    [&b"{\"type\":\""[..], b"{\"type\": \""]
        .iter()
        .find_map(|start| text.strip_prefix(*start))
        .is_some_and(|rest| rest.starts_with(other.as_bytes()))
}

async fn check<R: Read + Seek + Send>(
    memory: &GraphMemory,
    format: Format,
    file: &mut R,
    meter: &mut Meter<'_>,
    rules: Rules<'_>,
) -> Result<(Checked, Nodes)> {
    let mut checked = Checked {
        format,
        header: Header::default(),
        // Whether the file is one of ours may stand at its end, and does not matter to what is checked of nodes.
        writer: Writer::Foreign,
        taken: 0,
        skipped: 0,
        problems: Vec::new(),
    };
    let mut tally = Tally::default();
    let mut nodes = Nodes::default();
    let mut feed = Feed::open(format, file, Want::Nodes)?;
    while let Some(element) = feed.next()? {
        if let Err(fault) = checked.node(&element, &rules, &mut tally, &mut nodes) {
            checked.add(Problem::at(element.place, element.text, fault));
        }
        meter.tell(0, feed.position()).await;
    }
    if let Feed::NodeLink(scanner) = &mut feed {
        checked.header = std::mem::take(&mut scanner.header);
    }
    checked.writer = Writer::of(&checked.header).map_err(|what| Error::invalid(IMPORT, what))?;
    let mut edges = checked.edges();
    let mut feed = Feed::open(format, file, Want::Edges)?;
    while let Some(element) = feed.next()? {
        let read = checked.edge(&element, &rules, &mut tally);
        let entered = match read {
            Ok(Some(raw)) => {
                look_for_ends(memory, &raw, &mut nodes).await?;
                edges.enter(raw, &nodes).map(|_| ()).map_err(Fault::from)
            }
            Ok(None) => Ok(()),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = entered {
            checked.add(Problem::at(element.place, element.text, fault));
        }
        meter.tell(1, feed.position()).await;
    }
    checked.taken = nodes.count + edges.count;
    checked.problems.sort_by_key(|problem| problem.byte);
    Ok((checked, nodes))
}

/// Notes the ends of an edge that the graph has and the file does not.
async fn look_for_ends(memory: &GraphMemory, edge: &RawEdge, nodes: &mut Nodes) -> Result<()> {
    for end in [&edge.draft.src, &edge.draft.dst] {
        if !nodes.has(end) && memory.node(end, AsOf::default()).await?.is_some() {
            nodes.found(end);
        }
    }
    Ok(())
}

fn refusal(checked: &Checked) -> Error {
    let Some(first) = checked.problems.first() else {
        return Error::new(ErrorKind::Internal, IMPORT, "a file was refused for no reason");
    };
    let more = match checked.skipped - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Error::invalid(
        IMPORT,
        format!(
            "{}{}{more}; nothing was imported: correct the file{}",
            first.element(),
            first.what,
            if checked.taken == 0 { "" } else { ", or skip bad items" },
        ),
    )
    .with("line", first.line)
    .with("column", first.column)
    .with("byte", first.byte)
}

fn seek<R: Seek>(file: &mut R, to: SeekFrom) -> Result<u64> {
    file.seek(to).map_err(|error| {
        Error::new(ErrorKind::Unavailable, IMPORT, "the file cannot be read from its start again")
            .caused_by(error)
    })
}

/// Tells how far the import is.
struct Meter<'a> {
    size: u64,
    told: u64,
    written: u64,
    progress: &'a mut (dyn FnMut(Progress) + Send),
}

impl Meter<'_> {
    /// `at` bytes into reading `reading`, from 0. Told once a mebibyte; then others get to run, so that a caller who
    /// gives up on the import is heard while it reads.
    async fn tell(&mut self, reading: u64, at: u64) {
        let passed = self.size.saturating_mul(reading).saturating_add(at);
        if passed.saturating_sub(self.told) < 1 << 20 {
            return;
        }
        self.told = passed;
        let total = self.size.saturating_mul(4);
        (self.progress)(Progress { passed, total, written: self.written });
        let mut yielded = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Collects changes and applies them in batches.
struct Batches<'a> {
    memory: &'a GraphMemory,
    run: Uuid,
    number: u64,
    changes: Vec<GraphChange>,
    bytes: usize,
    revision: Option<Revision>,
}

impl Batches<'_> {
    /// Takes a change, and gives how many were applied by that.
    async fn put(&mut self, change: GraphChange, bytes: usize) -> Result<u64> {
        self.changes.push(change);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.changes.len() >= BATCH || self.bytes >= BATCH_BYTES {
            return self.flush().await;
        }
        Ok(0)
    }

    async fn flush(&mut self) -> Result<u64> {
        if self.changes.is_empty() {
            return Ok(0);
        }
        let id = OpId(Uuid::new_v5(&self.run, &self.number.to_be_bytes()));
        let changes = std::mem::take(&mut self.changes);
        let written = count(changes.len());
        let batch = GraphBatch { id, changes, effects: Vec::new() };
        let applied = self.memory.apply(batch).await?;
        self.number += 1;
        self.bytes = 0;
        self.revision = Some(applied.revision);
        Ok(written)
    }
}
