//! Effects in memory, handed out in order.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hexmem_ports::{
    Clock, Effect, Error, Limit, Name, Outbox, OutboxBatch, OutboxEntry, OutboxLease, Result,
    Timestamp, Ttl,
};
use uuid::Uuid;

/// An outbox that stores share: cheap to clone, clones are the same outbox.
#[derive(Clone)]
pub struct MemoryOutbox {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    last: i64,
    entries: BTreeMap<i64, Held>,
}

struct Held {
    entry: OutboxEntry,
    lease: Option<(OutboxLease, Timestamp)>,
}

impl Held {
    fn until(&self) -> Timestamp {
        self.lease.map_or(Timestamp::MIN, |(_, until)| until)
    }
}

impl MemoryOutbox {
    /// An empty outbox.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default() }
    }

    /// Adds the effects of a change made at `now`. A store calls it while it still holds the lock of the
    /// change, after [`check_effects`](hexmem_ports::check_effects) and everything else that can refuse it.
    pub fn push(&self, effects: Vec<Effect>, now: Timestamp) {
        let mut state = self.state();
        for effect in effects {
            state.last += 1;
            let entry = OutboxEntry { sequence: state.last, committed_at: now, effect };
            state.entries.insert(entry.sequence, Held { entry, lease: None });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn lease(&self, limit: Limit, visibility: Ttl) -> Result<Option<OutboxBatch>> {
        let mut state = self.state();
        let now = self.clock.now();
        let held: HashSet<Name> = state
            .entries
            .values()
            .filter(|held| held.until() > now)
            .map(|held| held.entry.effect.key.clone())
            .collect();
        let lease = OutboxLease(Uuid::new_v4());
        let until = now.plus(visibility.get());
        let entries: Vec<OutboxEntry> = state
            .entries
            .values_mut()
            .filter(|free| !held.contains(&free.entry.effect.key))
            .take(limit.as_usize())
            .map(|free| {
                free.lease = Some((lease, until));
                free.entry.clone()
            })
            .collect();
        Ok((!entries.is_empty()).then_some(OutboxBatch { lease, entries }))
    }

    async fn ack(&self, lease: OutboxLease) -> Result<()> {
        let mut state = self.state();
        let now = self.clock.now();
        let before = state.entries.len();
        state
            .entries
            .retain(|_, held| !held.lease.is_some_and(|(own, until)| own == lease && until > now));
        if state.entries.len() == before {
            return Err(Error::stale_lease(
                "outbox.ack",
                "the lease ran out or was replaced; the entries are handed out again",
            ));
        }
        Ok(())
    }

    async fn depth(&self) -> Result<u64> {
        Ok(u64::try_from(self.state().entries.len()).unwrap_or(u64::MAX))
    }
}
