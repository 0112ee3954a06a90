//! What a worker says about its delivery: `extend`, `ack`, `fail`, `release`, `progress`.

use futures::future::join_all;
use hexmem_ports::rules::{RetryPolicy, backoff};
use hexmem_ports::{
    Ack, CancelOutcome, CommandId, CommandState, FAILURE_LIMIT, FailOutcome, LeaseToken,
    NewCommand, Verdict,
};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

use super::{
    Queue, ack, assert_dead_lease, assert_stale, command, extend, failure, payloads, push, queue,
    state, take, take_one,
};
use crate::outbox::{drain, effect, effects_of};

/// `QUEUE-EXTEND-1`
pub async fn queue_extend_1(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, [command(&rig, "a")]).await;
    let leased = take_one(&rig, &q).await;
    for _ in 0..3 {
        rig.clock.advance(8).await;
        let before = rig.clock.now().await;
        let extended = extend(&rig.other, &q, leased.lease, rig.ttl(10)).await.unwrap();
        let after = rig.clock.now().await;
        assert!(extended.leased_until >= before.plus(rig.span(10)), "from now on");
        assert!(extended.leased_until <= after.plus(rig.span(10)));
        assert!(!extended.cancel_requested);
        assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
    }
    let shorter = extend(&rig.store, &q, leased.lease, rig.ttl(2)).await.unwrap();
    let view = rig.store.view(&q, leased.id).await.unwrap().unwrap();
    assert_eq!(view.leased_until, Some(shorter.leased_until));
    rig.clock.advance(2).await;
    let again = take(&rig, &rig.store, &q, 10).await;
    assert_eq!(again[0].attempt, 2, "an extension is no attempt");
}

/// `QUEUE-EXTEND-2`
pub async fn queue_extend_2(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, [command(&rig, "a")]).await;
    let leased = take_one(&rig, &q).await;
    let forged = LeaseToken { secret: leased.lease.secret ^ 1, ..leased.lease };
    let other_attempt = LeaseToken { attempt: 2, ..leased.lease };
    let unknown = LeaseToken { command: CommandId(Uuid::new_v4()), ..leased.lease };
    for lease in [forged, other_attempt, unknown] {
        assert_dead_lease(&rig, &q, &lease).await;
    }
    assert_stale(extend(&rig.store, &queue(&rig, "none"), leased.lease, rig.ttl(1)).await);
    rig.clock.advance(10).await;
    assert_stale(extend(&rig.store, &q, leased.lease, rig.ttl(10)).await);
    assert_dead_lease(&rig, &q, &leased.lease).await;
    let again = take_one(&rig, &q).await;
    assert_dead_lease(&rig, &q, &leased.lease).await;
    ack(&rig.store, &q, again.lease, "").await.unwrap();
    assert_stale(extend(&rig.store, &q, again.lease, rig.ttl(10)).await);
}

/// `QUEUE-EXTEND-3`
pub async fn queue_extend_3(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, [command(&rig, "a")]).await;
    let leased = take_one(&rig, &q).await;
    let extended = extend(&rig.store, &q, leased.lease, rig.ttl(10)).await.unwrap();
    assert!(!extended.cancel_requested);
    assert_eq!(rig.other.cancel(&q, leased.id).await.unwrap(), CancelOutcome::Requested);
    for _ in 0..2 {
        let extended = extend(&rig.store, &q, leased.lease, rig.ttl(10)).await.unwrap();
        assert!(extended.cancel_requested);
    }
}

/// `QUEUE-EXTEND-4`
pub async fn queue_extend_4(rig: Queue) {
    let q = queue(&rig, "q");
    assert!(rig.store.extend(&q, vec![], rig.ttl(10)).await.unwrap().is_empty());
    push(&rig.store, &q, ["a", "b", "c"].map(|text| command(&rig, text))).await;
    let held = take(&rig, &rig.store, &q, 3).await;
    rig.clock.advance(8).await;
    ack(&rig.store, &q, held[1].lease, "done").await.unwrap();
    let leases = held.iter().map(|one| one.lease).collect();
    let before = rig.clock.now().await;
    let answers = rig.other.extend(&q, leases, rig.ttl(10)).await.unwrap();
    assert_eq!(answers.len(), 3, "an answer for each");
    for (i, answer) in answers.into_iter().enumerate() {
        if i == 1 {
            assert_stale(answer);
        } else {
            assert!(answer.unwrap().leased_until >= before.plus(rig.span(10)));
        }
    }
    rig.clock.advance(8).await;
    assert_eq!(take(&rig, &rig.store, &q, 10).await, [], "both are still held");
    for one in [&held[0], &held[2]] {
        ack(&rig.store, &q, one.lease, "").await.unwrap();
    }
}

