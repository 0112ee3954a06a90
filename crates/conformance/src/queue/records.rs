//! Records and effects of the queue.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::{
    CommandId, CommandQueue, DeadLetters, Dedupe, Effect, Enqueued, Failure, LeaseRequest,
    LeaseToken, Limit, NewCommand, QueueId, QueueLimits, Verdict, WhenIdle,
};
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Queue, ack, command, payloads, push, queue, take, take_one};
use crate::outbox::{self, Emits};
use crate::records::{self, Subject};
use crate::{Rig, name};

/// Numbered commands, each in a queue of its own, so that a lease takes just that one.
struct Commands {
    rig: Queue,
    template: NewCommand,
    leases: Mutex<HashMap<u32, LeaseToken>>,
}

impl Commands {
    fn of(rig: &Queue) -> Self {
        Self { rig: rig.clone(), template: command(rig, "a"), leases: Mutex::default() }
    }

    fn at(&self, n: u32) -> (QueueId, CommandId) {
        (queue(&self.rig, &format!("q{n}")), CommandId(Uuid::from_u128(u128::from(n) + 1)))
    }

    async fn lease(&self, store: &dyn CommandQueue, n: u32) -> LeaseToken {
        let mut leases = self.leases.lock().await;
        if let Some(lease) = leases.get(&n) {
            return *lease;
        }
        let request = LeaseRequest {
            worker: name("w"),
            max: Limit::default(),
            visibility: self.rig.ttl(100),
            wait: Duration::ZERO,
        };
        let leased = store.lease(&self.at(n).0, request).await.unwrap();
        let lease = leased.first().expect("it waits").lease;
        leases.insert(n, lease);
        lease
    }
}

#[async_trait]
impl Subject<dyn CommandQueue> for Commands {
    async fn create(&self, store: &dyn CommandQueue, n: u32) {
        let (queue, id) = self.at(n);
        let one = NewCommand { id, payload: vec![0, 0xff, 1], ..self.template.clone() };
        let answer = store.enqueue(&queue, vec![one], WhenIdle::Store, vec![]).await.unwrap();
        assert_eq!(answer, [Enqueued::Queued]);
    }
    async fn change(&self, store: &dyn CommandQueue, n: u32) {
        let lease = self.lease(store, n).await;
        store.progress(&self.at(n).0, &lease, json!({"half": n})).await.unwrap();
    }
    async fn delete(&self, store: &dyn CommandQueue, n: u32) {
        let (queue, id) = self.at(n);
        let lease = self.lease(store, n).await;
        let failure = Failure { error: "e".into(), verdict: Verdict::Dead };
        store.fail(&queue, &lease, failure).await.unwrap();
        assert_eq!(store.purge(&queue, DeadLetters::Only(vec![id])).await.unwrap(), 1);
    }
    async fn read(&self, store: &dyn CommandQueue, n: u32) -> Option<String> {
        let (queue, id) = self.at(n);
        store.view(&queue, id).await.unwrap().map(|view| format!("{view:?}"))
    }
    fn life(&self) -> Option<u32> {
        None
    }
}

/// Commands that ended: their outcome expires.
struct Ended(Commands);

#[async_trait]
impl Subject<dyn CommandQueue> for Ended {
    async fn create(&self, store: &dyn CommandQueue, n: u32) {
        self.0.create(store, n).await;
        let (queue, id) = self.0.at(n);
        store.cancel(&queue, id).await.unwrap();
    }
    async fn change(&self, _: &dyn CommandQueue, _: u32) {}
    async fn delete(&self, _: &dyn CommandQueue, _: u32) {}
    async fn read(&self, store: &dyn CommandQueue, n: u32) -> Option<String> {
        self.0.read(store, n).await
    }
    fn life(&self) -> Option<u32> {
        Some(20)
    }
    fn leaves_tombstone(&self) -> bool {
        false
    }
}

/// `REC-KIND-1`
pub async fn rec_kind_1(rig: Queue) {
    records::kind_1(rig.clone(), Commands::of(&rig)).await;
}

/// `REC-SCAN-1`
pub async fn rec_scan_1(rig: Queue) {
    records::scan_1(rig.clone(), Commands::of(&rig)).await;
}

/// `REC-SCAN-2`
pub async fn rec_scan_2(rig: Queue) {
    records::scan_2(rig.clone(), Commands::of(&rig)).await;
    records::scan_2(rig.clone(), Ended(Commands::of(&rig))).await;
}

/// `REC-RESTORE-1`
pub async fn rec_restore_1(rig: Queue) {
    records::restore_1(rig.clone(), Commands::of(&rig)).await;
    whole_queue(&rig).await;
}

