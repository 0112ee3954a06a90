//! A hit in the process, beside moka alone.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use hexmem_adapter_memory::{MemoryCache, SystemClock};
use hexmem_llm_cache::{Answer, Call, LlmCache, LocalTier, Policy, Question};
use hexmem_ports::{Digest, Name, NamespaceId, Tenant, Ttl};

/// Answers in both.
const ANSWERS: usize = 1_000;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn question(n: usize) -> Question {
    Question::new(name("openai"), name("gpt-4o"))
        .system("You answer from the handbook, in one paragraph, and say so when it has no answer.")
        .message(
            "user",
            format!("Question number {n}: how long does a lease last, and who ends it?"),
        )
        .parameter("temperature", 0.0)
        .parameter("max_tokens", 512)
}

/// What one writes who puts answers into moka.
fn key(question: &Question) -> Digest {
    Digest::of(&serde_json::to_vec(question).unwrap())
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let clock = Arc::new(SystemClock);
    let store = Arc::new(MemoryCache::new(clock.clone()));
    let namespace = NamespaceId::new(Tenant(name("bench")), name("n"));
    let policy = Policy::new(Ttl::secs(3_600).unwrap()).unwrap();
    let tier = LocalTier::new(1 << 30, Duration::from_secs(600)).unwrap();
    let cache = LlmCache::new(store, clock, namespace, policy).unwrap().with_local(tier);
    let moka: moka::sync::Cache<Digest, Arc<Answer>> = moka::sync::Cache::builder()
        .max_capacity(1 << 30)
        .time_to_live(Duration::from_secs(3_600))
        .weigher(|_, answer: &Arc<Answer>| u32::try_from(answer.value.len()).unwrap())
        .build();
    let questions: Vec<Question> = (0..ANSWERS).map(question).collect();
    let mut prints = Vec::with_capacity(ANSWERS);
    for question in &questions {
        let answer = Answer::new(vec![b'x'; 2_000]).tokens(400, 120).cost(1_200);
        moka.insert(key(question), Arc::new(answer.clone()));
        runtime.block_on(cache.put(question, Call::new(), answer)).unwrap();
        assert!(runtime.block_on(cache.get(question)).unwrap().is_some());
        prints.push((cache.key(question).unwrap().fingerprint, key(question)));
    }
    moka.run_pending_tasks();

    let mut group = criterion.benchmark_group("llm cache hit");
    let mut next = prints.iter().cycle();
    group.bench_function(BenchmarkId::new("hexmem", "by fingerprint"), |bencher| {
        // One entry into the runtime, as in a program: moka's call has none.
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..times {
                    let (print, _) = next.next().unwrap();
                    black_box(cache.get_by_fingerprint(*print).await.unwrap().unwrap());
                }
                start.elapsed()
            })
        });
    });
    group.bench_function(BenchmarkId::new("moka", "by fingerprint"), |bencher| {
        bencher.iter(|| black_box(moka.get(&next.next().unwrap().1).unwrap()));
    });
    let mut next = questions.iter().cycle();
    group.bench_function(BenchmarkId::new("hexmem", "by question"), |bencher| {
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..times {
                    black_box(cache.get(next.next().unwrap()).await.unwrap().unwrap());
                }
                start.elapsed()
            })
        });
    });
    group.bench_function(BenchmarkId::new("moka", "by question"), |bencher| {
        bencher.iter(|| black_box(moka.get(&key(next.next().unwrap())).unwrap()));
    });
    group.finish();
    criterion.final_summary();
}
