//! Chunk, index, search and evaluate documents.
//!
//! A [`Rag`] keeps collections of documents in a vector store:
//!
//! ```
//! use std::sync::Arc;
//!
//! use hexmem_adapter_memory::{MemoryVectors, SystemClock};
//! use hexmem_ports::{CollectionId, Filter, Name, Tenant};
//! use hexmem_rag::{CollectionOptions, Document, Rag, SearchOptions};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> hexmem_ports::Result<()> {
//! let rag = Rag::new(Arc::new(MemoryVectors::new(Arc::new(SystemClock))));
//! let id = CollectionId::new(Tenant(Name::new("acme")?), Name::new("docs")?);
//! let docs = rag.open_or_create(id, CollectionOptions::default()).await?;
//!
//! let mut queue = Document::new("queue.md", "A worker leases a command and extends its lease.");
//! queue.metadata.insert("format".into(), json!("markdown"));
//! let report = docs.ingest(vec![queue, Document::new("tea.txt", "Tea, hot.")]).await?;
//! assert_eq!((report.added, report.chunks), (2, 2));
//!
//! let hits = docs.search("leasing", &SearchOptions::default()).await?;
//! assert_eq!(hits[0].document, "queue.md");
//! let filter = Filter::parse(&json!({ "field": "format", "eq": "html" }))?;
//! let options = SearchOptions { filter, ..SearchOptions::default() };
//! assert!(docs.search("leasing", &options).await?.is_empty());
//!
//! // Ingesting again replaces what changed and skips what did not.
//! let report = docs.ingest(vec![Document::new("tea.txt", "Tea, cold.")]).await?;
//! assert_eq!((report.updated, report.unchanged), (1, 0));
//! # Ok(())
//! # }
//! ```
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
pub mod diversity;
pub mod eval;
pub mod feedback;
pub mod fuse;
pub mod profile;
pub mod read;

mod service;

pub use service::*;
