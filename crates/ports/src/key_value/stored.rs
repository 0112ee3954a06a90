//! An entry as stores keep it, and its record.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::{
    BucketId, Cursor, Digest, Error, ErrorKind, KvCondition, Name, OpId, Prefix, Record,
    RecordKind, Remaining, Result, Tenant, Timestamp, Ttl, check_bytes, from_hex, rules, to_hex,
};

/// How long a deleted key leaves a tombstone, so that a copy made meanwhile does not bring it back.
pub const KV_TOMBSTONE_RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// The version of the form of a key-value record.
const FORM: u16 = 1;

/// Everything a store keeps of an entry but its value. SQL stores keep the fields as columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvState {
    /// See [`rules::next_version`].
    pub version: u64,
    /// When it was last written, changed or deleted.
    pub modified_at: Timestamp,
    /// When it ends; `None` for ever.
    pub expires_at: Option<Timestamp>,
    /// When it was deleted: then it is a tombstone, without a value.
    pub deleted_at: Option<Timestamp>,
}

impl KvState {
    /// Written at `now` over `previous`, dead or alive.
    pub fn written(previous: Option<Self>, ttl: Option<Ttl>, now: Timestamp) -> Self {
        Self {
            version: rules::next_version(previous.map(|state| state.version), now),
            modified_at: now,
            expires_at: ttl.map(|ttl| now.plus(ttl.get())),
            deleted_at: None,
        }
    }

    /// Counted at `now` over `previous`: a live counter keeps its end, a new one gets `ttl`.
    pub fn counted(previous: Option<Self>, ttl: Option<Ttl>, now: Timestamp) -> Self {
        let live = previous.filter(|state| state.is_live(now));
        let written = Self::written(previous, ttl, now);
        Self { expires_at: live.map_or(written.expires_at, |state| state.expires_at), ..written }
    }

    /// With another time to live from `now`.
    #[must_use]
    pub fn expiring(self, ttl: Option<Ttl>, now: Timestamp) -> Self {
        Self::written(Some(self), ttl, now)
    }

    /// The tombstone that is left by a delete at `now`.
    #[must_use]
    pub fn deleted(self, now: Timestamp) -> Self {
        Self { deleted_at: Some(now), ..Self::written(Some(self), None, now) }
    }

    /// Whether a reader at `now` sees it.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.deleted_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }

    /// The version, where a reader at `now` sees it.
    pub fn live_version(&self, now: Timestamp) -> Option<u64> {
        self.is_live(now).then_some(self.version)
    }

    /// What is left to live at `now`; `None` when it is dead.
    pub fn remaining(&self, now: Timestamp) -> Option<Remaining> {
        let left = |end: Timestamp| Remaining::For(end.since(now));
        self.is_live(now).then(|| self.expires_at.map_or(Remaining::Forever, left))
    }

    /// When its space may be freed: at its end, or [`KV_TOMBSTONE_RETENTION`] after it was deleted. `None`
    /// while it stays.
    pub fn free_at(&self) -> Option<Timestamp> {
        let forgotten = self.deleted_at.map(|deleted| deleted.plus(KV_TOMBSTONE_RETENTION));
        forgotten.or(self.expires_at)
    }
}

impl KvCondition {
    /// Whether a write goes ahead over a live entry of `version`: `AlreadyExists` or `Conflict` where not.
    pub fn check(self, operation: &'static str, version: Option<u64>) -> Result<()> {
        match (self, version) {
            (Self::Always, _) | (Self::IfAbsent, None) => Ok(()),
            (Self::IfAbsent, Some(version)) => {
                Err(Error::new(ErrorKind::AlreadyExists, operation, "the key has a live entry")
                    .with("version", version))
            }
            (Self::IfVersion(expected), Some(version)) if expected == version => Ok(()),
            (Self::IfVersion(expected), Some(version)) => Err(Error::conflict(
                operation,
                "the key was changed meanwhile; read it again and repeat the change on that",
            )
            .with("expected", expected)
            .with("version", version)),
            (Self::IfVersion(expected), None) => {
                Err(Error::conflict(operation, "the key is absent; it ended or was deleted")
                    .with("expected", expected))
            }
        }
    }
}

/// Under what a store remembers the answer to `op`: the method, the full address and the key of idempotence.
pub fn kv_op(method: &str, bucket: &BucketId, key: &Name, op: OpId) -> Digest {
    Digest::of_parts([
        method.as_bytes(),
        bucket.tenant.as_str().as_bytes(),
        bucket.name.as_str().as_bytes(),
        key.as_str().as_bytes(),
        op.0.as_bytes().as_slice(),
    ])
}

/// The cursor of a scan that goes on after `key`.
pub fn kv_cursor(key: &Name) -> Cursor {
    Cursor(format!("kv.{}", to_hex(key.as_str().as_bytes())))
}

