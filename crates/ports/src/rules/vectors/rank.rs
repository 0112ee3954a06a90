//! The order of what was found.

use std::cmp::Ordering;

use crate::PointId;

/// The better first: the higher score, then the lower id. Total, so that every store pages and cuts alike.
pub fn better_first(a: (f32, PointId), b: (f32, PointId)) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// A score as stores give it: rounded once from the wide sum, and never a negative zero, which would rank
/// below zero.
pub fn narrow(wide: f64) -> f32 {
    #[allow(clippy::cast_possible_truncation, reason = "scores are f32 everywhere")]
    let score = wide as f32;
    if score.is_nan() { 0.0 } else { score + 0.0 }
}

/// Puts the best `want` in front, in no order and with all that equal the last of them, and says how many they are:
/// a store reads these points and no others. `want` is at least 1.
pub fn best_in_front(scores: &mut [(f32, u32)], want: usize) -> usize {
    if want >= scores.len() {
        return scores.len();
    }
    let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0);
    let (_, edge, _) = scores.select_nth_unstable_by(want - 1, order);
    let edge = *edge;
    let mut end = want;
    for at in want..scores.len() {
        if order(&scores[at], &edge).is_eq() {
            scores.swap(at, end);
            end += 1;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn score_then_id() {
        let id = |n| PointId(Uuid::from_u128(n));
        let mut list = [(0.5, id(3)), (1.0, id(9)), (0.5, id(1)), (f32::NEG_INFINITY, id(0))];
        list.sort_by(|a, b| better_first(*a, *b));
        let order: Vec<_> = list.iter().map(|(_, id)| id.0.as_u128()).collect();
        assert_eq!(order, [9, 1, 3, 0]);
        assert!(narrow(-0.0).is_sign_positive());
        assert_eq!(narrow(f64::MAX), f32::INFINITY);
    }

    #[test]
    fn equal_scores_stay_together() {
        let mut scores: Vec<(f32, u32)> =
            [1.0, 3.0, 2.0, 2.0, 5.0, 2.0, 0.0].into_iter().zip(0..).collect();
        for (want, expected) in [(1, 1), (2, 2), (3, 5), (4, 5), (5, 5), (6, 6), (7, 7), (9, 7)] {
            assert_eq!(best_in_front(&mut scores, want), expected, "{want}");
            let least = scores[..expected].iter().map(|s| s.0).fold(f32::INFINITY, f32::min);
            assert!(scores[expected..].iter().all(|s| s.0 < least));
        }
    }
}
