//! Ordering groups.

use std::collections::BTreeMap;
use std::sync::Mutex;

use futures::future::join_all;
use hexmem_ports::{NewCommand, Verdict};

use super::{Queue, ack, command, failure, payloads, push, queue, request, take};
use crate::name;

/// `QUEUE-LEASE-7`
pub async fn queue_lease_7(rig: Queue) {
    let q = queue(&rig, "q");
    let of = |group: &str, payload: &str| NewCommand {
        group: Some(name(group)),
        ..command(&rig, payload)
    };
    let urgent = NewCommand { priority: 9, ..of("a", "a2") };
    push(&rig.store, &q, [of("a", "a1"), urgent, of("b", "b1"), of("b", "b2")]).await;
    push(&rig.store, &q, [of("a", "a3"), command(&rig, "alone")]).await;

    let first = take(&rig, &rig.store, &q, 10).await;
    assert_eq!(payloads(&first), ["a1", "b1", "alone"], "the heads only");
    assert_eq!(take(&rig, &rig.other, &q, 10).await, []);
    ack(&rig.store, &q, first[0].lease, "").await.unwrap();
    let second = take(&rig, &rig.other, &q, 10).await;
    assert_eq!(payloads(&second), ["a2"], "the next of a, whatever its priority");

    // While the head waits for its retry, the group waits; the other group goes on.
    rig.store.fail(&q, &second[0].lease, failure("e", Verdict::Retry)).await.unwrap();
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
    ack(&rig.store, &q, first[1].lease, "").await.unwrap();
    let b2 = take(&rig, &rig.store, &q, 10).await;
    assert_eq!(payloads(&b2), ["b2"]);
    rig.clock.advance(4).await;
    let retried = take(&rig, &rig.store, &q, 10).await;
    assert_eq!(payloads(&retried), ["a2"]);
    // A lease that runs out keeps the place; a dead head makes way.
    rig.clock.advance(10).await;
    let mut again = take(&rig, &rig.store, &q, 10).await;
    again.sort_by_key(|one| one.payload.clone());
    assert_eq!(payloads(&again), ["a2", "alone", "b2"]);
    rig.store.fail(&q, &again[0].lease, failure("e", Verdict::Dead)).await.unwrap();
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 10).await), ["a3"]);

    // A delayed head, a head past its deadline, a released head.
    let q = queue(&rig, "heads");
    let soon = rig.clock.now().await.plus(rig.span(6));
    let delayed = NewCommand { delay: Some(rig.ttl(3)), ..of("c", "c1") };
    let mortal = NewCommand { deadline: Some(soon), ..of("d", "d1") };
    push(&rig.store, &q, [delayed, of("c", "c2"), mortal, of("d", "d2")]).await;
    let head = take(&rig, &rig.store, &q, 10).await;
    assert_eq!(payloads(&head), ["d1"]);
    rig.store.release(&q, &head[0].lease).await.unwrap();
    rig.clock.advance(6).await;
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 10).await), ["c1", "d2"]);

    // A head and the next end by one deadline: the third goes on.
    let q = queue(&rig, "together");
    let soon = rig.clock.now().await.plus(rig.span(2));
    let mortal = |payload: &str| NewCommand { deadline: Some(soon), ..of("e", payload) };
    push(&rig.store, &q, [mortal("e1"), mortal("e2"), of("e", "e3")]).await;
    rig.clock.advance(3).await;
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 10).await), ["e3"]);

    race(&rig).await;
}

/// Many workers at once: never two of a group, each group in order.
async fn race(rig: &Queue) {
    let q = queue(rig, "race");
    for i in 0..8 {
        let of = |group: usize| NewCommand {
            group: Some(name(format!("g{group}"))),
            ..command(rig, &format!("{group}:{i}"))
        };
        push(&rig.store, &q, (0..4).map(of)).await;
    }
    let held = Mutex::new(BTreeMap::<String, usize>::new());
    let done = Mutex::new(BTreeMap::<String, Vec<String>>::new());
    let worker = |store| {
        let (q, held, done) = (&q, &held, &done);
        async move {
            loop {
                let got: Vec<_> =
                    hexmem_ports::CommandQueue::lease(store, q, request(rig, 2)).await.unwrap();
                let finished = done.lock().unwrap().values().map(Vec::len).sum::<usize>() == 32;
                if got.is_empty() && finished {
                    return;
                }
                for one in &got {
                    let group = one.group.as_ref().unwrap().to_string();
                    let mut held = held.lock().unwrap();
                    let others = held.entry(group).or_default();
                    *others += 1;
                    assert_eq!(*others, 1, "two of one group are held");
                }
                tokio::task::yield_now().await;
                for one in got {
                    let group = one.group.as_ref().unwrap().to_string();
                    *held.lock().unwrap().get_mut(&group).unwrap() -= 1;
                    let payload = String::from_utf8(one.payload).unwrap();
                    done.lock().unwrap().entry(group).or_default().push(payload);
                    ack(store, q, one.lease, "").await.unwrap();
                }
            }
        }
    };
    let workers = (0..6).map(|i| worker(if i % 2 == 0 { &rig.store } else { &rig.other }));
    // The clock stands still: no lease runs out.
    join_all(workers).await;
    for (group, payloads) in done.into_inner().unwrap() {
        let number = group.trim_start_matches('g');
        let expected: Vec<_> = (0..8).map(|i| format!("{number}:{i}")).collect();
        assert_eq!(payloads, expected, "in the order of their enqueue");
    }
}
