//! Traps that queues on PostgreSQL are known for, each with its name, and rules that SQL shares with Rust.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::time::{Duration, Instant};

use hexmem_adapter_pg::{PgConfig, PgQueue, Postgres};
use hexmem_conformance::TestClock as _;
use hexmem_ports::rules::{CommandCore, RetryPolicy, TokenBucket};
use hexmem_ports::{
    Ack, CommandId, CommandQueue as _, CommandState, Dedupe, Enqueued, ErrorKind, LeaseRequest,
    LeaseToken, Leased, Limit, Name, NewCommand, QueueEntry, QueueId, QueueRecord, Rate,
    Records as _, StoredCommand, Tenant, Timestamp, Ttl, WhenIdle,
};
use proptest::prelude::*;
use rig::{Bench, bench, connect, run};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn queue() -> QueueId {
    QueueId::new(Tenant(name("t")), name("q"))
}

fn plain(n: u128) -> NewCommand {
    NewCommand {
        id: CommandId(Uuid::from_u128(n)),
        payload: vec![],
        headers: Value::Null,
        priority: 0,
        delay: None,
        deadline: None,
        dedupe: None,
        group: None,
        retry: RetryPolicy::default(),
        result_ttl: Ttl::secs(60).unwrap(),
    }
}

fn request(max: u32) -> LeaseRequest {
    LeaseRequest {
        worker: name("w"),
        max: Limit::new(max).unwrap(),
        visibility: Ttl::secs(60).unwrap(),
        wait: Duration::ZERO,
    }
}

async fn push(store: &PgQueue, commands: Vec<NewCommand>) {
    store.enqueue(&queue(), commands, WhenIdle::Store, vec![]).await.unwrap();
}

async fn take(store: &PgQueue, max: u32) -> Vec<Leased> {
    store.lease(&queue(), request(max)).await.unwrap()
}

async fn ack(store: &PgQueue, one: &Leased) {
    let acks = vec![Ack { lease: one.lease, result: None }];
    store.ack(&queue(), acks, vec![]).await.unwrap().remove(0).unwrap();
}

fn numbers(leased: &[Leased]) -> Vec<u128> {
    leased.iter().map(|one| one.id.0.as_u128()).collect()
}

/// `SELECT ... WHERE NOT EXISTS (one of my group is held) FOR UPDATE SKIP LOCKED` steps over a head that another worker is
/// about to take, and takes the next of its group.
#[tokio::test]
async fn skip_locked_with_not_exists_leases_two_of_one_group() {
    let Bench { first, second, database, clock, .. } = bench().await;
    let store = first.queue();
    let of = |n| NewCommand { group: Some(name("g")), ..plain(n) };
    push(&store, (1..=6).map(of).collect()).await;

    // Another worker has the head in hand and has not committed.
    let mut other = connect(&database.url).await;
    run(&mut other, "BEGIN").await;
    let naive = "SELECT count(*) FROM (SELECT id FROM hexmem.queue_command AS c WHERE stage <> 3 AND NOT EXISTS ( \
        SELECT 1 FROM hexmem.queue_command AS held WHERE held.group_hash = c.group_hash AND held.stage = 3) \
        ORDER BY sequence LIMIT 1 FOR UPDATE SKIP LOCKED) AS taken";
    let head = async |connection: &mut PgConnection| {
        sqlx::query_scalar::<_, i64>(naive).fetch_one(connection).await.unwrap()
    };
    assert_eq!(head(&mut other).await, 1);
    let mut third = connect(&database.url).await;
    assert_eq!(head(&mut third).await, 1, "the trap: the second of the group, beside the first");
    assert_eq!(take(&store, 10).await, [], "no other is the head");
    run(&mut other, "ROLLBACK").await;
    assert_eq!(numbers(&take(&store, 10).await), [1]);

    // All at once, again and again: one at a time, in order.
    let second = second.queue();
    let stores = [&store, &second];
    clock.add(Duration::from_secs(60)).await;
    for expected in 1..=6 {
        let looks = (0..6).map(|i| take(stores[i % 2], 3));
        let got: Vec<_> = futures::future::join_all(looks).await.into_iter().flatten().collect();
        assert_eq!(numbers(&got), [expected]);
        ack(stores[usize::try_from(expected % 2).unwrap()], &got[0]).await;
    }
    assert_eq!(take(&store, 10).await, []);
}

