//! Reading without a search.

use std::collections::BTreeMap;

use hexmem_ports::{Cursor, ErrorKind, Filter, PointId};
use serde_json::{Value, json};

use super::Vectors;
use super::fixture::*;

/// `VEC-GET-1`
pub async fn vec_get_1(rig: Vectors) {
    let (c, points) = filled(&rig, 30).await;
    let wanted = [id(7), id(500), id(3), id(7), id(501)];
    let expected =
        [Some(points[7].clone()), None, Some(points[3].clone()), Some(points[7].clone()), None];
    assert_eq!(rig.other.get(&c, &wanted).await.unwrap(), expected);
    assert_eq!(rig.store.get(&c, &[]).await.unwrap(), []);
}

/// `VEC-SCROLL-1`
pub async fn vec_scroll_1(rig: Vectors) {
    let (c, points) = filled(&rig, 60).await;
    let (mut seen, mut cursor, mut n) = (BTreeMap::<PointId, u32>::new(), None, 0);
    let mut last = None;
    loop {
        let page = rig.store.scroll(&c, &Filter::all(), cursor, limit(7)).await.unwrap();
        for point in page.items {
            assert!(last < Some(point.id), "in order of id");
            last = Some(point.id);
            *seen.entry(point.id).or_default() += 1;
        }
        // 0 to 9 stay as they are; others change, come and go.
        rig.other.delete(&c, &[id(10 + n)]).await.unwrap();
        rig.other.upsert(&c, vec![point(30 + n), point(1_000 + n)]).await.unwrap();
        n += 1;
        assert!(n < 1_000, "the scroll does not end");
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(seen.values().all(|times| *times == 1), "no point twice");
    for point in points.iter().take(10).chain(&points[45..]) {
        assert!(seen.contains_key(&point.id), "{} was there throughout", point.id);
    }
    let some = filter(&json!({"field": "flag", "eq": true}));
    let passing = scroll_all(rig.other.as_ref(), &c, &some, 4).await;
    assert!(passing.iter().all(|point| some.matches(&point.payload)));
    assert_eq!(passing.len() as u64, rig.store.count(&c, &some).await.unwrap());
    let foreign = Some(Cursor("'; --".into()));
    let error = rig.store.scroll(&c, &some, foreign, limit(1)).await.expect_err("no cursor");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// Filters of every kind, on indexed fields and on others.
pub(super) fn filters() -> Vec<Filter> {
    [
        json!({}),
        json!({"or": []}),
        json!({"field": "lang", "eq": "en"}),
        json!({"field": "lang", "eq": "EN"}),
        json!({"field": "lang", "in": ["de", "日本", 7]}),
        json!({"field": "year", "eq": 2003}),
        json!({"field": "year", "eq": 2003.0}),
        json!({"field": "year", "eq": "2003"}),
        json!({"field": "year", "gte": 2002, "lt": 2004.5}),
        json!({"field": "year", "gt": 2005}),
        json!({"field": "year", "lte": -1}),
        json!({"field": "year", "exists": false}),
        json!({"field": "m.score", "gt": 0.25, "lte": 0.75}),
        json!({"field": "m.score", "eq": 1}),
        json!({"field": "m", "exists": true}),
        json!({"field": "flag", "eq": false}),
        json!({"field": "tags", "eq": "t2"}),
        json!({"field": "tags", "in": [2, "t0"]}),
        json!({"field": "n", "lt": 3}),
        json!({"and": [{"field": "lang", "eq": "de"}, {"field": "year", "gte": 2004}]}),
        json!({"and": [{"field": "lang", "eq": "de"}, {"field": "lang", "eq": "en"}]}),
        json!({"or": [{"field": "lang", "eq": "de"}, {"field": "n", "lt": 5}]}),
        json!({"or": [{"field": "year", "eq": 2001}, {"field": "m.score", "lt": 0.25}]}),
        json!({"not": {"field": "lang", "eq": "en"}}),
        json!({"and": [{"not": {"field": "year", "gt": 0}}, {"field": "flag", "eq": false}]}),
    ]
    .iter()
    .map(filter)
    .collect()
}

/// `VEC-COUNT-1`
pub async fn vec_count_1(rig: Vectors) {
    let (c, points) = filled(&rig, 90).await;
    rig.store.delete(&c, &[id(0), id(1)]).await.unwrap();
    for filter in filters() {
        let expected =
            points[2..].iter().filter(|point| filter.matches(&point.payload)).count() as u64;
        let counted = rig.other.count(&c, &filter).await.unwrap();
        assert_eq!(counted, expected, "{}", filter.to_json());
        let scrolled = scroll_all(rig.store.as_ref(), &c, &filter, 20).await;
        assert_eq!(scrolled.len() as u64, counted, "{}", filter.to_json());
    }
}

/// `VEC-FACET-1`
pub async fn vec_facet_1(rig: Vectors) {
    let (c, _) = filled(&rig, 30).await;
    let facets = async |path: &str, condition: Value, rows| {
        rig.other.facets(&c, &field(path), &filter(&condition), limit(rows)).await.unwrap()
    };
    let langs = facets("lang", json!({}), 10).await;
    assert_eq!(langs, [(json!("de"), 10), (json!("en"), 10), (json!("日本"), 10)]);
    let tags = facets("tags", json!({"field": "n", "lt": 4}), 100).await;
    let expected = [
        (json!("all"), 4),
        (json!(0), 2),
        (json!(1), 1),
        (json!(2), 1),
        (json!("t0"), 1),
        (json!("t1"), 1),
        (json!("t2"), 1),
        (json!("t3"), 1),
    ];
    assert_eq!(tags, expected, "of an array each distinct element counts once");
    assert_eq!(facets("tags", json!({"field": "n", "lt": 4}), 2).await, expected[..2]);
    assert_eq!(
        facets("flag", json!({"field": "n", "lt": 3}), 9).await,
        [(json!(true), 2), (json!(false), 1)]
    );
    assert_eq!(
        facets("m.score", json!({"field": "m.score", "gte": 0.75}), 9).await,
        [(json!(0.75), 6), (json!(1), 6)]
    );
    assert_eq!(facets("absent.field", json!({}), 9).await, []);
    assert_eq!(facets("lang", json!({"or": []}), 9).await, []);
    rig.store.delete(&c, &[id(0)]).await.unwrap();
    assert_eq!(facets("lang", json!({"field": "lang", "eq": "en"}), 9).await, [(json!("en"), 9)]);
}
