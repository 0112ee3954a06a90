//! Graphs as files: a snapshot in NetworkX node-link JSON and an append-only journal for each graph.
//!
//! ```text
//! FOLDER/outbox.journal                        effects that wait to be done
//! FOLDER/<tenant>/<graph>.json                 the snapshot (`networkx.node_link_graph(..., edges="links")` reads it)
//! FOLDER/<tenant>/<graph>.journal              what happened since, one JSON line a batch, each with a checksum
//! FOLDER/<tenant>/<graph>.lock                 held by whoever writes; never renamed or removed
//! FOLDER/<tenant>/<graph>.fold                 held by whoever writes a snapshot; likewise
//! ```
//!
//! A batch is done when its line is on the disk; batches that wait for each other in one process share a write. When
//! the journal has grown as large as the snapshot, a new snapshot is written beside the old one, a step at a time while
//! the graph is read and changed, and renamed over it; what came since stays in the journal. So one change costs the
//! same in a small graph and in a large one. Several processes share a graph: a writer takes the lock and reads what others have
//! added before it decides; a reader looks at the journal's end at each call. Whole graphs are held in memory.
//!
//! What is purged leaves all reads at once, and the files with the next snapshot; `compact` and `delete` write one.

mod apply;
mod config;
mod disk;
mod entry;
mod fold;
mod graph_file;
mod journal;
mod lock;
mod open;
mod outbox;
mod records;
mod snapshot;
mod store;

pub use config::*;
pub use outbox::JsonOutbox;
pub use store::JsonGraphs;
