//! One SQLite file behind every port of hexmem: the embedded default.
//!
//! [`Database::open`] gives a handle; `database.key_value()`, `.sessions()`, `.outbox()`, ... give the ports.
//! The file is in WAL mode: many processes may read while one writes. Each change is one transaction that
//! starts with `BEGIN IMMEDIATE`.

mod cache;
mod config;
mod connect;
mod create;
mod error;
mod graph;
mod inspect;
mod key_value;
mod migrate;
mod outbox;
mod queue;
mod replay;
mod sessions;
mod vectors;

pub use cache::SqliteCache;
pub use config::*;
pub use connect::{Database, ReadTx, WriteTx};
pub use graph::SqliteGraphs;
pub use inspect::Inspection;
pub use key_value::*;
pub use outbox::*;
pub use queue::SqliteQueue;
pub use sessions::*;
