//! The suite of the cache on PostgreSQL: two handles that share nothing, as two processes would have; and what happens
//! between the look of a put and its write.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hexmem_adapter_pg::{CacheTables, Migrate, PgCache, PgConfig, Postgres};
use hexmem_conformance::{Rig, TestClock as _, minimum, name};
use hexmem_ports::{
    CacheBody, CacheKey, CachePut, CacheRecord, CacheStore, CacheStoreExt as _, CacheTags, Digest,
    Flight, Invalidate, Limit, Lookup, NamespaceId, PutOutcome, REPLAY_WINDOW, Records as _,
    TagRef, Tenant, Ticket, Ttl, rules::ticket_holds,
};
use rig::{Bench, connect, run};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

async fn rig() -> Rig<dyn CacheStore> {
    rig::bench().await.rig(
        |postgres| Arc::new(postgres.cache()),
        |store| store as Arc<dyn CacheStore>,
        |store| store.capabilities(),
    )
}

hexmem_conformance::cache_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("pg", "cache", &rig().await.declares);
}

fn namespace() -> NamespaceId {
    NamespaceId::new(Tenant(name("t")), name("n"))
}

fn key(question: &str) -> CacheKey {
    CacheKey { namespace: namespace(), fingerprint: Digest::of(question.as_bytes()) }
}

fn tagged(tag: &str) -> CacheTags {
    CacheTags { model: None, tags: vec![name(tag)] }
}

fn tag(text: &str) -> TagRef {
    TagRef::Tag(name(text))
}

fn a_put(value: &str, seconds: u64, ticket: Ticket) -> CachePut {
    let ttl = Ttl::secs(seconds).unwrap();
    CachePut { value: value.as_bytes().to_vec(), meta: json!(null), ttl, stale: None, ticket }
}

async fn ticket(store: &PgCache, question: &str, tag: &str) -> Ticket {
    match store.get(&key(question), &tagged(tag)).await.unwrap() {
        Lookup::Hit(_, ticket) | Lookup::Miss(ticket) => ticket,
    }
}

async fn put(store: &PgCache, question: &str, tag: &str, seconds: u64) {
    let put = a_put(question, seconds, ticket(store, question, tag).await);
    assert_eq!(store.put(&key(question), put).await.unwrap(), PutOutcome::Stored);
}

async fn value(store: &PgCache, question: &str) -> Option<String> {
    match store.get(&key(question), &CacheTags::default()).await.unwrap() {
        Lookup::Hit(entry, _) => Some(String::from_utf8(entry.value).unwrap()),
        Lookup::Miss(_) => None,
    }
}

