//! What the programs that a form is for make of our files. Where Python or `NetworkX` is absent, this says so and
//! checks nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use hexmem_graph_memory::{Fact, Format, Since};
use serde_json::{Value, json};
use support::{World, at, contents, export, name};

const LOADS: &str = r#"
import io, json, sys
import networkx as nx
files = json.load(sys.stdin)
g = nx.node_link_graph(json.loads(files["node_link"]), edges="links")
x = nx.read_graphml(io.BytesIO(files["graphml"].encode()), force_multigraph=True)
again = nx.node_link_data(g, edges="edges")
plain = nx.node_link_data(nx.Graph(g), edges="links")
print(json.dumps({
    "nodes": {n: d for n, d in g.nodes(data=True)},
    "edges": [[s, t, k, d] for s, t, k, d in g.edges(keys=True, data=True)],
    "graphml_nodes": {n: d for n, d in x.nodes(data=True)},
    "graphml_edges": [[s, t, str(k), d] for s, t, k, d in x.edges(keys=True, data=True)],
    "again": again, "plain": plain,
}))
"#;

/// Runs a script of Python's with `input`; `None` where there is no Python with `NetworkX`.
fn python(script: &str, input: &Value) -> Option<Value> {
    let there = Command::new("python3").args(["-c", "import networkx"]).output();
    if !there.is_ok_and(|there| there.status.success()) {
        eprintln!("NOT RUN: there is no python3 with networkx on this machine");
        return None;
    }
    let mut child = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    Some(serde_json::from_slice(&out.stdout).unwrap())
}

#[tokio::test]
async fn networkx_reads_what_is_written_and_is_read_in_turn() {
    let world = World::new();
    let memory = world.graph("a");
    let data = json!({"n": 1, "x": 0.5, "yes": true, "list": [1], "text": "<&>\"'\n", "id": "own", "none": null});
    memory.put_node(name("a/b c"), name("thing"), data.clone()).await.unwrap();
    memory.put_node(name("日本"), name("place"), json!({"x": 1})).await.unwrap();
    let fact = || Fact::new("a/b c", "is in", "日本").unwrap().since(Since::At(at("2020-01-01")));
    memory.assert(fact().weight(0.25).source(name("s"))).await.unwrap();
    memory.assert(fact().source(name("t")).data(json!({"source": "own"}))).await.unwrap();
    let (node_link, _) = export(&memory, Format::NodeLink).await;
    let (graphml, _) = export(&memory, Format::Graphml).await;
    let files = json!({"node_link": node_link, "graphml": graphml});
    let Some(seen) = python(LOADS, &files) else { return };

    assert_eq!(seen["nodes"]["a/b c"]["list"], json!([1]));
    assert_eq!(seen["nodes"]["a/b c"]["data.id"], "own");
    let edges = seen["edges"].as_array().unwrap();
    assert_eq!(edges.len(), 2);
    assert!(edges.iter().any(|edge| edge[3]["evidence"] == "s" && edge[3]["weight"] == 0.25));
    let nodes = &seen["graphml_nodes"];
    let node = &nodes["a_x002F_b_x0020_c"];
    assert_eq!((&node["label"], &node["text"]), (&json!("a/b c"), &data["text"]));
    assert_eq!((&node["n"], &node["x"], &node["yes"]), (&json!(1), &json!(0.5), &json!(true)));
    assert_eq!(nodes["日本"]["x"], json!(1.0));
    let edges = seen["graphml_edges"].as_array().unwrap();
    assert_eq!(edges.len(), 2);
    assert!(edges.iter().any(|edge| edge[3]["source"] == "own" && edge[3]["type"] == "is in"));

    // NetworkX keeps what it does not know, so that its file is the graph again, whatever its key for edges.
    let copy = world.graph("b");
    support::import(
        &copy,
        Format::NodeLink,
        seen["again"].to_string().as_bytes(),
        Default::default(),
    )
    .await
    .unwrap();
    assert_eq!(contents(&copy).await, contents(&memory).await);
    let plain = world.graph("c");
    let report = support::import(
        &plain,
        Format::NodeLink,
        seen["plain"].to_string().as_bytes(),
        Default::default(),
    )
    .await
    .unwrap();
    assert_eq!((report.nodes, report.edges, report.directed), (2, 1, false));
}
