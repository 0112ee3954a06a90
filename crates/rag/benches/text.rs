//! Chunking and analysis, in bytes a second.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use hexmem_rag::analyse::{Analyzer, Side, TermCounts};
use hexmem_rag::bm25::Bm25;
use hexmem_rag::chunk::{Chunking, Strategy};

/// About a megabyte of prose with headings, the same in every run.
fn prose() -> String {
    const WORDS: [&str; 16] = [
        "worker",
        "leases",
        "the",
        "commands",
        "of",
        "a",
        "queue",
        "before",
        "its",
        "visibility",
        "timeout",
        "expires",
        "and",
        "acknowledges",
        "results",
        "session_token",
    ];
    let (mut text, mut seed) = (String::new(), 7_usize);
    for sentence in 0.. {
        if text.len() > 1_000_000 {
            break;
        }
        if sentence % 40 == 0 {
            text.push_str(&format!("\n\n## Part {sentence}\n\n"));
        }
        for _ in 0..12 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(WORDS[(seed >> 33) % WORDS.len()]);
            text.push(' ');
        }
        text.push_str(". ");
    }
    text
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let text = prose();
    let mut group = criterion.benchmark_group("rag text");
    group.throughput(Throughput::Bytes(u64::try_from(text.len()).unwrap()));
    for (name, strategy) in
        [("chunk recursive", Strategy::Recursive), ("chunk markdown", Strategy::Markdown)]
    {
        let chunking = Chunking { strategy, ..Chunking::default() };
        group.bench_function(name, |bencher| {
            bencher.iter(|| chunking.chunks(black_box(&text)).unwrap());
        });
    }
    let analyzer = Analyzer::default();
    let chunks = Chunking::default().chunks(&text).unwrap();
    group.bench_function("terms", |bencher| {
        bencher.iter(|| {
            for chunk in &chunks {
                let counts = TermCounts::of(&analyzer, black_box(&chunk.text), Side::Document);
                black_box(Bm25::default().document(&counts).unwrap());
            }
        });
    });
    group.finish();
    criterion.final_summary();
}