async fn number(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// Waits until somebody in this database waits for a lock.
async fn until_somebody_waits(watcher: &mut PgConnection) {
    let sql = "SELECT EXISTS (
        SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    for _ in 0..2_000 {
        if sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut *watcher).await.unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("nobody waits");
}

#[tokio::test]
async fn lookups_write_once_for_a_new_tag_and_never_again() {
    let bench = rig::bench().await;
    let store = bench.first.cache();
    put(&store, "q", "a", 100).await;
    // Whoever writes waits for this lock, whoever reads does not.
    let mut held = connect(&bench.database.url).await;
    run(
        &mut held,
        "BEGIN; LOCK TABLE hexmem.cache_tags, hexmem.cache_entries, hexmem.cache_counters IN EXCLUSIVE MODE",
    )
    .await;
    assert_eq!(value(&store, "q").await.as_deref(), Some("q"));
    assert_eq!(value(&store, "another").await, None);
    store.stats(&namespace()).await.unwrap();
    run(&mut held, "COMMIT").await;
}

/// A put that has looked at its generations waits for the row of its key; the tag is invalidated meanwhile, and another
/// answer stored. The late one neither lands nor replaces it.
#[tokio::test]
async fn what_was_invalidated_while_a_put_waited_is_not_stored() {
    let bench = rig::bench().await;
    let (store, other) = (bench.first.cache(), bench.second.cache());
    let mut rival = connect(&bench.database.url).await;
    let mut watcher = connect(&bench.database.url).await;
    for target in [Invalidate::Tag(tag("a")), Invalidate::Tag(TagRef::Namespace)] {
        put(&store, "q", "a", 100).await;
        let late = a_put("late", 100, ticket(&store, "q", "a").await);
        run(&mut rival, "BEGIN; SELECT FROM hexmem.cache_entries FOR UPDATE").await;
        let (late, key) = (late.clone(), key("q"));
        let putting = store.put(&key, late);
        let meanwhile = async {
            until_somebody_waits(&mut watcher).await;
            other.invalidate(&namespace(), target.clone()).await.unwrap();
            run(&mut rival, "COMMIT").await;
        };
        let (outcome, ()) = tokio::join!(putting, meanwhile);
        assert_eq!(outcome.unwrap(), PutOutcome::Outdated, "{target:?}");
        assert_eq!(value(&other, "q").await, None, "{target:?}");
    }
}

/// The same for the key itself, where its row is only just being made.
#[tokio::test]
async fn a_put_that_waited_for_the_invalidation_of_its_key_is_outdated() {
    let bench = rig::bench().await;
    let (store, other) = (bench.first.cache(), bench.second.cache());
    let mut rival = connect(&bench.database.url).await;
    let mut watcher = connect(&bench.database.url).await;
    let late = a_put("late", 100, ticket(&store, "q", "a").await);
    run(&mut rival, "BEGIN").await;
    sqlx::query(include_str!("../src/sql/cache/end_key.sql"))
        .bind(key("q").digest().0.as_slice())
        .bind(namespace().digest().0.as_slice())
        .bind("t")
        .bind("n")
        .bind(key("q").fingerprint.0.as_slice())
        .bind(Uuid::new_v4())
        .bind(3_600_000_000_i64)
        .execute(&mut rival)
        .await
        .unwrap();
    let key = key("q");
    let ending = async {
        until_somebody_waits(&mut watcher).await;
        run(&mut rival, "COMMIT").await;
    };
    let (outcome, ()) = tokio::join!(store.put(&key, late), ending);
    assert_eq!(outcome.unwrap(), PutOutcome::Outdated);
    assert_eq!(value(&other, "q").await, None);
    put(&other, "q", "a", 100).await;
}

/// Lists of the same keys in opposite orders, while tags and keys are invalidated: nobody waits in a circle.
#[tokio::test]
async fn lists_in_opposite_orders_do_not_block_each_other() {
    let bench = rig::bench().await;
    let stores =
        [bench.first.cache(), bench.second.cache(), bench.first.cache(), bench.second.cache()];
    let questions: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    let work = stores.iter().enumerate().map(|(n, store)| {
        let mut questions = questions.clone();
        if n % 2 == 1 {
            questions.reverse();
        }
        async move {
            for round in 0..10 {
                let prints: Vec<_> = questions.iter().map(|q| key(q).fingerprint).collect();
                let found = store.get_many(&namespace(), &prints, &tagged("a")).await.unwrap();
                let puts = prints.iter().zip(found).map(|(print, found)| {
                    let (Lookup::Hit(_, ticket) | Lookup::Miss(ticket)) = found;
                    (*print, a_put("v", 100, ticket))
                });
                store.put_many(&namespace(), puts.collect()).await.unwrap();
                let target = match (n + round) % 4 {
                    0 => Invalidate::Tag(tag("a")),
                    1 => Invalidate::Key(key("7").fingerprint),
                    _ => continue,
                };
                store.invalidate(&namespace(), target).await.unwrap();
                store.sweep(Limit::new(20).unwrap()).await.unwrap();
            }
        }
    });
    join_all(work).await;
}

#[tokio::test]
async fn sweeping_frees_everything_that_can_never_be_served() {
    let bench = rig::bench().await;
    let store = bench.first.cache();
    let mut connection = connect(&bench.database.url).await;
    for n in 0..20 {
        put(&store, &format!("short {n}"), "a", 1).await;
        put(&store, &format!("ended {n}"), "b", 100_000).await;
        put(&store, &format!("long {n}"), "c", 100_000).await;
    }
    store.invalidate(&namespace(), Invalidate::Tag(tag("b"))).await.unwrap();
    let one = Invalidate::Key(key("long 0").fingerprint);
    store.invalidate(&namespace(), one).await.unwrap();
    assert!(matches!(
        store.begin(&key("q"), Ttl::secs(1).unwrap()).await.unwrap(),
        Flight::Leader(_)
    ));
    bench.clock.advance(1).await;
    let (sweeper, limit) = (bench.second.cache(), Limit::new(7).unwrap());
    let mut freed = 0;
    loop {
        // Two at once take different rows.
        let (one, two) = tokio::join!(store.sweep(limit), sweeper.sweep(limit));
        let swept = one.unwrap() + two.unwrap();
        freed += swept;
        if swept == 0 {
            break;
        }
    }
    assert_eq!(freed, 40, "the expired and the ended");
    let entries = "SELECT count(*) FROM hexmem.cache_entries";
    assert_eq!(number(&mut connection, entries).await, 20, "19 answers and a tombstone");
    let flights = "SELECT count(*) FROM hexmem.cache_flights";
    assert_eq!(number(&mut connection, flights).await, 0);
    let tags = "SELECT count(*) FROM hexmem.cache_tags";
    assert_eq!(number(&mut connection, tags).await, 4, "a ticket may still name a and b");
    bench.clock.add(REPLAY_WINDOW).await;
    store.sweep(limit).await.unwrap();
    assert_eq!(number(&mut connection, entries).await, 20, "a put under way may still compare");
    bench.clock.add(3 * REPLAY_WINDOW).await;
    for _ in 0..5 {
        store.sweep(limit).await.unwrap();
    }
    assert_eq!(number(&mut connection, entries).await, 19, "the invalidation is forgotten");
    assert_eq!(number(&mut connection, tags).await, 2, "nothing depends on a and b");
    bench.clock.add(3 * REPLAY_WINDOW).await;
    store.sweep(limit).await.unwrap();
    let ended = "SELECT count(*) FROM hexmem.cache_ended";
    assert_eq!(number(&mut connection, ended).await, 0);
    assert_eq!(store.stats(&namespace()).await.unwrap().entries, 19);
}

/// An invalidation takes no longer for a number: beyond ten thousand answers it does not count.
#[tokio::test]
async fn a_large_invalidation_ends_all_and_counts_none() {
    let bench = rig::bench().await;
    let store = bench.first.cache();
    let mut connection = connect(&bench.database.url).await;
    for (more, counted) in [(9_999, Some(10_000)), (10_000, None)] {
        put(&store, "q", "a", 100_000).await;
        let copies = format!(
            "INSERT INTO hexmem.cache_entries SELECT (jsonb_populate_record(e, jsonb_build_object(
                'digest', '\\x' || encode(sha256(n::text::bytea), 'hex')))).*
            FROM hexmem.cache_entries AS e, generate_series(1, {more}) AS n WHERE e.value IS NOT NULL"
        );
        run(&mut connection, copies).await;
        let ended = store.invalidate(&namespace(), Invalidate::Tag(tag("a"))).await.unwrap();
        assert_eq!(ended, counted);
        assert_eq!(store.stats(&namespace()).await.unwrap().entries, 0);
        let everything = Limit::new(10_000).unwrap();
        while store.sweep(everything).await.unwrap() > 0 {}
    }
    assert_eq!(number(&mut connection, "SELECT count(*) FROM hexmem.cache_entries").await, 0);
}

