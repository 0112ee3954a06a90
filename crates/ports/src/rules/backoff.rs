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

/// The random part of a wait, as a fraction of 2^16: the first 2 bytes of SHA-256(command, attempt), so that
/// a repeat gives the same instant. Computed by the adapter, which knows both from the lease: script engines
/// have no SHA-256.
pub fn jitter(command: CommandId, attempt: u32) -> u16 {
    let digest = Digest::of_parts([command.0.as_bytes().as_slice(), &attempt.to_be_bytes()]);
    u16::from_be_bytes([digest.0[0], digest.0[1]])
}

/// The wait before the next attempt, after `attempt` (from 1) failed: `min(cap, base * 2^(attempt-1))`, less
/// `jitter_percent` of it times [`jitter`]. Whole milliseconds, each step rounded down; no intermediate value
/// beyond 2^53, so that doubles give the same answer.
pub fn backoff(policy: &RetryPolicy, command: CommandId, attempt: u32) -> Duration {
    // The cap is below 2^32 ms, so more doublings than 32 change nothing.
    let doublings = attempt.saturating_sub(1).min(32);
    let wait = policy.base_ms.saturating_mul(1 << doublings).min(policy.cap_ms);
    let spread = wait / 100 * u64::from(policy.jitter_percent)
        + wait % 100 * u64::from(policy.jitter_percent) / 100;
    let less = spread.saturating_mul(u64::from(jitter(command, attempt))) >> 16;
    Duration::from_millis(wait - less.min(wait))
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
