//! Hits that do not all say the same.

use std::collections::HashMap;
use std::hash::Hash;

/// The order of maximal marginal relevance: each next one is the best by
/// `weight * relevance - (1 - weight) * likeness`, where likeness is that to the most similar one before it.
///
/// `relevance` has a number for each, 0 to 1; `likeness` is asked for pairs, 0 to 1. A `weight` of 1 is the order of relevance.
/// Ties keep the given order. Gives at most `most` places; takes `most` times the number of candidates. Source: Carbonell and
/// Goldstein, "The Use of MMR" (1998).
pub fn marginal_relevance(
    relevance: &[f64],
    likeness: impl Fn(usize, usize) -> f64,
    weight: f64,
    most: usize,
) -> Vec<usize> {
    let mut left: Vec<(usize, f64)> = (0..relevance.len()).map(|place| (place, 0.0)).collect();
    let mut chosen = Vec::new();
    while chosen.len() < most && !left.is_empty() {
        let worth =
            |&(place, nearest): &(usize, f64)| weight * relevance[place] - (1.0 - weight) * nearest;
        let mut best = 0;
        for at in 1..left.len() {
            if worth(&left[at]) > worth(&left[best]) {
                best = at;
            }
        }
        let (next, _) = left.remove(best);
        chosen.push(next);
        for (place, nearest) in &mut left {
            *nearest = nearest.max(likeness(*place, next));
        }
    }
    chosen
}

/// Keeps the first `most` of each group, in order.
pub fn per_group<T, G: Hash + Eq>(items: Vec<T>, most: usize, group: impl Fn(&T) -> G) -> Vec<T> {
    let mut seen: HashMap<G, usize> = HashMap::new();
    let mut first = |item: &T| {
        let count = seen.entry(group(item)).or_default();
        *count += 1;
        *count <= most
    };
    items.into_iter().filter(|item| first(item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_best_comes_after_what_is_new() {
        // The second is the first once more; the third is another thing.
        let likeness = |a: usize, b: usize| if a.max(b) < 2 { 1.0 } else { 0.1 };
        let relevance = [1.0, 0.95, 0.6];
        assert_eq!(marginal_relevance(&relevance, likeness, 0.5, 3), [0, 2, 1]);
        assert_eq!(marginal_relevance(&relevance, likeness, 1.0, 3), [0, 1, 2]);
        assert_eq!(marginal_relevance(&relevance, likeness, 0.5, 2), [0, 2]);
        assert!(marginal_relevance(&[], likeness, 0.5, 2).is_empty());
    }

    #[test]
    fn the_first_of_each_group_stay() {
        let hits = vec![("a", 1), ("a", 2), ("b", 3), ("a", 4), ("b", 5)];
        assert_eq!(per_group(hits, 1, |hit| hit.0), [("a", 1), ("b", 3)]);
    }
}
