//! Cases of the outbox, for every port that takes effects.
//!
//! A port gives an [`Emits`]: how a change of it is made that carries effects. Its own cases
//! (`outbox_lease_1`, ...) call the functions here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::join_all;
use hexmem_ports::{
    Effect, ErrorKind, Limit, Outbox, OutboxBatch, OutboxEntry, OutboxLease, Result, Ttl,
};
use serde_json::json;
use uuid::Uuid;

use crate::{Rig, name};

/// How a port's changes carry effects.
#[async_trait]
pub trait Emits<P: ?Sized>: Send + Sync {
    /// Makes a change that succeeds, another entity each time.
    async fn commit(&self, store: &P, effects: Vec<Effect>);
    /// Tries a change that the store refuses after it has looked at what it holds; panics when it is
    /// not refused.
    async fn refuse(&self, store: &P, effects: Vec<Effect>);
}

/// A fresh effect of `key`, numbered `n`.
pub fn effect(key: &str, n: u32) -> Effect {
    Effect { id: Uuid::new_v4(), topic: name("t"), key: name(key), payload: json!({ "n": n }) }
}

fn outbox<P: ?Sized>(rig: &Rig<P>) -> &dyn Outbox {
    rig.outbox.as_deref().expect("a rig that declares effects has an outbox")
}

fn limit(rows: u32) -> Limit {
    Limit::new(rows).unwrap()
}

/// Leases and acknowledges until nothing is left.
pub async fn drain<P: ?Sized>(rig: &Rig<P>) -> Vec<OutboxEntry> {
    let mut all = Vec::new();
    while let Some(batch) = outbox(rig).lease(limit(100), rig.ttl(5)).await.unwrap() {
        assert!(!batch.entries.is_empty(), "a batch is never empty");
        outbox(rig).ack(batch.lease).await.unwrap();
        all.extend(batch.entries);
        assert!(all.len() < 100_000, "acknowledged entries come again and again");
    }
    all
}

/// The effects of `entries`.
pub fn effects_of(entries: impl IntoIterator<Item = OutboxEntry>) -> Vec<Effect> {
    entries.into_iter().map(|entry| entry.effect).collect()
}

/// `OUTBOX-LEASE-1`
pub async fn lease_1<P: ?Sized>(rig: Rig<P>, emits: impl Emits<P>) {
    let (first, second) = (effect("a", 1), effect("b", 2));
    let refused = effect("c", 3);
    emits.commit(&rig.store, vec![first.clone(), second.clone()]).await;
    emits.refuse(&rig.store, vec![refused]).await;
    emits.commit(&rig.other, vec![]).await;
    let entries = drain(&rig).await;
    let now = rig.clock.now().await;
    assert!(entries.iter().all(|entry| entry.committed_at <= now));
    let mut got = effects_of(entries);
    got.sort_by_key(|effect| effect.key.clone());
    assert_eq!(got, [first, second], "exactly the effects of committed changes");
}

