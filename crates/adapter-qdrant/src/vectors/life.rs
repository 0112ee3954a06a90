//! The stamp of a collection and what is known of collections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hexmem_ports::rules::check_spec;
use hexmem_ports::{CollectionId, CollectionSpec, Name, Result, Timestamp};
use qdrant_client::qdrant::{CollectionInfo, Value, value::Kind};
use serde::{Deserialize, Serialize};

use crate::error::corrupt;

/// The field of a collection's metadata that holds the stamp, as text: numbers in it stay as they are.
const FIELD: &str = "hexmem";

/// The form of the stamp written here.
const FORM: u16 = 1;

/// One life of a collection: from its creation until it is dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Life {
    form: u16,
    /// Which collection it is: an alias leads to its target's.
    pub(super) at: CollectionId,
    /// Random: no other life of any collection has it.
    pub(super) life: String,
    /// Of the collection, as records have it.
    pub(super) version: u64,
    pub(super) modified_at: Timestamp,
    pub(super) spec: CollectionSpec,
}

impl Life {
    pub(super) fn new(
        at: CollectionId,
        spec: CollectionSpec,
        version: u64,
        modified_at: Timestamp,
    ) -> Self {
        let mut life = uuid::Uuid::new_v4().simple().to_string();
        life.truncate(12);
        Self { form: FORM, at, life, version, modified_at, spec }
    }

    /// The metadata of its collection.
    pub(super) fn metadata(&self, operation: &'static str) -> Result<HashMap<String, Value>> {
        let text = serde_json::to_string(self).map_err(|cause| {
            let kind = hexmem_ports::ErrorKind::Internal;
            hexmem_ports::Error::new(kind, operation, "a stamp cannot be written").caused_by(cause)
        })?;
        Ok([(FIELD.to_owned(), Value { kind: Some(Kind::StringValue(text)) })].into())
    }

    /// Reads the stamp. `Corrupt` where there is none: something else made the collection.
    pub(crate) fn of(operation: &'static str, info: &CollectionInfo) -> Result<Self> {
        let metadata = info.config.as_ref().map(|config| &config.metadata);
        let text = match metadata.and_then(|m| m.get(FIELD)).and_then(|v| v.kind.as_ref()) {
            Some(Kind::StringValue(text)) => text,
            _ => return Err(corrupt(operation, "the stamp of a collection")),
        };
        let life: Self = serde_json::from_str(text)
            .map_err(|cause| corrupt(operation, "the stamp of a collection").caused_by(cause))?;
        if life.form != FORM {
            return Err(corrupt(operation, "the form of a collection's stamp"));
        }
        check_spec(operation, &life.spec)
            .map_err(|cause| corrupt(operation, "the stamp of a collection").caused_by(cause))?;
        Ok(life)
    }

    /// How many vectors a point can have.
    pub(crate) fn channels(&self) -> u64 {
        u64::try_from(self.spec.dense.len() + self.spec.sparse.len()).unwrap_or(u64::MAX)
    }

    /// `tenant/name`.
    pub(crate) fn address(&self) -> String {
        self.at.to_string()
    }

    /// A dense vector's name in Qdrant.
    pub(super) fn dense(&self, vector: &Name) -> Option<String> {
        let place = self.spec.dense.keys().position(|name| name == vector)?;
        Some(format!("d{place}-{}", self.life))
    }

    /// A sparse vector's name in Qdrant.
    pub(super) fn sparse(&self, vector: &Name) -> Option<String> {
        Some(format!("s{}-{}", self.sparse_place(vector)?, self.life))
    }

    /// A sparse vector's place among them.
    pub(super) fn sparse_place(&self, vector: &Name) -> Option<usize> {
        self.spec.sparse.keys().position(|name| name == vector)
    }

    /// A dense or sparse vector by its name in Qdrant; `None` for one of another life.
    pub(super) fn vector(&self, qdrant: &str) -> Option<Channel<'_>> {
        let (channel, life) = qdrant.split_once('-')?;
        if life != self.life {
            return None;
        }
        let place = channel.get(1..)?.parse().ok()?;
        match channel.as_bytes().first()? {
            b'd' => self.spec.dense.keys().nth(place).map(Channel::Dense),
            b's' => self.spec.sparse.keys().nth(place).map(Channel::Sparse),
            _ => None,
        }
    }
}

/// A vector of a collection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Channel<'a> {
    Dense(&'a Name),
    Sparse(&'a Name),
}

/// Collections that were seen, by their names in Qdrant, aliases too. What is told here may be of the past: Qdrant refuses
/// what was made from it then.
#[derive(Debug, Default)]
pub(crate) struct Lives(Mutex<HashMap<String, Arc<Life>>>);

/// How many are kept. Beyond that all are forgotten, and looked up again when needed.
const MOST: usize = 4_096;

impl Lives {
    pub(super) fn get(&self, name: &str) -> Option<Arc<Life>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(super) fn put(&self, name: &str, life: &Arc<Life>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(name.to_owned(), Arc::clone(life));
    }

    pub(super) fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

#[cfg(test)]
mod tests {
    use hexmem_ports::{SparseSpec, Tenant, Weighting};
    use qdrant_client::qdrant::CollectionConfig;

    use super::*;

    #[test]
    fn a_stamp_reads_back_and_names_its_vectors() {
        let name = |text: &str| Name::new(text).unwrap();
        let sparse = SparseSpec { weighting: Weighting::Idf };
        let spec = CollectionSpec {
            sparse: [(name("a"), sparse), (name("é/\n"), sparse)].into(),
            constants: serde_json::json!({"average": 0.1}),
            ..CollectionSpec::default()
        };
        let at = CollectionId::new(Tenant(name("t")), name("c"));
        let life = Life::new(at, spec, 7, Timestamp::from_micros(5).unwrap());
        let config =
            CollectionConfig { metadata: life.metadata("t").unwrap(), ..Default::default() };
        let mut info = CollectionInfo { config: Some(config), ..Default::default() };
        assert_eq!(Life::of("t", &info).unwrap(), life);
        let vector = life.sparse(&name("é/\n")).unwrap();
        assert_eq!(life.vector(&vector), Some(Channel::Sparse(&name("é/\n"))));
        for other in ["s1-0", "s1", "d0-0", "s9-", "", "x0-0"] {
            assert_eq!(life.vector(other), None, "{other}");
        }
        info.config = None;
        assert_eq!(Life::of("t", &info).unwrap_err().kind(), hexmem_ports::ErrorKind::Corrupt);
    }
}
