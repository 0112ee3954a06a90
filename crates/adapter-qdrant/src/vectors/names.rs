//! How collections are named in Qdrant.

use hexmem_ports::{CollectionId, Digest, Name, Tenant};

/// The longest part that is written out. Names are folders, of at most 255 bytes, and snapshots add to them.
const PART: usize = 80;

/// What begins a part that is only a digest. An escape is `=` and two hex digits, so no other part begins so.
const DIGEST: &str = "==";

/// The name of a collection or alias.
pub(super) fn qdrant_name(prefix: &str, at: &CollectionId) -> String {
    format!("{}{}", tenant_prefix(prefix, &at.tenant), part(at.name.as_str()))
}

/// What the names of a tenant's collections begin with.
pub(super) fn tenant_prefix(prefix: &str, tenant: &Tenant) -> String {
    format!("{prefix}.{}.", part(tenant.as_str()))
}

/// A collection's name where it is written out: what follows the prefix of its tenant.
pub(super) fn name_of(part: &str) -> Option<Name> {
    if part.starts_with(DIGEST) {
        return None;
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(part.len()), part.bytes());
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let (high, low) = (rest.next()?, rest.next()?);
            let digits = [high, low];
            let text = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(text, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Name::new(String::from_utf8(bytes).ok()?).ok()
}

/// Upper case is escaped too: two names that differ in it would be one folder on some systems.
fn part(text: &str) -> String {
    use std::fmt::Write as _;
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-') {
            written.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(written, "={byte:02x}");
        }
    }
    if written.len() <= PART {
        return written;
    }
    format!("{DIGEST}{}", Digest::of(text.as_bytes()).to_hex())
}

#[cfg(test)]
mod tests {
    use hexmem_conformance::awkward_names;

    use super::*;

    #[test]
    fn names_are_plain_and_read_back() {
        let tenant = Tenant(Name::new("T 1").unwrap());
        let mut seen = std::collections::BTreeSet::new();
        for name in awkward_names() {
            let at = CollectionId::new(tenant.clone(), name.clone());
            let written = qdrant_name("hexmem", &at);
            let plain = |b: u8| b"abcdefghijklmnopqrstuvwxyz0123456789_-.=".contains(&b);
            assert!(written.len() <= 200 && written.bytes().all(plain), "{written}");
            let last = written.strip_prefix(&tenant_prefix("hexmem", &tenant)).unwrap();
            assert!(name_of(last).is_none_or(|read| read == name), "{last}");
            assert_eq!(name_of(last).is_none(), last.starts_with(DIGEST));
            assert!(seen.insert(written.to_lowercase()), "{name}");
        }
        assert_eq!(tenant_prefix("hexmem", &tenant), "hexmem.=54=201.");
    }

    #[test]
    fn foreign_parts_are_no_names() {
        for part in ["=", "=4", "=zz", "=ff", ""] {
            assert_eq!(name_of(part), None, "{part}");
        }
    }
}
