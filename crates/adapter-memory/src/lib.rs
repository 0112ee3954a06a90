//! In-process stores: every port of hexmem, for tests and degraded mode.
//!
//! Nothing here survives the process. The clock is a port too: [`SystemClock`] for programs, [`ManualClock`]
//! for tests.

mod cache;
mod clock;
mod embed;
mod graph;
mod key_value;
mod outbox;
mod queue;
mod replay;
mod sessions;
mod vectors;

pub use cache::*;
pub use clock::*;
pub use embed::*;
pub use graph::*;
pub use key_value::*;
pub use outbox::*;
pub use queue::*;
pub use sessions::*;
pub use vectors::*;
