//! Wake-ups of those who wait at a queue.

use std::hash::{BuildHasher, Hash, RandomState};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

const SHARDS: usize = 64;

/// A fixed number of bells; queues share them. A wake-up too many only makes a waiter look again.
pub(super) struct Bells {
    hasher: RandomState,
    bells: [Notify; SHARDS],
}

impl Default for Bells {
    fn default() -> Self {
        Self { hasher: RandomState::new(), bells: std::array::from_fn(|_| Notify::new()) }
    }
}

impl Bells {
    /// Hears every ring after its `enable`.
    pub(super) fn listen(&self, key: impl Hash) -> Notified<'_> {
        self.of(key).notified()
    }

    pub(super) fn ring(&self, key: impl Hash) {
        self.of(key).notify_waiters();
    }

    fn of(&self, key: impl Hash) -> &Notify {
        let place = usize::try_from(self.hasher.hash_one(key) % 64).unwrap_or(0);
        &self.bells[place % SHARDS]
    }
}
