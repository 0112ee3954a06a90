//! Cases of rerankers.

mod broken;

use hexmem_ports::Reranker;

use crate::{Rig, awkward_names};

pub use broken::broken;

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
