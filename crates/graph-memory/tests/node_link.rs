//! Node-link files in and out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use hexmem_graph_memory::{
    BadItems, Format, GraphMemory, ImportOptions, ImportReport, Vocabulary, fact_id,
};
use hexmem_ports::{AsOf, ErrorKind, Result};
use support::{World, contents, name};

async fn import(memory: &GraphMemory, text: &str, options: ImportOptions) -> Result<ImportReport> {
    support::import(memory, Format::NodeLink, text.as_bytes(), options).await
}

async fn read(memory: &GraphMemory, text: &str) -> Result<ImportReport> {
    import(memory, text, ImportOptions::default()).await
}

async fn export(memory: &GraphMemory) -> String {
    support::export(memory, Format::NodeLink).await.0
}

const SMALL: &str = r#"{
  "directed": true, "multigraph": false, "graph": {},
  "nodes": [
    {"key": "k", "type": "memory", "created_at": "2026-11-20T23:36:47.836271", "id": "m1"},
    {"name": "Py", "id": "t1", "type": "topic", "created_at": "2026-11-20T23:36:47.836363"}
  ],
  "links": [
    {"note": "x", "type": "depends_on", "weight": 0.2, "created_at": "2026-11-20T23:36:47.836388",
     "valid_from": "2026-11-20T23:36:47.836389", "valid_until": null,
     "source": "m1", "confidence": 1.0, "target": "t1", "evidence": "https://example.invalid/7"}
  ]
}"#;

#[tokio::test]
async fn a_graph_comes_back_equal_through_its_own_export() {
    let world = World::new();
    let memory = world.graph("a");
    let report = read(&memory, SMALL).await.unwrap();
    assert_eq!((report.nodes, report.edges, report.skipped), (2, 1, 0));
    assert_eq!((report.naive_times, report.zoned_times), (4, 0));
    let edge = fact_id(
        &name("m1"),
        &name("depends_on"),
        &name("t1"),
        Some(&name("https://example.invalid/7")),
        0,
    );
    let edge = memory.edge(edge, AsOf::ALL).await.unwrap().unwrap();
    assert_eq!(edge.weight, 0.2);
    assert_eq!(edge.created_at.to_string(), "2026-11-20T23:36:47.836388Z");
    assert_eq!(edge.data, serde_json::json!({"note": "x", "confidence": 1.0}));

    let file = export(&memory).await;
    world.pass(60);
    let copy = world.graph("b");
    read(&copy, &file).await.unwrap();
    assert_eq!(contents(&memory).await, contents(&copy).await);
    assert_eq!(export(&copy).await, file);
}

#[tokio::test]
async fn data_under_reserved_names_survives() {
    let world = World::new();
    let memory = world.graph("a");
    let data = serde_json::json!({
        "id": 1, "type": {"x": 2}, "source": "s", "data.id": 3, "data.data.id": 4, "data.": 5,
        "created_at": "never", "key": "k", "evidence": ["e"], "weight": "heavy", "": 6, "graph": 7
    });
    memory.put_node(name("n"), name("thing"), data.clone()).await.unwrap();
    let fact = hexmem_graph_memory::Fact::new("n", "is", "n").unwrap().data(data.clone());
    memory.assert(fact).await.unwrap();
    let copy = world.graph("b");
    read(&copy, &export(&memory).await).await.unwrap();
    assert_eq!(contents(&memory).await, contents(&copy).await);
    assert_eq!(copy.node(&name("n"), AsOf::NOW).await.unwrap().unwrap().data, data);
}

#[tokio::test]
async fn importing_again_changes_nothing_and_restores_what_was_removed() {
    let world = World::new();
    let memory = world.graph("a");
    let first = read(&memory, SMALL).await.unwrap().revision;
    world.pass(1);
    assert_eq!(read(&memory, SMALL).await.unwrap().revision, first);
    memory.remove_node(&name("m1")).await.unwrap();
    assert_eq!(memory.stats(AsOf::ALL).await.unwrap().edges, 0);
    read(&memory, SMALL).await.unwrap();
    let stats = memory.stats(AsOf::ALL).await.unwrap();
    assert_eq!((stats.nodes, stats.edges), (2, 1));
}

#[tokio::test]
async fn edges_before_nodes_and_the_other_key_are_read() {
    let world = World::new();
    let memory = world.graph("a");
    let text = r#"{"edges":[{"source":1,"target":2},{"source":2,"target":1}],"nodes":[{"id":1},{"id":2}]}"#;
    let report = read(&memory, text).await.unwrap();
    assert_eq!((report.nodes, report.edges), (2, 2));
    let stats = memory.stats(AsOf::ALL).await.unwrap();
    assert_eq!(stats.node_types.get("node"), Some(&2));
    assert_eq!(stats.edge_types.get("related_to"), Some(&2));
}

