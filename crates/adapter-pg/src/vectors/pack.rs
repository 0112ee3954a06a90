//! Vectors and blocks of lists as bytes. All numbers are little-endian, 4 bytes each.

use std::collections::BTreeMap;

use hexmem_ports::{Name, SparseVector};

use super::layout::Layout;

/// Bytes of the numbers.
pub(super) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The numbers of `bytes`, if they are `count`.
pub(super) fn read_floats(bytes: &[u8], count: usize, into: &mut Vec<f32>) -> Option<()> {
    into.clear();
    match bytes.as_chunks() {
        (chunks, []) if chunks.len() == count => {
            into.extend(chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            Some(())
        }
        _ => None,
    }
}

/// The sparse vectors of a point: of each its place among the collection's, its length, indices, values.
pub(super) fn sparse(layout: &Layout, vectors: &BTreeMap<Name, SparseVector>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut push = |number: u32| bytes.extend(number.to_le_bytes());
    for (name, vector) in vectors {
        let Some((place, _)) = layout.sparse(name) else { continue };
        push(u32::try_from(place).unwrap_or(u32::MAX));
        push(u32::try_from(vector.indices().len()).unwrap_or(u32::MAX));
        vector.indices().iter().copied().for_each(&mut push);
        vector.values().iter().map(|value| value.to_bits()).for_each(&mut push);
    }
    bytes
}

/// What [`sparse`] packed; `None` when the bytes are not that.
pub(super) fn read_sparse(layout: &Layout, bytes: &[u8]) -> Option<BTreeMap<Name, SparseVector>> {
    let (words, []) = bytes.as_chunks() else { return None };
    let mut words = words.iter().map(|bytes| u32::from_le_bytes(*bytes));
    let mut vectors = BTreeMap::new();
    while let Some(place) = words.next() {
        let name = layout.sparse_name(usize::try_from(place).ok()?)?;
        let length = usize::try_from(words.next()?).ok()?;
        let indices: Vec<u32> = words.by_ref().take(length).collect();
        let values: Vec<f32> = words.by_ref().take(length).map(f32::from_bits).collect();
        if values.len() != length {
            return None;
        }
        vectors.insert(name.clone(), SparseVector::new(indices, values).ok()?);
    }
    Some(vectors)
}

/// Calls `each` with ord and value of every entry of a sparse vector's block. `None` when it is not one.
pub(super) fn entries(block: &[u8], mut each: impl FnMut(u32, f32)) -> Option<()> {
    let (entries, []) = block.as_chunks::<8>() else { return None };
    for [a, b, c, d, e, f, g, h] in entries {
        each(u32::from_le_bytes([*a, *b, *c, *d]), f32::from_le_bytes([*e, *f, *g, *h]));
    }
    Some(())
}

/// Calls `each` with every ord of an indexed field's block. `None` when it is not one.
pub(super) fn members(block: &[u8], mut each: impl FnMut(u32)) -> Option<()> {
    let (entries, []) = block.as_chunks::<4>() else { return None };
    entries.iter().for_each(|bytes| each(u32::from_le_bytes(*bytes)));
    Some(())
}

#[cfg(test)]
mod tests {
    use hexmem_ports::{CollectionSpec, SparseSpec, Weighting};

    use super::*;

    #[test]
    fn vectors_read_as_written() {
        let name = |text: &str| Name::new(text).unwrap();
        let plain = SparseSpec { weighting: Weighting::Plain };
        let spec = CollectionSpec {
            sparse: [(name("a"), plain), (name("b"), plain)].into(),
            ..CollectionSpec::default()
        };
        let layout = Layout::of(&spec);
        for vectors in [
            BTreeMap::new(),
            BTreeMap::from([(name("b"), SparseVector::default())]),
            BTreeMap::from([
                (name("a"), SparseVector::new(vec![0, u32::MAX], vec![-1e-45, 3.0]).unwrap()),
                (name("b"), SparseVector::new(vec![7], vec![0.5]).unwrap()),
            ]),
        ] {
            let bytes = sparse(&layout, &vectors);
            assert_eq!(read_sparse(&layout, &bytes), Some(vectors));
        }
        for wrong in [&[1, 0, 0][..], &[9, 0, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 1, 0, 0, 0]] {
            assert_eq!(read_sparse(&layout, wrong), None);
        }
        let mut read = Vec::new();
        assert_eq!(read_floats(&floats(&[0.1, -0.0]), 2, &mut read), Some(()));
        assert_eq!(read, [0.1, -0.0]);
        assert_eq!(read_floats(&[0; 8], 3, &mut read), None);
        assert!(entries(&[0; 9], |_, _| {}).is_none() && members(&[0; 3], |_| {}).is_none());
    }
}
