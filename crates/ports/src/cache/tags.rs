//! What answers depend on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Digest, Error, Name, NamespaceId, Result};

/// What an answer depends on. Model and tags are known before the lookup; the namespace is implied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheTags {
    /// The model that answers; itself a tag, in a room of its own.
    pub model: Option<Name>,
    /// At most [`TAG_LIMIT`] tags.
    pub tags: Vec<Name>,
}

/// The most tags of one entry.
pub const TAG_LIMIT: usize = 32;

/// A tag of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TagRef {
    /// The namespace itself.
    Namespace,
    /// A model.
    Model(Name),
    /// A tag of the caller's.
    Tag(Name),
}

impl TagRef {
    /// The room it is in, as records and indexes write it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Model(_) => "model",
            Self::Tag(_) => "tag",
        }
    }

    /// Its name; [`ABSENT`](crate::ABSENT) for the namespace.
    pub fn name(&self) -> &str {
        match self {
            Self::Namespace => crate::ABSENT,
            Self::Model(name) | Self::Tag(name) => name.as_str(),
        }
    }

    /// From room and name; `None` for what [`TagRef::kind`] and [`TagRef::name`] do not give.
    pub fn from_parts(kind: &str, name: &str) -> Option<Self> {
        match (kind, Name::new(name)) {
            ("namespace", Err(_)) if name == crate::ABSENT => Some(Self::Namespace),
            ("model", Ok(name)) => Some(Self::Model(name)),
            ("tag", Ok(name)) => Some(Self::Tag(name)),
            _ => None,
        }
    }

    /// SHA-256 of tenant, namespace, room and name: what unique indexes use.
    pub fn digest(&self, namespace: &NamespaceId) -> Digest {
        Digest::of_parts([
            namespace.tenant.as_str().as_bytes(),
            namespace.name.as_str().as_bytes(),
            self.kind().as_bytes(),
            self.name().as_bytes(),
        ])
    }
}

impl fmt::Display for TagRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace => f.write_str("namespace"),
            _ => write!(f, "{} {}", self.kind(), self.name().escape_debug()),
        }
    }
}

impl CacheTags {
    /// `Invalid` beyond [`TAG_LIMIT`] tags.
    pub fn check(&self, operation: &'static str) -> Result<()> {
        if self.tags.len() > TAG_LIMIT {
            return Err(Error::invalid(
                operation,
                format!("{} tags; the limit is {TAG_LIMIT} of one answer", self.tags.len()),
            ));
        }
        Ok(())
    }

    /// All tags an entry depends on: the namespace, the model, the caller's tags; sorted, each once.
    pub fn refs(&self) -> Vec<TagRef> {
        let mut refs = vec![TagRef::Namespace];
        refs.extend(self.model.clone().map(TagRef::Model));
        refs.extend(self.tags.iter().cloned().map(TagRef::Tag));
        refs.sort();
        refs.dedup();
        refs
    }
}