#[tokio::test]
async fn parallel_edges_of_a_multigraph_stay_apart() {
    let world = World::new();
    let memory = world.graph("a");
    let text = r#"{"multigraph":true,"nodes":[{"id":"a"},{"id":"b"}],"links":[
      {"source":"a","target":"b","key":0,"type":"r"},{"source":"a","target":"b","key":1,"type":"r"},
      {"source":"a","target":"b","key":"own","type":"r"},{"source":"a","target":"b","type":"r"}]}"#;
    assert_eq!(read(&memory, text).await.unwrap().edges, 4);
    let copy = world.graph("b");
    read(&copy, &export(&memory).await).await.unwrap();
    assert_eq!(contents(&memory).await, contents(&copy).await);

    let twice = text.replace("\"key\":1", "\"key\":0");
    let error = read(&world.graph("c"), &twice).await.unwrap_err();
    assert!(error.to_string().contains("links[1]"), "{error}");
}

#[tokio::test]
async fn an_undirected_graph_has_each_pair_once() {
    let world = World::new();
    let text = r#"{"directed":false,"nodes":[{"id":"a"},{"id":"b"}],
      "links":[{"source":"b","target":"a"},{"source":"a","target":"b"}]}"#;
    let error = read(&world.graph("a"), text).await.unwrap_err();
    assert!(error.to_string().contains("says the same"), "{error}");
    let directed = text.replace("false", "true");
    assert_eq!(read(&world.graph("a"), &directed).await.unwrap().edges, 2);
}

#[tokio::test]
async fn a_stores_own_file_is_read_without_its_bookkeeping() {
    let world = World::new();
    let memory = world.graph("a");
    let text = r#"{"directed":true,"multigraph":true,"graph":{"hexmem":{"form":1,"entry":7,"log":[]}},"nodes":[
      {"id":"a","type":"t","data":{"type":"own","version":9,"data":{"x":1}},"created_at":"2026-01-01T00:00:00Z",
       "recorded_at":"2026-01-02T00:00:00Z","version":3,"revision":5}],"links":[
      {"source":"a","target":"a","key":"5f32eba6-5460-5d31-88a7-bf3331e979bf","type":"r","weight":1.0,"valid_from":null,
       "valid_until":null,"evidence":null,"data":{},"created_at":"2026-01-01T00:00:00Z",
       "recorded_at":"2026-01-02T00:00:00Z","version":1,"revision":5}]}"#;
    read(&memory, text).await.unwrap();
    let node = memory.node(&name("a"), AsOf::NOW).await.unwrap().unwrap();
    assert_eq!(node.data, serde_json::json!({"type": "own", "version": 9, "data": {"x": 1}}));
    let (_, edges) = contents(&memory).await;
    assert_eq!(edges[0].id.to_string(), "5f32eba6-5460-5d31-88a7-bf3331e979bf");
    assert_eq!(edges[0].data, serde_json::json!({}));
    let newer = text.replace("\"form\":1", "\"form\":2");
    assert!(read(&memory, &newer).await.unwrap_err().to_string().contains("newer hexmem"));
}

const BAD: &str = r#"{"nodes":[
 {"id":"a"},
 {"id":"a"},
 {"name":"no id"},
 {"id":"b","score":NaN},
 {"id":"c"}],
"links":[
 {"source":"a","target":"c","weight":NaN},
 {"source":"a","target":"ghost"},
 {"source":"a","target":"b"},
 {"source":"a","target":"c","valid_from":"2026-02-01","valid_until":"2026-01-01"},
 {"source":"a","target":"c","weight":Infinity},
 {"source":"a","target":"c"}]}"#;

#[tokio::test]
async fn a_bad_item_refuses_the_file_by_its_line_and_nothing_is_written() {
    let world = World::new();
    let memory = world.graph("a");
    let error = read(&memory, BAD).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(text.contains("nodes[1]") && text.contains("line: 3, column: 2"), "{text}");
    assert!(text.contains("and 7 more") && text.contains("nothing was imported"), "{text}");
    assert!(memory.head().await.unwrap().is_none());
}

