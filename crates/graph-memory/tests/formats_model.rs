//! Random graphs through every form that promises to hold them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use hexmem_graph_memory::{Format, ImportOptions};
use hexmem_ports::{
    EdgeDraft, EdgeId, Expect, GraphBatch, GraphChange, Name, NodeDraft, Timestamp,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value};
use support::{World, contents, export, import};
use uuid::Uuid;

/// Names that forms reserve, escape or trip over.
const KEYS: [&str; 16] = [
    "id",
    "type",
    "source",
    "target",
    "key",
    "weight",
    "created_at",
    "valid_from",
    "valid_until",
    "evidence",
    "data.id",
    "data.",
    "also",
    "invalidated",
    "invalidated_at",
    "",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,2}",
        "\\PC{1,6}",
        Just("</script>\"\\".to_owned()),
        Just("\u{1}\r\n\t\u{7f}\u{2028}".to_owned()),
        Just("2026-01-01T00:00:00.000000Z".to_owned()),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(text(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn data() -> impl Strategy<Value = Value> {
    let key = prop_oneof![proptest::sample::select(&KEYS[..]).prop_map(str::to_owned), text()];
    btree_map(key, json(), 0..6)
        .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>()))
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0..2_000_000_000_000_000_i64).prop_map(|at| Timestamp::from_micros(at).unwrap())
}

/// The drafts of a graph: nodes, then edges between them.
fn graph() -> impl Strategy<Value = (Vec<NodeDraft>, Vec<EdgeDraft>)> {
    let node = (text(), text(), data(), option::of(time()));
    let edge = (
        (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        text(),
        any::<f64>().prop_filter("finite", |x| x.is_finite()),
        (option::of(time()), option::of(0..1_000_000_i64), option::of(time())),
        option::of(text()),
        data(),
    );
    (vec(node, 1..8), vec(edge, 0..12)).prop_map(|(nodes, edges)| {
        let mut drafts: Vec<NodeDraft> = Vec::new();
        for (id, kind, data, created_at) in nodes {
            let (id, kind) = (Name::new(id).unwrap(), Name::new(kind).unwrap());
            if drafts.iter().all(|draft| draft.id != id) {
                drafts.push(NodeDraft { id, kind, data, created_at, expect: Expect::Any });
            }
        }
        let edges = edges.into_iter().enumerate().map(|(i, edge)| {
            let ((src, dst), relation, weight, (valid_from, span, created_at), source, data) = edge;
            let until = |from: Timestamp| Timestamp::from_micros(from.as_micros() + span?);
            EdgeDraft {
                id: EdgeId(Uuid::from_u128(i as u128 + 1)),
                src: src.get(&drafts).id.clone(),
                relation: Name::new(relation).unwrap(),
                dst: dst.get(&drafts).id.clone(),
                weight,
                valid_until: valid_from.and_then(until),
                valid_from,
                source: source.map(|source| Name::new(source).unwrap()),
                data,
                created_at,
                expect: Expect::Any,
            }
        });
        let edges = edges.collect();
        (drafts, edges)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_graph_comes_back_as_it_was((nodes, edges) in graph()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let memory = world.graph("a");
            let changes = nodes.into_iter().map(GraphChange::PutNode);
            let changes = changes.chain(edges.into_iter().map(GraphChange::PutEdge)).collect();
            memory.apply(GraphBatch::new(changes)).await.unwrap();
            let before = contents(&memory).await;
            for format in [Format::NodeLink, Format::Jsonl] {
                world.pass(1);
                let copy = world.graph(&format.to_string());
                let (file, report) = export(&memory, format).await;
                prop_assert!(report.lost.is_empty());
                import(&copy, format, file.as_bytes(), ImportOptions::default()).await.unwrap();
                prop_assert_eq!(&contents(&copy).await, &before);
                prop_assert_eq!(export(&copy, format).await.0, file);
            }
            for format in [Format::Mcp, Format::Graphml, Format::Dot] {
                let (file, report) = export(&memory, format).await;
                prop_assert_eq!(report.nodes, before.0.len() as u64);
                if format == Format::Mcp {
                    let copy = world.graph("mcp");
                    import(&copy, format, file.as_bytes(), ImportOptions::default()).await.unwrap();
                    // Edges come in the order of their ids, which this form does not hold.
                    let sorted = |file: &str| {
                        let mut lines: Vec<String> = file.lines().map(str::to_owned).collect();
                        lines.sort_unstable();
                        lines
                    };
                    prop_assert_eq!(sorted(&export(&copy, format).await.0), sorted(&file));
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let memory = World::new().graph("a");
            let mut torn = include_bytes!("fixtures/kagura.jsonl").to_vec();
            let at = cut.index(torn.len());
            torn.splice(at..(at + 3).min(torn.len()), bytes.iter().copied().take(3));
            for format in [Format::NodeLink, Format::Jsonl, Format::Mcp] {
                for text in [&bytes, &torn] {
                    // Either answer will do; a panic will not.
                    let _ = Format::of_content(text, None);
                    let _ = import(&memory, format, text, ImportOptions::default()).await;
                }
            }
        });
    }
}
