//! Find or compute: once at a time, never from before an invalidation.

mod world;

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hexmem_llm_cache::{Answer, CacheError, Kept, LlmCache, OnOutage, Origin, Policy, Refreshed};
use hexmem_ports::{CacheStore as _, ErrorKind, PutOutcome};
use tokio::sync::{Notify, oneshot};
use world::{World, name, question, secs};

#[tokio::test]
async fn the_second_question_finds_the_first_answer() {
    let world = World::new();
    let cache = world.process();
    assert_eq!(world.ask(&cache, "q").await, "answer 0");
    assert_eq!(world.ask(&cache, "q").await, "answer 0");
    assert_eq!(world.ask(&cache, "r").await, "answer 1");
    let found = cache.get(&question("q")).await.unwrap().unwrap();
    assert_eq!((found.answer.text().unwrap(), found.stale), ("answer 0", false));
    assert_eq!(cache.invalidate(&question("q")).await.unwrap(), Some(1));
    assert_eq!(world.ask(&cache, "q").await, "answer 2");
    assert_eq!(cache.invalidate_model(name("m")).await.unwrap(), Some(2));
    assert_eq!(cache.invalidate_tag(name("a")).await.unwrap(), Some(0));
    assert_eq!(world.ask(&cache, "q").await, "answer 3");
    assert_eq!(cache.invalidate_all().await.unwrap(), Some(1));
    let stats = cache.stats().await.unwrap();
    let counts = stats.counts;
    assert_eq!((counts.hits, counts.misses, counts.stored, stats.entries), (2, 4, 4, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_ask_at_once_one_computes() {
    let world = World::new();
    let processes = [world.process(), world.process(), world.process()];
    let askers = (0..60).map(|n| {
        let (world, cache) = (Arc::clone(&world), processes[n % 3].clone());
        tokio::spawn(async move { world.ask(&cache, "q").await })
    });
    let answers = world.within(300, join_all(askers)).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap() == "answer 0"));
    assert_eq!(world.computed(), 1);
}

#[tokio::test]
async fn a_crashed_process_holds_others_for_one_flight_at_most() {
    let world = World::new();
    let cache = world.process();
    let key = cache.key(&question("q")).unwrap();
    world.store.begin(&key, secs(60)).await.unwrap();
    assert_eq!(world.within(62, world.ask(&cache, "q")).await, "answer 0");
}

#[tokio::test]
async fn processes_that_crash_one_after_the_other_hold_for_two_flights_at_most() {
    let world = World::new();
    let cache = world.process();
    let key = cache.key(&question("q")).unwrap();
    world.store.begin(&key, secs(10_000)).await.unwrap();
    assert_eq!(world.within(122, world.ask(&cache, "q")).await, "answer 0");
}

#[tokio::test]
async fn an_answer_from_before_an_invalidation_is_for_its_own_caller_only() {
    let world = World::new();
    let (cache, elsewhere) = (world.process(), world.process());
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = tokio::spawn({
        let (cache, begun, go) = (cache.clone(), begun.clone(), go.clone());
        async move {
            let compute = || async move {
                begun.notify_one();
                go.notified().await;
                Ok::<_, Infallible>(Answer::new("old"))
            };
            let q = question("q");
            cache.get_or_compute(&q, &[name("a")], compute).await.map(|s| (s.answer, s.origin))
        }
    });
    begun.notified().await;
    elsewhere.invalidate_tag(name("a")).await.unwrap();
    // Asks after the invalidation: waits for the slow one's lease, and does not get its answer.
    let after = tokio::spawn({
        let (world, cache) = (Arc::clone(&world), cache.clone());
        async move { world.ask(&cache, "q").await }
    });
    tokio::task::yield_now().await;
    go.notify_one();
    let (answer, origin) = slow.await.unwrap().unwrap();
    assert_eq!(answer.text().unwrap(), "old");
    assert!(matches!(origin, Origin::Computed(Kept::Outdated)), "{origin:?}");
    assert_eq!(world.within(5, after).await.unwrap(), "answer 0");
    assert_eq!(world.ask(&cache, "q").await, "answer 0");
}

#[tokio::test]
async fn a_failure_is_shared_by_those_who_waited_and_not_kept() {
    let world = World::new();
    let cache = world.process();
    let (fail, failing) = oneshot::channel::<()>();
    let first = tokio::spawn({
        let cache = cache.clone();
        async move {
            let compute = || async move {
                let _ = failing.await;
                Err::<Answer, _>(io::Error::other("overloaded"))
            };
            cache.get_or_compute(&question("q"), &[], compute).await.map(|s| s.answer)
        }
    });
    tokio::task::yield_now().await;
    let second = tokio::spawn({
        let cache = cache.clone();
        async move {
            let compute = || async { Err::<Answer, _>(io::Error::other("its own")) };
            cache.get_or_compute(&question("q"), &[], compute).await.map(|s| s.answer)
        }
    });
    tokio::task::yield_now().await;
    fail.send(()).unwrap();
    for outcome in [first.await.unwrap(), second.await.unwrap()] {
        let Err(CacheError::Computation(error)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.to_string(), "overloaded");
        assert!(error.downcast_ref::<io::Error>().is_some());
    }
    assert!(cache.get(&question("q")).await.unwrap().is_none());
    assert_eq!(world.ask(&cache, "q").await, "answer 0");
}

#[tokio::test]
async fn who_waited_for_a_dropped_caller_goes_on_at_once() {
    let world = World::new();
    let cache = world.process();
    let stuck = tokio::spawn({
        let cache = cache.clone();
        async move {
            let compute = pending::<Result<Answer, Infallible>>;
            cache.get_or_compute(&question("q"), &[name("a")], compute).await.map(|s| s.answer)
        }
    });
    tokio::task::yield_now().await;
    let waiting = tokio::spawn({
        let (world, cache) = (Arc::clone(&world), cache.clone());
        async move { world.ask(&cache, "q").await }
    });
    tokio::task::yield_now().await;
    stuck.abort();
    // The clock stands still: nobody waits for a lease to run out.
    assert_eq!(waiting.await.unwrap(), "answer 0");
}

#[tokio::test]
async fn a_caller_that_is_not_polled_holds_others_for_a_bounded_time() {
    let world = World::new();
    let cache = world.process();
    let q = question("q");
    let tags = [name("a")];
    let compute = pending::<Result<Answer, Infallible>>;
    let mut idle = Box::pin(cache.get_or_compute(&q, &tags, compute));
    assert!(futures::poll!(&mut idle).is_pending());
    assert_eq!(world.within(130, world.ask(&cache, "q")).await, "answer 0");
    drop(idle);
}

#[tokio::test]
async fn a_stale_answer_comes_at_once_and_one_caller_computes_it_anew() {
    let world = World::new();
    let (cache, elsewhere) = (world.process(), world.process());
    world.ask(&cache, "q").await;
    world.clock.advance(Duration::from_secs(100));
    let ask = async |cache: &LlmCache| {
        let world = Arc::clone(&world);
        let compute = move || async move { world.answer().await };
        cache.get_or_compute(&question("q"), &[name("a")], compute).await.unwrap()
    };
    let first = ask(&cache).await;
    assert!(matches!(first.origin, Origin::Stale(_)));
    assert_eq!(first.answer.text().unwrap(), "answer 0");
    assert!(ask(&cache).await.refresh.is_none(), "one at a time");
    drop(first);
    let second = ask(&cache).await;
    let refresh = second.refresh.expect("the first was dropped");
    // Another process offers its own, and finds at work that it is not needed.
    let theirs = ask(&elsewhere).await.refresh.expect("another process");
    let Refreshed::Answer(answer, origin) = refresh.await.unwrap() else { panic!("nobody else") };
    assert_eq!(answer.text().unwrap(), "answer 1");
    assert!(matches!(origin, Origin::Computed(Kept::Stored)));
    let Refreshed::Answer(answer, origin) = theirs.await.unwrap() else { panic!("it is found") };
    assert_eq!(answer.text().unwrap(), "answer 1");
    assert!(matches!(origin, Origin::Fresh(_)));
    let third = ask(&cache).await;
    assert!(matches!(third.origin, Origin::Fresh(_)));
    assert_eq!(third.answer.text().unwrap(), "answer 1");
    assert_eq!(world.computed(), 2);
}

#[tokio::test]
async fn a_refresh_gives_way_to_another_process() {
    let world = World::new();
    let cache = world.process();
    world.ask(&cache, "q").await;
    world.clock.advance(Duration::from_secs(100));
    let key = cache.key(&question("q")).unwrap();
    world.store.begin(&key, secs(60)).await.unwrap();
    let served =
        cache.get_or_compute(&question("q"), &[name("a")], || world.answer()).await.unwrap();
    let refreshed = served.refresh.unwrap().await.unwrap();
    assert!(matches!(refreshed, Refreshed::Elsewhere));
    assert_eq!(world.computed(), 1);
}

#[tokio::test]
async fn while_the_store_is_down_answers_are_computed_unless_told_otherwise() {
    let world = World::down(ErrorKind::Unavailable);
    let cache = world.process();
    let served = cache.get_or_compute(&question("q"), &[], || world.answer()).await.unwrap();
    assert!(matches!(served.origin, Origin::Computed(Kept::Not(_))));
    let strict = world.process_with(Policy { on_outage: OnOutage::Fail, ..World::policy() });
    let error = strict.get_or_compute(&question("q"), &[], || world.answer()).await.unwrap_err();
    assert!(matches!(error, CacheError::Store(_)), "{error}");
    let damaged = World::down(ErrorKind::Corrupt);
    let cache = damaged.process();
    assert!(cache.get_or_compute(&question("q"), &[], || damaged.answer()).await.is_err());
    assert_eq!(damaged.computed(), 0);
}

#[tokio::test]
async fn an_answer_that_cannot_be_kept_is_still_an_answer() {
    let world = World::new();
    let cache = world.process();
    let compute =
        || async { Ok::<_, Infallible>(Answer::new("v").meta(serde_json::Value::from("a\0b"))) };
    let served = cache.get_or_compute(&question("q"), &[], compute).await.unwrap();
    assert_eq!(served.answer.text().unwrap(), "v");
    assert!(matches!(served.origin, Origin::Computed(Kept::Not(_))));
    let tags: Vec<_> = (0..33).map(|n| name(&n.to_string())).collect();
    let error = cache.get_or_compute(&question("q"), &tags, || world.answer()).await.unwrap_err();
    assert!(matches!(error, CacheError::Store(_)));
}

#[tokio::test]
async fn a_ticket_carries_a_computation_of_the_callers_own() {
    let world = World::new();
    let cache = world.process();
    let ticket = cache.ticket(&question("q"), &[name("a")]).await.unwrap();
    cache.invalidate_tag(name("a")).await.unwrap();
    let outcome = cache.put_since(&question("q"), &[], ticket, Answer::new("old")).await.unwrap();
    assert_eq!(outcome, PutOutcome::Outdated);
    let outcome = cache.put(&question("q"), &[name("a")], Answer::json(&[1, 2]).unwrap()).await;
    assert_eq!(outcome.unwrap(), PutOutcome::Stored);
    let found = cache.get(&question("q")).await.unwrap().unwrap();
    assert_eq!(found.answer.read_json::<Vec<u8>>().unwrap(), [1, 2]);
}
