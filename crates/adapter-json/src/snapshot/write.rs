//! Writing a snapshot while the graph changes.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::ops::Bound::{Excluded, Unbounded};

use hexmem_ports::rules::graph::{GraphLife, GraphState};
use hexmem_ports::{EdgeId, ElementRef, GraphId, OpId};

use super::FORM;
use super::line::{json, write_edge, write_node};

/// How many elements one step looks at: about a millisecond of work.
const STEP: usize = 1_000;

/// What is written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Head,
    Batches,
    Log,
    PastNodes,
    PastEdges,
    Nodes,
    Links,
    Done,
}

/// The lines of one element as they were when the writing began.
#[derive(Debug, Default)]
struct Image {
    past: Vec<u8>,
    current: Vec<u8>,
}

/// Writes the graph as it was at one moment, a step at a time; it may change between the steps. Whoever changes it
/// shows the writer first what it is about to change ([`Writer::keep`]).
#[derive(Debug)]
pub(crate) struct Writer {
    graph: GraphId,
    entry: u64,
    last_effects: Option<OpId>,
    life: GraphLife,
    log_len: usize,
    section: Section,
    first: bool,
    batch: Option<OpId>,
    log: usize,
    node: Option<String>,
    edge: Option<EdgeId>,
    nodes: BTreeMap<String, Image>,
    edges: BTreeMap<EdgeId, Image>,
}

impl Writer {
    /// Of the graph as it is now, which holds the journal's entries up to `entry`.
    pub(crate) fn new(
        graph: GraphId,
        state: &GraphState,
        entry: u64,
        last_effects: Option<OpId>,
    ) -> Self {
        Self {
            graph,
            entry,
            last_effects,
            life: state.life(),
            log_len: state.log_len(),
            section: Section::Head,
            first: true,
            batch: None,
            log: 0,
            node: None,
            edge: None,
            nodes: BTreeMap::new(),
            edges: BTreeMap::new(),
        }
    }

    /// The last journal entry that the snapshot will hold.
    pub(crate) fn entry(&self) -> u64 {
        self.entry
    }

    /// Notes an element as it is, before it is changed for the first time since the writing began.
    pub(crate) fn keep(&mut self, state: &GraphState, element: &ElementRef) -> io::Result<()> {
        match element {
            ElementRef::Node(id) if !self.nodes.contains_key(id.as_str()) => {
                let mut image = Image::default();
                for node in state.node_texts(id.as_str()) {
                    let ended = node.superseded_at.is_some();
                    let lines = if ended { &mut image.past } else { &mut image.current };
                    separate(lines);
                    write_node(lines, &node)?;
                }
                self.nodes.insert(id.to_string(), image);
            }
            ElementRef::Edge(id) if !self.edges.contains_key(id) => {
                let mut image = Image::default();
                for edge in state.edge_texts(*id) {
                    let ended = edge.superseded_at.is_some();
                    let lines = if ended { &mut image.past } else { &mut image.current };
                    separate(lines);
                    write_edge(lines, &edge)?;
                }
                self.edges.insert(*id, image);
            }
            _ => {}
        }
        Ok(())
    }

    /// Writes the next part; `false` when there is none.
    pub(crate) fn step(&mut self, state: &GraphState, out: &mut Vec<u8>) -> io::Result<bool> {
        let finished = match self.section {
            Section::Head => self.head(out).map(|()| true),
            Section::Batches => self.batches(state, out),
            Section::Log => self.log(state, out),
            Section::PastNodes => self.nodes(state, out, true),
            Section::PastEdges => self.edges(state, out, true),
            Section::Nodes => self.nodes(state, out, false),
            Section::Links => self.edges(state, out, false),
            Section::Done => return Ok(false),
        }?;
        if finished {
            let (next, between) = match self.section {
                Section::Head => (Section::Batches, &b"\"batches\": ["[..]),
                Section::Batches => (Section::Log, &b"],\n\"log\": ["[..]),
                Section::Log => (Section::PastNodes, &b"],\n\"past_nodes\": ["[..]),
                Section::PastNodes => (Section::PastEdges, &b"],\n\"past_edges\": ["[..]),
                Section::PastEdges => (Section::Nodes, &b"]}},\n\"nodes\": ["[..]),
                Section::Nodes => (Section::Links, &b"],\n\"links\": ["[..]),
                Section::Links | Section::Done => (Section::Done, &b"]}\n"[..]),
            };
            out.extend_from_slice(between);
            (self.section, self.first, self.node, self.edge) = (next, true, None, None);
        }
        Ok(true)
    }

