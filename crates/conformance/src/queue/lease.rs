//! `lease`: order, exclusion, time.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use hexmem_ports::rules::{DEADLINE_PASSED, LEASE_RAN_OUT, RetryPolicy};
use hexmem_ports::{
    CommandState, LeaseRequest, NewCommand, QueueId, QueueLimits, Rate, Verdict, WhenIdle,
};

use super::{
    Queue, ack, assert_dead_lease, command, extend, failure, ids, payloads, push, queue, request,
    state, take, take_one,
};
use crate::{name, other_tenant};

/// `QUEUE-LEASE-1`
pub async fn queue_lease_1(rig: Queue) {
    let q = queue(&rig, "q");
    assert_eq!(take(&rig, &rig.store, &q, 10).await, [], "an unknown queue is empty");
    let with = |payload: &str, priority| NewCommand { priority, ..command(&rig, payload) };
    push(&rig.store, &q, [with("a", 0), with("low", i16::MIN), with("b", 0)]).await;
    push(&rig.other, &q, [with("high", i16::MAX), with("c", 0), with("-1", -1)]).await;
    push(&rig.store, &q, [with("1", 1), with("d", 0)]).await;
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 3).await), ["high", "1", "a"]);
    assert_eq!(payloads(&take(&rig, &rig.other, &q, 10).await), ["b", "c", "d", "-1", "low"]);
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
}

/// `QUEUE-LEASE-2`
pub async fn queue_lease_2(rig: Queue) {
    let q = queue(&rig, "q");
    for part in 0..4 {
        push(&rig.store, &q, (0..30).map(|i| command(&rig, &format!("{part}-{i}")))).await;
    }
    let workers = (0..8).map(|worker| {
        let (rig, q) = (rig.clone(), q.clone());
        tokio::spawn(async move {
            let store = if worker % 2 == 0 { &rig.store } else { &rig.other };
            let mut held = Vec::new();
            loop {
                let got = store.lease(&q, request(&rig, 7)).await.unwrap();
                if got.is_empty() {
                    return held;
                }
                held.extend(got);
            }
        })
    });
    let held: Vec<_> = join_all(workers).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(ids(&held).len(), held.len(), "a command was handed out twice");
    assert_eq!(held.len(), 120, "each was handed out");
    assert_eq!(take(&rig, &rig.store, &q, 10).await, [], "all are held");
    let secrets: BTreeSet<_> = held.iter().map(|one| one.lease.secret).collect();
    assert_eq!(secrets.len(), held.len(), "each lease has a secret of its own");
}

/// `QUEUE-LEASE-3`
pub async fn queue_lease_3(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, [command(&rig, "a"), command(&rig, "b")]).await;
    let first = take_one(&rig, &q).await;
    let now = rig.clock.now().await;
    assert!(first.leased_until > now && first.leased_until <= now.plus(rig.span(10)));
    rig.clock.advance(9).await;
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 10).await), ["b"], "a is still held");
    rig.clock.advance(1).await;
    let again = take(&rig, &rig.other, &q, 10).await;
    assert_eq!(payloads(&again), ["a"]);
    assert_eq!((again[0].attempt, again[0].lease.attempt), (2, 2));
    assert_ne!(again[0].lease.secret, first.lease.secret);
    assert_dead_lease(&rig, &q, &first.lease).await;
    ack(&rig.other, &q, again[0].lease, "done").await.unwrap();
}

/// `QUEUE-LEASE-4`
pub async fn queue_lease_4(rig: Queue) {
    let q = queue(&rig, "q");
    let delayed = |payload: &str, units, priority| NewCommand {
        delay: Some(rig.ttl(units)),
        priority,
        ..command(&rig, payload)
    };
    push(&rig.store, &q, [delayed("late", 8, 9), delayed("soon", 3, 5), command(&rig, "now")])
        .await;
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 10).await), ["now"]);
    rig.clock.advance(2).await;
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
    rig.clock.advance(1).await;
    assert_eq!(payloads(&take(&rig, &rig.other, &q, 10).await), ["soon"]);
    rig.clock.advance(5).await;
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 1).await), ["late"]);
}

