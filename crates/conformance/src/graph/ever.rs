//! Filters on data, and all versions of edges.

use hexmem_ports::{
    AsOf, Cursor, Direction, Edge, EdgeDraft, EdgeFilter, Element, ErrorKind, Filter, GraphChange,
    GraphId, NodeDraft, NodeFilter, Prefix,
};
use serde_json::json;

use super::fixture::*;
use crate::{Rig, name};

/// `GRAPH-FIND-3`
pub async fn graph_find_3(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let data = |n: u64| match n % 5 {
        0 => json!({ "n": n, "tags": ["a", n], "deep": { "x": n as f64 / 2.0 } }),
        1 => json!({ "n": n.to_string(), "none": null }),
        2 => json!({ "n": n, "on": n.is_multiple_of(2) }),
        3 => json!({}),
        _ => json!({ "n": -1.5, "tags": "a" }),
    };
    let mut changes: Vec<_> = (0..700)
        .map(|n| {
            let kind = name(format!("k{}", n % 3));
            let id = format!("n{n:03}");
            GraphChange::PutNode(NodeDraft { kind, data: data(n), ..draft(&id) })
        })
        .collect();
    changes.extend((0..700).map(|n| {
        let ends = (format!("n{n:03}"), format!("n{:03}", n % 7));
        let edge = join(u128::from(n), &ends.0, "r", &ends.1);
        GraphChange::PutEdge(EdgeDraft { data: data(n + 1), ..edge })
    }));
    let first = apply(&rig.store, &g, changes).await.recorded_at;
    rig.clock.advance(1).await;
    // What passed before does not pass now, and the other way round.
    apply(&rig.store, &g, vec![put("n690"), put_n("n003", 690)]).await;
    let filters = [
        json!({}),
        json!({"field": "n", "gte": 690}),
        json!({"field": "n", "eq": "691"}),
        json!({"field": "tags", "in": ["a", 5]}),
        json!({"field": "deep.x", "lt": 3}),
        json!({"field": "none", "exists": false}),
        json!({"and": [{"field": "n", "gt": 100}, {"not": {"field": "on", "eq": true}}]}),
        json!({"or": []}),
    ];
    let mut times = vec![AsOf::ALL];
    if rig.has(hexmem_ports::Capability::History) {
        times.push(AsOf::ALL.known_at(first));
    }
    for as_of in times {
        let nodes = all_nodes(&rig.store, &g, &NodeFilter::default(), as_of, 1_000).await;
        let edges = all_edges(&rig.store, &g, &EdgeFilter::default(), as_of, 1_000).await;
        for wanted in filters.iter().map(|json| Filter::parse(json).unwrap()) {
            let prefix = Prefix::new("n6").unwrap();
            let plain = NodeFilter { data: Some(wanted.clone()), ..NodeFilter::default() };
            let narrow = NodeFilter { kinds: names(&["k2", "k0"]), prefix, ..plain.clone() };
            let mut expected = nodes.clone();
            expected.retain(|node| wanted.matches(&node.data));
            for rows in [3, 300] {
                assert_eq!(all_nodes(&rig.other, &g, &plain, as_of, rows).await, expected);
            }
            expected.retain(|n| narrow.kinds.contains(&n.kind) && n.id.as_str().starts_with("n6"));
            assert_eq!(all_nodes(&rig.other, &g, &narrow, as_of, 7).await, expected);

            let plain = EdgeFilter { data: Some(wanted.clone()), ..EdgeFilter::default() };
            let at = Some((names(&["n003", "n005"]), Direction::Both));
            let narrow = EdgeFilter { at, ..plain.clone() };
            let mut expected = edges.clone();
            expected.retain(|edge| wanted.matches(&edge.data));
            for rows in [3, 300] {
                assert_eq!(all_edges(&rig.other, &g, &plain, as_of, rows).await, expected);
            }
            let ends = names(&["n003", "n005"]);
            expected.retain(|edge| ends.contains(&edge.src) || ends.contains(&edge.dst));
            assert_eq!(all_edges(&rig.other, &g, &narrow, as_of, 4).await, expected);
        }
    }
}

