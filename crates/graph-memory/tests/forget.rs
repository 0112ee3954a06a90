//! Forgetting: what hangs on a source or a user alone goes, what is shared stays, whatever happens in between.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/flaky.rs"]
mod flaky;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use flaky::Flaky;
use hexmem_graph_memory::{
    Fact, Forget, GraphMemory, Interaction, Kept, Orphans, Since, topic_node, user_node,
};
use hexmem_ports::{
    AsOf, Clock, Edge, EdgeFilter, EdgeId, Element, ElementRef, Expect, GraphBatch, GraphChange,
    Limit, Name, Node, NodeFilter, Revision,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{World, name};

fn many() -> Limit {
    Limit::new(10_000).unwrap()
}

async fn put(memory: &GraphMemory, id: &str, data: Value) {
    memory.put_node(name(id), name("thing"), data).await.unwrap();
}

async fn state(memory: &GraphMemory, src: &str, relation: &str, dst: &str, by: &str) -> EdgeId {
    let mut fact = Fact::new(src, relation, dst).unwrap().since(Since::Always);
    fact.source = (!by.is_empty()).then(|| name(by));
    memory.assert(fact).await.unwrap().edge
}

async fn ids(memory: &GraphMemory) -> Vec<String> {
    let page = memory.find_nodes(&NodeFilter::default(), AsOf::NOW, None, many()).await.unwrap();
    page.items.into_iter().map(|node| node.id.to_string()).collect()
}

/// Every version of every edge.
async fn versions(memory: &GraphMemory) -> Vec<Edge> {
    let (graph, all) = (memory.graph(), EdgeFilter::default());
    memory.store().find_versions(graph, &all, None, many()).await.unwrap().items
}

fn source(text: &str) -> Forget {
    Forget::Source(name(text))
}

#[tokio::test]
async fn what_a_source_alone_said_goes_and_a_report_says_what_stays_and_why() {
    let world = World::new();
    let memory = world.graph("g");
    for id in ["ada", "london", "paris", "rome", "alone"] {
        put(&memory, id, json!({})).await;
    }
    put(&memory, "lyon", json!({ "source": "maps" })).await;
    put(&memory, "note", json!({ "source": "letters" })).await;
    put(&memory, "page", json!({ "source": "letters" })).await;
    state(&memory, "ada", "knows", "london", "letters").await;
    state(&memory, "ada", "knows", "paris", "letters").await;
    state(&memory, "ada", "knows", "paris", "diary").await;
    state(&memory, "ada", "knows", "lyon", "letters").await;
    state(&memory, "ada", "cites", "page", "").await;
    world.pass(1);
    // Said and taken back: history only.
    let removed = state(&memory, "rome", "near", "rome", "letters").await;
    let gone = GraphChange::RemoveEdge { id: removed, expect: Expect::Any };
    memory.apply(GraphBatch::new(vec![gone])).await.unwrap();

    let would = memory.forget_preview(&source("letters"), Orphans::Purge).await.unwrap();
    assert_eq!(versions(&memory).await.len(), 6, "a preview changes nothing");
    let done = memory.forget(&source("letters"), Orphans::Purge).await.unwrap();
    assert_eq!(done, would);
    assert_eq!((done.edges, done.nodes, done.shared), (4, 3, 4));
    assert_eq!(done.purged, [name("london"), name("note"), name("rome")]);
    let kept = BTreeMap::from([
        (name("ada"), Kept::OtherFacts),
        (name("lyon"), Kept::OtherSource),
        (name("page"), Kept::OtherFacts),
        (name("paris"), Kept::OtherFacts),
    ]);
    assert_eq!(done.kept, kept);
    assert_eq!(ids(&memory).await, ["ada", "alone", "lyon", "page", "paris"]);
    let left: Vec<_> = versions(&memory).await.into_iter().map(|edge| edge.source).collect();
    assert_eq!(left.len(), 2);
    assert!(!left.contains(&Some(name("letters"))), "no trace");
    let log = memory.store().changes(memory.graph(), Revision(0), many()).await.unwrap();
    let named =
        log.changes.iter().filter(|change| format!("{:?}", change.state).contains("letters"));
    let named: Vec<_> = named.map(|change| change.element.clone()).collect();
    assert_eq!(named, [ElementRef::Node(name("page"))], "the log keeps what stays only");
    let again = memory.forget(&source("letters"), Orphans::Purge).await.unwrap();
    assert_eq!((again.edges, again.nodes), (0, 0), "nothing is left to do");
}

#[tokio::test]
async fn nothing_to_forget_is_no_error_and_makes_no_graph() {
    let world = World::new();
    let memory = world.graph("g");
    for what in [source("nobody"), Forget::User(name("nobody"))] {
        let done = memory.forget(&what, Orphans::Purge).await.unwrap();
        assert_eq!(done, hexmem_graph_memory::Forgotten::default());
    }
    assert!(memory.head().await.unwrap().is_none());
}

#[tokio::test]
async fn a_fact_that_another_source_took_over_stays_without_its_past() {
    let world = World::new();
    let memory = world.graph("g");
    put(&memory, "a", json!({})).await;
    let edge = state(&memory, "a", "r", "a", "one").await;
    let born = memory.edge(edge, AsOf::ALL).await.unwrap().unwrap();
    world.pass(1);
    let taken_over = hexmem_ports::EdgeDraft {
        id: edge,
        src: name("a"),
        relation: name("r"),
        dst: name("a"),
        weight: 2.0,
        valid_from: None,
        valid_until: None,
        source: Some(name("two")),
        data: json!({ "why": "checked" }),
        created_at: None,
        expect: Expect::Any,
    };
    memory.apply(GraphBatch::new(vec![GraphChange::PutEdge(taken_over)])).await.unwrap();
    let would = memory.forget_preview(&source("one"), Orphans::Purge).await.unwrap();
    let done = memory.forget(&source("one"), Orphans::Purge).await.unwrap();
    assert_eq!(done, would);
    assert_eq!((done.edges, done.rewritten, done.nodes), (0, 1, 0));
    let left = versions(&memory).await;
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].source.clone(), left[0].weight), (Some(name("two")), 2.0));
    assert_eq!(left[0].created_at, born.created_at, "it is as old as it was");
}

