//! Writing and removing points.

use futures::future::join_all;
use hexmem_ports::{ErrorKind, Filter, Point, SparseVector};
use serde_json::json;

use super::Vectors;
use super::fixture::*;
use crate::{awkward_names, name, other_tenant};

/// `VEC-UPSERT-1`
pub async fn vec_upsert_1(rig: Vectors) {
    let (c, mut points) = filled(&rig, 50).await;
    let extreme = Point {
        dense: [(name("euclid"), vec![f32::MAX, f32::MIN_POSITIVE, -0.0, 1e-45])].into(),
        sparse: [(name("plain"), sparse(&[(0, f32::MIN), (u32::MAX, 1e-45)]))].into(),
        payload: json!({
            "names": awkward_names(), "big": "\u{1f980}".repeat(250_000),
            "numbers": [i64::MIN, i64::MAX, 0.1, 1e300], "none": null, "": {"": []},
        }),
        ..point(50)
    };
    let bare = Point {
        dense: [].into(),
        sparse: [(name("idf"), SparseVector::default())].into(),
        payload: json!({}),
        ..point(51)
    };
    rig.store.upsert(&c, vec![extreme.clone(), bare.clone()]).await.unwrap();
    points.extend([extreme, bare]);
    let all: Vec<_> = points.iter().map(|point| point.id).collect();
    let read = rig.other.get(&c, &all).await.unwrap();
    for (read, written) in read.iter().zip(&points) {
        assert_eq!(read.as_ref(), Some(written));
    }
    // Replaced as a whole: what the new one lacks is gone, and not found any more.
    let old = points[2].clone();
    let new = Point { id: id(2), payload: json!({"only": true}), ..points[51].clone() };
    rig.other
        .upsert(
            &c,
            vec![old.clone(), point(77), new.clone()]
                .into_iter()
                .map(|p| Point { id: if p.id == id(77) { id(2) } else { p.id }, ..p })
                .collect(),
        )
        .await
        .unwrap();
    assert_eq!(rig.store.get(&c, &[id(2)]).await.unwrap(), [Some(new)], "the last of an id stays");
    let query = search(dense_query("cos", old.dense[&name("cos")].clone()), 100);
    let found = rig.store.search(&c, &query).await.unwrap();
    assert!(!ids(&found).contains(&id(2)), "its old vector is gone");
    let query = search(sparse_query("idf", old.sparse[&name("idf")].clone()), 100);
    let found = rig.store.search(&c, &query).await.unwrap();
    assert!(!ids(&found).contains(&id(2)), "its old sparse vector is gone");
    let lang = filter(&json!({"and": [{"field": "n", "eq": 2}]}));
    assert_eq!(rig.store.count(&c, &lang).await.unwrap(), 0, "its old payload is gone");
}

/// `VEC-UPSERT-2`
pub async fn vec_upsert_2(rig: Vectors) {
    let (c, _) = filled(&rig, 5).await;
    let with_dense = |vector: &str, values: Vec<f32>| Point {
        dense: [(name(vector), values)].into(),
        ..point(100)
    };
    let with_payload = |payload| Point { payload, ..point(100) };
    let wrong = [
        with_dense("cos", vec![1.0; 3]),
        with_dense("cos", vec![]),
        with_dense("cos", vec![1.0, 1.0, 1.0, f32::NAN]),
        with_dense("dot", vec![f32::INFINITY; 19]),
        with_dense("unknown", vec![1.0; 4]),
        with_dense("plain", vec![1.0; 4]),
        Point { sparse: [(name("cos"), SparseVector::default())].into(), ..point(100) },
        with_payload(json!([1])),
        with_payload(json!(null)),
        with_payload(json!({"a": {"b": "x\0"}})),
        with_payload(json!({"a": u64::MAX})),
    ];
    for wrong in wrong {
        let batch = vec![point(50), wrong, point(51)];
        let error = rig.store.upsert(&c, batch).await.expect_err("a wrong point");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(&id(100).to_string()), "{error} names the point");
    }
    assert_eq!(rig.other.count(&c, &Filter::all()).await.unwrap(), 5, "nothing of them is written");
    assert_eq!(rig.other.get(&c, &[id(50), id(51)]).await.unwrap(), [None, None]);
}