/// `QUEUE-ACK-1`
pub async fn queue_ack_1(rig: Queue) {
    let q = queue(&rig, "q");
    assert_eq!(rig.store.ack(&q, vec![], vec![]).await.unwrap().len(), 0);
    let results = [
        None,
        Some(vec![]),
        Some(vec![0, 0xff, 0]),
        Some(b"text".to_vec()),
        Some(vec![1; 1 << 20]),
    ];
    push(&rig.store, &q, (0..results.len()).map(|i| command(&rig, &i.to_string()))).await;
    let leased = take(&rig, &rig.store, &q, 10).await;
    let acks = leased.iter().zip(&results);
    let acks = acks.map(|(one, result)| Ack { lease: one.lease, result: result.clone() }).collect();
    let answers = rig.store.ack(&q, acks, vec![]).await.unwrap();
    assert!(answers.iter().all(Result::is_ok) && answers.len() == results.len());
    for (one, expected) in leased.iter().zip(&results) {
        let result = rig.other.result(&q, one.id, Duration::ZERO).await.unwrap().expect("ended");
        assert_eq!((result.state, &result.result), (CommandState::Completed, expected));
        assert_eq!((result.attempts, result.error), (1, None));
    }
    rig.clock.advance(15).await;
    assert_eq!(take(&rig, &rig.store, &q, 10).await, [], "never again");
}

/// `QUEUE-ACK-2`
pub async fn queue_ack_2(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, [command(&rig, "late"), command(&rig, "good")]).await;
    let late = take_one(&rig, &q).await;
    rig.clock.advance(10).await;
    let current = take(&rig, &rig.store, &q, 10).await;
    assert_eq!(payloads(&current), ["late", "good"]);
    let unknown = LeaseToken { command: CommandId(Uuid::new_v4()), ..late.lease };
    let done = |lease, text: &str| Ack { lease, result: Some(text.as_bytes().to_vec()) };
    let acks = vec![done(late.lease, "old"), done(current[1].lease, "b"), done(unknown, "x")];
    let mut answers = rig.store.ack(&q, acks, vec![]).await.unwrap();
    assert_eq!(answers.len(), 3);
    assert_stale(answers.pop().unwrap());
    answers.pop().unwrap().unwrap();
    assert_stale(answers.pop().unwrap());
    assert_eq!(state(&rig, &q, late.id).await, Some(CommandState::Leased), "not completed");
    ack(&rig.store, &q, current[0].lease, "new").await.unwrap();
    let result = rig.store.result(&q, late.id, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!((result.result.as_deref(), result.attempts), (Some(b"new".as_slice()), 2));
    let answers = rig.store.ack(&queue(&rig, "none"), vec![done(late.lease, "")], vec![]).await;
    assert_stale(answers.unwrap().remove(0));
}

/// `QUEUE-ACK-3`
pub async fn queue_ack_3(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, [command(&rig, "a")]).await;
    let leased = take_one(&rig, &q).await;
    ack(&rig.store, &q, leased.lease, "first").await.unwrap();
    let before = rig.store.result(&q, leased.id, Duration::ZERO).await.unwrap();
    rig.clock.advance(12).await;
    ack(&rig.other, &q, leased.lease, "second").await.unwrap();
    ack(&rig.store, &q, leased.lease, "third").await.unwrap();
    let after = rig.store.result(&q, leased.id, Duration::ZERO).await.unwrap();
    assert_eq!(after, before, "the first result stays, with its time");
    assert_eq!(after.unwrap().result.as_deref(), Some(b"first".as_slice()));
    rig.clock.advance(8).await;
    assert_stale(ack(&rig.store, &q, leased.lease, "late").await);
}

