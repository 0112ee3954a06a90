//! Searches against a ranking by brute force.

use hexmem_ports::{
    Accuracy, CollectionId, CollectionSpec, DenseSpec, Distance, ErrorKind, Filter, Point, PointId,
    SparseVector, VectorQuery, VectorSearch,
};
use serde_json::json;

use super::Vectors;
use super::fixture::*;
use super::reads::filters;
use crate::{Numbers, name, other_tenant};

/// `VEC-SEARCH-1`
pub async fn vec_search_1(rig: Vectors) {
    let (c, points) = filled(&rig, 200).await;
    let mut numbers = Numbers(99);
    for round in 0..6u32 {
        for (vector, dimension) in [("cos", DIMENSION), ("dot", WIDE), ("euclid", DIMENSION)] {
            let values =
                if round == 0 { vec![0.0; dimension as usize] } else { numbers.dense(dimension) };
            let query = dense_query(vector, values);
            let expected = ranking(&points, &query, &Filter::all());
            for rows in [1, 10, 1_000] {
                let found = rig.other.search(&c, &search(query.clone(), rows)).await.unwrap();
                agree(&found, &expected, rows as usize);
                let payload = |id| points.iter().find(|point| point.id == id).map(|p| &p.payload);
                assert!(found.iter().all(|hit| payload(hit.id) == Some(&hit.payload)));
                assert!(found.iter().all(|hit| hit.parts.is_empty()));
            }
        }
    }
}

fn queries() -> Vec<SparseVector> {
    let mut numbers = Numbers(7);
    let mut all: Vec<_> = (0..12).map(|_| numbers.sparse(6)).collect();
    all.extend([
        sparse(&[(0, -1.0), (1, 2.0)]),
        sparse(&[(0, 0.0)]),
        sparse(&[(0, 1.0), (1_000_000, 5.0)]),
        sparse(&[(1_000_000, 5.0)]),
        SparseVector::default(),
    ]);
    all
}

/// `VEC-SEARCH-2`
pub async fn vec_search_2(rig: Vectors) {
    let (c, mut points) = filled(&rig, 200).await;
    for step in 0..3 {
        for vector in ["idf", "plain"] {
            for values in queries() {
                let query = sparse_query(vector, values);
                let expected = ranking(&points, &query, &Filter::all());
                for rows in [3, 1_000] {
                    let found = rig.other.search(&c, &search(query.clone(), rows)).await.unwrap();
                    agree(&found, &expected, rows as usize);
                }
                // The filter chooses points, not the population that weights come from.
                let some = filter(&json!({"field": "lang", "eq": "de"}));
                let expected = ranking(&points, &query, &some);
                let found = VectorSearch { filter: some, ..search(query, 1_000) };
                agree(&rig.store.search(&c, &found).await.unwrap(), &expected, 1_000);
            }
        }
        // The counts follow what is removed and replaced.
        if step == 0 {
            let gone: Vec<PointId> = (0..60).map(id).collect();
            rig.store.delete(&c, &gone).await.unwrap();
            points.drain(..60);
        } else {
            for n in 100..140 {
                let changed = Point { id: id(n), ..point(n + 5_000) };
                let at = points.iter().position(|point| point.id == id(n)).unwrap();
                points[at] = changed.clone();
                rig.other.upsert(&c, vec![changed]).await.unwrap();
            }
        }
    }
}

