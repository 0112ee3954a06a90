//! The scripts of the queue against `ports::rules`: what time, a failure and the limits make of a command.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod rig;

use std::time::Duration;

use hexmem_adapter_redis::RedisQueue;
use hexmem_conformance::name;
use hexmem_conformance::queue::crash::{patient, random};
use hexmem_ports::rules::{CommandCore, RetryPolicy, allowance};
use hexmem_ports::{
    Clock as _, CommandId, CommandQueue as _, CommandState, Failure, LeaseRequest, LeaseToken,
    Limit, QueueEntry, QueueId, QueueLimits, QueueRecord, Rate, Records as _, Restored,
    StoredCommand, Tenant, Timestamp, Ttl, Verdict, WhenIdle,
};
use rig::{Servers, Space};
use serde_json::Value;
use uuid::Uuid;

fn queue() -> QueueId {
    QueueId::new(Tenant(name("t")), name("q"))
}

fn lease(id: CommandId, attempt: u32) -> LeaseToken {
    LeaseToken { command: id, attempt, secret: 7 }
}

/// A command as its worker holds it since `start`, for ten seconds.
fn held(n: u128, start: Timestamp, attempts: u32, retry: RetryPolicy) -> CommandCore {
    let id = CommandId(Uuid::from_u128(n));
    let mut core = CommandCore::new(&patient(id), u64::try_from(n).unwrap(), 1, start);
    core.retry = retry;
    core.attempts = attempts;
    core.state = CommandState::Leased;
    core.worker = Some(name("w"));
    core.lease = Some(lease(id, attempts));
    core.leased_until = Some(start.plus(Duration::from_secs(10)));
    core
}

async fn restore(store: &RedisQueue, cores: &[CommandCore]) {
    let record = |core: &CommandCore| {
        let stored = StoredCommand {
            core: core.clone(),
            payload: vec![1],
            headers: Value::Null,
            result: None,
        };
        let entry = QueueEntry {
            queue: queue(),
            version: core.version,
            modified_at: core.modified_at,
            deleted_at: None,
            what: QueueRecord::Command(Box::new(stored)),
        };
        entry.into_record().unwrap()
    };
    let answers = store.restore(cores.iter().map(record).collect()).await.unwrap();
    assert!(answers.iter().all(|answer| *answer == Restored::Written));
}

async fn cores(store: &RedisQueue) -> Vec<CommandCore> {
    let page = store.scan(None, Limit::new(10_000).unwrap()).await.unwrap();
    assert!(page.next.is_none());
    let core = |record| match QueueEntry::from_record(record).unwrap().what {
        QueueRecord::Command(command) => command.core,
        other => panic!("{other:?}"),
    };
    page.items.into_iter().map(core).collect()
}

#[tokio::test]
async fn time_makes_of_a_command_what_the_rule_says() {
    for after in [0, 7, 8, 9, 10, 15, 20, 99] {
        let space = Space::new(Servers::Single);
        let store = space.connect().await.queue();
        let start = space.clock.now();
        let at = |seconds| start.plus(Duration::from_secs(seconds));
        let retry = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
        let mut all = Vec::new();
        for deadline in [None, Some(8), Some(10), Some(20)] {
            for (attempts, cancel_requested) in [(1, false), (2, false), (1, true), (2, true)] {
                let n = u128::try_from(all.len()).unwrap() + 1;
                let mut core = held(n, start, attempts, retry);
                (core.deadline, core.cancel_requested) = (deadline.map(at), cancel_requested);
                all.push(core.clone());
                // The same, waiting: ready, or only later.
                for (more, ready) in [(100, 0), (200, 9), (300, 30)] {
                    let mut waits =
                        CommandCore { id: CommandId(Uuid::from_u128(n + more)), ..core.clone() };
                    (waits.state, waits.leased_until) = (CommandState::Queued, None);
                    (waits.worker, waits.lease) = (None, None);
                    waits.ready_at = at(ready);
                    all.push(waits);
                }
            }
        }
        restore(&store, &all).await;
        let found = cores(&store).await;
        all.sort_by_key(|core| core.id);
        assert_eq!(found, all, "kept as it was given");

        space.clock.advance(Duration::from_secs(after));
        let now = space.clock.now();
        for core in &mut all {
            core.settle(now);
            let seen = store.view(&queue(), core.id).await.unwrap().unwrap();
            assert_eq!(seen, core.view(vec![1], Value::Null), "before it is written down");
        }
        while store.sweep(Limit::new(7).unwrap()).await.unwrap() > 0 {}
        assert_eq!(cores(&store).await, all, "after {after} s");
    }
}