fn said(user: &str, topic: &str) -> Interaction {
    Interaction {
        user: name(user),
        query: "why".into(),
        response: "because".into(),
        topics: vec![name(topic)],
        platform: None,
        metadata: serde_json::Map::new(),
    }
}

#[tokio::test]
async fn a_user_goes_with_all_that_was_learned_from_nobody_else() {
    let world = World::new();
    let memory = world.graph("g");
    let mine = memory.record_interaction(&said("ada", "rust")).await.unwrap();
    memory.record_interaction(&said("ada", "poems")).await.unwrap();
    let theirs = memory.record_interaction(&said("bob", "rust")).await.unwrap();
    // Learned from both; what was concluded from a talk; another graph's way to name the same user.
    put(&memory, "shared", json!({})).await;
    for user in ["user:ada", "user:bob"] {
        state(&memory, "shared", "learned_from", user, "").await;
    }
    put(&memory, "x", json!({})).await;
    put(&memory, "y", json!({})).await;
    state(&memory, "x", "likes", "y", mine.as_str()).await;
    state(&memory, "x", "likes", "shared", theirs.as_str()).await;
    memory.put_node(name("user_ada"), name("user"), json!({})).await.unwrap();
    memory.put_node(name("memory_1"), name("memory"), json!({"text": "secret"})).await.unwrap();
    state(&memory, "memory_1", "learned_from", "user_ada", "").await;
    // A node of the user's name that is no user is somebody else's.
    put(&memory, "ada", json!({})).await;

    let forget = Forget::User(name("ada"));
    let would = memory.forget_preview(&forget, Orphans::Purge).await.unwrap();
    let done = memory.forget(&forget, Orphans::Purge).await.unwrap();
    assert_eq!(done, would);
    assert_eq!(done.kept.get(&name("shared")), Some(&Kept::OtherUsers));
    assert_eq!(done.kept.get(&topic_node(&name("rust")).unwrap()), Some(&Kept::OtherFacts));
    let left: BTreeSet<String> = ids(&memory).await.into_iter().collect();
    let expected =
        ["ada", "shared", "topic:rust", theirs.as_str(), "user:bob", "x"].map(String::from);
    assert_eq!(left, BTreeSet::from(expected));
    let gone = ElementRef::Node(user_node(&name("ada")).unwrap());
    assert_eq!(memory.history(&gone, None, many()).await.unwrap().items, []);
    let all = format!("{:?}", versions(&memory).await);
    assert!(!all.contains("user:ada") && !all.contains("user_ada") && !all.contains(mine.as_str()));
    let pattern = memory.user_pattern(&name("bob"), AsOf::NOW).await.unwrap();
    assert_eq!((pattern.interactions, pattern.topics.get("rust")), (1, Some(&1)));
}

#[tokio::test]
async fn orphans_stay_when_asked() {
    let world = World::new();
    let memory = world.graph("g");
    put(&memory, "a", json!({})).await;
    put(&memory, "b", json!({})).await;
    state(&memory, "a", "r", "b", "s").await;
    let would = memory.forget_preview(&source("s"), Orphans::Keep).await.unwrap();
    let done = memory.forget(&source("s"), Orphans::Keep).await.unwrap();
    assert_eq!(done, would);
    assert_eq!((done.edges, done.nodes), (1, 0));
    assert_eq!(done.kept, BTreeMap::from([(name("a"), Kept::Asked), (name("b"), Kept::Asked)]));
    assert_eq!(ids(&memory).await, ["a", "b"]);
}

/// Everything that a graph is: its nodes, and every version of its edges, but for what the clock says.
async fn everything(memory: &GraphMemory) -> (Vec<Node>, Vec<Edge>) {
    let page = memory.find_nodes(&NodeFilter::default(), AsOf::NOW, None, many()).await.unwrap();
    (page.items, versions(memory).await)
}

