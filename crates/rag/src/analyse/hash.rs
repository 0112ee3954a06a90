//! The index of a term.

/// The index under which a store keeps a term: MurmurHash3 (x86, 32 bits, seed 0; Appleby 2008) of
/// its UTF-8 bytes. The same term has the same index in each collection, store and release.
///
/// Two terms can share an index and then count as one. Among 100,000 distinct terms about one pair
/// is expected to (n squared over 2 to the 33rd); the effect is one wrong match for a rare word.
pub fn term_index(term: &str) -> u32 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let mix = |k: u32| k.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let mut hash = 0_u32;
    let mut length = 0_u32;
    let mut blocks = term.as_bytes().chunks_exact(4);
    for block in &mut blocks {
        let word = block.iter().rev().fold(0_u32, |word, &byte| (word << 8) | u32::from(byte));
        hash = (hash ^ mix(word)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
        length = length.wrapping_add(4);
    }
    let rest = blocks.remainder();
    if !rest.is_empty() {
        hash ^= mix(rest.iter().rev().fold(0_u32, |word, &byte| (word << 8) | u32::from(byte)));
        length = rest.iter().fold(length, |length, _| length.wrapping_add(1));
    }
    hash ^= length;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::term_index;

    #[test]
    fn agrees_with_the_published_vectors() {
        assert_eq!(term_index(""), 0);
        assert_eq!(term_index("a"), 0x3c25_69b2);
        assert_eq!(term_index("abc"), 0xb3dd_93fa);
        assert_eq!(term_index("test"), 0xba6b_d213);
        assert_eq!(term_index("Hello, world!"), 0xc036_3e43);
        assert_eq!(term_index("The quick brown fox jumps over the lazy dog"), 0x2e4f_f723);
    }
}
