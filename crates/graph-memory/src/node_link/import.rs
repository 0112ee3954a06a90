//! Reads node-link JSON into a graph: checks the whole file, then writes it in batches.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek, SeekFrom};

use hexmem_ports::{
    EdgeDraft, EdgeId, Error, ErrorKind, GraphBatch, GraphChange, OpId, Result, Revision,
};
use serde::Serialize;
use uuid::Uuid;

use super::element::{Problem, RawEdge, Reading, Tally, Writer, fields, writer_of};
use super::scan::{Header, Scanner, Want};
use crate::GraphMemory;
use crate::identity::{fact_id, fingerprint};

const OPERATION: &str = "graph.import";

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
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportReport {
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

/// Imports a file. Its elements are put over those of the same id that the graph has, the rest of the graph stays.
///
/// The whole file is checked before anything is written, so a refused file changes nothing; writing then goes in
/// batches of at most 5,000 elements. An import that was interrupted is finished by running it again. Memory
/// holds one batch, 16 bytes a node and 20 an edge. Reads of `file` block: call it where that may be.
///
/// `Invalid` names the first bad element with its line; a file that is cut short or no node-link JSON is `Invalid`
/// whatever the options say.
pub async fn import_node_link<R: Read + Seek + Send>(
    memory: &GraphMemory,
    file: &mut R,
    options: &ImportOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ImportReport> {
    let size = seek(file, SeekFrom::End(0))?;
    let mut meter = Meter { size, told: 0, progress };
    let checked = check(memory, file, &mut meter, options)?;
    if checked.skipped > 0 && options.bad == BadItems::Refuse {
        return Err(refusal(&checked));
    }
    let run = options.run.unwrap_or_else(Uuid::new_v4);
    let mut batches =
        Batches { memory, run, number: 0, changes: Vec::new(), bytes: 0, revision: None };
    let reading = checked.reading(memory, options);
    let mut tally = Tally::default();
    let mut nodes = Nodes::default();
    let mut scanner = scan(file, Want::Nodes)?;
    while let Some(element) = scanner.next()? {
        let size = element.text.map_or(0, <[u8]>::len);
        let read = fields(element.text).and_then(|fields| reading.node(fields, &mut tally));
        if let Ok(draft) = read.and_then(|draft| nodes.enter(draft)) {
            batches.put(GraphChange::PutNode(draft), size).await?;
        }
        meter.tell(2, scanner.position());
    }
    let mut edges = Edges::new(&checked.header);
    let mut scanner = scan(file, Want::Edges)?;
    while let Some(element) = scanner.next()? {
        let size = element.text.map_or(0, <[u8]>::len);
        let read = fields(element.text).and_then(|fields| reading.edge(fields, &mut tally));
        if let Ok(draft) = read.and_then(|edge| edges.enter(edge, &nodes)) {
            batches.put(GraphChange::PutEdge(draft), size).await?;
        }
        meter.tell(3, scanner.position());
    }
    batches.flush().await?;
    Ok(ImportReport {
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

/// What the readings for checking found.
struct Checked {
    header: Header,
    writer: Writer,
    skipped: u64,
    problems: Vec<Problem>,
}

impl Checked {
    fn reading<'a>(&self, memory: &'a GraphMemory, options: &ImportOptions) -> Reading<'a> {
        Reading {
            writer: self.writer,
            vocabulary: &memory.vocabulary,
            naive_offset: options.naive_offset,
        }
    }

    fn add(&mut self, problem: Problem) {
        self.skipped += 1;
        if self.problems.len() < LISTED {
            self.problems.push(problem);
        }
    }
}

fn check<R: Read + Seek>(
    memory: &GraphMemory,
    file: &mut R,
    meter: &mut Meter<'_>,
    options: &ImportOptions,
) -> Result<Checked> {
    let mut checked = Checked {
        header: Header::default(),
        writer: Writer::Foreign,
        skipped: 0,
        problems: Vec::new(),
    };
    let mut tally = Tally::default();
    let mut nodes = Nodes::default();
    // Whether the file is one of ours may stand at its end, and does not matter to what is checked of nodes.
    let reading = checked.reading(memory, options);
    let mut scanner = scan(file, Want::Nodes)?;
    while let Some(element) = scanner.next()? {
        let place = element.place;
        let read = fields(element.text).and_then(|fields| reading.node(fields, &mut tally));
        if let Err(what) = read.and_then(|draft| nodes.enter(draft)) {
            checked.add(Problem::at(place, what));
        }
        meter.tell(0, scanner.position());
    }
    checked.header = std::mem::take(&mut scanner.header);
    checked.writer = writer_of(&checked.header).map_err(|what| Error::invalid(OPERATION, what))?;
    let reading = checked.reading(memory, options);
    let mut edges = Edges::new(&checked.header);
    let mut scanner = scan(file, Want::Edges)?;
    while let Some(element) = scanner.next()? {
        let place = element.place;
        let read = fields(element.text).and_then(|fields| reading.edge(fields, &mut tally));
        if let Err(what) = read.and_then(|edge| edges.enter(edge, &nodes)) {
            checked.add(Problem::at(place, what));
        }
        meter.tell(1, scanner.position());
    }
    Ok(checked)
}

fn refusal(checked: &Checked) -> Error {
    let Some(first) = checked.problems.first() else {
        return Error::new(ErrorKind::Internal, OPERATION, "a file was refused for no reason");
    };
    let more = match checked.skipped - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Error::invalid(
        OPERATION,
        format!(
            "{}[{}]: {}{more}; nothing was imported: correct the file, or skip bad items",
            first.list, first.index, first.what
        ),
    )
    .with("line", first.line)
    .with("byte", first.byte)
}

/// The nodes met so far.
#[derive(Default)]
struct Nodes {
    seen: HashSet<u128>,
    count: u64,
}

impl Nodes {
    fn enter(
        &mut self,
        draft: hexmem_ports::NodeDraft,
    ) -> std::result::Result<hexmem_ports::NodeDraft, String> {
        if !self.seen.insert(fingerprint(&[draft.id.as_str().as_bytes()])) {
            return Err(format!(
                "the id `{}` stands on an earlier node already",
                shown(draft.id.as_str())
            ));
        }
        self.count += 1;
        Ok(draft)
    }

    fn has(&self, id: &str) -> bool {
        self.seen.contains(&fingerprint(&[id.as_bytes()]))
    }
}

/// The edges met so far.
struct Edges {
    directed: bool,
    multigraph: bool,
    /// What may stand in the file once.
    seen: HashSet<u128>,
    /// Parallel edges that state one fact, by fact.
    episodes: HashMap<u128, u32>,
    count: u64,
}

impl Edges {
    fn new(header: &Header) -> Self {
        Self {
            directed: header.directed.unwrap_or(true),
            multigraph: header.multigraph.unwrap_or(false),
            seen: HashSet::new(),
            episodes: HashMap::new(),
            count: 0,
        }
    }

    /// Checks an edge against what was met before, and gives it its id: the file's own, or the one that the
    /// fact has, so that importing again and asserting the fact later meet the same edge.
    fn enter(&mut self, edge: RawEdge, nodes: &Nodes) -> std::result::Result<EdgeDraft, String> {
        let mut draft = edge.draft;
        for (key, end) in [("source", &draft.src), ("target", &draft.dst)] {
            if !nodes.has(end.as_str()) {
                let end = shown(end.as_str());
                return Err(format!("`{key}` is `{end}`, and the file takes no node of that id"));
            }
        }
        let (mut a, mut b) = (draft.src.as_str(), draft.dst.as_str());
        if !self.directed && b < a {
            (a, b) = (b, a);
        }
        let relation = draft.relation.as_str();
        let unique = match (edge.has_id, self.multigraph, &edge.key) {
            (true, _, _) => Some(fingerprint(&[b"id", draft.id.0.as_bytes()])),
            (_, true, Some(key)) => {
                Some(fingerprint(&[b"key", a.as_bytes(), b.as_bytes(), key.as_bytes()]))
            }
            (_, true, None) => None,
            (_, false, _) => {
                Some(fingerprint(&[b"pair", a.as_bytes(), relation.as_bytes(), b.as_bytes()]))
            }
        };
        if unique.is_some_and(|unique| !self.seen.insert(unique)) {
            return Err(format!(
                "an earlier edge says the same (`{}` {} `{}`)",
                shown(draft.src.as_str()),
                shown(relation),
                shown(draft.dst.as_str())
            ));
        }
        if !edge.has_id {
            draft.id = self.free_id(&draft);
        }
        self.count += 1;
        Ok(draft)
    }

    /// The id of the first episode of the fact that no edge of the file has.
    fn free_id(&mut self, draft: &EdgeDraft) -> EdgeId {
        let id = |episode| {
            fact_id(&draft.src, &draft.relation, &draft.dst, draft.source.as_ref(), episode)
        };
        if !self.multigraph {
            return id(0);
        }
        let next = self.episodes.entry(id(0).0.as_u128()).or_insert(0);
        loop {
            let id = id(*next);
            *next = next.saturating_add(1);
            if self.seen.insert(fingerprint(&[b"id", id.0.as_bytes()])) || *next == u32::MAX {
                return id;
            }
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect::<String>().escape_debug().to_string()
}

/// Starts a reading of the file.
fn scan<R: Read + Seek>(file: &mut R, want: Want) -> Result<Scanner<&mut R>> {
    seek(file, SeekFrom::Start(0))?;
    Ok(Scanner::new(file, want))
}

fn seek<R: Seek>(file: &mut R, to: SeekFrom) -> Result<u64> {
    file.seek(to).map_err(|error| {
        Error::new(
            ErrorKind::Unavailable,
            OPERATION,
            "the file cannot be read from its start again",
        )
        .caused_by(error)
    })
}

/// Tells how far the import is.
struct Meter<'a> {
    size: u64,
    told: u64,
    progress: &'a mut (dyn FnMut(Progress) + Send),
}

impl Meter<'_> {
    /// `at` bytes into reading `reading`, from 0. Told once a mebibyte.
    fn tell(&mut self, reading: u64, at: u64) {
        let passed = self.size.saturating_mul(reading).saturating_add(at);
        if passed.saturating_sub(self.told) >= 1 << 20 {
            self.told = passed;
            (self.progress)(Progress { passed, total: self.size.saturating_mul(4) });
        }
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
    async fn put(&mut self, change: GraphChange, bytes: usize) -> Result<()> {
        self.changes.push(change);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.changes.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let id = OpId(Uuid::new_v5(&self.run, &self.number.to_be_bytes()));
        let changes = std::mem::take(&mut self.changes);
        let batch = GraphBatch { id, changes, effects: Vec::new() };
        let applied = self.memory.apply(batch).await?;
        self.number += 1;
        self.bytes = 0;
        self.revision = Some(applied.revision);
        Ok(())
    }
}
