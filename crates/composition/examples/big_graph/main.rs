//! What a large graph costs: memory, opening, reading, changing.
//!
//! ```text
//! cargo run --release -p composition --example big_graph                         1,000,000 nodes, 3,000,000 edges
//! cargo run --release -p composition --example big_graph -- 100000 300000        another size
//! cargo run --release -p composition --example big_graph -- waits 100000 300000  waits while a graph is compacted
//! ```
//!
//! Graphs are made once, in `target/big-graphs`. Each store is measured in a process of its own: `json` and `sqlite`
//! answer from the store, `json mirror` and `sqlite mirror` from a graph that was loaded from the store, which stays
//! open. Memory is read from `/proc`. `BIG_GRAPH_BATCHES=1` tells how long each batch took to make.
#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

mod build;
mod waits;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use build::{Kind, change, clock, fill, graph, node_id, open};
use hexmem_graph_memory::{GraphMemory, PathQuery};
use hexmem_ports::{
    AsOf, Direction, EdgeFilter, Limit, NeighbourQuery, NodeFilter, Prefix, Timestamp,
};
use serde_json::{Value, json};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match words.as_slice() {
        ["fill", kind, folder, nodes, edges] => {
            let (nodes, edges) = (nodes.parse().unwrap(), edges.parse().unwrap());
            let filled = runtime.block_on(fill(kind_of(kind), Path::new(folder), nodes, edges));
            println!("{}", filled.unwrap());
        }
        ["measure", what, folder, nodes] => {
            let told = runtime.block_on(measure(what, Path::new(folder), nodes.parse().unwrap()));
            println!("{told}");
        }
        ["wait", kind, folder, nodes, edges] => {
            let (nodes, edges) = (nodes.parse().unwrap(), edges.parse().unwrap());
            let told = waits::waits(kind_of(kind), Path::new(folder), nodes, edges);
            println!("{}", runtime.block_on(told));
        }
        ["waits", nodes, edges] => waits_table(nodes.parse().unwrap(), edges.parse().unwrap()),
        [] => table(1_000_000, 3_000_000),
        [nodes, edges] => table(nodes.parse().unwrap(), edges.parse().unwrap()),
        _ => {
            eprintln!("usage: big_graph [[waits] NODES EDGES]");
            std::process::exit(2);
        }
    }
}

fn kind_of(word: &str) -> Kind {
    if word.starts_with("json") { Kind::Json } else { Kind::Sqlite }
}

/// Runs this program again, so that each measurement has a process of its own.
fn again(args: &[&dyn Display]) -> String {
    let args = args.iter().map(ToString::to_string);
    let mut command = Command::new(std::env::current_exe().unwrap());
    let done = command.args(args).stderr(Stdio::inherit()).output().unwrap();
    assert!(done.status.success(), "it failed");
    String::from_utf8(done.stdout).unwrap()
}

fn folder(kind: &str, nodes: u64, edges: u64) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    target.join("big-graphs").join(format!("{kind}-{nodes}-{edges}"))
}

/// The longest calls of readers and writers, quiet and while the graph is compacted.
fn waits_table(nodes: u64, edges: u64) {
    println!("{nodes} nodes, {edges} edges; longest calls in ms (calls, calls over 50 ms)\n");
    println!("| | s | reader | writer | reader elsewhere | writer elsewhere |");
    println!("|---|---:|---:|---:|---:|---:|");
    for kind in ["json", "sqlite"] {
        let place = folder(&format!("waits-{kind}"), nodes, edges);
        let told = again(&[&"wait", &kind, &place.display(), &nodes, &edges]);
        let told: Value = serde_json::from_str(&told).unwrap();
        eprintln!("{kind}: made in {:.1} s", told["made_s"].as_f64().unwrap());
        for when in ["quiet", "compaction"] {
            let told = &told[when];
            let cell = |who: &str| {
                let (ms, who) = (told[who]["longest_ms"].as_f64().unwrap(), &told[who]);
                format!("{ms:.1} ({}, {})", who["calls"], who["over_50_ms"])
            };
            let cells = ["reader", "writer", "other reader", "other writer"].map(cell);
            let took = told["took_s"].as_f64().unwrap();
            println!("| {kind}, {when} | {took:.1} | {} |", cells.join(" | "));
        }
    }
}