/// `QUEUE-ACK-4`
pub async fn queue_ack_4(rig: Queue) {
    let q = queue(&rig, "q");
    let retry = RetryPolicy { max_attempts: 10, ..command(&rig, "").retry };
    push(&rig.store, &q, [NewCommand { retry, ..command(&rig, "a") }]).await;
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(take_one(&rig, &q).await.lease);
        rig.clock.advance(10).await;
    }
    let current = take_one(&rig, &q).await;
    leases.push(current.lease);
    let stores = [&rig.store, &rig.other];
    let acks = (0..20).map(|i| {
        let lease = leases[i % 5];
        let (store, q) = (stores[i % 2], &q);
        async move { (lease, ack(store, q, lease, &lease.attempt.to_string()).await) }
    });
    for (lease, answer) in join_all(acks).await {
        if lease == current.lease { answer.unwrap() } else { assert_stale(answer) }
    }
    let result = rig.store.result(&q, current.id, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!((result.result.as_deref(), result.attempts), (Some(b"5".as_slice()), 5));
}

/// `QUEUE-ACK-5`
pub async fn queue_ack_5(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, ["a", "b", "c"].map(|text| command(&rig, text))).await;
    let leased = take(&rig, &rig.store, &q, 10).await;
    let done = |i: usize| Ack { lease: leased[i].lease, result: None };
    let stale = Ack { lease: LeaseToken { attempt: 7, ..leased[2].lease }, result: None };
    rig.store.ack(&q, vec![done(0), stale], vec![effect("with a stale one", 1)]).await.unwrap();
    assert_eq!(state(&rig, &q, leased[0].id).await, Some(CommandState::Completed));
    rig.store.ack(&q, vec![done(1), done(0)], vec![effect("completed", 1)]).await.unwrap();
    rig.store.ack(&q, vec![done(0), done(1)], vec![effect("a repeat", 1)]).await.unwrap();
    let keys: Vec<_> = effects_of(drain(&rig).await).into_iter().map(|e| e.key).collect();
    assert_eq!(keys, [crate::name("completed")]);
}

/// `QUEUE-FAIL-1`
pub async fn queue_fail_1(rig: Queue) {
    let q = queue(&rig, "q");
    let jitter = RetryPolicy { jitter_percent: 50, ..command(&rig, "").retry };
    let sent = NewCommand { retry: jitter, ..command(&rig, "a") };
    push(&rig.store, &q, [sent.clone()]).await;
    for attempt in 1..=2 {
        let leased = take_one(&rig, &q).await;
        assert_eq!(leased.attempt, attempt);
        let wait = backoff(&jitter, sent.id, attempt);
        let before = rig.clock.now().await;
        let retry = failure("no luck", Verdict::Retry);
        let outcome = rig.store.fail(&q, &leased.lease, retry).await.unwrap();
        let after = rig.clock.now().await;
        let FailOutcome::RetryAt(at) = outcome else { panic!("{outcome:?}") };
        assert!(at >= before.plus(wait) && at <= after.plus(wait), "the policy's backoff");
        let view = rig.other.view(&q, sent.id).await.unwrap().unwrap();
        assert_eq!((view.state, view.ready_at), (CommandState::Queued, at));
        assert_eq!(view.last_error.as_deref(), Some("no luck"));
        // The first wait is at least two units, the second at least four.
        rig.clock.advance(if attempt == 1 { 1 } else { 3 }).await;
        assert_eq!(take(&rig, &rig.store, &q, 10).await, [], "not before");
        rig.clock.advance(if attempt == 1 { 3 } else { 5 }).await;
    }
    let leased = take_one(&rig, &q).await;
    let after = Verdict::RetryAfter(rig.span(3));
    let outcome = rig.store.fail(&q, &leased.lease, failure("e", after)).await.unwrap();
    assert_eq!(outcome, FailOutcome::Dead, "three attempts are all");

    push(&rig.store, &q, [command(&rig, "b")]).await;
    let leased = take_one(&rig, &q).await;
    rig.store.fail(&q, &leased.lease, failure("e", after)).await.unwrap();
    rig.clock.advance(2).await;
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
    rig.clock.advance(1).await;
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 10).await), ["b"]);
}

