//! The behaviour suites that every adapter passes.
//!
//! A case is `async fn(Rig<dyn Port>)`, named after the clause it proves (`SESS-TOUCH-2` is
//! `sess_touch_2`), and fails by panicking. An adapter registers a whole port with one macro:
//!
//! ```ignore
//! async fn rig() -> hexmem_conformance::Rig<dyn hexmem_ports::KeyValueStore> { /* a fresh store */ }
//! hexmem_conformance::key_value_suite!(rig);
//! ```
//!
//! Each port also has a breaking double (`broken.rs`): a wrapper that breaks exactly one clause. The same macro
//! with `broken` proves that each case rejects the double that breaks its clause.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a case fails by panicking"
)]

mod ledger;
mod numbers;
mod processes;
mod rig;
mod run;

pub mod cache;
pub mod clock;
pub mod embed;
pub mod every_port;
pub mod graph;
pub mod key_value;
pub mod minimum;
pub mod outbox;
pub mod queue;
pub mod records;
pub mod rerank;
pub mod sessions;
pub mod vectors;

pub use ledger::proved;
pub use numbers::Numbers;
pub use processes::{role_command, signal};
pub use rig::*;
pub use run::*;
