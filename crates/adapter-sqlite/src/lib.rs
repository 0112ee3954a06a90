//! One SQLite file behind every port of hexmem: the embedded default.

mod cache;
mod config;
mod connect;
mod error;
mod graph;
mod key_value;
mod migrate;
mod outbox;
mod queue;
mod replay;
mod sessions;
mod vectors;

pub use config::*;
pub use connect::*;
