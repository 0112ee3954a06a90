//! Embedders and rerankers.
//!
//! - [`Endpoint`] speaks to what answers like OpenAI's `/v1/embeddings`: OpenAI, Ollama, vLLM, Text Embeddings
//!   Inference, and others.
//! - [`RerankEndpoint`] speaks to cross-encoders behind a `/rerank`: Text Embeddings Inference, vLLM, Cohere, Jina.
//! - `LocalModel` (feature `local`) computes in this process from a folder in the layout of sentence-transformers:
//!   BERT and its kin (MiniLM, E5, BGE, GTE), in pure Rust.
//!
//! Both stamp vectors with an [`EmbeddingSpace`](hexmem_ports::EmbeddingSpace), so that a collection refuses vectors of
//! another model.
//!
//! ```
//! use std::sync::Arc;
//!
//! use hexmem_adapter_embed::{Endpoint, EndpointConfig};
//! use hexmem_adapter_memory::SystemClock;
//! use hexmem_ports::Embedder;
//!
//! # fn main() -> hexmem_ports::Result<()> {
//! let config = EndpointConfig {
//!     url: "http://127.0.0.1:11434/v1".into(),
//!     model: "nomic-embed-text".into(),
//!     dimension: 768,
//!     query_prefix: "search_query: ".into(),
//!     passage_prefix: "search_document: ".into(),
//!     ..EndpointConfig::default()
//! };
//! let embedder = Endpoint::new(config, Arc::new(SystemClock))?;
//! assert_eq!(embedder.space().dimension, 768);
//! # Ok(())
//! # }
//! ```

mod endpoint;
#[cfg(feature = "local")]
mod local;

pub use endpoint::{ApiKey, Endpoint, EndpointConfig, RerankConfig, RerankEndpoint};
#[cfg(feature = "local")]
pub use local::{LocalConfig, LocalModel, Pooling};
