//! A collection of everything, points made by number, and a ranking by brute force.

use std::collections::BTreeMap;

use hexmem_ports::{
    Accuracy, CollectionId, CollectionSpec, DenseSpec, Distance, EmbeddingSpace, FieldKind,
    FieldPath, Filter, Found, Limit, Name, Point, PointId, SparseSpec, SparseVector, VectorQuery,
    VectorSearch, VectorStore, Weighting,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Vectors;
use crate::{Numbers, name};

/// Numbers of the dense vectors `cos` and `euclid`; `dot` has one more than a wide register.
pub(super) const DIMENSION: u32 = 4;
pub(super) const WIDE: u32 = 19;

pub(super) fn collection(rig: &Vectors) -> CollectionId {
    CollectionId::new(rig.tenant.clone(), name("c"))
}

pub(super) fn limit(rows: u32) -> Limit {
    Limit::new(rows).unwrap()
}

pub(super) fn field(path: &str) -> FieldPath {
    FieldPath::new(path).unwrap()
}

pub(super) fn filter(json: &Value) -> Filter {
    Filter::parse(json).unwrap()
}

pub(super) fn id(n: u32) -> PointId {
    // Spread, so that the order of ids is not the order of writing.
    PointId(Uuid::from_u128(u128::from(n.wrapping_mul(2_654_435_761)) << 64 | u128::from(n)))
}

/// A space that no embedder has, of vectors of any length.
pub fn space(dimension: u32) -> EmbeddingSpace {
    EmbeddingSpace {
        provider: name("test"),
        model: name("m"),
        dimension,
        normalised: false,
        preprocessing: String::new(),
    }
}

pub(super) fn spec() -> CollectionSpec {
    let dense = |dimension, distance| DenseSpec { space: space(dimension), distance };
    CollectionSpec {
        dense: BTreeMap::from([
            (name("cos"), dense(DIMENSION, Distance::Cosine)),
            (name("dot"), dense(WIDE, Distance::Dot)),
            (name("euclid"), dense(DIMENSION, Distance::Euclid)),
        ]),
        sparse: BTreeMap::from([
            (name("idf"), SparseSpec { weighting: Weighting::Idf }),
            (name("plain"), SparseSpec { weighting: Weighting::Plain }),
        ]),
        indexed: BTreeMap::from([
            (field("lang"), FieldKind::Keyword),
            (field("year"), FieldKind::Integer),
            (field("m.score"), FieldKind::Float),
            (field("flag"), FieldKind::Bool),
        ]),
        constants: json!({"average": 12.5, "analysis": ["a", 1]}),
    }
}

pub(super) fn sparse(list: &[(u32, f32)]) -> SparseVector {
    let (indices, values) = list.iter().copied().unzip();
    SparseVector::new(indices, values).unwrap()
}

impl Numbers {
    /// From -4 to 4 in eighths: exact in every width.
    fn eighth(&mut self) -> f32 {
        f32::from(i16::try_from(self.below(65)).unwrap() - 32) / 8.0
    }

    pub(super) fn dense(&mut self, dimension: u32) -> Vec<f32> {
        (0..dimension).map(|_| self.eighth()).collect()
    }

    /// Low indices are in many vectors, high ones in few.
    pub(super) fn sparse(&mut self, most: u32) -> SparseVector {
        let count = self.below(most) + 1;
        let list: BTreeMap<u32, f32> = (0..count)
            .map(|_| {
                let bound = 1 << (self.below(7) + 1);
                let index = self.below(bound);
                // Some far apart, up to the last there is.
                let index = if index % 5 == 4 { u32::MAX - index } else { index };
                (index, self.eighth().abs() + 0.125)
            })
            .collect();
        SparseVector::new(list.keys().copied().collect(), list.values().copied().collect()).unwrap()
    }
}

/// Point `n`: most have all vectors, some lack one.
pub(super) fn point(n: u32) -> Point {
    let mut numbers = Numbers(u64::from(n) + 1);
    let mut dense = BTreeMap::from([
        (name("cos"), numbers.dense(DIMENSION)),
        (name("dot"), numbers.dense(WIDE)),
        (name("euclid"), numbers.dense(DIMENSION)),
    ]);
    let mut sparse =
        BTreeMap::from([(name("idf"), numbers.sparse(9)), (name("plain"), numbers.sparse(9))]);
    if n % 11 == 3 {
        dense.remove(&name("cos"));
        sparse.remove(&name("plain"));
    }
    if n % 13 == 5 {
        sparse.remove(&name("idf"));
    }
    let mut payload = json!({
        "n": n,
        "lang": (["en", "de", "日本"][n as usize % 3]),
        "year": 2000 + n % 7,
        "m": {"score": f64::from(n % 5) / 4.0},
        "flag": n.is_multiple_of(2),
        "tags": [format!("t{}", n % 4), "all", "all", n % 3],
        "text": "x".repeat(n as usize % 50),
    });
    if n % 10 == 9 {
        payload.as_object_mut().unwrap().remove("year");
    }
    Point { id: id(n), dense, sparse, payload }
}

/// The collection `c` with points `0..count`.
pub(super) async fn filled(rig: &Vectors, count: u32) -> (CollectionId, Vec<Point>) {
    let c = collection(rig);
    assert!(rig.store.create(&c, spec()).await.unwrap());
    let points: Vec<Point> = (0..count).map(point).collect();
    // Uneven batches through both handles.
    for (i, batch) in points.chunks(23).enumerate() {
        let store = if i % 2 == 0 { &rig.store } else { &rig.other };
        store.upsert(&c, batch.to_vec()).await.unwrap();
    }
    (c, points)
}

pub(super) fn dense_query(vector: &str, values: Vec<f32>) -> VectorQuery {
    VectorQuery::Dense { vector: name(vector), values }
}

pub(super) fn sparse_query(vector: &str, values: SparseVector) -> VectorQuery {
    VectorQuery::Sparse { vector: name(vector), values }
}

pub(super) fn search(query: VectorQuery, rows: u32) -> VectorSearch {
    VectorSearch {
        query,
        filter: Filter::all(),
        limit: limit(rows),
        min_score: None,
        accuracy: Accuracy::Exact,
    }
}

/// All that a single query must find among `points`, best first, in f64 and straight from the definition.
pub(super) fn ranking(
    points: &[Point],
    query: &VectorQuery,
    filter: &Filter,
) -> Vec<(PointId, f64)> {
    let mut all: Vec<(PointId, f64)> = match query {
        VectorQuery::Dense { vector, values } => points
            .iter()
            .filter_map(|p| Some((p, dense_score(vector, values, p.dense.get(vector)?))))
            .filter(|(p, _)| filter.matches(&p.payload))
            .map(|(p, score)| (p.id, score))
            .collect(),
        VectorQuery::Sparse { vector, values } => {
            let population: Vec<&SparseVector> =
                points.iter().filter_map(|p| p.sparse.get(vector)).collect();
            let weight = |index: u32| {
                if *vector != name("idf") {
                    return 1.0;
                }
                let total = population.len() as f64;
                let with =
                    population.iter().filter(|v| v.indices().contains(&index)).count() as f64;
                (1.0 + (total - with + 0.5) / (with + 0.5)).ln()
            };
            let score = |p: &Point| {
                let own = p.sparse.get(vector)?;
                let common: Vec<f64> = values
                    .iter()
                    .flat_map(|(i, q)| {
                        own.iter().filter(move |(j, _)| *j == i).map(move |(_, v)| (i, q, v))
                    })
                    .map(|(i, q, v)| f64::from(q) * f64::from(v) * weight(i))
                    .collect();
                (!common.is_empty()).then(|| common.iter().sum())
            };
            let passing = points.iter().filter(|p| filter.matches(&p.payload));
            passing.filter_map(|p| Some((p.id, score(p)?))).collect()
        }
        VectorQuery::Fused { .. } => unreachable!("the ranking of one list"),
    };
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all
}

fn dense_score(vector: &Name, a: &[f32], b: &[f32]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(x, y)| (f64::from(*x), f64::from(*y)));
    let dot: f64 = pairs().map(|(x, y)| x * y).sum();
    match vector.as_str() {
        "cos" => {
            let lengths =
                pairs().map(|(x, _)| x * x).sum::<f64>() * pairs().map(|(_, y)| y * y).sum::<f64>();
            if lengths == 0.0 { 0.0 } else { dot / lengths.sqrt() }
        }
        "dot" => dot,
        _ => -pairs().map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt(),
    }
}

