//! What a store must compute atomically, as pure functions with shared test vectors: SQL, Lua and Rust
//! give the same answer.

mod backoff;
mod bucket;
mod command;
mod counter;
mod cursor;
mod idf;
mod lifecycle;
mod place;
mod session;
mod stage;
mod ticket;
mod vectors;
mod version;

pub mod graph;

pub use backoff::*;
pub use bucket::*;
pub use command::*;
pub use counter::*;
pub use cursor::*;
pub use idf::*;
pub use lifecycle::*;
pub use place::*;
pub use session::*;
pub use stage::*;
pub use ticket::*;
pub use vectors::*;
pub use version::*;
