//! A graph as one file of NetworkX node-link JSON.
//!
//! `nodes` and `links` are the current ones; the attributes of a graph have our own under `hexmem`: where the graph
//! stands, its past, its log. `source`, `target` and `key` of a link are NetworkX's, so provenance is `evidence`.
//! Read and written element by element: memory does not grow with the file.

mod line;
mod read;
mod scan;
mod write;

use hexmem_ports::OpId;
use hexmem_ports::rules::graph::GraphState;

pub(crate) use read::read;
pub(crate) use write::Writer;

/// The form that this program reads and writes.
const FORM: u32 = 1;

/// What a snapshot holds beside the graph.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) state: GraphState,
    /// The last journal entry that is in it.
    pub(crate) entry: u64,
    pub(crate) last_effects: Option<OpId>,
    pub(crate) bytes: u64,
}