/// Panics unless `found` is the best `rows` of `expected`: the scores within what f32 holds, ids exchanged only
/// where scores cannot be told apart, equal scores in order of id.
pub(super) fn agree(found: &[Found], expected: &[(PointId, f64)], rows: usize) {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-4 * (1.0 + b.abs());
    assert_eq!(found.len(), expected.len().min(rows), "{found:?}\nfor {expected:?}");
    let by_id: BTreeMap<PointId, f64> = expected.iter().copied().collect();
    let mut ids = std::collections::BTreeSet::new();
    for (at, (hit, (_, score))) in found.iter().zip(expected).enumerate() {
        assert!(near(f64::from(hit.score), *score), "place {at}: {} for {score}", hit.score);
        let own = by_id.get(&hit.id).unwrap_or_else(|| panic!("{} must not be found", hit.id));
        assert!(near(f64::from(hit.score), *own), "{}: {} for {own}", hit.id, hit.score);
        assert!(ids.insert(hit.id), "{} is found twice", hit.id);
    }
    for pair in found.windows(2) {
        assert!(pair[0].score >= pair[1].score);
        assert!(pair[0].score > pair[1].score || pair[0].id < pair[1].id, "ties go by id");
    }
}

pub(super) fn ids(found: &[Found]) -> Vec<PointId> {
    found.iter().map(|hit| hit.id).collect()
}

/// Everything that passes, by pages of `rows`.
pub(super) async fn scroll_all(
    store: &dyn VectorStore,
    c: &CollectionId,
    filter: &Filter,
    rows: u32,
) -> Vec<Point> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.scroll(c, filter, cursor, limit(rows)).await.unwrap();
        assert!(page.items.len() <= rows as usize, "the limit holds");
        all.extend(page.items);
        assert!(all.len() < 100_000, "the scroll does not end");
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}