fn table(nodes: u64, edges: u64) {
    println!("{nodes} nodes, {edges} edges\n");
    println!(
        "| | json | json and mirror | sqlite | sqlite and mirror |\n|---|---:|---:|---:|---:|"
    );
    let mut columns: Vec<(Value, Value)> = Vec::new();
    for what in ["json", "json mirror", "sqlite", "sqlite mirror"] {
        let run = |edges: u64| -> Value {
            let kind = what.trim_end_matches(" mirror");
            let place = folder(kind, nodes, edges);
            let seconds = again(&[&"fill", &kind, &place.display(), &nodes, &edges]);
            eprintln!(
                "{kind}, {edges} edges: made in {:.0} s",
                seconds.trim().parse::<f64>().unwrap()
            );
            let told = again(&[&"measure", &what, &place.display(), &nodes]);
            serde_json::from_str(&told).unwrap()
        };
        columns.push((run(0), run(edges)));
    }
    let row = |title: &str, cell: &dyn Fn(&(Value, Value)) -> String| {
        let cells: Vec<String> = columns.iter().map(cell).collect();
        println!("| {title} | {} |", cells.join(" | "));
    };
    let value = |key: &'static str| {
        move |(_, full): &(Value, Value)| match full[key].as_f64() {
            Some(value) => format!("{value:.2}"),
            None => "-".to_owned(),
        }
    };
    row("opened, s", &value("open_s"));
    row("resident after opening, MiB", &value("open_mib"));
    row("resident at most, MiB", &value("peak_mib"));
    let bytes = |value: &Value| value["open_mib"].as_f64().unwrap() * 1_048_576.0;
    let bare = bytes_of_nothing();
    row("bytes a node", &|(some, _)| format!("{:.0}", (bytes(some) - bare) / nodes as f64));
    row("bytes an edge", &|(some, all)| {
        format!("{:.0}", (bytes(all) - bytes(some)) / edges as f64)
    });
    for (title, key) in [
        ("one change, ms", "change_ms"),
        ("two hops around a node, ms", "near_ms"),
        ("path of fewest edges, ms", "path_ms"),
        ("edges at a node a year ago, ms", "past_ms"),
        ("a page of 100 nodes, ms", "page_ms"),
        ("counts, ms", "stats_ms"),
    ] {
        row(title, &value(key));
    }
}

/// What a process has that holds no graph.
fn bytes_of_nothing() -> f64 {
    status("VmRSS") * 1_048_576.0
}

/// A line of the process's status, in MiB.
fn status(line: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(':'));
    let kib = found.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1_024.0
}

/// The mean of some runs, in milliseconds.
async fn timed<F: Future>(runs: u64, mut work: impl FnMut(u64) -> F) -> f64 {
    let begun = Instant::now();
    for run in 0..runs {
        work(run).await;
    }
    begun.elapsed().as_secs_f64() * 1_000.0 / runs as f64
}

async fn measure(what: &str, folder: &Path, nodes: u64) -> Value {
    let begun = Instant::now();
    let (store, _) = open(kind_of(what), folder, 1 << 30).await.unwrap();
    let memory = GraphMemory::new(Arc::clone(&store), clock(), graph());
    store.head(&graph()).await.unwrap().unwrap();
    let mut mirror = None;
    if what.ends_with(" mirror") {
        mirror = Some(memory.load().await.unwrap());
    }
    let mut told = json!({ "open_s": begun.elapsed().as_secs_f64(), "open_mib": status("VmRSS") });
    let at = |n: u64| node_id(build::mixed(n + 1_000) % nodes);
    let near = |n| NeighbourQuery::new(vec![at(n)], 2, Limit::new(1_000).unwrap());
    let path = |n: u64| PathQuery::new(at(n), at(n + 500));
    if let Some(mirror) = &mut mirror {
        let begun = Instant::now();
        for n in 0..50 {
            store.apply(&graph(), change(nodes, n)).await.unwrap();
            mirror.follow().await.unwrap();
        }
        told["change_ms"] = json!(begun.elapsed().as_secs_f64() * 1_000.0 / 50.0);
        told["near_ms"] =
            json!(timed(50, |n| std::future::ready(mirror.neighbours(&near(n)).unwrap())).await);
        told["path_ms"] =
            json!(timed(5, |n| std::future::ready(mirror.path(&path(n)).unwrap())).await);
        told["stats_ms"] =
            json!(timed(3, |_| std::future::ready(mirror.stats(AsOf::NOW).unwrap())).await);
        told["peak_mib"] = json!(status("VmHWM"));
        return told;
    }
    let graph = graph();
    let applied = async |n| {
        store.apply(&graph, change(nodes, n)).await.unwrap();
    };
    told["change_ms"] = json!(timed(200, applied).await);
    let around = async |n| drop(store.neighbourhood(&graph, &near(n)).await.unwrap());
    told["near_ms"] = json!(timed(50, around).await);
    let between = async |n| drop(memory.path(&path(n)).await.unwrap());
    told["path_ms"] = json!(timed(5, between).await);
    let past = AsOf::ALL.known_at(Timestamp::parse("2026-02-01").unwrap());
    let edges = async |n| {
        let filter =
            EdgeFilter { at: Some((vec![at(n)], Direction::Both)), ..EdgeFilter::default() };
        drop(
            store.find_edges(&graph, &filter, past, None, Limit::new(100).unwrap()).await.unwrap(),
        );
    };
    told["past_ms"] = json!(timed(50, edges).await);
    let page = async |n| {
        let prefix = Prefix::new(&at(n).as_str()[..8]).unwrap();
        let filter = NodeFilter { prefix, ..NodeFilter::default() };
        let limit = Limit::new(100).unwrap();
        drop(store.find_nodes(&graph, &filter, AsOf::NOW, None, limit).await.unwrap());
    };
    told["page_ms"] = json!(timed(50, page).await);
    let stats = async |_| drop(store.stats(&graph, AsOf::NOW).await.unwrap());
    told["stats_ms"] = json!(timed(3, stats).await);
    told["peak_mib"] = json!(status("VmHWM"));
    told
}
