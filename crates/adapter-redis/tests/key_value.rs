//! The suite of keys and values over Redis and Redis Cluster.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod rig;

on_both!(key_value_suite, KeyValueStore, key_value, "key_value");