/// SQL and the rule give the same answer.
#[tokio::test]
async fn a_put_follows_the_rule_of_tickets() {
    let bench = rig::bench().await;
    let store = bench.first.cache();
    let now = bench.clock.now().await;
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let record = |body| CacheRecord { namespace: namespace(), version: 1, modified_at: now, body };
    // Another namespace has the generations of this one, as after a copy.
    let copy = NamespaceId::new(Tenant(name("t")), name("copy"));
    for (tag, generation) in [(TagRef::Namespace, one), (tag("a"), two)] {
        let body = CacheBody::Tag { tag, generation };
        let here = record(body.clone());
        let there = CacheRecord { namespace: copy.clone(), ..record(body) };
        let records = [here, there].map(|record| record.into_record().unwrap());
        store.restore(records.to_vec()).await.unwrap();
    }
    let late = Invalidate::Tag(tag("a"));
    store.invalidate(&copy, late).await.unwrap();
    let micro = Duration::from_micros(1);
    let namespace_only = vec![(TagRef::Namespace, one)];
    let both = vec![(TagRef::Namespace, one), (tag("a"), two)];
    let swapped = vec![(TagRef::Namespace, two), (tag("a"), one)];
    let doubled = [both.clone(), both.clone()].concat();
    let torn = vec![(TagRef::Namespace, one), (tag("a"), one), (tag("a"), two)];
    let unknown = vec![(TagRef::Namespace, one), (tag("b"), one)];
    let lists =
        [both, namespace_only, vec![], swapped, doubled, torn, unknown, vec![(tag("a"), two)]];
    let keys = [
        (None, None),
        (Some(one), Some(one)),
        (Some(one), Some(two)),
        (None, Some(two)),
        (Some(one), None),
    ];
    let ages = [Duration::ZERO, REPLAY_WINDOW - micro, REPLAY_WINDOW, 2 * REPLAY_WINDOW];
    let (mut cases, mut stored) = (0, 0);
    for generations in &lists {
        for (mine, held) in keys {
            for age in ages {
                cases += 1;
                let key = key(&format!("case {cases}"));
                let until = now.plus(REPLAY_WINDOW);
                let body = CacheBody::Entry {
                    fingerprint: key.fingerprint,
                    invalidated: held.map(|id| (id, until)),
                    answer: None,
                };
                if held.is_some() {
                    let tombstone = record(body).into_record().unwrap();
                    store.restore(vec![tombstone]).await.unwrap();
                }
                let (issued_at, generations) = (now.minus(age), generations.clone());
                let ticket = Ticket { issued_at, key: mine, generations };
                let holds = ticket_holds(&ticket, now, held, |asked| match asked {
                    TagRef::Namespace => Some(one),
                    asked if *asked == tag("a") => Some(two),
                    _ => None,
                });
                stored += u32::from(holds);
                let expected = if holds { PutOutcome::Stored } else { PutOutcome::Outdated };
                for _ in 0..2 {
                    // The first makes the row of the key or meets its tombstone, the second replaces the answer.
                    let put = a_put("v", 100, ticket.clone());
                    let outcome = store.put(&key, put).await.unwrap();
                    assert_eq!(outcome, expected, "{ticket:?} {held:?} {age:?}");
                }
            }
        }
    }
    assert_eq!((cases, stored), (160, 18), "three lists, three pairs of keys, two ages");
    // A ticket of the future (the clock was set back) is young.
    let generations = vec![(TagRef::Namespace, one)];
    let ticket = Ticket { issued_at: now.plus(REPLAY_WINDOW), key: None, generations };
    let outcome = store.put(&key("future"), a_put("v", 100, ticket)).await.unwrap();
    assert_eq!(outcome, PutOutcome::Stored);
}

