//! Qdrant behind the vectors port of hexmem: a server, a cluster or the cloud, by gRPC.
//!
//! ```no_run
//! # async fn example(clock: std::sync::Arc<dyn hexmem_ports::Clock>) -> hexmem_ports::Result<()> {
//! use hexmem_adapter_qdrant::{Qdrant, QdrantConfig};
//!
//! let qdrant = Qdrant::connect(QdrantConfig::new("http://localhost:6334"), clock).await?;
//! let vectors = qdrant.vectors();
//! # let _ = vectors; Ok(())
//! # }
//! ```
//!
//! # What lies where
//!
//! - A collection is a collection of Qdrant, named `prefix.tenant.name`; what is not of `a-z`, `0-9`, `_` and `-` is
//!   written `=XX`, and what is too long as a digest. An alias is an alias of Qdrant. So one tenant's points are never read
//!   for another, and the population behind IDF is one collection's.
//! - The stamp is in the collection's metadata, made with it. It names the life of the collection, and the names of the
//!   vectors (`d0-LIFE`, `s0-LIFE`, in order of their names) carry it: who knows an earlier life is refused by Qdrant
//!   itself, and looks again. So a call is one call of Qdrant, without asking for the stamp first.
//! - `prefix.ledger` tells what Qdrant forgets: when aliases changed, what was dropped and removed. Records need it.
//! - Of a point `p` is the payload (its fields come back in order of their names), `t0` the terms of the first sparse vector with IDF (and -1 in every point that has it);
//!   `v` and `m` say when it changed.
//!
//! # What holds
//!
//! - A write is acknowledged when it is applied (`wait`), and every later read sees it. One upsert is atomic for each
//!   message of `batch_points`; one that fails in the middle says that its outcome is open, and can be repeated: points are
//!   replaced by id.
//! - `Accuracy::Exact` compares every point and scores by the rules that all stores share: the same to the bit. `Indexed`
//!   takes what Qdrant scores, which differs in the last digits.
//! - IDF is [`hexmem_ports::rules::idf`] over the collection, not Qdrant's own modifier: that one counts each shard for
//!   itself, and points that were replaced or removed until the optimizer has passed. Counts come from an index of the
//!   terms: exact ones for `Exact`; for `Indexed` its estimate, which is the same while no optimizer runs.
//! - Versions of records are microseconds of the writer's clock, later than all of the same handle: clocks of processes that
//!   write the same points should agree. A restore is not one transaction: it is checked as a whole and can be repeated.
//! - `delete` counts what it finds just before: of two that remove the same point at once both count it.

mod config;
mod connect;
mod error;
mod inspect;
mod vectors;

pub use config::*;
pub use connect::Qdrant;
pub use inspect::*;
pub use vectors::QdrantVectors;
