//! `cancel`, `view`, `result`: those who wait for the outcome.

use std::time::Duration;

use hexmem_ports::{CancelOutcome, CommandId, CommandState, NewCommand, QueueId, Verdict};
use serde_json::json;
use uuid::Uuid;

use super::{
    Queue, ack, assert_stale, bury, command, extend, failure, payloads, push, queue, state, take,
    take_one,
};
use crate::{name, other_tenant};

/// `QUEUE-CANCEL-1`
pub async fn queue_cancel_1(rig: Queue) {
    let q = queue(&rig, "q");
    let of_group = |text: &str| NewCommand { group: Some(name("g")), ..command(&rig, text) };
    let (first, second) = (of_group("first"), of_group("second"));
    let (plain, kept) = (command(&rig, "plain"), command(&rig, "kept"));
    let delayed = NewCommand { delay: Some(rig.ttl(2)), ..command(&rig, "delayed") };
    let all = [&first, &second, &plain, &kept, &delayed].map(Clone::clone);
    push(&rig.store, &q, all).await;
    for id in [first.id, plain.id, delayed.id] {
        assert_eq!(rig.other.cancel(&q, id).await.unwrap(), CancelOutcome::Cancelled);
        assert_eq!(state(&rig, &q, id).await, Some(CommandState::Cancelled));
    }
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 10).await), ["second", "kept"]);
    rig.clock.advance(5).await;
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
    let result = rig.store.result(&q, plain.id, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!((result.state, result.result, result.attempts), (CommandState::Cancelled, None, 0));

    // One that waits for its retry.
    push(&rig.store, &q, [command(&rig, "retried")]).await;
    let leased = take_one(&rig, &q).await;
    rig.store.fail(&q, &leased.lease, failure("e", Verdict::Retry)).await.unwrap();
    assert_eq!(rig.store.cancel(&q, leased.id).await.unwrap(), CancelOutcome::Cancelled);
}

/// `QUEUE-CANCEL-2`
pub async fn queue_cancel_2(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, [command(&rig, "completes"), command(&rig, "dies")]).await;
    let leased = take(&rig, &rig.store, &q, 10).await;
    for one in &leased {
        assert_eq!(rig.other.cancel(&q, one.id).await.unwrap(), CancelOutcome::Requested);
        assert_eq!(rig.other.cancel(&q, one.id).await.unwrap(), CancelOutcome::Requested);
        assert_eq!(state(&rig, &q, one.id).await, Some(CommandState::Leased));
    }
    let extended = extend(&rig.store, &q, leased[0].lease, rig.ttl(10)).await.unwrap();
    assert!(extended.cancel_requested);
    ack(&rig.store, &q, leased[0].lease, "yet").await.unwrap();
    assert_eq!(state(&rig, &q, leased[0].id).await, Some(CommandState::Completed));
    rig.clock.advance(10).await;
    assert_eq!(state(&rig, &q, leased[1].id).await, Some(CommandState::Cancelled));
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
    assert_stale(ack(&rig.store, &q, leased[1].lease, "late").await);
}

/// `QUEUE-CANCEL-3`
pub async fn queue_cancel_3(rig: Queue) {
    let q = queue(&rig, "q");
    let cancel = |id| rig.store.cancel(&q, id);
    let unknown = CommandId(Uuid::new_v4());
    assert_eq!(cancel(unknown).await.unwrap(), CancelOutcome::Unknown);
    push(&rig.store, &q, [command(&rig, "a"), command(&rig, "b")]).await;
    let leased = take(&rig, &rig.store, &q, 2).await;
    ack(&rig.store, &q, leased[0].lease, "").await.unwrap();
    rig.store.fail(&q, &leased[1].lease, failure("e", Verdict::Dead)).await.unwrap();
    let ended = |state| CancelOutcome::Ended(state);
    assert_eq!(cancel(leased[0].id).await.unwrap(), ended(CommandState::Completed));
    assert_eq!(cancel(leased[1].id).await.unwrap(), ended(CommandState::Dead));
    let waiting = command(&rig, "c");
    push(&rig.store, &q, [waiting.clone()]).await;
    assert_eq!(cancel(waiting.id).await.unwrap(), CancelOutcome::Cancelled);
    assert_eq!(cancel(waiting.id).await.unwrap(), ended(CommandState::Cancelled));
    assert_eq!(cancel(unknown).await.unwrap(), CancelOutcome::Unknown);
    rig.clock.advance(20).await;
    assert_eq!(cancel(waiting.id).await.unwrap(), CancelOutcome::Unknown, "not kept any more");
}

