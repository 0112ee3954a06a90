//! BM25 as sparse vectors.
//!
//! The score of a document is a dot product, so a store needs to know nothing about text:
//!
//! ```text
//! score(q, d) = sum over the terms t of q:  query(t) * idf(t) * document(t)
//! query(t)    = how often t occurs in q                                         [`query`]
//! idf(t)      = ln(1 + (N - n + 0.5) / (n + 0.5))                               the store
//! document(t) = tf * (k1 + 1) / (tf + k1 * (1 - b + b * len / avg_len))         [`Bm25::document`]
//! ```
//!
//! Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009),
//! equation 3.15, with the inverse document frequency that is never negative (as in Lucene). The
//! average length is a constant of the collection: changing it means indexing again.

use hexmem_ports::{Error, Result, SparseVector};
use serde::{Deserialize, Serialize};

use crate::analyse::TermCounts;

/// How many times a term of the title counts, with [`TermCounts::add`].
///
/// Chosen among 0.5, 1, 1.5, 2 and 3 on one half of the queries of Cranfield.
pub const TITLE_WEIGHT: f32 = 3.0;

/// How many times a term counts that stands in a neighbouring turn of a dialogue. Not tuned: there is no dialogue among the
/// measured collections.
pub const AROUND_WEIGHT: f32 = 0.4;

/// The constants of the document side. Stamped on a collection.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bm25 {
    /// How soon repeats of a term stop counting: 0 counts presence only.
    pub k1: f32,
    /// How much a long document is held down: 0 not at all, 1 in proportion to its length.
    pub b: f32,
    /// The average number of terms of a document, after stop words.
    pub avg_len: f32,
}

impl Default for Bm25 {
    /// `k1` 2.0, `b` 0.75 and 60 terms: about what a chunk of 512 characters of English prose has.
    ///
    /// `k1` is the upper end of the range that Robertson and Zaragoza give (1.2 to 2): on Cranfield
    /// it is better than 1.2 on both halves of the queries.
    fn default() -> Self {
        Self { k1: 2.0, b: 0.75, avg_len: 60.0 }
    }
}

impl Bm25 {
    /// These constants, or an `Invalid` error that names the one out of range.
    pub fn new(k1: f32, b: f32, avg_len: f32) -> Result<Self> {
        let constants = Self { k1, b, avg_len };
        constants.check()?;
        Ok(constants)
    }

    /// The same constants with the average length of a given collection of texts. An empty
    /// collection keeps the length there was.
    #[must_use]
    pub fn with_lengths(self, lengths: impl IntoIterator<Item = f32>) -> Self {
        let (mut sum, mut count) = (0.0_f64, 0.0_f64);
        for length in lengths {
            sum += f64::from(length);
            count += 1.0;
        }
        let average = narrow(sum / count);
        if average.is_finite() && average > 0.0 { Self { avg_len: average, ..self } } else { self }
    }

    /// Checks constants that came from outside.
    ///
    /// `Invalid` unless `k1` is at least 0, `b` lies in 0 to 1 and `avg_len` is above 0.
    pub fn check(&self) -> Result<()> {
        let bad = |name, value: f32, range| {
            Err(Error::invalid("rag.bm25", format!("{name} is {value}; it must be {range}")))
        };
        if !(self.k1.is_finite() && self.k1 >= 0.0) {
            return bad("k1", self.k1, "at least 0");
        }
        if !(0.0..=1.0).contains(&self.b) {
            return bad("b", self.b, "between 0 and 1");
        }
        if !(self.avg_len.is_finite() && self.avg_len > 0.0) {
            return bad("avg_len", self.avg_len, "above 0");
        }
        Ok(())
    }

    /// The weight of a term that occurs `tf` times in a document of `len` terms.
    pub fn weight(&self, tf: f32, len: f32) -> f32 {
        if tf <= 0.0 {
            return 0.0;
        }
        tf * (self.k1 + 1.0) / (tf + self.k1 * (1.0 - self.b + self.b * len / self.avg_len))
    }

    /// The document side of the dot product. `Invalid` as [`check`](Self::check) says.
    pub fn document(&self, counts: &TermCounts) -> Result<SparseVector> {
        self.check()?;
        let length = counts.length();
        collect(counts.iter().map(|(index, tf)| (index, self.weight(tf, length))))
    }
}

/// The query side of the dot product: how often each term occurs in the query.
pub fn query(counts: &TermCounts) -> Result<SparseVector> {
    collect(counts.iter())
}

/// A sparse vector of pairs in ascending order of the index.
pub(crate) fn collect(pairs: impl Iterator<Item = (u32, f32)>) -> Result<SparseVector> {
    let (indices, values) = pairs.unzip();
    SparseVector::new(indices, values)
}

/// Rounds to the precision of a stored weight.
#[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
pub(crate) fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyse::{Analyzer, Side, term_index};

    #[test]
    fn weight_by_hand() {
        let bm25 = Bm25::new(1.2, 0.75, 10.0).unwrap();
        assert!((bm25.weight(1.0, 10.0) - 1.0).abs() < 1e-6);
        assert!((bm25.weight(2.0, 10.0) - 4.4 / 3.2).abs() < 1e-6);
        assert!((bm25.weight(1.0, 20.0) - 2.2 / 3.1).abs() < 1e-6);
        assert_eq!(bm25.weight(0.0, 10.0), 0.0);
    }

    #[test]
    fn weight_rises_with_frequency_and_stays_below_its_limit() {
        let bm25 = Bm25::default();
        let weights: Vec<f32> = [1.0, 2.0, 10.0, 1e9].map(|tf| bm25.weight(tf, 60.0)).to_vec();
        assert!(weights.is_sorted());
        assert!(weights.iter().all(|&weight| weight <= bm25.k1 + 1.0));
    }

    #[test]
    fn vectors_ascend_and_hold_each_term_once() {
        let analyzer = Analyzer::default();
        let counts = TermCounts::of(&analyzer, "flow over a wing, flow", Side::Document);
        let document = Bm25::default().document(&counts).unwrap();
        assert_eq!(document.indices().len(), 2);
        let query_side: Vec<_> = query(&counts).unwrap().iter().collect();
        assert!(query_side.contains(&(term_index("flow"), 2.0)));
        assert!(query(&TermCounts::default()).unwrap().indices().is_empty());
    }

    #[test]
    fn constants_out_of_range_are_named() {
        for (k1, b, avg_len, name) in [
            (-1.0, 0.5, 1.0, "k1"),
            (1.0, 1.5, 1.0, "b is"),
            (1.0, 0.5, 0.0, "avg_len"),
            (f32::NAN, 0.5, 1.0, "k1"),
        ] {
            assert!(Bm25::new(k1, b, avg_len).unwrap_err().to_string().contains(name));
        }
    }

    #[test]
    fn average_length_is_the_collections() {
        assert_eq!(Bm25::default().with_lengths([2.0, 4.0]).avg_len, 3.0);
        assert_eq!(Bm25::default().with_lengths([]).avg_len, 60.0);
        assert_eq!(Bm25::default().with_lengths([0.0]).avg_len, 60.0);
    }
}
