//! Reads: by id, by filter, history, counts.

use hexmem_ports::{
    AsOf, Cursor, Direction, EdgeDraft, EdgeFilter, Element, ErrorKind, GraphChange, GraphId,
    GraphStats, NodeDraft, NodeFilter, Prefix, Timestamp, ValidAt,
};

use super::fixture::*;
use crate::{Rig, name, other_tenant};

fn known(at: Timestamp) -> AsOf {
    AsOf { valid: ValidAt::Any, known: Some(at) }
}

/// `GRAPH-NODES-1`
pub async fn graph_nodes_1(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let before = rig.clock.now().await;
    rig.clock.advance(1).await;
    let mut times = Vec::new();
    for n in 0..3 {
        times.push(apply(&rig.store, &g, vec![put_n("a", n)]).await.recorded_at);
        rig.clock.advance(1).await;
    }
    let ended = apply(&rig.store, &g, vec![remove("a"), put("b")]).await.recorded_at;
    let read = async |as_of| rig.other.nodes(&g, &names(&["b", "a", "zz"]), as_of).await.unwrap();
    let seen = |nodes: &[Option<hexmem_ports::Node>]| {
        nodes.iter().map(|node| node.as_ref().map(|node| node.version)).collect::<Vec<_>>()
    };
    assert_eq!(seen(&read(known(before)).await), [None, None, None]);
    for (n, at) in times.iter().enumerate() {
        let nodes = read(known(*at)).await;
        assert_eq!(seen(&nodes), [None, Some(n as u64 + 1), None], "as known at {at}");
        assert_eq!(nodes[1].as_ref().unwrap().data, serde_json::json!({ "n": n }));
        let end = times.get(n + 1).copied().unwrap_or(ended);
        assert_eq!(nodes[1].as_ref().unwrap().superseded_at, Some(end));
    }
    assert_eq!(seen(&read(known(ended)).await), [Some(1), None, None]);
    assert_eq!(seen(&read(AsOf::ALL).await), [Some(1), None, None]);
    assert_eq!(rig.store.nodes(&g, &[], AsOf::ALL).await.unwrap(), []);
    let twice = rig.store.nodes(&g, &names(&["b", "b"]), AsOf::ALL).await.unwrap();
    assert_eq!(seen(&twice), [Some(1), Some(1)], "one answer for each");
}

/// `GRAPH-NODES-2`
pub async fn graph_nodes_2(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    apply(&rig.store, &g, vec![put("a"), link(1, "a", "r", "a")]).await;
    for other in [GraphId::new(other_tenant(), name("g")), graph(&rig, "G"), graph(&rig, "g ")] {
        assert_eq!(node(&rig.store, &other, "a").await, None);
        assert_eq!(edge(&rig.store, &other, 1, AsOf::ALL).await, None);
        assert_eq!(rig.store.head(&other).await.unwrap(), None);
        assert_eq!(rig.store.stats(&other, AsOf::ALL).await.unwrap(), GraphStats::default());
        let nodes = all_nodes(&rig.store, &other, &NodeFilter::default(), AsOf::ALL, 10).await;
        assert_eq!(nodes, []);
        let edges = all_edges(&rig.store, &other, &EdgeFilter::default(), AsOf::ALL, 10).await;
        assert_eq!(edges, []);
        assert_eq!(history(&rig.store, &other, &node_ref("a")).await, []);
        assert!(!rig.store.delete(&other, vec![]).await.unwrap());
    }
    // The same ids in two graphs are two things.
    let twin = graph(&rig, "twin");
    apply(&rig.store, &twin, vec![put_n("a", 9), link(1, "a", "s", "a")]).await;
    assert_eq!(node(&rig.store, &g, "a").await.unwrap().data, serde_json::json!({}));
    assert_eq!(edge(&rig.store, &g, 1, AsOf::ALL).await.unwrap().relation, name("r"));
}

