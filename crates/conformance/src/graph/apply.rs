//! Applying batches.

use std::sync::Arc;

use futures::future::join_all;
use hexmem_ports::{
    AsOf, EdgeDraft, EdgeFilter, Effectiveness, Element, ErrorKind, Expect, GraphBatch,
    GraphChange, NodeDraft, NodeFilter, PAGE_LIMIT, Revision, Timestamp, ValidAt,
};
use serde_json::{Value, json};

use super::fixture::*;
use crate::outbox::{drain, effect, effects_of};
use crate::{Rig, awkward_names, name};

/// `GRAPH-APPLY-1`
pub async fn graph_apply_1(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let names = awkward_names();
    let mut changes: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(n, id)| {
            GraphChange::PutNode(NodeDraft {
                id: id.clone(),
                kind: names[(n + 1) % names.len()].clone(),
                data: json!({ "n": n, "é\"\\": [null, true, -1.5, i64::MIN, i64::MAX, {"x": "\n"}] }),
                ..draft("x")
            })
        })
        .collect();
    let early = Timestamp::parse("1999-12-31T23:59:59.999999Z").unwrap();
    changes.push(GraphChange::PutNode(NodeDraft {
        data: json!({ "big": "€".repeat(350_000) }),
        created_at: Some(early),
        ..draft("old")
    }));
    let full = EdgeDraft {
        weight: -0.1,
        valid_from: Some(early),
        valid_until: Some(Timestamp::MAX),
        source: Some(name("https://example.org/?a=1#b")),
        data: json!({ "source": "s", "target": "t", "key": 1, "id": "i", "type": "y" }),
        created_at: Some(early),
        ..join(1, "a", "knows", "A")
    };
    changes.push(GraphChange::PutEdge(full.clone()));
    changes.extend((2..5).map(|n| link(n, "a", "knows", "A")));
    changes.push(link(5, "a", "likes", "A"));
    changes.push(link(6, "A", "knows", "a"));
    changes.push(link(7, "a", "knows", "a"));
    let before = rig.clock.now().await;
    let applied = apply(&rig.store, &g, changes).await;
    let after = rig.clock.now().await;
    assert!(before <= applied.recorded_at && applied.recorded_at <= after, "the store's clock");

    let found = rig.other.nodes(&g, &names, AsOf::ALL).await.unwrap();
    for (n, node) in found.into_iter().enumerate() {
        let node = node.unwrap_or_else(|| panic!("{} is not there", names[n]));
        assert_eq!((&node.id, &node.kind), (&names[n], &names[(n + 1) % names.len()]));
        assert_eq!(node.data["n"], json!(n));
        assert_eq!(node.data["é\"\\"][3], json!(i64::MIN));
        assert_eq!(node.data["é\"\\"][4], json!(i64::MAX));
        assert_eq!((node.version, node.superseded_at), (1, None));
        assert_eq!((node.created_at, node.recorded_at), (applied.recorded_at, applied.recorded_at));
    }
    let old = node(&rig.other, &g, "old").await.unwrap();
    assert_eq!((old.created_at, old.recorded_at), (early, applied.recorded_at));
    assert_eq!(old.data["big"].as_str().unwrap().len(), 1_050_000);
    let one = edge(&rig.other, &g, 1, AsOf::ALL).await.unwrap();
    assert_eq!((&one.src, &one.relation, &one.dst), (&full.src, &full.relation, &full.dst));
    assert_eq!((one.weight, &one.source, &one.data), (full.weight, &full.source, &full.data));
    assert_eq!((one.valid_from, one.valid_until), (full.valid_from, full.valid_until));
    assert_eq!((one.created_at, one.recorded_at), (early, applied.recorded_at));
    let found = all_edges(&rig.other, &g, &EdgeFilter::default(), AsOf::ALL, 100).await;
    assert_eq!(numbers(&found), [1, 2, 3, 4, 5, 6, 7]);
    let found = all_nodes(&rig.other, &g, &NodeFilter::default(), AsOf::ALL, 10).await;
    let mut sorted = names.clone();
    sorted.push(name("old"));
    sorted.sort();
    assert_eq!(ids(&found), sorted.iter().map(|n| n.as_str()).collect::<Vec<_>>());
}

