//! `enqueue`: what is stored, and what is not.

use std::time::Duration;

use futures::future::join_all;
use hexmem_ports::{
    BYTES_LIMIT, CommandState, Dedupe, Enqueued, ErrorKind, LeaseRequest, NewCommand, WhenIdle,
};
use serde_json::json;

use super::{Queue, Store, ack, command, payloads, push, queue, request, take, take_one};
use crate::outbox::{drain, effect, effects_of};
use crate::{awkward_names, name};

/// `QUEUE-ENQ-1`
pub async fn queue_enq_1(rig: Queue) {
    let q = queue(&rig, "q");
    let payloads = [
        vec![],
        vec![0],
        vec![0xff, 0xfe, 0, 0x80],
        b"text".to_vec(),
        vec![b'x'; 8_001],
        vec![7; 1_048_576],
    ];
    let headers = [
        json!(null),
        json!({}),
        json!([1, i64::MIN, i64::MAX, 0.1, -0.0, 1e300]),
        json!({"trace": "\u{202e}日本🦀", "": {"a": [true, null]}}),
        json!("text"),
        json!({"long": "x".repeat(100_000)}),
    ];
    let sent: Vec<_> = payloads
        .into_iter()
        .zip(headers)
        .map(|(payload, headers)| NewCommand { payload, headers, ..command(&rig, "") })
        .collect();
    push(&rig.store, &q, sent.clone()).await;
    let got = take(&rig, &rig.other, &q, 100).await;
    assert_eq!(got.len(), sent.len());
    for (got, sent) in got.iter().zip(&sent) {
        assert_eq!((got.id, &got.payload, &got.headers), (sent.id, &sent.payload, &sent.headers));
        assert_eq!((got.attempt, got.lease.attempt, got.lease.command), (1, 1, sent.id));
    }

    // Awkward names of queues and groups are names like others.
    for text in awkward_names() {
        let q = queue(&rig, text.as_str());
        let sent = NewCommand { group: Some(text.clone()), ..command(&rig, text.as_str()) };
        push(&rig.store, &q, [sent.clone()]).await;
        let got = take(&rig, &rig.other, &q, 2).await;
        assert_eq!(got.len(), 1, "{text:?} is a queue of its own");
        assert_eq!((&got[0].payload, &got[0].group), (&sent.payload, &Some(text)));
    }
}

/// `QUEUE-ENQ-2`
pub async fn queue_enq_2(rig: Queue) {
    let q = queue(&rig, "q");
    let sent = command(&rig, "a");
    let repeat = |store: &Store| {
        let (store, sent, q) = (store.clone(), sent.clone(), q.clone());
        let changed = NewCommand { payload: b"other".to_vec(), ..sent };
        async move { store.enqueue(&q, vec![changed], WhenIdle::Store, vec![]).await.unwrap() }
    };
    let twice = vec![sent.clone(), sent.clone()];
    let answers = rig.store.enqueue(&q, twice, WhenIdle::Store, vec![]).await.unwrap();
    assert_eq!(answers, [Enqueued::Queued; 2]);
    assert_eq!(repeat(&rig.store).await, [Enqueued::Queued]);
    assert_eq!(repeat(&rig.other).await, [Enqueued::Queued]);
    let answers = join_all((0..8).map(|_| repeat(&rig.store))).await;
    assert!(answers.iter().all(|answer| *answer == [Enqueued::Queued]));

    let leased = take(&rig, &rig.store, &q, 10).await;
    assert_eq!(payloads(&leased), ["a"], "once, with the first payload");
    repeat(&rig.store).await;
    assert_eq!(take(&rig, &rig.store, &q, 10).await, [], "not while it runs");
    ack(&rig.store, &q, leased[0].lease, "done").await.unwrap();
    repeat(&rig.store).await;
    assert_eq!(take(&rig, &rig.store, &q, 10).await, [], "not after it ended");
    let view = rig.store.view(&q, sent.id).await.unwrap().expect("kept");
    assert_eq!(view.state, CommandState::Completed);

    rig.clock.advance(20).await;
    repeat(&rig.store).await;
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 10).await), ["other"], "free again");
}

