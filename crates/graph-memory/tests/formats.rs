//! Files of one object a line, and what other forms keep and lose.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use hexmem_graph_memory::{
    BadItems, ExportOptions, Fact, Format, GraphMemory, ImportOptions, ImportReport, Since,
    Vocabulary, export_graph,
};
use hexmem_ports::{AsOf, ErrorKind, Result, ValidAt};
use serde_json::json;
use support::{World, at, contents, export, import, name};

const KAGURA: &str = include_str!("fixtures/kagura.jsonl");
const SERVER: &str = include_str!("fixtures/memory-server.jsonl");

async fn read(memory: &GraphMemory, format: Format, text: &str) -> Result<ImportReport> {
    import(memory, format, text.as_bytes(), ImportOptions::default()).await
}

async fn skip(memory: &GraphMemory, format: Format, text: &[u8]) -> Result<ImportReport> {
    let options = ImportOptions { bad: BadItems::Skip, ..ImportOptions::default() };
    import(memory, format, text, options).await
}

#[tokio::test]
async fn a_kagura_file_keeps_times_provenance_and_attributes() {
    let world = World::new();
    let memory = world.graph("a");
    let report = read(&memory, Format::Jsonl, KAGURA).await.unwrap();
    assert_eq!((report.nodes, report.edges, report.never_held), (3, 2, 1));
    let node =
        memory.node(&name("memory_greeting"), hexmem_ports::AsOf::NOW).await.unwrap().unwrap();
    assert_eq!(node.created_at, at("2026-03-01T10:00:00.125Z"));
    assert_eq!(node.data, json!({"key": "greeting", "user_id": "ada"}));
    let (_, edges) = contents(&memory).await;
    let learned = edges.iter().find(|edge| edge.relation.as_str() == "learned_from").unwrap();
    assert_eq!(learned.source, Some(name("https://example.invalid/chat/7")));
    assert_eq!(learned.valid_from, Some(at("2026-03-01T10:00:00Z")));
    assert_eq!(learned.data, json!({"confidence": 0.8}));
    let strict = world.graph("b").with_vocabulary(Vocabulary::kagura());
    assert!(read(&strict, Format::Jsonl, KAGURA).await.is_ok());

    for format in [Format::Jsonl, Format::NodeLink] {
        let copy = world.graph(&format!("copy {format}"));
        let (file, report) = export(&memory, format).await;
        assert!(report.lost.is_empty() && format.is_lossless());
        read(&copy, format, &file).await.unwrap();
        assert_eq!(contents(&copy).await, contents(&memory).await);
        assert_eq!(export(&copy, format).await.0, file);
        let revision = copy.head().await.unwrap().unwrap().revision;
        read(&copy, format, &file).await.unwrap();
        assert_eq!(copy.head().await.unwrap().unwrap().revision, revision, "twice is once");
    }
}

#[tokio::test]
async fn a_file_of_the_memory_server_comes_back_byte_for_byte() {
    let world = World::new();
    let memory = world.graph("a");
    let report = read(&memory, Format::Mcp, SERVER).await.unwrap();
    assert_eq!((report.nodes, report.edges), (2, 2));
    let ada = memory.node(&name("Ada Lovelace"), hexmem_ports::AsOf::NOW).await.unwrap().unwrap();
    assert_eq!(ada.data["observations"][1], "Knew Babbage");
    let (file, report) = export(&memory, Format::Mcp).await;
    let (mut lines, mut before): (Vec<&str>, Vec<&str>) =
        (file.lines().collect(), SERVER.lines().collect());
    lines.sort_unstable();
    before.sort_unstable();
    assert_eq!(lines, before);
    assert_eq!(report.lost.get("weights of edges"), None);
    let again = read(&memory, Format::Mcp, SERVER).await.unwrap().revision;
    assert_eq!(again, memory.head().await.unwrap().map(|head| head.revision));
    let strict = world.graph("b").with_vocabulary(Vocabulary::kagura());
    let error = read(&strict, Format::Mcp, SERVER).await.unwrap_err().to_string();
    assert!(error.contains("`person`") && error.contains("line: 1"), "{error}");
}

