//! Cases of rerankers.

use std::sync::Arc;

use async_trait::async_trait;
use hexmem_ports::{Reranker, Result};

use crate::{Rig, awkward_names};

/// Registers the cases of a reranker: `rerank_suite!(rig)`, or `rerank_suite!(rig, broken)` for the doubles.
#[macro_export]
macro_rules! rerank_suite {
    ($make:path) => {
        $crate::rerank_suite!(@ [] $make);
    };
    ($make:path, broken) => {
        $crate::rerank_suite!(@ [broken] $make);
    };
    (@ [$($mode:ident)?] $make:path) => {
        $crate::suite!([$($mode)?] rerank, $make; rerank_1);
    };
}

/// `RERANK-1`
pub async fn rerank_1(rig: Rig<dyn Reranker>) {
    let awkward = awkward_names().into_iter().map(String::from);
    let passages: Vec<String> = ["a lease ends by itself", "", "a lease"]
        .map(String::from)
        .into_iter()
        .chain(awkward)
        .chain(["lease ".repeat(20_000)])
        .collect();
    for query in ["when does a lease end?", "", " ", "\u{202e}🦀"] {
        let scores = rig.store.rerank(query, &passages).await.unwrap();
        assert_eq!(scores.len(), passages.len(), "{query:?}");
        assert!(scores.iter().all(|score| score.is_finite()), "{query:?}: {scores:?}");
        assert_eq!(rig.other.rerank(query, &[]).await.unwrap(), Vec::<f32>::new());
    }
}

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