#[tokio::test]
async fn bad_items_are_skipped_counted_and_listed() {
    let world = World::new();
    let memory = world.graph("a");
    let options = ImportOptions { bad: BadItems::Skip, ..ImportOptions::default() };
    let report = import(&memory, BAD, options).await.unwrap();
    assert_eq!((report.nodes, report.edges, report.skipped), (2, 1, 8));
    let lines: Vec<u64> = report.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [3, 4, 5, 8, 9, 10, 11, 12]);
    // The fault itself where it is known, else the element.
    let columns: Vec<u64> = report.problems.iter().map(|problem| problem.column).collect();
    assert_eq!(columns, [2, 2, 20, 38, 2, 2, 2, 38]);
    let says: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    assert!(says[2].contains("`score` is NaN"), "{}", says[2]);
    assert!(says[3].contains("`weight` is NaN"), "{}", says[3]);
    assert!(says[4].contains("`ghost`"), "{}", says[4]);
    assert!(says[5].contains("`b`"), "a skipped node takes its edges with it: {}", says[5]);
    assert!(says[7].contains("Infinity"), "{}", says[7]);
}

#[tokio::test]
async fn a_torn_file_is_refused_whatever_the_options_say() {
    let world = World::new();
    let memory = world.graph("a");
    for cut in 0..SMALL.len() - 1 {
        let options = ImportOptions { bad: BadItems::Skip, ..ImportOptions::default() };
        let error = import(&memory, &SMALL[..cut], options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "cut at {cut}");
    }
    assert!(memory.head().await.unwrap().is_none());
}

#[tokio::test]
async fn naive_times_take_the_offset_and_zoned_ones_do_not() {
    let world = World::new();
    let memory = world.graph("a");
    let text = r#"{"nodes":[{"id":"n","created_at":"2026-01-01T09:00:00"},
      {"id":"z","created_at":"2026-01-01T09:00:00Z"}],"links":[]}"#;
    let options = ImportOptions { naive_offset: 540, ..ImportOptions::default() };
    let report = import(&memory, text, options).await.unwrap();
    assert_eq!((report.naive_times, report.zoned_times), (1, 1));
    let at =
        async |id| memory.node(&name(id), AsOf::NOW).await.unwrap().unwrap().created_at.to_string();
    assert_eq!(at("n").await, "2026-01-01T00:00:00.000000Z");
    assert_eq!(at("z").await, "2026-01-01T09:00:00.000000Z");
}

#[tokio::test]
async fn a_fact_invalidated_before_it_began_is_there_and_holds_never() {
    let world = World::new();
    let memory = world.graph("a");
    let text = r#"{"nodes":[{"id":"a"},{"id":"b"}],"links":[{"source":"a","target":"b","type":"r",
      "valid_from":"2025-02-01T00:00:00","valid_until":"2025-01-01T00:00:00","invalidated":true}]}"#;
    let report = read(&memory, text).await.unwrap();
    assert_eq!((report.edges, report.never_held), (1, 1));
    assert_eq!(memory.stats(AsOf::ALL).await.unwrap().edges, 1);
    assert_eq!(memory.stats(AsOf::default()).await.unwrap().edges, 0);
    let file = export(&memory).await;
    assert!(file.contains("\"valid_until\":\"2025-01-01T00:00:00.000000Z\""), "{file}");
    let copy = world.graph("b");
    read(&copy, &file).await.unwrap();
    assert_eq!(contents(&memory).await, contents(&copy).await);
}

#[tokio::test]
async fn a_closed_vocabulary_holds_for_files_too() {
    let world = World::new();
    let memory = world.graph("a").with_vocabulary(Vocabulary::kagura());
    let error = read(&memory, r#"{"nodes":[{"id":"a","type":"wizard"}],"links":[]}"#).await;
    assert!(error.unwrap_err().to_string().contains("wizard"));
    assert!(read(&memory, SMALL).await.is_ok());
}

#[tokio::test]
async fn more_than_one_batch_arrives_whole_and_in_a_second_run_once() {
    use std::fmt::Write as _;
    let world = World::new();
    let memory = world.graph("a");
    let mut text = String::from("{\"nodes\":[{\"id\":\"n0\"}");
    for i in 1..12_001 {
        write!(text, ",\n{{\"id\":\"n{i}\"}}").unwrap();
    }
    text.push_str("],\"links\":[{\"source\":\"n0\",\"target\":\"n1\"}");
    for i in 1..12_000 {
        write!(text, ",\n{{\"source\":\"n{i}\",\"target\":\"n{}\"}}", i + 1).unwrap();
    }
    text.push_str("]}");
    let report = read(&memory, &text).await.unwrap();
    assert_eq!((report.nodes, report.edges), (12_001, 12_000));
    assert_eq!(read(&memory, &text).await.unwrap().revision, report.revision);
    let mirror = memory.load().await.unwrap();
    assert_eq!((mirror.node_count(), mirror.edge_count()), (12_001, 12_000));
}
