//! Streamed answers: recorded whole or not at all, replayed as they came.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use hexmem_llm_cache::{
    Answer, AnswerStream, CacheError, Call, Kept, LlmCache, Mode, Origin, Pace, Piece, Policy,
    Skip, StreamOrigin, Usage,
};
use hexmem_ports::Clock as _;
use serde_json::json;
use world::{World, name, question};

type Pieces = Vec<Piece>;

fn chunks(texts: &[&str]) -> Pieces {
    texts.iter().map(|text| Piece::Chunk(text.as_bytes().to_vec())).collect()
}

fn flow(pieces: Pieces) -> BoxStream<'static, Result<Piece, io::Error>> {
    stream::iter(pieces.into_iter().map(Ok)).boxed()
}

async fn ask(cache: &LlmCache, call: Call, pieces: Pieces) -> AnswerStream<'static> {
    let start = move || async move { Ok::<_, io::Error>(flow(pieces)) };
    cache.get_or_stream(&question("q"), call, start).await.unwrap()
}

async fn read(stream: &mut AnswerStream<'_>) -> Pieces {
    let mut pieces = Vec::new();
    while let Some(piece) = stream.next().await {
        pieces.push(piece.unwrap());
    }
    pieces
}

fn found(stream: &AnswerStream<'_>) -> bool {
    matches!(stream.origin(), StreamOrigin::Found(_))
}

#[tokio::test]
async fn a_replay_has_the_chunks_of_the_recording() {
    let world = World::new();
    let (cache, elsewhere) = (world.process(), world.process());
    let mut sent = chunks(&["A ", "", "lease", " é", "nds."]);
    sent.push(Piece::Usage(Usage { input_tokens: 3, output_tokens: 5, cost: 7 }));
    sent.push(Piece::Meta(json!({"finish": "stop"})));
    let mut live = ask(&cache, Call::new().tag(name("a")), sent.clone()).await;
    assert!(!found(&live) && live.kept().is_none());
    assert_eq!(read(&mut live).await, sent);
    assert!(matches!(live.kept(), Some(Kept::Stored)));
    let mut again = ask(&elsewhere, Call::new(), vec![]).await;
    assert!(found(&again));
    assert_eq!(read(&mut again).await, sent);
    // Whole, for who does not stream; and the other way round.
    let whole = cache.get(&question("q")).await.unwrap().unwrap().answer;
    assert_eq!(whole.text().unwrap(), "A lease énds.");
    cache.put(&question("q"), Call::new(), Answer::new("of one piece")).await.unwrap();
    let mut one = ask(&cache, Call::new(), vec![]).await;
    assert_eq!(read(&mut one).await, chunks(&["of one piece"]));
    cache.put(&question("q"), Call::new(), Answer::new("")).await.unwrap();
    let mut empty = ask(&cache, Call::new(), vec![]).await;
    assert_eq!(read(&mut empty).await, chunks(&[""]));
    let (stats, other) = (cache.stats().await.unwrap(), elsewhere.stats().await.unwrap());
    assert_eq!(stats.counts.misses, 1);
    assert_eq!(other.counts.output_tokens_saved, 10, "saved by two hits");
}

#[tokio::test]
async fn a_stream_that_is_dropped_stores_nothing_and_holds_nobody() {
    let world = World::new();
    let cache = world.process();
    let mut live = ask(&cache, Call::new(), chunks(&["a", "b"])).await;
    live.next().await.unwrap().unwrap();
    drop(live);
    assert!(cache.get(&question("q")).await.unwrap().is_none());
    // The clock stands still: its lease is given back by the next one.
    let mut next = ask(&cache, Call::new(), chunks(&["c"])).await;
    assert_eq!(read(&mut next).await, chunks(&["c"]));
    assert!(matches!(next.kept(), Some(Kept::Stored)));
}

