//! The one IDF formula of sparse search.

/// Inverse document frequency of Robertson and Sparck Jones with the +1 that keeps it positive, as
/// Lucene and Qdrant compute it: `ln(1 + (N - n + 0.5) / (n + 0.5))`. `total` (N) is the number of points
/// of the collection that have the sparse vector; `with_term` (n) those in which the index occurs.
/// The population is the whole collection, whatever the filter.
#[allow(clippy::cast_precision_loss, reason = "counts beyond 2^52 change no rank")]
pub fn idf(total: u64, with_term: u64) -> f32 {
    let n = with_term.min(total) as f64;
    let value = ((total as f64 - n + 0.5) / (n + 0.5)).ln_1p();
    #[allow(clippy::cast_possible_truncation, reason = "weights are f32 everywhere")]
    let narrow = value as f32;
    narrow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        for (total, with_term, expected) in [
            (0u64, 0u64, std::f32::consts::LN_2),
            (1, 1, 0.287_682_07),
            (1_000, 1, 6.503_29),
            (1_000, 1_000, 0.000_499_6),
        ] {
            assert!((idf(total, with_term) - expected).abs() < 1e-4, "{total} {with_term}");
        }
    }
}
