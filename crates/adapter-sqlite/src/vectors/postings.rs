//! Posting lists: which points have a term, and with what value, in blocks of a run of terms.
//!
//! A block is a run of lists: the term's difference to the one before (the first to the block's first term), the
//! list's length in bytes, the list. A list is its count (times two, plus one where it has values), the ords'
//! differences, the values as little-endian f32. Ords count from their segment's first.

use std::cmp::Ordering;

use super::varint;

/// A block is closed once it has this many bytes: then its row fills a page of 4 KiB and no second one.
const BLOCK: usize = 3_600;

/// One occurrence. `value` is NaN in channels without values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Posting {
    pub(super) channel: u16,
    pub(super) term: u32,
    pub(super) ord: u32,
    pub(super) value: f32,
}

impl Posting {
    fn list(&self) -> (u16, u32) {
        (self.channel, self.term)
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        (self.channel, self.term, self.ord).cmp(&(other.channel, other.term, other.ord))
    }
}

/// Lists of consecutive terms of one channel.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    pub(super) channel: u16,
    pub(super) first_term: u32,
    pub(super) bytes: Vec<u8>,
}

/// The blocks of `postings`, which are in their order without repeats.
pub(super) fn encode(postings: &[Posting]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut last_term = 0;
    let mut list = Vec::new();
    for run in postings.chunk_by(|a, b| a.list() == b.list()) {
        let Some(Posting { channel, term, value, .. }) = run.first().copied() else { continue };
        list.clear();
        let valued = !value.is_nan();
        varint::push(&mut list, (run.len() as u64) << 1 | u64::from(valued));
        let mut last = 0;
        for posting in run {
            varint::push(&mut list, u64::from(posting.ord - last));
            last = posting.ord;
        }
        if valued {
            list.extend(run.iter().flat_map(|posting| posting.value.to_le_bytes()));
        }
        let open = blocks
            .last_mut()
            .filter(|block| block.channel == channel && block.bytes.len() + list.len() <= BLOCK);
        let block = match open {
            Some(block) => {
                varint::push(&mut block.bytes, u64::from(term - last_term));
                block
            }
            None => {
                blocks.push(Block { channel, first_term: term, bytes: vec![0] });
                let at = blocks.len() - 1;
                &mut blocks[at]
            }
        };
        varint::push(&mut block.bytes, list.len() as u64);
        block.bytes.extend_from_slice(&list);
        last_term = term;
    }
    blocks
}

/// The lists of a block with their terms, in order; `None` in place of what is not a list.
pub(super) fn lists(first_term: u32, bytes: &[u8]) -> impl Iterator<Item = Option<(u32, &[u8])>> {
    let mut rest = bytes;
    let mut term = first_term;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let next = varint::take_u32(rest).and_then(|(step, after)| {
            let (list, after) = varint::take_slice(after)?;
            Some((term.checked_add(step)?, list, after))
        });
        match next {
            Some((next_term, list, after)) => {
                term = next_term;
                rest = after;
                Some(Some((term, list)))
            }
            None => {
                rest = &[];
                Some(None)
            }
        }
    })
}

/// Calls `each` with ord and value (NaN without) of each posting of a list. `None` when it is not a list.
pub(super) fn each(list: &[u8], mut each: impl FnMut(u32, f32)) -> Option<()> {
    let (head, mut rest) = varint::take(list)?;
    let count = usize::try_from(head >> 1).ok()?;
    // Each ord takes a byte at least.
    let values = match head & 1 {
        1 => rest.len().checked_sub(count.checked_mul(4)?)?,
        _ => rest.len(),
    };
    let (ords, values) = rest.split_at_checked(values)?;
    let values: &[[u8; 4]] = values.as_chunks().0;
    rest = ords;
    let mut ord = 0u32;
    for i in 0..count {
        let (step, after) = varint::take_u32(rest)?;
        rest = after;
        ord = ord.checked_add(step)?;
        each(ord, values.get(i).map_or(f32::NAN, |bytes| f32::from_le_bytes(*bytes)));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(blocks: &[Block]) -> Vec<Posting> {
        let mut all = Vec::new();
        for block in blocks {
            for list in lists(block.first_term, &block.bytes) {
                let (term, list) = list.unwrap();
                let channel = block.channel;
                each(list, |ord, value| all.push(Posting { channel, term, ord, value })).unwrap();
            }
        }
        all
    }

    #[test]
    fn blocks_read_as_written() {
        let mut postings = Vec::new();
        for channel in [3u16, 4] {
            for term in (0..600).chain([u32::MAX]) {
                for ord in (0..(term % 40) + 1).chain([5_000_000]) {
                    let value =
                        if channel == 3 { f32::from(u16::try_from(ord % 9).unwrap()) } else { 0.0 };
                    postings.push(Posting { channel, term, ord, value });
                }
            }
        }
        let blocks = encode(&postings);
        assert!(blocks.len() > 4 && blocks.iter().all(|block| block.bytes.len() < 2 * BLOCK));
        assert_eq!(decode(&blocks), postings);
        assert_eq!(encode(&[]), []);
        let bare = encode(&[Posting { channel: 9, term: 7, ord: 1, value: f32::NAN }]);
        assert_eq!(bare[0].bytes, [0, 2, 2, 1]);
    }

    #[test]
    fn foreign_bytes_are_refused() {
        for bytes in [&[0][..], &[0, 9, 1], &[0x80], &[0, 1, 0xff], &[0, 2, 9, 1]] {
            let read = lists(1, bytes).try_for_each(|list| each(list?.1, |_, _| {}));
            assert!(read.is_none(), "{bytes:?}");
        }
    }
}