/// `GRAPH-APPLY-2`
pub async fn graph_apply_2(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let first = apply(&rig.store, &g, vec![put_n("a", 1), link(1, "a", "r", "a")]).await;
    rig.clock.advance(1).await;
    let same = apply(&rig.other, &g, vec![put_n("a", 1), link(1, "a", "r", "a")]).await;
    assert_eq!(same.revision, first.revision, "nothing changed");
    let heavier = GraphChange::PutEdge(EdgeDraft { weight: 2.0, ..join(1, "a", "r", "a") });
    let second = apply(&rig.other, &g, vec![put_n("a", 2), heavier]).await;
    assert!(second.revision > first.revision);
    let now = node(&rig.store, &g, "a").await.unwrap();
    assert_eq!((now.version, &now.data), (2, &json!({ "n": 2 })));
    assert_eq!((now.created_at, now.recorded_at), (first.recorded_at, second.recorded_at));
    let now = edge(&rig.store, &g, 1, AsOf::ALL).await.unwrap();
    assert_eq!((now.version, now.weight), (2, 2.0));
    assert_eq!((now.created_at, now.recorded_at), (first.recorded_at, second.recorded_at));
    for element in [node_ref("a"), edge_ref(1)] {
        let ends: Vec<_> = history(&rig.store, &g, &element)
            .await
            .into_iter()
            .map(|version| match version {
                Element::Node(n) => (n.version, n.recorded_at, n.superseded_at),
                Element::Edge(e) => (e.version, e.recorded_at, e.superseded_at),
            })
            .collect();
        let new = (2, second.recorded_at, None);
        let old = (1, first.recorded_at, Some(second.recorded_at));
        assert!(ends == [new, old] || ends == [new], "{ends:?}");
    }
}

/// `GRAPH-APPLY-3`
pub async fn graph_apply_3(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let error =
        refuse(&rig.store, &g, vec![put("a"), link(1, "a", "r", "not-there"), put("b")]).await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(error.effectiveness(), Effectiveness::NotApplied);
    assert!(error.to_string().contains("not-there"), "{error}");
    assert_eq!(rig.store.head(&g).await.unwrap(), None, "nothing was made");
    apply(&rig.store, &g, vec![put("a"), put("b"), link(1, "a", "r", "b")]).await;
    let before = rig.store.head(&g).await.unwrap();
    for bad in [link(1, "b", "r", "b"), link(1, "a", "r", "a"), link(1, "a", "s", "b")] {
        let error = refuse(&rig.other, &g, vec![put("c"), bad]).await;
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert_eq!(node(&rig.store, &g, "c").await, None);
    }
    let error = refuse(&rig.other, &g, vec![remove("b"), link(2, "a", "r", "b")]).await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(node(&rig.store, &g, "b").await.is_some());
    assert_eq!(rig.store.head(&g).await.unwrap(), before);
    // Earlier changes of the same batch count.
    apply(&rig.other, &g, vec![put("c"), link(3, "c", "r", "a")]).await;
}

/// `GRAPH-APPLY-4`
pub async fn graph_apply_4(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let node_if = |expect, n: u64| {
        GraphChange::PutNode(NodeDraft { expect, data: json!({ "n": n }), ..draft("apple") })
    };
    let edge_if = |expect, weight| {
        GraphChange::PutEdge(EdgeDraft { expect, weight, ..join(1, "apple", "r", "apple") })
    };
    let refused = async |changes: Vec<GraphChange>, named: &str| {
        let head = rig.store.head(&g).await.unwrap();
        let changes = [vec![put("side")], changes].concat();
        let error = refuse(&rig.other, &g, changes).await;
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert_eq!(error.effectiveness(), Effectiveness::NotApplied);
        assert!(error.to_string().contains(named), "{error} does not name {named}");
        assert_eq!(rig.store.head(&g).await.unwrap(), head);
        assert_eq!(node(&rig.store, &g, "side").await, None);
    };
    refused(vec![node_if(Expect::Version(1), 1)], "apple").await;
    apply(&rig.store, &g, vec![node_if(Expect::Absent, 1), edge_if(Expect::Absent, 1.0)]).await;
    refused(vec![node_if(Expect::Absent, 2)], "apple").await;
    refused(vec![node_if(Expect::Version(2), 2)], "apple").await;
    let edge_name = edge_id(1).to_string();
    refused(vec![edge_if(Expect::Absent, 2.0)], &edge_name).await;
    refused(vec![edge_if(Expect::Version(7), 2.0)], &edge_name).await;
    let gone = GraphChange::RemoveNode { id: name("apple"), expect: Expect::Version(9) };
    refused(vec![gone], "apple").await;
    let gone = GraphChange::RemoveEdge { id: edge_id(1), expect: Expect::Version(9) };
    refused(vec![gone], &edge_name).await;
    // A put that would change nothing is held to its precondition too.
    refused(vec![node_if(Expect::Absent, 1)], "apple").await;
    apply(
        &rig.store,
        &g,
        vec![
            node_if(Expect::Version(1), 2),
            node_if(Expect::Version(2), 3),
            edge_if(Expect::Version(1), 2.0),
            GraphChange::RemoveEdge { id: edge_id(1), expect: Expect::Version(2) },
            GraphChange::RemoveNode { id: name("apple"), expect: Expect::Version(3) },
        ],
    )
    .await;
    refused(vec![node_if(Expect::Version(3), 4)], "apple").await;
    apply(&rig.store, &g, vec![node_if(Expect::Absent, 4)]).await;
    assert_eq!(node(&rig.store, &g, "apple").await.unwrap().version, 4);
}

