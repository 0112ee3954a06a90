//! A reranker that breaks its clause.

use std::sync::Arc;

use async_trait::async_trait;
use hexmem_ports::{Reranker, Result};

use crate::Rig;

/// The rig with a reranker that breaks `clause`. Panics where no double breaks it.
pub fn broken(clause: &str, rig: Rig<dyn Reranker>) -> Rig<dyn Reranker> {
    assert_eq!(clause, "RERANK-1", "no double breaks this clause: add it");
    rig.wrapped(|inner| -> Arc<dyn Reranker> { Arc::new(Broken(inner)) })
}

/// Scores none of the passages that it finds worthless.
struct Broken(Arc<dyn Reranker>);

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Reranker for Broken {
    async fn rerank(&self, query: &str, passages: &[String]) -> Result<Vec<f32>> {
        let mut scores = self.0.rerank(query, passages).await?;
        scores.retain(|score| *score > 0.0);
        Ok(scores)
    }
}