/// A queue with something of everything reads and behaves the same in the copy.
async fn whole_queue(rig: &Queue) {
    let q = queue(rig, "whole");
    let of = |text: &str| NewCommand { group: Some(name("g")), ..command(rig, text) };
    let deduped = NewCommand {
        dedupe: Some(Dedupe { key: name("k"), window: rig.ttl(100) }),
        ..command(rig, "deduped")
    };
    push(&rig.store, &q, [command(rig, "done"), of("1"), deduped.clone(), of("2")]).await;
    let urgent = NewCommand { priority: 5, ..command(rig, "urgent") };
    let delayed = NewCommand { delay: Some(rig.ttl(5)), ..command(rig, "delayed") };
    let held = take(rig, &rig.store, &q, 2).await;
    assert_eq!(payloads(&held), ["done", "1"]);
    push(&rig.store, &q, [urgent, delayed, of("3")]).await;
    ack(&rig.store, &q, held[0].lease, "result").await.unwrap();
    let limits = QueueLimits { max_in_flight: Some(50), rate: None };
    rig.store.set_limits(&q, limits).await.unwrap();
    let schedule = super::schedules::schedule(rig, "s", None);
    rig.store.put_schedule(&q, schedule, 0).await.unwrap();
    let gone = super::schedules::schedule(rig, "gone", None);
    rig.store.put_schedule(&q, gone.clone(), 0).await.unwrap();
    rig.store.delete_schedule(&q, &gone.name).await.unwrap();

    let (copy, copied) = rig.twin.as_ref().expect("a rig that declares records has a twin");
    // In pages, as a migration moves them.
    let from = rig.records.as_deref().expect("a rig that declares records has them");
    for part in records::scan_all(from, 3).await.chunks(3) {
        copied.restore(part.to_vec()).await.unwrap();
    }
    let there = Rig { store: copy.clone(), other: copy.clone(), ..rig.clone() };
    assert_eq!(copy.limits(&q).await.unwrap(), limits);
    let schedules = |store: super::Store| {
        let q = q.clone();
        async move { store.schedules(&q, None, Limit::default()).await.unwrap().items }
    };
    assert_eq!(schedules(copy.clone()).await, schedules(rig.store.clone()).await);
    assert_eq!(
        copy.result(&q, held[0].id, Duration::ZERO).await.unwrap(),
        rig.store.result(&q, held[0].id, Duration::ZERO).await.unwrap()
    );
    let again = NewCommand { id: CommandId(Uuid::new_v4()), ..deduped.clone() };
    let answer = copy.enqueue(&q, vec![again], WhenIdle::Store, vec![]).await.unwrap();
    assert_eq!(answer, [Enqueued::Duplicate(deduped.id)], "the key is remembered");
    // The worker goes on with the lease it has; order and groups hold.
    assert_eq!(payloads(&take(&there, copy, &q, 10).await), ["urgent", "deduped"]);
    ack(copy, &q, held[1].lease, "").await.unwrap();
    push(copy, &q, [command(rig, "later")]).await;
    assert_eq!(payloads(&take(&there, copy, &q, 10).await), ["2", "later"]);
    rig.clock.advance(5).await;
    assert_eq!(take_one(&there, &q).await.payload, b"delayed");
}

/// `REC-RESTORE-2`
pub async fn rec_restore_2(rig: Queue) {
    records::restore_2(rig.clone(), Commands::of(&rig)).await;
}

/// `REC-RESTORE-3`
pub async fn rec_restore_3(rig: Queue) {
    records::restore_3(rig.clone(), Commands::of(&rig)).await;
}

/// `REC-RESTORE-4`
pub async fn rec_restore_4(rig: Queue) {
    records::restore_4(rig.clone(), Commands::of(&rig)).await;
}

/// Effects ride on an enqueue.
struct Enqueues {
    queue: QueueId,
    template: NewCommand,
}

impl Enqueues {
    fn of(rig: &Queue) -> Self {
        let template = NewCommand {
            dedupe: Some(Dedupe { key: name("taken"), window: rig.ttl(1_000) }),
            ..command(rig, "a")
        };
        Self { queue: queue(rig, "q"), template }
    }

    fn fresh(&self) -> CommandId {
        CommandId(Uuid::now_v7())
    }
}

#[async_trait]
impl Emits<dyn CommandQueue> for Enqueues {
    async fn commit(&self, store: &dyn CommandQueue, effects: Vec<Effect>) {
        let one = NewCommand { id: self.fresh(), dedupe: None, ..self.template.clone() };
        store.enqueue(&self.queue, vec![one], WhenIdle::Store, effects).await.unwrap();
    }
    async fn refuse(&self, store: &dyn CommandQueue, effects: Vec<Effect>) {
        let first = self.template.clone();
        store.enqueue(&self.queue, vec![first], WhenIdle::Store, vec![]).await.unwrap();
        let second = NewCommand { id: self.fresh(), ..self.template.clone() };
        let answer =
            store.enqueue(&self.queue, vec![second], WhenIdle::Store, effects).await.unwrap();
        assert_eq!(answer, [Enqueued::Duplicate(self.template.id)]);
    }
}

/// `OUTBOX-LEASE-1`
pub async fn outbox_lease_1(rig: Queue) {
    outbox::lease_1(rig.clone(), Enqueues::of(&rig)).await;
}

/// `OUTBOX-LEASE-2`
pub async fn outbox_lease_2(rig: Queue) {
    outbox::lease_2(rig.clone(), Enqueues::of(&rig)).await;
}

/// `OUTBOX-LEASE-3`
pub async fn outbox_lease_3(rig: Queue) {
    outbox::lease_3(rig.clone(), Enqueues::of(&rig)).await;
}

/// `OUTBOX-LEASE-4`
pub async fn outbox_lease_4(rig: Queue) {
    outbox::lease_4(rig.clone(), Enqueues::of(&rig)).await;
}

/// `OUTBOX-ACK-1`
pub async fn outbox_ack_1(rig: Queue) {
    outbox::ack_1(rig.clone(), Enqueues::of(&rig)).await;
}

/// `OUTBOX-ACK-2`
pub async fn outbox_ack_2(rig: Queue) {
    outbox::ack_2(rig.clone(), Enqueues::of(&rig)).await;
}

/// `OUTBOX-DEPTH-1`
pub async fn outbox_depth_1(rig: Queue) {
    outbox::depth_1(rig.clone(), Enqueues::of(&rig)).await;
}
