//! One graph as a pure state: how a batch changes it, what a read sees of it.
//!
//! No I/O and no clock: the present is an argument. Stores that keep a graph in memory hold a [`GraphState`];
//! stores that keep rows ask [`plan()`] what a batch does and write its steps. The rules are written once.

mod check;
mod elements;
mod near;
mod plan;
mod read;
mod record;
mod state;

pub use check::*;
pub use near::{NearPage, trace_steps};
pub use plan::*;
pub use read::{edge_cursor, history_cursor, node_cursor, version_cursor, version_cursor_of};
pub use record::*;
pub use state::*;
