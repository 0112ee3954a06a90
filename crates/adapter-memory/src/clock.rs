//! The system's clock, and one that tests move.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::{Clock, Timestamp};
use tokio::sync::watch;

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(micros).unwrap_or(Timestamp::MAX)
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// A clock that stands still until it is moved, starting at 2026-01-01T00:00:00Z.
#[derive(Debug)]
pub struct ManualClock {
    // Serialises `advance` and `set`; the channel holds the present and wakes sleepers.
    moving: Mutex<()>,
    now: watch::Sender<Timestamp>,
}

impl Default for ManualClock {
    fn default() -> Self {
        let start = Timestamp::from_micros(1_767_225_600_000_000).unwrap_or(Timestamp::MIN);
        Self { moving: Mutex::new(()), now: watch::Sender::new(start) }
    }
}

impl ManualClock {
    /// Moves the clock on and wakes who has slept long enough.
    pub fn advance(&self, span: Duration) {
        let _moving = self.moving.lock();
        let next = self.now.borrow().plus(span);
        self.now.send_replace(next);
    }

    /// Sets the clock, also back.
    pub fn set(&self, now: Timestamp) {
        let _moving = self.moving.lock();
        self.now.send_replace(now);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep(&self, span: Duration) {
        let mut now = self.now.subscribe();
        let until = now.borrow().plus(span);
        // The sender lives in self, so the channel cannot close while this waits.
        let _ = now.wait_for(|now| *now >= until).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_has_moved_far_enough() {
        let clock = Arc::new(ManualClock::default());
        let sleeper = tokio::spawn({
            let clock = Arc::clone(&clock);
            async move { clock.sleep(Duration::from_secs(2)).await }
        });
        while clock.now.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
    }
}