#[tokio::test]
async fn what_a_form_cannot_hold_is_counted() {
    let world = World::new();
    let memory = world.graph("a");
    let data = json!({"observations": ["seen", 7], "tags": ["x"], "none": null, "\u{1}": "\u{2}"});
    memory.put_node(name("a b"), name("thing"), data).await.unwrap();
    memory.put_node(name("c"), name("thing"), json!({"n": 1})).await.unwrap();
    let fact = |relation: &str| Fact::new("a b", relation, "c").unwrap();
    let old = fact("was").since(Since::At(at("2020-01-01"))).until(at("2021-01-01"));
    memory.assert(old).await.unwrap();
    memory.assert(fact("is").weight(0.5).source(name("s")).data(json!({"k": 1}))).await.unwrap();
    memory.assert(fact("is").source(name("t"))).await.unwrap();

    let (file, report) = export(&memory, Format::Mcp).await;
    assert_eq!((report.nodes, report.edges), (2, 1));
    let lost: Vec<_> = report.lost.into_iter().collect();
    assert_eq!(
        lost,
        [
            ("attributes of nodes", 4),
            ("creation times of nodes", 2),
            ("edges that do not hold now", 1),
            ("edges that state a relation again (another source or span)", 1),
            ("observations that are no text", 1),
            ("sources of edges", 1),
            ("times of edges", 1),
        ]
    );
    let copy = world.graph("b");
    assert_eq!(read(&copy, Format::Mcp, &file).await.unwrap().edges, 1);

    let every = ExportOptions { as_of: Some(AsOf { valid: ValidAt::Any, known: None }) };
    let mut out = Vec::new();
    let report = export_graph(&memory, Format::Mcp, &mut out, &every).await.unwrap();
    assert_eq!((report.edges, report.lost.get("edges that do not hold now")), (2, None));

    let (file, report) = export(&memory, Format::Graphml).await;
    assert_eq!(report.lost.get("attributes that are null"), Some(&1));
    assert_eq!(report.lost.get("characters that XML does not have"), Some(&2));
    assert!(file.contains("<node id=\"a_x0020_b\"><data key=\"n0\">a b</data>"), "{file}");
    assert_eq!(report.edges, 3);
    let (file, report) = export(&memory, Format::Dot).await;
    assert!(file.contains("\"a b\" -> \"c\" ["), "{file}");
    assert_eq!(report.lost.get("attributes (written as JSON text)"), Some(&6));
}

const BAD: &str = concat!(
    "{\"type\":\"node\",\"id\":\"a\",\"node_type\":\"t\"}\n",
    "{\"type\": \"node\", \"id\": \"a\", \"node_type\": \"t\"}\n",
    "\n",
    "{\"type\":\"node\",\"id\":\"b\",\"data\":[1]}\n",
    "{\"type\":\"memory\",\"key\":\"k\"}\n",
    "{\"type\":\"edge\",\"src\":\"a\",\"dst\":\"ghost\",\"rel_type\":\"r\"}\n",
    "  {\"type\":\"edge\",\"src\":\"a\",\"dst\":\"a\",\"rel_type\":\"r\",\"weight\":NaN}\n",
    "{\"type\":\"edge\",\"src\":\"a\",\"dst\":\"a\",\"rel_type\":\"r\",\"data\":{\"valid_from\":\"2026-02-01\",\"valid_until\":\"2026-01-01T00:00:00+09:00\"}}\n",
    "{\"type\":\"edge\",\"id\":\"7\",\"src\":\"a\",\"dst\":\"a\",\"rel_type\":\"r\"}\n",
    "{\"type\":\"edge\",\"src\":\"a\",\"dst\":\"a\",\"rel_type\":\"r\"}\n",
    "{\"type\":\"edge\",\"src\":\"a\",\"dst\":\"a\",\"rel_type\":\"r\"}\n",
    "[1]\n",
    "{\"type\":\"edge\",\"src\":\"a\",\"ds",
);

#[tokio::test]
async fn every_bad_line_is_named_where_it_stands() {
    let world = World::new();
    let memory = world.graph("a");
    let error = read(&memory, Format::Jsonl, BAD).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(text.contains("line: 2, column: 1") && text.contains("and 9 more"), "{text}");
    assert!(memory.head().await.unwrap().is_none(), "nothing is written");

    let report = skip(&memory, Format::Jsonl, BAD.as_bytes()).await.unwrap();
    assert_eq!((report.nodes, report.edges, report.skipped), (1, 1, 10));
    let says: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    for (says, expected) in says.iter().zip([
        "line 2, column 1: the id `a` stands on an earlier node already",
        "line 4, column 1: `data` is a list, not an object",
        "line 5, column 1: it is a memory",
        "line 6, column 1: `dst` is `ghost`",
        "line 7, column 62: `weight` is NaN",
        "line 8, column 1: `valid_until` (2025-12-31T15:00:00.000000Z) lies before `valid_from`",
        "line 9, column 1: `id` of an edge is a UUID",
        "line 11, column 1: an earlier edge says the same",
        "line 12, column 1: it is a list",
        "line 13, column 28: it is no JSON: it ends in the middle",
    ]) {
        assert!(says.starts_with(expected), "{says}");
    }
}

