//! Chunks as points.

use hexmem_ports::{CollectionId, Error, PointId, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Names every id below apart from UUIDs made elsewhere.
const NAMESPACE: Uuid = Uuid::from_u128(0x68_65_78_6d_65_6d_2e_72_61_67_2e_70_6f_69_6e_74);

/// The payload of a point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Payload {
    /// The id of the document.
    pub(super) document: String,
    /// Which of its chunks.
    pub(super) chunk: usize,
    /// How many it has. Meant in the first one only; the others may be behind for a moment.
    pub(super) chunks: usize,
    /// Byte offsets in the document.
    pub(super) start: usize,
    pub(super) end: usize,
    /// With a space for each NUL, which the JSON of stores cannot hold.
    pub(super) text: String,
    /// Where the text has a NUL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) nul: Vec<usize>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) title: String,
    /// The headings above it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) context: Vec<String>,
    /// SHA-256 of what the document was made from.
    pub(super) hash: String,
    /// Where it was ingested from: what a later ingest of the same place compares with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) root: Option<String>,
    /// The caller's metadata.
    #[serde(default)]
    pub(super) metadata: Map<String, Value>,
}

impl Payload {
    /// The chunk's text as it stood in the document.
    pub(super) fn source_text(&self) -> String {
        let mut text = String::with_capacity(self.text.len());
        let mut from = 0;
        for &at in &self.nul {
            let (Some(before), Some(" ")) = (self.text.get(from..at), self.text.get(at..=at))
            else {
                break;
            };
            text.push_str(before);
            text.push('\0');
            from = at + 1;
        }
        text.push_str(self.text.get(from..).unwrap_or_default());
        text
    }

    pub(super) fn read(id: PointId, payload: Value) -> Result<Self> {
        serde_json::from_value(payload).map_err(|error| {
            Error::corrupt(
                "rag.point",
                "a point of the collection is no chunk; ingest its document again",
            )
            .with("point", id)
            .caused_by(error)
        })
    }
}

/// The id of a chunk: UUIDv5 of tenant, collection, document and chunk, length-prefixed, so that a repeated ingest
/// replaces.
pub(super) fn point_id(collection: &CollectionId, document: &str, chunk: usize) -> PointId {
    let chunk = chunk.to_string();
    let parts = [collection.tenant.as_str(), collection.name.as_str(), document, &chunk];
    let mut name = Vec::new();
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    PointId(Uuid::new_v5(&NAMESPACE, &name))
}
