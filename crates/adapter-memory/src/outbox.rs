//! The outbox in process: effects in the order of their commits.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hexmem_ports::{
    Clock, Effect, Error, Limit, Name, Outbox, OutboxBatch, OutboxEntry, OutboxLease, Result,
    Timestamp, Ttl,
};
use uuid::Uuid;

/// Effects of in-process stores. Clones share the entries; several stores may share one outbox.
#[derive(Clone)]
pub struct MemoryOutbox {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    last: i64,
    waiting: BTreeMap<i64, OutboxEntry>,
    held: HashMap<OutboxLease, Held>,
}

struct Held {
    until: Timestamp,
    sequences: Vec<i64>,
}

impl MemoryOutbox {
    /// An empty outbox on `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default() }
    }

    /// Appends the effects of a change. A store calls it while it holds its own lock, after the last step that
    /// can fail: so the change and its effects are seen together.
    pub(crate) fn commit(&self, now: Timestamp, effects: Vec<Effect>) {
        let mut state = self.lock();
        for effect in effects {
            state.last += 1;
            let sequence = state.last;
            state.waiting.insert(sequence, OutboxEntry { sequence, committed_at: now, effect });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets go of leases that ran out.
    fn release(&mut self, now: Timestamp) {
        self.held.retain(|_, held| held.until > now);
    }

    /// The keys of which an entry is held: their later entries must wait.
    fn busy(&self) -> HashSet<Name> {
        let sequences = self.held.values().flat_map(|held| &held.sequences);
        sequences.filter_map(|s| Some(self.waiting.get(s)?.effect.key.clone())).collect()
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn lease(&self, limit: Limit, visibility: Ttl) -> Result<Option<OutboxBatch>> {
        let mut state = self.lock();
        let now = self.clock.now();
        state.release(now);
        let busy = state.busy();
        let entries: Vec<_> = state
            .waiting
            .values()
            .filter(|entry| !busy.contains(&entry.effect.key))
            .take(limit.as_usize())
            .cloned()
            .collect();
        if entries.is_empty() {
            return Ok(None);
        }
        let lease = OutboxLease(Uuid::new_v4());
        let sequences = entries.iter().map(|entry| entry.sequence).collect();
        state.held.insert(lease, Held { until: now.plus(visibility.get()), sequences });
        Ok(Some(OutboxBatch { lease, entries }))
    }

    async fn ack(&self, lease: OutboxLease) -> Result<()> {
        let mut state = self.lock();
        state.release(self.clock.now());
        let Some(held) = state.held.remove(&lease) else {
            return Err(Error::stale_lease(
                "outbox.ack",
                "the lease ran out or was acknowledged before; its entries are handed out again",
            ));
        };
        for sequence in held.sequences {
            state.waiting.remove(&sequence);
        }
        Ok(())
    }

    async fn depth(&self) -> Result<u64> {
        Ok(u64::try_from(self.lock().waiting.len()).unwrap_or(u64::MAX))
    }
}
