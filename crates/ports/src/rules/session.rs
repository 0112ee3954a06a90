//! When a session ends, and when a touch is worth a write.

use crate::{Timestamp, Ttl};

/// The idle end of a session seen at `seen_at`: never beyond its absolute end.
pub fn idle_end(seen_at: Timestamp, idle: Ttl, absolute_end: Timestamp) -> Timestamp {
    seen_at.plus(idle.get()).min(absolute_end)
}

/// When a session last seen at `last_seen` counts as seen after a touch at `now`; `None` when the touch comes
/// within `coalesce` of the last one and nothing is to be written. A clock set back moves nothing back.
pub fn seen(last_seen: Timestamp, now: Timestamp, coalesce: Option<Ttl>) -> Option<Timestamp> {
    let early = coalesce.is_some_and(|span| now < last_seen.plus(span.get()));
    (!early).then(|| now.max(last_seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn ttl(micros: u64) -> Ttl {
        Ttl::try_from(micros).unwrap()
    }

    #[test]
    fn the_idle_end_stops_at_the_absolute_end() {
        let vectors =
            [(0, 10, 100, 10), (90, 10, 100, 100), (95, 10, 100, 100), (0, 200, 100, 100)];
        for (seen_at, idle, absolute, end) in vectors {
            assert_eq!(idle_end(at(seen_at), ttl(idle), at(absolute)), at(end));
        }
        assert_eq!(idle_end(Timestamp::MAX, ttl(1), Timestamp::MAX), Timestamp::MAX);
    }

    #[test]
    fn touches_within_the_span_are_not_written_and_time_never_moves_back() {
        let vectors = [
            (100, 100, None, Some(100)),
            (100, 99, None, Some(100)),
            (100, 150, None, Some(150)),
            (100, 149, Some(50), None),
            (100, 150, Some(50), Some(150)),
            (100, 10, Some(50), None),
        ];
        for (last, now, span, expected) in vectors {
            assert_eq!(seen(at(last), at(now), span.map(ttl)), expected.map(at), "{last} {now}");
        }
    }
}