/// Opens the cache with its tables kept so.
async fn kept(bench: &Bench, cache_tables: CacheTables) -> PgCache {
    let config = PgConfig { cache_tables, migrate: Migrate::Connect, ..bench.database.config() };
    Postgres::connect(config).await.unwrap().cache()
}

async fn unlogged(connection: &mut PgConnection) -> Vec<String> {
    let sql = "SELECT relname::text FROM pg_class WHERE relnamespace = 'hexmem'::regnamespace
        AND relkind = 'r' AND relpersistence = 'u' ORDER BY relname";
    sqlx::query_scalar(sql).fetch_all(connection).await.unwrap()
}

/// What the server does to unlogged tables after a crash: they are empty, all of them.
#[tokio::test]
async fn tickets_from_before_a_crash_store_nothing_in_unlogged_tables() {
    let bench = rig::bench().await;
    let mut connection = connect(&bench.database.url).await;
    put(&bench.first.cache(), "q", "a", 100).await;
    assert_eq!(unlogged(&mut connection).await, ["cache_flights"]);
    let store = kept(&bench, CacheTables::Unlogged).await;
    let tables = ["cache_ended", "cache_entries", "cache_flights", "cache_tags"];
    assert_eq!(unlogged(&mut connection).await, tables);
    assert_eq!(value(&store, "q").await.as_deref(), Some("q"), "what was there stays");
    kept(&bench, CacheTables::AsTheyAre).await;
    assert_eq!(unlogged(&mut connection).await, tables, "whoever asks for nothing changes nothing");
    let (before, forgotten) = (ticket(&store, "q", "a").await, ticket(&store, "r", "b").await);
    store.invalidate(&namespace(), Invalidate::Key(key("r").fingerprint)).await.unwrap();
    // A crash forgets the invalidation too.
    let crash: Vec<String> = tables.iter().map(|table| format!("hexmem.{table}")).collect();
    run(&mut connection, format!("TRUNCATE {}", crash.join(", "))).await;
    assert_eq!(value(&store, "q").await, None);
    for (question, ticket) in [("q", before), ("r", forgotten)] {
        for _ in 0..2 {
            // Also when the tags have generations again.
            let outcome =
                store.put(&key(question), a_put("old", 100, ticket.clone())).await.unwrap();
            assert_eq!(outcome, PutOutcome::Outdated, "{question}");
            assert_eq!(value(&bench.second.cache(), question).await, None);
            store.get(&key(question), &tagged("a")).await.unwrap();
        }
    }
    put(&store, "q", "a", 100).await;
    let store = kept(&bench, CacheTables::Logged).await;
    assert_eq!(unlogged(&mut connection).await, ["cache_flights"]);
    assert_eq!(value(&store, "q").await.as_deref(), Some("q"));
}
