//! What dense search costs, embedded and on Qdrant: time until everything is indexed, queries, memory, disk.
//!
//! ```text
//! cargo run --release -p composition --features qdrant --example vectors                 10,000 and 100,000 vectors
//! cargo run --release -p composition --features qdrant --example vectors -- 2000 50000  other numbers
//! ```
//!
//! Vectors have 384 numbers and lie in clusters, as embeddings do. Each store and number is measured in a process of its
//! own. Qdrant is the program that `HEXMEM_QDRANT_BIN` names, or the one on the path: started here, with its default
//! settings and data of its own; without one it is left out. Memory is resident memory, read from `/proc`: of this
//! process for the embedded store, of the server for Qdrant. Prints a table, and writes a chart to
//! `target/bench/vectors.svg`.
#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

mod chart;
mod points;
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hexmem_composition::{CollectionHealth, Settings, Sources, Stores};
use hexmem_ports::{Accuracy, Filter, Found, Limit, VectorQuery, VectorSearch};
use serde_json::{Value, json};

use chart::Panel;
use points::{DIMENSION, Numbers, collection, name, point, spec};
use server::Server;

const QUERIES: usize = 500;
const RECALL_QUERIES: usize = 100;
const BATCH: u32 = 1_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["measure", store, count] = words.as_slice() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        println!("{}", runtime.block_on(measure(store, count.parse().unwrap())));
        return;
    }
    let mut counts: Vec<u32> = Vec::new();
    for word in &words {
        let Ok(count) = word.parse() else {
            eprintln!("usage: vectors [NUMBER OF VECTORS]...");
            std::process::exit(2);
        };
        counts.push(count);
    }
    if counts.is_empty() {
        counts = vec![10_000, 100_000];
    }
    table(&counts);
}

/// Runs this program again, so that each measurement has a process of its own.
fn again(store: &str, count: u32) -> Value {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let count = count.to_string();
    let done = command.args(["measure", store, &count]).stderr(Stdio::inherit()).output().unwrap();
    assert!(done.status.success(), "{store} with {count} vectors failed");
    serde_json::from_slice(&done.stdout).unwrap()
}

/// What is measured: its name, its key, its unit.
const ROWS: [(&str, &str, &str); 8] = [
    ("written", "write_s", "s"),
    ("written and indexed", "index_s", "s"),
    ("query, p50", "p50_ms", "ms"),
    ("query, p95", "p95_ms", "ms"),
    ("every vector compared, p50", "exact_ms", "ms"),
    ("recall@10", "recall", ""),
    ("resident memory", "memory_mib", "MiB"),
    ("on disk", "disk_mib", "MiB"),
];

fn table(counts: &[u32]) {
    let mut stores = vec!["embedded"];
    match server::program() {
        Some(_) => stores.push("Qdrant"),
        None => {
            println!("Qdrant is NOT MEASURED: no program qdrant here and no HEXMEM_QDRANT_BIN\n")
        }
    }
    let mut measured: Vec<(String, Value)> = Vec::new();
    for count in counts {
        for store in &stores {
            eprintln!("{store}, {count} vectors");
            measured.push((format!("{store}, {count}"), again(store, *count)));
        }
    }
    let titles: Vec<&str> = measured.iter().map(|(title, _)| title.as_str()).collect();
    println!("| k = 10, {DIMENSION} numbers a vector | {} |", titles.join(" | "));
    println!("|---|{}", "---:|".repeat(titles.len()));
    for (title, key, unit) in ROWS {
        let cells = measured.iter().map(|(_, told)| match told[key].as_f64() {
            Some(value) => format!("{value:.2} {unit}"),
            None => String::from("-"),
        });
        let cells: Vec<String> = cells.map(|cell| cell.trim_end().to_owned()).collect();
        println!("| {title} | {} |", cells.join(" | "));
    }
    let panels = ["index_s", "p50_ms", "p95_ms", "memory_mib"].map(|key| {
        let row = ROWS.iter().find(|(_, other, _)| *other == key);
        let (title, _, unit) = row.copied().unwrap_or_default();
        let value = |told: &Value| told[key].as_f64().unwrap_or_default();
        let bars = measured.iter().map(|(title, told)| (title.clone(), value(told))).collect();
        Panel { title: format!("{title}, {unit}"), bars }
    });
    let folder = target().join("bench");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("vectors.svg");
    std::fs::write(&file, chart::draw(&panels)).unwrap();
    eprintln!("{}", file.display());
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from)
}