/// Every version that matches, by pages of `rows`.
async fn all_versions(
    store: &Graphs,
    graph: &GraphId,
    filter: &EdgeFilter,
    rows: u32,
) -> Vec<Edge> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.find_versions(graph, filter, cursor, limit(rows)).await.unwrap();
        assert!(page.items.len() <= rows as usize, "the limit holds");
        all.extend(page.items);
        assert!(all.len() < 100_000, "the pages do not end");
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// `GRAPH-EVER-1`
pub async fn graph_ever_1(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let mut draw = Draw(3);
    for _ in 0..25 {
        let mut changes: Vec<_> = (0..4).map(|n| put(&format!("n{n}"))).collect();
        for _ in 0..4 {
            // The ends follow from the id: an edge never changes them.
            let n = draw.below(24);
            let ends = (format!("n{}", n % 4), format!("n{}", n / 4 % 4));
            let edge = join(n.into(), &ends.0, &format!("r{}", n % 3), &ends.1);
            changes.push(GraphChange::PutEdge(EdgeDraft {
                weight: f64::from(u32::try_from(draw.below(5)).unwrap()),
                source: draw.one_in(2).then(|| name(format!("s{}", draw.below(3)))),
                data: json!({ "n": draw.below(3) }),
                ..edge
            }));
        }
        if draw.one_in(3) {
            changes.push(unlink(draw.below(24).into()));
        }
        if draw.one_in(6) {
            changes.push(remove(&format!("n{}", draw.below(4))));
        }
        apply(&rig.store, &g, changes).await;
        rig.clock.advance(1).await;
    }
    apply(&rig.store, &g, vec![GraphChange::PurgeEdge(edge_id(5))]).await;
    let mut ever = Vec::new();
    for n in 0..24 {
        let mut versions = history(&rig.store, &g, &edge_ref(n)).await;
        versions.reverse();
        ever.extend(versions.into_iter().filter_map(|version| match version {
            Element::Edge(edge) => Some(edge),
            Element::Node(_) => None,
        }));
    }
    assert!(ever.iter().any(|edge| edge.superseded_at.is_some()));
    let at = |ends: &[&str], way| EdgeFilter { at: Some((names(ends), way)), ..Default::default() };
    let filters = [
        EdgeFilter::default(),
        EdgeFilter { sources: names(&["s1", "s0", "s1"]), ..EdgeFilter::default() },
        EdgeFilter { relations: names(&["r1"]), min_weight: Some(2.0), ..EdgeFilter::default() },
        EdgeFilter {
            data: Some(Filter::parse(&json!({"field": "n", "eq": 1})).unwrap()),
            ..EdgeFilter::default()
        },
        at(&["n1"], Direction::Out),
        at(&["n1", "n2"], Direction::In),
        EdgeFilter { sources: names(&["s2"]), ..at(&["n0", "zz", "n0"], Direction::Both) },
        at(&[], Direction::Both),
        EdgeFilter { sources: names(&["nobody"]), ..EdgeFilter::default() },
    ];
    for filter in filters {
        let ends = |edge: &Edge| {
            filter.at.as_ref().is_none_or(|(nodes, way)| {
                (*way != Direction::In && nodes.contains(&edge.src))
                    || (*way != Direction::Out && nodes.contains(&edge.dst))
            })
        };
        let mut expected = ever.clone();
        expected.retain(|edge| ends(edge) && filter.matches_fact(edge));
        for rows in [1, 5, 1_000] {
            let found = all_versions(&rig.other, &g, &filter, rows).await;
            assert_eq!(found, expected, "by {rows}: {filter:?}");
        }
    }
    let none = all_versions(&rig.store, &graph(&rig, "none"), &EdgeFilter::default(), 5).await;
    assert_eq!(none, []);
    for text in ["", "x", "00000000-0000-0000-0000-000000000001", ":1"] {
        let foreign = Some(Cursor(text.into()));
        let asked = rig.store.find_versions(&g, &EdgeFilter::default(), foreign, limit(4)).await;
        assert_eq!(asked.expect_err(text).kind(), ErrorKind::Invalid);
    }
}
