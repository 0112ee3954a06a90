//! Text to vectors, and a second opinion on a ranking.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Name, Result};

/// What makes vectors comparable: a collection is stamped with it and refuses another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingSpace {
    /// Who computes (`openai`, `local`, ...).
    pub provider: Name,
    /// The model and its revision.
    pub model: Name,
    /// Numbers per vector, 1 to 65,536.
    pub dimension: u32,
    /// Whether vectors have length 1.
    pub normalised: bool,
    /// How text is prepared (prefixes, truncation), as one line.
    pub preprocessing: String,
}

impl fmt::Display for EmbeddingSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let normalised = if self.normalised { ", normalised" } else { "" };
        write!(f, "{}/{} of {} dimensions{normalised}", self.provider, self.model, self.dimension)?;
        if self.preprocessing.is_empty() { Ok(()) } else { write!(f, ", {}", self.preprocessing) }
    }
}

/// What the text is for: some models treat queries and passages differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbedMode {
    /// A question.
    Query,
    /// A text to be found.
    Passage,
}

/// Turns texts into vectors of one space.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Embedder: Send + Sync + 'static {
    /// The space of all vectors this embedder gives.
    ///
    /// # Behavior
    /// - `EMBED-SPACE-1`: constant; every vector has its dimension, and length 1 where normalised.
    fn space(&self) -> EmbeddingSpace;

    /// One vector a text, in order. Any number of texts; the embedder makes its own batches.
    ///
    /// # Behavior
    /// - `EMBED-BATCH-1`: as many vectors as texts, in their order, equal (within 1e-5) to each text alone; no texts give no vectors.
    /// - `EMBED-BATCH-2`: an empty text and one of a megabyte give vectors of finite numbers, or `Invalid`; never a panic.
    async fn embed(&self, mode: EmbedMode, texts: &[String]) -> Result<Vec<Vec<f32>>>;
}

/// Scores passages against a query, better than vectors can.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Reranker: Send + Sync + 'static {
    /// One score a passage, in order; higher is better.
    ///
    /// # Behavior
    /// - `RERANK-1`: as many finite scores as passages; no passages give no scores.
    async fn rerank(&self, query: &str, passages: &[String]) -> Result<Vec<f32>>;
}
