//! Searches over 10,000 chunks of 384 numbers and 50 terms, and writes of 1,000, beside the bare client doing the same.
//!
//! Needs the server of `HEXMEM_TEST_QDRANT_URL`, on which both sides make collections of their own and drop them.
//! `HEXMEM_BENCH_POINTS=100000` measures another number of chunks.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_qdrant::{Qdrant, QdrantConfig, QdrantVectors};
use hexmem_conformance::Numbers;
use hexmem_ports::{
    Accuracy, CollectionId, CollectionSpec, DenseSpec, Distance, EmbeddingSpace, Filter, Limit,
    Name, Point, PointId, SparseSpec, Tenant, VectorQuery, VectorSearch, VectorStore, Weighting,
};
use qdrant_client::Payload;
use qdrant_client::qdrant::{
    self as wire, CreateCollectionBuilder, Modifier, NamedVectors, PointStruct, Query,
    QueryPointsBuilder, SearchParamsBuilder, SparseVectorParamsBuilder, SparseVectorsConfigBuilder,
    UpsertPointsBuilder, VectorInput, VectorParamsBuilder, VectorsConfigBuilder,
};
use serde_json::json;
use tokio::runtime::Runtime;
use uuid::Uuid;

const DIMENSION: u32 = 384;
const BATCH: u32 = 1_000;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Of length 1, as embedders give them: another is kept beside its direction.
fn embedding(numbers: &mut Numbers) -> Vec<f32> {
    let values = numbers.clustered(DIMENSION);
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| value / length).collect()
}

fn chunk(numbers: &mut Numbers, n: u32) -> Point {
    Point {
        id: PointId(Uuid::from_u128(u128::from(n.wrapping_mul(2_654_435_761)))),
        dense: [(name("d"), embedding(numbers))].into(),
        sparse: [(name("s"), numbers.terms(50))].into(),
        payload: json!({"document": format!("d{}", n / 8), "chunk": n % 8, "text": "x".repeat(400)}),
    }
}

fn spec() -> CollectionSpec {
    let space =
        EmbeddingSpace { normalised: true, ..hexmem_conformance::vectors::space(DIMENSION) };
    CollectionSpec {
        dense: [(name("d"), DenseSpec { space, distance: Distance::Cosine })].into(),
        sparse: [(name("s"), SparseSpec { weighting: Weighting::Idf })].into(),
        ..CollectionSpec::default()
    }
}

/// The same point as the bare client has it.
fn bare_point(point: &Point) -> PointStruct {
    let mut vectors = NamedVectors::default();
    for (name, values) in &point.dense {
        vectors = vectors.add_vector(name.as_str(), values.clone());
    }
    for (name, values) in &point.sparse {
        let pairs: Vec<(u32, f32)> = values.iter().collect();
        vectors = vectors.add_vector(name.as_str(), pairs);
    }
    let mut payload = Payload::new();
    for (key, value) in point.payload.as_object().unwrap() {
        match (value.as_str(), value.as_i64()) {
            (Some(text), _) => payload.insert(key.as_str(), text),
            (_, number) => payload.insert(key.as_str(), number.unwrap()),
        }
    }
    PointStruct::new(point.id.0.to_string(), vectors, payload)
}

/// Both sides on one server.
struct Sides {
    runtime: Runtime,
    store: QdrantVectors,
    collection: CollectionId,
    client: qdrant_client::Qdrant,
    bare: String,
}

impl Sides {
    fn open(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let own = Uuid::new_v4().simple().to_string();
        let (qdrant, client) = runtime.block_on(async {
            let qdrant = Qdrant::connect(QdrantConfig::new(url), Arc::new(SystemClock));
            let client = qdrant_client::Qdrant::from_url(url).skip_compatibility_check();
            (qdrant.await.unwrap(), client.timeout(Duration::from_secs(60)).build().unwrap())
        });
        let collection = CollectionId::new(Tenant(name(&format!("bench-{own}"))), name("c"));
        Self { runtime, store: qdrant.vectors(), collection, client, bare: format!("bare-{own}") }
    }

