//! Dense search by the index of a SQLite file beside hnsw_rs, which keeps a graph in memory and nothing else.
//!
//! First a table: how long it takes to put the vectors in, how many of the ten nearest are found, what a search takes,
//! how much memory and disk; then criterion's ratio of searches. `HEXMEM_BENCH_POINTS` names other numbers of points
//! (`10000,100000`), `HEXMEM_BENCH_VECTORS` a file of vectors of 384 little-endian f32, of which the last 200 are asked
//! for; without it vectors lie in clusters of about 100, from a fixed seed.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig, SqliteVectors};
use hexmem_ports::rules::DenseQuery;
use hexmem_ports::{
    Accuracy, CollectionId, CollectionSpec, DenseSpec, Distance, EmbeddingSpace, Filter, Limit,
    Name, Point, PointId, Tenant, VectorQuery, VectorSearch, VectorStore as _,
};
use hnsw_rs::prelude::{DistCosine, Hnsw};
use serde_json::json;
use tokio::runtime::Runtime;
use uuid::Uuid;

const DIMENSION: usize = 384;
const ASKED: usize = 200;
/// As the index of hexmem: links, how many are looked at while building and while searching.
const LINKS: usize = 16;
const LOOK: usize = 128;
const BREADTH: usize = 128;

/// Knuth's MMIX generator: the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap() % end
    }

    fn unit(&mut self) -> f32 {
        f32::from(u16::try_from(self.below(2_000)).unwrap()) / 1_000.0 - 1.0
    }

    /// In clusters, as embeddings are, but less apart: a vector strays twice as far as its centre lies.
    fn dense(&mut self, clusters: u32) -> Vec<f32> {
        let mut centre = Numbers(u64::from(self.below(clusters)) * 7 + 1);
        (0..DIMENSION).map(|_| centre.unit() + self.unit() * 2.0).collect()
    }
}

fn vectors(count: usize) -> Vec<Vec<f32>> {
    if let Some(file) = std::env::var_os("HEXMEM_BENCH_VECTORS") {
        let bytes = std::fs::read(file).unwrap();
        let floats: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let all: Vec<Vec<f32>> = floats.chunks_exact(DIMENSION).map(<[f32]>::to_vec).collect();
        let count = (count + ASKED).min(all.len());
        return all[all.len() - count..].to_vec();
    }
    let mut numbers = Numbers(1);
    let clusters = u32::try_from(count / 100).unwrap().max(1);
    (0..count + ASKED).map(|_| numbers.dense(clusters)).collect()
}

fn exact(all: &[Vec<f32>], query: &[f32]) -> HashSet<usize> {
    let query = DenseQuery::new(Distance::Cosine, query);
    let mut scores: Vec<(f32, usize)> =
        all.iter().enumerate().map(|(at, vector)| (query.score(vector), at)).collect();
    scores.select_nth_unstable_by(9, |a, b| b.0.total_cmp(&a.0));
    scores[..10].iter().map(|(_, at)| *at).collect()
}

/// Resident memory of this process, in MB.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1_000.0
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn collection() -> CollectionId {
    CollectionId::new(Tenant(name("bench")), name("dense"))
}

fn point(at: usize, vector: &[f32]) -> Point {
    Point {
        id: PointId(Uuid::from_u128(at as u128)),
        dense: BTreeMap::from([(name("d"), vector.to_vec())]),
        sparse: BTreeMap::new(),
        payload: json!({"document": format!("d{}", at / 8), "text": "x".repeat(400)}),
    }
}

fn open(runtime: &Runtime, file: &Path) -> SqliteVectors {
    let opened = Database::open(SqliteConfig::new(file), Arc::new(SystemClock));
    runtime.block_on(opened).unwrap().vectors()
}

fn fill(runtime: &Runtime, file: &Path, all: &[Vec<f32>]) {
    let store = open(runtime, file);
    let space = EmbeddingSpace {
        provider: name("bench"),
        model: name("m"),
        dimension: u32::try_from(DIMENSION).unwrap(),
        normalised: false,
        preprocessing: String::new(),
    };
    let dense = [(name("d"), DenseSpec { space, distance: Distance::Cosine })].into();
    let spec = CollectionSpec { dense, ..CollectionSpec::default() };
    runtime.block_on(store.create(&collection(), spec)).unwrap();
    for (some, start) in all.chunks(1_000).zip((0..).step_by(1_000)) {
        let points = some.iter().enumerate().map(|(at, vector)| point(start + at, vector));
        runtime.block_on(store.upsert(&collection(), points.collect())).unwrap();
    }
}

