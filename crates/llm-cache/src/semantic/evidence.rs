//! The false-hit budget: from judged answers to a threshold. Pure.

use std::collections::BTreeMap;

use hexmem_ports::{Error, Result};
use serde::{Deserialize, Serialize};

/// Steps between similarity 0 and 1 in which evidence is kept.
const STEPS: u16 = 1_000;

/// Judged answers after which the older ones count half: models and questions change.
const AGEING: u64 = 100_000;

/// What may go wrong, and how sure one must be of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// The largest share of semantic answers that may be wrong: above 0 and below 1.
    pub false_hits: f64,
    /// How many standard deviations the bound is away from what was seen, above 0 and at most 10. 1.96 leaves
    /// 2.5 % that the true share lies above the bound, for a threshold that was fixed beforehand.
    pub deviations: f64,
    /// What happens before there is evidence.
    pub start: Start,
}

/// What happens before there is evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Serves from the configured threshold on, until an answer is found to be wrong.
    Trusting,
    /// Serves only where judged answers show that the budget holds.
    Proven,
}

/// Whether the answer to a similar question was the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It answers the question.
    Right,
    /// It does not.
    Wrong,
}

/// Judged answers by similarity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Right and wrong ones by similarity in thousandths, rounded down.
    judged: BTreeMap<u16, (u64, u64)>,
}

impl Budget {
    /// `Invalid` outside the stated ranges.
    pub fn check(&self) -> Result<()> {
        let wrong = if !(self.false_hits > 0.0 && self.false_hits < 1.0) {
            "false_hits is a share above 0 and below 1"
        } else if !(self.deviations > 0.0 && self.deviations <= 10.0) {
            "deviations is above 0 and at most 10"
        } else {
            return Ok(());
        };
        Err(Error::invalid("llm_cache.budget", wrong))
    }

    /// Whether answers of which `wrong` and `right` were judged may be served.
    fn allows(&self, right: u64, wrong: u64) -> bool {
        let within = || wilson_upper(wrong, right.saturating_add(wrong), self.deviations);
        match self.start {
            Start::Trusting if wrong == 0 => true,
            _ => within() <= self.false_hits,
        }
    }
}

/// The upper end of Wilson's score interval (E. B. Wilson, 1927) of a share of which `hits` in `all` were seen:
/// the largest share that what was seen lies within `deviations` of. 1 where nothing was seen.
#[allow(clippy::cast_precision_loss, reason = "counts beyond 2^53 are halved long before")]
pub fn wilson_upper(hits: u64, all: u64, deviations: f64) -> f64 {
    if all == 0 {
        return 1.0;
    }
    let (n, z2) = (all as f64, deviations * deviations);
    let seen = hits as f64 / n;
    let spread = deviations * (seen * (1.0 - seen) / n + z2 / (4.0 * n * n)).sqrt();
    ((seen + z2 / (2.0 * n) + spread) / (1.0 + z2 / n)).min(1.0)
}

/// The step of a similarity; what lies outside 0 to 1 counts as its end, and no number as 0.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the steps before"
)]
fn step(similarity: f64) -> u16 {
    let steps = f64::from(STEPS);
    (similarity.clamp(0.0, 1.0) * steps).floor().clamp(0.0, steps) as u16
}

impl Evidence {
    /// Adds a judged answer. Beyond 100,000 the older ones count half, the wrong ones rounded up.
    pub fn add(&mut self, similarity: f64, verdict: Verdict) {
        let (right, wrong) = self.judged.entry(step(similarity)).or_default();
        match verdict {
            Verdict::Right => *right = right.saturating_add(1),
            Verdict::Wrong => *wrong = wrong.saturating_add(1),
        }
        let (right, wrong) = self.at_least(0);
        if right.saturating_add(wrong) > AGEING {
            for (right, wrong) in self.judged.values_mut() {
                (*right, *wrong) = (*right / 2, wrong.div_ceil(2));
            }
            self.judged.retain(|_, counts| *counts != (0, 0));
        }
    }

    /// Right and wrong ones from a step on.
    fn at_least(&self, step: u16) -> (u64, u64) {
        self.judged.range(step..).fold((0u64, 0u64), |(right, wrong), (_, counts)| {
            (right.saturating_add(counts.0), wrong.saturating_add(counts.1))
        })
    }

    /// Right and wrong ones of at least this similarity, in whole thousandths.
    pub fn judged(&self, similarity: f64) -> (u64, u64) {
        self.at_least(step(similarity))
    }

