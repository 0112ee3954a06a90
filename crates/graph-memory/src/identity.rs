//! Stable edge ids: one fact, one id, whoever asserts it first.

use hexmem_ports::{Digest, EdgeId, Name};
use uuid::Uuid;

/// The namespace of every id made here (a random UUID, fixed for good).
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1b_0d5e_9a54_4c0b_8f0e_3d7c_52a1_e94f);

/// The id of the `episode`-th span (from 0) in which `src relation dst` holds according to `source`.
///
/// UUIDv5 over the SHA-256 of length-prefixed parts, so that concurrent asserts of one fact meet in one edge
/// and no two facts share an id by concatenation.
pub fn fact_id(
    src: &Name,
    relation: &Name,
    dst: &Name,
    source: Option<&Name>,
    episode: u32,
) -> EdgeId {
    let source = source.map_or("", Name::as_str);
    derive(&[
        b"fact",
        src.as_str().as_bytes(),
        relation.as_str().as_bytes(),
        dst.as_str().as_bytes(),
        source.as_bytes(),
        &episode.to_be_bytes(),
    ])
}

/// The id of the `slot`-th value (from 0) of a functional relation. The value itself is no part of it: two
/// writers that set different values at once want the same slot, and one of them has to look again.
pub fn slot_id(src: &Name, relation: &Name, slot: u32) -> EdgeId {
    derive(&[b"slot", src.as_str().as_bytes(), relation.as_str().as_bytes(), &slot.to_be_bytes()])
}

fn derive(parts: &[&[u8]]) -> EdgeId {
    EdgeId(Uuid::new_v5(&NAMESPACE, &Digest::of_parts(parts.iter().copied()).0))
}

/// 128 bits that stand for a text in sets of what was seen: 16 bytes a name, whatever its length.
pub(crate) fn fingerprint(parts: &[&[u8]]) -> u128 {
    let digest = Digest::of_parts(parts.iter().copied()).0;
    digest.iter().take(16).fold(0, |n, byte| (n << 8) | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn an_id_depends_on_every_part_and_on_where_parts_end() {
        let id = |s: &str, r: &str, d: &str| fact_id(&name(s), &name(r), &name(d), None, 0);
        assert_eq!(id("a", "r", "b"), id("a", "r", "b"));
        assert_ne!(id("ab", "r", "c"), id("a", "br", "c"));
        assert_ne!(id("a", "r", "b"), id("b", "r", "a"));
        let (a, r, b) = (name("a"), name("r"), name("b"));
        assert_ne!(fact_id(&a, &r, &b, None, 0), fact_id(&a, &r, &b, None, 1));
        assert_ne!(fact_id(&a, &r, &b, None, 0), fact_id(&a, &r, &b, Some(&a), 0));
        assert_ne!(slot_id(&a, &r, 0), slot_id(&a, &r, 1));
    }

    #[test]
    fn ids_never_change() {
        // Stored graphs hold these ids: a change of the rule would double every fact.
        let id = fact_id(&name("alice"), &name("knows"), &name("bob"), None, 0);
        assert_eq!(id.to_string(), "5f32eba6-5460-5d31-88a7-bf3331e979bf");
    }
}
