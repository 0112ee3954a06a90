//! The order of what is found in a corpus of texts.

use std::collections::BTreeMap;

use hexmem_ports::{
    CollectionId, CollectionSpec, Found, Point, PointId, SparseVector, VectorStore,
};
use serde_json::json;

use super::Vectors;
use super::fixture::*;
use crate::{Numbers, name};

const DOCUMENTS: u32 = 400;
const WORDS: u32 = 3_000;

/// What scores may differ by and still count as the same: sums of some products in f32 stay well within.
const SAME: f64 = 1e-5;

/// A word's number, spread over all there are, as hashes of words are.
fn index(word: u32) -> u32 {
    word.wrapping_mul(2_654_435_761)
}

/// A word as texts have them: of each doubling of ranks as many.
fn word(numbers: &mut Numbers) -> u32 {
    let bound = WORDS >> numbers.below(11);
    numbers.below(bound.max(1))
}

/// Words and how often each occurs.
fn words(numbers: &mut Numbers, count: u32) -> BTreeMap<u32, u32> {
    let mut counts = BTreeMap::new();
    for _ in 0..count {
        *counts.entry(index(word(numbers))).or_default() += 1;
    }
    counts
}

/// The document's side of BM25, as `rag` computes it.
fn document(numbers: &mut Numbers) -> SparseVector {
    let length = 10 + numbers.below(110);
    let norm = 0.25 + 0.75 * length as f32 / 60.0;
    let weight = |tf: u32| tf as f32 * 3.0 / (tf as f32 + 2.0 * norm);
    let (indices, values) =
        words(numbers, length).into_iter().map(|(word, tf)| (word, weight(tf))).unzip();
    SparseVector::new(indices, values).unwrap()
}

/// A question of some words.
fn question(numbers: &mut Numbers) -> SparseVector {
    let count = 1 + numbers.below(8);
    let (indices, values) =
        words(numbers, count).into_iter().map(|(word, times)| (word, times as f32)).unzip();
    SparseVector::new(indices, values).unwrap()
}

fn text(n: u32, words: SparseVector) -> Point {
    Point {
        id: id(n),
        dense: [].into(),
        sparse: [(name("idf"), words)].into(),
        payload: json!({"n": n}),
    }
}

/// The corpus: every ninth text is a copy of an earlier one.
fn corpus(numbers: &mut Numbers) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for n in 0..DOCUMENTS {
        let words = if n % 9 == 8 {
            points[numbers.below(n) as usize].sparse[&name("idf")].clone()
        } else {
            document(numbers)
        };
        points.push(text(n, words));
    }
    points
}

/// Panics unless each place is held by a point whose score there is told apart from no other's.
fn in_order(
    found: &[Found],
    expected: &[(PointId, f64)],
    texts: &BTreeMap<PointId, &SparseVector>,
    rows: usize,
) {
    assert_eq!(found.len(), expected.len().min(rows));
    let scores: BTreeMap<PointId, f64> = expected.iter().copied().collect();
    for (place, (hit, (wanted, score))) in found.iter().zip(expected).enumerate() {
        let own = scores.get(&hit.id).unwrap_or_else(|| panic!("{} must not be found", hit.id));
        let same = (own - score).abs() <= SAME * score.abs();
        assert!(same, "place {place}: {} of {own}, not {wanted} of {score}", hit.id);
    }
    for pair in found.windows(2) {
        if texts[&pair[0].id] == texts[&pair[1].id] {
            assert!(pair[0].id < pair[1].id, "copies come in order of id");
        }
    }
}

/// All that `query` must find, best first, in f64 and straight from the definition.
fn order(
    points: &[Point],
    counts: &BTreeMap<u32, u32>,
    query: &SparseVector,
) -> Vec<(PointId, f64)> {
    let total = points.len() as f64;
    let weights: BTreeMap<u32, f64> = query
        .iter()
        .map(|(word, times)| {
            let with = f64::from(counts.get(&word).copied().unwrap_or_default());
            (word, f64::from(times) * (1.0 + (total - with + 0.5) / (with + 0.5)).ln())
        })
        .collect();
    let score = |point: &Point| {
        let own = point.sparse[&name("idf")].iter();
        let parts = own.filter_map(|(word, value)| Some(f64::from(value) * weights.get(&word)?));
        parts.fold(None, |sum: Option<f64>, part| Some(sum.unwrap_or_default() + part))
    };
    let mut all: Vec<(PointId, f64)> =
        points.iter().filter_map(|point| Some((point.id, score(point)?))).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all
}

async fn ask(store: &dyn VectorStore, c: &CollectionId, points: &[Point], numbers: &mut Numbers) {
    let texts: BTreeMap<PointId, &SparseVector> =
        points.iter().map(|point| (point.id, &point.sparse[&name("idf")])).collect();
    let mut counts = BTreeMap::new();
    for (word, _) in texts.values().flat_map(|text| text.iter()) {
        *counts.entry(word).or_default() += 1;
    }
    for _ in 0..30 {
        let values = question(numbers);
        let expected = order(points, &counts, &values);
        for rows in [10, 100] {
            let query = search(sparse_query("idf", values.clone()), rows);
            in_order(&store.search(c, &query).await.unwrap(), &expected, &texts, rows as usize);
        }
    }
}

/// `VEC-SEARCH-10`
pub async fn vec_search_10(rig: Vectors) {
    let c = collection(&rig);
    let sparse_only = CollectionSpec { dense: [].into(), ..spec() };
    assert!(rig.store.create(&c, sparse_only).await.unwrap());
    let mut numbers = Numbers(11);
    let mut points = corpus(&mut numbers);
    for batch in points.chunks(150) {
        rig.store.upsert(&c, batch.to_vec()).await.unwrap();
    }
    ask(&*rig.other, &c, &points, &mut numbers).await;
    // A third leaves, a third is written anew: other words are rare now.
    let gone: Vec<PointId> = points.drain(..DOCUMENTS as usize / 3).map(|point| point.id).collect();
    rig.other.delete(&c, &gone).await.unwrap();
    let half = points.len() / 2;
    for point in &mut points[..half] {
        point.sparse.insert(name("idf"), document(&mut numbers));
    }
    rig.other.upsert(&c, points[..half].to_vec()).await.unwrap();
    ask(&*rig.store, &c, &points, &mut numbers).await;
}
