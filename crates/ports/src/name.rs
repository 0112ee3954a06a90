//! Keys and names, and digests of them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

/// The longest key or name, in bytes of UTF-8. The same everywhere.
pub const NAME_LIMIT: usize = 1_024;

/// A key or name: 1 to [`NAME_LIMIT`] bytes of UTF-8, any Unicode but NUL. Ordered bytewise. Copies
/// share the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// Checks the limits. `Invalid` names the limit that is broken.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if text.is_empty() {
            return Err(Error::invalid("name", "a key or name is empty; give at least one byte"));
        }
        if text.len() > NAME_LIMIT {
            return Err(Error::invalid(
                "name",
                format!("a key or name has {} bytes; the limit is {NAME_LIMIT}", text.len()),
            ));
        }
        if text.contains('\0') {
            return Err(Error::invalid("name", "a key or name contains NUL; remove it")
                .with("name", text.escape_debug()));
        }
        Ok(Self(text.into()))
    }

    /// Of a text that was a name before.
    pub(crate) fn known(text: &str) -> Self {
        Self(text.into())
    }

    /// The limits of [`Name::new`] on a borrowed text.
    pub(crate) fn fits(text: &str) -> bool {
        !text.is_empty() && text.len() <= NAME_LIMIT && !text.contains('\0')
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Name {
    type Error = Error;
    fn try_from(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl std::str::FromStr for Name {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A literal prefix of names: empty means all. Never a pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Prefix(String);

impl Prefix {
    /// A prefix of at most [`NAME_LIMIT`] bytes without NUL.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if text.is_empty() { Ok(Self(text)) } else { Name::new(text).map(|n| Self(n.into())) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` starts with this prefix.
    pub fn matches(&self, name: &str) -> bool {
        name.starts_with(&self.0)
    }

    /// The first string after every string with this prefix, bytewise, as an exclusive upper bound
    /// of an index range. `None` when there is no bound (the empty prefix). The bytes need not be UTF-8.
    pub fn end(&self) -> Option<Vec<u8>> {
        let mut bytes = self.0.clone().into_bytes();
        while let Some(last) = bytes.last_mut() {
            if *last < u8::MAX {
                *last += 1;
                return Some(bytes);
            }
            bytes.pop();
        }
        None
    }
}

/// 32 bytes of SHA-256. Debug prints hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// SHA-256 of length-prefixed parts (each part preceded by its length as 8 bytes, big-endian),
    /// so that `("ab", "c")` and `("a", "bc")` differ. Unique indexes use it: a b-tree entry of
    /// PostgreSQL holds 2,704 bytes, three names of 1,024 do not fit.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Plain SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// 64 lower-case hex digits.
    pub fn to_hex(self) -> String {
        to_hex(&self.0)
    }

    /// Parses 64 hex digits; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        from_hex(text)?.try_into().ok().map(Self)
    }

    /// The digest from exactly 32 bytes; `None` for any other length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("expected 64 hex digits"))
    }
}

/// Lower-case hex.
pub fn to_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of a hex string of even length; `None` for anything else.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_in_bytes_and_nul_is_refused() {
        assert!(Name::new("a".repeat(1_024)).is_ok());
        assert!(Name::new("a".repeat(1_025)).is_err());
        assert!(Name::new("\u{20ac}".repeat(342)).is_err());
        assert!(Name::new("").is_err());
        assert!(Name::new("a\0b").is_err());
    }

    #[test]
    fn parts_do_not_run_together() {
        let a = Digest::of_parts([b"ab".as_slice(), b"c"]);
        let b = Digest::of_parts([b"a".as_slice(), b"bc"]);
        assert_ne!(a, b);
        assert_eq!(Digest::from_hex(&a.to_hex()), Some(a));
        assert_eq!(from_hex("é0"), None);
    }

    #[test]
    fn the_end_of_a_prefix_bounds_all_its_names() {
        let prefix = Prefix::new("ab").unwrap();
        assert_eq!(prefix.end(), Some(b"ac".to_vec()));
        assert_eq!(Prefix::default().end(), None);
        let euro = Prefix::new("\u{10ffff}").unwrap();
        assert!(euro.end().unwrap() > "\u{10ffff}zzz".as_bytes().to_vec());
    }
}
