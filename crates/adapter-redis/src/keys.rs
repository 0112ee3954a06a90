//! Where things lie: everything of one entity under one hash tag, which holds digests and numbers only.
//!
//! A tag is the first key of a script (`hexmem:{k<digest>}`); the script derives all others from it.

use hexmem_ports::{Digest, to_hex};

/// A tag: the prefix and the part in braces, which alone decides the slot in a Cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Tag(String);

impl Tag {
    /// `kind` and the first 128 bits of a digest: no two names that anybody can make collide.
    pub(crate) fn of_digest(prefix: &str, kind: char, digest: &Digest) -> Self {
        let (head, _) = digest.0.split_at(16);
        Self(format!("{prefix}{{{kind}{}}}", to_hex(head)))
    }

    /// `kind` and a number.
    pub(crate) fn of_number(prefix: &str, kind: char, number: u16) -> Self {
        Self(format!("{prefix}{{{kind}{number}}}"))
    }

    /// A tag that was kept as text.
    pub(crate) fn known(text: String) -> Self {
        Self(text)
    }

    /// The tag itself, as the first key of a script.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// A key of this tag; `rest` is what scripts append to `KEYS[1]`.
    pub(crate) fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_holds_digests_and_numbers_in_its_braces() {
        let digest = Digest::of(b"}{");
        let tag = Tag::of_digest("p:", 'k', &digest);
        assert_eq!(tag.as_str().len(), "p:{k}".len() + 32);
        assert_eq!(tag.key(":n"), format!("{}:n", tag.as_str()));
        assert_eq!(Tag::of_number("p:", 's', 1023).as_str(), "p:{s1023}");
    }
}