fn search(values: Vec<f32>, accuracy: Accuracy) -> VectorSearch {
    VectorSearch {
        query: VectorQuery::Dense { vector: name("d"), values },
        filter: Filter::all(),
        limit: Limit::new(10).unwrap(),
        min_score: None,
        accuracy,
    }
}

fn stores(store: &str, data: &Path, server: Option<&Server>) -> Stores {
    let mut environment = Vec::new();
    let mut set = |name: &str, value: String| environment.push((name.to_owned(), value));
    if let Some(server) = server {
        set("HEXMEM__QDRANT__URL", server.url());
        set("HEXMEM__RAG__BACKEND", String::from("qdrant"));
    }
    assert!(store == "embedded" || server.is_some(), "no program qdrant");
    let sources = Sources { environment, data: Some(data.to_owned()), ..Sources::default() };
    Stores::new(Settings::load(&sources).unwrap())
}

async fn measure(store: &str, count: u32) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let server = (store == "Qdrant").then(|| Server::start(folder.path()));
    let stores = stores(store, &folder.path().join("data"), server.as_ref());
    let vectors = stores.vectors().await.unwrap();
    let c = collection();
    vectors.create(&c, spec()).await.unwrap();
    let mut numbers = Numbers(1);
    let (mut written, mut from) = (Duration::ZERO, 0);
    while from < count {
        let until = count.min(from + BATCH);
        // Making them is not counted.
        let batch: Vec<_> = (from..until).map(|n| point(&mut numbers, n)).collect();
        let start = Instant::now();
        vectors.upsert(&c, batch).await.unwrap();
        written += start.elapsed();
        from = until;
    }
    let start = Instant::now();
    if server.is_some() {
        wait_for_index(&stores).await;
    }
    let indexed = written + start.elapsed();
    let ask = async |values: Vec<f32>, accuracy| -> (Vec<Found>, f64) {
        let wanted = search(values, accuracy);
        let start = Instant::now();
        let found = vectors.search(&c, &wanted).await.unwrap();
        (found, start.elapsed().as_secs_f64() * 1_000.0)
    };
    let mut numbers = Numbers(99);
    for _ in 0..QUERIES / 10 {
        ask(numbers.dense(), Accuracy::Indexed).await;
    }
    let mut times = Vec::new();
    for _ in 0..QUERIES {
        times.push(ask(numbers.dense(), Accuracy::Indexed).await.1);
    }
    let (mut exact, mut hits, mut wanted) = (Vec::new(), 0, 0);
    for _ in 0..RECALL_QUERIES {
        let values = numbers.dense();
        let (nearest, time) = ask(values.clone(), Accuracy::Exact).await;
        exact.push(time);
        let (found, _) = ask(values, Accuracy::Indexed).await;
        wanted += nearest.len();
        hits += nearest.iter().filter(|one| found.iter().any(|hit| hit.id == one.id)).count();
    }
    let pid = server.as_ref().map_or_else(std::process::id, Server::pid);
    let told = json!({
        "write_s": written.as_secs_f64(),
        "index_s": indexed.as_secs_f64(),
        "p50_ms": at(&mut times, 50),
        "p95_ms": at(&mut times, 95),
        "exact_ms": at(&mut exact, 50),
        "recall": hits as f64 / wanted as f64,
        "memory_mib": resident(pid),
        "disk_mib": bytes(folder.path()) / 1_048_576.0,
    });
    stores.close().await.unwrap();
    told
}

/// Waits until Qdrant has nothing left to optimise.
async fn wait_for_index(stores: &Stores) {
    loop {
        let seen = stores.qdrant().await.unwrap().inspect().await.unwrap();
        if seen.collections.iter().all(|one| one.status == CollectionHealth::Green) {
            return;
        }
        assert_eq!(seen.findings, Vec::<String>::new());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn at(times: &mut [f64], share: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() * share / 100]
}

/// Resident memory of a process in MiB; `None` where there is no `/proc`.
fn resident(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1_024.0)
}

/// What the files of a folder take on the disk: blocks, for files may have holes.
fn bytes(folder: &Path) -> f64 {
    let mut sum = 0.0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let Ok(entry) = entry else { continue };
        let Ok(seen) = entry.metadata() else { continue };
        if seen.is_dir() {
            sum += bytes(&entry.path());
        } else {
            #[cfg(unix)]
            let size = std::os::unix::fs::MetadataExt::blocks(&seen) * 512;
            #[cfg(not(unix))]
            let size = seen.len();
            sum += size as f64;
        }
    }
    sum
}