/// `QUEUE-VIEW-1`
pub async fn queue_view_1(rig: Queue) {
    let q = queue(&rig, "q");
    let deadline = Some(rig.clock.now().await.plus(rig.span(100)));
    let sent = NewCommand {
        priority: -7,
        group: Some(name("g")),
        delay: Some(rig.ttl(2)),
        deadline,
        ..command(&rig, "a")
    };
    let see = |q: &QueueId| {
        let (store, q, id) = (rig.other.clone(), q.clone(), sent.id);
        async move { store.view(&q, id).await.unwrap() }
    };
    assert_eq!(see(&q).await, None);
    let before = rig.clock.now().await;
    push(&rig.store, &q, [sent.clone()]).await;
    let queued = see(&q).await.expect("stored");
    assert!(queued.enqueued_at >= before && queued.enqueued_at <= rig.clock.now().await);
    assert_eq!(queued.ready_at, queued.enqueued_at.plus(rig.span(2)));
    assert_eq!((queued.state, queued.attempts), (CommandState::Queued, 0));
    assert_eq!(
        (queued.priority, queued.group.clone(), queued.deadline),
        (-7, sent.group.clone(), deadline)
    );
    assert_eq!((&queued.payload, &queued.headers), (&sent.payload, &sent.headers));
    assert_eq!((queued.worker, queued.leased_until, queued.ended_at), (None, None, None));
    assert_eq!((queued.progress, queued.last_error), (None, None));

    rig.clock.advance(2).await;
    let leased = take_one(&rig, &q).await;
    rig.store.progress(&q, &leased.lease, json!({"at": 1})).await.unwrap();
    let held = see(&q).await.unwrap();
    assert_eq!((held.state, held.attempts), (CommandState::Leased, 1));
    assert_eq!((held.worker, held.leased_until), (Some(name("worker")), Some(leased.leased_until)));
    assert_eq!(held.progress, Some(json!({"at": 1})));

    // A lease that ran out shows as what the next lease would make of it.
    rig.clock.advance(10).await;
    let lost = see(&q).await.unwrap();
    assert_eq!((lost.state, lost.attempts), (CommandState::Queued, 1));
    assert_eq!((lost.worker, lost.leased_until, lost.ready_at), (None, None, leased.leased_until));
    assert_eq!(lost.last_error.as_deref(), Some(hexmem_ports::rules::LEASE_RAN_OUT));

    let again = take_one(&rig, &q).await;
    rig.store.fail(&q, &again.lease, failure("why", Verdict::Dead)).await.unwrap();
    let dead = see(&q).await.unwrap();
    assert_eq!((dead.state, dead.attempts), (CommandState::Dead, 2));
    assert_eq!((dead.last_error.as_deref(), dead.worker), (Some("why"), None));
    assert!(dead.ended_at.is_some() && dead.payload == sent.payload);

    assert_eq!(see(&queue(&rig, "other")).await, None, "another queue");
    assert_eq!(see(&QueueId::new(other_tenant(), name("q"))).await, None, "another tenant");
}

/// `QUEUE-RESULT-1`
pub async fn queue_result_1(rig: Queue) {
    let q = queue(&rig, "q");
    let result = |q: &QueueId, id| {
        let (store, q) = (rig.other.clone(), q.clone());
        async move { store.result(&q, id, Duration::ZERO).await.unwrap() }
    };
    push(&rig.store, &q, [command(&rig, "a")]).await;
    let leased = take_one(&rig, &q).await;
    assert_eq!(result(&q, leased.id).await, None, "it has not ended");
    assert_eq!(result(&q, CommandId(Uuid::new_v4())).await, None, "unknown");
    ack(&rig.store, &q, leased.lease, "answer").await.unwrap();
    let first = result(&q, leased.id).await.expect("ended");
    assert_eq!(first.result.as_deref(), Some(b"answer".as_slice()));
    rig.clock.advance(19).await;
    for _ in 0..3 {
        assert_eq!(result(&q, leased.id).await, Some(first.clone()), "as often as wished");
    }
    assert_eq!(result(&queue(&rig, "other"), leased.id).await, None);
    assert_eq!(result(&QueueId::new(other_tenant(), name("q")), leased.id).await, None);
    rig.clock.advance(1).await;
    assert_eq!(result(&q, leased.id).await, None, "its time to live is over");
    assert_eq!(state(&rig, &q, leased.id).await, None);
    // A dead letter stays.
    let dead = bury(&rig, &q, "b", "e").await;
    rig.clock.advance(100).await;
    assert_eq!(result(&q, dead).await.expect("kept").state, CommandState::Dead);
}

/// `QUEUE-RESULT-2`
pub async fn queue_result_2(rig: Queue) {
    let q = queue(&rig, "q");
    let long = rig.span(1_000);
    let wait_for = |id, wait| {
        let (store, q) = (rig.store.clone(), q.clone());
        tokio::spawn(async move { store.result(&q, id, wait).await.unwrap() })
    };
    // Ends by an ack through the other handle.
    push(&rig.store, &q, [command(&rig, "a")]).await;
    let leased = take_one(&rig, &q).await;
    let waiter = wait_for(leased.id, long);
    tokio::task::yield_now().await;
    ack(&rig.other, &q, leased.lease, "answer").await.unwrap();
    let result = rig.within(8, waiter).await.unwrap().expect("it ended");
    assert_eq!(result.result.as_deref(), Some(b"answer".as_slice()));
    // Ends by time alone: its deadline passes.
    let deadline = Some(rig.clock.now().await.plus(rig.span(5)));
    let mortal = NewCommand { deadline, ..command(&rig, "b") };
    push(&rig.store, &q, [mortal.clone()]).await;
    let result = rig.within(25, wait_for(mortal.id, long)).await.unwrap().expect("it ended");
    assert_eq!(result.state, CommandState::Dead);
    // The wait is over.
    push(&rig.store, &q, [command(&rig, "c")]).await;
    let open = take_one(&rig, &q).await;
    let start = rig.clock.now().await;
    let result = rig.within(20, wait_for(open.id, rig.span(3))).await.unwrap();
    assert_eq!(result, None);
    assert!(rig.clock.now().await.since(start) >= rig.span(3));
}