/// `VEC-SEARCH-3`
pub async fn vec_search_3(rig: Vectors) {
    let (c, points) = filled(&rig, 120).await;
    let parts = vec![
        dense_query("cos", vec![1.0, -0.5, 2.0, 0.25]),
        sparse_query("idf", sparse(&[(0, 1.0), (1, 1.0), (5, 2.0)])),
        sparse_query("plain", sparse(&[(3, 1.0)])),
    ];
    let some = filter(&json!({"field": "flag", "eq": true}));
    for (k, depth) in [(60, 30), (1, 5), (60, 1_000)] {
        let lists: Vec<Vec<(PointId, f32)>> = {
            let mut lists = Vec::new();
            for part in &parts {
                let one = VectorSearch { filter: some.clone(), ..search(part.clone(), depth) };
                let found = rig.store.search(&c, &one).await.unwrap();
                agree(&found, &ranking(&points, part, &some), depth as usize);
                lists.push(found.into_iter().map(|hit| (hit.id, hit.score)).collect());
            }
            lists
        };
        let rank = |list: &[(PointId, f32)], id| list.iter().position(|(other, _)| *other == id);
        let mut union: Vec<PointId> = lists.iter().flatten().map(|(id, _)| *id).collect();
        union.sort();
        union.dedup();
        let score = |id| {
            let ranks = lists.iter().filter_map(|list| rank(list, id));
            ranks.map(|rank| 1.0 / (f64::from(k) + 1.0 + rank as f64)).sum::<f64>()
        };
        let mut expected: Vec<(PointId, f64)> = union.iter().map(|id| (*id, score(*id))).collect();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let query = VectorQuery::Fused { parts: parts.clone(), k, candidates: limit(depth) };
        for rows in [4, 1_000] {
            let fused = VectorSearch { filter: some.clone(), ..search(query.clone(), rows) };
            let found = rig.other.search(&c, &fused).await.unwrap();
            agree(&found, &expected, rows as usize);
            for hit in found {
                let parts: Vec<Option<f32>> =
                    lists.iter().map(|list| rank(list, hit.id).map(|rank| list[rank].1)).collect();
                assert_eq!(hit.parts, parts, "the score in each list");
                assert!(some.matches(&hit.payload));
            }
        }
    }
}

/// `VEC-SEARCH-4`
pub async fn vec_search_4(rig: Vectors) {
    let (c, points) = filled(&rig, 150).await;
    for query in [
        dense_query("euclid", vec![0.5, 0.5, -1.0, 0.0]),
        sparse_query("idf", sparse(&[(0, 1.0), (1, 0.5), (2, 0.25), (3, 0.125)])),
    ] {
        for filter in filters() {
            let expected = ranking(&points, &query, &filter);
            let wanted = VectorSearch { filter: filter.clone(), ..search(query.clone(), 5) };
            let found = rig.store.search(&c, &wanted).await.unwrap();
            agree(&found, &expected, 5);
            assert!(found.iter().all(|hit| filter.matches(&hit.payload)));
        }
    }
}

/// `VEC-SEARCH-5`
pub async fn vec_search_5(rig: Vectors) {
    let c = collection(&rig);
    rig.store.create(&c, spec()).await.unwrap();
    let dense = dense_query("cos", vec![1.0, 0.0, 0.0, 0.0]);
    let sparse_one = sparse_query("plain", sparse(&[(9, 1.0)]));
    let fused = VectorQuery::Fused {
        parts: vec![dense.clone(), sparse_one.clone()],
        k: 60,
        candidates: limit(100),
    };
    for query in [&dense, &sparse_one, &fused] {
        assert_eq!(rig.store.search(&c, &search(query.clone(), 9)).await.unwrap(), [], "empty");
    }
    // Twenty that are the same but for their ids, and two that are better.
    let same = |n: u32, x: f32| Point {
        dense: [(name("cos"), vec![x, 1.0, 0.0, 0.0])].into(),
        sparse: [(name("plain"), sparse(&[(9, x)]))].into(),
        ..point(n)
    };
    let mut points: Vec<Point> = (0..20).map(|n| same(n, 1.0)).collect();
    points.extend([same(20, 4.0), same(21, 2.0)]);
    rig.store.upsert(&c, points).await.unwrap();
    let mut tied: Vec<PointId> = (0..20).map(id).collect();
    tied.sort();
    let expected: Vec<PointId> = [id(20), id(21)].into_iter().chain(tied).collect();
    for query in [&dense, &sparse_one] {
        for rows in [3, 7, 100] {
            let found = rig.other.search(&c, &search(query.clone(), rows)).await.unwrap();
            let rows = expected.len().min(rows as usize);
            assert_eq!(ids(&found), expected[..rows], "equal scores come in order of id");
        }
    }
    for (least, count) in [(1.5, 2), (2.0, 2), (2.5, 1), (1.0, 22), (-1.0, 22), (5.0, 0)] {
        let wanted = VectorSearch { min_score: Some(least), ..search(sparse_one.clone(), 100) };
        let found = rig.store.search(&c, &wanted).await.unwrap();
        assert_eq!(ids(&found), expected[..count], "at least {least}");
    }
    let wanted = VectorSearch { min_score: Some(0.9), ..search(dense, 100) };
    assert_eq!(ids(&rig.store.search(&c, &wanted).await.unwrap()), [id(20)]);
    let wanted = VectorSearch { min_score: Some(2.0 / 62.5), ..search(fused, 100) };
    assert_eq!(ids(&rig.store.search(&c, &wanted).await.unwrap()), [id(20), id(21)]);
}

