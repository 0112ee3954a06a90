//! Random changes and questions: a graph answers as the model does, at every time, page by page.

use std::time::Duration;

use hexmem_adapter_memory::ManualClock;
use hexmem_graph_memory::{GraphMemory, PathQuery, Which};
use hexmem_ports::{
    AsOf, Clock, Direction, EdgeDraft, EdgeFilter, Element, ElementRef, Expect, Filter, GraphBatch,
    GraphChange, Limit, Name, NeighbourQuery, NodeDraft, NodeFilter, Prefix, Timestamp, ValidAt,
};
use proptest::prelude::*;
use serde_json::json;

use super::model::{Model, edge_id, matches_edge, matches_node};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// One change after a pause of some seconds.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pause: u8,
    what: u8,
    node: u8,
    edge: u8,
    span: (Option<u8>, Option<u8>),
    value: u8,
}

/// A question, of which each kind of read takes its part.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    seeds: Vec<u8>,
    direction: Direction,
    relations: Vec<u8>,
    kinds: Vec<u8>,
    sources: Vec<u8>,
    floor: Option<u8>,
    data: Option<u8>,
    valid: Option<Option<u8>>,
    known: Option<u8>,
    hops: u32,
    page: u32,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let span = (proptest::option::of(0..40u8), proptest::option::of(0..40u8));
    let step = (0..3u8, 0..12u8, 0..7u8, 0..24u8, span, 0..6u8).prop_map(
        |(pause, what, node, edge, span, value)| Step { pause, what, node, edge, span, value },
    );
    proptest::collection::vec(step, 0..60)
}

pub(crate) fn questions() -> impl Strategy<Value = Vec<Question>> {
    let few = |bound: u8| proptest::collection::vec(0..bound, 0..3);
    let way = prop_oneof![Just(Direction::Out), Just(Direction::In), Just(Direction::Both)];
    let time = (proptest::option::of(proptest::option::of(0..60u8)), proptest::option::of(0..60u8));
    let floor = proptest::option::of(0..6u8);
    let some = (few(8), way, few(4), few(4), few(3), floor);
    let question = (some, proptest::option::of(0..5u8), time, 0..5u32, 1..9u32).prop_map(
        |((seeds, direction, relations, kinds, sources, floor), data, time, hops, page)| Question {
            seeds,
            direction,
            relations,
            kinds,
            sources,
            floor,
            data,
            valid: time.0,
            known: time.1,
            hops,
            page,
        },
    );
    proptest::collection::vec(question, 8)
}

fn names(letter: &str, numbers: &[u8]) -> Vec<Name> {
    numbers.iter().map(|n| name(&format!("{letter}{n}"))).collect()
}

fn tick(start: Timestamp, n: u8) -> Timestamp {
    start.plus(Duration::from_secs(u64::from(n)))
}

/// The change of a step, unless the store would refuse it.
fn change(step: &Step, start: Timestamp, model: &Model) -> Option<GraphChange> {
    let node = name(&format!("n{}", step.node));
    let data = match step.value {
        0 => json!({}),
        value if value.is_multiple_of(2) => json!({ "v": value, "tags": ["even", value] }),
        value => json!({ "v": value.to_string(), "deep": { "v": value } }),
    };
    match step.what {
        0..4 => Some(GraphChange::PutNode(NodeDraft {
            id: node,
            kind: name(&format!("k{}", step.value % 3)),
            data,
            created_at: None,
            expect: Expect::Any,
        })),
        4..9 => {
            // The ends and the relation follow from the id, which never changes them.
            let src = name(&format!("n{}", step.edge % 7));
            let dst = name(&format!("n{}", step.edge / 4));
            let (from, until) = (step.span.0.map(|n| tick(start, n)), step.span.1);
            let until =
                until.map(|n| tick(start, n)).filter(|until| from.is_none_or(|f| f <= *until));
            (model.has(&src) && model.has(&dst)).then(|| {
                GraphChange::PutEdge(EdgeDraft {
                    id: edge_id(step.edge),
                    src,
                    relation: name(&format!("r{}", step.edge % 3)),
                    dst,
                    weight: f64::from(step.value),
                    valid_from: from,
                    valid_until: until,
                    source: (step.value > 2).then(|| name(&format!("s{}", step.value % 2))),
                    data,
                    created_at: None,
                    expect: Expect::Any,
                })
            })
        }
        9 => Some(GraphChange::RemoveEdge { id: edge_id(step.edge), expect: Expect::Any }),
        10 if step.value == 0 => Some(GraphChange::PurgeOrphan(node)),
        10 if step.value == 1 => Some(GraphChange::PurgeEdge(edge_id(step.edge))),
        10 => Some(GraphChange::RemoveNode { id: node, expect: Expect::Any }),
        _ => None,
    }
}

fn data_filter(which: u8) -> Filter {
    let json = match which {
        0 => json!({"field": "v", "gte": 4}),
        1 => json!({"field": "tags", "in": ["even"]}),
        2 => json!({"not": {"field": "deep.v", "exists": true}}),
        3 => json!({"or": [{"field": "v", "eq": "3"}, {"field": "v", "eq": 2}]}),
        _ => json!({"and": [{"field": "v", "exists": true}, {"field": "v", "lt": 100}]}),
    };
    Filter::parse(&json).unwrap()
}