/// `GRAPH-EDGES-1`
pub async fn graph_edges_1(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let start = rig.clock.now().await;
    let at = |units: u32| start.plus(rig.span(units));
    let (from, until) = (at(10), at(20));
    let span = |n, valid_from, valid_until| {
        GraphChange::PutEdge(EdgeDraft { valid_from, valid_until, ..join(n, "a", "r", "a") })
    };
    let edges = vec![
        put("a"),
        span(1, Some(from), Some(until)),
        span(2, None, Some(from)),
        span(3, Some(until), None),
        span(4, None, None),
    ];
    let first = apply(&rig.store, &g, edges).await.recorded_at;
    let all = [1u128, 2, 3, 4].map(edge_id);
    let seen = async |as_of| -> Vec<u128> {
        let edges = rig.other.edges(&g, &all, as_of).await.unwrap();
        let by_id: Vec<_> = edges.into_iter().flatten().collect();
        let found = all_edges(&rig.other, &g, &EdgeFilter::default(), as_of, 2).await;
        assert_eq!(found, by_id, "both reads agree");
        numbers(&by_id)
    };
    let valid = |at| AsOf { valid: ValidAt::At(at), known: None };
    let tick = std::time::Duration::from_micros(1);
    assert_eq!(seen(AsOf::ALL).await, [1, 2, 3, 4]);
    assert_eq!(seen(valid(from.minus(tick))).await, [2, 4]);
    assert_eq!(seen(valid(from)).await, [1, 4]);
    assert_eq!(seen(valid(until.minus(tick))).await, [1, 4]);
    assert_eq!(seen(valid(until)).await, [3, 4]);
    assert_eq!(seen(AsOf::default()).await, [2, 4], "now is before the span");
    rig.clock.advance(15).await;
    assert_eq!(seen(AsOf::default()).await, [1, 4], "now lies in the span");
    rig.clock.advance(15).await;
    assert_eq!(seen(AsOf::default()).await, [3, 4], "now is after the span");
    if rig.has(hexmem_ports::Capability::History) {
        apply(&rig.store, &g, vec![span(1, Some(from), None), unlink(4)]).await;
        assert_eq!(seen(valid(until)).await, [1, 3]);
        let then = AsOf { valid: ValidAt::At(until), known: Some(first) };
        assert_eq!(seen(then).await, [3, 4], "as known before the correction");
        let was = edge(&rig.store, &g, 1, known(first)).await.unwrap();
        assert_eq!((was.version, was.valid_until), (1, Some(until)));
    }
}

/// `GRAPH-FIND-1`
pub async fn graph_find_1(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let kinds = ["person", "file", "per"];
    let mut changes: Vec<_> = (0..30)
        .map(|n| {
            let kind = name(kinds[n % 3]);
            GraphChange::PutNode(NodeDraft { kind, ..draft(&format!("n{n:02}")) })
        })
        .collect();
    changes.extend(["%", "%a", "_", "a", "ab", "aé", "b", "\u{10ffff}", "\u{10ffff}x"].map(put));
    apply(&rig.store, &g, changes).await;
    let find = async |kinds: &[&str], prefix: &str, rows| {
        let filter =
            NodeFilter { kinds: names(kinds), prefix: Prefix::new(prefix).unwrap(), data: None };
        all_nodes(&rig.other, &g, &filter, AsOf::ALL, rows).await
    };
    let some = find(&["person"], "", 3).await;
    assert_eq!(some.len(), 10);
    assert!(some.iter().all(|node| node.kind == name("person")));
    assert_eq!(find(&["person", "file"], "n0", 4).await.len(), 7);
    assert_eq!(find(&["none"], "", 4).await, []);
    assert_eq!(ids(&find(&[], "a", 2).await), ["a", "ab", "aé"]);
    assert_eq!(ids(&find(&[], "%", 1).await), ["%", "%a"]);
    assert_eq!(ids(&find(&[], "\u{10ffff}", 1).await), ["\u{10ffff}", "\u{10ffff}x"]);
    let all = find(&[], "", 5).await;
    assert!(ids(&all).is_sorted(), "bytewise order");
    assert_eq!(all.len(), 39);

    // Nodes come and go and change while the pages are read.
    let (mut seen, mut cursor, mut round) = (Vec::new(), None, 0);
    let filter = NodeFilter { prefix: Prefix::new("n").unwrap(), ..NodeFilter::default() };
    loop {
        let page = rig.store.find_nodes(&g, &filter, AsOf::ALL, cursor, limit(4)).await.unwrap();
        seen.extend(page.items.into_iter().map(|node| node.id.to_string()));
        let new = put(&format!("n{round:02}-new"));
        apply(&rig.other, &g, vec![put_n("n05", round), put_n("n25", round), new, remove("n29")])
            .await;
        round += 1;
        assert!(round < 1_000, "the pages do not end");
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for n in 0..29 {
        let id = format!("n{n:02}");
        assert_eq!(seen.iter().filter(|seen| **seen == id).count(), 1, "{id}");
    }
    let distinct = seen.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(distinct, seen.len(), "none comes twice");
    // An id is no cursor.
    for text in ["", "foo", "n05", "node:", "graph:n05"] {
        let foreign = Some(Cursor(text.into()));
        let asked = rig.store.find_nodes(&g, &filter, AsOf::ALL, foreign, limit(4)).await;
        let error = asked.expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(&format!("cursor: {text})")), "names it: {error}");
    }
}

