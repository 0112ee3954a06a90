//! Scores of dense vectors.

use super::narrow;
use crate::Distance;

/// Partial sums of one vector, so that the compiler uses wide registers. They are added in pairs.
const LANES: usize = 16;

/// Sums of squares within these are exact enough in f32; beyond them the sums are made again in f64.
const SAFE: std::ops::RangeInclusive<f32> = 1e-20..=1e30;

/// A dense query, ready to be compared with many vectors.
///
/// Every store computes in this order: 16 sums in f32, element `i` into sum `i mod 16`, then added in
/// pairs; in f64 where f32 would overflow or vanish.
#[derive(Debug, Clone)]
pub struct DenseQuery<'a> {
    distance: Distance,
    values: &'a [f32],
    square: f32,
}

impl<'a> DenseQuery<'a> {
    /// Compares by `distance` with `values`.
    pub fn new(distance: Distance, values: &'a [f32]) -> Self {
        Self { distance, values, square: sum(values, values, |a, b| a * b) }
    }

    /// The score of `other`, which has the same length; higher is nearer. Never NaN.
    pub fn score(&self, other: &[f32]) -> f32 {
        match self.distance {
            Distance::Dot => {
                let dot = sum(self.values, other, |a, b| a * b);
                if dot.is_finite() { dot + 0.0 } else { narrow(self.wide(other, |a, b| a * b)) }
            }
            Distance::Euclid => {
                let square = sum(self.values, other, |a, b| (a - b) * (a - b));
                let square = if SAFE.contains(&square) {
                    f64::from(square)
                } else {
                    self.wide(other, |a, b| (a - b) * (a - b))
                };
                narrow(-square.sqrt())
            }
            Distance::Cosine => {
                let (dot, square) = dot_and_square(self.values, other);
                let (dot, squares) =
                    if SAFE.contains(&square) && SAFE.contains(&self.square) && dot.is_finite() {
                        (f64::from(dot), f64::from(square) * f64::from(self.square))
                    } else {
                        let own: f64 = self.values.iter().map(|v| f64::from(*v).powi(2)).sum();
                        (self.wide(other, |a, b| a * b), self.wide(other, |_, b| b * b) * own)
                    };
                if squares > 0.0 { narrow((dot / squares.sqrt()).clamp(-1.0, 1.0)) } else { 0.0 }
            }
        }
    }

    fn wide(&self, other: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
        self.values.iter().zip(other).map(|(a, b)| term(f64::from(*a), f64::from(*b))).sum()
    }
}

fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (wide_a, rest_a) = a.as_chunks::<LANES>();
    let (wide_b, rest_b) = b.as_chunks::<LANES>();
    for (a, b) in wide_a.iter().zip(wide_b) {
        for i in 0..LANES {
            lanes[i] += term(a[i], b[i]);
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(rest_a.iter().zip(rest_b)) {
        *lane += term(*a, *b);
    }
    fold(lanes)
}

/// Both sums in one pass over `b`, which comes from memory or the disk.
fn dot_and_square(a: &[f32], b: &[f32]) -> (f32, f32) {
    let (mut dots, mut squares) = ([0.0; LANES], [0.0; LANES]);
    let (wide_a, rest_a) = a.as_chunks::<LANES>();
    let (wide_b, rest_b) = b.as_chunks::<LANES>();
    for (a, b) in wide_a.iter().zip(wide_b) {
        for i in 0..LANES {
            dots[i] += a[i] * b[i];
            squares[i] += b[i] * b[i];
        }
    }
    for (i, (a, b)) in rest_a.iter().zip(rest_b).enumerate() {
        dots[i] += a * b;
        squares[i] += b * b;
    }
    (fold(dots), fold(squares))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(distance: Distance, a: &[f32], b: &[f32]) -> f32 {
        DenseQuery::new(distance, a).score(b)
    }

    #[test]
    fn vectors() {
        let (a, b) = ([1.0, 2.0, 2.0], [2.0, 0.0, 0.0]);
        assert!((score(Distance::Cosine, &a, &b) - 1.0 / 3.0).abs() < 1e-6);
        assert!((score(Distance::Dot, &a, &b) - 2.0).abs() < 1e-6);
        assert!((score(Distance::Euclid, &a, &b) + 3.0).abs() < 1e-6);
        let long: Vec<f32> = (0..1_000u16).map(|i| f32::from(i % 7) - 3.0).collect();
        let exact: f64 = long.iter().map(|v| f64::from(*v).powi(2)).sum();
        assert_eq!(score(Distance::Dot, &long, &long), narrow(exact));
        assert_eq!(score(Distance::Cosine, &long, &long), 1.0);
    }

    #[test]
    fn the_extremes_are_numbers() {
        for distance in [Distance::Cosine, Distance::Dot, Distance::Euclid] {
            for a in [0.0, f32::MIN_POSITIVE, 1e-30, 1.0, 1e30, f32::MAX] {
                for b in [0.0, -1e-30, 1e-40, -1.0, f32::MIN] {
                    assert!(!score(distance, &[a, a], &[b, -b]).is_nan(), "{distance:?} {a} {b}");
                }
            }
        }
        assert_eq!(score(Distance::Cosine, &[0.0], &[1.0]), 0.0);
        assert_eq!(score(Distance::Cosine, &[1e-30], &[1e-30]), 1.0);
        assert_eq!(score(Distance::Cosine, &[f32::MAX], &[f32::MAX]), 1.0);
        assert!((score(Distance::Euclid, &[1e-30], &[0.0]) + 1e-30).abs() < 1e-36);
    }
}
