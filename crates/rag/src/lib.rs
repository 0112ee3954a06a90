//! Chunk, index, search and evaluate documents.
//!
//! What needs no store is here as pure functions: text from files ([`read`]), chunks ([`chunk`]),
//! terms ([`analyse`]), weights ([`bm25`]), fusion of rankings ([`fuse`]) and figures ([`eval`]).

pub mod analyse;
pub mod bm25;
pub mod chunk;
pub mod eval;
pub mod feedback;
pub mod fuse;
