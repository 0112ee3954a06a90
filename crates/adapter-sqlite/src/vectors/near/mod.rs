//! The index of dense vectors: a graph in which the nearest are found by walking.
//!
//! It lies in the file beside the vectors, in pages of places, and is made from them in steps; a version of it is
//! held in memory. It only says which points are near; their scores are computed from the vectors as they were written.

mod ask;
mod code;
mod graph;
mod grow;
mod held;
mod kernel;
mod layer;
mod rows;
mod step;
#[cfg(test)]
mod tests;

pub(crate) use held::Indexes;
pub(super) use rows::clear;
pub(super) use step::{Due, due};

/// Places of one row.
const PAGE: usize = 64;

/// No place, no ord.
const NONE: u32 = u32::MAX;
