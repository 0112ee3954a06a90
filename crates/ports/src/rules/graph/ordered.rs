//! Places in an order that lies outside them.

use std::iter::{Chain, Copied, Flatten};
use std::slice::Iter;

/// A part is split when it has twice as many places.
const PART: usize = 512;

/// Places in their order.
pub(super) type Places<'a> = Copied<Chain<Iter<'a, u32>, Flatten<Iter<'a, Vec<u32>>>>>;

/// A list of lists: an insertion moves a few thousand bytes at most, whatever the size. The order is that of the keys
/// of the places, which the caller compares.
#[derive(Debug, Clone, Default)]
pub(super) struct Ordered {
    parts: Vec<Vec<u32>>,
}

impl Ordered {
    /// Where the first place lies for which `before` is false.
    fn seek(&self, before: impl Fn(u32) -> bool) -> (usize, usize) {
        let part = self.parts.partition_point(|part| part.last().is_some_and(|last| before(*last)));
        let within = self.parts.get(part);
        (part, within.map_or(0, |part| part.partition_point(|place| before(*place))))
    }

    /// Adds a place behind those for which `before` is true. Cheap where that is all of them.
    pub(super) fn insert(&mut self, place: u32, before: impl Fn(u32) -> bool) {
        let behind_all =
            self.parts.last().is_none_or(|part| part.last().is_none_or(|last| before(*last)));
        if behind_all {
            match self.parts.last_mut() {
                Some(part) if part.len() < 2 * PART => part.push(place),
                _ => self.parts.push(vec![place]),
            }
            return;
        }
        let (part, at) = self.seek(before);
        let Some(within) = self.parts.get_mut(part) else { return };
        within.insert(at, place);
        if within.len() > 2 * PART {
            let rest = within.split_off(PART);
            self.parts.insert(part + 1, rest);
        }
    }

    /// Takes a place out: the first one for which `before` is false.
    pub(super) fn remove(&mut self, place: u32, before: impl Fn(u32) -> bool) {
        let (part, at) = self.seek(before);
        let Some(within) = self.parts.get_mut(part) else { return };
        if within.get(at) == Some(&place) {
            within.remove(at);
            if within.is_empty() {
                self.parts.remove(part);
            }
        }
    }

    /// From the first place on for which `before` is false.
    pub(super) fn from(&self, before: impl Fn(u32) -> bool) -> Places<'_> {
        let (part, at) = self.seek(before);
        let first = self.parts.get(part).map_or(&[][..], |part| &part[at..]);
        let rest = self.parts.get(part + 1..).unwrap_or_default();
        first.iter().chain(rest.iter().flatten()).copied()
    }

    /// All places.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> + '_ {
        self.parts.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_in_order_through_insertions_at_random_and_removals() {
        let mut ordered = Ordered::default();
        let mut seed = 7_u32;
        let mut there = std::collections::BTreeSet::new();
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = seed >> 12;
            if there.insert(key) {
                ordered.insert(key, |other| other < key);
            }
        }
        for key in there.clone().into_iter().filter(|key| key % 3 != 0) {
            ordered.remove(key, |other| other < key);
            there.remove(&key);
        }
        assert!(ordered.all().eq(there.iter().copied()));
        for start in [0, 1, 500_000, 1 << 20] {
            assert!(ordered.from(|key| key < start).eq(there.range(start..).copied()));
        }
        assert!(ordered.parts.iter().all(|part| part.len() <= 2 * PART));
    }
}
