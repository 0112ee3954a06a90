//! What one call asks for, what the policy refuses, what is counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use hexmem_llm_cache::{
    Answer, CacheError, Call, Kept, LlmCache, Mode, Origin, Policy, Skip, WhenRandom, WhenTools,
};
use hexmem_ports::{CacheCounts, Clock as _, ErrorKind, StatsRoom};
use world::{World, name, question, secs};

async fn ask(cache: &LlmCache, call: Call, text: &'static str) -> (String, Origin) {
    let compute = move || async move { Ok::<_, Infallible>(Answer::new(text)) };
    let served = cache.get_or_compute(&question("q"), call, compute).await.unwrap();
    (served.answer.text().unwrap().to_owned(), served.origin)
}

#[tokio::test]
async fn a_call_may_pass_by_or_compute_anew() {
    let world = World::new();
    let cache = world.process();
    ask(&cache, Call::new(), "1").await;
    let (text, origin) = ask(&cache, Call::new().mode(Mode::Bypass), "2").await;
    assert_eq!(text, "2");
    assert!(matches!(origin, Origin::Computed(Kept::Skipped(Skip::Asked))), "{origin:?}");
    assert_eq!(ask(&cache, Call::new(), "3").await.0, "1", "it was not stored");
    let (text, origin) = ask(&cache, Call::new().mode(Mode::Recompute), "4").await;
    assert_eq!(text, "4");
    assert!(matches!(origin, Origin::Computed(Kept::Stored)), "{origin:?}");
    assert_eq!(ask(&cache, Call::new(), "5").await.0, "4");
    let counts = cache.stats().await.unwrap().counts;
    assert_eq!((counts.hits, counts.misses, counts.bypassed, counts.stored), (2, 2, 1, 2));
}

#[tokio::test]
async fn a_call_has_a_life_of_its_own() {
    let world = World::new();
    let cache = world.process();
    ask(&cache, Call::new().ttl(secs(10)).stale(secs(5)), "short").await;
    let mut now = 0;
    for (at, expected) in [(9, "fresh"), (10, "stale"), (14, "stale"), (15, "gone")] {
        world.clock.advance(Duration::from_secs(at - now));
        now = at;
        let found = cache.get(&question("q")).await.unwrap();
        let got = found.map_or("gone", |found| if found.stale { "stale" } else { "fresh" });
        assert_eq!(got, expected, "after {at} s");
    }
}

#[tokio::test]
async fn samples_of_a_question_have_answers_of_their_own() {
    let world = World::new();
    let policy = Policy { random: WhenRandom::PerSample, ..World::policy() };
    let cache = world.process_with(policy);
    let hot = question("q").parameter("temperature", 0.7);
    let ask = async |call: Call| {
        let served = cache.get_or_compute(&hot, call, || world.answer()).await.unwrap();
        (served.answer.text().unwrap().to_owned(), served.origin)
    };
    let (first, origin) = ask(Call::new()).await;
    assert_eq!(first, "answer 0");
    assert!(matches!(origin, Origin::Computed(Kept::Skipped(Skip::Temperature))));
    assert_eq!(ask(Call::new()).await.0, "answer 1");
    assert_eq!(ask(Call::new().sample(0)).await.0, "answer 2");
    assert_eq!(ask(Call::new().sample(1)).await.0, "answer 3");
    assert_eq!(ask(Call::new().sample(0)).await.0, "answer 2");
    let (one, two) = (Call::new().sample(0), Call::new().sample(1));
    assert_ne!(cache.key_of(&hot, &one).unwrap(), cache.key_of(&hot, &two).unwrap());
    assert_ne!(cache.key_of(&hot, &one).unwrap(), cache.key(&hot).unwrap());
}

