//! Vectors as an index keeps them: fewer bits, from which it is told how near two are.

use std::sync::Arc;

use half::f16;
use hexmem_ports::Distance;

use super::PAGE;
use super::kernel::{dot_f16, dot_f32, dot_i8};
use crate::Precision;

/// What numbers of an index are, and what near means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) precision: Precision,
    euclid: bool,
    cosine: bool,
    pub(super) dimension: usize,
}

impl Form {
    /// Only directions are rounded: numbers without bounds stay as they are.
    pub(super) fn of(distance: Distance, dimension: usize, wished: Precision) -> Self {
        let cosine = distance == Distance::Cosine;
        let precision = if cosine { wished } else { Precision::F32 };
        Self { precision, euclid: distance == Distance::Euclid, cosine, dimension }
    }

    fn width(&self) -> usize {
        match self.precision {
            Precision::I8 => 1,
            Precision::F16 => 2,
            Precision::F32 => 4,
        }
    }

    /// A vector as this index keeps it.
    pub(super) fn encode(&self, values: &[f32]) -> Encoded {
        let square: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
        let shrink = if self.cosine && square > 0.0 { square.sqrt().recip() } else { 1.0 };
        #[allow(clippy::cast_possible_truncation, reason = "rounding is what this is for")]
        let value = |v: &f32| (f64::from(*v) * shrink) as f32;
        match self.precision {
            Precision::I8 => {
                let most = values.iter().map(|v| value(v).abs()).fold(0.0, f32::max);
                let scale = if most > 0.0 { most / 127.0 } else { 1.0 };
                #[allow(clippy::cast_possible_truncation, reason = "-127 to 127 after rounding")]
                let number = |v: &f32| (value(v) / scale).round() as i8;
                Encoded { numbers: Numbers::I8(values.iter().map(number).collect()), extra: scale }
            }
            Precision::F16 => {
                let number = |v: &f32| f16::from_f32(value(v)).to_bits();
                Encoded { numbers: Numbers::F16(values.iter().map(number).collect()), extra: 1.0 }
            }
            Precision::F32 => {
                let numbers: Vec<f32> = values.iter().map(value).collect();
                let extra = if self.euclid { dot_f32(&numbers, &numbers) } else { 1.0 };
                Encoded { numbers: Numbers::F32(numbers), extra }
            }
        }
    }

