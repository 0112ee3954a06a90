//! From configuration to wired services.
//!
//! Settings come from four places, later ones winning: defaults, a TOML file, the environment, the command
//! line. [`Stores`] then opens what is asked for, and nothing else.
//!
//! ```
//! use hexmem_composition::{Settings, Sources, Stores};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> hexmem_ports::Result<()> {
//! let sources = Sources { toml: Some(("hexmem.toml".into(), "[graph]\nbackend = 'memory'".into())), ..Sources::default() };
//! let stores = Stores::new(Settings::load(&sources)?);
//! let graphs = stores.graph().await;
//! # let _ = graphs;
//! # Ok(())
//! # }
//! ```

mod embed;
mod environment;
mod pg;
mod qdrant;
mod redis;
mod secret;
mod settings;
mod sqlite;
mod stores;

pub use embed::*;
pub use pg::*;
pub use qdrant::*;
pub use redis::*;
pub use secret::Secret;
pub use settings::*;
pub use sqlite::*;
pub use stores::*;

/// The examples of the README, compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
