//! Hits and misses, kept aside so that a read need not write.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hexmem_ports::NamespaceId;

/// Lookups that are counted before they are written out: what a crash can lose of the statistics.
const BATCH: u64 = 1_000;

/// Hits and misses by namespace.
pub(super) type Pending = HashMap<NamespaceId, (u64, u64)>;

/// At most [`BATCH`] namespaces at a time, as each holds at least one lookup.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<(Pending, u64)>);

impl Counters {
    /// Counts a lookup; `true` when a batch is full.
    pub(super) fn count(&self, namespace: &NamespaceId, hit: bool) -> bool {
        let mut state = self.state();
        let (pending, lookups) = &mut *state;
        let change = (u64::from(hit), u64::from(!hit));
        match pending.get_mut(namespace) {
            Some(counted) => *counted = (counted.0 + change.0, counted.1 + change.1),
            None => drop(pending.insert(namespace.clone(), change)),
        }
        *lookups += 1;
        lookups.is_multiple_of(BATCH)
    }

    /// Takes what was counted.
    pub(super) fn take(&self) -> Pending {
        let mut state = self.state();
        state.1 = 0;
        std::mem::take(&mut state.0)
    }

    /// Gives back what could not be written out.
    pub(super) fn put_back(&self, taken: Pending) {
        let mut state = self.state();
        for (namespace, (hits, misses)) in taken {
            let counted = state.0.entry(namespace).or_default();
            *counted = (counted.0 + hits, counted.1 + misses);
        }
    }

    /// What was counted and not yet written out.
    pub(super) fn pending(&self, namespace: &NamespaceId) -> (u64, u64) {
        self.state().0.get(namespace).copied().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, (Pending, u64)> {
        // Nothing that holds the lock can panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
