//! The look at a server, and what estimates of its index do to ranks.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use hexmem_conformance::name;
use hexmem_ports::{
    Accuracy, CollectionId, CollectionSpec, Filter, Limit, Point, PointId, SparseSpec,
    SparseVector, Tenant, VectorQuery, VectorSearch, VectorStore as _, Weighting,
};
use serde_json::json;
use uuid::Uuid;

fn at(text: &str) -> CollectionId {
    CollectionId::new(Tenant(name("T")), name(text))
}

fn spec() -> CollectionSpec {
    CollectionSpec {
        sparse: [(name("s"), SparseSpec { weighting: Weighting::Idf })].into(),
        ..CollectionSpec::default()
    }
}

fn point(n: u32) -> Point {
    let indices = vec![n % 3, 10 + n % 40, 1_000 + n % 700];
    let value = f32::from(u16::try_from(n % 13 + 1).unwrap()) / 8.0;
    let sparse = SparseVector::new(indices, vec![value, 1.0, 0.5]).unwrap();
    Point {
        id: PointId(Uuid::from_u128(u128::from(n) + 1)),
        dense: [].into(),
        sparse: [(name("s"), sparse)].into(),
        payload: json!({ "n": n }),
    }
}

#[tokio::test]
async fn a_server_is_seen() {
    let (qdrant, _cleaner) = rig::own().await;
    let vectors = qdrant.vectors();
    let empty = qdrant.inspect().await.unwrap();
    assert_eq!((empty.collections.len(), empty.points, empty.indexed_share), (0, 0, None));
    vectors.create(&at("docs"), spec()).await.unwrap();
    vectors.upsert(&at("docs"), (0..30).map(point).collect()).await.unwrap();
    vectors.set_alias(&at("current"), Some(name("docs"))).await.unwrap();
    let seen = qdrant.inspect().await.unwrap();
    assert_eq!(seen.version, qdrant.version());
    assert!(seen.version.starts_with("1.") && seen.latency_micros > 0);
    assert_eq!((seen.points, seen.peers.len()), (30, 1));
    let one = &seen.collections[0];
    assert_eq!(one.collection.as_deref(), Some("T/docs"));
    assert_eq!((one.points, one.aliases.len(), one.inactive_replicas), (30, 1, 0));
    assert!(one.qdrant_name.ends_with(".=54.docs") && one.shards == 1);
    assert_eq!(seen.findings, Vec::<String>::new());
    assert!(serde_json::to_string(&seen).unwrap().contains("\"status\""));
}

/// The counts of an index and those of every point give the same ranks, also after many were replaced and removed.
#[tokio::test]
async fn estimated_counts_rank_as_exact_ones() {
    let (qdrant, _cleaner) = rig::own().await;
    let vectors = qdrant.vectors();
    let c = at("docs");
    vectors.create(&c, spec()).await.unwrap();
    vectors.upsert(&c, (0..3_000).map(point).collect()).await.unwrap();
    let moved = |n: u32| Point { id: point(n).id, ..point(n + 7) };
    vectors.upsert(&c, (500..900).map(moved).collect()).await.unwrap();
    let gone: Vec<PointId> = (0..400).map(|n| point(n).id).collect();
    assert_eq!(vectors.delete(&c, &gone).await.unwrap(), 400);
    for term in [0, 15, 1_020] {
        let values = SparseVector::new(vec![term, term + 1], vec![1.0, 0.75]).unwrap();
        let search = |accuracy| VectorSearch {
            query: VectorQuery::Sparse { vector: name("s"), values: values.clone() },
            filter: Filter::all(),
            limit: Limit::new(50).unwrap(),
            min_score: None,
            accuracy,
        };
        let exact = vectors.search(&c, &search(Accuracy::Exact)).await.unwrap();
        let indexed = vectors.search(&c, &search(Accuracy::Indexed)).await.unwrap();
        assert_eq!(exact.len(), indexed.len());
        for (a, b) in exact.iter().zip(&indexed) {
            assert!((a.score - b.score).abs() <= 1e-3 * a.score, "{} {}", a.score, b.score);
        }
    }
}
