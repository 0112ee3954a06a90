//! nDCG, recall and reciprocal rank, as `trec_eval` computes them.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::Qrels;

/// Normalised discounted cumulative gain of the first `k` documents, 0 to 1.
///
/// The gain of a document is its judgement (0 when it is negative or missing), its discount
/// log2(rank + 1); the sum is divided by that of the ideal order. Source: Järvelin and Kekäläinen
/// (2002) with linear gain, which is what `trec_eval` and BEIR report. 0 when nothing is relevant.
pub fn ndcg_at(ranked: &[&str], judgements: &BTreeMap<String, i32>, k: usize) -> f64 {
    let gain = |id: &str| judgements.get(id).map_or(0, |&judgement| judgement.max(0));
    let mut ideal: Vec<i32> =
        judgements.values().copied().filter(|&judgement| judgement > 0).collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = discounted(ideal.into_iter().take(k));
    let found = discounted(distinct(ranked).take(k).map(gain));
    if best > 0.0 { found / best } else { 0.0 }
}

fn discounted(gains: impl Iterator<Item = i32>) -> f64 {
    let mut place = 1.0_f64;
    gains.fold(0.0, |sum, gain| {
        place += 1.0;
        sum + f64::from(gain) / place.log2()
    })
}

/// The share of the relevant documents (judged above 0) that are among the first `k`. 0 when
/// nothing is relevant.
pub fn recall_at(ranked: &[&str], judgements: &BTreeMap<String, i32>, k: usize) -> f64 {
    let relevant = judgements.values().filter(|&&judgement| judgement > 0).count();
    let found = distinct(ranked).take(k).filter(|id| is_relevant(id, judgements)).count();
    if relevant == 0 { 0.0 } else { found as f64 / relevant as f64 }
}

/// 1 over the rank of the first relevant document among the first `k`; 0 when there is none.
pub fn reciprocal_rank_at(ranked: &[&str], judgements: &BTreeMap<String, i32>, k: usize) -> f64 {
    let first = distinct(ranked).take(k).position(|id| is_relevant(id, judgements));
    first.map_or(0.0, |at| 1.0 / (at as f64 + 1.0))
}

fn is_relevant(id: &str, judgements: &BTreeMap<String, i32>) -> bool {
    judgements.get(id).is_some_and(|&judgement| judgement > 0)
}

/// A ranking in which a document counts where it stands first.
fn distinct<'a>(ranked: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let mut seen = HashSet::new();
    ranked.iter().copied().filter(move |id| seen.insert(*id))
}

/// Means over the judged queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// [`ndcg_at`] 10.
    #[serde(rename = "ndcg@10")]
    pub ndcg_at_10: f64,
    /// [`recall_at`] 10.
    #[serde(rename = "recall@10")]
    pub recall_at_10: f64,
    /// [`recall_at`] 100.
    #[serde(rename = "recall@100")]
    pub recall_at_100: f64,
    /// [`reciprocal_rank_at`] 10.
    #[serde(rename = "mrr@10")]
    pub mrr_at_10: f64,
    /// How many queries have at least one relevant document: the means are over these.
    pub queries: usize,
}

/// The figures of a run: ranked document ids by query, best first. A judged query that the run
/// does not have counts as one that found nothing.
pub fn evaluate(run: &BTreeMap<String, Vec<String>>, qrels: &Qrels) -> Figures {
    let mut figures = Figures::default();
    for (query, judgements) in qrels {
        if !judgements.values().any(|&judgement| judgement > 0) {
            continue;
        }
        let ranked: Vec<&str> =
            run.get(query).map(|ids| ids.iter().map(String::as_str).collect()).unwrap_or_default();
        figures.queries += 1;
        figures.ndcg_at_10 += ndcg_at(&ranked, judgements, 10);
        figures.recall_at_10 += recall_at(&ranked, judgements, 10);
        figures.recall_at_100 += recall_at(&ranked, judgements, 100);
        figures.mrr_at_10 += reciprocal_rank_at(&ranked, judgements, 10);
    }
    if figures.queries > 0 {
        let count = figures.queries as f64;
        figures.ndcg_at_10 /= count;
        figures.recall_at_10 /= count;
        figures.recall_at_100 /= count;
        figures.mrr_at_10 /= count;
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pairs: &[(&str, i32)]) -> BTreeMap<String, i32> {
        pairs.iter().map(|&(id, judgement)| (id.to_owned(), judgement)).collect()
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn ndcg_by_hand() {
        let judgements = judged(&[("a", 2), ("b", 1), ("c", 1), ("bad", -1), ("no", 0)]);
        // DCG = 1/log2(2) + 2/log2(4) = 2; ideal = 2 + 1/log2(3) + 1/2.
        let ideal = 2.0 + 1.0 / 3.0_f64.log2() + 0.5;
        close(ndcg_at(&["b", "bad", "a", "x"], &judgements, 10), 2.0 / ideal);
        close(ndcg_at(&["a", "b", "c"], &judgements, 10), 1.0);
        close(ndcg_at(&["x", "a"], &judgements, 1), 0.0);
        // At 2 the ideal has two documents only.
        close(ndcg_at(&["b", "x"], &judgements, 2), 1.0 / (2.0 + 1.0 / 3.0_f64.log2()));
        close(ndcg_at(&["a"], &judged(&[("a", 0)]), 10), 0.0);
        close(ndcg_at(&["a", "a", "b", "c"], &judgements, 10), 1.0);
    }

    #[test]
    fn recall_and_reciprocal_rank_by_hand() {
        let judgements = judged(&[("a", 2), ("b", 1), ("c", 1), ("d", 1), ("bad", -1)]);
        let ranked = ["bad", "x", "b", "a", "y"];
        close(recall_at(&ranked, &judgements, 10), 0.5);
        close(recall_at(&ranked, &judgements, 3), 0.25);
        close(reciprocal_rank_at(&ranked, &judgements, 10), 1.0 / 3.0);
        close(reciprocal_rank_at(&ranked, &judgements, 2), 0.0);
        close(recall_at(&ranked, &judged(&[]), 10), 0.0);
        close(recall_at(&["a", "a"], &judgements, 10), 0.25);
    }

    #[test]
    fn means_are_over_the_queries_with_something_to_find() {
        let qrels: Qrels = [
            ("1".to_owned(), judged(&[("a", 1)])),
            ("2".to_owned(), judged(&[("a", 1)])),
            ("3".to_owned(), judged(&[("a", 0)])),
        ]
        .into();
        let run = [("1".to_owned(), vec!["a".to_owned()])].into();
        let figures = evaluate(&run, &qrels);
        assert_eq!(figures.queries, 2);
        close(figures.ndcg_at_10, 0.5);
        close(figures.recall_at_10, 0.5);
        close(figures.recall_at_100, 0.5);
        close(figures.mrr_at_10, 0.5);
        assert_eq!(evaluate(&run, &Qrels::new()), Figures::default());
    }
}
