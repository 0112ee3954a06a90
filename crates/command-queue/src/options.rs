//! How a command is pushed.

use std::time::Duration;

use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{CommandId, Dedupe, Name, Timestamp, Ttl, WhenIdle};
use serde_json::Value;

/// How long results are kept unless said otherwise: a day.
pub const RESULT_TTL: Ttl = Ttl::from_const(Duration::from_secs(86_400));

/// How a command is pushed. The defaults: no priority, no delay, no deadline, five attempts with backoff,
/// results kept for a day, stored also when nobody consumes the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct PushOptions {
    /// The command's id, made by the caller, so that a push whose answer was lost can be repeated; `None`
    /// makes a fresh one.
    pub id: Option<CommandId>,
    /// Higher goes first.
    pub priority: i16,
    /// Not before this long from now.
    pub delay: Option<Ttl>,
    /// Never handed out from this instant on.
    pub deadline: Option<Timestamp>,
    /// A deadline this long from now, by the caller's clock; with both the earlier one holds.
    pub within: Option<Ttl>,
    /// Refuse a second one of the same key.
    pub dedupe: Option<Dedupe>,
    /// Run one at a time, in order, with the others of this group.
    pub group: Option<Name>,
    /// Attempts and backoff.
    pub retry: RetryPolicy,
    /// How long the outcome can be read after the end.
    pub result_ttl: Ttl,
    /// Kept beside the payload, for routing and tracing.
    pub headers: Value,
    /// What happens when nobody consumes the queue.
    pub when_idle: WhenIdle,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            id: None,
            priority: 0,
            delay: None,
            deadline: None,
            within: None,
            dedupe: None,
            group: None,
            retry: RetryPolicy::default(),
            result_ttl: RESULT_TTL,
            headers: Value::Null,
            when_idle: WhenIdle::Store,
        }
    }
}

impl PushOptions {
    /// The deadline at `now`: the earlier of the two that can be given.
    pub fn deadline_at(&self, now: Timestamp) -> Option<Timestamp> {
        let within = self.within.map(|span| now.plus(span.get()));
        self.deadline.into_iter().chain(within).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_deadline_holds() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000).unwrap();
        let within = Some(Ttl::secs(10).unwrap());
        let both = |deadline| PushOptions { deadline, within, ..PushOptions::default() };
        assert_eq!(PushOptions::default().deadline_at(at(0)), None);
        assert_eq!(both(None).deadline_at(at(1)), Some(at(11)));
        assert_eq!(both(Some(at(5))).deadline_at(at(1)), Some(at(5)));
        assert_eq!(both(Some(at(50))).deadline_at(at(1)), Some(at(11)));
    }
}
