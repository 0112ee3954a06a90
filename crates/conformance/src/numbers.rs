//! Numbers that look random and are the same everywhere, for tests and benchmarks.

use std::collections::BTreeMap;

use hexmem_ports::SparseVector;

/// Knuth's MMIX generator, from a seed.
#[derive(Debug)]
pub struct Numbers(pub u64);

impl Numbers {
    /// From 0 on, below `end`, which is at least 1.
    pub fn below(&mut self, end: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap() % end
    }

    /// From -1 on, below 1, in thousandths.
    pub fn unit(&mut self) -> f32 {
        f32::from(u16::try_from(self.below(2_000)).unwrap()) / 1_000.0 - 1.0
    }

    /// A vector that lies anywhere: the hardest for an index, since none is much nearer than another.
    pub fn anywhere(&mut self, dimension: u32) -> Vec<f32> {
        (0..dimension).map(|_| self.unit()).collect()
    }

    /// A vector in one of 100 clusters, as embeddings are.
    pub fn clustered(&mut self, dimension: u32) -> Vec<f32> {
        let mut centre = Self(u64::from(self.below(100)) * 7 + 1);
        (0..dimension).map(|_| centre.unit() + self.unit() * 0.6).collect()
    }

    /// About `count` terms of 40,000; a few are in most vectors, as in text.
    pub fn terms(&mut self, count: u32) -> SparseVector {
        let list: BTreeMap<u32, f32> = (0..count)
            .map(|_| {
                let bound = 40_000 >> self.below(12);
                (self.below(bound.max(1)), self.unit().abs() + 0.1)
            })
            .collect();
        SparseVector::new(list.keys().copied().collect(), list.values().copied().collect()).unwrap()
    }
}
