//! Processes that write one collection with an index, are killed while they do, and one that searches meanwhile.
//!
//! Child processes are this test binary again, told by an environment variable what to do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, DenseIndex, SqliteConfig};
use hexmem_conformance::vectors::{self, nearest};
use hexmem_ports::{
    Accuracy, CollectionId, CollectionSpec, DenseSpec, Distance, Filter, Found, Name, Point,
    PointId, Tenant, VectorStore as _,
};
use serde_json::json;
use uuid::Uuid;

const CHILD: &str = "HEXMEM_TEST_VECTOR_WRITER";
const DIMENSION: u32 = 12;
/// Points of one write, and how many of them each write removes again.
const BATCH: u32 = 40;
const GONE: u32 = 5;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn collection() -> CollectionId {
    CollectionId::new(Tenant(name("t")), name("c"))
}

async fn open(file: &Path) -> Database {
    let dense_index = DenseIndex { from: 64, ..DenseIndex::default() };
    let config = SqliteConfig { busy_timeout_ms: 60_000, dense_index, ..SqliteConfig::new(file) };
    Database::open(config, Arc::new(SystemClock)).await.unwrap()
}

/// The vector of a point, known to all processes.
fn vector(n: u32) -> Vec<f32> {
    let mut bits = u64::from(n) + 1;
    let mut next = || {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f32::from(u16::try_from(bits >> 48).unwrap()) / 32_768.0 - 1.0
    };
    next();
    (0..DIMENSION).map(|_| next()).collect()
}

fn id(n: u32) -> PointId {
    PointId(Uuid::from_u128(u128::from(n)))
}

fn point(n: u32) -> Point {
    Point {
        id: id(n),
        dense: [(name("d"), vector(n))].into(),
        sparse: [].into(),
        payload: json!({ "n": n }),
    }
}

fn writer(file: &Path, first: u32, batches: u32) -> Child {
    hexmem_conformance::role_command("child")
        .env(CHILD, json!([file, first, batches]).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a child process does: writes batches, removes a part of each, and says so after each.
#[tokio::test]
async fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (file, first, batches): (PathBuf, u32, u32) = serde_json::from_str(&told).unwrap();
    let store = open(&file).await.vectors();
    for batch in 0..batches {
        let start = first + batch * BATCH;
        let points = (start..start + BATCH).map(point).collect();
        store.upsert(&collection(), points).await.unwrap();
        println!("\nput {start}");
        let gone: Vec<PointId> = (start..start + GONE).map(id).collect();
        assert_eq!(store.delete(&collection(), &gone).await.unwrap(), u64::from(GONE));
        println!("\ngone {start}");
    }
}

async fn create(database: &Database) {
    let space = hexmem_conformance::vectors::space(DIMENSION);
    let dense = [(name("d"), DenseSpec { space, distance: Distance::Cosine })].into();
    let spec = CollectionSpec { dense, ..CollectionSpec::default() };
    database.vectors().create(&collection(), spec).await.unwrap();
}

async fn found(database: &Database, values: &[f32]) -> Vec<Found> {
    let store = database.vectors();
    nearest(&store, &collection(), values, &Filter::all(), Accuracy::Indexed).await
}

/// What was acknowledged is found by its own vector, and what was removed is not.
async fn check(database: &Database, acknowledged: &BTreeMap<u32, bool>) {
    for (start, removed) in acknowledged {
        for n in [*start, start + GONE, start + BATCH - 1] {
            let hits = found(database, &vector(n)).await;
            let there = hits.iter().any(|hit| hit.id == id(n));
            let unsure = n < start + GONE && !removed;
            assert!(unsure || there == (n >= start + GONE), "{n} in {hits:?}");
        }
    }
}

async fn recall(database: &Database) -> usize {
    let queries = (1_000_000..1_000_025).map(vector);
    vectors::recall(&database.vectors(), &collection(), queries, &Filter::all()).await
}

fn told(line: &str, acknowledged: &mut BTreeMap<u32, bool>) {
    match line.split_once(' ') {
        Some(("put", start)) => _ = acknowledged.insert(start.parse().unwrap(), false),
        Some(("gone", start)) => _ = acknowledged.insert(start.parse().unwrap(), true),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_writer_leaves_an_index_that_finds_what_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let database = open(&file).await;
    create(&database).await;
    let mut acknowledged = BTreeMap::new();
    for round in 0..8u32 {
        let mut child = writer(&file, round * 100_000, 10_000);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // A different moment each round.
        let mut left = 3 + (round * 7) % 12;
        while left > 0 {
            let line = lines.next().unwrap();
            left -= u32::from(line.starts_with("put ") || line.starts_with("gone "));
            told(&line, &mut acknowledged);
        }
        child.kill().unwrap();
        lines.for_each(|line| told(&line, &mut acknowledged));
        child.wait().unwrap();
        // Both who has known the index for long and who never saw it.
        check(&database, &acknowledged).await;
        check(&open(&file).await, &acknowledged).await;
    }
    assert!(database.inspect().await.unwrap().damage.is_empty());
    database.vectors().build_indexes(&collection()).await.unwrap();
    check(&database, &acknowledged).await;
    assert!(recall(&database).await >= 98 && recall(&open(&file).await).await >= 98);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_write_while_a_third_searches() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let database = open(&file).await;
    create(&database).await;
    let children = [0, 100_000].map(|first| writer(&file, first, 25));
    let mut lines: Vec<_> = children
        .map(|mut child| {
            (BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok), child)
        })
        .into();
    let (mut acknowledged, mut turns) = (BTreeMap::new(), 0u32);
    let mut open_ends = [true; 2];
    while open_ends.contains(&true) {
        for (at, (lines, _)) in lines.iter_mut().enumerate() {
            match lines.next() {
                Some(line) => told(&line, &mut acknowledged),
                None => open_ends[at] = false,
            }
        }
        turns += 1;
        if turns.is_multiple_of(16) {
            let last: BTreeMap<u32, bool> = acknowledged
                .iter()
                .rev()
                .take(2)
                .map(|(start, removed)| (*start, *removed))
                .collect();
            check(&database, &last).await;
        }
    }
    for (_, child) in &mut lines {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(acknowledged.len(), 50);
    check(&database, &acknowledged).await;
    let mut read = database.read("test.look").await.unwrap();
    let taken: i64 = sqlx::query_scalar("SELECT up_to FROM vector_near")
        .fetch_one(read.connection())
        .await
        .unwrap();
    assert!(taken > 1_000, "the index kept up: {taken}");
    drop(read);
    assert!(recall(&database).await >= 98 && recall(&open(&file).await).await >= 98);
}
