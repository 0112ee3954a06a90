//! Wake-ups of those who wait at a queue in this process.

use hexmem_ports::Digest;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

const BELLS: usize = 64;

/// A fixed number of bells; queues share them. A wake-up too many only makes a waiter look again, one too
/// few (another process rang none here) is made good by looking now and then.
#[derive(Debug)]
pub(crate) struct Bells([Notify; BELLS]);

impl Default for Bells {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Notify::new()))
    }
}

impl Bells {
    /// Hears every ring after its `enable`.
    pub(super) fn listen(&self, queue: &Digest) -> Notified<'_> {
        self.of(queue).notified()
    }

    pub(super) fn ring(&self, queue: &Digest) {
        self.of(queue).notify_waiters();
    }

    fn of(&self, queue: &Digest) -> &Notify {
        &self.0[usize::from(queue.0[0]) % BELLS]
    }
}