#[tokio::test]
async fn a_failure_leads_to_what_the_rule_says() {
    let space = Space::new(Servers::Single);
    let store = space.connect().await.queue();
    let start = space.clock.now();
    let mut all = Vec::new();
    for (base_ms, cap_ms, jitter_percent) in [
        (0, 0, 0),
        (1_000, 300_000, 20),
        (7, 1_001, 100),
        (2_592_000_000, 2_592_000_000, 33),
        (1, 2_592_000_000, 99),
    ] {
        for attempts in [1, 2, 3, 7, 31, 32, 33, 34, 40] {
            for deadline in [None, Some(3), Some(40)] {
                for cancel_requested in [false, attempts == 2] {
                    let n = u128::try_from(all.len()).unwrap() + 1;
                    let retry = RetryPolicy { max_attempts: 40, base_ms, cap_ms, jitter_percent };
                    let mut core = held(n, start, attempts, retry);
                    core.deadline = deadline.map(|s| start.plus(Duration::from_secs(s)));
                    core.cancel_requested = cancel_requested;
                    all.push(core);
                }
            }
        }
    }
    for part in all.chunks(100) {
        restore(&store, part).await;
    }
    space.clock.advance(Duration::from_millis(1_234));
    let now = space.clock.now();
    for (n, core) in all.iter_mut().enumerate() {
        let verdict = match n % 5 {
            0..3 => Verdict::Retry,
            3 => Verdict::RetryAfter(Duration::from_micros(random() % 60_000_000)),
            _ => Verdict::Dead,
        };
        let failure = Failure { error: format!("e{n}\0"), verdict };
        let lease = core.lease.unwrap();
        let expected = core.fail(&lease, &failure, now).unwrap();
        assert_eq!(store.fail(&queue(), &lease, failure).await.unwrap(), expected, "{core:?}");
    }
    all.sort_by_key(|core| core.id);
    assert_eq!(cores(&store).await, all);

    // Beyond the calendar, and again.
    let core = held(9_999, now, 1, RetryPolicy::default());
    restore(&store, std::slice::from_ref(&core)).await;
    for _ in 0..2 {
        let failure = Failure { error: String::new(), verdict: Verdict::RetryAfter(Duration::MAX) };
        let outcome = store.fail(&queue(), &core.lease.unwrap(), failure).await.unwrap();
        assert_eq!(outcome, hexmem_ports::FailOutcome::RetryAt(Timestamp::MAX));
    }
    let view = store.view(&queue(), core.id).await.unwrap().unwrap();
    assert_eq!((view.ready_at, view.last_error.as_deref()), (Timestamp::MAX, Some("")));
}

#[tokio::test]
async fn leases_are_as_many_as_the_rule_allows() {
    for round in 0..6 {
        let space = Space::new(Servers::Single);
        let store = space.connect().await.queue();
        let count = 1 + u32::try_from(random() % 9).unwrap();
        let per = Ttl::new(Duration::from_micros(1 + random() % 9_000_000)).unwrap();
        let limits = QueueLimits {
            max_in_flight: (round % 3 != 0).then(|| 3 + u32::try_from(random() % 40).unwrap()),
            rate: (round % 3 != 1).then_some(Rate { count, per }),
        };
        store.set_limits(&queue(), limits).await.unwrap();
        let commands = (1..=600).map(|n| patient(CommandId(Uuid::from_u128(n)))).collect();
        store.enqueue(&queue(), commands, WhenIdle::Store, vec![]).await.unwrap();
        let (mut bucket, mut held) = (None, Vec::new());
        for _ in 0..60 {
            space.clock.advance(Duration::from_micros(random() % 3_000_000));
            let now = space.clock.now();
            let wanted = 1 + u32::try_from(random() % 8).unwrap();
            let in_flight = u64::try_from(held.len()).unwrap();
            let (allowed, tokens) = allowance(&limits, bucket, in_flight, wanted.into(), now);
            let request = LeaseRequest {
                worker: name("w"),
                max: Limit::new(wanted).unwrap(),
                visibility: Ttl::secs(100_000).unwrap(),
                wait: Duration::ZERO,
            };
            let leased = store.lease(&queue(), request).await.unwrap();
            assert_eq!(u64::try_from(leased.len()).unwrap(), allowed, "{limits:?}");
            bucket = tokens.map(|tokens| tokens.take(allowed));
            held.extend(leased);
            if random().is_multiple_of(3)
                && let Some(one) = held.pop()
            {
                store.release(&queue(), &one.lease).await.unwrap();
            }
        }
    }
}
