//! Chunk, index, search and evaluate documents.
//!
//! What needs no store is here as pure functions: text from files ([`read`]), chunks ([`chunk`]),
//! terms ([`analyse`]), weights ([`bm25`]), fusion of rankings ([`fuse`]), widening of queries
//! ([`feedback`]) and figures ([`eval`]).
//!
//! ```
//! use hexmem_rag::analyse::{Analyzer, Side, TermCounts};
//! use hexmem_rag::bm25::{self, Bm25, TITLE_WEIGHT};
//! use hexmem_rag::chunk::Chunking;
//! use hexmem_rag::read::{Reading, read};
//!
//! # fn main() -> hexmem_ports::Result<()> {
//! let file = "# Leases\n\nA worker leases a command and extends its lease.\n";
//! let Reading::Documents { format, documents, .. } = read("queue.md", file.as_bytes())? else {
//!     panic!("it is text");
//! };
//! let chunking = Chunking { strategy: format.strategy(), ..Chunking::default() };
//! let analyzer = Analyzer::default();
//! for chunk in chunking.chunks(&documents[0].text)? {
//!     let mut counts = TermCounts::of(&analyzer, &chunk.text, Side::Document);
//!     counts.add(&analyzer, &documents[0].title, Side::Document, TITLE_WEIGHT);
//!     let document = Bm25::default().document(&counts)?;
//!     let query = bm25::query(&TermCounts::of(&analyzer, "leased", Side::Query))?;
//!     assert!(document.indices().contains(&query.indices()[0]));
//!     assert_eq!(chunk.context, ["Leases"]);
//! }
//! # Ok(())
//! # }
//! ```

pub mod analyse;
pub mod bm25;
pub mod chunk;
pub mod eval;
pub mod feedback;
pub mod fuse;
pub mod read;

mod service;

pub use service::*;