/// `VEC-SEARCH-6`
pub async fn vec_search_6(rig: Vectors) {
    let absent = collection(&rig);
    let good = sparse_query("plain", sparse(&[(1, 1.0)]));
    let error = rig.store.search(&absent, &search(good.clone(), 1)).await.expect_err("absent");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let (c, _) = filled(&rig, 3).await;
    let fused = |parts, k| VectorQuery::Fused { parts, k, candidates: limit(10) };
    let wrong = [
        dense_query("cos", vec![1.0; 5]),
        dense_query("cos", vec![]),
        dense_query("cos", vec![f32::NAN; 4]),
        dense_query("unknown", vec![1.0; 4]),
        dense_query("plain", vec![1.0; 4]),
        sparse_query("unknown", sparse(&[(1, 1.0)])),
        sparse_query("cos", sparse(&[(1, 1.0)])),
        fused(vec![], 60),
        fused(vec![good.clone()], 0),
        fused(vec![good.clone(); 9], 60),
        fused(vec![good.clone(), fused(vec![good.clone()], 60)], 60),
        fused(vec![good.clone(), dense_query("cos", vec![1.0; 3])], 60),
    ];
    for query in wrong {
        let error = rig.store.search(&c, &search(query.clone(), 1)).await.expect_err("wrong");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{query:?}: {error}");
    }
    let unordered = VectorSearch { min_score: Some(f32::NAN), ..search(good, 1) };
    let error = rig.store.search(&c, &unordered).await.expect_err("no least score");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// `VEC-SEARCH-7`
pub async fn vec_search_7(rig: Vectors) {
    let (c, points) = filled(&rig, 40).await;
    let queries = [
        sparse_query("idf", sparse(&[(0, 1.0), (1, 1.0), (2, 1.0)])),
        dense_query("dot", vec![0.5; WIDE as usize]),
    ];
    let mut alone = Vec::new();
    for query in &queries {
        let found = rig.store.search(&c, &search(query.clone(), 1_000)).await.unwrap();
        agree(&found, &ranking(&points, query, &Filter::all()), 1_000);
        alone.push(found);
    }
    let same = async |when: &str| {
        for (query, alone) in queries.iter().zip(&alone) {
            for store in [&rig.store, &rig.other] {
                let found = store.search(&c, &search(query.clone(), 1_000)).await.unwrap();
                assert_eq!(&found, alone, "{when}");
            }
        }
    };
    // The same names and ids elsewhere, with the terms that decide the weights.
    let elsewhere = [
        CollectionId::new(rig.tenant.clone(), name("c2")),
        CollectionId::new(other_tenant(), c.name.clone()),
    ];
    for other in &elsewhere {
        rig.store.create(other, spec()).await.unwrap();
        rig.store.upsert(other, (20..120).map(point).collect()).await.unwrap();
    }
    same("written elsewhere").await;
    for other in &elsewhere {
        let gone: Vec<PointId> = (10..70).map(id).collect();
        assert_eq!(rig.other.delete(other, &gone).await.unwrap(), 50);
        let rest = filter(&json!({"field": "flag", "eq": true}));
        assert_eq!(rig.store.delete_where(other, &rest).await.unwrap(), 25);
    }
    same("removed elsewhere").await;
    for other in &elsewhere {
        assert!(rig.store.drop_collection(other).await.unwrap());
    }
    same("dropped elsewhere").await;
}

/// `VEC-SEARCH-8`
pub async fn vec_search_8(rig: Vectors) {
    let (c, mut points) = filled(&rig, 20).await;
    let queries =
        [sparse_query("idf", sparse(&[(0, 1.0), (1, 1.0)])), dense_query("euclid", vec![0.0; 4])];
    for step in 0..30u32 {
        let (write, read) =
            if step % 2 == 0 { (&rig.store, &rig.other) } else { (&rig.other, &rig.store) };
        if step % 3 == 2 {
            let gone = points.remove((step as usize * 7) % points.len());
            assert_eq!(write.delete(&c, &[gone.id]).await.unwrap(), 1);
        } else {
            let new = point(100 + step);
            write.upsert(&c, vec![new.clone()]).await.unwrap();
            points.push(new);
        }
        for query in &queries {
            let expected = ranking(&points, query, &Filter::all());
            let found = read.search(&c, &search(query.clone(), 1_000)).await.unwrap();
            agree(&found, &expected, 1_000);
        }
    }
}

/// `VEC-SEARCH-9`
pub async fn vec_search_9(rig: Vectors) {
    const POINTS: u32 = 1_500;
    let c = collection(&rig);
    let distances =
        [("cos", Distance::Cosine), ("dot", Distance::Dot), ("euclid", Distance::Euclid)];
    let dense = distances
        .map(|(vector, distance)| (name(vector), DenseSpec { space: space(24), distance }));
    let wide = CollectionSpec { dense: dense.into(), sparse: [].into(), ..spec() };
    rig.store.create(&c, wide).await.unwrap();
    let mut numbers = Numbers(3);
    let mut points: Vec<Point> = (0..POINTS)
        .map(|n| {
            let dense = distances.map(|(vector, _)| (name(vector), numbers.dense(24)));
            Point { dense: dense.into(), sparse: [].into(), ..point(n) }
        })
        .collect();
    for points in points.chunks(500) {
        rig.store.upsert(&c, points.to_vec()).await.unwrap();
    }
    // What an index has taken in must be gone from it too.
    let gone: Vec<PointId> = points.drain(..200).map(|point| point.id).collect();
    rig.store.delete(&c, &gone).await.unwrap();
    // Half of them, a third that no index of fields tells, 13 of them, none.
    let filters = [
        json!({}),
        json!({"field": "flag", "eq": true}),
        json!({"field": "tags", "eq": 1}),
        json!({"field": "n", "gte": 700, "lt": 713}),
        json!({"field": "lang", "eq": "no such"}),
    ];
    for condition in filters.iter().map(filter) {
        let (mut found, mut nearest) = (0, 0);
        for (vector, _) in distances {
            for _ in 0..8 {
                let query = dense_query(vector, numbers.dense(24));
                let expected = ranking(&points, &query, &condition);
                let wanted = VectorSearch {
                    filter: condition.clone(),
                    accuracy: Accuracy::Indexed,
                    ..search(query, 10)
                };
                let hits = rig.other.search(&c, &wanted).await.unwrap();
                assert_eq!(hits.len(), expected.len().min(10), "the limit is filled");
                let least = expected.get(9).or(expected.last()).map_or(0.0, |(_, score)| *score);
                for hit in &hits {
                    let (_, score) = expected.iter().find(|(id, _)| *id == hit.id).unwrap();
                    let near = (f64::from(hit.score) - score).abs() <= 1e-4 * (1.0 + score.abs());
                    assert!(near, "{} for {score}", hit.score);
                    // One that ties with the last of the nearest is as near.
                    found += u32::from(*score >= least - 1e-6);
                }
                nearest += u32::try_from(expected.len().min(10)).unwrap();
            }
        }
        assert!(found * 100 >= nearest * 98, "{found} of {nearest} for {}", condition.to_json());
    }
}
