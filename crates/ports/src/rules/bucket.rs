//! The token bucket of a rate limit.
//!
//! Kept as one instant (the generic cell rate algorithm of ATM, ITU-T I.371): sums and whole multiples only, so
//! that a script engine whose numbers are doubles gets the same answer.

use std::time::Duration;

use crate::{Rate, Timestamp};

/// A bucket of `count` tokens: when it will be full again. In the past: it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenBucket {
    /// The instant.
    pub full_at: Timestamp,
}

/// A bucket seen by somebody who may take from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    bucket: TokenBucket,
    rate: Rate,
    now: Timestamp,
}

/// The time that brings one token: `per / count` in whole microseconds, rounded up, at least one.
pub fn token_interval(rate: Rate) -> Duration {
    let micros = rate.per.get().as_micros().div_ceil(u128::from(rate.count.max(1)));
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

impl TokenBucket {
    /// A full bucket.
    pub fn full(now: Timestamp) -> Self {
        Self { full_at: now }
    }

    /// The bucket at `now`.
    pub fn at(self, rate: Rate, now: Timestamp) -> Tokens {
        Tokens { bucket: self, rate, now }
    }
}

impl Tokens {
    /// Whole tokens that can be taken: `(count * interval - (full_at - now)) / interval`, 0 to `count`. While a
    /// clock is set back, none come.
    pub fn available(self) -> u64 {
        let interval = token_interval(self.rate).as_micros();
        let room = u128::from(self.rate.count) * interval;
        let owed = self.bucket.full_at.since(self.now).as_micros();
        u64::try_from(room.saturating_sub(owed) / interval.max(1)).unwrap_or(u64::MAX)
    }

    /// The bucket after `count` tokens were taken.
    #[must_use]
    pub fn take(self, count: u64) -> TokenBucket {
        if count == 0 {
            return self.bucket;
        }
        let times = u32::try_from(count).unwrap_or(u32::MAX);
        let span = token_interval(self.rate).saturating_mul(times);
        TokenBucket { full_at: self.bucket.full_at.max(self.now).plus(span) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ttl;

    fn start() -> Timestamp {
        Timestamp::from_micros(0).unwrap()
    }

    #[test]
    fn refills_in_proportion_and_never_beyond_the_count() {
        let rate = Rate { count: 10, per: Ttl::secs(60).unwrap() };
        let empty = TokenBucket::full(start()).at(rate, start()).take(10);
        let after =
            |seconds| empty.at(rate, start().plus(Duration::from_secs(seconds))).available();
        assert_eq!(
            [after(0), after(5), after(6), after(59), after(60), after(600)],
            [0, 0, 1, 9, 10, 10]
        );
        assert_eq!(empty.at(rate, start().minus(Duration::from_secs(6))).available(), 0);
    }

    #[test]
    fn asking_often_loses_nothing() {
        let rate = Rate { count: 3, per: Ttl::secs(10).unwrap() };
        let mut bucket = TokenBucket::full(start());
        let mut taken = 0;
        for milli in 0..100_000 {
            let tokens = bucket.at(rate, start().plus(Duration::from_millis(milli)));
            let got = tokens.available().min(1);
            bucket = tokens.take(got);
            taken += got;
        }
        // 3 at once, then one each 3.333334 s of 99.999 s.
        assert_eq!(taken, 3 + 29);
    }
}
