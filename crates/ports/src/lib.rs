//! The contracts of hexmem: one trait per file, their value types, the one error type, capabilities.
//!
//! Domain crates know only this crate; adapters know only this crate and their driver. Each method's
//! documentation has a `# Behavior` list of numbered clauses; each clause has a conformance case of
//! that name, and every adapter passes it on the real thing.

mod cache;
mod capability;
mod embed;
mod error;
mod filter;
mod graph;
mod id;
mod json;
mod key_value;
mod name;
mod outbox;
mod page;
mod queue;
mod records;
mod scope;
mod sessions;
mod time;
mod vectors;

pub mod b64;
pub mod rules;

pub use cache::*;
pub use capability::*;
pub use embed::*;
pub use error::*;
pub use filter::*;
pub use graph::*;
pub use id::*;
pub use json::*;
pub use key_value::*;
pub use name::*;
pub use outbox::*;
pub use page::*;
pub use queue::*;
pub use records::*;
pub use scope::*;
pub use sessions::*;
pub use time::*;
pub use vectors::*;
