//! What goes wrong between this program and a server: on servers of their own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_qdrant::{Qdrant, QdrantConfig, QdrantVectors};
use hexmem_conformance::{name, proved};
use hexmem_ports::{
    Accuracy, Capability, CollectionId, CollectionSpec, DenseSpec, Distance, Effectiveness,
    ErrorKind, FieldKind, FieldPath, Filter, Limit, Point, PointId, Retry, SparseSpec,
    SparseVector, Tenant, VectorQuery, VectorSearch, VectorStore as _, Weighting,
};
use rig::server::Server;
use serde_json::json;
use uuid::Uuid;

fn at() -> CollectionId {
    CollectionId::new(Tenant(name("t")), name("c"))
}

fn spec() -> CollectionSpec {
    let space = hexmem_conformance::vectors::space(8);
    CollectionSpec {
        dense: [(name("d"), DenseSpec { space, distance: Distance::Cosine })].into(),
        sparse: [(name("s"), SparseSpec { weighting: Weighting::Idf })].into(),
        indexed: [(FieldPath::new("n").unwrap(), FieldKind::Integer)].into(),
        constants: json!(null),
    }
}

fn point(n: u32) -> Point {
    let part = |i: u32| f32::from(u16::try_from((n * 7 + i * 13) % 31).unwrap()) - 15.0;
    let sparse = SparseVector::new(vec![n % 5, 10 + n % 50, 100 + n], vec![1.0, 0.5, 0.25]);
    Point {
        id: PointId(Uuid::from_u128(u128::from(n.wrapping_mul(2_654_435_761)))),
        dense: [(name("d"), (0..8).map(part).collect())].into(),
        sparse: [(name("s"), sparse.unwrap())].into(),
        payload: json!({ "n": n }),
    }
}

fn search(accuracy: Accuracy) -> VectorSearch {
    VectorSearch {
        query: VectorQuery::Sparse {
            vector: name("s"),
            values: SparseVector::new(vec![1, 12, 40], vec![1.0, 2.0, 1.5]).unwrap(),
        },
        filter: Filter::all(),
        limit: Limit::new(20).unwrap(),
        min_score: None,
        accuracy,
    }
}

async fn filled(server: &Server, count: u32) -> QdrantVectors {
    let vectors = server.open(|config| config).await.unwrap().vectors();
    vectors.create(&at(), spec()).await.unwrap();
    vectors.upsert(&at(), (0..count).map(point).collect()).await.unwrap();
    vectors
}

