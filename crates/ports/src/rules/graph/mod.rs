//! One graph as a pure state: how a batch changes it, what a read sees of it.
//!
//! No I/O and no clock: the present is an argument. Stores that keep a graph in memory hold a [`GraphState`];
//! stores that keep rows ask [`plan()`] what a batch does and write its steps. The rules are written once.

mod check;
mod elements;
mod plan;
mod read;
mod record;
mod state;

pub use check::*;
pub use plan::*;
pub use read::{edge_cursor, history_cursor, node_cursor};
pub use record::*;
pub use state::*;
