//! `hexmem rag ingest` of 10,000 text files of 4 kB, and sparse queries on what it made: about 100,000 chunks.
//!
//! A program that prints seconds and milliseconds, not a benchmark of many samples: an ingest happens once. `HEXMEM_BENCH_FILES`
//! sets another number of files.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{CollectionId, Limit, Name, Tenant};
use hexmem_rag::{Collection, Rag, SearchOptions};

#[path = "../../rag/benches/corpus/mod.rs"]
mod corpus;

/// Bytes of a file, about.
const SIZE: usize = 4_000;
const QUERIES: usize = 500;

fn main() {
    let files = std::env::var("HEXMEM_BENCH_FILES").ok().and_then(|n| n.parse().ok());
    let files: usize = files.unwrap_or(10_000);
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    let mut words = corpus::Words::new(7);
    let mut bytes = 0;
    for n in 0..files {
        let text = words.text(SIZE);
        bytes += text.len();
        let place = docs.join(format!("{:03}", n / 100));
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join(format!("{n}.txt")), text).unwrap();
    }
    println!("{files} files, {:.1} MB", bytes as f64 / 1e6);
    for run in ["first ingest", "nothing new "] {
        let start = Instant::now();
        let ok = ingest(folder.path());
        assert!(ok, "hexmem rag ingest failed");
        println!("{run}         {:8.2} s", start.elapsed().as_secs_f64());
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(ask(folder.path(), &mut words));
}

fn ingest(folder: &Path) -> bool {
    Command::new(env!("CARGO_BIN_EXE_hexmem"))
        .current_dir(folder)
        .args(["--data", "data", "rag", "ingest", "docs", "--collection", "docs"])
        .status()
        .unwrap()
        .success()
}

async fn ask(folder: &Path, words: &mut corpus::Words) {
    let file = folder.join("data/hexmem.db");
    println!("database             {:8.1} MB", fs::metadata(&file).unwrap().len() as f64 / 1e6);
    let clock = Arc::new(SystemClock);
    let database = Database::open(SqliteConfig::new(file), clock).await.unwrap();
    let rag = Rag::new(Arc::new(database.vectors()));
    let tenant = Tenant(Name::new("default").unwrap());
    let id = CollectionId::new(tenant, Name::new("docs").unwrap());
    let collection = rag.open(id).await.unwrap().unwrap();
    println!("chunks               {:8}", collection.counts().await.unwrap().1);
    let questions: Vec<String> = (0..QUERIES).map(|_| words.question()).collect();
    let exact = SearchOptions { feedback: None, ..SearchOptions::default() };
    for (name, options) in [("as it is", SearchOptions::default()), ("exact terms", exact)] {
        let options = SearchOptions { limit: Limit::new(10).unwrap(), ..options };
        // Warm, as a service is.
        time(&collection, &questions[..50], &options).await;
        let times = time(&collection, &questions, &options).await;
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        println!(
            "query, {name:<12}  p50 {:5.2} ms  p95 {:5.2} ms  p99 {:5.2} ms",
            at(50),
            at(95),
            at(99)
        );
    }
}

async fn time(collection: &Collection, questions: &[String], options: &SearchOptions) -> Vec<f64> {
    let mut times = Vec::with_capacity(questions.len());
    let mut found = 0;
    for question in questions {
        let start = Instant::now();
        found += collection.search(question, options).await.unwrap().len();
        times.push(start.elapsed().as_secs_f64() * 1_000.0);
    }
    assert!(found > questions.len(), "the questions are of words that occur");
    times.sort_by(f64::total_cmp);
    times
}
