//! In-process graphs on a clock that tests move.
#![allow(dead_code, reason = "each test program uses its part")]

use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, MemoryGraphs, MemoryOutbox};
use std::io::Cursor;

use hexmem_graph_memory::{
    ExportOptions, ExportReport, Format, GraphMemory, ImportOptions, ImportReport, export_graph,
    import_graph,
};
use hexmem_ports::{Clock, Edge, GraphId, Name, Node, Result, Tenant, Timestamp};

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<MemoryGraphs>,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let outbox = MemoryOutbox::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let store = Arc::new(MemoryGraphs::new(Arc::clone(&clock) as Arc<dyn Clock>, outbox));
        Self { clock, store }
    }

    pub(crate) fn graph(&self, text: &str) -> GraphMemory {
        let store = Arc::clone(&self.store) as Arc<dyn hexmem_ports::GraphStore>;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        GraphMemory::new(store, clock, GraphId::new(Tenant(name("t")), name(text)))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

pub(crate) async fn import(
    memory: &GraphMemory,
    format: Format,
    text: &[u8],
    options: ImportOptions,
) -> Result<ImportReport> {
    import_graph(memory, format, &mut Cursor::new(text), &options, &mut |_| {}).await
}

pub(crate) async fn export(memory: &GraphMemory, format: Format) -> (String, ExportReport) {
    let mut out = Vec::new();
    let report = export_graph(memory, format, &mut out, &ExportOptions::default()).await.unwrap();
    (String::from_utf8(out).unwrap(), report)
}

/// What a graph says, without the times of its own making.
pub(crate) async fn contents(memory: &GraphMemory) -> (Vec<Node>, Vec<Edge>) {
    let mirror = memory.load().await.unwrap();
    let (mut nodes, mut edges): (Vec<_>, Vec<_>) =
        (mirror.nodes().collect(), mirror.edges().collect());
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    edges.sort_by_key(|edge| edge.id);
    for node in &mut nodes {
        (node.recorded_at, node.version) = (node.created_at, 1);
    }
    for edge in &mut edges {
        (edge.recorded_at, edge.version) = (edge.created_at, 1);
    }
    (nodes, edges)
}