async fn busy(memory: &GraphMemory) {
    for n in 0..6 {
        for user in ["ada", "bob"] {
            let topics = ["t0", "t1", "t2"];
            let said = said(user, topics[(n + user.len() * (n % 2)) % 3]);
            let id = memory.record_interaction(&said).await.unwrap();
            put(memory, &format!("f{n}{user}"), json!({})).await;
            state(memory, &format!("f{n}{user}"), "about", "topic:t0", id.as_str()).await;
        }
    }
}

/// Killed after every number of batches, a run leaves a graph that a second one brings to the same end.
#[tokio::test]
async fn a_run_that_was_killed_is_finished_by_the_next() {
    let user = Forget::User(name("ada"));
    for killed_after in 0..40 {
        let world = World::new();
        let memory = world.graph("g");
        busy(&memory).await;
        let flaky = Flaky { inner: world.store.clone(), left: AtomicU32::new(killed_after) };
        let clock = world.clock.clone() as Arc<dyn Clock>;
        let cut = GraphMemory::new(Arc::new(flaky), clock, memory.graph().clone());
        let first = cut.forget(&user, Orphans::Purge).await;
        let finished = first.is_ok();
        memory.forget(&user, Orphans::Purge).await.unwrap();
        let (nodes, edges) = everything(&memory).await;
        let expected = |id: &str| {
            id.starts_with("topic:") || id.contains("bob") || id.starts_with("interaction:")
        };
        assert!(
            nodes.iter().all(|node| expected(node.id.as_str())),
            "after {killed_after}: {nodes:?}"
        );
        assert_eq!(nodes.iter().filter(|n| n.kind == name("interaction")).count(), 6);
        assert!(nodes.iter().all(|node| node.data["user"] != "ada"));
        assert!(edges.iter().all(|edge| edge.superseded_at.is_none()));
        assert_eq!(
            edges.len(),
            6 * 3 + edges.iter().filter(|e| e.relation == name("works_on")).count()
        );
        if finished {
            assert!(killed_after > 1, "there is something to be killed");
            return;
        }
    }
    panic!("it never came to its end");
}

#[derive(Debug, Clone)]
struct Drawn {
    facts: Vec<(u8, u8, u8, u8)>,
    ended: Vec<u8>,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let fact = (0..8u8, 0..2u8, 0..8u8, 0..4u8);
    (proptest::collection::vec(fact, 0..30), proptest::collection::vec(0..30u8, 0..6))
        .prop_map(|(facts, ended)| Drawn { facts, ended })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_source_leaves_what_the_others_said(drawn in drawn(), by in 0..4u8) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let memory = world.graph("g");
            for n in 0..8 {
                put(&memory, &format!("n{n}"), json!({})).await;
            }
            let mut edges = Vec::new();
            for (src, relation, dst, source) in &drawn.facts {
                let (src, relation, dst) = (format!("n{src}"), format!("r{relation}"), format!("n{dst}"));
                edges.push(state(&memory, &src, &relation, &dst, &format!("s{source}")).await);
            }
            for place in &drawn.ended {
                if let Some(edge) = edges.get(usize::from(*place)) {
                    let end = GraphChange::RemoveEdge { id: *edge, expect: Expect::Any };
                    memory.apply(GraphBatch::new(vec![end])).await.unwrap();
                }
            }
            let before = versions(&memory).await;
            let by = name(&format!("s{by}"));
            let theirs = |edge: &&Edge| edge.source.as_ref() == Some(&by);
            let ends = |edges: &mut dyn Iterator<Item = &Edge>| -> BTreeSet<Name> {
                edges.flat_map(|edge| [edge.src.clone(), edge.dst.clone()]).collect()
            };
            let touched = ends(&mut before.iter().filter(theirs));
            let held = ends(&mut before.iter().filter(|edge| !theirs(edge)));
            let forget = Forget::Source(by.clone());
            let would = memory.forget_preview(&forget, Orphans::Purge).await.unwrap();
            let done = memory.forget(&forget, Orphans::Purge).await.unwrap();
            assert_eq!(done, would);
            let left: Vec<Edge> = before.iter().filter(|edge| !theirs(edge)).cloned().collect();
            assert_eq!(versions(&memory).await, left);
            let gone: BTreeSet<Name> = touched.difference(&held).cloned().collect();
            assert_eq!(done.purged.iter().cloned().collect::<BTreeSet<_>>(), gone);
            assert_eq!(done.kept.keys().cloned().collect::<BTreeSet<_>>(), &touched & &held);
            for n in 0..8 {
                let id = name(&format!("n{n}"));
                let there = memory.node(&id, AsOf::NOW).await.unwrap().is_some();
                assert_eq!(there, !gone.contains(&id));
                let history = memory.history(&ElementRef::Node(id), None, many()).await.unwrap();
                assert_eq!(history.items.iter().filter(|e| matches!(e, Element::Node(_))).count(), usize::from(there));
            }
        });
    }
}
