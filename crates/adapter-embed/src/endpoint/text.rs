//! Texts to requests, and vectors to length 1.

use std::ops::Range;

/// The first `max` characters; all of them where `max` is 0.
pub(super) fn cut(text: &str, max: usize) -> &str {
    match text.char_indices().nth(max) {
        Some((end, _)) if max > 0 => &text[..end],
        _ => text,
    }
}

/// Runs of at most `texts` texts and, where one has more than one text, `bytes` bytes.
pub(super) fn batches(all: &[String], texts: usize, bytes: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut held = 0;
    for (at, text) in all.iter().enumerate() {
        match ranges.last_mut() {
            Some(last) if last.len() < texts && held + text.len() <= bytes => {
                last.end = at + 1;
                held += text.len();
            }
            _ => {
                ranges.push(at..at + 1);
                held = text.len();
            }
        }
    }
    ranges
}

/// Brings a vector to length 1; `false` where it has no direction.
pub(super) fn normalise(vector: &mut [f32]) -> bool {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if !(length.is_normal()) {
        return false;
    }
    #[allow(clippy::cast_possible_truncation, reason = "between -1 and 1, rounded to the nearest")]
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(
            (cut("日本語", 2), cut("日本語", 3), cut("日本語", 9)),
            ("日本", "日本語", "日本語")
        );
        assert_eq!((cut("a lease", 0), cut("", 4)), ("a lease", ""));
    }

    #[test]
    fn batches_end_by_count_and_by_bytes() {
        let all: Vec<String> = [1, 1, 1, 9, 1, 2].iter().map(|n| "x".repeat(*n)).collect();
        assert_eq!(batches(&all, 2, 4), [0..2, 2..3, 3..4, 4..6]);
        assert!(batches(&[], 2, 4).is_empty());
    }

    #[test]
    fn length_is_one_also_of_tiny_and_large_vectors() {
        for scale in [1e-30, 1.0, 1e30] {
            let mut vector = [3.0 * scale, 4.0 * scale];
            assert!(normalise(&mut vector));
            assert!((vector[0] - 0.6).abs() < 1e-6 && (vector[1] - 0.8).abs() < 1e-6);
        }
        assert!(!normalise(&mut [0.0, 0.0]) && !normalise(&mut []));
    }
}