/// `QUEUE-FAIL-2`
pub async fn queue_fail_2(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, [command(&rig, "for good")]).await;
    let leased = take_one(&rig, &q).await;
    let long = format!("a\u{0}b{}", "\u{20ac}".repeat(5_000));
    let outcome = rig.store.fail(&q, &leased.lease, failure(&long, Verdict::Dead)).await.unwrap();
    assert_eq!(outcome, FailOutcome::Dead);
    let result = rig.other.result(&q, leased.id, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!((result.state, result.attempts), (CommandState::Dead, 1));
    let kept = result.error.expect("a dead letter says why");
    assert!(kept.starts_with("a\u{fffd}b\u{20ac}") && kept.len() <= FAILURE_LIMIT);
    assert!(kept.len() > FAILURE_LIMIT - 4, "cut between characters, not before");

    // Out of attempts.
    push(&rig.store, &q, [command(&rig, "again and again")]).await;
    let soon = Verdict::RetryAfter(Duration::ZERO);
    let mut last = None;
    for attempt in 1..=3 {
        let leased = take_one(&rig, &q).await;
        assert_eq!(leased.attempt, attempt);
        let error = failure(&format!("number {attempt}"), soon);
        last = Some(rig.store.fail(&q, &leased.lease, error).await.unwrap());
    }
    assert_eq!(last, Some(FailOutcome::Dead));
    // The retry would come too late.
    let deadline = Some(rig.clock.now().await.plus(rig.span(4)));
    push(&rig.store, &q, [NewCommand { deadline, ..command(&rig, "late") }]).await;
    let leased = take_one(&rig, &q).await;
    let late = failure("too late", Verdict::RetryAfter(rig.span(5)));
    assert_eq!(rig.store.fail(&q, &leased.lease, late).await.unwrap(), FailOutcome::Dead);

    let dead = rig.store.dead(&q, None, Default::default()).await.unwrap().items;
    let errors: Vec<_> = dead.iter().filter_map(|view| view.last_error.clone()).collect();
    assert_eq!(errors.len(), 3);
    assert!(errors.contains(&"number 3".to_owned()) && errors.contains(&"too late".to_owned()));
    rig.clock.advance(40).await;
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
}

/// `QUEUE-FAIL-3`
pub async fn queue_fail_3(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, [command(&rig, "a")]).await;
    let leased = take_one(&rig, &q).await;
    let fail = |error: &str, verdict| rig.other.fail(&q, &leased.lease, failure(error, verdict));
    let first = fail("first", Verdict::Retry).await.unwrap();
    let before = rig.store.view(&q, leased.id).await.unwrap();
    rig.clock.advance(1).await;
    assert_eq!(fail("second", Verdict::Dead).await.unwrap(), first, "a repeat");
    assert_eq!(rig.store.view(&q, leased.id).await.unwrap(), before, "which changes nothing");
    assert_stale(ack(&rig.store, &q, leased.lease, "").await);
    rig.clock.advance(3).await;
    let again = take_one(&rig, &q).await;
    assert_dead_lease(&rig, &q, &leased.lease).await;

    rig.store.fail(&q, &again.lease, failure("dead", Verdict::Dead)).await.unwrap();
    let repeat = rig.store.fail(&q, &again.lease, failure("x", Verdict::Retry)).await.unwrap();
    assert_eq!(repeat, FailOutcome::Dead);
    push(&rig.store, &q, [command(&rig, "b")]).await;
    let late = take_one(&rig, &q).await;
    rig.clock.advance(10).await;
    assert_stale(rig.store.fail(&q, &late.lease, failure("late", Verdict::Dead)).await);
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 10).await), ["b"]);
}

/// `QUEUE-FAIL-4`
pub async fn queue_fail_4(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, [command(&rig, "a")]).await;
    let leased = take_one(&rig, &q).await;
    rig.store.cancel(&q, leased.id).await.unwrap();
    let retry = failure("stopped", Verdict::Retry);
    let outcome = rig.store.fail(&q, &leased.lease, retry).await.unwrap();
    assert_eq!(outcome, FailOutcome::Cancelled);
    let result = rig.store.result(&q, leased.id, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(result.state, CommandState::Cancelled);
    rig.clock.advance(15).await;
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
}