#[tokio::test]
async fn nobody_listens() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", held.local_addr().unwrap());
    drop(held);
    let config = QdrantConfig { retries: 1, timeout_ms: 5_000, ..QdrantConfig::new(&url) };
    let start = Instant::now();
    let error = Qdrant::connect(config, Arc::new(SystemClock)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert_eq!(error.effectiveness(), Effectiveness::NotApplied);
    assert!(error.to_string().contains(&url) && start.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
async fn what_listens_says_nothing() {
    // A listener that accepts and never answers, as a hung server or a wrong port.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", held.local_addr().unwrap());
    let config = QdrantConfig { timeout_ms: 700, ..QdrantConfig::new(url) };
    let start = Instant::now();
    let error = Qdrant::connect(config, Arc::new(SystemClock)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_port_of_http_is_told_apart() {
    let server = Server::start(&[]).await;
    let config =
        QdrantConfig { timeout_ms: 5_000, retries: 0, ..QdrantConfig::new(server.http_url()) };
    let error = Qdrant::connect(config, Arc::new(SystemClock)).await.unwrap_err();
    assert!(
        error.to_string().contains("gRPC") || error.kind() == ErrorKind::Unavailable,
        "{error:?}"
    );
}

#[tokio::test]
async fn a_hung_server_is_given_up_in_time() {
    let server = Server::start(&[]).await;
    filled(&server, 20).await;
    let vectors =
        server.open(|config| QdrantConfig { timeout_ms: 1_000, ..config }).await.unwrap().vectors();
    assert_eq!(vectors.count(&at(), &Filter::all()).await.unwrap(), 20);
    server.signal("STOP");
    let start = Instant::now();
    let read = vectors.search(&at(), &search(Accuracy::Indexed)).await.unwrap_err();
    let write = vectors.upsert(&at(), vec![point(20)]).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    server.signal("CONT");
    for error in [&read, &write] {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
        assert_eq!(error.retry_hint(), Retry::Soon);
    }
    assert_eq!(read.effectiveness(), Effectiveness::NotApplied);
    assert_eq!(write.effectiveness(), Effectiveness::Unknown);
    // The same handle goes on, and a repeat settles what was open.
    let patient = server.open(|config| config).await.unwrap().vectors();
    patient.upsert(&at(), vec![point(20)]).await.unwrap();
    assert_eq!(vectors.count(&at(), &Filter::all()).await.unwrap(), 21);
}

/// Writes `batch`, again and again until it is acknowledged.
async fn insist(vectors: &QdrantVectors, batch: Vec<Point>) {
    let start = Instant::now();
    while let Err(error) = vectors.upsert(&at(), batch.clone()).await {
        assert!(error.retry_hint() != Retry::Never, "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(60), "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_during_ingest_all_is_there_once() {
    const BATCHES: u32 = 60;
    const SIZE: u32 = 50;
    let mut server = Server::start(&[]).await;
    let vectors = filled(&server, 0).await;
    let done = Arc::new(AtomicU32::new(0));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (vectors, done) = (vectors.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                for batch in (writer..BATCHES).step_by(2) {
                    // Each overlaps the next.
                    let points = (batch * SIZE..batch * SIZE + SIZE + 5).map(point).collect();
                    insist(&vectors, points).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for kill in [10, 30] {
        let start = Instant::now();
        while done.load(Ordering::Relaxed) < kill {
            assert!(start.elapsed() < Duration::from_secs(60));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill();
        server.run().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    // Once more: what was acknowledged survives the end of the process.
    server.kill();
    server.run().await;
    let all = BATCHES * SIZE + 5;
    let vectors = server.open(|config| config).await.unwrap().vectors();
    assert_eq!(vectors.count(&at(), &Filter::all()).await.unwrap(), u64::from(all));
    let ids: Vec<PointId> = (0..all).map(|n| point(n).id).collect();
    let read = vectors.get(&at(), &ids).await.unwrap();
    for (n, read) in (0..all).zip(read) {
        assert_eq!(read, Some(point(n)));
    }
    let found = vectors.search(&at(), &search(Accuracy::Exact)).await.unwrap();
    assert_eq!(found.len(), 20);
    let needs = [Capability::Durable, Capability::MultiProcess];
    proved("qdrant", "vectors", "killed_during_ingest", &needs, &vectors.capabilities());
}

#[tokio::test]
async fn a_wrong_key_is_denied_and_not_printed() {
    let server = Server::start(&[("QDRANT__SERVICE__API_KEY", "right-secret")]).await;
    for key in [None, Some("wrong-secret".to_owned())] {
        let opened = server.open(|config| QdrantConfig { api_key: key.clone(), ..config }).await;
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{key:?}: {error:?}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
    let right = |config| QdrantConfig { api_key: Some("right-secret".into()), ..config };
    let qdrant = server.open(right).await.unwrap();
    assert!(qdrant.vectors().create(&at(), spec()).await.unwrap());
    assert!(!format!("{qdrant:?}").contains("secret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_write_can_be_repeated() {
    let server = Server::start(&[]).await;
    let vectors = filled(&server, 0).await;
    let (c, points): (_, Vec<Point>) = (at(), (0..2_000).map(point).collect());
    for millis in [0, 1, 5, 20, 60] {
        // Dropped wherever it stands.
        let write = vectors.upsert(&c, points.clone());
        let _ = tokio::time::timeout(Duration::from_millis(millis), write).await;
    }
    vectors.upsert(&at(), points.clone()).await.unwrap();
    assert_eq!(vectors.count(&at(), &Filter::all()).await.unwrap(), 2_000);
    assert_eq!(vectors.get(&at(), &[points[7].id]).await.unwrap(), [Some(points[7].clone())]);
}

#[tokio::test]
async fn messages_are_bounded() {
    let server = Server::start(&[]).await;
    filled(&server, 0).await;
    let small = |config| QdrantConfig { batch_points: 7, batch_bytes: 65_536, ..config };
    let vectors = server.open(small).await.unwrap().vectors();
    // Some are larger than a message by themselves.
    let large = |n: u32| Point {
        payload: json!({"n": n, "text": "x".repeat(if n.is_multiple_of(9) { 200_000 } else { 20_000 })}),
        ..point(n)
    };
    vectors.upsert(&at(), (0..60).map(large).collect()).await.unwrap();
    assert_eq!(vectors.count(&at(), &Filter::all()).await.unwrap(), 60);
    assert_eq!(vectors.get(&at(), &[point(9).id]).await.unwrap(), [Some(large(9))]);
}

#[tokio::test]
async fn the_server_asks_to_slow_down() {
    let server = Server::start(&[]).await;
    let vectors = filled(&server, 5).await;
    let strict = qdrant_client::qdrant::StrictModeConfig {
        enabled: Some(true),
        read_rate_limit: Some(2),
        ..Default::default()
    };
    let change = qdrant_client::qdrant::UpdateCollection {
        collection_name: "hexmem.t.c".into(),
        strict_mode_config: Some(strict),
        ..Default::default()
    };
    server.driver().update_collection(change).await.unwrap();
    let mut refused = None;
    for _ in 0..20 {
        if let Err(error) = vectors.scroll(&at(), &Filter::all(), None, Limit::default()).await {
            refused = Some(error);
            break;
        }
    }
    let error = refused.unwrap();
    assert_eq!(error.kind(), ErrorKind::RateLimited, "{error:?}");
    assert!(matches!(error.retry_hint(), Retry::After(_)), "{error:?}");
}

#[tokio::test]
async fn what_something_else_made_is_left_alone() {
    let server = Server::start(&[]).await;
    let vectors = server.open(|config| config).await.unwrap().vectors();
    let foreign = qdrant_client::qdrant::CreateCollection {
        collection_name: "hexmem.t.c".into(),
        ..Default::default()
    };
    server.driver().create_collection(foreign).await.unwrap();
    for error in [
        vectors.create(&at(), spec()).await.unwrap_err(),
        vectors.drop_collection(&at()).await.unwrap_err(),
        vectors.upsert(&at(), vec![point(1)]).await.unwrap_err(),
        vectors.info(&at()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        assert!(error.to_string().contains("hexmem.t.c"), "{error}");
    }
    assert!(server.driver().collection_exists("hexmem.t.c").await.unwrap());
    let seen = server.open(|config| config).await.unwrap().inspect().await.unwrap();
    assert_eq!(seen.collections[0].collection, None);
    assert_eq!(seen.warnings.len(), 1, "{:?}", seen.warnings);
}
