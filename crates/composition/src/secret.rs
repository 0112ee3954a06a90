//! What must not be shown.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A secret that prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // One of digits is read as a number; an error about it would show it.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Word {
            Text(String),
            Number(i64),
        }
        match Word::deserialize(deserializer) {
            Ok(Word::Text(text)) => Ok(Self(text)),
            Ok(Word::Number(number)) => Ok(Self(number.to_string())),
            Err(_) => Err(serde::de::Error::custom("a secret is a text")),
        }
    }
}
