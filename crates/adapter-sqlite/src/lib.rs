//! One SQLite file behind every port of hexmem: the embedded default.
//!
//! [`Database::open`] gives a handle; `database.key_value()`, `.sessions()`, `.outbox()`, ... give the ports.
//! The file is in WAL mode: many processes may read while one writes. Each change is one transaction that
//! starts with `BEGIN IMMEDIATE`, and is on the disk when its call returns.
//!
//! ```
//! use std::sync::Arc;
//!
//! use hexmem_adapter_memory::SystemClock;
//! use hexmem_adapter_sqlite::{Database, SqliteConfig};
//! use hexmem_ports::{BucketId, KeyValueExt, KeyValueStore, KvSet, Name, Result, Tenant};
//!
//! # fn main() -> Result<()> {
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("memory.db");
//! let database = Database::open(SqliteConfig::new(path), Arc::new(SystemClock)).await?;
//! let notes = BucketId::new(Tenant(Name::new("acme")?), Name::new("notes")?);
//! let key = Name::new("greeting")?;
//!
//! let store = database.key_value();
//! let version = store.set(&notes, &key, KvSet::new(*b"hello")).await?;
//! let entry = store.get(&notes, &key).await?.expect("it was just set");
//! assert_eq!((entry.value.as_slice(), entry.version), (b"hello".as_slice(), version));
//! database.close().await
//! # })
//! # }
//! ```

mod cache;
mod config;
mod connect;
mod create;
mod error;
mod graph;
mod inspect;
mod key_value;
mod line;
mod migrate;
mod outbox;
mod queue;
mod replay;
mod sessions;
mod vectors;

pub use cache::SqliteCache;
pub use config::*;
pub(crate) use connect::Work;
pub use connect::{Database, ReadTx, WriteTx};
pub use graph::SqliteGraphs;
pub use inspect::Inspection;
pub use key_value::*;
pub use outbox::*;
pub use queue::SqliteQueue;
pub use sessions::*;
pub use vectors::SqliteVectors;
