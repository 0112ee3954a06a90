//! The suite of the queue over Redis and Redis Cluster.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod rig;

on_both!(queue_suite, CommandQueue, queue, "queue");