    async fn fill(&self, chunks: u32) {
        self.store.create(&self.collection, spec()).await.unwrap();
        let mut dense = VectorsConfigBuilder::default();
        let params = VectorParamsBuilder::new(DIMENSION.into(), wire::Distance::Cosine);
        dense.add_named_vector_params("d", params);
        let mut sparse = SparseVectorsConfigBuilder::default();
        let params = SparseVectorParamsBuilder::default().modifier(Modifier::Idf);
        sparse.add_named_vector_params("s", params);
        let create = CreateCollectionBuilder::new(&self.bare)
            .vectors_config(dense)
            .sparse_vectors_config(sparse);
        self.client.create_collection(create).await.unwrap();
        let mut numbers = Numbers(1);
        for start in (0..chunks).step_by(BATCH as usize) {
            let end = chunks.min(start + BATCH);
            let points: Vec<Point> = (start..end).map(|n| chunk(&mut numbers, n)).collect();
            self.write_bare(points.iter().map(bare_point).collect()).await;
            self.store.upsert(&self.collection, points).await.unwrap();
        }
        for one in self.client.list_collections().await.unwrap().collections {
            // Both sides are measured with their indexes as they will stay.
            loop {
                let info = self.client.collection_info(one.name.clone()).await;
                let green =
                    |info: wire::CollectionInfo| info.status() == wire::CollectionStatus::Green;
                if info.ok().and_then(|info| info.result).is_none_or(green) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    async fn write_bare(&self, points: Vec<PointStruct>) {
        let upsert = UpsertPointsBuilder::new(&self.bare, points).wait(true);
        self.client.upsert_points(upsert).await.unwrap();
    }

    fn drop_both(self) {
        self.runtime.block_on(async {
            self.store.drop_collection(&self.collection).await.unwrap();
            self.client.delete_collection(self.bare.clone()).await.unwrap();
        });
    }
}

fn questions(sparse: bool) -> Vec<VectorQuery> {
    let mut numbers = Numbers(99);
    (0..50)
        .map(|_| {
            if sparse {
                VectorQuery::Sparse { vector: name("s"), values: numbers.terms(6) }
            } else {
                VectorQuery::Dense { vector: name("d"), values: embedding(&mut numbers) }
            }
        })
        .collect()
}

fn searches(
    group: &mut BenchmarkGroup<'_, WallTime>,
    title: &str,
    sides: &Sides,
    sparse: bool,
    accuracy: Accuracy,
) {
    let limit = Limit::new(10).unwrap();
    let asked: Vec<VectorSearch> = questions(sparse)
        .into_iter()
        .map(|query| VectorSearch {
            query,
            filter: Filter::all(),
            limit,
            min_score: None,
            accuracy,
        })
        .collect();
    let bare: Vec<QueryPointsBuilder> = asked
        .iter()
        .map(|search| {
            let (using, input) = match &search.query {
                VectorQuery::Dense { values, .. } => ("d", VectorInput::new_dense(values.clone())),
                VectorQuery::Sparse { values, .. } => {
                    ("s", VectorInput::new_sparse(values.indices(), values.values()))
                }
                VectorQuery::Fused { .. } => unreachable!("single questions"),
            };
            let exact = accuracy == Accuracy::Exact && !sparse;
            QueryPointsBuilder::new(&sides.bare)
                .query(Query::new_nearest(input))
                .using(using)
                .limit(10)
                .params(SearchParamsBuilder::default().exact(exact))
                .with_payload(true)
        })
        .collect();
    let ours = |search: &VectorSearch| {
        let found = sides.store.search(&sides.collection, search);
        assert_eq!(sides.runtime.block_on(found).unwrap().len(), 10);
    };
    let theirs = |query: &QueryPointsBuilder| {
        let found = sides.client.query(query.clone());
        assert_eq!(black_box(sides.runtime.block_on(found).unwrap()).result.len(), 10);
    };
    let [hexmem, client] = in_turn(&asked, ours, &bare, theirs);
    println!("{title}, in turn: hexmem {hexmem:?}, qdrant-client {client:?}, medians");
    let mut next = asked.iter().cycle();
    group.bench_function("hexmem", |bencher| bencher.iter(|| ours(next.next().unwrap())));
    let mut next = bare.iter().cycle();
    group.bench_function("qdrant-client", |bencher| bencher.iter(|| theirs(next.next().unwrap())));
}

/// The medians of both sides, a question of each in turn: what changes in the server while it is measured changes for both.
fn in_turn<A, B>(asked: &[A], ours: impl Fn(&A), bare: &[B], theirs: impl Fn(&B)) -> [Duration; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for (ask, query) in asked.iter().zip(bare).cycle().take(1_000) {
        let start = Instant::now();
        ours(ask);
        times[0].push(start.elapsed());
        let start = Instant::now();
        theirs(query);
        times[1].push(start.elapsed());
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}

fn writes(group: &mut BenchmarkGroup<'_, WallTime>, sides: &Sides) {
    let mut numbers = Numbers(5);
    let points: Vec<Point> = (0..BATCH).map(|n| chunk(&mut numbers, n)).collect();
    group.bench_function("hexmem", |bencher| {
        bencher.iter(|| {
            let write = sides.store.upsert(&sides.collection, points.clone());
            sides.runtime.block_on(write).unwrap();
        });
    });
    // Making the messages is part of the work: both sides begin with the same points.
    group.bench_function("qdrant-client", |bencher| {
        bencher.iter(|| {
            let write = sides.write_bare(points.iter().map(bare_point).collect());
            sides.runtime.block_on(write);
        });
    });
}

fn main() {
    let Ok(url) = std::env::var("HEXMEM_TEST_QDRANT_URL") else {
        println!("qdrant vectors: not measured: HEXMEM_TEST_QDRANT_URL names no server");
        return;
    };
    let chunks = std::env::var("HEXMEM_BENCH_POINTS").ok().and_then(|count| count.parse().ok());
    let sides = Sides::open(&url);
    sides.runtime.block_on(sides.fill(chunks.unwrap_or(10_000)));
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for (title, sparse, accuracy) in [
        ("qdrant dense search by index", false, Accuracy::Indexed),
        ("qdrant dense search exact", false, Accuracy::Exact),
        ("qdrant sparse search", true, Accuracy::Indexed),
        ("qdrant sparse search exact", true, Accuracy::Exact),
    ] {
        let mut group = criterion.benchmark_group(title);
        searches(&mut group, title, &sides, sparse, accuracy);
        group.finish();
    }
    let mut group = criterion.benchmark_group("qdrant upsert of 1000");
    group.sample_size(10);
    writes(&mut group, &sides);
    group.finish();
    criterion.final_summary();
    sides.drop_both();
}