#[tokio::test]
async fn answers_that_the_policy_refuses_are_their_callers_only() {
    let world = World::new();
    let policy = Policy { tools: WhenTools::KeepWords, max_bytes: 4, ..World::policy() };
    let cache = world.process_with(policy);
    for (answer, expected) in
        [(Answer::new("12345"), Skip::TooLarge), (Answer::new("{}").calls_tools(), Skip::ToolCall)]
    {
        let compute = || async { Ok::<_, Infallible>(answer.clone()) };
        let served = cache.get_or_compute(&question("q"), Call::new(), compute).await.unwrap();
        assert!(matches!(served.origin, Origin::Computed(Kept::Skipped(skip)) if skip == expected));
        assert!(cache.get(&question("q")).await.unwrap().is_none());
    }
    assert!(matches!(ask(&cache, Call::new(), "1234").await.1, Origin::Computed(Kept::Stored)));
}

#[tokio::test]
async fn a_failure_is_remembered_where_the_caller_says_so() {
    let world = World::new();
    let cache = world.process();
    let call = || {
        Call::new().keep_failures(|error| error.to_string().contains("refused").then(|| secs(10)))
    };
    let fail = async |what: &'static str| {
        let compute = move || async move { Err::<Answer, _>(io::Error::other(what)) };
        cache.get_or_compute(&question("q"), call(), compute).await.unwrap_err()
    };
    assert!(matches!(fail("overloaded").await, CacheError::Computation(_)));
    assert!(matches!(fail("refused").await, CacheError::Computation(_)), "its own failure");
    let error = fail("not asked").await;
    let CacheError::Remembered { message, at } = &error else { panic!("{error}") };
    assert_eq!((&**message, *at), ("refused", world.clock.now()));
    assert!(cache.get(&question("q")).await.unwrap().is_none(), "a failure is no answer");
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(ask(&cache, call(), "better").await.0, "better");
    assert_eq!(ask(&cache, call(), "unasked").await.0, "better");
}

#[tokio::test]
async fn what_was_saved_is_counted_by_model_and_tag_over_processes() {
    let world = World::new();
    let (cache, elsewhere) = (world.process(), world.process());
    let answer = || async { Ok::<_, Infallible>(Answer::new("12345").tokens(100, 20).cost(1_500)) };
    for (cache, tag) in [(&cache, "a"), (&cache, "a"), (&elsewhere, "a"), (&elsewhere, "b")] {
        let served = cache.get_or_compute(&question("q"), &[name(tag)], answer).await.unwrap();
        assert_eq!(served.answer.usage.output_tokens, 20);
    }
    elsewhere.flush().await.unwrap();
    let hit = CacheCounts {
        hits: 1,
        bytes_served: 5,
        input_tokens_saved: 100,
        output_tokens_saved: 20,
        cost_saved: 1_500,
        ..CacheCounts::default()
    };
    let made = CacheCounts { misses: 1, stored: 1, ..CacheCounts::default() };
    let stats = cache.stats().await.unwrap();
    assert_eq!(stats.counts, made.plus(hit).plus(hit).plus(hit));
    assert_eq!((stats.entries, stats.bytes), (1, 5));
    let models = cache.stats_by(StatsRoom::Models).await.unwrap();
    assert_eq!((models.len(), models[0].stats), (1, stats));
    let tags = elsewhere.stats_by(StatsRoom::Tags).await.unwrap();
    assert_eq!(tags[0].stats.counts, made.plus(hit).plus(hit));
    assert_eq!(tags[1].stats.counts, hit);
    assert_eq!((tags[0].stats.entries, tags[1].stats.entries), (1, 0), "the answer's own tags");
}

#[tokio::test]
async fn counts_outlive_a_store_that_is_down() {
    let world = World::down(ErrorKind::Unavailable);
    let cache = world.process();
    for _ in 0..3 {
        let served = cache.get_or_compute(&question("q"), Call::new(), || world.answer()).await;
        assert!(served.is_ok());
    }
    assert!(cache.flush().await.is_err());
    assert!(cache.flush().await.is_err(), "they are still there to be written");
}