/// `GRAPH-APPLY-5`
pub async fn graph_apply_5(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let all = vec![
        put("a"),
        put("b"),
        put("c"),
        link(1, "a", "r", "b"),
        link(2, "b", "r", "a"),
        link(3, "a", "r", "a"),
        link(4, "b", "r", "c"),
    ];
    apply(&rig.store, &g, all).await;
    rig.clock.advance(1).await;
    // An edge that this batch makes ends with its node too.
    apply(&rig.store, &g, vec![link(5, "c", "r", "a"), remove("a")]).await;
    assert_eq!(node(&rig.other, &g, "a").await, None);
    let left = all_edges(&rig.other, &g, &EdgeFilter::default(), AsOf::ALL, 10).await;
    assert_eq!(numbers(&left), [4]);
    let head = rig.store.head(&g).await.unwrap().unwrap();
    let none = vec![remove("a"), remove("never"), unlink(1), unlink(99)];
    assert_eq!(apply(&rig.other, &g, none).await.revision, head.revision, "no error, no change");
    rig.clock.advance(1).await;
    apply(&rig.store, &g, vec![put("a"), link(1, "a", "r", "b")]).await;
    assert_eq!(node(&rig.other, &g, "a").await.unwrap().version, 2);
    assert_eq!(edge(&rig.other, &g, 1, AsOf::ALL).await.unwrap().version, 2);
    assert_eq!(edge(&rig.other, &g, 2, AsOf::ALL).await, None, "other edges stay ended");
    apply(&rig.store, &g, vec![unlink(4)]).await;
    assert_eq!(edge(&rig.other, &g, 4, AsOf::ALL).await, None);
    assert!(node(&rig.other, &g, "c").await.is_some());
}

/// `GRAPH-APPLY-6`
pub async fn graph_apply_6(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    apply(&rig.store, &g, vec![put_n("a", 4_711), put("b"), put("c")]).await;
    let edges = vec![
        link(1, "a", "r", "b"),
        link(2, "b", "r", "a"),
        link(3, "b", "r", "c"),
        link(4, "b", "r", "c"),
        link(5, "a", "r", "a"),
    ];
    apply(&rig.store, &g, edges).await;
    rig.clock.advance(1).await;
    let then = rig.clock.now().await;
    rig.clock.advance(1).await;
    apply(&rig.store, &g, vec![put_n("a", 4_712), unlink(1)]).await;
    let purges = vec![GraphChange::PurgeNode(name("a")), GraphChange::PurgeEdge(edge_id(3))];
    apply(&rig.other, &g, purges).await;
    for of in [node_ref("a"), edge_ref(1), edge_ref(2), edge_ref(3), edge_ref(5)] {
        assert_eq!(history(&rig.store, &g, &of).await, [], "{of:?}");
    }
    for known in [None, Some(then)] {
        let as_of = AsOf { valid: ValidAt::Any, known };
        let nodes = all_nodes(&rig.store, &g, &NodeFilter::default(), as_of, 10).await;
        assert_eq!(ids(&nodes), ["b", "c"]);
        let edges = all_edges(&rig.store, &g, &EdgeFilter::default(), as_of, 10).await;
        assert_eq!(numbers(&edges), [4]);
        assert_eq!(rig.store.nodes(&g, &names(&["a"]), as_of).await.unwrap(), [None]);
    }
    let log = rig.store.changes(&g, Revision(0), limit(1_000)).await.unwrap();
    let states: Vec<_> = log.changes.iter().map(|change| format!("{:?}", change.state)).collect();
    assert!(!states.concat().contains("471"), "the log keeps nothing of it: {states:?}");
    let none = vec![GraphChange::PurgeNode(name("a")), GraphChange::PurgeEdge(edge_id(77))];
    assert_eq!(apply(&rig.store, &g, none).await.revision, log.head, "absent is no error");
    apply(&rig.store, &g, vec![put("a"), link(1, "c", "other", "c")]).await;
    assert_eq!(node(&rig.other, &g, "a").await.unwrap().version, 1, "it starts anew");
    assert_eq!(edge(&rig.other, &g, 1, AsOf::ALL).await.unwrap().version, 1);
}