/// `QUEUE-ENQ-3`
pub async fn queue_enq_3(rig: Queue) {
    let q = queue(&rig, "q");
    let keyed = |key: &str| NewCommand {
        dedupe: Some(Dedupe { key: name(key), window: rig.ttl(5) }),
        ..command(&rig, key)
    };
    let push_one = |store: &Store, command: NewCommand| {
        let (store, q) = (store.clone(), q.clone());
        async move { store.enqueue(&q, vec![command], WhenIdle::Store, vec![]).await.unwrap()[0] }
    };
    let first = keyed("k");
    assert_eq!(push_one(&rig.store, first.clone()).await, Enqueued::Queued);
    assert_eq!(push_one(&rig.other, keyed("k")).await, Enqueued::Duplicate(first.id));
    assert_eq!(push_one(&rig.other, keyed("K")).await, Enqueued::Queued, "another key");
    assert_eq!(push_one(&rig.store, first.clone()).await, Enqueued::Queued, "a repeat");

    let leased = take(&rig, &rig.store, &q, 10).await;
    for one in &leased {
        ack(&rig.store, &q, one.lease, "").await.unwrap();
    }
    assert_eq!(push_one(&rig.store, keyed("k")).await, Enqueued::Duplicate(first.id), "ended");
    rig.clock.advance(5).await;
    let second = keyed("k");
    assert_eq!(push_one(&rig.store, second.clone()).await, Enqueued::Queued, "the window is over");
    assert_eq!(push_one(&rig.store, keyed("k")).await, Enqueued::Duplicate(second.id));

    // Of many at once, in one list and from both sides, one is stored.
    let both = vec![keyed("pair"), keyed("pair")];
    let first = both[0].id;
    let answers = rig.store.enqueue(&q, both, WhenIdle::Store, vec![]).await.unwrap();
    assert_eq!(answers, [Enqueued::Queued, Enqueued::Duplicate(first)]);
    let stores = [&rig.store, &rig.other];
    let answers = join_all((0..16).map(|i| push_one(stores[i % 2], keyed("race")))).await;
    let stored = answers.iter().filter(|answer| **answer == Enqueued::Queued).count();
    assert_eq!(stored, 1);
    // Another queue has keys of its own.
    let elsewhere = queue(&rig, "elsewhere");
    push(&rig.store, &elsewhere, [keyed("race")]).await;
}

