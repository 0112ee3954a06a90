//! The local tier as the cache uses it; without the feature `moka` there is none.

use std::sync::Arc;
use std::time::Duration;

use hexmem_ports::{Digest, Timestamp};

use crate::answer::Answer;
use crate::cache::LlmCache;

#[cfg(feature = "moka")]
pub(crate) type Seen = Option<crate::local::Seen>;
#[cfg(not(feature = "moka"))]
pub(crate) struct Seen;

#[cfg(feature = "moka")]
impl LlmCache {
    /// A copy that may be served.
    pub(crate) fn copied(&self, key: &Digest) -> Option<(Arc<Answer>, Timestamp)> {
        let local = self.local.as_ref()?;
        local.get(key, self.clock.now())
    }

    /// The state of things, before the store is asked.
    pub(crate) fn seen(&self, key: &Digest) -> Seen {
        self.local.as_ref().map(|local| local.seen(key, self.clock.now()))
    }

    /// Copies what the store answered.
    pub(crate) fn copy(
        &self,
        key: Digest,
        seen: Seen,
        answer: &Arc<Answer>,
        stored_at: Timestamp,
        fresh_for: Duration,
    ) {
        if let (Some(local), Some(seen)) = (&self.local, seen)
            && !fresh_for.is_zero()
        {
            local.keep(key, seen, answer, stored_at, fresh_for);
        }
    }

    /// What is under the key may be another thing now.
    pub(crate) fn changed(&self, key: &Digest) {
        if let Some(local) = &self.local {
            local.change(key);
        }
    }
}

#[cfg(not(feature = "moka"))]
impl LlmCache {
    pub(crate) fn copied(&self, _: &Digest) -> Option<(Arc<Answer>, Timestamp)> {
        None
    }

    pub(crate) fn seen(&self, _: &Digest) -> Seen {
        Seen
    }

    pub(crate) fn copy(&self, _: Digest, _: Seen, _: &Arc<Answer>, _: Timestamp, _: Duration) {}

    pub(crate) fn changed(&self, _: &Digest) {}
}