fn search(
    runtime: &Runtime,
    store: &SqliteVectors,
    query: &[f32],
    accuracy: Accuracy,
) -> HashSet<usize> {
    let query = VectorQuery::Dense { vector: name("d"), values: query.to_vec() };
    let limit = Limit::new(10).unwrap();
    let search = VectorSearch { query, filter: Filter::all(), limit, min_score: None, accuracy };
    let hits = runtime.block_on(store.search(&collection(), &search)).unwrap();
    hits.iter().map(|hit| usize::try_from(hit.id.0.as_u128()).unwrap()).collect()
}

/// Recall, and the times in the middle and near the end of the list.
fn asked(
    queries: &[Vec<f32>],
    nearest: &[HashSet<usize>],
    mut search: impl FnMut(&[f32]) -> HashSet<usize>,
) -> (f64, Duration, Duration) {
    let (mut found, mut times) = (0, Vec::new());
    for (query, nearest) in queries.iter().zip(nearest) {
        let start = Instant::now();
        let hits = search(query);
        times.push(start.elapsed());
        found += hits.intersection(nearest).count();
    }
    times.sort_unstable();
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let recall = found as f64 / (10 * queries.len()) as f64;
    (recall, times[times.len() / 2], times[times.len() * 99 / 100])
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let sizes = std::env::var("HEXMEM_BENCH_POINTS").unwrap_or_else(|_| "10000".to_owned());
    for count in sizes.split(',').map(|size| size.trim().parse::<usize>().unwrap()) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hexmem.db");
        let all = vectors(count);
        let (all, queries) = all.split_at(all.len() - ASKED);
        let nearest: Vec<HashSet<usize>> = queries.iter().map(|query| exact(all, query)).collect();

        println!("\n{} vectors of {DIMENSION} numbers", all.len());
        println!(
            "| | put in, s | recall@10 | p50, ms | p99, ms | memory, MB |\n|---|---:|---:|---:|---:|---:|"
        );
        let row =
            |who: &str, put: Duration, (recall, p50, p99): (f64, Duration, Duration), mb: f64| {
                let ms = |time: Duration| time.as_secs_f64() * 1e3;
                let put = put.as_secs_f64();
                println!(
                    "| {who} | {put:.1} | {recall:.4} | {:.2} | {:.2} | {mb:.0} |",
                    ms(p50),
                    ms(p99)
                );
            };
        let before = memory();
        let start = Instant::now();
        fill(&runtime, &file, all);
        let put = start.elapsed();
        let store = open(&runtime, &file);
        let start = Instant::now();
        search(&runtime, &store, &queries[0], Accuracy::Indexed);
        let first = start.elapsed();
        let ours =
            asked(queries, &nearest, |query| search(&runtime, &store, query, Accuracy::Indexed));
        row("hexmem", put, ours, memory() - before);
        let compared = asked(&queries[..20], &nearest, |query| {
            search(&runtime, &store, query, Accuracy::Exact)
        });
        row("hexmem, exact", put, compared, f64::NAN);

        let before = memory();
        let start = Instant::now();
        let peer = Hnsw::<f32, DistCosine>::new(LINKS, all.len(), 16, LOOK, DistCosine {});
        let list: Vec<(&Vec<f32>, usize)> = all.iter().zip(0..).collect();
        peer.parallel_insert(&list);
        let put = start.elapsed();
        let theirs = asked(queries, &nearest, |query| {
            peer.search(query, 10, BREADTH).iter().map(|near| near.d_id).collect()
        });
        row("hnsw_rs, in memory", put, theirs, memory() - before);
        let mb = std::fs::metadata(&file).map_or(0, |file| file.len()) / 1_000_000;
        println!("first search of a process: {:.0} ms; file: {mb} MB", first.as_secs_f64() * 1e3);

        let mut group = criterion.benchmark_group("sqlite dense search by index beside a peer");
        let mut next = queries.iter().cycle();
        group.bench_function(BenchmarkId::new("hexmem", count), |bencher| {
            bencher.iter(|| search(&runtime, &store, next.next().unwrap(), Accuracy::Indexed));
        });
        group.bench_function(BenchmarkId::new("hnsw_rs", count), |bencher| {
            bencher.iter(|| peer.search(next.next().unwrap(), 10, BREADTH));
        });
        group.finish();
    }
    criterion.final_summary();
}
