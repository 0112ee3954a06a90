//! The token bucket of a rate limit.

use std::time::Duration;

use crate::{Rate, Timestamp};

/// The state of a token bucket, kept with the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBucket {
    /// Tokens in store, in millionths.
    pub micro_tokens: u64,
    /// As of this instant.
    pub at: Timestamp,
}

const TOKEN: u64 = 1_000_000;

impl TokenBucket {
    /// A full bucket.
    pub fn full(rate: Rate, now: Timestamp) -> Self {
        Self { micro_tokens: u64::from(rate.count) * TOKEN, at: now }
    }

    /// The bucket at `now`: grown by `count` per `per`, at most `count`. A clock set back adds nothing.
    /// `at` moves by the time that the whole millionths stand for, so that asking often loses nothing.
    #[must_use]
    pub fn refilled(self, rate: Rate, now: Timestamp) -> Self {
        let full = u128::from(rate.count) * u128::from(TOKEN);
        let per = rate.per.get().as_micros().max(1);
        let room = full.saturating_sub(u128::from(self.micro_tokens));
        let grown = now.since(self.at).as_micros() * full / per;
        if grown >= room {
            let micro_tokens = u64::try_from(full).unwrap_or(u64::MAX);
            return Self { micro_tokens, at: self.at.max(now) };
        }
        // Rounded up: never credits a span twice.
        let spent = u64::try_from((grown * per).div_ceil(full.max(1))).unwrap_or(u64::MAX);
        Self {
            micro_tokens: self.micro_tokens.saturating_add(u64::try_from(grown).unwrap_or(0)),
            at: self.at.plus(Duration::from_micros(spent)),
        }
    }

    /// Whole tokens that can be taken.
    pub fn available(self) -> u64 {
        self.micro_tokens / TOKEN
    }

    /// The bucket after `count` tokens were taken.
    #[must_use]
    pub fn take(self, count: u64) -> Self {
        Self { micro_tokens: self.micro_tokens.saturating_sub(count.saturating_mul(TOKEN)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ttl;

    #[test]
    fn refills_in_proportion_and_never_beyond_the_count() {
        let rate = Rate { count: 10, per: Ttl::secs(60).unwrap() };
        let start = Timestamp::from_micros(0).unwrap();
        let empty = TokenBucket::full(rate, start).take(10);
        assert_eq!(empty.available(), 0);
        assert_eq!(empty.refilled(rate, start.plus(Duration::from_secs(6))).available(), 1);
        assert_eq!(empty.refilled(rate, start.plus(Duration::from_secs(600))).available(), 10);
        assert_eq!(empty.refilled(rate, start.minus(Duration::from_secs(6))).available(), 0);
    }

    #[test]
    fn asking_often_loses_nothing() {
        let rate = Rate { count: 1, per: Ttl::secs(86_400).unwrap() };
        let start = Timestamp::from_micros(0).unwrap();
        let mut bucket = TokenBucket::full(rate, start).take(1);
        for step in 1..=100_000u64 {
            bucket = bucket.refilled(rate, start.plus(Duration::from_millis(step * 864)));
            assert!(bucket.available() == 0 || step >= 100_000, "a token too early at step {step}");
        }
        assert_eq!(bucket.refilled(rate, start.plus(Duration::from_secs(86_402))).available(), 1);
    }
}
