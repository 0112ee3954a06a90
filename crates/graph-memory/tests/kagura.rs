//! What Kagura's GraphMemory offers, each call by its counterpart, and none of its known defects.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::io::Cursor;

use hexmem_graph_memory::{
    ExportOptions, Fact, Format, GraphMemory, ImportOptions, Interaction, KAGURA_NODE_TYPES,
    KAGURA_RELATIONS, Progress, Since, Vocabulary, Which, export_graph, import_graph,
};
use hexmem_ports::{AsOf, ErrorKind, Limit, Name, NeighbourQuery, NodeFilter, Timestamp, ValidAt};
use serde_json::json;
use support::{World, at, name};

fn fact(src: &str, relation: &str, dst: &str) -> Fact {
    Fact::new(src, relation, dst).unwrap()
}

fn which(src: &str, relation: &str, dst: &str) -> Which {
    Which::Fact { src: name(src), relation: name(relation), dst: name(dst) }
}

fn limit(rows: u32) -> Limit {
    Limit::new(rows).unwrap()
}

async fn nodes(memory: &GraphMemory, ids: &[&str]) {
    for id in ids {
        memory.put_node(name(id), name("topic"), json!({})).await.unwrap();
    }
}

async fn export(memory: &GraphMemory) -> Vec<u8> {
    let mut out = Vec::new();
    export_graph(memory, Format::NodeLink, &mut out, &ExportOptions::default()).await.unwrap();
    out
}

async fn import(memory: &GraphMemory, text: &[u8], strict: bool) -> hexmem_ports::Result<u64> {
    let options = ImportOptions::default();
    let mut file = Cursor::new(text);
    let mut tell = |_: Progress| {};
    let report = import_graph(memory, Format::NodeLink, &mut file, &options, &mut tell).await?;
    assert!(!strict || report.skipped == 0);
    Ok(report.nodes)
}

/// add_node, add_edge, get_node, get_edge, query_graph, get_related, query_graph_temporal, is_edge_valid_at,
/// invalidate_edge, stats.
#[tokio::test]
async fn every_call_has_its_counterpart() {
    let world = World::new();
    let memory = world.graph("g").with_vocabulary(Vocabulary::kagura());
    for (n, kind) in KAGURA_NODE_TYPES.iter().enumerate() {
        memory.put_node(name(&format!("n{n}")), name(kind), json!({ "n": n })).await.unwrap();
    }
    for (n, relation) in KAGURA_RELATIONS.iter().enumerate() {
        let fact = fact(&format!("n{}", n % 11), relation, &format!("n{}", (n + 1) % 11));
        memory.assert(fact.weight(0.5)).await.unwrap();
    }
    let node = memory.node(&name("n3"), AsOf::NOW).await.unwrap().unwrap();
    assert_eq!((node.kind, node.data), (name("interaction"), json!({ "n": 3 })));
    let query = NeighbourQuery::new(vec![name("n0"), name("n5")], 2, limit(100));
    let found = memory.neighbours(&query).await.unwrap();
    assert_eq!((found.nodes.len(), found.edges.len()), (10, 16));
    let related = memory.related(&name("n0"), 1, &[], AsOf::NOW, limit(10)).await.unwrap();
    let ids: Vec<_> = related.iter().map(|reached| reached.node.id.as_str()).collect();
    assert_eq!(ids, ["n1", "n10"]);
    let first = related[0].via.as_ref().unwrap();
    assert_eq!(first.from, name("n0"), "with the way there");

    let link = which("n0", "related_to", "n1");
    let began = world.now();
    world.pass(10);
    memory.invalidate(&link, world.now()).await.unwrap();
    world.pass(10);
    assert!(!memory.holds(&link, AsOf::NOW).await.unwrap());
    assert!(memory.holds(&link, AsOf::at(began)).await.unwrap());
    let then = NeighbourQuery { as_of: AsOf::at(began), ..query.clone() };
    assert_eq!(memory.neighbours(&then).await.unwrap().edges.len(), 16);
    assert_eq!(memory.neighbours(&query).await.unwrap().edges.len(), 15);
    let stats = memory.stats(AsOf::ALL).await.unwrap();
    assert_eq!((stats.nodes, stats.edges), (11, 18));
    assert_eq!((stats.node_types.len(), stats.edge_types.len()), (11, 18));
}

