//! Pseudo-relevance feedback: the best hits of a query lend it their strongest terms.
//!
//! The first search finds documents; what they have in common is looked for in a second one. So a
//! document that says the same in other words is found. Source: the RM3 variant of relevance
//! models (Abdul-Jaleel and others, "UMass at TREC 2004", after Lavrenko and Croft 2001), with the
//! BM25 weights of the document vectors as the model. No statistics of the store are needed: it
//! applies its inverse document frequency to the added terms as to any other.

use std::collections::BTreeMap;

use hexmem_ports::{Result, SparseVector};
use serde::{Deserialize, Serialize};

use crate::bm25::{collect, narrow};

/// How far a query is widened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Feedback {
    /// How many of the best hits lend terms.
    pub hits: usize,
    /// How many terms are added at most.
    pub terms: usize,
    /// The weight of all added terms together, as a share of the weight of the query itself.
    pub weight: f32,
}

impl Default for Feedback {
    /// 3 hits, 20 terms, 0.6: chosen on one half of the queries of Cranfield.
    fn default() -> Self {
        Self { hits: 3, terms: 20, weight: 0.6 }
    }
}

impl Feedback {
    /// The query with the strongest terms of its best hits, given as score and document vector,
    /// best first. Without a hit that has a positive score the query comes back as it was.
    ///
    /// `Invalid` when the sum of the weights is too large for a number.
    pub fn widen(
        &self,
        query: &SparseVector,
        hits: &[(f32, &SparseVector)],
    ) -> Result<SparseVector> {
        let best =
            || hits.iter().take(self.hits).filter(|(score, _)| score.is_finite() && *score > 0.0);
        let scores: f64 = best().map(|&(score, _)| f64::from(score)).sum();
        let mut strength: BTreeMap<u32, f64> = BTreeMap::new();
        for &(score, document) in best() {
            let share = f64::from(score) / scores;
            for (index, weight) in document.iter() {
                *strength.entry(index).or_insert(0.0) += share * f64::from(weight);
            }
        }
        let mut added: Vec<(u32, f64)> = strength.into_iter().collect();
        added.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        added.truncate(self.terms);

        let lent: f64 = added.iter().map(|&(_, strength)| strength).sum();
        let own: f64 = query.values().iter().map(|&value| f64::from(value)).sum();
        let scale = f64::from(self.weight) * own / lent;
        if !(scale.is_finite() && scale > 0.0) {
            return Ok(query.clone());
        }
        let mut wide: BTreeMap<u32, f32> = query.iter().collect();
        for (index, strength) in added {
            *wide.entry(index).or_insert(0.0) += narrow(scale * strength);
        }
        collect(wide.into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(pairs: &[(u32, f32)]) -> SparseVector {
        collect(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn the_strongest_terms_share_the_weight() {
        let feedback = Feedback { hits: 2, terms: 2, weight: 0.5 };
        let query = vector(&[(1, 1.0), (2, 1.0)]);
        let first = vector(&[(1, 1.0), (7, 2.0)]);
        let second = vector(&[(7, 2.0), (9, 1.0)]);
        let third = vector(&[(3, 100.0)]);
        // Shares 3/4 and 1/4: 7 has 2.0, 1 has 0.75, 9 has 0.25. 7 and 1 share 0.5 * 2.
        let wide = feedback.widen(&query, &[(3.0, &first), (1.0, &second), (0.5, &third)]).unwrap();
        assert_eq!(wide.indices(), [1, 2, 7]);
        let expected = [1.0 + 0.75 / 2.75, 1.0, 2.0 / 2.75];
        assert!(wide.values().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{wide:?}");
    }

    #[test]
    fn without_hits_the_query_stays() {
        let query = vector(&[(1, 1.0)]);
        let other = vector(&[(2, 1.0)]);
        let feedback = Feedback::default();
        assert_eq!(feedback.widen(&query, &[]).unwrap(), query);
        assert_eq!(feedback.widen(&query, &[(0.0, &other), (f32::NAN, &other)]).unwrap(), query);
        assert_eq!(feedback.widen(&query, &[(1.0, &SparseVector::default())]).unwrap(), query);
        assert!(
            feedback
                .widen(&SparseVector::default(), &[(1.0, &other)])
                .unwrap()
                .indices()
                .is_empty()
        );
        assert_eq!(
            Feedback { weight: 0.0, ..feedback }.widen(&query, &[(1.0, &other)]).unwrap(),
            query
        );
    }
}