    fn head(&self, out: &mut Vec<u8>) -> io::Result<()> {
        out.write_all(b"{\"directed\": true, \"multigraph\": true, \"graph\": {\"hexmem\": {\n")?;
        write!(out, "\"form\": {FORM},\n\"tenant\": ")?;
        json(out, &self.graph.tenant)?;
        out.write_all(b",\n\"name\": ")?;
        json(out, &self.graph.name)?;
        write!(out, ",\n\"entry\": {},\n\"last_effects\": ", self.entry)?;
        json(out, &self.last_effects)?;
        out.write_all(b",\n\"life\": ")?;
        json(out, &self.life)?;
        out.write_all(b",\n")
    }

    /// Begins an item of a list.
    fn item(&mut self, out: &mut Vec<u8>) {
        begin(&mut self.first, out);
    }

    fn batches(&mut self, state: &GraphState, out: &mut Vec<u8>) -> io::Result<bool> {
        let part: Vec<_> = state.batches_after(self.batch).take(STEP).collect();
        self.batch = part.last().map(|(id, _)| *id);
        for answer in &part {
            // A later one is still to come out of the journal.
            if answer.1.revision <= self.life.revision {
                self.item(out);
                json(out, answer)?;
            }
        }
        Ok(part.len() < STEP)
    }

    fn log(&mut self, state: &GraphState, out: &mut Vec<u8>) -> io::Result<bool> {
        let upto = self.log_len.min(self.log + STEP);
        for entry in state.log_from(self.log).take(upto - self.log) {
            self.item(out);
            json(out, &entry)?;
        }
        self.log = upto;
        Ok(upto == self.log_len)
    }

    fn nodes(&mut self, state: &GraphState, out: &mut Vec<u8>, past: bool) -> io::Result<bool> {
        let after = self.node.take();
        let range = (after.as_deref().map_or(Unbounded, Excluded), Unbounded);
        let mut images = self.nodes.range::<str, _>(range).peekable();
        let (first, mut here, mut looked, mut kept) = (&mut self.first, None, 0, false);
        for node in state.node_texts_after(after.as_deref()) {
            if here != Some(node.id) {
                if looked == STEP {
                    self.node = here.map(str::to_owned);
                    return Ok(false);
                }
                // Those that were purged since, and the one itself where it was changed since.
                while let Some((_, image)) = images.next_if(|(id, _)| id.as_str() < node.id) {
                    image.put(past, first, out);
                }
                let image = images.next_if(|(id, _)| id.as_str() == node.id);
                kept = image.inspect(|(_, image)| image.put(past, first, out)).is_some();
                (here, looked) = (Some(node.id), looked + 1);
            }
            if !kept && node.superseded_at.is_some() == past {
                begin(first, out);
                write_node(out, &node)?;
            }
        }
        images.for_each(|(_, image)| image.put(past, first, out));
        Ok(true)
    }

    fn edges(&mut self, state: &GraphState, out: &mut Vec<u8>, past: bool) -> io::Result<bool> {
        let after = self.edge.take();
        let mut images =
            self.edges.range((after.map_or(Unbounded, Excluded), Unbounded)).peekable();
        let (first, mut here, mut looked, mut kept) = (&mut self.first, None, 0, false);
        for edge in state.edge_texts_after(after) {
            if here != Some(edge.id) {
                if looked == STEP {
                    self.edge = here;
                    return Ok(false);
                }
                while let Some((_, image)) = images.next_if(|(id, _)| **id < edge.id) {
                    image.put(past, first, out);
                }
                let image = images.next_if(|(id, _)| **id == edge.id);
                kept = image.inspect(|(_, image)| image.put(past, first, out)).is_some();
                (here, looked) = (Some(edge.id), looked + 1);
            }
            if !kept && edge.superseded_at.is_some() == past {
                begin(first, out);
                write_edge(out, &edge)?;
            }
        }
        images.for_each(|(_, image)| image.put(past, first, out));
        Ok(true)
    }
}

