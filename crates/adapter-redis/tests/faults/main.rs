//! Faults of servers, each shown on servers of the test's own: killed, hung, full, demoted, locked, and a Cluster whose
//! slots move and whose masters die. Every failure is a named error or a recovery, within its time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test fails by panicking, and waits for servers that keep time themselves"
)]

mod alone;
mod cluster;
mod durability;
mod failover;
mod fencing;
mod load;
mod moving;
mod server;
