//! The graph of an index: hierarchical navigable small worlds (Malkov and Yashunin 2016), and the way through it.
//!
//! Every vector stands in the lowest layer, about one of 16 in the layer above, and so on. Vectors that are the
//! same stand in line behind one of them, which alone is linked: else thousands of them would be an island.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::NONE;
use super::code::{Code, Codes, Form};
use super::layer::Layer;

/// How many others a vector is linked to when it comes; as many as that in upper layers at most.
pub(super) const LINKS: usize = 16;

/// How many are followed from one layer into the next.
const ENTRIES: usize = 8;

/// How many of the highest layer are looked at, where a search begins.
const START: usize = 256;

/// Layers beyond the lowest: enough for any number of vectors.
const HIGHEST: usize = 6;

/// A place or an ord, and how near it is. The nearer is the greater; of equals the lower number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Near(pub(super) f32, pub(super) u32);

impl Eq for Near {}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then(other.1.cmp(&self.1))
    }
}

/// The nearest so far, no more than there is room for.
pub(super) struct Best {
    room: usize,
    heap: BinaryHeap<Reverse<Near>>,
}

impl Best {
    pub(super) fn new(room: usize) -> Self {
        Self { room, heap: BinaryHeap::with_capacity(room.min(4_096) + 1) }
    }

    /// Whether one that is so near would be kept.
    #[inline]
    fn takes(&self, near: f32) -> bool {
        self.heap.len() < self.room || self.heap.peek().is_none_or(|worst| near >= worst.0.0)
    }

    #[inline]
    pub(super) fn push(&mut self, near: f32, what: u32) {
        let near = Near(near, what);
        if self.heap.len() < self.room {
            self.heap.push(Reverse(near));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && near > worst.0
        {
            *worst = Reverse(near);
        }
    }

    /// The nearest first.
    pub(super) fn sorted(self) -> Vec<Near> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(near)| near).collect()
    }
}

/// Places, one bit each.
pub(super) struct Marks(Vec<u64>);

impl Marks {
    pub(super) fn new(places: u32) -> Self {
        Self(vec![0; places as usize / 64 + 1])
    }

    /// Marks a place; whether it was not marked before.
    #[inline]
    pub(super) fn mark(&mut self, place: u32) -> bool {
        let Some(word) = self.0.get_mut(place as usize / 64) else { return false };
        let bit = 1 << (place % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    #[inline]
    pub(super) fn has(&self, place: u32) -> bool {
        self.0.get(place as usize / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }
}

/// An index in memory, as one version of it stands in the file. A copy shares what is not changed.
#[derive(Debug, Clone)]
pub(super) struct Graph {
    pub(super) codes: Codes,
    /// The lowest first; there is always that one.
    pub(super) layers: Vec<Layer>,
}

impl Graph {
    pub(super) fn new(form: Form) -> Self {
        Self { codes: Codes::new(form), layers: vec![Self::layer(0)] }
    }

    pub(super) fn layer(level: usize) -> Layer {
        Layer::new(if level == 0 { 2 * LINKS } else { LINKS })
    }

    pub(super) fn form(&self) -> Form {
        self.codes.form
    }

    /// The highest layer that an ord stands in: the same in every process.
    pub(super) fn level(ord: u32) -> usize {
        // SplitMix64, so that neighbouring ords differ.
        let mut bits = u64::from(ord).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)).trailing_zeros() as usize / LINKS.ilog2() as usize).min(HIGHEST)
    }