/// `GRAPH-FIND-2`
pub async fn graph_find_2(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let weigh = |n, src, relation, dst, weight| {
        GraphChange::PutEdge(EdgeDraft { weight, ..join(n, src, relation, dst) })
    };
    let sourced = |n, text: &str| {
        GraphChange::PutEdge(EdgeDraft { source: Some(name(text)), ..join(n, "b", "knows", "c") })
    };
    let edges = vec![
        put("a"),
        put("b"),
        put("c"),
        weigh(1, "a", "knows", "b", 0.5),
        weigh(2, "a", "likes", "b", 0.9),
        weigh(3, "b", "knows", "a", -1.0),
        weigh(4, "a", "knows", "a", 0.7),
        weigh(5, "b", "knows", "c", 0.1),
        sourced(6, "s"),
        sourced(7, "S"),
    ];
    apply(&rig.store, &g, edges).await;
    let find = async |filter: EdgeFilter, rows| {
        numbers(&all_edges(&rig.other, &g, &filter, AsOf::ALL, rows).await)
    };
    let at = |ends: &[&str], direction| EdgeFilter {
        at: Some((names(ends), direction)),
        ..EdgeFilter::default()
    };
    for rows in [1, 2, 100] {
        assert_eq!(find(EdgeFilter::default(), rows).await, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(find(at(&["a"], Direction::Out), rows).await, [1, 2, 4]);
        assert_eq!(find(at(&["a"], Direction::In), rows).await, [3, 4]);
        assert_eq!(find(at(&["a"], Direction::Both), rows).await, [1, 2, 3, 4]);
        assert_eq!(find(at(&["a", "c", "zz", "a"], Direction::In), rows).await, [3, 4, 5, 6, 7]);
        assert_eq!(find(at(&["zz"], Direction::Both), rows).await, [] as [u128; 0]);
        assert_eq!(find(at(&[], Direction::Both), rows).await, [] as [u128; 0]);
    }
    let likes = EdgeFilter { relations: names(&["likes"]), ..EdgeFilter::default() };
    assert_eq!(find(likes, 10).await, [2]);
    let heavy = EdgeFilter {
        relations: names(&["likes", "knows"]),
        min_weight: Some(0.5),
        ..at(&["a", "b"], Direction::Out)
    };
    assert_eq!(find(heavy, 2).await, [1, 2, 4, 6, 7]);
    for rows in [1, 10] {
        let from =
            |sources: &[&str]| EdgeFilter { sources: names(sources), ..EdgeFilter::default() };
        assert_eq!(find(from(&["s"]), rows).await, [6]);
        assert_eq!(find(from(&["s", "S", "s"]), rows).await, [6, 7]);
        assert_eq!(find(from(&["nobody"]), rows).await, [] as [u128; 0]);
        let at_b = EdgeFilter { sources: names(&["S"]), ..at(&["b"], Direction::Out) };
        assert_eq!(find(at_b, rows).await, [7]);
    }

    let many: Vec<_> = (100..130).map(|n| link(n, "c", "many", "b")).collect();
    apply(&rig.store, &g, many).await;
    let (mut seen, mut cursor, mut round) = (Vec::new(), None, 0u32);
    let filter = EdgeFilter { relations: names(&["many"]), ..at(&["b", "c"], Direction::Both) };
    loop {
        let page = rig.store.find_edges(&g, &filter, AsOf::ALL, cursor, limit(4)).await.unwrap();
        seen.extend(numbers(&page.items));
        let touch = weigh(105, "c", "many", "b", f64::from(round));
        let new = link(u128::from(200 + round), "c", "many", "b");
        apply(&rig.other, &g, vec![touch, new, unlink(129)]).await;
        round += 1;
        assert!(round < 1_000, "the pages do not end");
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for n in 100..129 {
        assert_eq!(seen.iter().filter(|seen| **seen == n).count(), 1, "edge {n}");
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "in order of id, none twice");
    let bad = Some(Cursor("x".into()));
    let error = rig.store.find_edges(&g, &filter, AsOf::ALL, bad, limit(4)).await;
    assert_eq!(error.expect_err("a foreign cursor").kind(), ErrorKind::Invalid);
}

/// `GRAPH-HIST-1`
pub async fn graph_hist_1(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    for n in 0..5u32 {
        let heavier =
            GraphChange::PutEdge(EdgeDraft { weight: f64::from(n), ..join(1, "a", "r", "a") });
        apply(&rig.store, &g, vec![put_n("a", n.into()), put("other"), heavier]).await;
        rig.clock.advance(1).await;
    }
    for (of, current) in [(node_ref("a"), true), (edge_ref(1), true), (node_ref("other"), true)] {
        let versions = history(&rig.other, &g, &of).await;
        let expected = if of == node_ref("other") { 1 } else { 5 };
        assert_eq!(versions.len(), expected);
        check_spans(&versions, current);
    }
    let ended = apply(&rig.store, &g, vec![remove("a")]).await.recorded_at;
    rig.clock.advance(1).await;
    apply(&rig.store, &g, vec![put("a")]).await;
    let versions = history(&rig.other, &g, &node_ref("a")).await;
    assert_eq!(versions.len(), 6);
    assert_eq!(span(&versions[1]).2, Some(ended), "the removal is an end, not a version");
    let versions = history(&rig.other, &g, &edge_ref(1)).await;
    check_spans(&versions, false);
    assert_eq!(history(&rig.other, &g, &node_ref("never")).await, []);
    assert_eq!(history(&rig.other, &g, &edge_ref(9)).await, []);
    assert_eq!(history(&rig.other, &graph(&rig, "none"), &node_ref("a")).await, []);
}

fn span(version: &Element) -> (u64, Timestamp, Option<Timestamp>) {
    match version {
        Element::Node(n) => (n.version, n.recorded_at, n.superseded_at),
        Element::Edge(e) => (e.version, e.recorded_at, e.superseded_at),
    }
}

/// Newest first, numbered down to 1, each beginning where the one before ended.
fn check_spans(versions: &[Element], current: bool) {
    let spans: Vec<_> = versions.iter().map(span).collect();
    assert_eq!(spans[0].2.is_none(), current);
    let numbered: Vec<_> = (1..=spans.len() as u64).rev().collect();
    assert_eq!(spans.iter().map(|span| span.0).collect::<Vec<_>>(), numbered);
    for pair in spans.windows(2) {
        assert_eq!(pair[1].2, Some(pair[0].1), "no gap, no overlap");
    }
}

/// `GRAPH-STATS-1`
pub async fn graph_stats_1(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let start = rig.clock.now().await;
    let mut draw = Draw(11);
    let mut times = vec![AsOf::ALL, AsOf::default()];
    for round in 0..12u32 {
        let mut changes = Vec::new();
        for _ in 0..6 {
            let kind = name(format!("kind{}", draw.below(3)));
            let id = format!("n{}", draw.below(20));
            changes.push(GraphChange::PutNode(NodeDraft { kind, ..draft(&id) }));
            let n = u128::from(draw.next());
            let relation = format!("rel{}", draw.below(3));
            let valid_from = draw.one_in(3).then(|| start.plus(rig.span(round)));
            let edge = EdgeDraft { valid_from, ..join(n, &id, &relation, &id) };
            changes.push(GraphChange::PutEdge(edge));
        }
        if draw.one_in(3) {
            changes.push(remove(&format!("n{}", draw.below(20))));
        }
        let at = apply(&rig.store, &g, changes).await.recorded_at;
        times.push(AsOf { valid: ValidAt::At(at), known: None });
        if rig.has(hexmem_ports::Capability::History) {
            times.push(AsOf { valid: ValidAt::At(at), known: Some(at) });
            times.push(AsOf { valid: ValidAt::Any, known: Some(at) });
        }
        rig.clock.advance(1).await;
    }
    for as_of in times {
        let mut expected = GraphStats::default();
        for node in all_nodes(&rig.store, &g, &NodeFilter::default(), as_of, 50).await {
            expected.nodes += 1;
            *expected.node_types.entry(node.kind.to_string()).or_default() += 1;
        }
        for edge in all_edges(&rig.store, &g, &EdgeFilter::default(), as_of, 50).await {
            expected.edges += 1;
            *expected.edge_types.entry(edge.relation.to_string()).or_default() += 1;
        }
        assert_eq!(rig.other.stats(&g, as_of).await.unwrap(), expected, "{as_of:?}");
    }
    let none = rig.store.stats(&graph(&rig, "none"), AsOf::ALL).await.unwrap();
    assert_eq!(none, GraphStats::default());
}
