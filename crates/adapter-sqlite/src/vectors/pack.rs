//! A point's sparse vectors and a block's dense ones, as bytes.

use std::collections::BTreeMap;

use hexmem_ports::{Name, SparseVector};

use super::layout::Layout;
use super::varint;

/// The sparse vectors of a point: how many, then each with its channel, count, differences of indices, values.
pub(super) fn sparse(layout: &Layout, vectors: &BTreeMap<Name, SparseVector>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16);
    let known: Vec<_> =
        vectors.iter().filter_map(|(name, v)| Some((layout.sparse(name)?, v))).collect();
    varint::push(&mut bytes, known.len() as u64);
    for (channel, vector) in known {
        varint::push(&mut bytes, u64::from(channel));
        varint::push(&mut bytes, vector.indices().len() as u64);
        let mut last = 0;
        for index in vector.indices() {
            varint::push(&mut bytes, u64::from(index - last));
            last = *index;
        }
        bytes.extend(vector.values().iter().flat_map(|value| value.to_le_bytes()));
    }
    bytes
}

/// What [`sparse`] packed; `None` when the bytes are not that.
pub(super) fn unpack_sparse(layout: &Layout, bytes: &[u8]) -> Option<BTreeMap<Name, SparseVector>> {
    let (count, mut rest) = varint::take(bytes)?;
    let mut vectors = BTreeMap::new();
    for _ in 0..count {
        let (channel, after) = varint::take(rest)?;
        let (terms, after) = varint::take(after)?;
        let terms = usize::try_from(terms).ok()?;
        rest = after;
        let mut indices = Vec::with_capacity(terms.min(rest.len()));
        let mut last = 0u32;
        for _ in 0..terms {
            let (step, after) = varint::take_u32(rest)?;
            rest = after;
            last = last.checked_add(step)?;
            indices.push(last);
        }
        let (values, after) = varint::take_floats(rest, terms)?;
        rest = after;
        let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let name = layout.sparse_name(u16::try_from(channel).ok()?)?;
        vectors.insert(name.clone(), SparseVector::new(indices, values).ok()?);
    }
    rest.is_empty().then_some(vectors)
}

/// Dense vectors of a run of ords. `ords` grow and count from the block's first.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct DenseRun {
    pub(super) ords: Vec<u32>,
    pub(super) values: Vec<f32>,
}

impl DenseRun {
    /// The ords as differences, and the numbers.
    pub(super) fn pack(&self) -> (Vec<u8>, Vec<u8>) {
        let mut ords = Vec::with_capacity(self.ords.len());
        let mut last = 0;
        for ord in &self.ords {
            varint::push(&mut ords, u64::from(ord - last));
            last = *ord;
        }
        (ords, self.values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Reads a block into this run, which keeps its memory; `None` when the bytes are not one.
    pub(super) fn unpack(&mut self, ords: &[u8], block: &[u8], dimension: usize) -> Option<()> {
        self.ords.clear();
        self.values.clear();
        let (mut rest, mut ord) = (ords, 0u32);
        while !rest.is_empty() {
            let (step, after) = varint::take_u32(rest)?;
            rest = after;
            ord = ord.checked_add(step)?;
            self.ords.push(ord);
        }
        let (floats, rest) = varint::take_floats(block, self.ords.len().checked_mul(dimension)?)?;
        self.values.extend(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        rest.is_empty().then_some(())
    }
}
