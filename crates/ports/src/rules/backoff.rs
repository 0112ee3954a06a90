//! When a failed attempt is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{CommandId, Digest, Error, Result};

/// Attempts and backoff of a command, kept with it. Exponential backoff with bounded jitter (the "full
/// jitter" of AWS's Builders' Library, with a floor).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Deliveries allowed, crashes included: 1 to 1,000.
    pub max_attempts: u32,
    /// The wait after the first failure, in milliseconds. 0 retries at once.
    pub base_ms: u64,
    /// The longest wait, in milliseconds.
    pub cap_ms: u64,
    /// Share of the wait that is random, in percent: 0 to 100.
    pub jitter_percent: u8,
}

impl Default for RetryPolicy {
    /// 5 attempts, 1 s doubling to at most 5 min, 20 % of it random.
    fn default() -> Self {
        Self { max_attempts: 5, base_ms: 1_000, cap_ms: 300_000, jitter_percent: 20 }
    }
}

impl RetryPolicy {
    /// `Invalid` outside the stated ranges (waits: at most 30 days).
    pub fn check(&self) -> Result<()> {
        let month = 30 * 86_400_000;
        let wrong = if !(1..=1_000).contains(&self.max_attempts) {
            "max_attempts is 1 to 1000"
        } else if self.base_ms > month || self.cap_ms > month {
            "base_ms and cap_ms are at most 30 days"
        } else if self.jitter_percent > 100 {
            "jitter_percent is 0 to 100"
        } else {
            return Ok(());
        };
        Err(Error::invalid("queue.retry_policy", wrong))
    }
}

/// The wait before the next attempt, after `attempt` (from 1) failed: `min(cap, base * 2^(attempt-1))`,
/// less up to `jitter_percent` of it. The random part is the first 4 bytes of
/// SHA-256(command, attempt) as a fraction of 2^32, so that a repeat gives the same instant and every
/// store the same answer. Whole milliseconds, rounded down.
pub fn backoff(policy: &RetryPolicy, command: CommandId, attempt: u32) -> Duration {
    let doubled = 1u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
    let wait = policy.base_ms.saturating_mul(doubled).min(policy.cap_ms);
    let digest = Digest::of_parts([command.0.as_bytes().as_slice(), &attempt.to_be_bytes()]);
    let random = u32::from_be_bytes([digest.0[0], digest.0[1], digest.0[2], digest.0[3]]);
    let spread = u128::from(wait) * u128::from(policy.jitter_percent) / 100;
    let less = (spread * u128::from(random)) >> 32;
    Duration::from_millis(wait - u64::try_from(less).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ID: CommandId = CommandId(Uuid::from_u128(1));

    #[test]
    fn doubles_up_to_the_cap() {
        let policy = RetryPolicy { jitter_percent: 0, ..RetryPolicy::default() };
        let waits: Vec<u64> =
            [1, 2, 3, 9, 10, 64, 65, 1_000].map(|n| backoff(&policy, ID, n).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 256, 300, 300, 300, 300]);
    }

    #[test]
    fn jitter_stays_within_its_share_and_repeats() {
        let policy = RetryPolicy::default();
        for attempt in 1..200 {
            let wait = backoff(&policy, ID, attempt);
            let full = backoff(&RetryPolicy { jitter_percent: 0, ..policy }, ID, attempt);
            assert!(wait <= full && wait >= full.mul_f64(0.79), "{attempt}: {wait:?} of {full:?}");
            assert_eq!(wait, backoff(&policy, ID, attempt));
        }
    }
}