/// record_interaction, get_user_interactions, get_user_topics, analyze_user_pattern.
#[tokio::test]
async fn interactions_give_topics_and_patterns_at_any_time() {
    let world = World::new();
    let memory = world.graph("g").with_vocabulary(Vocabulary::kagura());
    let mut times: Vec<Timestamp> = Vec::new();
    for (topic, platform) in [("rust", "web"), ("sql", "cli"), ("rust", "web")] {
        let said = Interaction {
            user: name("ada"),
            query: "?".into(),
            response: "!".into(),
            topics: vec![name(topic)],
            platform: Some(platform.into()),
            metadata: serde_json::Map::new(),
        };
        memory.record_interaction(&said).await.unwrap();
        times.push(world.now());
        world.pass(60);
    }
    let ada = name("ada");
    let topics = memory.user_topics(&ada, AsOf::NOW).await.unwrap();
    let topics: Vec<_> = topics.into_iter().map(|node| node.id).collect();
    assert_eq!(topics, [name("topic:rust"), name("topic:sql")], "each once");
    let pattern = memory.user_pattern(&ada, AsOf::NOW).await.unwrap();
    assert_eq!(pattern.most_discussed.as_deref(), Some("rust"));
    assert_eq!(pattern.interactions_per_topic(), Some(1.5));
    assert_eq!(pattern.platforms.get("web"), Some(&2));
    let then = AsOf { valid: ValidAt::At(times[0]), known: Some(times[0]) };
    assert_eq!(memory.user_pattern(&ada, then).await.unwrap().interactions, 1);
    assert_eq!(memory.user_topics(&ada, then).await.unwrap().len(), 1);
    let newest = memory.user_interactions(&ada, AsOf::NOW, limit(2)).await.unwrap();
    assert_eq!(newest.len(), 2);
    assert!(newest[0].created_at > newest[1].created_at);
    let nobody = name("nobody");
    assert_eq!(memory.user_topics(&nobody, AsOf::NOW).await.unwrap(), []);
    assert_eq!(
        memory.user_pattern(&nobody, AsOf::NOW).await.unwrap().interactions_per_topic(),
        None
    );
}

#[tokio::test]
async fn graphs_of_kagura_show_their_interactions_too() {
    let world = World::new();
    let memory = world.graph("g");
    let file = json!({
        "directed": true, "multigraph": false, "graph": {},
        "nodes": [
            {"id": "ada", "type": "user", "created_at": "2025-10-09T10:00:00"},
            {"id": "interaction_1a2b3c4d", "type": "interaction", "created_at": "2025-10-09T10:00:00",
             "user_id": "ada", "query": "q", "response": "r", "ai_platform": "claude"},
            {"id": "topic_rust", "type": "topic", "created_at": "2025-10-09T10:00:00", "name": "rust"}
        ],
        "links": [
            {"type": "learned_from", "weight": 1.0, "source": "interaction_1a2b3c4d", "target": "ada"},
            {"type": "related_to", "weight": 1.0, "source": "interaction_1a2b3c4d", "target": "topic_rust"}
        ]
    });
    import(&memory, file.to_string().as_bytes(), true).await.unwrap();
    let pattern = memory.user_pattern(&name("ada"), AsOf::NOW).await.unwrap();
    assert_eq!((pattern.interactions, pattern.topics.get("rust")), (1, Some(&1)));
    assert_eq!(pattern.platforms.get("claude"), Some(&1));
}

