//! BM25 as sparse vectors.
//!
//! The score of a document is a dot product, so a store needs to know nothing about text:
//!
//! ```text
//! score(q, d) = sum over the terms t of q:  qtf(t) * idf(t) * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len / avg_len))
//!               query side ^^^^^^   ^^^^^^ store   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ document side
//! ```
//!
//! Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009),
//! equation 3.15, with the inverse document frequency that is never negative (as in Lucene). The
//! average length is a constant of the collection: changing it means indexing again.

use hexmem_ports::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::analyse::TermCounts;

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
    /// `k1` 1.2, `b` 0.75 and 60 terms: about what a chunk of 512 characters of English prose has.
    fn default() -> Self {
        Self { k1: 1.2, b: 0.75, avg_len: 60.0 }
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

    /// The document side of the dot product.
    pub fn document(&self, counts: &TermCounts) -> SparseVector {
        let length = counts.length();
        SparseVector::collect(counts.iter().map(|(index, tf)| (index, self.weight(tf, length))))
    }
}

/// The query side of the dot product: how often each term occurs in the query.
pub fn query(counts: &TermCounts) -> SparseVector {
    SparseVector::collect(counts.iter())
}

/// A vector of which most values are zero. Indices ascend and are unique; values are finite.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SparseVector {
    /// The indices of the values, ascending.
    pub indices: Vec<u32>,
    /// The values, as many as there are indices.
    pub values: Vec<f32>,
}

impl SparseVector {
    fn collect(pairs: impl Iterator<Item = (u32, f32)>) -> Self {
        let (indices, values) = pairs.unzip();
        Self { indices, values }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "rounding an average to f32 is meant")]
fn narrow(value: f64) -> f32 {
    value as f32
}
