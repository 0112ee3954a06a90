//! What each adapter must declare for each port: a capability missing there is a failure.

use hexmem_ports::{Capabilities, Capability};

use Capability::{
    DenseIndex, DenseVectors, Durable, Effects, ExactCounts, History, MultiProcess,
    NeighbourhoodInStore, OrderedScan, Records, SparseVectors,
};

/// The least that `adapter` declares for `port`. Unknown pairs have no minimum and are refused by
/// [`check`].
pub fn minimum(adapter: &str, port: &str) -> Option<Vec<Capability>> {
    let kept = |more: &[Capability]| {
        let base: &[Capability] = match adapter {
            "memory" => &[Records],
            "json" | "sqlite" | "pg" => &[Records, Durable, MultiProcess],
            // What a crash can lose is in the hands of who runs the server.
            "redis" | "redis-cluster" => &[Records, MultiProcess],
            "qdrant" | "qdrant-cluster" => &[Records, Durable, MultiProcess],
            _ => return None,
        };
        Some(base.iter().chain(more).copied().collect())
    };
    match port {
        // The slots of a Cluster cannot be counted at one instant.
        "sessions" if adapter == "redis-cluster" => kept(&[Effects]),
        "key_value" => kept(&[OrderedScan]),
        "sessions" | "queue" => kept(&[Effects, ExactCounts]),
        // An answer is freed by the server when it ends: what is left is counted by samples.
        "cache" if adapter.starts_with("redis") => kept(&[]),
        "cache" => kept(&[ExactCounts]),
        "graph" => kept(&[Effects, History, NeighbourhoodInStore, ExactCounts]),
        "vectors" if adapter == "sqlite" || adapter.starts_with("qdrant") => {
            kept(&[DenseVectors, SparseVectors, ExactCounts, DenseIndex])
        }
        "vectors" => kept(&[DenseVectors, SparseVectors, ExactCounts]),
        _ => None,
    }
}

/// Panics, naming what is missing, when `declares` is less than the minimum.
pub fn check(adapter: &str, port: &str, declares: &Capabilities) {
    let needed = minimum(adapter, port).unwrap_or_else(|| {
        panic!("{adapter} has no stated minimum for {port}: add it to conformance/src/minimum.rs")
    });
    let missing: Vec<_> = needed.into_iter().filter(|need| !declares.has(*need)).collect();
    assert!(missing.is_empty(), "{adapter} must declare {missing:?} for {port}");
}
