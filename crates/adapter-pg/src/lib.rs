//! PostgreSQL behind every port of hexmem.
//!
//! [`Postgres::connect`] gives a handle; `postgres.key_value()`, `.outbox()`, ... give the ports. Time is the server's.
//! One call is one round trip wherever that can be; what was acknowledged is committed.
//!
//! # How a port is written here
//!
//! - One statement: `postgres.write("port.method", include_str!("sql/port/name.sql")).bind(a).fetch_one().await?`; also
//!   `read` and `read_lagging` (a follower may answer), and `fetch_all`, `fetch_optional`, `execute`. Rows are tuples;
//!   times are `value::At`, digests `value::Hash`, spans whole microseconds.
//! - Several: `let mut tx = postgres.begin("port.method").await?;`, `tx.query(sql)...`, then `tx.finish(outcome).await`.
//! - What must look after it has locked is a function in the migration: one round trip, and each statement in it sees
//!   what was committed before that statement.
//! - Effects come last: `tx.work().push_effects(&Effects::new(...)?)`, or `hexmem.push_effects(...)` within a function.
//! - Waiting: `let mut ear = postgres.hear(topic);` and `ear.heard()` beside a pause; told by `hexmem.notify(topic)`.
//! - A key of idempotence: `hexmem.replay_begin`, then `replay_end` or `replay_forget`.

mod cache;
mod config;
mod connect;
mod error;
mod graph;
mod inspect;
mod key_value;
mod listen;
mod migrate;
mod outbox;
mod pool;
mod query;
mod queue;
mod sessions;
mod sql;
mod value;
mod vectors;

pub use cache::PgCache;
pub use config::*;
pub use connect::Postgres;
pub(crate) use connect::Tx;
pub use graph::PgGraphs;
pub use inspect::{Follower, IndexSize, Inspection, OpenTransaction, Replica, TableSize};
pub use key_value::PgKeyValue;
pub use migrate::{Applied, SchemaStatus};
pub use outbox::PgOutbox;
pub use pool::PoolState;
pub use queue::PgQueue;
pub use sessions::PgSessions;
pub use vectors::PgVectors;
