//! Where a store files a command, and how its last delivery ended.

use serde::{Deserialize, Serialize};

use crate::{CommandState, FailOutcome};

/// How the last delivery of a command ended: what a repeat with its lease is answered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// It goes on, or there was none.
    #[default]
    Open,
    /// It was acknowledged.
    Acked,
    /// It failed, with this answer.
    Failed(FailOutcome),
    /// It was handed back.
    Released,
    /// Its lease ran out.
    Expired,
}

/// Where a store files a command: what its indexes are built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Queued, its time has come, and no older one of its group is unfinished.
    Ready,
    /// Queued, waits for its time.
    Parked,
    /// Queued behind an older one of its group.
    Blocked,
    /// In a worker's hands.
    Leased,
    /// Completed.
    Completed,
    /// A dead letter.
    Dead,
    /// Cancelled.
    Cancelled,
    /// Removed; a tombstone.
    Purged,
}

impl Stage {
    /// Every stage; its place is the number that stores write.
    pub const ALL: [Self; 8] = [
        Self::Ready,
        Self::Parked,
        Self::Blocked,
        Self::Leased,
        Self::Completed,
        Self::Dead,
        Self::Cancelled,
        Self::Purged,
    ];

    /// The number that stores write: 0 to 7.
    pub fn number(self) -> i64 {
        match self {
            Self::Ready => 0,
            Self::Parked => 1,
            Self::Blocked => 2,
            Self::Leased => 3,
            Self::Completed => 4,
            Self::Dead => 5,
            Self::Cancelled => 6,
            Self::Purged => 7,
        }
    }

    /// What callers see of it.
    pub fn state(self) -> CommandState {
        match self {
            Self::Ready | Self::Parked | Self::Blocked => CommandState::Queued,
            Self::Leased => CommandState::Leased,
            Self::Completed => CommandState::Completed,
            Self::Cancelled => CommandState::Cancelled,
            Self::Dead | Self::Purged => CommandState::Dead,
        }
    }

    /// Whether it waits or runs.
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Ready | Self::Parked | Self::Blocked | Self::Leased)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_numbers_are_places() {
        for (i, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(usize::try_from(stage.number()), Ok(i));
        }
    }
}
