//! Facts asserted, ended, removed, and found again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use hexmem_graph_memory::{
    Cost, Fact, GraphMemory, Interaction, Outcome, PathQuery, Since, UserPattern, Vocabulary, Which,
};
use hexmem_ports::{
    AsOf, Direction, Edge, EdgeFilter, Element, ElementRef, ErrorKind, Limit, ValidAt,
};
use serde_json::json;
use support::{World, at, name};

async fn with_nodes(memory: &GraphMemory, ids: &[&str]) {
    for id in ids {
        memory.put_node(name(id), name("thing"), json!({})).await.unwrap();
    }
}

fn fact(src: &str, relation: &str, dst: &str) -> Fact {
    Fact::new(src, relation, dst).unwrap()
}

async fn all_edges(memory: &GraphMemory) -> Vec<Edge> {
    let (filter, limit) = (EdgeFilter::default(), Limit::new(1_000).unwrap());
    let page = memory.store().find_edges(memory.graph(), &filter, AsOf::ALL, None, limit).await;
    page.unwrap().items
}

fn which(src: &str, relation: &str, dst: &str) -> Which {
    Which::Fact { src: name(src), relation: name(relation), dst: name(dst) }
}

#[tokio::test]
async fn asserting_again_keeps_the_edge_its_start_and_its_birth() {
    let world = World::new();
    let memory = world.graph("g");
    with_nodes(&memory, &["a", "b"]).await;
    let first = memory.assert(fact("a", "knows", "b")).await.unwrap();
    assert_eq!(first.outcome, Outcome::Created);
    let born = memory.edge(first.edge, AsOf::ALL).await.unwrap().unwrap();
    world.pass(10);
    let again = memory.assert(fact("a", "knows", "b").weight(0.5)).await.unwrap();
    assert_eq!((again.edge, again.outcome), (first.edge, Outcome::Restated));
    let edge = memory.edge(first.edge, AsOf::ALL).await.unwrap().unwrap();
    assert_eq!((edge.version, edge.weight), (2, 0.5));
    assert_eq!((edge.created_at, edge.valid_from), (born.created_at, born.valid_from));
    // Nothing new to say: no version.
    memory.assert(fact("a", "knows", "b").weight(0.5)).await.unwrap();
    assert_eq!(memory.edge(first.edge, AsOf::ALL).await.unwrap().unwrap().version, 2);
    assert_eq!(all_edges(&memory).await.len(), 1);
}

#[tokio::test]
async fn sources_relations_and_spans_apart_are_edges_apart() {
    let world = World::new();
    let memory = world.graph("g");
    with_nodes(&memory, &["a", "b"]).await;
    memory.assert(fact("a", "knows", "b")).await.unwrap();
    memory.assert(fact("a", "knows", "b").source(name("web"))).await.unwrap();
    memory.assert(fact("a", "likes", "b")).await.unwrap();
    memory.assert(fact("b", "knows", "a")).await.unwrap();
    let past = fact("a", "knows", "b").since(Since::At(at("2001-01-01"))).until(at("2002-01-01"));
    memory.assert(past).await.unwrap();
    assert_eq!(all_edges(&memory).await.len(), 5);
    // A span that covers both episodes makes one of them.
    let one = memory.assert(fact("a", "knows", "b").since(Since::Always)).await.unwrap();
    assert_eq!(all_edges(&memory).await.len(), 4);
    assert_eq!(memory.edge(one.edge, AsOf::ALL).await.unwrap().unwrap().valid_from, None);
    // A fact announced for later that holds already begins now.
    let later = fact("b", "likes", "a").since(Since::At(at("2100-01-01")));
    let later = memory.assert(later).await.unwrap().edge;
    assert_eq!(memory.assert(fact("b", "likes", "a")).await.unwrap().edge, later);
    assert_eq!(memory.edge(later, AsOf::ALL).await.unwrap().unwrap().valid_from, Some(world.now()));
}

#[tokio::test]
async fn an_ended_fact_that_holds_again_is_a_new_episode_and_no_mark_stays_on_it() {
    let world = World::new();
    let memory = world.graph("g");
    with_nodes(&memory, &["a", "b"]).await;
    let first = memory.assert(fact("a", "works_on", "b")).await.unwrap().edge;
    world.pass(10);
    let end = world.now();
    let ended = memory.invalidate(&which("a", "works_on", "b"), end).await.unwrap();
    assert_eq!(ended.edges, [first]);
    world.pass(10);
    let second = memory.assert(fact("a", "works_on", "b")).await.unwrap();
    assert_eq!(second.outcome, Outcome::Created);
    assert_ne!(second.edge, first);
    let holds = async |when| {
        let valid = ValidAt::At(when);
        memory.stats(AsOf { valid, known: None }).await.unwrap().edges
    };
    assert_eq!(
        (holds(end.minus(std::time::Duration::from_secs(1))).await, holds(end).await),
        (1, 0)
    );
    assert_eq!(holds(world.now()).await, 1);
    // Invalidating again ends the open episode only.
    world.pass(10);
    let again = memory.invalidate(&which("a", "works_on", "b"), world.now()).await.unwrap();
    assert_eq!(again.edges, [second.edge]);
    let none = memory.invalidate(&which("a", "works_on", "b"), world.now()).await.unwrap();
    assert!(none.edges.is_empty());
}