/// `QUEUE-ENQ-4`
pub async fn queue_enq_4(rig: Queue) {
    let q = queue(&rig, "q");
    let refuse = |units: u32| {
        let (store, q, one) = (rig.other.clone(), q.clone(), command(&rig, "a"));
        let idle = WhenIdle::Refuse(rig.ttl(units));
        async move { store.enqueue(&q, vec![one], idle, vec![]).await.unwrap()[0] }
    };
    assert_eq!(refuse(100).await, Enqueued::NoConsumer);
    assert_eq!(take(&rig, &rig.store, &q, 10).await, [], "nothing was stored");
    assert_eq!(refuse(3).await, Enqueued::Queued, "that lease counts as a consumer");
    take(&rig, &rig.store, &q, 10).await;
    rig.clock.advance(4).await;
    assert_eq!(refuse(3).await, Enqueued::NoConsumer, "seen too long ago");
    assert_eq!(refuse(100).await, Enqueued::Queued, "but within this span");
    take(&rig, &rig.store, &q, 10).await;

    // A repeat of a stored one, and a known key, are answered as ever.
    rig.clock.advance(4).await;
    let kept = NewCommand {
        dedupe: Some(Dedupe { key: name("k"), window: rig.ttl(50) }),
        ..command(&rig, "kept")
    };
    push(&rig.store, &q, [kept.clone()]).await;
    let known = NewCommand { id: command(&rig, "").id, ..kept.clone() };
    let idle = WhenIdle::Refuse(rig.ttl(3));
    let answers = rig.store.enqueue(&q, vec![kept.clone(), known], idle, vec![]).await.unwrap();
    assert_eq!(answers, [Enqueued::Queued, Enqueued::Duplicate(kept.id)]);
    take(&rig, &rig.store, &q, 10).await;

    // A worker that waits is there, however long ago it came.
    let q = queue(&rig, "waited-at");
    let waiter = tokio::spawn({
        let (store, q) = (rig.store.clone(), q.clone());
        let wait = rig.span(10_000);
        let request = LeaseRequest { wait, ..request(&rig, 1) };
        async move { store.lease(&q, request).await.unwrap() }
    });
    rig.within(20, async {
        while rig.other.stats(&q).await.unwrap().consumers == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    rig.clock.advance(5).await;
    let answer = {
        let (idle, one) = (WhenIdle::Refuse(rig.ttl(2)), command(&rig, "for the waiter"));
        rig.other.enqueue(&q, vec![one], idle, vec![]).await.unwrap()
    };
    assert_eq!(answer, [Enqueued::Queued]);
    let got = rig.within(20, waiter).await.unwrap();
    assert_eq!(payloads(&got), ["for the waiter"]);
}

/// `QUEUE-ENQ-5`
pub async fn queue_enq_5(rig: Queue) {
    let q = queue(&rig, "q");
    assert_eq!(rig.store.enqueue(&q, vec![], WhenIdle::Store, vec![]).await.unwrap(), []);
    let good = || command(&rig, "good");
    let no_attempts = hexmem_ports::rules::RetryPolicy { max_attempts: 0, ..good().retry };
    let bad = [
        NewCommand { payload: vec![0; BYTES_LIMIT + 1], ..good() },
        NewCommand { headers: json!({"a": "b\u{0}"}), ..good() },
        NewCommand { headers: json!({"a\u{0}": 1}), ..good() },
        NewCommand { headers: json!(u64::MAX), ..good() },
        NewCommand { retry: no_attempts, ..good() },
    ];
    for bad in bad {
        let list = vec![good(), bad, good()];
        let error = rig.store.enqueue(&q, list, WhenIdle::Store, vec![]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(take(&rig, &rig.store, &q, 10).await, [], "none of the list is stored");
    }
}

/// `QUEUE-ENQ-6`
pub async fn queue_enq_6(rig: Queue) {
    let q = queue(&rig, "q");
    let sent = NewCommand {
        dedupe: Some(Dedupe { key: name("k"), window: rig.ttl(50) }),
        ..command(&rig, "a")
    };
    let enqueue = |commands: Vec<NewCommand>, idle: WhenIdle, key: &'static str| {
        let (store, q) = (rig.store.clone(), q.clone());
        async move { store.enqueue(&q, commands, idle, vec![effect(key, 1)]).await }
    };
    enqueue(vec![sent.clone()], WhenIdle::Store, "first").await.unwrap();
    enqueue(vec![sent.clone()], WhenIdle::Store, "repeat").await.unwrap();
    let duplicate = NewCommand { id: command(&rig, "").id, ..sent };
    enqueue(vec![duplicate.clone()], WhenIdle::Store, "duplicate").await.unwrap();
    let idle = WhenIdle::Refuse(rig.ttl(1));
    enqueue(vec![command(&rig, "b")], idle, "no consumer").await.unwrap();
    let bad = NewCommand { headers: json!("\u{0}"), ..command(&rig, "c") };
    enqueue(vec![command(&rig, "d"), bad], WhenIdle::Store, "invalid").await.unwrap_err();
    enqueue(vec![duplicate, command(&rig, "e")], WhenIdle::Store, "one of two").await.unwrap();

    let keys: Vec<_> = effects_of(drain(&rig).await).into_iter().map(|e| e.key).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys.contains(&name("first")) && keys.contains(&name("one of two")), "{keys:?}");
    let leased = take_one(&rig, &q).await;
    assert_eq!(leased.payload, b"a");
}