/// The key that a cursor of [`kv_cursor`] goes on after. `Invalid` for any other text, and for the cursor of
/// a scan of another prefix.
pub fn kv_position(operation: &'static str, prefix: &Prefix, cursor: &Cursor) -> Result<Name> {
    let read = || {
        let bytes = from_hex(cursor.0.strip_prefix("kv.")?)?;
        Name::new(String::from_utf8(bytes).ok()?).ok()
    };
    read().filter(|key| prefix.matches(key.as_str())).ok_or_else(|| cursor.refused(operation))
}

/// A key-value entry or its tombstone, in the one form in which stores exchange it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvRecord {
    /// Where it belongs.
    pub bucket: BucketId,
    /// Its key.
    pub key: Name,
    /// Its version and times.
    pub state: KvState,
    /// Its value; `None` for a tombstone only.
    pub value: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    value_b64: Option<String>,
}

impl KvRecord {
    /// Whether it replaces an entry of the state `held`: newer by version, then by time of change.
    pub fn is_newer_than(&self, held: &KvState) -> bool {
        (self.state.version, self.state.modified_at) > (held.version, held.modified_at)
    }

    fn read(record: &Record) -> std::result::Result<Self, String> {
        if record.kind != RecordKind::KeyValue {
            return Err(format!("the record is of kind {:?}, not KeyValue", record.kind));
        }
        if record.form != FORM {
            return Err(format!("the form {} is unknown; this program reads {FORM}", record.form));
        }
        let [tenant, bucket, key] = record.address.as_slice() else {
            return Err("the address is not tenant, bucket and key".into());
        };
        let name = |text: &String| Name::new(text.as_str()).map_err(|e| e.to_string());
        let bucket = BucketId::new(Tenant(name(tenant)?), name(bucket)?);
        let body: Body = serde::Deserialize::deserialize(&record.body)
            .map_err(|e| format!("the body does not parse: {e}"))?;
        let value = body
            .value_b64
            .map(|text| BASE64_STANDARD.decode(text))
            .transpose()
            .map_err(|e| format!("value_b64 is no base64: {e}"))?;
        if value.is_some() == record.deleted_at.is_some() {
            return Err("an entry has a value, a tombstone has none".into());
        }
        check_bytes("key_value.restore", value.as_deref().unwrap_or_default())
            .map_err(|e| e.to_string())?;
        if !(1..=i64::MAX.unsigned_abs()).contains(&record.version) {
            return Err(format!("the version {} is not 1 to 2^63-1", record.version));
        }
        let state = KvState {
            version: record.version,
            modified_at: record.modified_at,
            expires_at: record.expires_at,
            deleted_at: record.deleted_at,
        };
        Ok(Self { bucket, key: name(key)?, state, value })
    }
}

impl TryFrom<Record> for KvRecord {
    type Error = Error;

    /// `Invalid`, naming the address, for another kind, an unknown form, or a body that does not parse.
    fn try_from(record: Record) -> Result<Self> {
        Self::read(&record).map_err(|wrong| {
            Error::invalid("key_value.restore", wrong).with("address", record.address.join("/"))
        })
    }
}

impl From<KvRecord> for Record {
    fn from(entry: KvRecord) -> Self {
        let mut body = serde_json::Map::new();
        if let Some(value) = entry.value {
            body.insert("value_b64".into(), BASE64_STANDARD.encode(value).into());
        }
        Self {
            kind: RecordKind::KeyValue,
            form: FORM,
            address: vec![entry.bucket.tenant.0.into(), entry.bucket.name.into(), entry.key.into()],
            version: entry.state.version,
            modified_at: entry.state.modified_at,
            expires_at: entry.state.expires_at,
            deleted_at: entry.state.deleted_at,
            body: body.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::MIN;

    fn entry() -> KvRecord {
        let name = |text: &str| Name::new(text).unwrap();
        KvRecord {
            bucket: BucketId::new(Tenant(name("t")), name("b")),
            key: name("k/ü"),
            state: KvState::written(None, Some(Ttl::secs(1).unwrap()), NOW),
            value: Some(vec![0, 255, 10]),
        }
    }

    #[test]
    fn a_record_round_trips() {
        let entry = entry();
        assert_eq!(KvRecord::try_from(Record::from(entry.clone())).unwrap(), entry);
        let tombstone = KvRecord { state: entry.state.deleted(NOW), value: None, ..entry };
        assert_eq!(KvRecord::try_from(Record::from(tombstone.clone())).unwrap(), tombstone);
    }

    #[test]
    fn a_record_that_contradicts_itself_is_refused() {
        let good = Record::from(entry());
        let no_value = Record { body: serde_json::json!({}), ..good.clone() };
        let dead_with_value = Record { deleted_at: Some(NOW), ..good.clone() };
        let no_version = Record { version: 0, ..good.clone() };
        let extra = Record { body: serde_json::json!({"value_b64": "", "x": 1}), ..good };
        for bad in [no_value, dead_with_value, no_version, extra] {
            let error = KvRecord::try_from(bad).unwrap_err();
            assert!(error.to_string().contains("t/b/k/ü"), "{error}");
        }
    }
}