/// `OUTBOX-LEASE-2`
pub async fn lease_2<P: ?Sized>(rig: Rig<P>, emits: impl Emits<P>) {
    for n in 0..12 {
        let store = if n % 2 == 0 { &rig.store } else { &rig.other };
        emits.commit(store, vec![effect("a", n * 2), effect("a", n * 2 + 1), effect("b", n)]).await;
    }
    let mut of_a = Vec::new();
    while let Some(batch) = outbox(&rig).lease(limit(5), rig.ttl(5)).await.unwrap() {
        assert!(batch.entries.len() <= 5, "the limit holds");
        outbox(&rig).ack(batch.lease).await.unwrap();
        of_a.extend(batch.entries.into_iter().filter(|entry| entry.effect.key == name("a")));
    }
    assert!(of_a.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    let numbers: Vec<_> = of_a.iter().map(|e| e.effect.payload["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..24).collect::<Vec<u64>>());
}

/// `OUTBOX-LEASE-3`
pub async fn lease_3<P: ?Sized>(rig: Rig<P>, emits: impl Emits<P>) {
    emits.commit(&rig.store, (0..4).map(|n| effect("a", n)).collect()).await;
    let held = outbox(&rig).lease(limit(2), rig.ttl(5)).await.unwrap().expect("entries wait");
    assert_eq!(held.entries.len(), 2);
    emits.commit(&rig.store, vec![effect("a", 4), effect("b", 0)]).await;
    let next = outbox(&rig).lease(limit(10), rig.ttl(5)).await.unwrap().expect("b is free");
    let keys: BTreeSet<_> = next.entries.iter().map(|e| e.effect.key.clone()).collect();
    assert_eq!(keys, BTreeSet::from([name("b")]), "later entries of a held key wait");
    assert_eq!(outbox(&rig).lease(limit(10), rig.ttl(5)).await.unwrap(), None);
    outbox(&rig).ack(held.lease).await.unwrap();
    outbox(&rig).ack(next.lease).await.unwrap();

    // Many drainers at once share the entries without overlap.
    emits.commit(&rig.store, (0..40).map(|n| effect(&format!("k{n}"), n)).collect()).await;
    let leases = (0..8).map(|_| outbox(&rig).lease(limit(4), rig.ttl(5)));
    let batches: Vec<OutboxBatch> =
        join_all(leases).await.into_iter().filter_map(|batch| batch.unwrap()).collect();
    let ids: Vec<_> = batches.iter().flat_map(|b| &b.entries).map(|e| e.effect.id).collect();
    assert_eq!(
        ids.iter().collect::<BTreeSet<_>>().len(),
        ids.len(),
        "an entry was handed out twice"
    );
}

/// `OUTBOX-LEASE-4`
pub async fn lease_4<P: ?Sized>(rig: Rig<P>, emits: impl Emits<P>) {
    emits.commit(&rig.store, vec![effect("a", 1), effect("b", 2)]).await;
    let first = outbox(&rig).lease(limit(10), rig.ttl(3)).await.unwrap().expect("entries wait");
    rig.clock.advance(3).await;
    let again = outbox(&rig).lease(limit(10), rig.ttl(3)).await.unwrap().expect("handed out again");
    assert_eq!(again.entries, first.entries);
    assert_ne!(again.lease, first.lease);
}

/// `OUTBOX-ACK-1`
pub async fn ack_1<P: ?Sized>(rig: Rig<P>, emits: impl Emits<P>) {
    emits.commit(&rig.store, vec![effect("a", 1), effect("a", 2)]).await;
    let batch = outbox(&rig).lease(limit(1), rig.ttl(3)).await.unwrap().expect("entries wait");
    outbox(&rig).ack(batch.lease).await.unwrap();
    rig.clock.advance(4).await;
    let numbers: Vec<_> =
        drain(&rig).await.iter().map(|e| e.effect.payload["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2]);
}

/// `OUTBOX-ACK-2`
pub async fn ack_2<P: ?Sized>(rig: Rig<P>, emits: impl Emits<P>) {
    emits.commit(&rig.store, vec![effect("a", 1)]).await;
    let old = outbox(&rig).lease(limit(1), rig.ttl(3)).await.unwrap().expect("an entry waits");
    rig.clock.advance(3).await;
    let error = outbox(&rig).ack(old.lease).await.expect_err("the lease ran out");
    assert_eq!(error.kind(), ErrorKind::StaleLease);
    let new = outbox(&rig).lease(limit(1), rig.ttl(3)).await.unwrap().expect("still there");
    let error = outbox(&rig).ack(old.lease).await.expect_err("the lease was replaced");
    assert_eq!(error.kind(), ErrorKind::StaleLease);
    let error = outbox(&rig).ack(OutboxLease(Uuid::new_v4())).await.expect_err("never given");
    assert_eq!(error.kind(), ErrorKind::StaleLease);
    assert_eq!(outbox(&rig).depth().await.unwrap(), 1);
    outbox(&rig).ack(new.lease).await.unwrap();
}

/// `OUTBOX-DEPTH-1`
pub async fn depth_1<P: ?Sized>(rig: Rig<P>, emits: impl Emits<P>) {
    assert_eq!(outbox(&rig).depth().await.unwrap(), 0);
    emits.commit(&rig.store, vec![effect("a", 1), effect("a", 2), effect("b", 3)]).await;
    emits.refuse(&rig.store, vec![effect("c", 4)]).await;
    assert_eq!(outbox(&rig).depth().await.unwrap(), 3);
    let held = outbox(&rig).lease(limit(2), rig.ttl(3)).await.unwrap().expect("entries wait");
    assert_eq!(outbox(&rig).depth().await.unwrap(), 3, "held entries count");
    outbox(&rig).ack(held.lease).await.unwrap();
    assert_eq!(outbox(&rig).depth().await.unwrap(), 1);
}

/// The rig with an outbox that breaks `clause`, or `None` when it is no clause of the outbox.
pub fn broken<P: ?Sized>(clause: &str, rig: Rig<P>) -> Option<Rig<P>> {
    let breaks = match clause {
        "OUTBOX-LEASE-1" => Breaks::HandsOutNothing,
        "OUTBOX-LEASE-2" => Breaks::Reverses,
        "OUTBOX-LEASE-3" => Breaks::HandsOutHeldOnes,
        "OUTBOX-LEASE-4" => Breaks::HoldsForEver,
        "OUTBOX-ACK-1" => Breaks::IgnoresAck,
        "OUTBOX-ACK-2" => Breaks::AcceptsStale,
        "OUTBOX-DEPTH-1" => Breaks::MiscountsDepth,
        _ => return None,
    };
    let inner = rig.outbox.clone().expect("a rig that declares effects has an outbox");
    let double = Broken { inner, breaks, last: Mutex::default() };
    Some(Rig { outbox: Some(Arc::new(double)), ..rig })
}

#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    HandsOutNothing,
    Reverses,
    HandsOutHeldOnes,
    HoldsForEver,
    IgnoresAck,
    AcceptsStale,
    MiscountsDepth,
}

struct Broken {
    inner: Arc<dyn Outbox>,
    breaks: Breaks,
    last: Mutex<Option<OutboxBatch>>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Outbox for Broken {
    async fn lease(&self, limit: Limit, visibility: Ttl) -> Result<Option<OutboxBatch>> {
        let visibility = match self.breaks {
            Breaks::HandsOutNothing => return Ok(None),
            Breaks::HoldsForEver => Ttl::new(visibility.get() * 1_000)?,
            _ => visibility,
        };
        let mut batch = self.inner.lease(limit, visibility).await?;
        match (self.breaks, &mut batch) {
            (Breaks::Reverses, Some(batch)) => batch.entries.reverse(),
            (Breaks::HandsOutHeldOnes, None) => batch = self.last.lock().unwrap().clone(),
            (Breaks::HandsOutHeldOnes, Some(batch)) => {
                *self.last.lock().unwrap() = Some(batch.clone());
            }
            _ => {}
        }
        Ok(batch)
    }

    async fn ack(&self, lease: OutboxLease) -> Result<()> {
        match (self.breaks, self.inner.ack(lease)) {
            (Breaks::IgnoresAck, _) => Ok(()),
            (Breaks::AcceptsStale, ack) => ack.await.or(Ok(())),
            (_, ack) => ack.await,
        }
    }

    async fn depth(&self) -> Result<u64> {
        let depth = self.inner.depth().await?;
        Ok(if self.breaks == Breaks::MiscountsDepth { depth + 1 } else { depth })
    }
}
