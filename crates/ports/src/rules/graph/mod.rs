//! One graph as a pure state: how a batch changes it, what a read sees of it.
//!
//! No I/O and no clock: the present is an argument. Stores that keep a graph in memory hold a [`GraphState`];
//! stores that keep rows ask [`plan()`] what a batch does and write its steps. The rules are written once.

mod change;
mod check;
mod elements;
mod load;
mod near;
mod ordered;
mod plan;
mod read;
mod record;
mod slots;
mod state;
mod texts;

pub use check::*;
pub use load::*;
pub use near::{NearPage, trace_steps};
pub use plan::*;
pub use read::{
    edge_cursor, edge_cursor_of, history_cursor, history_cursor_of, list_cursor, list_cursor_of,
    node_cursor, node_cursor_of, version_cursor, version_cursor_of,
};
pub use record::*;
pub use state::*;
