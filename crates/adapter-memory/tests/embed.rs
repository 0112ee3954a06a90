//! The suites of embedder and reranker over those without a model.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use hexmem_adapter_memory::{HashEmbedder, ManualClock, OverlapReranker};
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{Capabilities, Embedder, Reranker};

fn rig_of<P: ?Sized>(store: Arc<P>) -> Rig<P> {
    let clock = Arc::new(ManualClock::default());
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    Rig::new("memory", store, Capabilities::default(), time)
}

mod embed {
    use super::*;

    async fn rig() -> Rig<dyn Embedder> {
        rig_of(Arc::new(HashEmbedder::new(384).unwrap()))
    }

    hexmem_conformance::embed_suite!(rig);
}

mod rerank {
    use super::*;

    async fn rig() -> Rig<dyn Reranker> {
        rig_of(Arc::new(OverlapReranker))
    }

    hexmem_conformance::rerank_suite!(rig);
}
