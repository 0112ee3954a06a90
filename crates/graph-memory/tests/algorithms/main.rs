//! Algorithms against plain references and against numbers of NetworkX.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod budgets;
mod draw;
mod groups;
mod measures;
mod paths;
mod rank;
#[path = "../support/mod.rs"]
mod support;
