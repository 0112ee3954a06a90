//! One persisted change in graphs of four sizes, and opening a graph file.
//!
//! The graphs are made once, in `target/big-graphs`. The largest takes minutes, and is measured where `BIG_GRAPH_SIZES=all`
//! is set. Each size stands beside the graph of
//! 1,000 nodes in the same run: a ratio of 1 means that size costs nothing.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../examples/big_graph/build.rs"]
mod build;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use build::{Kind, Opened, change, fill, graph, open};
use criterion::{BenchmarkId, Criterion};
use tokio::runtime::Runtime;

/// Name and nodes; there are three edges a node.
const SIZES: [(&str, u64); 4] =
    [("1k", 1_000), ("10k", 10_000), ("100k", 100_000), ("1M", 1_000_000)];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let args: Vec<String> = std::env::args().collect();
    // `--test` runs each once: the two small ones show that it works.
    let sizes = match std::env::var("BIG_GRAPH_SIZES").is_ok_and(|sizes| sizes == "all") {
        _ if args.iter().any(|arg| arg == "--test") => &SIZES[..2],
        true => &SIZES[..],
        false => &SIZES[..3],
    };
    for (word, kind) in [("json", Kind::Json), ("sqlite", Kind::Sqlite)] {
        changes(&mut criterion, &runtime, word, kind, sizes);
    }
    opening(&mut criterion, &runtime, sizes[sizes.len().min(3) - 1]);
    criterion.final_summary();
}

fn filled(runtime: &Runtime, word: &str, kind: Kind, nodes: u64) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let folder = target.join("big-graphs").join(format!("{word}-{nodes}-{}", nodes * 3));
    runtime.block_on(fill(kind, &folder, nodes, nodes * 3)).unwrap();
    folder
}

fn changes(
    criterion: &mut Criterion,
    runtime: &Runtime,
    word: &str,
    kind: Kind,
    sizes: &[(&'static str, u64)],
) {
    let opened = |nodes| -> Opened {
        let folder = filled(runtime, word, kind, nodes);
        runtime.block_on(open(kind, &folder, 1 << 30)).unwrap()
    };
    let (least, _) = opened(SIZES[0].1);
    let mut group = criterion.benchmark_group(format!("graph change {word}"));
    let mut salt = 0;
    for (size, nodes) in &sizes[1..] {
        let (store, _) = opened(*nodes);
        // Read into memory, where it is, before the first change is timed.
        runtime.block_on(store.head(&graph())).unwrap();
        for (who, store, nodes) in [("hexmem", &store, *nodes), ("at 1k", &least, SIZES[0].1)] {
            group.bench_function(BenchmarkId::new(who, size), |bencher| {
                bencher.iter(|| {
                    salt += 1;
                    runtime.block_on(store.apply(&graph(), change(nodes, salt))).unwrap()
                });
            });
        }
    }
    group.finish();
}

fn opening(criterion: &mut Criterion, runtime: &Runtime, (size, nodes): (&'static str, u64)) {
    let folder = filled(runtime, "json-open", Kind::Json, nodes);
    let tenants = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files =
        tenants.filter(|path| path.is_dir()).flat_map(|path| std::fs::read_dir(path).unwrap());
    let file = files.find_map(|entry| {
        let path = entry.unwrap().path();
        path.extension().is_some_and(|end| end == "json").then_some(path)
    });
    let file = file.unwrap();
    let mut group = criterion.benchmark_group("graph open json");
    group.sample_size(10);
    group.bench_function(BenchmarkId::new("hexmem", size), |bencher| {
        bencher.iter(|| {
            let (store, _) = runtime.block_on(open(Kind::Json, &folder, 1 << 30)).unwrap();
            runtime.block_on(store.head(&graph())).unwrap().unwrap()
        });
    });
    group.bench_function(BenchmarkId::new("serde_json", size), |bencher| {
        bencher.iter(|| {
            let bytes = std::fs::read(&file).unwrap();
            black_box(serde_json::from_slice::<serde_json::Value>(&bytes).unwrap())
        });
    });
    if networkx(&file, 0).is_some() {
        group.bench_function(BenchmarkId::new("networkx", size), |bencher| {
            bencher.iter_custom(|iterations| networkx(&file, iterations).unwrap());
        });
    } else {
        eprintln!("networkx left out: python3 with networkx is not there");
    }
    group.finish();
}

/// Times NetworkX in its own process, without the start of it.
fn networkx(file: &Path, iterations: u64) -> Option<Duration> {
    let script = "
import json, sys, time
import networkx
begun = time.perf_counter()
for _ in range(int(sys.argv[2])):
    with open(sys.argv[1], encoding='utf-8') as file:
        networkx.node_link_graph(json.load(file), edges='links')
print(time.perf_counter() - begun)
";
    let done = Command::new("python3")
        .args(["-c", script])
        .arg(file)
        .arg(iterations.to_string())
        .output()
        .ok()?;
    let seconds: f64 = String::from_utf8(done.stdout).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs_f64(seconds))
}