/// `QUEUE-RELEASE-1`
pub async fn queue_release_1(rig: Queue) {
    let q = queue(&rig, "q");
    let retry = RetryPolicy { max_attempts: 1, ..command(&rig, "").retry };
    push(&rig.store, &q, [NewCommand { retry, ..command(&rig, "a") }]).await;
    let mut old = Vec::new();
    for _ in 0..5 {
        let leased = take_one(&rig, &q).await;
        assert_eq!((leased.attempt, leased.lease.attempt), (1, 1), "it does not count");
        assert!(!old.contains(&leased.lease), "another token");
        rig.other.release(&q, &leased.lease).await.unwrap();
        assert_stale(extend(&rig.store, &q, leased.lease, rig.ttl(10)).await);
        assert_stale(ack(&rig.store, &q, leased.lease, "late").await);
        let view = rig.store.view(&q, leased.id).await.unwrap().unwrap();
        assert_eq!((view.state, view.attempts), (CommandState::Queued, 0));
        assert_eq!((view.worker, view.leased_until), (None, None));
        old.push(leased.lease);
    }
    let leased = take_one(&rig, &q).await;
    for lease in &old {
        assert_dead_lease(&rig, &q, lease).await;
    }
    ack(&rig.store, &q, leased.lease, "").await.unwrap();
}

/// `QUEUE-RELEASE-2`
pub async fn queue_release_2(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, [command(&rig, "a")]).await;
    let first = take_one(&rig, &q).await;
    rig.store.release(&q, &first.lease).await.unwrap();
    let before = rig.store.view(&q, first.id).await.unwrap();
    rig.other.release(&q, &first.lease).await.unwrap();
    assert_eq!(rig.store.view(&q, first.id).await.unwrap(), before, "a repeat changes nothing");
    let second = take_one(&rig, &q).await;
    assert_stale(rig.store.release(&q, &first.lease).await);
    assert_eq!(state(&rig, &q, first.id).await, Some(CommandState::Leased));
    rig.clock.advance(10).await;
    assert_stale(rig.store.release(&q, &second.lease).await);
    let third = take_one(&rig, &q).await;
    assert_eq!(third.attempt, 2, "the run-out lease counted");
    ack(&rig.store, &q, third.lease, "").await.unwrap();
    assert_stale(rig.store.release(&q, &third.lease).await);
    assert_eq!(state(&rig, &q, first.id).await, Some(CommandState::Completed));
}

/// `QUEUE-RELEASE-3`
pub async fn queue_release_3(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, [command(&rig, "a")]).await;
    let leased = take_one(&rig, &q).await;
    rig.store.cancel(&q, leased.id).await.unwrap();
    rig.store.release(&q, &leased.lease).await.unwrap();
    assert_eq!(state(&rig, &q, leased.id).await, Some(CommandState::Cancelled));
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
}

/// `QUEUE-PROGRESS-1`
pub async fn queue_progress_1(rig: Queue) {
    let q = queue(&rig, "q");
    push(&rig.store, &q, [command(&rig, "a")]).await;
    let leased = take_one(&rig, &q).await;
    for progress in [json!({"done": 1, "of": 3}), json!("half"), json!(null), json!([i64::MAX])] {
        rig.store.progress(&q, &leased.lease, progress.clone()).await.unwrap();
        let view = rig.other.view(&q, leased.id).await.unwrap().unwrap();
        assert_eq!(view.progress, Some(progress));
    }
    let bad = rig.store.progress(&q, &leased.lease, json!("\u{0}")).await.unwrap_err();
    assert_eq!(bad.kind(), hexmem_ports::ErrorKind::Invalid);
    rig.clock.advance(10).await;
    assert_stale(rig.store.progress(&q, &leased.lease, json!("late")).await);
    let view = rig.other.view(&q, leased.id).await.unwrap().unwrap();
    assert_eq!(view.progress, Some(json!([i64::MAX])));
}
