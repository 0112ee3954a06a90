//! Scores of sparse vectors.

use std::cmp::Ordering;

use super::narrow;
use crate::rules::idf;
use crate::{SparseVector, Weighting};

/// A sparse query with its weights: each index once, growing, with query value times weighting.
///
/// The score of a point is the sum over common indices, in growing order of index, of weight times the point's
/// value: in f64, rounded once ([`narrow`]).
#[derive(Debug, Clone, PartialEq)]
pub struct SparseQuery(Vec<(u32, f64)>);

impl SparseQuery {
    /// Weighs `values`. `total` is the number of points that have the vector, `with_term` of those in which an
    /// index occurs; both only matter for [`Weighting::Idf`].
    pub fn new(
        values: &SparseVector,
        weighting: Weighting,
        total: u64,
        mut with_term: impl FnMut(u32) -> u64,
    ) -> Self {
        let mut weigh = |(index, value)| match weighting {
            Weighting::Plain => (index, f64::from(value)),
            Weighting::Idf => (index, f64::from(value) * f64::from(idf(total, with_term(index)))),
        };
        Self(values.iter().map(&mut weigh).collect())
    }

    /// Index and weight, growing.
    pub fn weights(&self) -> &[(u32, f64)] {
        &self.0
    }

    /// The score of `point`; `None` without a common index.
    pub fn score(&self, point: &SparseVector) -> Option<f32> {
        let (indices, values) = (point.indices(), point.values());
        let (mut sum, mut common, mut at) = (0.0, false, 0);
        for (index, weight) in &self.0 {
            // A query is short and a point long: leap, then step.
            at += indices[at..].partition_point(|other| other < index);
            match indices.get(at).map(|other| other.cmp(index)) {
                Some(Ordering::Equal) => {
                    sum += weight * f64::from(values[at]);
                    common = true;
                    at += 1;
                }
                Some(_) => {}
                None => break,
            }
        }
        common.then(|| narrow(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(list: &[(u32, f32)]) -> SparseVector {
        let (indices, values) = list.iter().copied().unzip();
        SparseVector::new(indices, values).unwrap()
    }

    #[test]
    fn vectors() {
        let query = sparse(&[(1, 2.0), (5, 1.0), (9, 0.5)]);
        let plain = SparseQuery::new(&query, Weighting::Plain, 0, |_| 0);
        assert_eq!(plain.score(&sparse(&[(0, 9.0), (1, 3.0), (9, 4.0)])), Some(8.0));
        assert_eq!(plain.score(&sparse(&[(1, 0.0)])), Some(0.0));
        assert_eq!(plain.score(&sparse(&[(0, 1.0), (6, 1.0), (10, 1.0)])), None);
        assert_eq!(plain.score(&SparseVector::default()), None);
        let weighed = SparseQuery::new(&query, Weighting::Idf, 10, |index| u64::from(index == 5));
        assert_eq!(weighed.weights()[1], (5, f64::from(idf(10, 1))));
        assert_eq!(weighed.weights()[0], (1, 2.0 * f64::from(idf(10, 0))));
    }
}
