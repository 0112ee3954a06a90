//! Effects that are enqueues, from an outbox to the queues: in order, once, and nothing lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, MemoryOutbox, MemoryQueue};
use hexmem_command_queue::{
    Commands, ENQUEUE_TOPIC, PushOptions, Relay, RelayReport, no_other_effects,
};
use hexmem_ports::{
    Clock as _, CommandQueue, Effect, Error, ErrorKind, Leased, Limit, Name, Outbox, QueueId,
    Result, Tenant, Ttl, WhenIdle,
};
use serde_json::json;
use uuid::Uuid;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

struct Both {
    /// Where changes are made, with effects.
    source: Commands,
    outbox: MemoryOutbox,
    /// Where commands go: another store.
    target: Commands,
    clock: Arc<ManualClock>,
}

impl Both {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let outbox = MemoryOutbox::new(clock.clone());
        let queue = |text| QueueId::new(Tenant(name("t")), name(text));
        let source = Arc::new(MemoryQueue::new(clock.clone(), outbox.clone()));
        let target = Arc::new(MemoryQueue::new(clock.clone(), MemoryOutbox::new(clock.clone())));
        Self {
            source: Commands::new(source, clock.clone(), queue("changes")),
            target: Commands::new(target, clock.clone(), queue("jobs")),
            outbox,
            clock,
        }
    }

    fn relay(&self) -> Relay {
        let outbox: Arc<dyn Outbox> = Arc::new(self.outbox.clone());
        Relay::new(outbox, self.target.store().clone(), self.clock.clone())
    }

    /// A write of another store that brings effects.
    async fn write(&self, effects: Vec<Effect>) {
        let change = vec![self.source.command("", &PushOptions::default())];
        self.source.push_many(change, effects).await.unwrap();
    }

    fn effect(&self, payload: impl Into<Vec<u8>>) -> Effect {
        self.target.effect(payload, &PushOptions::default()).unwrap()
    }

    async fn payloads(&self) -> Vec<Vec<u8>> {
        let (max, held) = (Limit::new(1_000).unwrap(), Ttl::secs(60).unwrap());
        let leased = self.target.lease(&name("w"), max, held, Duration::ZERO).await.unwrap();
        leased.into_iter().map(|one: Leased| one.payload).collect()
    }
}

#[tokio::test]
async fn effects_become_commands_in_the_order_of_their_commits() {
    let both = Both::new();
    both.write(vec![both.effect([0xff, 0]), both.effect("b")]).await;
    both.write(vec![both.effect("c")]).await;
    let stop = both.clock.sleep(Duration::from_secs(1));
    let drive = async {
        for _ in 0..10 {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            both.clock.advance(Duration::from_millis(150));
        }
    };
    let relay = both.relay();
    let (report, ()) = tokio::join!(relay.run(no_other_effects, stop), drive);
    assert_eq!(report.unwrap(), RelayReport { pushed: 3, others: 0 });
    assert_eq!(both.payloads().await, [vec![0xff, 0], b"b".to_vec(), b"c".to_vec()]);
    assert_eq!(both.outbox.depth().await.unwrap(), 0);
}

#[tokio::test]
async fn a_crash_between_push_and_acknowledgement_pushes_nothing_twice() {
    let both = Both::new();
    both.write((0..3).map(|n| both.effect([n])).collect()).await;
    // A relay that got as far as the push, and died.
    let batch = both.outbox.lease(Limit::default(), Ttl::secs(30).unwrap()).await.unwrap().unwrap();
    assert_eq!(batch.entries.len(), 3);
    let pushed: Vec<_> = batch
        .entries
        .iter()
        .map(|entry| hexmem_ports::CommandId(entry.effect.id))
        .map(|id| both.target.command([9], &PushOptions { id: Some(id), ..PushOptions::default() }))
        .collect();
    let store = both.target.store();
    store.enqueue(both.target.queue(), pushed, WhenIdle::Store, vec![]).await.unwrap();
    both.clock.advance(Duration::from_secs(31));
    let mut report = RelayReport::default();
    assert!(both.relay().carry(&no_other_effects, &mut report).await.unwrap());
    assert_eq!(both.payloads().await, [vec![9], vec![9], vec![9]], "the first of each stays");
    assert_eq!(both.outbox.depth().await.unwrap(), 0);
}

#[tokio::test]
async fn other_effects_go_to_their_handler_and_stay_where_it_fails() {
    let both = Both::new();
    let other = |topic: &str, payload| Effect {
        id: Uuid::new_v4(),
        topic: name(topic),
        key: name("entity"),
        payload,
    };
    // One of ours that cannot be read is not ours to drop.
    let broken = other(ENQUEUE_TOPIC, json!({"version": 99}));
    both.write(vec![both.effect("a"), other("index", json!(1)), broken, both.effect("b")]).await;
    let mut report = RelayReport::default();
    let refused = both.relay().carry(&no_other_effects, &mut report).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert_eq!(both.outbox.depth().await.unwrap(), 4, "nothing is lost");
    both.clock.advance(Duration::from_secs(31));
    let seen = RefCell::new(Vec::new());
    let others = |effect: Effect| {
        seen.borrow_mut().push(effect.topic.to_string());
        async { Result::<()>::Ok(()) }
    };
    let mut report = RelayReport::default();
    while both.relay().carry(&others, &mut report).await.unwrap() {}
    assert_eq!((report.pushed, report.others), (2, 2));
    assert_eq!(seen.into_inner(), ["index", ENQUEUE_TOPIC]);
    assert_eq!(both.payloads().await, [b"a".to_vec(), b"b".to_vec()]);
    let failing = |_| async { Err::<(), _>(Error::conflict("test", "no")) };
    both.write(vec![other("index", json!(2))]).await;
    assert!(both.relay().carry(&failing, &mut report).await.is_err());
    assert_eq!(both.outbox.depth().await.unwrap(), 1);
}

#[tokio::test]
async fn an_effect_is_checked_where_it_is_made() {
    let both = Both::new();
    let too_large = vec![0; hexmem_ports::BYTES_LIMIT + 1];
    let idle = WhenIdle::Refuse(Ttl::secs(1).unwrap());
    let refuse = PushOptions { when_idle: idle, ..PushOptions::default() };
    for wrong in [
        both.target.effect(too_large, &PushOptions::default()),
        both.target.effect("x", &refuse),
        both.target.effect("x", &PushOptions { headers: json!("\u{0}"), ..PushOptions::default() }),
    ] {
        assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Invalid);
    }
}
