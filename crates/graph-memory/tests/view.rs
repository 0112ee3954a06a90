//! The page that draws a graph.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use hexmem_graph_memory::{
    Fact, Format, GraphMemory, ImportOptions, Since, ViewOptions, ViewReport, view_graph,
};
use hexmem_ports::{ErrorKind, Result};
use serde_json::{Value, json};
use support::{World, at, import, name};

async fn view(memory: &GraphMemory, options: &ViewOptions) -> Result<(String, ViewReport)> {
    let mut out = Vec::new();
    let report = view_graph(memory, &mut out, options).await?;
    Ok((String::from_utf8(out).unwrap(), report))
}

const OPEN: &str = "<script type=\"application/json\" id=\"data\">";

/// The data of a page.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once(OPEN).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// A star: `hub` to `n0`..; and a chain hanging on `n0`.
async fn star(world: &World, leaves: usize) -> GraphMemory {
    let memory = world.graph("star");
    let mut file = String::from("{\"type\":\"node\",\"id\":\"hub\"}\n");
    for i in 0..leaves {
        file.push_str(&format!("{{\"type\":\"node\",\"id\":\"n{i}\"}}\n"));
        file.push_str(&format!("{{\"type\":\"edge\",\"src\":\"hub\",\"dst\":\"n{i}\"}}\n"));
    }
    file.push_str("{\"type\":\"edge\",\"src\":\"n0\",\"dst\":\"n1\",\"rel_type\":\"beside\"}\n");
    import(&memory, Format::Jsonl, file.as_bytes(), ImportOptions::default()).await.unwrap();
    memory
}

#[tokio::test]
async fn what_the_graph_says_cannot_leave_its_block() {
    let world = World::new();
    let memory = world.graph("</title><script>alert(1)</script>");
    let nasty = "</script><script>alert(1)</script><!-- {{data}} {{script}} \u{2028} -->";
    memory.put_node(name(nasty), name(nasty), json!({ nasty: [nasty] })).await.unwrap();
    let fact = Fact::new(nasty, nasty, nasty).unwrap().source(name(nasty));
    memory.assert(fact.data(json!({ nasty: nasty }))).await.unwrap();
    let (page, report) = view(&memory, &ViewOptions::default()).await.unwrap();
    assert_eq!((report.nodes, report.edges), (1, 1));
    let (plain, _) = view(&star(&world, 2).await, &ViewOptions::default()).await.unwrap();
    for tag in ["<script", "</script", "<!--", "</title"] {
        assert_eq!(page.matches(tag).count(), plain.matches(tag).count(), "{tag}");
    }
    let data = data(&page);
    assert_eq!(data["nodes"][0][0], nasty);
    assert_eq!(data["nodes"][0][3][nasty], json!([nasty]));
    assert_eq!(data["edges"][0][7], nasty);
    assert!(page.contains("<title>&lt;/title&gt;"));
    // Nothing is fetched, and a browser is told to refuse it.
    assert!(page.contains("default-src 'none'"));
    for outside in ["http://", "https://", "src=", "href=", "@import", "url("] {
        assert!(!plain.contains(outside), "{outside}");
    }
    assert!(!plain.contains("{{") && !plain.contains("innerHTML"));
}

#[tokio::test]
async fn facts_of_all_times_are_there_with_their_spans() {
    let world = World::new();
    let memory = world.graph("a");
    for id in ["ada", "london"] {
        memory.put_node(name(id), name("thing"), json!({"n": 1})).await.unwrap();
    }
    let fact = || Fact::new("ada", "lives_in", "london").unwrap();
    let ended = fact().since(Since::At(at("1970-01-01T00:00:01Z"))).until(at("1970-01-02"));
    memory.assert(ended).await.unwrap();
    let known = world.now();
    world.pass(1);
    memory.assert(fact().since(Since::Always).source(name("s")).weight(0.5)).await.unwrap();
    let (page, _) = view(&memory, &ViewOptions::default()).await.unwrap();
    let mut edges = data(&page)["edges"].as_array().unwrap().clone();
    edges.sort_by_key(|edge| edge[3].to_string());
    assert_eq!(edges[0].as_array().unwrap()[5..8], [json!(null), json!(null), json!("s")]);
    assert_eq!(edges[1].as_array().unwrap()[5..8], [json!(1_000), json!(86_400_000), json!(null)]);
    let then = ViewOptions { known: Some(known), ..ViewOptions::default() };
    assert_eq!(view(&memory, &then).await.unwrap().1.edges, 1);
}

#[tokio::test]
async fn of_a_large_graph_the_best_connected_are_drawn_and_the_rest_is_counted() {
    let world = World::new();
    let memory = star(&world, 2_500).await;
    let few = ViewOptions { nodes: 3, ..ViewOptions::default() };
    let (page, report) = view(&memory, &few).await.unwrap();
    assert_eq!((report.nodes, report.edges, report.nodes_left_out), (3, 3, 2_498));
    let ids: Vec<Value> =
        data(&page)["nodes"].as_array().unwrap().iter().map(|node| node[0].clone()).collect();
    assert_eq!(ids, ["hub", "n0", "n1"]);
    assert!(data(&page)["left"][0].as_str().unwrap().starts_with("2498 nodes left out"));

    let near = ViewOptions { around: vec![name("n0")], hops: 1, ..ViewOptions::default() };
    let (page, report) = view(&memory, &near).await.unwrap();
    assert_eq!((report.nodes, report.edges, report.nodes_left_out), (3, 3, 2_498));
    assert_eq!(data(&page)["left"][0], "Within 1 edge of n0.");
    let wider = ViewOptions { hops: 2, nodes: 10, ..near.clone() };
    assert_eq!(view(&memory, &wider).await.unwrap().1.nodes, 10);

    let lost = ViewOptions { around: vec![name("nobody")], ..ViewOptions::default() };
    assert_eq!(view(&memory, &lost).await.unwrap_err().kind(), ErrorKind::NotFound);
    for nodes in [0, 10_001] {
        let wrong = ViewOptions { nodes, ..ViewOptions::default() };
        assert_eq!(view(&memory, &wrong).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    let absent = view(&world.graph("absent"), &ViewOptions::default()).await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn long_attributes_are_shortened_and_said() {
    let world = World::new();
    let memory = world.graph("a");
    let data_of = json!({"short": 1, "text": "é".repeat(5_000), "list": vec![7; 5_000]});
    memory.put_node(name("a"), name("t"), data_of).await.unwrap();
    let (page, report) = view(&memory, &ViewOptions::default()).await.unwrap();
    assert_eq!(report.shortened, 1);
    let kept = &data(&page)["nodes"][0][3];
    assert_eq!(kept["short"], 1);
    assert!(kept["text"].as_str().unwrap().ends_with("é\u{2026}"));
    assert!(kept["list"].is_null() && page.len() < 100_000);
}