/// An enqueue that ran before an acknowledgement committed must not bring the command back after it.
#[tokio::test]
async fn a_repeat_that_waits_for_the_acknowledgement_adds_nothing() {
    let Bench { first, second, database, .. } = bench().await;
    let (store, other) = (first.queue(), second.queue());
    push(&store, vec![plain(1)]).await;
    let leased = take(&store, 1).await;
    // The acknowledgement, held open before its commit.
    let mut slow = connect(&database.url).await;
    run(&mut slow, "BEGIN").await;
    let lease = &leased[0].lease;
    let mut bytes = lease.attempt.to_be_bytes().to_vec();
    bytes.extend(lease.secret.to_be_bytes());
    let answers: Vec<i16> = sqlx::query_scalar("SELECT hexmem.queue_ack($1, $2, $3, $4)")
        .bind(queue().digest().0.to_vec())
        .bind(vec![lease.command.0])
        .bind(vec![bytes])
        .bind(vec![None::<Vec<u8>>])
        .fetch_one(&mut slow)
        .await
        .unwrap();
    assert_eq!(answers, [1]);
    let repeat = tokio::spawn(async move { push(&other, vec![plain(1)]).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut watch = connect(&database.url).await;
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut watch).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    run(&mut slow, "COMMIT").await;
    repeat.await.unwrap();
    assert_eq!(take(&store, 1).await, [], "it ended");
    let view = store.view(&queue(), plain(1).id).await.unwrap().unwrap();
    assert_eq!(view.state, CommandState::Completed);
}

#[tokio::test]
async fn commands_join_a_callers_transaction() {
    let Bench { first, database, .. } = bench().await;
    let store = first.queue();
    let mut mine = connect(&database.url).await;
    run(&mut mine, "CREATE TABLE customer (name text)").await;
    let count = async |mine: &mut PgConnection| {
        let rows: i64 =
            sqlx::query_scalar("SELECT count(*) FROM customer").fetch_one(mine).await.unwrap();
        (rows, store.stats(&queue()).await.unwrap().ready)
    };
    let joined = async |tx: &mut PgConnection, commands: Vec<NewCommand>| {
        store.enqueue_in(tx, &queue(), commands, WhenIdle::Store).await
    };
    let mut tx = mine.begin().await.unwrap();
    tx.execute("INSERT INTO customer VALUES ('Ada')").await.unwrap();
    assert_eq!(joined(&mut tx, vec![plain(1)]).await.unwrap(), [Enqueued::Queued]);
    tx.rollback().await.unwrap();
    assert_eq!(count(&mut mine).await, (0, 0), "neither");

    // What is refused is refused before anything is sent, and leaves the rest to the caller.
    let mut tx = mine.begin().await.unwrap();
    tx.execute("INSERT INTO customer VALUES ('Ada')").await.unwrap();
    let bad = NewCommand { headers: Value::String("\0".into()), ..plain(2) };
    let refused = joined(&mut tx, vec![plain(1), bad]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let keyed = |n| {
        let dedupe = Some(Dedupe { key: name("k"), window: Ttl::secs(60).unwrap() });
        NewCommand { dedupe, ..plain(n) }
    };
    let answers = joined(&mut tx, vec![plain(3), keyed(4), plain(3), keyed(5)]).await.unwrap();
    use Enqueued::{Duplicate, Queued};
    assert_eq!(answers, [Queued, Queued, Queued, Duplicate(plain(4).id)]);
    assert_eq!(count(&mut connect(&database.url).await).await, (0, 0), "not before the commit");
    tx.commit().await.unwrap();
    assert_eq!(count(&mut mine).await, (1, 2), "both");
    // None at all.
    joined(&mut mine, vec![plain(6)]).await.unwrap();
    assert_eq!(count(&mut mine).await, (1, 3));
    // A database without queues.
    let mut elsewhere = connect(&rig::server_url()).await;
    let error = joined(&mut elsewhere, vec![plain(7)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
}

/// A transaction that was open for long commits what is old by then: it is found although leases start where they left
/// off, and what is due in it is settled.
#[tokio::test]
async fn what_a_long_transaction_enqueued_is_found() {
    let Bench { first, database, clock, .. } = bench().await;
    let store = first.queue();
    let mut mine = connect(&database.url).await;
    let mut tx = mine.begin().await.unwrap();
    let delayed = NewCommand { delay: Some(Ttl::secs(5).unwrap()), ..plain(2) };
    let late = vec![plain(1), delayed];
    store.enqueue_in(&mut tx, &queue(), late, WhenIdle::Store).await.unwrap();
    // Others come and go meanwhile, and the places move on.
    for n in 10..40 {
        push(&store, vec![plain(n)]).await;
        clock.add(Duration::from_secs(1)).await;
        let got = take(&store, 1).await;
        assert_eq!(numbers(&got), [n]);
        ack(&store, &got[0]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tx.commit().await.unwrap();
    let waits = LeaseRequest { wait: Duration::from_secs(20), ..request(1) };
    for expected in [1, 2] {
        let got = store.lease(&queue(), waits.clone()).await.unwrap();
        assert_eq!(numbers(&got), [expected]);
    }
}

async fn real_time(database: &rig::Database) {
    let mut connection = connect(&database.url).await;
    let now = "CREATE OR REPLACE FUNCTION hexmem.now() RETURNS timestamptz LANGUAGE sql VOLATILE AS \
        'SELECT clock_timestamp()'";
    run(&mut connection, now).await;
}

/// The best of a few: how soon a worker that has waited for a while has what another process enqueues. Payloads are
/// longer than a notification may be.
async fn soonest(
    consumer: &PgQueue,
    producer: &PgQueue,
    rounds: std::ops::Range<u128>,
) -> Duration {
    let mut best = Duration::MAX;
    for n in rounds {
        let waiter = tokio::spawn({
            let (store, wait) = (consumer.clone(), Duration::from_secs(30));
            async move {
                let got = store.lease(&queue(), LeaseRequest { wait, ..request(1) }).await.unwrap();
                (got, Instant::now())
            }
        });
        while producer.stats(&queue()).await.unwrap().consumers == 0 {
            tokio::task::yield_now().await;
        }
        // By now it looks by itself twice a second.
        tokio::time::sleep(Duration::from_millis(800)).await;
        let (began, payload) = (Instant::now(), vec![7; 20_000]);
        push(producer, vec![NewCommand { payload, ..plain(n) }]).await;
        let (got, at) = waiter.await.unwrap();
        assert_eq!((got.len(), got[0].payload.len()), (1, 20_000));
        ack(consumer, &got[0]).await;
        best = best.min(at - began);
    }
    best
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_worker_is_woken_at_once_and_a_lost_notice_costs_half_a_second() {
    let Bench { first, second, database, .. } = bench().await;
    real_time(&database).await;
    let (consumer, producer) = (first.queue(), second.queue());
    let best = soonest(&consumer, &producer, 0..3).await;
    assert!(best < Duration::from_millis(150), "woken after {best:?}");
    // Nobody hears: the worker looks by itself.
    let deaf = PgConfig { notify: hexmem_adapter_pg::Notify::Poll, ..database.config() };
    let deaf = Postgres::connect(deaf).await.unwrap().queue();
    let best = soonest(&deaf, &producer, 3..4).await;
    assert!(best < Duration::from_secs(5), "found after {best:?}");
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

/// A database that every run of a property shares, in a runtime of its own.
fn shared<T>(make: impl Future<Output = T>) -> (tokio::runtime::Runtime, T) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let made = runtime.block_on(make);
    (runtime, made)
}

#[test]
fn a_rate_is_the_shared_rule() {
    let (runtime, (database, connection)) = shared(async {
        let database = rig::Database::migrated().await;
        let connection = connect(&database.url).await;
        (database, connection)
    });
    let connection = std::cell::RefCell::new(connection);
    let sql = "SELECT hexmem.queue_tokens($1, $2, t.full_at, t.now), \
        hexmem.micros(hexmem.queue_bucket($1, $2, t.full_at, t.now, $5)) \
        FROM (SELECT hexmem.later(timestamptz 'epoch', $3) AS now, \
            CASE WHEN $4::bigint IS NOT NULL THEN hexmem.later(timestamptz 'epoch', $4) END AS full_at) AS t";
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) };
    let spans = prop_oneof![1..5_000_000_i64, 1..3_000_000_000_000_000_i64];
    let counts = prop_oneof![1..20_u32, 1..=u32::MAX];
    let inputs =
        (counts, spans, 0..9_000_000_i64, proptest::option::of(0..9_000_000_i64), 0..9_u64);
    proptest!(config, |((count, per, now, full_at, wanted) in inputs)| {
        let rate = Rate { count, per: Ttl::new(Duration::from_micros(per.unsigned_abs())).unwrap() };
        let bucket = full_at.map_or(TokenBucket::full(at(now)), |full_at| TokenBucket { full_at: at(full_at) });
        let tokens = bucket.at(rate, at(now));
        let taken = wanted.min(tokens.available());
        let told: (i64, i64) = runtime.block_on(
            sqlx::query_as(sql)
                .bind(i64::from(count)).bind(per).bind(now).bind(full_at).bind(i64::try_from(taken).unwrap())
                .fetch_one(&mut *connection.borrow_mut())
        ).unwrap();
        let expected = (i64::try_from(tokens.available()).unwrap(), tokens.take(taken).full_at.as_micros());
        prop_assert_eq!(told, expected);
    });
    drop(runtime.enter());
    drop(connection);
    drop(database);
}

/// Commands in any state, settled by SQL and by the shared rule.
#[test]
fn what_time_makes_of_a_command_is_the_shared_rule() {
    let (runtime, bench) = shared(bench());
    let store = bench.first.queue();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) };
    let facts = (
        any::<bool>(),
        1..4_u32,
        1..4_u32,
        -20..20_i64,
        proptest::option::of(-20..20_i64),
        any::<bool>(),
    );
    let counter = std::cell::Cell::new(0_u128);
    proptest!(config, |(all in proptest::collection::vec(facts, 1..8))| {
        runtime.block_on(async {
            let now = bench.clock.now().await;
            let after = |seconds: i64| at(now.as_micros() + seconds * 1_000_000);
            let queue = QueueId::new(Tenant(name("t")), name(&format!("q{}", counter.get())));
            let mut cores = Vec::new();
            for (leased, attempts, max_attempts, until, deadline, cancel_requested) in all {
                counter.set(counter.get() + 1);
                let id = CommandId(Uuid::from_u128(counter.get()));
                let lease = LeaseToken { command: id, attempt: attempts, secret: 7 };
                let mut core = CommandCore::new(&NewCommand { id, ..plain(0) }, 1, 1, after(-30));
                core.retry.max_attempts = max_attempts;
                core.deadline = deadline.map(after);
                core.attempts = attempts;
                core.lease = Some(lease);
                if leased {
                    core.state = CommandState::Leased;
                    core.leased_until = Some(after(until));
                    core.worker = Some(name("w"));
                    core.cancel_requested = cancel_requested;
                } else {
                    core.ready_at = after(until);
                }
                cores.push(core);
            }
            let records = cores.iter().map(|core| {
                let command = StoredCommand { core: core.clone(), payload: vec![], headers: Value::Null, result: None };
                let entry = QueueEntry {
                    queue: queue.clone(), version: 1, modified_at: core.modified_at, deleted_at: None,
                    what: QueueRecord::Command(Box::new(command)),
                };
                entry.into_record().unwrap()
            });
            store.restore(records.collect()).await.unwrap();
            while store.sweep(Limit::new(3).unwrap()).await.unwrap() > 0 {}
            let mut found = std::collections::HashMap::new();
            let mut cursor = None;
            loop {
                let page = store.scan(cursor, Limit::new(100).unwrap()).await.unwrap();
                for record in page.items {
                    if let QueueRecord::Command(command) = QueueEntry::from_record(record).unwrap().what {
                        found.insert(command.core.id, command.core);
                    }
                }
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            for mut core in cores {
                core.settle(now);
                assert_eq!(found.get(&core.id), Some(&core));
            }
        });
    });
    drop(store);
    let guard = runtime.enter();
    drop(bench);
    drop(guard);
}
