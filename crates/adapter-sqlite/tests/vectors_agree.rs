//! Memory and SQLite answer alike, to the bit, after many small and large writes and removals: segments are
//! merged, blocks rewritten, chunks of bitmaps freed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use hexmem_adapter_memory::{ManualClock, MemoryVectors};
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{
    Accuracy, CollectionId, CollectionSpec, DenseSpec, Distance, EmbeddingSpace, FieldKind,
    FieldPath, Filter, Limit, Name, Point, PointId, SparseSpec, SparseVector, Tenant, VectorQuery,
    VectorSearch, VectorStore, Weighting,
};
use serde_json::json;
use uuid::Uuid;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn spec() -> CollectionSpec {
    let space = EmbeddingSpace {
        provider: name("test"),
        model: name("m"),
        // Few vectors fill a block.
        dimension: 2_048,
        normalised: false,
        preprocessing: String::new(),
    };
    CollectionSpec {
        dense: [(name("d"), DenseSpec { space, distance: Distance::Cosine })].into(),
        sparse: [(name("s"), SparseSpec { weighting: Weighting::Idf })].into(),
        indexed: [
            (FieldPath::new("lang").unwrap(), FieldKind::Keyword),
            (FieldPath::new("n").unwrap(), FieldKind::Integer),
        ]
        .into(),
        constants: json!(null),
    }
}

/// Knuth's MMIX generator: the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap() % end
    }

    fn value(&mut self) -> f32 {
        f32::from(u16::try_from(self.below(1_000)).unwrap()) / 333.0
    }

    fn sparse(&mut self, terms: u32) -> SparseVector {
        let list: BTreeMap<u32, f32> = (0..terms)
            .map(|_| {
                let bound = 1 << (self.below(10) + 1);
                (self.below(bound), self.value())
            })
            .collect();
        SparseVector::new(list.keys().copied().collect(), list.values().copied().collect()).unwrap()
    }

    fn point(&mut self, n: u32) -> Point {
        let dense = (0..2_048).map(|i| if i % 64 == n % 64 { self.value() } else { 0.5 }).collect();
        Point {
            id: PointId(Uuid::from_u128(u128::from(n.wrapping_mul(2_654_435_761)))),
            dense: [(name("d"), dense)].into(),
            sparse: [(name("s"), self.sparse(20))].into(),
            payload: json!({"n": n, "lang": (["en", "de", "fr"][n as usize % 3])}),
        }
    }
}

async fn agree(a: &dyn VectorStore, b: &dyn VectorStore, c: &CollectionId, numbers: &mut Numbers) {
    let filters = [
        json!({}),
        json!({"field": "lang", "eq": "de"}),
        json!({"field": "n", "gte": 40, "lt": 160}),
        json!({"not": {"field": "lang", "eq": "en"}}),
    ];
    for filter in filters {
        let filter = Filter::parse(&filter).unwrap();
        let seed = numbers.below(9);
        let dense = numbers.point(seed).dense[&name("d")].clone();
        let parts = vec![
            VectorQuery::Sparse { vector: name("s"), values: numbers.sparse(6) },
            VectorQuery::Dense { vector: name("d"), values: dense },
        ];
        let candidates = Limit::new(50).unwrap();
        let fused = VectorQuery::Fused { parts: parts.clone(), k: 60, candidates };
        for query in parts.into_iter().chain([fused]) {
            let search = VectorSearch {
                query,
                filter: filter.clone(),
                limit: Limit::new(30).unwrap(),
                min_score: None,
                accuracy: Accuracy::Exact,
            };
            assert_eq!(a.search(c, &search).await.unwrap(), b.search(c, &search).await.unwrap());
        }
        assert_eq!(a.count(c, &filter).await.unwrap(), b.count(c, &filter).await.unwrap());
        let page = Limit::new(25).unwrap();
        let (one, two) = (a.scroll(c, &filter, None, page), b.scroll(c, &filter, None, page));
        assert_eq!(one.await.unwrap(), two.await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_agree_through_merges_and_removals() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let config = SqliteConfig::new(folder.path().join("x.db"));
    let database = Database::open(config, clock.clone()).await.unwrap();
    let (sqlite, memory) = (database.vectors(), MemoryVectors::new(clock));
    let c = CollectionId::new(Tenant(name("t")), name("c"));
    for store in [&sqlite as &dyn VectorStore, &memory] {
        store.create(&c, spec()).await.unwrap();
    }
    let mut numbers = Numbers(5);
    for step in 0..60u32 {
        let count = if step % 10 == 0 { 60 } else { numbers.below(4) + 1 };
        let points: Vec<Point> = (0..count)
            .map(|_| {
                let n = numbers.below(300);
                numbers.point(n)
            })
            .collect();
        memory.upsert(&c, points.clone()).await.unwrap();
        sqlite.upsert(&c, points).await.unwrap();
        if step % 7 == 6 {
            let start = numbers.below(200);
            let gone = json!({"field": "n", "gte": start, "lt": start + 90});
            let gone = Filter::parse(&gone).unwrap();
            let removed = memory.delete_where(&c, &gone).await.unwrap();
            assert_eq!(sqlite.delete_where(&c, &gone).await.unwrap(), removed);
        }
        if step % 6 == 0 || step > 55 {
            agree(&memory, &sqlite, &c, &mut numbers).await;
        }
    }
    let all = Filter::all();
    assert_eq!(
        sqlite.delete_where(&c, &all).await.unwrap(),
        memory.delete_where(&c, &all).await.unwrap()
    );
    let mut read = database.read("test.left").await.unwrap();
    for table in ["points", "live", "segments", "postings", "dense"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM vector_{table}"));
        let left: i64 = sqlx::query_scalar(sql).fetch_one(read.connection()).await.unwrap();
        assert_eq!(left, 0, "{table} is empty once all points are gone");
    }
}
