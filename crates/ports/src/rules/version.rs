//! Versions that are never used twice.

use crate::Timestamp;

/// The version of a change at `now`: one more than the `previous` one, or the microseconds of the present
/// where that is more (a hybrid logical clock of Kulkarni et al., 2014, in one number). So versions
/// grow while the entity or its tombstone is kept, and also when it comes back after that is gone, as
/// long as the clock is not set back behind its last change. They stay below 2^53 until the year 2255.
pub fn next_version(previous: Option<u64>, now: Timestamp) -> u64 {
    let present = u64::try_from(now.as_micros()).unwrap_or(0);
    previous.map_or(1, |version| version.saturating_add(1)).max(present)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        for (previous, now, expected) in [
            (None, 0, 1),
            (None, 1_767_225_600_000_000, 1_767_225_600_000_000),
            (Some(1), 1_767_225_600_000_000, 1_767_225_600_000_000),
            (Some(1_767_225_600_000_000), 1_767_225_600_000_000, 1_767_225_600_000_001),
            (Some(1_767_225_600_000_009), 1_767_225_600_000_000, 1_767_225_600_000_010),
            (None, -5, 1),
        ] {
            let now = Timestamp::from_micros(now).unwrap();
            assert_eq!(next_version(previous, now), expected, "{previous:?} {now}");
        }
    }
}