/// Plays the steps, then asks.
pub(crate) async fn plays(
    memory: &GraphMemory,
    clock: &ManualClock,
    steps: &[Step],
    asked: &[Question],
) {
    let start = clock.now();
    let mut model = Model::default();
    for step in steps {
        clock.advance(Duration::from_secs(u64::from(step.pause)));
        if let Some(change) = change(step, start, &model) {
            let batch = GraphBatch::new(vec![change.clone()]);
            let applied = memory.apply(batch).await.unwrap();
            model.take(&change, applied.recorded_at);
        }
    }
    for question in asked {
        answers(memory, clock.now(), start, &model, question).await;
    }
}

async fn answers(
    memory: &GraphMemory,
    now: Timestamp,
    start: Timestamp,
    model: &Model,
    asked: &Question,
) {
    let valid = match asked.valid {
        None => ValidAt::Now,
        Some(None) => ValidAt::Any,
        Some(Some(at)) => ValidAt::At(tick(start, at)),
    };
    let as_of = AsOf { valid, known: asked.known.map(|at| tick(start, at)) };
    let page = Limit::new(asked.page).unwrap();
    let data = asked.data.map(data_filter);

    let ids = names("n", &[0, 3, 9, 3]);
    let expected: Vec<_> =
        ids.iter().map(|id| model.nodes(as_of, |node| node.id == *id).pop()).collect();
    assert_eq!(memory.nodes(&ids, as_of).await.unwrap(), expected);
    for n in 0..24 {
        let expected = model.edges(as_of, now, |edge| edge.id == edge_id(n)).pop();
        assert_eq!(memory.edge(edge_id(n), as_of).await.unwrap(), expected);
    }
    assert_eq!(memory.stats(as_of).await.unwrap(), model.stats(as_of, now));

    let filter = NodeFilter {
        kinds: names("k", &asked.kinds),
        prefix: Prefix::new(if asked.hops == 0 { "n1" } else { "" }).unwrap(),
        data: data.clone(),
    };
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let part = memory.find_nodes(&filter, as_of, cursor, page).await.unwrap();
        found.extend(part.items);
        cursor = part.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, model.nodes(as_of, |node| matches_node(&filter, node)), "{filter:?}");

    let filter = EdgeFilter {
        at: (asked.hops > 1).then(|| (names("n", &asked.seeds), asked.direction)),
        relations: names("r", &asked.relations),
        min_weight: asked.floor.map(f64::from),
        sources: names("s", &asked.sources),
        data: data.clone(),
    };
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let part = memory.find_edges(&filter, as_of, cursor, page).await.unwrap();
        found.extend(part.items);
        cursor = part.next;
        if cursor.is_none() {
            break;
        }
    }
    let expected = model.edges(as_of, now, |edge| matches_edge(&filter, edge));
    assert_eq!(found, expected, "{filter:?} {as_of:?}");

    let query = NeighbourQuery {
        direction: asked.direction,
        relations: names("r", &asked.relations),
        min_weight: asked.floor.map(f64::from),
        sources: names("s", &asked.sources),
        edge_data: data.clone().filter(|_| asked.hops.is_multiple_of(2)),
        kinds: names("k", &asked.kinds),
        node_data: data.filter(|_| !asked.hops.is_multiple_of(2)),
        as_of,
        ..NeighbourQuery::new(names("n", &asked.seeds), asked.hops, page)
    };
    let (mut found, mut next) = (Vec::new(), query.clone());
    loop {
        let part = memory.neighbours(&next).await.unwrap();
        found.extend(part.nodes.into_iter().map(|reached| (reached.node.id, reached.distance)));
        next.cursor = part.next;
        if next.cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, model.reached(&query, now), "{query:?}");

    let [from, to] = [name("n0"), name("n4")];
    let path = PathQuery {
        direction: asked.direction,
        relations: names("r", &asked.relations),
        min_weight: asked.floor.map(f64::from),
        as_of,
        ..PathQuery::new(from.clone(), to.clone())
    };
    let free = NeighbourQuery {
        direction: asked.direction,
        relations: path.relations.clone(),
        min_weight: path.min_weight,
        as_of,
        ..NeighbourQuery::new(vec![from], 32, page)
    };
    let expected = model.reached(&free, now).into_iter().find(|(id, _)| *id == to);
    let found = memory.path(&path).await.unwrap();
    let edges = found.map(|path| u32::try_from(path.edges.len()).unwrap());
    assert_eq!(edges, expected.map(|(_, distance)| distance), "{path:?}");

    histories(memory, model, asked, as_of, now).await;
}

async fn histories(
    memory: &GraphMemory,
    model: &Model,
    asked: &Question,
    as_of: AsOf,
    now: Timestamp,
) {
    let many = Limit::new(1_000).unwrap();
    let src = name(&format!("n{}", asked.hops));
    let relation = name(&format!("r{}", asked.page % 3));
    let values = Which::Values { src: src.clone(), relation: relation.clone() };
    let states = |edge: &hexmem_ports::Edge| edge.src == src && edge.relation == relation;
    let mut expected = model.versions(states);
    let (mut found, more) = memory.fact_history(&values, many).await.unwrap();
    assert!(!more && found.is_sorted_by(|a, b| a.recorded_at >= b.recorded_at));
    found.sort_by_key(|edge| (edge.id, edge.version));
    assert_eq!(found, expected);
    let holds = !model.edges(as_of, now, states).is_empty();
    assert_eq!(memory.holds(&values, as_of).await.unwrap(), holds);

    let id = edge_id(u8::try_from(asked.page).unwrap());
    let page = memory.history(&ElementRef::Edge(id), None, many).await.unwrap();
    expected = model.versions(|edge| edge.id == id);
    expected.reverse();
    let expected: Vec<Element> = expected.into_iter().map(Element::Edge).collect();
    assert_eq!(page.items, expected);
}
