//! A temporal knowledge graph: typed nodes, typed edges that hold from when until when, and who says so.
//!
//! [`GraphMemory`] works on a graph in its store, however large; [`Mirror`] holds one in memory and follows its
//! changes. Both take any [`GraphStore`](hexmem_ports::GraphStore).
//!
//! ```
//! use std::sync::Arc;
//!
//! use hexmem_adapter_memory::{ManualClock, MemoryGraphs, MemoryOutbox};
//! use hexmem_graph_memory::{Fact, GraphMemory, PathQuery, Since, Vocabulary};
//! use hexmem_ports::{AsOf, GraphId, Name, Tenant, Timestamp, ValidAt};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> hexmem_ports::Result<()> {
//! let clock = Arc::new(ManualClock::default());
//! let store = Arc::new(MemoryGraphs::new(clock.clone(), MemoryOutbox::new(clock.clone())));
//! let graph = GraphId::new(Tenant(Name::new("acme")?), Name::new("ada")?);
//! let memory = GraphMemory::new(store, clock, graph)
//!     .with_vocabulary(Vocabulary::open().functional(["lives_in"]));
//!
//! for (id, kind) in [("ada", "person"), ("london", "city"), ("paris", "city")] {
//!     memory.put_node(Name::new(id)?, Name::new(kind)?, json!({})).await?;
//! }
//! let in_1840 = Since::At(Timestamp::parse("1840-01-01")?);
//! memory.assert(Fact::new("ada", "lives_in", "london")?.since(in_1840)).await?;
//! // One city at a time: London ends today.
//! memory.assert(Fact::new("ada", "lives_in", "paris")?).await?;
//!
//! let now = memory.path(&PathQuery::new(Name::new("ada")?, Name::new("london")?)).await?;
//! assert!(now.is_none());
//! let at = AsOf { valid: ValidAt::At(Timestamp::parse("1841-06-01")?), known: None };
//! let then = PathQuery { as_of: at, ..PathQuery::new(Name::new("ada")?, Name::new("london")?) };
//! assert_eq!(memory.path(&then).await?.map(|path| path.edges.len()), Some(1));
//! # Ok(())
//! # }
//! ```

mod algorithms;
mod contradiction;
mod fact;
mod formats;
mod identity;
mod memory;
mod mirror;
mod view;
mod vocabulary;

pub use algorithms::*;
pub use contradiction::{Clash, Contradiction, contradictions};
pub use fact::{Cardinality, Fact, Since};
pub use formats::*;
pub use identity::{fact_id, slot_id};
pub use memory::*;
pub use mirror::{Followed, Mirror};
pub use view::{VIEW_NODES, ViewOptions, ViewReport, view_graph};
pub use vocabulary::*;