/// `VEC-UPSERT-3`
pub async fn vec_upsert_3(rig: Vectors) {
    let absent = collection(&rig);
    let all = Filter::all();
    let one = limit(1);
    let query = search(sparse_query("plain", sparse(&[(1, 1.0)])), 1);
    let kinds = [
        rig.store.upsert(&absent, vec![]).await.map(|()| 0).err(),
        rig.store.upsert(&absent, vec![point(1)]).await.map(|()| 0).err(),
        rig.store.delete(&absent, &[]).await.err(),
        rig.store.delete_where(&absent, &all).await.err(),
        rig.store.get(&absent, &[]).await.err(),
        rig.store.search(&absent, &query).await.err(),
        rig.store.scroll(&absent, &all, None, one).await.err(),
        rig.store.count(&absent, &all).await.err(),
        rig.store.facets(&absent, &field("x"), &all, one).await.err(),
    ];
    for error in kinds {
        assert_eq!(error.map(|e| e.kind()), Some(ErrorKind::NotFound));
    }
    let (c, _) = filled(&rig, 3).await;
    rig.store.upsert(&c, vec![]).await.unwrap();
    let bare = Point { dense: [].into(), sparse: [].into(), payload: json!({}), ..point(1) };
    let error = rig.store.upsert(&c, vec![bare; 10_001]).await.expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let writes = (0..8u32).map(|task| {
        let store = if task % 2 == 0 { &rig.store } else { &rig.other };
        store.upsert(&c, (task..task + 40).map(point).collect())
    });
    join_all(writes).await.into_iter().for_each(Result::unwrap);
    assert_eq!(rig.store.info(&c).await.unwrap().unwrap().points, 47);
    let seen = scroll_all(rig.other.as_ref(), &c, &all, 10).await;
    assert_eq!(seen.len(), 47, "no duplicates");
    let points: Vec<_> = (0..47).map(point).collect();
    let query = sparse_query("idf", sparse(&[(0, 1.0), (1, 1.0), (2, 0.5)]));
    let expected = ranking(&points, &query, &all);
    agree(&rig.store.search(&c, &search(query, 100)).await.unwrap(), &expected, 100);
}

/// `VEC-DELETE-1`
pub async fn vec_delete_1(rig: Vectors) {
    let (c, points) = filled(&rig, 60).await;
    let stranger = hexmem_ports::CollectionId::new(other_tenant(), c.name.clone());
    rig.store.create(&stranger, spec()).await.unwrap();
    rig.store.upsert(&stranger, vec![point(0)]).await.unwrap();
    let doomed: Vec<_> = (0..25).map(id).collect();
    let mut named = doomed.clone();
    named.extend([id(900), id(0)]);
    assert_eq!(
        rig.store.delete(&c, &named).await.unwrap(),
        25,
        "absent ones and repeats count zero"
    );
    assert_eq!(rig.other.delete(&c, &doomed).await.unwrap(), 0);
    assert_eq!(rig.store.delete(&c, &[]).await.unwrap(), 0);
    assert!(rig.other.get(&c, &doomed).await.unwrap().iter().all(Option::is_none));
    assert_eq!(rig.other.count(&c, &Filter::all()).await.unwrap(), 35);
    assert_eq!(scroll_all(rig.other.as_ref(), &c, &Filter::all(), 9).await.len(), 35);
    for query in [
        dense_query("euclid", vec![0.5; 4]),
        sparse_query("idf", sparse(&[(0, 1.0), (1, 2.0), (3, 1.0)])),
    ] {
        let expected = ranking(&points[25..], &query, &Filter::all());
        agree(&rig.other.search(&c, &search(query, 100)).await.unwrap(), &expected, 100);
    }
    // Written again, they are back.
    rig.other.upsert(&c, points[..3].to_vec()).await.unwrap();
    assert_eq!(rig.store.get(&c, &[id(1)]).await.unwrap(), [Some(point(1))]);
    assert_eq!(rig.store.get(&stranger, &[id(0)]).await.unwrap(), [Some(point(0))]);
}

/// `VEC-DELETE-2`
pub async fn vec_delete_2(rig: Vectors) {
    let (c, points) = filled(&rig, 60).await;
    let absent = filter(&json!({"field": "no.such", "eq": 1}));
    assert_eq!(rig.store.delete_where(&c, &absent).await.unwrap(), 0);
    let gone = filter(&json!({"and": [{"field": "lang", "eq": "de"}, {"field": "n", "lt": 40}]}));
    let (removed, left): (Vec<Point>, Vec<Point>) =
        points.into_iter().partition(|point| gone.matches(&point.payload));
    let count = rig.other.delete_where(&c, &gone).await.unwrap();
    assert_eq!(count, u64::try_from(removed.len()).unwrap());
    let mut seen: Vec<_> = scroll_all(rig.store.as_ref(), &c, &Filter::all(), 100)
        .await
        .iter()
        .map(|p| p.id)
        .collect();
    seen.sort();
    let mut expected: Vec<_> = left.iter().map(|point| point.id).collect();
    expected.sort();
    assert_eq!(seen, expected, "exactly those go");
    assert_eq!(rig.store.delete_where(&c, &gone).await.unwrap(), 0);
    assert_eq!(rig.store.delete_where(&c, &Filter::all()).await.unwrap(), expected.len() as u64);
    assert_eq!(rig.other.info(&c).await.unwrap().unwrap().points, 0);
}
