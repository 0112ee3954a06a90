//! The token bucket of a rate limit.

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
    #[must_use]
    pub fn refilled(self, rate: Rate, now: Timestamp) -> Self {
        let full = u64::from(rate.count) * TOKEN;
        let per = rate.per.get().as_micros().max(1);
        let grown = now.since(self.at).as_micros() * u128::from(full) / per;
        let tokens = u128::from(self.micro_tokens) + grown;
        Self { micro_tokens: u64::try_from(tokens).unwrap_or(full).min(full), at: self.at.max(now) }
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
    use std::time::Duration;

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
}