    /// The least similarity, at least `floor`, from which on answers may be served: there the judged ones show
    /// that the budget holds, or (`Trusting`) none was wrong. `None`: nothing may be served.
    ///
    /// A wrong answer moves the threshold above its similarity at once; right ones from there down, judged in
    /// shadow mode or by review, bring it back when they show that the budget holds all the same.
    pub fn threshold(&self, floor: f64, budget: &Budget) -> Option<f64> {
        let least = step(floor);
        let (mut right, mut wrong) = (0u64, 0u64);
        let mut first = None;
        // From the most similar down: `right` and `wrong` are those above each step, then those from it on.
        for (step, counts) in self.judged.range(least..).rev() {
            if *step < STEPS && budget.allows(right, wrong) {
                first = Some(step + 1);
            }
            (right, wrong) = (right.saturating_add(counts.0), wrong.saturating_add(counts.1));
            if *step > least && budget.allows(right, wrong) {
                first = Some(*step);
            }
        }
        // Within its step the floor counts all of the step: rather too high than too low.
        if budget.allows(right, wrong) {
            return Some(floor);
        }
        Some(f64::from(first?) / f64::from(STEPS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { false_hits: 0.02, deviations: 1.96, start: Start::Trusting };

    fn evidence(judged: &[(f64, u32, u32)]) -> Evidence {
        let mut evidence = Evidence::default();
        for (similarity, right, wrong) in judged {
            (0..*right).for_each(|_| evidence.add(*similarity, Verdict::Right));
            (0..*wrong).for_each(|_| evidence.add(*similarity, Verdict::Wrong));
        }
        evidence
    }

    #[test]
    fn the_bound_is_the_published_one() {
        for (hits, all, expected) in [
            (0, 0, 1.0),
            (0, 10, 0.277_5),
            (1, 10, 0.404_2),
            (5, 10, 0.763_4),
            (10, 10, 1.0),
            (0, 1_000, 0.003_8),
        ] {
            let bound = wilson_upper(hits, all, 1.96);
            assert!((bound - expected).abs() < 5e-5, "{hits} of {all}: {bound}");
        }
    }

    #[test]
    fn vectors() {
        let proven = Budget { start: Start::Proven, ..BUDGET };
        for (what, judged, trusting, when_proven) in [
            ("nothing judged", vec![], Some(0.9), None),
            ("a few right ones", vec![(0.95, 20, 0)], Some(0.9), None),
            ("enough right ones", vec![(0.95, 200, 0)], Some(0.9), Some(0.9)),
            ("one wrong", vec![(0.93, 0, 1)], Some(0.931), None),
            (
                "one wrong, right above",
                vec![(0.93, 0, 1), (0.97, 200, 0)],
                Some(0.931),
                Some(0.931),
            ),
            ("one wrong of many", vec![(0.93, 500, 1)], Some(0.9), Some(0.9)),
            ("wrong at the top", vec![(1.0, 0, 1)], None, None),
            ("wrong at the top of many", vec![(1.0, 999, 1)], Some(0.9), Some(0.9)),
            ("wrong below the floor", vec![(0.5, 0, 99)], Some(0.9), None),
            ("wrong in the floor's step", vec![(0.9004, 0, 1)], Some(0.901), None),
            (
                "half wrong, better above",
                vec![(0.92, 5, 5), (0.98, 300, 0)],
                Some(0.921),
                Some(0.921),
            ),
        ] {
            let evidence = evidence(&judged);
            assert_eq!(evidence.threshold(0.9, &BUDGET), trusting, "{what}");
            assert_eq!(evidence.threshold(0.9, &proven), when_proven, "{what}, proven");
        }
    }

    #[test]
    fn a_threshold_of_zero_is_zero() {
        assert_eq!(Evidence::default().threshold(0.0, &BUDGET), Some(0.0));
        assert_eq!(evidence(&[(0.0, 0, 1)]).threshold(0.0, &BUDGET), Some(0.001));
    }

    #[test]
    fn a_wrong_answer_never_lowers_the_threshold() {
        let mut seed = 7u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            f64::from(u32::try_from(seed >> 40).unwrap()) / f64::from(1u32 << 24)
        };
        for _ in 0..200 {
            let mut evidence = Evidence::default();
            for _ in 0..60 {
                let verdict = if random() < 0.9 { Verdict::Right } else { Verdict::Wrong };
                evidence.add(random(), verdict);
            }
            let before = evidence.threshold(0.2, &BUDGET).unwrap_or(2.0);
            evidence.add(0.2 + random() * 0.8, Verdict::Wrong);
            assert!(evidence.threshold(0.2, &BUDGET).unwrap_or(2.0) >= before);
        }
    }

    /// Questions whose answers are wrong the more often the less similar they are, judged as they come: what is
    /// served keeps the budget.
    #[test]
    fn what_is_served_keeps_the_budget() {
        let mut seed = 1u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            f64::from(u32::try_from(seed >> 40).unwrap()) / f64::from(1u32 << 24)
        };
        let budget = Budget { false_hits: 0.05, start: Start::Proven, ..BUDGET };
        let (mut evidence, mut served, mut wrong) = (Evidence::default(), 0u32, 0u32);
        for _ in 0..20_000 {
            let similarity = 0.8 + 0.2 * random();
            // 0.8 is wrong half the time, 0.95 and above nearly never.
            let risk = ((0.95 - similarity) / 0.3).max(0.002);
            let verdict = if random() < risk { Verdict::Wrong } else { Verdict::Right };
            if evidence.threshold(0.8, &budget).is_some_and(|threshold| similarity >= threshold) {
                served += 1;
                wrong += u32::from(verdict == Verdict::Wrong);
            }
            evidence.add(similarity, verdict);
        }
        let share = f64::from(wrong) / f64::from(served);
        assert!(served > 4_000, "{served} served");
        assert!(share <= 0.05, "{wrong} of {served} wrong");
    }

    #[test]
    fn evidence_ages_and_reads_as_written() {
        let mut evidence = evidence(&[(0.5, 3, 1)]);
        let text = serde_json::to_string(&evidence).unwrap();
        assert_eq!(text, r#"{"judged":{"500":[3,1]}}"#);
        assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
        for _ in 0..AGEING {
            evidence.add(0.9, Verdict::Right);
        }
        let (right, wrong) = evidence.judged(0.0);
        assert!(right + wrong < AGEING && wrong == 1, "{right} {wrong}");
        for odd in [f64::NAN, -1.0, 7.0] {
            evidence.add(odd, Verdict::Wrong);
        }
        assert_eq!(evidence.judged(1.0), (0, 1));
    }
}