/// `QUEUE-LEASE-5`
pub async fn queue_lease_5(rig: Queue) {
    let q = queue(&rig, "q");
    let now = rig.clock.now().await;
    let until = |payload: &str, units| NewCommand {
        deadline: Some(now.plus(rig.span(units))),
        ..command(&rig, payload)
    };
    let (early, held, late) = (until("early", 20), until("held", 25), until("late", 60));
    let past = NewCommand { deadline: Some(now.minus(rig.span(1))), ..command(&rig, "past") };
    let (delayed, past_id) =
        (NewCommand { delay: Some(rig.ttl(40)), ..until("delayed", 30) }, past.id);
    push(&rig.store, &q, [past]).await;
    assert_eq!(state(&rig, &q, past_id).await, Some(CommandState::Dead), "past from the start");
    push(&rig.store, &q, [held.clone()]).await;
    let running = take_one(&rig, &q).await;
    extend(&rig.store, &q, running.lease, rig.ttl(50)).await.unwrap();
    push(&rig.store, &q, [early.clone(), late.clone(), delayed.clone()]).await;
    rig.clock.advance(30).await;
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 10).await), ["late"]);
    for id in [early.id, delayed.id] {
        let result = rig.other.result(&q, id, Default::default()).await.unwrap().expect("ended");
        assert_eq!(result.state, CommandState::Dead);
        assert_eq!(result.error.as_deref(), Some(DEADLINE_PASSED));
        assert!(result.ended_at <= rig.clock.now().await);
    }
    // One that runs is not taken away, and a retry after the deadline is none.
    ack(&rig.store, &q, running.lease, "in the end").await.unwrap();
    assert_eq!(state(&rig, &q, held.id).await, Some(CommandState::Completed));
    let dead = rig.store.dead(&q, None, Default::default()).await.unwrap().items;
    assert_eq!(dead.len(), 3, "they lie in the dead letters");
}

/// `QUEUE-LEASE-6`
pub async fn queue_lease_6(rig: Queue) {
    let q = queue(&rig, "q");
    let retry = RetryPolicy { max_attempts: 2, ..command(&rig, "").retry };
    let poison = NewCommand { retry, ..command(&rig, "poison") };
    push(&rig.store, &q, [poison.clone()]).await;
    for attempt in 1..=2 {
        let leased = take_one(&rig, &q).await;
        assert_eq!(leased.attempt, attempt);
        rig.clock.advance(10).await;
    }
    assert_eq!(state(&rig, &q, poison.id).await, Some(CommandState::Dead), "already to readers");
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
    let dead = rig.other.dead(&q, None, Default::default()).await.unwrap().items;
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].id, dead[0].attempts), (poison.id, 2));
    assert_eq!(dead[0].last_error.as_deref(), Some(LEASE_RAN_OUT));
}

/// `QUEUE-LEASE-8`
pub async fn queue_lease_8(rig: Queue) {
    let q = queue(&rig, "q");
    rig.store.set_limits(&q, QueueLimits { max_in_flight: Some(3), rate: None }).await.unwrap();
    push(&rig.store, &q, (0..12).map(|i| command(&rig, &i.to_string()))).await;
    let stores = [&rig.store, &rig.other];
    let taken = join_all((0..8).map(|i| take(&rig, stores[i % 2], &q, 2))).await;
    let held: Vec<_> = taken.into_iter().flatten().collect();
    assert_eq!(held.len(), 3, "never more than the cap, and as many as it allows");
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
    ack(&rig.store, &q, held[0].lease, "").await.unwrap();
    rig.store.fail(&q, &held[1].lease, failure("e", Verdict::Dead)).await.unwrap();
    assert_eq!(take(&rig, &rig.other, &q, 10).await.len(), 2, "places that became free");
    rig.clock.advance(10).await;
    assert_eq!(take(&rig, &rig.store, &q, 10).await.len(), 3, "leases that ran out hold no place");
    rig.store.set_limits(&q, QueueLimits::default()).await.unwrap();
    assert!(take(&rig, &rig.store, &q, 10).await.len() > 3, "without a cap");
}

