//! Two stores side by side through many changes.

use std::collections::BTreeMap;

use hexmem_ports::{
    Accuracy, CollectionId, CollectionSpec, DenseSpec, Distance, EmbeddingSpace, FieldKind, Filter,
    Point, PointId, SparseSpec, SparseVector, Tenant, VectorQuery, VectorSearch, VectorStore,
    Weighting,
};
use serde_json::json;
use uuid::Uuid;

use super::fixture::{field, limit};
use crate::{Numbers, name};

fn spec(dimension: u32) -> CollectionSpec {
    let space = EmbeddingSpace {
        provider: name("test"),
        model: name("m"),
        dimension,
        normalised: false,
        preprocessing: String::new(),
    };
    CollectionSpec {
        dense: [(name("d"), DenseSpec { space, distance: Distance::Cosine })].into(),
        sparse: [(name("s"), SparseSpec { weighting: Weighting::Idf })].into(),
        indexed: [(field("lang"), FieldKind::Keyword), (field("n"), FieldKind::Integer)].into(),
        constants: json!(null),
    }
}

fn value(numbers: &mut Numbers) -> f32 {
    f32::from(u16::try_from(numbers.below(1_000)).unwrap()) / 333.0
}

fn sparse(numbers: &mut Numbers, terms: u32) -> SparseVector {
    let list: BTreeMap<u32, f32> = (0..terms)
        .map(|_| {
            let bound = 1 << (numbers.below(10) + 1);
            (numbers.below(bound), value(numbers))
        })
        .collect();
    SparseVector::new(list.keys().copied().collect(), list.values().copied().collect()).unwrap()
}

fn point(numbers: &mut Numbers, dimension: u32, n: u32) -> Point {
    let dense =
        (0..dimension).map(|i| if i % 64 == n % 64 { value(numbers) } else { 0.5 }).collect();
    Point {
        id: PointId(Uuid::from_u128(u128::from(n.wrapping_mul(2_654_435_761)))),
        dense: [(name("d"), dense)].into(),
        sparse: [(name("s"), sparse(numbers, 20))].into(),
        payload: json!({"n": n, "lang": (["en", "de", "fr"][n as usize % 3])}),
    }
}

async fn same(
    a: &dyn VectorStore,
    b: &dyn VectorStore,
    c: &CollectionId,
    dimension: u32,
    numbers: &mut Numbers,
) {
    let filters = [
        json!({}),
        json!({"field": "lang", "eq": "de"}),
        json!({"field": "n", "gte": 40, "lt": 160}),
        json!({"not": {"field": "lang", "eq": "en"}}),
    ];
    for filter in filters {
        let filter = Filter::parse(&filter).unwrap();
        let seed = numbers.below(9);
        let dense = point(numbers, dimension, seed).dense[&name("d")].clone();
        let parts = vec![
            VectorQuery::Sparse { vector: name("s"), values: sparse(numbers, 6) },
            VectorQuery::Dense { vector: name("d"), values: dense },
        ];
        let fused = VectorQuery::Fused { parts: parts.clone(), k: 60, candidates: limit(50) };
        for query in parts.into_iter().chain([fused]) {
            let search = VectorSearch {
                query,
                filter: filter.clone(),
                limit: limit(30),
                min_score: None,
                accuracy: Accuracy::Exact,
            };
            assert_eq!(a.search(c, &search).await.unwrap(), b.search(c, &search).await.unwrap());
        }
        assert_eq!(a.count(c, &filter).await.unwrap(), b.count(c, &filter).await.unwrap());
        let page = limit(25);
        let (one, two) = (a.scroll(c, &filter, None, page), b.scroll(c, &filter, None, page));
        assert_eq!(one.await.unwrap(), two.await.unwrap());
    }
}

/// Panics unless `a` and `b` answer alike, to the bit, through many small and large writes and removals. Dense vectors
/// have `dimension` numbers: the more, the fewer fill whatever blocks a store has. All points are removed at the end.
pub async fn agree_through_changes(a: &dyn VectorStore, b: &dyn VectorStore, dimension: u32) {
    let c = CollectionId::new(Tenant(name("t")), name("c"));
    for store in [a, b] {
        store.create(&c, spec(dimension)).await.unwrap();
    }
    let mut numbers = Numbers(5);
    for step in 0..60u32 {
        let count = if step % 10 == 0 { 60 } else { numbers.below(4) + 1 };
        let points: Vec<Point> = (0..count)
            .map(|_| {
                let n = numbers.below(300);
                point(&mut numbers, dimension, n)
            })
            .collect();
        a.upsert(&c, points.clone()).await.unwrap();
        b.upsert(&c, points).await.unwrap();
        if step % 7 == 6 {
            let start = numbers.below(200);
            let gone = json!({"field": "n", "gte": start, "lt": start + 90});
            let gone = Filter::parse(&gone).unwrap();
            let removed = a.delete_where(&c, &gone).await.unwrap();
            assert_eq!(b.delete_where(&c, &gone).await.unwrap(), removed);
        }
        if step % 6 == 0 || step > 55 {
            same(a, b, &c, dimension, &mut numbers).await;
        }
    }
    let all = Filter::all();
    let removed = a.delete_where(&c, &all).await.unwrap();
    assert_eq!(b.delete_where(&c, &all).await.unwrap(), removed);
}