#[tokio::test]
async fn edges_may_lead_to_nodes_that_only_the_graph_has() {
    let world = World::new();
    let memory = world.graph("a");
    read(&memory, Format::Mcp, SERVER).await.unwrap();
    let (nodes, edges) = contents(&memory).await;
    let [first, second] = [&nodes[0].id, &nodes[1].id];
    let more = format!(
        "{{\"type\":\"relation\",\"from\":\"{first}\",\"to\":\"{second}\",\"relationType\":\"met\"}}\n"
    );
    let report = read(&memory, Format::Mcp, &more).await.unwrap();
    assert_eq!((report.nodes, report.edges, report.skipped), (0, 1, 0));
    let (after, more_edges) = contents(&memory).await;
    assert_eq!((after.len(), more_edges.len()), (nodes.len(), edges.len() + 1));

    let gone = more.replace(second.as_str(), "nobody");
    let refused = read(&memory, Format::Mcp, &gone).await.unwrap_err().to_string();
    assert!(refused.contains("neither the file nor the graph has a node"), "{refused}");
    let report = skip(&memory, Format::Mcp, format!("{more}{gone}").as_bytes()).await.unwrap();
    assert_eq!((report.edges, report.skipped), (1, 1));
}

#[tokio::test]
async fn a_file_of_another_kind_is_refused_whole() {
    let world = World::new();
    let memory = world.graph("a");
    let server_as_kagura = skip(&memory, Format::Jsonl, SERVER.as_bytes()).await.unwrap_err();
    assert!(server_as_kagura.to_string().contains("format mcp"), "{server_as_kagura}");
    let utf16: Vec<u8> = KAGURA.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, says) in [
        (&utf16[..], "UTF-16"),
        (b"\x1f\x8b\x08", "compressed"),
        (b"{\"type\":\"node\",\"id\":\"\xe9\"}\n", "UTF-8"),
        (b"{\n\"nodes\": [\n]\n}\n", "it ends in the middle"),
    ] {
        let error = skip(&memory, Format::Jsonl, bytes).await.unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("line: 1"), "{error}");
    }
    let deep = format!("{{\"type\":\"node\",\"id\":\"a\",\"data\":{}", "[".repeat(1_000_000));
    let error = skip(&memory, Format::Jsonl, deep.as_bytes()).await.unwrap_err().to_string();
    assert!(error.contains("127 deep"), "{error}");
    let deep = format!(
        "{{\"type\":\"node\",\"id\":\"a\",\"data\":{{\"x\":{}{}}}}}",
        "[".repeat(80),
        "]".repeat(80)
    );
    let error = read(&memory, Format::Jsonl, &deep).await.unwrap_err().to_string();
    assert!(error.contains("nested deeper than 64 levels"), "{error}");
    for format in [Format::Graphml, Format::Dot] {
        let error = read(&memory, format, "").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    assert!(memory.head().await.unwrap().is_none());
    let empty = read(&memory, Format::Mcp, "").await.unwrap();
    assert_eq!((empty.nodes, empty.revision), (0, None));
}

#[tokio::test]
async fn an_export_of_a_time_has_what_held_and_was_known_then() {
    let world = World::new();
    let memory = world.graph("a");
    for id in ["ada", "london", "paris"] {
        memory.put_node(name(id), name("thing"), json!({})).await.unwrap();
    }
    let fact = |to| Fact::new("ada", "lives_in", to).unwrap();
    let early = fact("london").since(Since::At(at("1835-01-01"))).until(at("1850-01-01"));
    memory.assert(early).await.unwrap();
    let known = world.now();
    world.pass(60);
    memory.assert(fact("paris").since(Since::At(at("1840-01-01")))).await.unwrap();
    let edges = async |as_of| {
        let mut out = Vec::new();
        let options = ExportOptions { as_of: Some(as_of) };
        let report = export_graph(&memory, Format::Jsonl, &mut out, &options).await.unwrap();
        let text = String::from_utf8(out).unwrap();
        (report.edges, text.contains("\"dst\":\"london\""), text.contains("\"dst\":\"paris\""))
    };
    let then = ValidAt::At(at("1845-01-01"));
    assert_eq!(edges(AsOf::ALL).await, (2, true, true));
    assert_eq!(edges(AsOf { valid: then, known: None }).await, (2, true, true));
    assert_eq!(edges(AsOf { valid: then, known: Some(known) }).await, (1, true, false));
    assert_eq!(edges(AsOf { valid: ValidAt::Now, known: None }).await, (1, false, true));
}
