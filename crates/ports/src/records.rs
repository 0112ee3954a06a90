//! Records: the privileged view that migration, export, backup and dual-write use.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Cursor, Limit, Page, Result, Timestamp};

/// The kinds of record, one per kind of entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordKind {
    /// A key-value entry.
    KeyValue,
    /// A graph, a node or an edge, with each of its versions.
    Graph,
    /// A session.
    Session,
    /// A cached answer or the generation of a tag.
    Cache,
    /// A command, a result, a schedule or a queue's configuration.
    Queue,
    /// A collection, an alias or a point.
    Vector,
}

/// One entity in the versioned form that every store of its kind writes and reads, with ids, times and
/// version as they are, expired and deleted ones included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The kind.
    pub kind: RecordKind,
    /// The version of the form of `body`, from 1.
    pub form: u16,
    /// The full address, outermost level first (tenant, ...). Unique within the kind.
    pub address: Vec<String>,
    /// The entity's version; the higher one is the newer.
    pub version: u64,
    /// When it last changed; decides between equal versions.
    pub modified_at: Timestamp,
    /// When it ends; the remaining time to live is this minus the reader's present.
    pub expires_at: Option<Timestamp>,
    /// When it was deleted: a tombstone, so that a copy does not bring it back.
    pub deleted_at: Option<Timestamp>,
    /// The rest, as JSON. Opaque bytes are base64 under keys that end in `_b64`.
    pub body: Value,
}

/// How long a store keeps the tombstone of a deleted entity, where the entity has no retention of its own.
pub const TOMBSTONE_TTL: Duration = Duration::from_secs(7 * 86_400);

/// Standard base64 with padding (RFC 4648), as record bodies carry opaque bytes.
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of standard base64; `None` for anything else.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// What became of one restored record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restored {
    /// It was written.
    Written,
    /// The store holds an equal or newer one, which stays.
    Kept,
}

/// Scan everything, restore if newer. Records are moved, operations are never replayed.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Records: Send + Sync + 'static {
    /// The kind of record this store holds.
    ///
    /// # Behavior
    /// - `REC-KIND-1`: every record scanned has this kind, and only this kind is restored (another is
    ///   `Invalid`).
    fn kind(&self) -> RecordKind;

    /// A page of all records of all tenants, expired and deleted ones included.
    ///
    /// # Behavior
    /// - `REC-SCAN-1`: following `next` to the end gives each entity that was there throughout exactly once.
    /// - `REC-SCAN-2`: an expired entity that was not swept, and a tombstone, are given with their times.
    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>>;

    /// Writes each record that is newer (version, then `modified_at`) than what the store holds.
    ///
    /// # Behavior
    /// - `REC-RESTORE-1`: what is scanned from one store and restored into an empty one reads the same
    ///   through the port: ids, times, remaining time to live, version.
    /// - `REC-RESTORE-2`: restoring the same records again changes nothing and answers `Kept`.
    /// - `REC-RESTORE-3`: an older record never replaces a newer one; a tombstone removes an older entity.
    /// - `REC-RESTORE-4`: a record of an unknown form, or with a body that does not parse, is `Invalid`,
    ///   names the address, and none of the batch is written.
    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>>;
}