    /// The vector at a place of a layer.
    #[inline]
    pub(super) fn code(&self, level: usize, place: u32) -> Code<'_> {
        let lowest = if level == 0 { place } else { self.layers[level].member(place) };
        self.codes.get(lowest)
    }

    /// Places of the lowest layer that are taken.
    pub(super) fn len(&self) -> usize {
        self.layers[0].members().count()
    }

    /// About the `wanted` nearest ords that `accept` takes, the nearest first: of those found on a way that is
    /// `breadth` wide.
    pub(super) fn search(
        &self,
        query: Code<'_>,
        wanted: usize,
        breadth: usize,
        accept: impl Fn(u32) -> bool,
    ) -> Vec<Near> {
        let lowest = &self.layers[0];
        let mut best = Best::new(breadth.max(wanted));
        let entries = self.descend(query, 0, |_| true);
        self.walk(0, query, &entries, &mut best, |place, near, best| {
            let mut at = place;
            let mut taken = 0;
            // The same vectors are equally near: no more of them than there is room for.
            while at != NONE && taken <= best.room {
                let ord = lowest.member(at);
                if accept(ord) {
                    best.push(near, ord);
                    taken += 1;
                }
                at = lowest.next(at);
            }
        });
        let mut found = best.sorted();
        found.truncate(wanted);
        found
    }

    /// How near every ord is that `accept` takes, in no order.
    pub(super) fn scan(&self, query: Code<'_>, accept: impl Fn(u32) -> bool) -> Vec<Near> {
        let taken = self.layers[0].members().filter(|(_, ord)| accept(*ord));
        taken
            .map(|(place, ord)| Near(self.form().near(query, self.codes.get(place)), ord))
            .collect()
    }

    /// Where to enter `level`: places of it that are near, by way of the layers above. Of the lowest only what
    /// `there` says.
    pub(super) fn descend(
        &self,
        query: Code<'_>,
        level: usize,
        there: impl Fn(u32) -> bool,
    ) -> Vec<Near> {
        let near = |level, place| Near(self.form().near(query, self.code(level, place)), place);
        let filled = |at: &usize| self.layers[*at].members().next().is_some();
        let Some(highest) = (level..self.layers.len()).rev().find(filled) else {
            return Vec::new();
        };
        let layer = &self.layers[highest];
        let places = || layer.members().map(|(place, _)| place);
        let places = || places().filter(|place| highest > 0 || there(*place));
        // One that only stands in line leads nowhere.
        let leading = places().filter(|place| !layer.links(*place).is_empty()).take(START);
        let mut entries: Vec<Near> = leading.map(|place| near(highest, place)).collect();
        if entries.is_empty() {
            entries.extend(places().take(START).map(|place| near(highest, place)));
        }
        nearest(&mut entries, ENTRIES);
        for at in (level..highest).rev() {
            let layer = &self.layers[at + 1];
            let mut best = Best::new(ENTRIES);
            self.walk(at + 1, query, &entries, &mut best, |place, near, best| {
                best.push(near, place)
            });
            entries = best.sorted();
            entries.iter_mut().for_each(|entry| entry.1 = layer.next(entry.1));
        }
        entries
    }

    /// Walks a layer from `entries` towards `query`, as long as it comes nearer than the worst of `best`. What is
    /// met is told to `meet`.
    pub(super) fn walk(
        &self,
        level: usize,
        query: Code<'_>,
        entries: &[Near],
        best: &mut Best,
        mut meet: impl FnMut(u32, f32, &mut Best),
    ) {
        let layer = &self.layers[level];
        let mut met = Marks::new(layer.places());
        let mut open = BinaryHeap::with_capacity(256);
        for entry in entries {
            if met.mark(entry.1) {
                open.push(*entry);
                meet(entry.1, entry.0, best);
            }
        }
        let mut fresh = Vec::with_capacity(layer.width);
        while let Some(Near(near, place)) = open.pop() {
            if !best.takes(near) {
                break;
            }
            fresh.clear();
            fresh.extend(layer.links(place).iter().copied().filter(|next| met.mark(*next)));
            for next in &fresh {
                let near = self.form().near(query, self.code(level, *next));
                if best.takes(near) {
                    open.push(Near(near, *next));
                    meet(*next, near, best);
                }
            }
        }
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.codes.bytes() + self.layers.iter().map(Layer::bytes).sum::<usize>()
    }

    /// Whether every place that is named is there, and no line of the same vectors is endless.
    pub(super) fn is_whole(&self) -> bool {
        let lowest = self.layers[0].places();
        let layers = self.layers.iter().enumerate().all(|(level, layer)| match level {
            0 => layer.is_whole(None, 0),
            _ => layer.is_whole(Some(lowest), self.layers[level - 1].places()),
        });
        layers && self.codes.pages() == self.layers[0].pages() && self.lines_end()
    }

    fn lines_end(&self) -> bool {
        let lowest = &self.layers[0];
        let mut led = Marks::new(lowest.places());
        let mut nexts = (0..lowest.places()).map(|place| lowest.next(place));
        if !nexts.all(|next| next == NONE || led.mark(next)) {
            return false;
        }
        // Whoever is in a ring is in no line that has a first one.
        let mut stand = 0;
        for (first, _) in lowest.members().filter(|(place, _)| !led.has(*place)) {
            let mut at = first;
            while at != NONE {
                stand += 1;
                at = lowest.next(at);
            }
        }
        stand == self.len()
    }
}

/// Leaves the `count` nearest, the nearest first.
pub(super) fn nearest(list: &mut Vec<Near>, count: usize) {
    if list.len() > count && count > 0 {
        list.select_nth_unstable_by(count - 1, |a, b| b.cmp(a));
        list.truncate(count);
    }
    list.sort_unstable_by(|a, b| b.cmp(a));
}