#[tokio::test]
async fn a_stream_that_fails_stores_nothing() {
    let world = World::new();
    let cache = world.process();
    let pieces = || {
        let broken = Err(io::Error::other("cut off"));
        stream::iter([Ok(Piece::Chunk(b"half".to_vec())), broken])
    };
    let start = || async { Ok::<_, io::Error>(pieces()) };
    let mut live = cache.get_or_stream(&question("q"), Call::new(), start).await.unwrap();
    assert!(live.next().await.unwrap().is_ok());
    let error = live.next().await.unwrap().unwrap_err();
    assert!(matches!(error, CacheError::Computation(_)), "{error}");
    assert!(live.next().await.is_none() && live.kept().is_none());
    assert!(cache.get(&question("q")).await.unwrap().is_none());
    let start = || async { Err::<BoxStream<'_, _>, _>(io::Error::other("refused")) };
    let error = cache.get_or_stream(&question("q"), Call::new(), start).await.unwrap_err();
    assert!(matches!(error, CacheError::Computation(_)), "{error}");
    let mut next = ask(&cache, Call::new(), chunks(&["whole"])).await;
    assert_eq!(read(&mut next).await, chunks(&["whole"]));
}

#[tokio::test]
async fn who_asks_meanwhile_gets_the_replay() {
    let world = World::new();
    let cache = world.process();
    let mut live = ask(&cache, Call::new(), chunks(&["a", "b"])).await;
    live.next().await.unwrap().unwrap();
    let waiting = tokio::spawn({
        let cache = cache.clone();
        async move {
            let mut stream = ask(&cache, Call::new(), chunks(&["never"])).await;
            (found(&stream), read(&mut stream).await)
        }
    });
    tokio::task::yield_now().await;
    read(&mut live).await;
    assert_eq!(waiting.await.unwrap(), (true, chunks(&["a", "b"])));
    assert_eq!(cache.stats().await.unwrap().counts.shared, 1);
}

#[tokio::test]
async fn a_stream_that_nobody_reads_on_holds_others_for_a_bounded_time() {
    let world = World::new();
    let cache = world.process();
    let mut idle = ask(&cache, Call::new(), chunks(&["a", "b"])).await;
    idle.next().await.unwrap().unwrap();
    let mut next = world.within(130, ask(&cache, Call::new(), chunks(&["c"]))).await;
    assert_eq!(read(&mut next).await, chunks(&["c"]));
    // The slow one ends after all, from before nothing was invalidated: it may replace the other.
    assert_eq!(read(&mut idle).await, chunks(&["b"]));
}

#[tokio::test]
async fn a_stream_from_before_an_invalidation_is_not_kept() {
    let world = World::new();
    let cache = world.process();
    let mut live = ask(&cache, Call::new().tag(name("a")), chunks(&["a", "b"])).await;
    live.next().await.unwrap().unwrap();
    cache.invalidate_tag(name("a")).await.unwrap();
    assert_eq!(read(&mut live).await, chunks(&["b"]));
    assert!(matches!(live.kept(), Some(Kept::Outdated)));
    assert!(cache.get(&question("q")).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_too_large_goes_on_to_its_reader_only() {
    let world = World::new();
    let cache = world.process_with(Policy { max_bytes: 5, ..World::policy() });
    let mut live = ask(&cache, Call::new(), chunks(&["abc", "def", "g"])).await;
    assert_eq!(read(&mut live).await, chunks(&["abc", "def", "g"]));
    assert!(matches!(live.kept(), Some(Kept::Skipped(Skip::TooLarge))));
    assert!(cache.get(&question("q")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_bypassed_stream_is_not_recorded_and_a_recomputed_one_replaces() {
    let world = World::new();
    let cache = world.process();
    let mut first = ask(&cache, Call::new(), chunks(&["old"])).await;
    read(&mut first).await;
    let mut bypassed = ask(&cache, Call::new().mode(Mode::Bypass), chunks(&["new"])).await;
    assert!(matches!(bypassed.kept(), Some(Kept::Skipped(Skip::Asked))));
    assert_eq!(read(&mut bypassed).await, chunks(&["new"]));
    let mut still = ask(&cache, Call::new(), vec![]).await;
    assert_eq!(read(&mut still).await, chunks(&["old"]));
    let mut anew = ask(&cache, Call::new().mode(Mode::Recompute), chunks(&["new"])).await;
    assert_eq!(read(&mut anew).await, chunks(&["new"]));
    let mut now = ask(&cache, Call::new(), vec![]).await;
    assert_eq!(read(&mut now).await, chunks(&["new"]));
}

#[tokio::test]
async fn a_stale_stream_is_replayed_with_a_refresh() {
    let world = World::new();
    let cache = world.process();
    read(&mut ask(&cache, Call::new(), chunks(&["old"])).await).await;
    world.clock.advance(Duration::from_secs(100));
    let mut stale = ask(&cache, Call::new(), chunks(&["n", "ew"])).await;
    assert!(matches!(stale.origin(), StreamOrigin::Found(Origin::Stale(_))));
    let refresh = stale.refresh.take().expect("for one caller");
    assert_eq!(read(&mut stale).await, chunks(&["old"]));
    refresh.await.unwrap();
    let mut fresh = ask(&cache, Call::new(), vec![]).await;
    assert_eq!(read(&mut fresh).await, chunks(&["n", "ew"]));
}

#[tokio::test]
async fn a_replay_keeps_the_pace_it_is_told() {
    let world = World::new();
    let cache = world.process();
    let clock = Arc::clone(&world.clock);
    let slow = stream::unfold(0u64, move |n| {
        let clock = Arc::clone(&clock);
        async move {
            clock.advance(Duration::from_millis(10 * (n + 1)));
            (n < 3).then(|| (Ok::<_, Infallible>(Piece::Chunk(vec![b'a'])), n + 1))
        }
    });
    let start = move || async move { Ok::<_, Infallible>(slow) };
    let mut live = cache.get_or_stream(&question("q"), Call::new(), start).await.unwrap();
    read(&mut live).await;
    // Recorded with waits of 10, 20 and 30 ms.
    for (pace, expected) in [
        (Pace::AtOnce, 0),
        (Pace::Every(Duration::from_millis(200)), 400),
        (Pace::AsRecorded(Duration::from_secs(1)), 50),
        (Pace::AsRecorded(Duration::from_millis(15)), 40),
    ] {
        let before = world.clock.now();
        let replay = async {
            let mut stream = ask(&cache, Call::new().pace(pace), vec![]).await;
            read(&mut stream).await
        };
        assert_eq!(world.within(10, replay).await.len(), 3);
        let took = world.clock.now().since(before).as_millis();
        // The world moves its clock by 50 ms at a time.
        assert!(took >= expected && took <= expected + 150, "{pace:?} took {took} ms");
    }
}
