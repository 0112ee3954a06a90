//! Where a lease may start to look.
//!
//! Rows that were handed out leave dead entries at the head of the indexes until they are vacuumed, and while some
//! long transaction is open they are not. A lease that starts at the head walks over all of them. So each handle
//! remembers, for each queue, up to where it has seen that nothing is left. What a remembered place would hide is rare
//! (a statement that took longer to commit than [`GRACE`]) and is found by a look from the head, which comes
//! within [`FULL_EVERY`]. Nothing depends on it but time: no command is lost, and none is handed out twice.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hexmem_ports::{Digest, Timestamp};

/// How often a lease looks from the head.
const FULL_EVERY: Duration = Duration::from_secs(1);

/// A look from the head that is slow is made so much more rarely: its share of the time stays below a twentieth.
const FULL_SHARE: u32 = 20;

/// Places move on this far behind the present: what began to be stored before is stored by then.
const GRACE: Duration = Duration::from_millis(500);

/// Queues that a handle remembers; beyond them it starts anew.
const QUEUES: usize = 4_096;

/// The memory of a handle.
#[derive(Debug, Default)]
pub(crate) struct Hints(Mutex<HashMap<Digest, Hint>>);

#[derive(Debug)]
struct Hint {
    full_at: Instant,
    full_took: Duration,
    /// By the store's clock: what fell due before was settled.
    settled: Option<Timestamp>,
    /// Of each priority the sequence before which no fresh command is left.
    floors: Vec<(i16, i64)>,
    /// The last sequence that was given out, and when it was asked for.
    given: Option<(i64, Instant)>,
}

/// Where one lease starts.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) full: bool,
    pub(super) since: Timestamp,
    pub(super) floors: Vec<(i16, i64)>,
    pub(super) began: Instant,
}

/// A row of `floors.sql`: priority, the smallest sequence that is there, the last that was given out.
pub(super) type Floor = (i16, Option<i64>, i64);

impl Hints {
    fn with<R>(&self, queue: &Digest, use_hint: impl FnOnce(&mut HashMap<Digest, Hint>) -> R) -> R {
        let mut hints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hints.len() >= QUEUES && !hints.contains_key(queue) {
            hints.clear();
        }
        use_hint(&mut hints)
    }

    pub(super) fn start(&self, queue: &Digest, began: Instant) -> Start {
        let head = Start { full: true, since: Timestamp::MIN, floors: Vec::new(), began };
        self.with(queue, |hints| {
            let Some(hint) = hints.get_mut(queue) else { return head };
            let pause = FULL_EVERY.max(hint.full_took * FULL_SHARE);
            let Some(settled) = hint.settled.filter(|_| hint.full_at + pause > began) else {
                return head;
            };
            let (since, floors) = (settled.minus(GRACE), hint.floors.clone());
            Start { full: false, since, floors, began }
        })
    }

    /// A lease has settled all that was due by `now`.
    pub(super) fn settled(&self, queue: &Digest, start: &Start, now: Timestamp, ended: Instant) {
        self.with(queue, |hints| {
            let hint = hints.entry(*queue).or_insert_with(|| Hint {
                full_at: ended,
                full_took: Duration::ZERO,
                settled: None,
                floors: Vec::new(),
                given: None,
            });
            hint.settled = Some(now);
            if start.full {
                (hint.full_at, hint.full_took) = (ended, ended - start.began);
            }
        });
    }

    /// Whether the places should move on, and from where to look. To one caller at a time.
    pub(super) fn wants_floors(&self, queue: &Digest, now: Instant) -> Option<Vec<(i16, i64)>> {
        self.with(queue, |hints| {
            let hint = hints.get_mut(queue)?;
            match &mut hint.given {
                Some((_, asked)) if *asked + GRACE > now => None,
                Some((_, asked)) => {
                    // Others wait until this one is answered, or for another turn.
                    *asked = now;
                    Some(hint.floors.clone())
                }
                None => Some(hint.floors.clone()),
            }
        })
    }

    /// What was found. A sequence counts when it was given out by the time of the question before.
    pub(super) fn found(&self, queue: &Digest, asked: Instant, rows: &[Floor]) {
        self.with(queue, |hints| {
            let Some(hint) = hints.get_mut(queue) else { return };
            let Some(newest) = rows.first().map(|row| row.2) else { return };
            if let Some((given, _)) = hint.given {
                hint.floors = rows
                    .iter()
                    .map(|(priority, lowest, _)| {
                        (*priority, lowest.map_or(given, |low| low.min(given)))
                    })
                    .collect();
            }
            hint.given = Some((newest, asked));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    #[test]
    fn a_place_lies_behind_whatever_may_still_be_on_its_way() {
        let (hints, queue, zero) = (Hints::default(), Digest::of(b"q"), Instant::now());
        let start = hints.start(&queue, zero);
        assert!(start.full && hints.wants_floors(&queue, zero).is_none(), "nothing is known");
        hints.settled(&queue, &start, at(100), zero);
        let start = hints.start(&queue, zero);
        assert!(!start.full && start.floors.is_empty());
        assert_eq!(start.since, at(100).minus(GRACE));

        // The first question tells only what was given out by then.
        assert_eq!(hints.wants_floors(&queue, zero), Some(vec![]));
        hints.found(&queue, zero, &[(0, Some(70), 90)]);
        assert!(hints.start(&queue, zero).floors.is_empty());
        assert!(hints.wants_floors(&queue, zero).is_none(), "too early");
        let later = zero + GRACE;
        assert!(hints.wants_floors(&queue, later).is_some());
        assert!(hints.wants_floors(&queue, later).is_none(), "one at a time");
        // Nothing of priority 0 is left, but what was given out since may come.
        hints.found(&queue, later, &[(5, Some(80), 120), (0, None, 120)]);
        assert_eq!(hints.start(&queue, later).floors, [(5, 80), (0, 90)]);

        // Now and then from the head.
        assert!(hints.start(&queue, zero + FULL_EVERY).full);
    }
}
