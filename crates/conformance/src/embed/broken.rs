//! An embedder that breaks one clause.

use std::sync::Arc;

use async_trait::async_trait;
use hexmem_ports::{EmbedMode, Embedder, EmbeddingSpace, Result};

use crate::Rig;

/// The rig with an embedder that breaks `clause`. Panics where no double breaks it.
pub fn broken(clause: &str, rig: Rig<dyn Embedder>) -> Rig<dyn Embedder> {
    let breaks = match clause {
        "EMBED-SPACE-1" => Breaks::Length,
        "EMBED-BATCH-1" => Breaks::Order,
        "EMBED-BATCH-2" => Breaks::Empty,
        _ => panic!("no double breaks {clause}: add it"),
    };
    rig.wrapped(|inner| -> Arc<dyn Embedder> { Arc::new(Broken { inner, breaks }) })
}

#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    Length,
    Order,
    Empty,
}

struct Broken {
    inner: Arc<dyn Embedder>,
    breaks: Breaks,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Embedder for Broken {
    fn space(&self) -> EmbeddingSpace {
        self.inner.space()
    }

    async fn embed(&self, mode: EmbedMode, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        let mut vectors = self.inner.embed(mode, texts).await?;
        match self.breaks {
            Breaks::Length => vectors.iter_mut().flatten().for_each(|x| *x *= 2.0),
            Breaks::Order => vectors.reverse(),
            Breaks::Empty => {
                // As division by a length of zero gives.
                for (vector, text) in vectors.iter_mut().zip(texts) {
                    if text.trim().is_empty() {
                        vector.fill(f32::NAN);
                    }
                }
            }
        }
        Ok(vectors)
    }
}
