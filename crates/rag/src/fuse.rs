//! Fusion of rankings from several searches into one.
//!
//! The candidates are the union of the rankings. Equal scores are ordered by id, so that the same
//! input gives the same output everywhere.

use std::collections::BTreeMap;

use hexmem_ports::{Error, Result};

/// The constant of reciprocal rank fusion that its authors chose.
pub const RRF_K: f64 = 60.0;

/// One document after fusion.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused<T> {
    /// The document.
    pub id: T,
    /// Its score: comparable within one fusion only.
    pub score: f64,
    /// Its place in each ranking, from 1, in the order the rankings were given; `None` where the
    /// ranking does not have it.
    pub ranks: Vec<Option<usize>>,
}

/// Reciprocal rank fusion: each ranking gives `1 / (k + rank)`, the first rank being 1.
///
/// Of a document that a ranking holds twice the better place counts. `Invalid` when `k` is negative
/// or not finite. Source: Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms
/// Condorcet and individual Rank Learning Methods" (2009).
pub fn reciprocal_rank<T: Ord + Clone>(rankings: &[Vec<T>], k: f64) -> Result<Vec<Fused<T>>> {
    if !(k.is_finite() && k >= 0.0) {
        return Err(Error::invalid("rag.fuse", format!("k is {k}; it must be at least 0")));
    }
    let mut union = Union::new(rankings.len());
    for (which, ranking) in rankings.iter().enumerate() {
        let mut place = 0.0;
        for (at, id) in ranking.iter().enumerate() {
            place += 1.0;
            union.add(which, at + 1, id, 1.0 / (k + place));
        }
    }
    Ok(union.ordered())
}

/// One ranking with the scores of its search, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored<T> {
    /// The documents and their scores, best first.
    pub hits: Vec<(T, f64)>,
    /// How much this ranking counts beside the others.
    pub weight: f64,
}

/// Weighted sum of scores, each ranking first mapped to 0..1 (lowest to highest of its own scores).
///
/// A ranking whose scores are all equal gives each of its documents the whole weight; a document
/// that a ranking does not have gets nothing from it. `Invalid` when a weight is negative, or a
/// weight or score is not finite.
pub fn weighted_sum<T: Ord + Clone>(rankings: &[Scored<T>]) -> Result<Vec<Fused<T>>> {
    let mut union = Union::new(rankings.len());
    for (which, ranking) in rankings.iter().enumerate() {
        if !(ranking.weight.is_finite() && ranking.weight >= 0.0) {
            let message = format!("a weight is {}; it must be at least 0", ranking.weight);
            return Err(Error::invalid("rag.fuse", message));
        }
        let scores = || ranking.hits.iter().map(|&(_, score)| score);
        if let Some(score) = scores().find(|score| !score.is_finite()) {
            return Err(Error::invalid("rag.fuse", format!("a score is {score}")));
        }
        let low = scores().fold(f64::INFINITY, f64::min);
        let high = scores().fold(f64::NEG_INFINITY, f64::max);
        let range = high - low;
        for (at, (id, score)) in ranking.hits.iter().enumerate() {
            let part = if range > 0.0 { (score / range) - (low / range) } else { 1.0 };
            union.add(which, at + 1, id, ranking.weight * part);
        }
    }
    Ok(union.ordered())
}

/// The documents of all rankings.
struct Union<T> {
    rankings: usize,
    by_id: BTreeMap<T, (f64, Vec<Option<usize>>)>,
}

impl<T: Ord + Clone> Union<T> {
    fn new(rankings: usize) -> Self {
        Self { rankings, by_id: BTreeMap::new() }
    }

    fn add(&mut self, which: usize, rank: usize, id: &T, score: f64) {
        let (sum, ranks) =
            self.by_id.entry(id.clone()).or_insert_with(|| (0.0, vec![None; self.rankings]));
        if let Some(place @ None) = ranks.get_mut(which) {
            *place = Some(rank);
            *sum += score;
        }
    }

    fn ordered(self) -> Vec<Fused<T>> {
        let mut fused: Vec<_> =
            self.by_id.into_iter().map(|(id, (score, ranks))| Fused { id, score, ranks }).collect();
        fused.sort_by(|a, b| b.score.total_cmp(&a.score)); // stable: ids already ascend
        fused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reciprocal_rank_by_hand() {
        let fused = reciprocal_rank(&[vec!["a", "b", "c"], vec!["c", "a"]], RRF_K).unwrap();
        let order: Vec<_> = fused.iter().map(|hit| hit.id).collect();
        assert_eq!(order, ["a", "c", "b"]);
        assert!((fused[0].score - (1.0 / 61.0 + 1.0 / 62.0)).abs() < 1e-12);
        assert!((fused[1].score - (1.0 / 63.0 + 1.0 / 61.0)).abs() < 1e-12);
        assert_eq!(fused[2].ranks, [Some(2), None]);
    }

    #[test]
    fn ties_are_ordered_by_id_and_repeats_count_once() {
        let fused = reciprocal_rank(&[vec!["b", "b"], vec!["a"]], RRF_K).unwrap();
        assert_eq!(fused.iter().map(|hit| hit.id).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(fused[0].score, fused[1].score);
        assert_eq!(fused[1].ranks, [Some(1), None]);
    }

    #[test]
    fn weighted_sum_by_hand() {
        let dense = Scored { hits: vec![("a", 0.9), ("b", 0.5), ("c", 0.1)], weight: 0.6 };
        let sparse = Scored { hits: vec![("c", 12.0), ("b", 2.0)], weight: 0.4 };
        let fused = weighted_sum(&[dense, sparse]).unwrap();
        let scores: Vec<_> =
            fused.iter().map(|hit| (hit.id, (hit.score * 100.0).round())).collect();
        assert_eq!(scores, [("a", 60.0), ("c", 40.0), ("b", 30.0)]);
    }

    #[test]
    fn equal_scores_share_the_whole_weight() {
        let fused = weighted_sum(&[Scored { hits: vec![("a", 3.0), ("b", 3.0)], weight: 0.5 }]);
        assert!(fused.unwrap().iter().all(|hit| hit.score == 0.5));
    }

    #[test]
    fn nothing_fuses_to_nothing_and_bad_numbers_are_refused() {
        assert!(reciprocal_rank::<u32>(&[], RRF_K).unwrap().is_empty());
        assert!(weighted_sum::<u32>(&[]).unwrap().is_empty());
        assert!(reciprocal_rank(&[vec![1]], f64::NAN).is_err());
        assert!(weighted_sum(&[Scored { hits: vec![(1, f64::NAN)], weight: 1.0 }]).is_err());
        assert!(weighted_sum(&[Scored { hits: vec![(1, 1.0)], weight: -1.0 }]).is_err());
        let extreme = Scored { hits: vec![(1, f64::MAX), (2, f64::MIN)], weight: 1.0 };
        assert!(weighted_sum(&[extreme]).unwrap().iter().all(|hit| hit.score.is_finite()));
    }
}
