//! The cases of `CommandQueue`.

mod broken;
pub mod crash;
mod enqueue;
mod groups;
mod lease;
mod manage;
pub mod model;
mod observe;
mod records;
mod schedules;
mod settle;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{
    Ack, CommandId, CommandQueue, CommandState, Enqueued, ErrorKind, Extended, Failure,
    LeaseRequest, LeaseToken, Leased, Limit, NewCommand, QueueId, Result, Ttl, Verdict, WhenIdle,
};
use serde_json::json;
use uuid::Uuid;

use crate::{Rig, name};

pub use broken::broken;
pub use enqueue::*;
pub use groups::*;
pub use lease::*;
pub use manage::*;
pub use observe::*;
pub use records::*;
pub use schedules::*;
pub use settle::*;

type Queue = Rig<dyn CommandQueue>;
type Store = Arc<dyn CommandQueue>;

/// A queue of the case's tenant.
fn queue(rig: &Queue, text: &str) -> QueueId {
    QueueId::new(rig.tenant.clone(), name(text))
}

/// A command with three attempts, a backoff of four units, and results kept for 20.
fn command(rig: &Queue, payload: &str) -> NewCommand {
    let base_ms = u64::try_from(rig.span(4).as_millis()).unwrap();
    NewCommand {
        id: CommandId(Uuid::now_v7()),
        payload: payload.as_bytes().to_vec(),
        headers: json!({ "n": payload }),
        priority: 0,
        delay: None,
        deadline: None,
        dedupe: None,
        group: None,
        retry: RetryPolicy { max_attempts: 3, base_ms, cap_ms: base_ms * 8, jitter_percent: 0 },
        result_ttl: rig.ttl(20),
    }
}

/// Enqueues without effects and expects each to be stored.
async fn push(store: &Store, queue: &QueueId, commands: impl IntoIterator<Item = NewCommand>) {
    let commands: Vec<_> = commands.into_iter().collect();
    let count = commands.len();
    let answers = store.enqueue(queue, commands, WhenIdle::Store, vec![]).await.unwrap();
    assert_eq!(answers, vec![Enqueued::Queued; count]);
}

fn request(rig: &Queue, max: u32) -> LeaseRequest {
    LeaseRequest {
        worker: name("worker"),
        max: Limit::new(max).unwrap(),
        visibility: rig.ttl(10),
        wait: Duration::ZERO,
    }
}

/// Leases up to `max` for ten units, without a wait.
async fn take(rig: &Queue, store: &Store, queue: &QueueId, max: u32) -> Vec<Leased> {
    store.lease(queue, request(rig, max)).await.unwrap()
}

/// Leases exactly one.
async fn take_one(rig: &Queue, queue: &QueueId) -> Leased {
    let mut leased = take(rig, &rig.store, queue, 1).await;
    assert_eq!(leased.len(), 1, "one command is ready");
    leased.remove(0)
}

async fn ack(store: &Store, queue: &QueueId, lease: LeaseToken, result: &str) -> Result<()> {
    let ack = Ack { lease, result: Some(result.as_bytes().to_vec()) };
    let mut answers = store.ack(queue, vec![ack], vec![]).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// Extends one lease.
async fn extend(
    store: &Store,
    queue: &QueueId,
    lease: LeaseToken,
    visibility: Ttl,
) -> Result<Extended> {
    let mut answers = store.extend(queue, vec![lease], visibility).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

fn failure(error: &str, verdict: Verdict) -> Failure {
    Failure { error: error.to_owned(), verdict }
}

fn payloads(leased: &[Leased]) -> Vec<String> {
    leased.iter().map(|one| String::from_utf8_lossy(&one.payload).into_owned()).collect()
}

fn ids(leased: &[Leased]) -> BTreeSet<CommandId> {
    leased.iter().map(|one| one.id).collect()
}

fn assert_stale<T: std::fmt::Debug>(answer: Result<T>) {
    assert_eq!(answer.expect_err("a stale lease is refused").kind(), ErrorKind::StaleLease);
}

/// Every way to present a lease is refused, and the command stays as it is.
async fn assert_dead_lease(rig: &Queue, queue: &QueueId, lease: &LeaseToken) {
    let before = rig.store.view(queue, lease.command).await.unwrap();
    assert_stale(extend(&rig.store, queue, *lease, rig.ttl(10)).await);
    assert_stale(ack(&rig.store, queue, *lease, "late").await);
    assert_stale(rig.store.fail(queue, lease, failure("late", Verdict::Dead)).await);
    assert_stale(rig.store.release(queue, lease).await);
    assert_stale(rig.store.progress(queue, lease, json!("late")).await);
    assert_eq!(rig.store.view(queue, lease.command).await.unwrap(), before, "nothing changed");
}

/// Puts one command into the dead letters with `error`.
async fn bury(rig: &Queue, queue: &QueueId, payload: &str, error: &str) -> CommandId {
    push(&rig.store, queue, [NewCommand { priority: 9, ..command(rig, payload) }]).await;
    let leased = take_one(rig, queue).await;
    rig.store.fail(queue, &leased.lease, failure(error, Verdict::Dead)).await.unwrap();
    leased.id
}

async fn state(rig: &Queue, queue: &QueueId, id: CommandId) -> Option<CommandState> {
    rig.store.view(queue, id).await.unwrap().map(|view| view.state)
}

/// Registers every case of the queue as a test over the rig that `$make` gives, or with `broken` over the
/// doubles that break one clause each.
#[macro_export]
macro_rules! queue_suite {
    ($make:path) => {
        $crate::queue_suite!(@cases [] $make);
    };
    ($make:path, broken) => {
        $crate::queue_suite!(@cases [broken] $make);
    };
    (@cases $mode:tt $make:path) => {
        $crate::suite!($mode queue, $make;
            queue_enq_1, queue_enq_2, queue_enq_3, queue_enq_4, queue_enq_5, queue_enq_6: [Effects],
            queue_lease_1, queue_lease_2, queue_lease_3, queue_lease_4, queue_lease_5, queue_lease_6,
            queue_lease_7, queue_lease_8, queue_lease_9, queue_lease_10, queue_lease_11,
            queue_extend_1, queue_extend_2, queue_extend_3, queue_extend_4,
            queue_ack_1, queue_ack_2, queue_ack_3, queue_ack_4, queue_ack_5: [Effects],
            queue_fail_1, queue_fail_2, queue_fail_3, queue_fail_4,
            queue_release_1, queue_release_2, queue_release_3, queue_progress_1,
            queue_cancel_1, queue_cancel_2, queue_cancel_3, queue_view_1,
            queue_result_1, queue_result_2, queue_dead_1, queue_requeue_1, queue_purge_1,
            queue_stats_1: [ExactCounts], queue_list_1, queue_limits_1, queue_limits_2,
            queue_sched_1, queue_sched_2, queue_sched_3, queue_sched_4, queue_sched_5, queue_sweep_1,
            rec_kind_1: [Records], rec_scan_1: [Records], rec_scan_2: [Records],
            rec_restore_1: [Records], rec_restore_2: [Records], rec_restore_3: [Records],
            rec_restore_4: [Records],
            outbox_lease_1: [Effects], outbox_lease_2: [Effects], outbox_lease_3: [Effects],
            outbox_lease_4: [Effects], outbox_ack_1: [Effects], outbox_ack_2: [Effects],
            outbox_depth_1: [Effects],
        );
    };
}