#[tokio::test]
async fn defect_1_the_source_of_a_fact_survives_a_save() {
    let world = World::new();
    let memory = world.graph("a");
    nodes(&memory, &["m1", "t1"]).await;
    let stated =
        memory.assert(fact("m1", "related_to", "t1").source(name("https://x.org/1"))).await;
    let before = memory.edge(stated.unwrap().edge, AsOf::NOW).await.unwrap().unwrap();
    let saved = export(&memory).await;
    let copy = world.graph("b");
    import(&copy, &saved, true).await.unwrap();
    let after = copy.facts(&which("m1", "related_to", "t1"), AsOf::NOW).await.unwrap();
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].source, Some(name("https://x.org/1")));
    assert_eq!(after[0].source, before.source);
    assert_eq!(after[0].created_at, before.created_at);
}

#[tokio::test]
async fn defect_2_two_relations_of_a_pair_live_side_by_side_and_old_attributes_do_not_leak() {
    let world = World::new();
    let memory = world.graph("g");
    nodes(&memory, &["a", "b"]).await;
    memory.assert(fact("a", "depends_on", "b").data(json!({"note": "x"}))).await.unwrap();
    memory.assert(fact("a", "blocks", "b").weight(0.2)).await.unwrap();
    let first = memory.facts(&which("a", "depends_on", "b"), AsOf::NOW).await.unwrap();
    let second = memory.facts(&which("a", "blocks", "b"), AsOf::NOW).await.unwrap();
    assert_eq!((first[0].weight, &first[0].data), (1.0, &json!({"note": "x"})));
    assert_eq!((second[0].weight, &second[0].data), (0.2, &json!({})));
    // A fact that is stated anew has its history.
    world.pass(1);
    memory.assert(fact("a", "blocks", "b").weight(0.9)).await.unwrap();
    let (versions, _) = memory.fact_history(&which("a", "blocks", "b"), limit(9)).await.unwrap();
    assert_eq!(versions.iter().map(|edge| edge.weight).collect::<Vec<_>>(), [0.9, 0.2]);
}

#[tokio::test]
async fn defect_3_a_fact_that_holds_again_bears_no_mark_of_its_end() {
    let world = World::new();
    let memory = world.graph("g");
    nodes(&memory, &["a", "b"]).await;
    memory.assert(fact("a", "works_on", "b")).await.unwrap();
    world.pass(1);
    memory.invalidate(&which("a", "works_on", "b"), world.now()).await.unwrap();
    world.pass(1);
    memory.assert(fact("a", "works_on", "b")).await.unwrap();
    let now = memory.facts(&which("a", "works_on", "b"), AsOf::NOW).await.unwrap();
    assert_eq!(now.len(), 1);
    assert_eq!((now[0].valid_until, &now[0].data), (None, &json!({})));
}

#[tokio::test]
async fn defect_4_a_file_cut_short_is_refused_and_the_graph_stays() {
    let world = World::new();
    let memory = world.graph("g");
    nodes(&memory, &["a", "b"]).await;
    let saved = export(&memory).await;
    for cut in [0, saved.len() / 2] {
        import(&memory, &saved[..cut], true).await.unwrap_err();
    }
    assert_eq!(memory.stats(AsOf::ALL).await.unwrap().nodes, 2);
}