impl Image {
    fn put(&self, past: bool, first: &mut bool, out: &mut Vec<u8>) {
        let lines = if past { &self.past } else { &self.current };
        if !lines.is_empty() {
            begin(first, out);
            out.extend_from_slice(lines);
        }
    }
}

fn begin(first: &mut bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if *first { b"\n" } else { b",\n" });
    *first = false;
}

fn separate(lines: &mut Vec<u8>) {
    if !lines.is_empty() {
        lines.extend_from_slice(b",\n");
    }
}

#[cfg(test)]
mod tests {
    use hexmem_ports::rules::graph::GraphState;
    use hexmem_ports::{
        Clock as _, EdgeDraft, Expect, GraphBatch, GraphChange, Name, NodeDraft, Tenant,
    };
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn id(n: u32) -> Name {
        name(&format!("n{n:05}"))
    }

    fn node(n: u32, value: u32) -> GraphChange {
        GraphChange::PutNode(NodeDraft {
            id: id(n),
            kind: name("t"),
            data: json!({ "v": value }),
            created_at: None,
            expect: Expect::Any,
        })
    }

    fn edge(n: u32, weight: f64) -> GraphChange {
        GraphChange::PutEdge(EdgeDraft {
            id: EdgeId(Uuid::from_u128(u128::from(n) << 64)),
            src: id(n),
            relation: name("r"),
            dst: id(n / 2),
            weight,
            valid_from: None,
            valid_until: None,
            source: Some(name("s")),
            data: json!({}),
            created_at: None,
            expect: Expect::Any,
        })
    }

    /// The change of one moment: puts, removals, purges, new elements, all over the graph.
    fn change(n: u32) -> Vec<GraphChange> {
        let (a, b) = (n * 7_919 % 5_000, n * 104_729 % 5_000);
        match n % 5 {
            0 => vec![node(a, n)],
            1 => vec![node(a, 0), node(a / 2, 0), edge(a, f64::from(n))],
            2 => vec![GraphChange::RemoveNode { id: id(a), expect: Expect::Any }],
            3 => vec![GraphChange::PurgeNode(id(b))],
            _ => vec![node(10_000 + n, 0), node(0, n)],
        }
    }

    fn write(writer: &mut Writer, state: &GraphState, out: &mut Vec<u8>) {
        while writer.step(state, out).unwrap() {}
    }

    #[test]
    fn a_snapshot_written_while_the_graph_changes_is_that_of_its_beginning() {
        let clock = hexmem_adapter_memory::ManualClock::default();
        let graph = GraphId::new(Tenant(name("t")), name("g"));
        let mut state = GraphState::default();
        let all = (0..5_000).map(|n| node(n, 0)).chain((0..5_000).map(|n| edge(n, 1.0)));
        state.apply(&GraphBatch::new(all.collect()), clock.now()).unwrap();
        for n in 0..100 {
            state.apply(&GraphBatch::new(change(n)), clock.now()).unwrap();
        }
        let mut expected = Vec::new();
        write(&mut Writer::new(graph.clone(), &state, 7, None), &state, &mut expected);
        let (mut writer, mut written) = (Writer::new(graph, &state, 7, None), Vec::new());
        let mut n = 100;
        let mut steps = 0;
        while writer.step(&state, &mut written).unwrap() {
            steps += 1;
            for _ in 0..20 {
                clock.advance(std::time::Duration::from_millis(1));
                let batch = GraphBatch::new(change(n));
                let planned = state.plan(&batch, clock.now()).unwrap();
                for step in &planned.steps {
                    writer.keep(&state, &step.element()).unwrap();
                }
                state.commit(&planned);
                n += 1;
            }
        }
        assert!(steps > 20, "{steps}");
        assert!(written == expected, "the snapshot shows changes made after its beginning");
    }
}
