//! Copies in the process: never beyond their time, their bound, or what this process ended.

#![cfg(feature = "moka")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use hexmem_llm_cache::{Answer, Call, LlmCache, LocalTier, Mode, Policy};
use hexmem_ports::Timestamp;
use world::{World, name, question, secs};

fn with_tier(world: &World) -> LlmCache {
    let tier = LocalTier::new(1_000_000, Duration::from_secs(2)).unwrap();
    world.process().with_local(tier)
}

async fn text(cache: &LlmCache) -> Option<String> {
    let found = cache.get(&question("q")).await.unwrap();
    found.map(|found| found.answer.text().unwrap().to_owned())
}

async fn put(cache: &LlmCache, text: &str) {
    cache.put(&question("q"), &[name("a")], Answer::new(text)).await.unwrap();
}

#[tokio::test]
async fn a_copy_is_served_without_the_store() {
    let world = World::new();
    let (cache, elsewhere) = (with_tier(&world), world.process());
    put(&cache, "1").await;
    let first = cache.get(&question("q")).await.unwrap().unwrap();
    put(&elsewhere, "2").await;
    // Within the bound the copy is served, the very same one.
    let copy = cache.get(&question("q")).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&first.answer, &copy.answer));
    let counts = cache.stats().await.unwrap().counts;
    assert_eq!((counts.hits, counts.bytes_served), (2, 2), "copies are counted");
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(text(&cache).await.as_deref(), Some("2"));
}

const ENDINGS: [&str; 4] = ["tag", "model", "key", "all"];

async fn end(cache: &LlmCache, what: &str) {
    let ended = match what {
        "tag" => cache.invalidate_tag(name("a")).await,
        "model" => cache.invalidate_model(name("m")).await,
        "key" => cache.invalidate(&question("q")).await,
        _ => cache.invalidate_all().await,
    };
    assert_eq!(ended.unwrap(), Some(1), "{what}");
}

#[tokio::test]
async fn what_this_process_ends_is_gone_at_once() {
    for what in ENDINGS {
        let world = World::new();
        let cache = with_tier(&world);
        put(&cache, "1").await;
        assert!(text(&cache).await.is_some());
        end(&cache.clone(), what).await;
        assert_eq!(text(&cache).await, None, "{what}");
        put(&cache, "2").await;
        assert_eq!(text(&cache).await.as_deref(), Some("2"), "{what}");
    }
}

#[tokio::test]
async fn what_another_process_ends_is_gone_within_the_bound() {
    for what in ENDINGS {
        let world = World::new();
        let (cache, elsewhere) = (with_tier(&world), world.process());
        put(&cache, "1").await;
        assert!(text(&cache).await.is_some());
        end(&elsewhere, what).await;
        world.clock.advance(Duration::from_millis(1_999));
        assert!(text(&cache).await.is_some(), "{what}: that is the price");
        world.clock.advance(Duration::from_millis(1));
        assert_eq!(text(&cache).await, None, "{what}");
    }
}

#[tokio::test]
async fn a_put_and_a_recomputation_replace_the_copy() {
    let world = World::new();
    let cache = with_tier(&world);
    put(&cache, "1").await;
    assert_eq!(text(&cache).await.as_deref(), Some("1"));
    put(&cache.clone(), "2").await;
    assert_eq!(text(&cache).await.as_deref(), Some("2"));
    let anew = Call::new().mode(Mode::Recompute);
    let _ = cache.get_or_compute(&question("q"), anew, || world.answer()).await.unwrap();
    assert_eq!(text(&cache).await.as_deref(), Some("answer 0"));
}

#[tokio::test]
async fn time_to_live_is_exact_and_a_clock_set_back_proves_nothing() {
    let world = World::new();
    let tier = LocalTier::new(1_000_000, Duration::from_secs(1_000)).unwrap();
    let cache = world.process().with_local(tier);
    let short = Call::new().ttl(secs(10)).stale(secs(5));
    cache.put(&question("q"), short, Answer::new("1")).await.unwrap();
    let state = async || {
        let found = cache.get(&question("q")).await.unwrap();
        found.map_or("gone", |found| if found.stale { "stale" } else { "fresh" })
    };
    assert_eq!(state().await, "fresh");
    world.clock.advance(Duration::from_micros(9_999_999));
    assert_eq!(state().await, "fresh");
    world.clock.advance(Duration::from_micros(1));
    assert_eq!(state().await, "stale");
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(state().await, "gone");
    // Copied now, then an hour back: the store is asked, and knows better.
    let elsewhere = world.process();
    put(&cache, "2").await;
    assert_eq!(text(&cache).await.as_deref(), Some("2"));
    put(&elsewhere, "3").await;
    world.clock.set(Timestamp::from_micros(0).unwrap());
    assert_eq!(text(&cache).await.as_deref(), Some("3"));
}

#[tokio::test]
async fn weight_is_bounded_and_settings_are_checked() {
    let world = World::new();
    let tier = LocalTier::new(100_000, Duration::from_secs(100)).unwrap();
    let cache = world.process_with(Policy::new(secs(100)).unwrap()).with_local(tier.clone());
    for n in 0..200 {
        let asked = question(&n.to_string());
        cache.put(&asked, Call::new(), Answer::new(vec![b'x'; 10_000])).await.unwrap();
        assert!(cache.get(&asked).await.unwrap().is_some());
    }
    assert!(tier.bytes_held() <= 100_000, "{tier:?}");
    assert!(LocalTier::new(0, Duration::from_secs(1)).is_err());
    assert!(LocalTier::new(1, Duration::ZERO).is_err());
}
