//! Keys of idempotence.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long a store remembers the answer to an [`OpId`]: a repeat within it gets the first answer.
pub const REPLAY_WINDOW: Duration = Duration::from_secs(3_600);

/// The caller's key of one mutation. Make a new one per intent and present it again on each repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpId(pub Uuid);

impl OpId {
    /// A fresh key from the operating system's generator.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}
