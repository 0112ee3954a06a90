//! Servers with settings of their own: TLS, password and ACL; Sentinels. Each test starts and ends its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod own;
mod secured;
mod secured_many;
mod sentinel;
mod tls;