#[tokio::test]
async fn defect_5_what_cannot_be_kept_is_refused_when_it_is_stated() {
    let world = World::new();
    let memory = world.graph("g");
    nodes(&memory, &["a", "b"]).await;
    for weight in [f64::NAN, f64::INFINITY] {
        let refused = memory.assert(fact("a", "r", "b").weight(weight)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
    }
    let nul = memory.put_node(name("n"), name("topic"), json!({ "x": "\0" })).await.unwrap_err();
    assert_eq!(nul.kind(), ErrorKind::Invalid);
    assert_eq!(memory.stats(AsOf::ALL).await.unwrap().edges, 0);
}

#[tokio::test]
async fn defect_6_two_holders_of_a_graph_see_each_other_and_lose_nothing() {
    let world = World::new();
    let (one, other) = (world.graph("g"), world.graph("g"));
    let mut loaded = one.load().await.unwrap();
    one.put_node(name("a"), name("topic"), json!({})).await.unwrap();
    other.put_node(name("b"), name("topic"), json!({})).await.unwrap();
    assert_eq!(one.stats(AsOf::ALL).await.unwrap().nodes, 2);
    loaded.follow().await.unwrap();
    assert_eq!(loaded.node_count(), 2);
}

/// The default of its later version is a file that all share; here a graph is where it is said to be.
#[tokio::test]
async fn defect_7_graphs_without_a_path_share_nothing() {
    let (one, other) = (World::new(), World::new());
    nodes(&one.graph("g"), &["a"]).await;
    assert!(other.graph("g").head().await.unwrap().is_none());
    assert!(one.graph("h").head().await.unwrap().is_none());
}

#[tokio::test]
async fn defect_missing_seeds_never_raise() {
    let world = World::new();
    let memory = world.graph("g");
    for as_of in [AsOf::NOW, AsOf::ALL, AsOf::at(at("2001-01-01")), AsOf::NOW.known_at(world.now())]
    {
        let query = NeighbourQuery { as_of, ..NeighbourQuery::new(vec![name("no")], 2, limit(9)) };
        assert_eq!(memory.neighbours(&query).await.unwrap().nodes, []);
        assert_eq!(memory.related(&name("no"), 2, &[], as_of, limit(9)).await.unwrap(), []);
        assert!(!memory.holds(&which("no", "r", "no"), as_of).await.unwrap());
    }
    nodes(&memory, &["a"]).await;
    let some = NeighbourQuery {
        as_of: AsOf::at(world.now()),
        ..NeighbourQuery::new(vec![name("no"), name("a")], 2, limit(9))
    };
    assert_eq!(memory.neighbours(&some).await.unwrap().nodes.len(), 1);
}

#[tokio::test]
async fn defect_only_edges_of_the_relations_asked_for_are_given() {
    let world = World::new();
    let memory = world.graph("g");
    nodes(&memory, &["a", "b"]).await;
    memory.assert(fact("a", "depends_on", "b")).await.unwrap();
    memory.assert(fact("a", "blocks", "b")).await.unwrap();
    let query = NeighbourQuery {
        relations: vec![name("blocks")],
        ..NeighbourQuery::new(vec![name("a")], 2, limit(9))
    };
    let found = memory.neighbours(&query).await.unwrap();
    let relations: Vec<_> = found.edges.iter().map(|edge| edge.relation.as_str()).collect();
    assert_eq!(relations, ["blocks"]);
}

#[tokio::test]
async fn defect_putting_a_node_again_keeps_its_birth_and_its_edges() {
    let world = World::new();
    let memory = world.graph("g");
    nodes(&memory, &["a", "b"]).await;
    memory.assert(fact("a", "includes", "b")).await.unwrap();
    let born = memory.node(&name("a"), AsOf::NOW).await.unwrap().unwrap().created_at;
    world.pass(60);
    memory.put_node(name("a"), name("session"), json!({ "done": true })).await.unwrap();
    let node = memory.node(&name("a"), AsOf::NOW).await.unwrap().unwrap();
    assert_eq!((node.created_at, node.kind), (born, name("session")));
    assert!(memory.holds(&which("a", "includes", "b"), AsOf::NOW).await.unwrap());
}

#[tokio::test]
async fn defect_types_are_checked_on_import_too() {
    let world = World::new();
    let strict = world.graph("g").with_vocabulary(Vocabulary::profile("kagura").unwrap());
    let file = json!({
        "directed": true, "multigraph": false, "graph": {},
        "nodes": [{"id": "a", "type": "person"}], "links": []
    });
    let error = import(&strict, file.to_string().as_bytes(), true).await.unwrap_err();
    assert!(error.to_string().contains("person"), "{error}");
    assert!(strict.head().await.unwrap().is_none());
    assert!(Vocabulary::profile("kagura2").is_err());
    assert!(strict.assert(fact("a", "works_at", "b")).await.is_err());
    assert_eq!(import(&world.graph("open"), file.to_string().as_bytes(), true).await.unwrap(), 1);
}

/// Interaction ids of 32 bits, and keys of two users that are one id.
#[tokio::test]
async fn defect_ids_do_not_collide() {
    let world = World::new();
    let memory = world.graph("g");
    let said = Interaction {
        user: name("ada"),
        query: String::new(),
        response: String::new(),
        topics: Vec::new(),
        platform: None,
        metadata: serde_json::Map::new(),
    };
    let mut ids: BTreeSet<Name> = BTreeSet::new();
    for _ in 0..50 {
        let id = memory.record_interaction(&said).await.unwrap();
        assert!(id.as_str().len() > 40, "122 random bits");
        ids.insert(id);
    }
    assert_eq!(ids.len(), 50);
    // One node stands for a user, whoever writes.
    let users = NodeFilter { kinds: vec![name("user")], ..NodeFilter::default() };
    let page = memory.find_nodes(&users, AsOf::NOW, None, limit(10)).await.unwrap();
    assert_eq!(page.items.len(), 1);
}

/// A star of 3,000 leaves at a time: what is visited is looked at once, so this ends.
#[tokio::test]
async fn defect_a_query_in_time_is_linear_in_what_it_visits() {
    let world = World::new();
    let memory = world.graph("g");
    let mut changes = vec![put("hub")];
    changes.extend((0..3_000).map(|n| put(&format!("leaf{n}"))));
    memory.apply(hexmem_ports::GraphBatch::new(changes)).await.unwrap();
    let began = world.now();
    let edges = (0..3_000).map(|n| {
        let leaf = format!("leaf{n}");
        let ended = (n % 2 == 0).then(|| began.plus(std::time::Duration::from_secs(60)));
        hexmem_ports::GraphChange::PutEdge(hexmem_ports::EdgeDraft {
            id: hexmem_graph_memory::fact_id(&name("hub"), &name("r"), &name(&leaf), None, 0),
            src: name("hub"),
            relation: name("r"),
            dst: name(&leaf),
            weight: 1.0,
            valid_from: Some(began),
            valid_until: ended,
            source: None,
            data: json!({}),
            created_at: None,
            expect: hexmem_ports::Expect::Any,
        })
    });
    memory.apply(hexmem_ports::GraphBatch::new(edges.collect())).await.unwrap();
    let mirror = memory.load().await.unwrap();
    world.pass(120);
    let query = NeighbourQuery::new(vec![name("hub")], 4, limit(10_000));
    let then = NeighbourQuery { as_of: AsOf::at(began), ..query.clone() };
    for (asked, count) in [(query, 1_500), (then, 3_000)] {
        let found = memory.neighbours(&asked).await.unwrap();
        assert_eq!((found.nodes.len(), found.edges.len()), (count + 1, count));
        assert_eq!(mirror.neighbours(&asked).unwrap(), found);
    }
}

fn put(id: &str) -> hexmem_ports::GraphChange {
    hexmem_ports::GraphChange::PutNode(hexmem_ports::NodeDraft {
        id: name(id),
        kind: name("topic"),
        data: json!({}),
        created_at: None,
        expect: hexmem_ports::Expect::Any,
    })
}

/// A functional relation that two sources fill, found by the report, page by page.
#[tokio::test]
async fn contradictions_are_found_by_pages() {
    let world = World::new();
    let memory = world.graph("g");
    let check = world.graph("g").with_vocabulary(Vocabulary::open().functional(["lives_in"]));
    nodes(&memory, &["x", "y"]).await;
    for n in 0..450 {
        let who = format!("p{n:03}");
        nodes(&memory, &[&who]).await;
        if n % 150 == 7 {
            for city in ["x", "y"] {
                let since = Since::At(at("2020-01-01"));
                memory.assert(fact(&who, "lives_in", city).since(since)).await.unwrap();
            }
        }
    }
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = check.contradictions(AsOf::NOW, cursor, limit(1)).await.unwrap();
        found.extend(page.items.into_iter().map(|clash| clash.first.src.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, ["p007", "p157", "p307"]);
    let before = AsOf::at(at("2019-01-01"));
    assert_eq!(check.contradictions(before, None, limit(9)).await.unwrap().items, []);
    assert_eq!(memory.contradictions(AsOf::NOW, None, limit(9)).await.unwrap().items, []);
}
