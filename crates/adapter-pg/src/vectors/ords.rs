//! Sets and sums by ord, in chunks: ords of a collection lie together, and may start anywhere.

/// Ords of one chunk.
const CHUNK: usize = 1 << 14;

fn place(ord: u32) -> (usize, usize) {
    let ord = ord as usize;
    (ord / CHUNK, ord % CHUNK)
}

fn grow<T>(chunks: &mut Vec<Option<T>>, at: usize, new: impl FnOnce() -> T) -> &mut T {
    if chunks.len() <= at {
        chunks.resize_with(at + 1, || None);
    }
    chunks[at].get_or_insert_with(new)
}

/// Ords of a collection.
#[derive(Debug, Clone, Default)]
pub(super) struct Ords(Vec<Option<Box<[u64]>>>);

impl Ords {
    pub(super) fn add(&mut self, ord: u32) {
        let (chunk, at) = place(ord);
        let words = grow(&mut self.0, chunk, || vec![0; CHUNK / 64].into());
        words[at / 64] |= 1 << (at % 64);
    }

    pub(super) fn has(&self, ord: u32) -> bool {
        let (chunk, at) = place(ord);
        let words = self.0.get(chunk).and_then(Option::as_ref);
        words.is_some_and(|words| words[at / 64] >> (at % 64) & 1 == 1)
    }

    pub(super) fn len(&self) -> usize {
        let words = self.0.iter().flatten().flat_map(|words| words.iter());
        words.map(|word| word.count_ones() as usize).sum()
    }

    /// They grow.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0
            .iter()
            .enumerate()
            .filter_map(|(chunk, words)| Some((chunk, words.as_ref()?)))
            .flat_map(|(chunk, words)| {
                words.iter().enumerate().flat_map(move |(at, word)| {
                    let word = *word;
                    (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| {
                        u32::try_from(chunk * CHUNK + at * 64 + bit).unwrap_or(u32::MAX)
                    })
                })
            })
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        for (chunk, words) in self.0.iter_mut().enumerate() {
            match other.0.get(chunk).and_then(Option::as_ref) {
                Some(others) => {
                    let pairs =
                        words.iter_mut().flat_map(|words| words.iter_mut()).zip(others.iter());
                    pairs.for_each(|(word, other)| *word &= other);
                }
                None => *words = None,
            }
        }
    }

    pub(super) fn unite(&mut self, other: &Self) {
        for (chunk, others) in other.0.iter().enumerate() {
            let Some(others) = others else { continue };
            let words = grow(&mut self.0, chunk, || vec![0; CHUNK / 64].into());
            words.iter_mut().zip(others.iter()).for_each(|(word, other)| *word |= other);
        }
    }
}

/// A sum for each ord that was added to.
#[derive(Debug, Default)]
pub(super) struct Sums(Vec<Option<Box<[f64]>>>);

/// Marks an ord that nothing was added to: a sum never comes back to it, as each addend is made other than -0.0.
const UNTOUCHED: f64 = -0.0;

impl Sums {
    pub(super) fn add(&mut self, ord: u32, value: f64) {
        let (chunk, at) = place(ord);
        grow(&mut self.0, chunk, || vec![UNTOUCHED; CHUNK].into())[at] += value + 0.0;
    }

    /// Ord and sum of each, ords growing.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, f64)> + '_ {
        let chunks = self.0.iter().enumerate();
        chunks.filter_map(|(chunk, sums)| Some((chunk, sums.as_ref()?))).flat_map(
            |(chunk, sums)| {
                sums.iter().enumerate().filter(|(_, sum)| sum.to_bits() != UNTOUCHED.to_bits()).map(
                    move |(at, sum)| (u32::try_from(chunk * CHUNK + at).unwrap_or(u32::MAX), *sum),
                )
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ords(list: &[u32]) -> Ords {
        let mut ords = Ords::default();
        list.iter().for_each(|ord| ords.add(*ord));
        ords
    }

    #[test]
    fn sets_and_sums() {
        let far = i32::MAX as u32;
        let mut a = ords(&[0, 63, 64, 16_384, far]);
        assert_eq!(a.iter().collect::<Vec<_>>(), [0, 63, 64, 16_384, far]);
        assert!(a.has(far) && !a.has(1) && !a.has(70_000));
        a.unite(&ords(&[1, 100_000]));
        assert_eq!(a.len(), 7);
        a.intersect(&ords(&[1, 2, 100_000, far]));
        assert_eq!(a.iter().collect::<Vec<_>>(), [1, 100_000, far]);
        a.intersect(&Ords::default());
        assert_eq!(a.len(), 0);
        let mut sums = Sums::default();
        for (ord, value) in [(5, 1.0), (40_000, -0.0), (5, -1.0), (7, 0.5)] {
            sums.add(ord, value);
        }
        assert_eq!(sums.iter().collect::<Vec<_>>(), [(5, 0.0), (7, 0.5), (40_000, 0.0)]);
    }
}