    /// How near two vectors are: the higher, the nearer. Never NaN.
    #[inline]
    pub(super) fn near(&self, a: Code<'_>, b: Code<'_>) -> f32 {
        #[allow(clippy::cast_precision_loss, reason = "the last bits of what is rounded already")]
        let near = match (a.numbers, b.numbers) {
            (Slice::I8(x), Slice::I8(y)) => dot_i8(x, y) as f32 * (a.extra * b.extra),
            (Slice::F16(x), Slice::F16(y)) => dot_f16(x, y),
            (Slice::F32(x), Slice::F32(y)) if self.euclid => {
                2.0 * dot_f32(x, y) - a.extra - b.extra
            }
            (Slice::F32(x), Slice::F32(y)) => dot_f32(x, y),
            // Vectors of one index have one form.
            _ => f32::NEG_INFINITY,
        };
        if near.is_nan() { f32::NEG_INFINITY } else { near }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Numbers {
    I8(Vec<i8>),
    /// Bits of half precision.
    F16(Vec<u16>),
    F32(Vec<f32>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Slice<'a> {
    I8(&'a [i8]),
    F16(&'a [u16]),
    F32(&'a [f32]),
}

impl Numbers {
    fn slice(&self, from: usize, to: usize) -> Slice<'_> {
        match self {
            Self::I8(all) => Slice::I8(&all[from..to]),
            Self::F16(all) => Slice::F16(&all[from..to]),
            Self::F32(all) => Slice::F32(&all[from..to]),
        }
    }
}

/// A vector of an index, by itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Encoded {
    numbers: Numbers,
    /// The step of `i8`; the square of the length for Euclidean distances.
    extra: f32,
}

impl Encoded {
    pub(super) fn code(&self) -> Code<'_> {
        let numbers = match &self.numbers {
            Numbers::I8(all) => Slice::I8(all),
            Numbers::F16(all) => Slice::F16(all),
            Numbers::F32(all) => Slice::F32(all),
        };
        Code { numbers, extra: self.extra }
    }
}

/// A vector of an index, where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code<'a> {
    numbers: Slice<'a>,
    extra: f32,
}

impl Code<'_> {
    /// Whether no search can tell the two apart.
    pub(super) fn same(&self, other: &Code<'_>) -> bool {
        self.numbers == other.numbers
    }

    /// Alike for those that are the same.
    pub(super) fn hash(&self) -> u64 {
        let mix = |hash: u64, bits: u32| {
            (hash ^ u64::from(bits)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
        };
        match self.numbers {
            Slice::I8(all) => all.iter().fold(1, |hash, n| mix(hash, u32::from(n.cast_unsigned()))),
            Slice::F16(all) => all.iter().fold(1, |hash, n| mix(hash, u32::from(*n))),
            // Both zeros are equal.
            Slice::F32(all) => all.iter().fold(1, |hash, n| mix(hash, (n + 0.0).to_bits())),
        }
    }
}

/// Vectors of one page of places.
#[derive(Debug, Clone, PartialEq)]
struct Page {
    extras: Vec<f32>,
    numbers: Numbers,
}

/// Vectors by place. A copy shares the pages that are not written again.
#[derive(Debug, Clone)]
pub(super) struct Codes {
    pub(super) form: Form,
    pages: Vec<Arc<Page>>,
}

impl Codes {
    pub(super) fn new(form: Form) -> Self {
        Self { form, pages: Vec::new() }
    }

    #[inline]
    pub(super) fn get(&self, place: u32) -> Code<'_> {
        let (page, at) = (place as usize / PAGE, place as usize % PAGE);
        let page = &self.pages[page];
        let from = at * self.form.dimension;
        Code {
            numbers: page.numbers.slice(from, from + self.form.dimension),
            extra: page.extras[at],
        }
    }

    /// Writes a vector; pages up to it are made.
    pub(super) fn put(&mut self, place: u32, code: &Encoded) {
        let (page, at) = (place as usize / PAGE, place as usize % PAGE);
        while self.pages.len() <= page {
            self.pages.push(Arc::new(self.empty()));
        }
        let page = Arc::make_mut(&mut self.pages[page]);
        page.extras[at] = code.extra;
        let range = at * self.form.dimension..(at + 1) * self.form.dimension;
        match (&mut page.numbers, &code.numbers) {
            (Numbers::I8(all), Numbers::I8(one)) => all[range].copy_from_slice(one),
            (Numbers::F16(all), Numbers::F16(one)) => all[range].copy_from_slice(one),
            (Numbers::F32(all), Numbers::F32(one)) => all[range].copy_from_slice(one),
            _ => {}
        }
    }

    fn empty(&self) -> Page {
        let count = PAGE * self.form.dimension;
        let numbers = match self.form.precision {
            Precision::I8 => Numbers::I8(vec![0; count]),
            Precision::F16 => Numbers::F16(vec![0; count]),
            Precision::F32 => Numbers::F32(vec![0.0; count]),
        };
        Page { extras: vec![0.0; PAGE], numbers }
    }

    pub(super) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// Whether both have the same page there, without looking into it.
    pub(super) fn shares(&self, other: &Self, page: usize) -> bool {
        let other = other.pages.get(page);
        self.pages.get(page).zip(other).is_some_and(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// A page as bytes, little-endian: the extras, then the numbers.
    pub(super) fn pack(&self, page: usize) -> Vec<u8> {
        let Some(page) = self.pages.get(page) else { return Vec::new() };
        let mut bytes: Vec<u8> = page.extras.iter().flat_map(|v| v.to_le_bytes()).collect();
        match &page.numbers {
            Numbers::I8(all) => bytes.extend(all.iter().map(|n| n.cast_unsigned())),
            Numbers::F16(all) => bytes.extend(all.iter().flat_map(|n| n.to_le_bytes())),
            Numbers::F32(all) => bytes.extend(all.iter().flat_map(|n| n.to_le_bytes())),
        }
        bytes
    }

    /// Puts a page that was read in its place; `None` where it is none, or leaves a gap.
    pub(super) fn unpack(&mut self, page: usize, bytes: &[u8]) -> Option<()> {
        let (extras, rest) = bytes.split_at_checked(PAGE * 4)?;
        if rest.len() != PAGE * self.form.dimension * self.form.width() || page > self.pages.len() {
            return None;
        }
        let floats =
            |bytes: &[u8]| bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let numbers = match self.form.precision {
            Precision::I8 => Numbers::I8(rest.iter().map(|b| b.cast_signed()).collect()),
            Precision::F16 => {
                Numbers::F16(rest.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)).collect())
            }
            Precision::F32 => Numbers::F32(floats(rest)),
        };
        let read = Arc::new(Page { extras: floats(extras), numbers });
        match self.pages.get_mut(page) {
            Some(old) => *old = read,
            None => self.pages.push(read),
        }
        Some(())
    }

    /// About how much memory they take.
    pub(super) fn bytes(&self) -> usize {
        self.pages.len() * PAGE * (self.form.dimension * self.form.width() + 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_keeps_what_is_near() {
        let wave =
            |by: f32| -> Vec<f32> { (0..96u8).map(|i| (f32::from(i) * by).sin() * 3.0).collect() };
        let (a, b) = (wave(0.7), wave(0.8));
        for (precision, within) in
            [(Precision::I8, 0.01), (Precision::F16, 1e-3), (Precision::F32, 1e-5)]
        {
            let form = Form::of(Distance::Cosine, 96, precision);
            let near = form.near(form.encode(&a).code(), form.encode(&b).code());
            let exact = hexmem_ports::rules::DenseQuery::new(Distance::Cosine, &a).score(&b);
            assert!((near - exact).abs() < within, "{precision:?}: {near} for {exact}");
            let zero = form.encode(&[0.0; 96]);
            assert_eq!(form.near(zero.code(), form.encode(&b).code()), 0.0);
        }
        let form = Form::of(Distance::Euclid, 2, Precision::I8);
        let near = form.near(form.encode(&[1.0, 5.0]).code(), form.encode(&[4.0, 1.0]).code());
        assert_eq!((form.precision, near), (Precision::F32, -25.0));
        let vast = form.encode(&[f32::MAX, f32::MAX]);
        assert!(!form.near(vast.code(), vast.code()).is_nan());
    }

    #[test]
    fn pages_read_back_and_copies_share_them() {
        for precision in [Precision::I8, Precision::F16, Precision::F32] {
            let form = Form::of(Distance::Cosine, 3, precision);
            let mut codes = Codes::new(form);
            for place in 0..70u8 {
                codes.put(u32::from(place), &form.encode(&[f32::from(place), 1.0, -2.0]));
            }
            let mut copy = codes.clone();
            copy.put(69, &form.encode(&[1.0, 2.0, 3.0]));
            assert!(copy.shares(&codes, 0) && !copy.shares(&codes, 1));
            let mut read = Codes::new(form);
            assert!(read.unpack(1, &codes.pack(1)).is_none(), "a gap");
            for page in 0..2 {
                read.unpack(page, &codes.pack(page)).unwrap();
            }
            assert!((0..70).all(|place| read.get(place).same(&codes.get(place))));
            assert!(read.unpack(0, &codes.pack(0)[1..]).is_none());
        }
    }
}