#[tokio::test]
async fn an_invalidation_names_what_cannot_be_ended() {
    let world = World::new();
    let memory = world.graph("g");
    with_nodes(&memory, &["a", "b"]).await;
    let absent = memory.invalidate(&which("a", "r", "b"), world.now()).await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    memory.assert(fact("a", "r", "b")).await.unwrap();
    let early = memory.invalidate(&which("a", "r", "b"), at("2001-01-01")).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Invalid);
    assert_eq!(memory.facts(&which("a", "r", "b"), AsOf::ALL).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_functional_relation_has_one_value_at_any_time() {
    let world = World::new();
    let memory = world.graph("g").with_vocabulary(Vocabulary::open().functional(["lives_in"]));
    with_nodes(&memory, &["ada", "london", "paris", "rome"]).await;
    let since = |year: &str| Since::At(at(&format!("{year}-01-01")));
    let london =
        memory.assert(fact("ada", "lives_in", "london").since(since("2001"))).await.unwrap();
    let paris = memory.assert(fact("ada", "lives_in", "paris").since(since("2010"))).await.unwrap();
    assert_eq!(paris.displaced, [london.edge]);
    // Learnt late: it fills the time before Paris and ends London earlier.
    let rome = memory.assert(fact("ada", "lives_in", "rome").since(since("2005"))).await.unwrap();
    assert_eq!(rome.displaced, [london.edge]);
    let value = async |year: &str| {
        let as_of = AsOf { valid: ValidAt::At(at(&format!("{year}-06-01"))), known: None };
        let filter =
            EdgeFilter { at: Some((vec![name("ada")], Direction::Out)), ..EdgeFilter::default() };
        let limit = Limit::default();
        let page = memory.store().find_edges(memory.graph(), &filter, as_of, None, limit).await;
        let values: Vec<String> =
            page.unwrap().items.iter().map(|edge| edge.dst.to_string()).collect();
        values.join("+")
    };
    assert_eq!(value("2000").await, "");
    assert_eq!(value("2003").await, "london");
    assert_eq!(value("2007").await, "rome");
    assert_eq!(value("2020").await, "paris");
    // The same value again changes nothing of it; a correction of its start removes the corrected one.
    let again = memory.assert(fact("ada", "lives_in", "paris")).await.unwrap();
    assert_eq!((again.edge, again.displaced.len()), (paris.edge, 0));
    let fixed = memory.assert(fact("ada", "lives_in", "rome").since(since("2010"))).await.unwrap();
    assert_eq!(fixed.displaced, [paris.edge]);
    assert_eq!(value("2020").await, "rome");
    let versions = memory.history(&ElementRef::Edge(paris.edge), None, Limit::default()).await;
    assert!(!versions.unwrap().items.is_empty(), "a corrected value stays in history");
    // Its slot is never given to another value.
    memory.assert(fact("ada", "lives_in", "london").since(since("2030"))).await.unwrap();
    assert_eq!(value("2031").await, "london");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_asserts_of_one_fact_are_one_edge_and_of_one_slot_one_value() {
    let world = World::new();
    let memory = world.graph("g").with_vocabulary(Vocabulary::open().functional(["lives_in"]));
    let cities: Vec<String> = (0..8).map(|i| format!("city{i}")).collect();
    with_nodes(&memory, &["ada", "bob"]).await;
    for city in &cities {
        memory.put_node(name(city), name("city"), json!({})).await.unwrap();
    }
    let mut tasks = Vec::new();
    for (i, city) in cities.iter().enumerate() {
        let (memory, city) = (memory.clone(), city.clone());
        tasks.push(tokio::spawn(async move {
            for n in 0..5 {
                let weight = f64::from(u32::try_from(i * 10 + n).unwrap());
                memory.assert(fact("ada", "knows", "bob").weight(weight)).await.unwrap();
                memory.assert(fact("ada", "lives_in", &city)).await.unwrap();
                let patch = json!({ format!("k{i}-{n}"): 1 });
                memory.merge_node(name("ada"), None, patch).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let edges = all_edges(&memory).await;
    assert_eq!(edges.iter().filter(|edge| edge.relation == name("knows")).count(), 1);
    world.pass(1);
    let lives = edges
        .iter()
        .filter(|edge| edge.relation == name("lives_in") && edge.valid_until.is_none())
        .count();
    assert_eq!(lives, 1, "{edges:#?}");
    let ada = memory.node(&name("ada"), AsOf::NOW).await.unwrap().unwrap();
    assert_eq!(ada.data.as_object().unwrap().len(), 40, "no merge is lost");
}

#[tokio::test]
async fn what_a_fact_may_not_be_is_refused_and_absent_ends_are_named() {
    let world = World::new();
    let memory = world.graph("g");
    with_nodes(&memory, &["a"]).await;
    let error = memory.assert(fact("a", "r", "ghost")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("ghost"), "{error}");
    for bad in [
        fact("a", "r", "a").weight(f64::NAN),
        fact("a", "r", "a").data(json!([1])),
        fact("a", "r", "a").data(json!({"k": "\u{0}"})),
        fact("a", "r", "a").until(at("2001-01-01")),
    ] {
        assert_eq!(memory.assert(bad).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    let closed = memory.clone().with_vocabulary(Vocabulary::kagura());
    assert!(closed.assert(fact("a", "r", "a")).await.is_err());
    assert!(closed.put_node(name("x"), name("thing"), json!({})).await.is_err());
    assert!(all_edges(&memory).await.is_empty());
}

#[tokio::test]
async fn removing_a_node_takes_its_edges_and_leaves_history() {
    let world = World::new();
    let memory = world.graph("g");
    with_nodes(&memory, &["a", "b", "c"]).await;
    memory.assert(fact("a", "r", "b")).await.unwrap();
    memory.assert(fact("c", "r", "a")).await.unwrap();
    memory.assert(fact("a", "r", "a")).await.unwrap();
    world.pass(1);
    let removed = memory.remove_node(&name("a")).await.unwrap();
    assert_eq!((removed.nodes, removed.edges), (1, 3));
    assert!(memory.node(&name("a"), AsOf::NOW).await.unwrap().is_none());
    assert_eq!(memory.remove_node(&name("a")).await.unwrap().nodes, 0);
    let history = memory.history(&ElementRef::Node(name("a")), None, Limit::default()).await;
    assert!(matches!(&history.unwrap().items[..], [Element::Node(_)]));
    assert_eq!(
        memory.fact_history(&which("a", "r", "b"), Limit::default()).await.unwrap().0.len(),
        1
    );
    let gone = memory.remove_edges(&which("a", "r", "b")).await.unwrap();
    assert_eq!(gone.edges, 0);
}

#[tokio::test]
async fn merging_changes_only_what_it_names() {
    let world = World::new();
    let memory = world.graph("g");
    let untyped = memory.merge_node(name("n"), None, json!({})).await.unwrap_err();
    assert_eq!(untyped.kind(), ErrorKind::Invalid);
    let kind = Some(name("thing"));
    memory.merge_node(name("n"), kind, json!({"a": 1, "b": {"c": 2}})).await.unwrap();
    let born = memory.node(&name("n"), AsOf::NOW).await.unwrap().unwrap().created_at;
    world.pass(5);
    memory.merge_node(name("n"), None, json!({"a": null, "b": {"d": 3}})).await.unwrap();
    let node = memory.node(&name("n"), AsOf::NOW).await.unwrap().unwrap();
    assert_eq!(node.data, json!({"b": {"c": 2, "d": 3}}));
    assert_eq!((node.kind.as_str(), node.created_at), ("thing", born));
}

#[tokio::test]
async fn paths_follow_direction_time_and_cost() {
    let world = World::new();
    let memory = world.graph("g");
    with_nodes(&memory, &["a", "b", "c", "d", "lone"]).await;
    let since = Since::At(at("2001-01-01"));
    for (src, dst, weight) in [("a", "b", 1.0), ("b", "c", 1.0), ("c", "d", 1.0), ("a", "d", 9.0)] {
        memory.assert(fact(src, "r", dst).weight(weight).since(since)).await.unwrap();
    }
    memory.assert(fact("a", "old", "c").since(since).until(at("2002-01-01"))).await.unwrap();
    let query = |from: &str, to: &str| PathQuery::new(name(from), name(to));
    let mirror = memory.load().await.unwrap();
    let ask = async |query: PathQuery| {
        let found = memory.path(&query).await.unwrap();
        assert_eq!(mirror.path(&query).unwrap().map(|p| p.cost), found.as_ref().map(|p| p.cost));
        found.map(|path| path.nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(""))
    };
    assert_eq!(ask(query("a", "d")).await.as_deref(), Some("ad"));
    assert_eq!(ask(query("a", "a")).await.as_deref(), Some("a"));
    assert_eq!(ask(query("a", "lone")).await, None);
    assert_eq!(ask(query("a", "nobody")).await, None);
    let weighted = PathQuery { cost: Cost::Weight, ..query("a", "d") };
    assert_eq!(ask(weighted).await.as_deref(), Some("abcd"));
    let strong = PathQuery { cost: Cost::Strength, ..query("a", "d") };
    assert_eq!(ask(strong).await.as_deref(), Some("ad"));
    let back = PathQuery { direction: Direction::In, ..query("d", "b") };
    assert_eq!(ask(back).await.as_deref(), Some("dcb"));
    let out = PathQuery { direction: Direction::Out, ..query("d", "b") };
    assert_eq!(ask(out).await, None);
    let then = AsOf { valid: ValidAt::At(at("2001-06-01")), known: None };
    assert_eq!(ask(PathQuery { as_of: then, ..query("a", "c") }).await.as_deref(), Some("ac"));
    assert_eq!(ask(query("a", "c")).await.map(|nodes| nodes.len()), Some(3));
    memory.assert(fact("d", "debt", "lone").weight(-1.0)).await.unwrap();
    let negative = PathQuery { cost: Cost::Weight, ..query("a", "lone") };
    assert_eq!(memory.path(&negative).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_graph_that_is_not_there_is_named_with_those_that_are() {
    let world = World::new();
    with_nodes(&world.graph("here"), &["a"]).await;
    let error = world.graph("gone").existing("graph.stats").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("`here`"), "{error}");
    assert!(world.graph("gone").head().await.unwrap().is_none());
}

#[tokio::test]
async fn interactions_are_counted_by_topic_and_platform_newest_first() {
    let world = World::new();
    let memory = world.graph("g");
    let said = |query: &str, topics: &[&str], platform: Option<&str>| Interaction {
        user: name("ada"),
        query: query.to_owned(),
        response: "yes".to_owned(),
        topics: topics.iter().map(|topic| name(topic)).collect(),
        platform: platform.map(String::from),
        metadata: serde_json::Map::from_iter([("user".to_owned(), json!("somebody else"))]),
    };
    let mut ids = Vec::new();
    for said in [
        said("one", &["rust", "rust"], Some("web")),
        said("two", &["rust", "sql"], None),
        said("three", &[], Some("web")),
    ] {
        ids.push(memory.record_interaction(&said).await.unwrap());
        world.pass(1);
    }
    let newest =
        memory.user_interactions(&name("ada"), AsOf::NOW, Limit::new(2).unwrap()).await.unwrap();
    let newest: Vec<_> = newest.into_iter().map(|node| node.id).collect();
    assert_eq!(newest, [ids[2].clone(), ids[1].clone()]);
    let pattern = memory.user_pattern(&name("ada"), AsOf::NOW).await.unwrap();
    assert_eq!(pattern.interactions, 3);
    assert_eq!(pattern.topics.get("rust"), Some(&2));
    assert_eq!(pattern.most_discussed.as_deref(), Some("rust"));
    assert_eq!(pattern.platforms.get("web"), Some(&2));
    let first = memory.node(&ids[0], AsOf::NOW).await.unwrap().unwrap();
    assert_eq!(first.data["user"], "ada", "metadata overrides nothing");
    let stats = memory.stats(AsOf::ALL).await.unwrap();
    assert_eq!((stats.nodes, stats.edge_types.get("works_on")), (6, Some(&2)));
    let nobody = memory.user_pattern(&name("nobody"), AsOf::NOW).await.unwrap();
    assert_eq!(nobody, UserPattern::default());
}

/// Services call these from tasks that move between threads.
#[test]
fn long_calls_can_be_spawned() {
    fn spawnable<T: Send>(work: T) {
        drop(work);
    }
    let world = World::new();
    let memory = world.graph("g");
    let query = PathQuery::new(name("a"), name("b"));
    spawnable(memory.assert(fact("a", "r", "b")));
    spawnable(memory.path(&query));
    spawnable(memory.load());
    let forget = hexmem_graph_memory::Forget::User(name("a"));
    spawnable(memory.forget(&forget, hexmem_graph_memory::Orphans::Purge));
    spawnable(memory.forget_preview(&forget, hexmem_graph_memory::Orphans::Keep));
    spawnable(memory.contradictions(AsOf::ALL, None, Limit::default()));
    let mut file = std::io::Cursor::new("");
    let options = hexmem_graph_memory::ImportOptions::default();
    let mut tell = |_: hexmem_graph_memory::Progress| {};
    let form = hexmem_graph_memory::Format::NodeLink;
    spawnable(hexmem_graph_memory::import_graph(&memory, form, &mut file, &options, &mut tell));
    let mut out = Vec::new();
    let options = hexmem_graph_memory::ExportOptions::default();
    spawnable(hexmem_graph_memory::export_graph(&memory, form, &mut out, &options));
}