/// `GRAPH-APPLY-7`
pub async fn graph_apply_7(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let batch = GraphBatch::new(vec![put_n("a", 1)]);
    let first = rig.store.apply(&g, batch.clone()).await.unwrap();
    let idle = GraphBatch::new(vec![remove("b")]);
    let nothing = rig.store.apply(&g, idle.clone()).await.unwrap();
    rig.clock.advance(1).await;
    apply(&rig.store, &g, vec![put_n("a", 2), put("b")]).await;
    let head = rig.store.head(&g).await.unwrap();
    assert_eq!(rig.other.apply(&g, batch).await.unwrap(), first);
    assert_eq!(rig.other.apply(&g, idle).await.unwrap(), nothing, "also of one that did nothing");
    assert_eq!(rig.store.head(&g).await.unwrap(), head);
    assert_eq!(node(&rig.store, &g, "a").await.unwrap().data, json!({ "n": 2 }));
    assert!(node(&rig.store, &g, "b").await.is_some());
    // A refused batch is not remembered; the same id may be tried again.
    let refused = GraphBatch::new(vec![link(1, "a", "r", "c")]);
    rig.store.apply(&g, refused.clone()).await.expect_err("an end is missing");
    apply(&rig.store, &g, vec![put("c")]).await;
    rig.store.apply(&g, refused).await.unwrap();
    // N at once do it once.
    let racing = GraphBatch::new(vec![put_n("d", 1)]);
    let calls = (0..8).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &rig.store } else { &rig.other });
        let (g, batch) = (g.clone(), racing.clone());
        tokio::spawn(async move { store.apply(&g, batch).await.unwrap() })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(|answer| answer.unwrap()).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(rig.store.head(&g).await.unwrap().unwrap().revision, answers[0].revision);
}

/// `GRAPH-APPLY-8`
pub async fn graph_apply_8(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let writers = (0..8).map(|writer| {
        let store = Arc::clone(if writer % 2 == 0 { &rig.store } else { &rig.other });
        let g = g.clone();
        tokio::spawn(async move {
            for n in 0..20 {
                apply(&store, &g, vec![put(&format!("w{writer}-{n:02}"))]).await;
            }
        })
    });
    join_all(writers).await.into_iter().for_each(|done| done.unwrap());
    let nodes = all_nodes(&rig.store, &g, &NodeFilter::default(), AsOf::ALL, 1_000).await;
    assert_eq!(nodes.len(), 160, "none is lost");
    assert_eq!(rig.other.head(&g).await.unwrap().unwrap().revision, Revision(160));

    apply(&rig.store, &g, vec![put_n("sum", 0)]).await;
    let writers = (0..8).map(|writer| {
        let store = Arc::clone(if writer % 2 == 0 { &rig.store } else { &rig.other });
        let g = g.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                loop {
                    let now = node(&store, &g, "sum").await.unwrap();
                    // Others read the same version meanwhile.
                    tokio::task::yield_now().await;
                    let next = json!({ "n": now.data["n"].as_u64().unwrap() + 1 });
                    let draft = NodeDraft {
                        data: next,
                        expect: Expect::Version(now.version),
                        ..draft("sum")
                    };
                    let batch = GraphBatch::new(vec![GraphChange::PutNode(draft)]);
                    match store.apply(&g, batch).await {
                        Ok(_) => break,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                    }
                }
            }
        })
    });
    join_all(writers).await.into_iter().for_each(|done| done.unwrap());
    let sum = node(&rig.store, &g, "sum").await.unwrap();
    assert_eq!((sum.version, sum.data), (81, json!({ "n": 80 })));
}