/// `QUEUE-LEASE-9`
pub async fn queue_lease_9(rig: Queue) {
    let q = queue(&rig, "q");
    let rate = Rate { count: 4, per: rig.ttl(8) };
    rig.store.set_limits(&q, QueueLimits { max_in_flight: None, rate: Some(rate) }).await.unwrap();
    push(&rig.store, &q, (0..20).map(|i| command(&rig, &i.to_string()))).await;
    let start = rig.clock.now().await;
    let stores = [&rig.store, &rig.other];
    let burst = join_all((0..6).map(|i| take(&rig, stores[i % 2], &q, 2))).await;
    let mut total: usize = burst.iter().map(Vec::len).sum();
    assert!(total >= 4, "a full bucket");
    for _ in 0..12 {
        rig.clock.advance(1).await;
        // Asked often, so that a bucket which loses fractions would starve.
        for i in 0..3 {
            total += take(&rig, stores[i % 2], &q, 100).await.len();
        }
        let elapsed = rig.clock.now().await.since(start).as_micros();
        let refilled = elapsed * 4 / rate.per.get().as_micros();
        assert!(total <= 4 + usize::try_from(refilled).unwrap(), "{total} after {elapsed} us");
    }
    assert!(total >= 4 + 5, "the rest comes later: {total}");
}

/// `QUEUE-LEASE-10`
pub async fn queue_lease_10(rig: Queue) {
    let q = queue(&rig, "q");
    let waiting = |units: u32| {
        let (rig, q) = (rig.clone(), q.clone());
        let request = LeaseRequest { wait: rig.span(units), ..request(&rig, 5) };
        tokio::spawn(async move { rig.store.lease(&q, request).await.unwrap() })
    };
    let started = |q: &QueueId| {
        let (store, q) = (rig.store.clone(), q.clone());
        async move {
            while store.stats(&q).await.unwrap().consumers == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
    };
    // Enqueued while it waits, through the other handle.
    let waiter = waiting(1_000);
    rig.within(20, started(&q)).await;
    push(&rig.other, &q, [command(&rig, "a")]).await;
    let got = rig.within(20, waiter).await.unwrap();
    assert_eq!(payloads(&got), ["a"]);

    // What becomes ready by time alone: a delay that ends, a lease that runs out.
    let waiter = waiting(1_000);
    let later = NewCommand { delay: Some(rig.ttl(3)), ..command(&rig, "b") };
    push(&rig.store, &q, [later]).await;
    let got = rig.within(20, waiter).await.unwrap();
    assert_eq!(payloads(&got), ["b"]);
    let got = rig.within(40, waiting(1_000)).await.unwrap();
    assert!(got.iter().all(|one| one.attempt == 2) && !got.is_empty(), "{got:?}");

    // The wait is over.
    let q = queue(&rig, "nobody-fills-it");
    let start = rig.clock.now().await;
    let request = LeaseRequest { wait: rig.span(3), ..request(&rig, 5) };
    let got = rig.within(20, rig.store.lease(&q, request)).await.unwrap();
    assert_eq!(got, []);
    let waited = rig.clock.now().await.since(start);
    assert!(waited >= rig.span(3), "it gave up after {waited:?}");
}

/// `QUEUE-LEASE-11`
pub async fn queue_lease_11(rig: Queue) {
    let foreign = other_tenant();
    let queues =
        [queue(&rig, "q"), queue(&rig, "Q"), queue(&rig, "qq"), QueueId::new(foreign, name("q"))];
    for (i, q) in queues.iter().enumerate() {
        push(&rig.store, q, [command(&rig, &i.to_string())]).await;
    }
    let mut seen = BTreeMap::new();
    for (i, q) in queues.iter().enumerate() {
        let got = take(&rig, &rig.other, q, 10).await;
        assert_eq!(payloads(&got), [i.to_string()]);
        seen.insert(i, got[0].clone());
    }
    // A lease of one queue is nothing in another.
    let stolen = seen[&0].lease;
    for q in &queues[1..] {
        assert_dead_lease(&rig, q, &stolen).await;
        assert_eq!(rig.store.view(q, stolen.command).await.unwrap(), None);
    }
    // Ids are unique within a queue: the same one elsewhere is another command.
    let same = NewCommand { id: stolen.command, ..command(&rig, "same id") };
    let answers = rig.store.enqueue(&queues[3], vec![same], WhenIdle::Store, vec![]).await.unwrap();
    assert_eq!(answers, [hexmem_ports::Enqueued::Queued]);
    assert_eq!(payloads(&take(&rig, &rig.store, &queues[3], 10).await), ["same id"]);
    ack(&rig.store, &queues[0], stolen, "").await.unwrap();
    assert_eq!(state(&rig, &queues[3], stolen.command).await, Some(CommandState::Leased));
}
