//! Inner products in the widest registers that the machine has.
#![allow(
    unsafe_code,
    reason = "a function compiled for wider registers may be called once they were seen to be there"
)]

/// One function, compiled for wider registers too and chosen while running.
macro_rules! widest {
    ($(#[$doc:meta])* $name:ident, $plain:ident, $number:ty, $sum:ty) => {
        $(#[$doc])*
        #[inline]
        pub(super) fn $name(a: &[$number], b: &[$number]) -> $sum {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
                fn widest(a: &[$number], b: &[$number]) -> $sum {
                    $plain(a, b)
                }
                #[target_feature(enable = "avx2")]
                fn wide(a: &[$number], b: &[$number]) -> $sum {
                    $plain(a, b)
                }
                if std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                {
                    // SAFETY: the processor has what it was compiled for.
                    return unsafe { widest(a, b) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: as above.
                    return unsafe { wide(a, b) };
                }
            }
            $plain(a, b)
        }
    };
}

widest! {
    /// Of whole numbers, exact: 65,536 of them stay within 31 bits.
    dot_i8, plain_i8, i8, i32
}

widest! {
    /// In 16 sums, which rounds a little differently from a plain sum.
    dot_f32, plain_f32, f32, f32
}

#[inline(always)]
fn plain_i8(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

const LANES: usize = 16;

#[inline(always)]
fn plain_f32(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (wide_a, rest_a) = a.as_chunks::<LANES>();
    let (wide_b, rest_b) = b.as_chunks::<LANES>();
    for (a, b) in wide_a.iter().zip(wide_b) {
        for i in 0..LANES {
            lanes[i] += a[i] * b[i];
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

/// Of numbers of half precision, given as their bits; sums are of single precision.
#[inline]
pub(super) fn dot_f16(a: &[u16], b: &[u16]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("f16c") {
        // SAFETY: the processor has what it was compiled for.
        return unsafe { wide_f16(a, b) };
    }
    plain_f16(a, b)
}

fn plain_f16(a: &[u16], b: &[u16]) -> f32 {
    let number = |bits: &u16| half::f16::from_bits(*bits).to_f32();
    a.iter().zip(b).map(|(a, b)| number(a) * number(b)).sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
fn wide_f16(a: &[u16], b: &[u16]) -> f32 {
    use std::arch::x86_64::{
        __m256, _mm_loadu_si128, _mm256_add_ps, _mm256_cvtph_ps, _mm256_mul_ps, _mm256_setzero_ps,
        _mm256_storeu_ps,
    };
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    fn read(eight: &[u16; 8]) -> __m256 {
        // SAFETY: 16 bytes are there, aligned or not.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(eight.as_ptr().cast()) })
    }
    let (wide_a, rest_a) = a.as_chunks::<8>();
    let (wide_b, rest_b) = b.as_chunks::<8>();
    // Two sums, so that one addition does not wait for the other.
    let mut sums = [_mm256_setzero_ps(); 2];
    for (i, (a, b)) in wide_a.iter().zip(wide_b).enumerate() {
        sums[i % 2] = _mm256_add_ps(sums[i % 2], _mm256_mul_ps(read(a), read(b)));
    }
    let mut lanes = [0.0f32; 8];
    // SAFETY: 32 bytes are there, aligned or not.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(sums[0], sums[1])) };
    lanes.iter().sum::<f32>() + plain_f16(rest_a, rest_b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_gives_the_same() {
        for length in [0usize, 1, 7, 8, 15, 16, 17, 31, 33, 64, 100, 384, 1_000] {
            let number = |i: usize, by: usize| i16::try_from(i * by % 255).unwrap() - 127;
            let whole = |by| -> Vec<i8> {
                (0..length).map(|i| i8::try_from(number(i, by)).unwrap()).collect()
            };
            let (a, b) = (whole(37), whole(91));
            let exact: i32 = a.iter().zip(&b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
            assert_eq!(dot_i8(&a, &b), exact);
            // Exact in every order: whole numbers below 2^24.
            let float = |v: &[i8]| -> Vec<f32> { v.iter().map(|n| f32::from(*n / 4)).collect() };
            let (x, y) = (float(&a), float(&b));
            let exact: f32 = x.iter().zip(&y).map(|(a, b)| a * b).sum();
            assert_eq!(dot_f32(&x, &y), exact);
            let bits = |v: &[f32]| -> Vec<u16> {
                v.iter().map(|n| half::f16::from_f32(*n).to_bits()).collect()
            };
            assert_eq!(dot_f16(&bits(&x), &bits(&y)), exact);
            assert_eq!(plain_f16(&bits(&x), &bits(&y)), exact);
        }
        let most = vec![-127i8; 65_536];
        assert_eq!(dot_i8(&most, &most), 127 * 127 * 65_536);
    }
}