/// `GRAPH-APPLY-9`
pub async fn graph_apply_9(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    apply(&rig.store, &g, vec![put("a")]).await;
    let head = rig.store.head(&g).await.unwrap().unwrap();
    let at = rig.clock.now().await;
    let with = |data: Value| GraphChange::PutNode(NodeDraft { data, ..draft("bad") });
    let edge = |change: fn(&mut EdgeDraft)| {
        let mut draft = join(1, "a", "r", "a");
        change(&mut draft);
        GraphChange::PutEdge(draft)
    };
    let mut span = join(1, "a", "r", "a");
    (span.valid_from, span.valid_until) =
        (Some(at), Some(at.minus(std::time::Duration::from_micros(1))));
    let deep = (0..80).fold(json!({}), |inner, _| json!({ "in": inner }));
    let bad = [
        with(json!([1])),
        with(Value::Null),
        with(json!({ "x": "a\u{0}b" })),
        with(json!({ "a\u{0}b": 1 })),
        with(json!({ "n": u64::MAX })),
        with(deep),
        edge(|draft| draft.data = json!("text")),
        edge(|draft| draft.weight = f64::NAN),
        edge(|draft| draft.weight = f64::INFINITY),
        GraphChange::PutEdge(span),
    ];
    for change in bad {
        let error = refuse(&rig.other, &g, vec![put("b"), change.clone()]).await;
        assert_eq!(error.kind(), ErrorKind::Invalid, "{change:?}: {error}");
        assert_eq!(error.effectiveness(), Effectiveness::NotApplied);
    }
    let many = |count: u32| (0..count).map(|n| put(&format!("n{n}"))).collect::<Vec<_>>();
    let error = refuse(&rig.other, &g, many(PAGE_LIMIT + 1)).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(rig.store.head(&g).await.unwrap(), Some(head));
    let nodes = all_nodes(&rig.store, &g, &NodeFilter::default(), AsOf::ALL, 10).await;
    assert_eq!(ids(&nodes), ["a"]);
    assert_eq!(apply(&rig.store, &g, vec![]).await.revision, head.revision);
    assert_eq!(rig.store.head(&g).await.unwrap(), Some(head));
    let none = graph(&rig, "none");
    assert_eq!(apply(&rig.store, &none, vec![]).await.revision, Revision(0));
    assert_eq!(rig.store.head(&none).await.unwrap(), None, "an empty batch makes no graph");
    apply(&rig.store, &g, many(PAGE_LIMIT)).await;
    let nodes = all_nodes(&rig.other, &g, &NodeFilter::default(), AsOf::ALL, PAGE_LIMIT).await;
    assert_eq!(nodes.len(), 10_001);
}

/// `GRAPH-APPLY-10`
pub async fn graph_apply_10(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let batch =
        |changes, n| GraphBatch { effects: vec![effect("k", n)], ..GraphBatch::new(changes) };
    let first = batch(vec![put("a")], 1);
    rig.store.apply(&g, first.clone()).await.unwrap();
    rig.other.apply(&g, first.clone()).await.unwrap();
    let refused = batch(vec![put("b"), link(1, "a", "r", "not-there")], 2);
    rig.store.apply(&g, refused).await.expect_err("an end is missing");
    let mut invalid = batch(vec![put("c")], 3);
    invalid.effects[0].payload = json!("a\u{0}b");
    let error = rig.store.apply(&g, invalid).await.expect_err("NUL");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(node(&rig.store, &g, "c").await, None);
    let second = batch(vec![put("d")], 4);
    rig.other.apply(&g, second.clone()).await.unwrap();
    let third = effect("k", 5);
    assert!(rig.store.delete(&g, vec![third.clone()]).await.unwrap());
    assert!(!rig.store.delete(&g, vec![effect("k", 6)]).await.unwrap());
    let expected = [first.effects[0].clone(), second.effects[0].clone(), third];
    assert_eq!(effects_of(drain(&rig).await), expected);
}
