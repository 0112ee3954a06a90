//! The record form of cached answers and of the generations of tags.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    CacheKey, Digest, Error, Name, NamespaceId, Record, RecordKind, Result, TAG_LIMIT, TagRef,
    Tenant, Timestamp, check_bytes, check_json,
};

/// The version of the form written here.
const FORM: u16 = 1;

/// An entity of the cache as a record. Addresses are `[tenant, namespace, "entry", fingerprint]` and
/// `[tenant, namespace, "tag", room, name]`.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheRecord {
    /// The namespace.
    pub namespace: NamespaceId,
    /// Grows with each change of the entity.
    pub version: u64,
    /// When it last changed.
    pub modified_at: Timestamp,
    /// What it is.
    pub body: CacheBody,
}

/// What a record of the cache is about.
#[derive(Debug, Clone, PartialEq)]
pub enum CacheBody {
    /// A key, with its answer or with the invalidation that ended it.
    Entry {
        /// The key's fingerprint.
        fingerprint: Digest,
        /// The generation of the last invalidation and until when it is remembered.
        invalidated: Option<(Uuid, Timestamp)>,
        /// The answer; `None` is a tombstone.
        answer: Option<EntryBody>,
    },
    /// A tag.
    Tag {
        /// Which.
        tag: TagRef,
        /// Its generation.
        generation: Uuid,
    },
}

/// An answer as a record holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryBody {
    /// The bytes.
    pub value: Vec<u8>,
    /// What is kept beside them.
    pub meta: Value,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// Until when it is fresh.
    pub fresh_until: Timestamp,
    /// Until when it is served.
    pub expires_at: Timestamp,
    /// The generations it was stored with.
    pub generations: Vec<(TagRef, Uuid)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryForm {
    invalidated: Option<(Uuid, Timestamp)>,
    answer: Option<AnswerForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerForm {
    #[serde(with = "crate::b64")]
    value_b64: Vec<u8>,
    meta: Value,
    stored_at: Timestamp,
    fresh_until: Timestamp,
    generations: Vec<(TagRef, Uuid)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TagForm {
    generation: Uuid,
}

/// The version of an entity changed at `now`: grows over the one before, and over that of an entity of the
/// same address that is already forgotten (milliseconds since 1970 are its floor).
pub fn next_cache_version(previous: Option<u64>, now: Timestamp) -> u64 {
    let floor = u64::try_from(now.as_micros() / 1_000).unwrap_or(0);
    previous.map_or(floor, |version| version.saturating_add(1).max(floor))
}

impl CacheRecord {
    /// The record. A tombstone ends when its invalidation is forgotten.
    pub fn into_record(self) -> Result<Record> {
        let mut address =
            vec![self.namespace.tenant.0.to_string(), self.namespace.name.to_string()];
        let (mut expires_at, mut deleted_at) = (None, None);
        let body = match self.body {
            CacheBody::Entry { fingerprint, invalidated, answer } => {
                address.extend(["entry".to_owned(), fingerprint.to_hex()]);
                expires_at = match &answer {
                    Some(answer) => Some(answer.expires_at),
                    None => invalidated.map(|(_, until)| until),
                };
                deleted_at = answer.is_none().then_some(self.modified_at);
                let answer = answer.map(|mut answer| {
                    // One form, whatever the order in which a ticket named them.
                    answer.generations.sort();
                    answer.generations.dedup();
                    answer
                });
                let answer = answer.map(|answer| AnswerForm {
                    value_b64: answer.value,
                    meta: answer.meta,
                    stored_at: answer.stored_at,
                    fresh_until: answer.fresh_until,
                    generations: answer.generations,
                });
                serde_json::to_value(EntryForm { invalidated, answer })
            }
            CacheBody::Tag { tag, generation } => {
                address.extend(["tag", tag.kind(), tag.name()].map(str::to_owned));
                serde_json::to_value(TagForm { generation })
            }
        };
        let body = body.map_err(|error| {
            Error::new(crate::ErrorKind::Internal, "cache.scan", "a record cannot be written")
                .caused_by(error)
        })?;
        Ok(Record {
            kind: RecordKind::Cache,
            form: FORM,
            address,
            version: self.version,
            modified_at: self.modified_at,
            expires_at,
            deleted_at,
            body,
        })
    }

    /// Reads a record. `Invalid`, naming the address, for another kind or form and for what cannot be an
    /// entity of the cache.
    pub fn from_record(record: Record) -> Result<Self> {
        let address = record.address.join("/");
        Self::read(record).map_err(|what| {
            Error::invalid("cache.restore", what).with("address", address.escape_debug())
        })
    }

    fn read(record: Record) -> Result<Self, String> {
        if record.kind != RecordKind::Cache {
            return Err("not a record of a cache".into());
        }
        if record.form != FORM {
            return Err(format!("form {} of a record; this program reads {FORM}", record.form));
        }
        let parts: Vec<&str> = record.address.iter().map(String::as_str).collect();
        let [tenant, namespace, rest @ ..] = parts.as_slice() else {
            return Err("the address has no tenant and namespace".into());
        };
        let name = |text: &str| Name::new(text).map_err(|error| error.to_string());
        let namespace = NamespaceId::new(Tenant(name(tenant)?), name(namespace)?);
        let body = match *rest {
            ["entry", hex] => {
                let fingerprint = Digest::from_hex(hex).ok_or("not a fingerprint")?;
                entry(fingerprint, record.expires_at, record.deleted_at, record.body)?
            }
            ["tag", kind, tag] => {
                let tag = TagRef::from_parts(kind, tag).ok_or("not a tag")?;
                let form: TagForm = read(record.body)?;
                CacheBody::Tag { tag, generation: form.generation }
            }
            _ => return Err("the address is neither of an entry nor of a tag".into()),
        };
        Ok(Self { namespace, version: record.version, modified_at: record.modified_at, body })
    }

    /// The key of an entry.
    pub fn key(&self) -> Option<CacheKey> {
        match &self.body {
            CacheBody::Entry { fingerprint, .. } => {
                Some(CacheKey { namespace: self.namespace.clone(), fingerprint: *fingerprint })
            }
            CacheBody::Tag { .. } => None,
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(body: Value) -> Result<T, String> {
    serde_json::from_value(body).map_err(|error| format!("the body cannot be read: {error}"))
}

fn entry(
    fingerprint: Digest,
    expires_at: Option<Timestamp>,
    deleted_at: Option<Timestamp>,
    body: Value,
) -> Result<CacheBody, String> {
    // A missing field reads as null in an optional one; an empty body is no entry.
    if !body.as_object().is_some_and(|body| body.contains_key("answer")) {
        return Err("the body has no answer".into());
    }
    let form: EntryForm = read(body)?;
    if form.answer.is_some() == deleted_at.is_some() {
        return Err("a tombstone has no answer, and an answer is no tombstone".into());
    }
    let answer = match form.answer {
        None if form.invalidated.is_none() => {
            return Err("a tombstone without the invalidation that made it".into());
        }
        None => None,
        Some(answer) => {
            check_bytes("cache.restore", &answer.value_b64).map_err(|e| e.to_string())?;
            check_json("cache.restore", &answer.meta).map_err(|e| e.to_string())?;
            if answer.generations.len() > TAG_LIMIT + 2 {
                return Err("more tags than an answer can have".into());
            }
            Some(EntryBody {
                value: answer.value_b64,
                meta: answer.meta,
                stored_at: answer.stored_at,
                fresh_until: answer.fresh_until,
                expires_at: expires_at.ok_or("an answer without an end")?,
                generations: answer.generations,
            })
        }
    };
    Ok(CacheBody::Entry { fingerprint, invalidated: form.invalidated, answer })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_tombstones_and_tags_read_as_written() {
        let at = Timestamp::from_micros(5).unwrap();
        let namespace =
            NamespaceId::new(Tenant(Name::new("t").unwrap()), Name::new("n/\n").unwrap());
        let tag = TagRef::Tag(Name::new("namespace").unwrap());
        let answer = EntryBody {
            value: vec![0, 255],
            meta: json!({"tokens": 3}),
            stored_at: at,
            fresh_until: at,
            expires_at: Timestamp::MAX,
            generations: vec![(TagRef::Namespace, Uuid::nil()), (tag.clone(), Uuid::max())],
        };
        let fingerprint = Digest::of(b"q");
        for body in [
            CacheBody::Entry { fingerprint, invalidated: None, answer: Some(answer) },
            CacheBody::Entry { fingerprint, invalidated: Some((Uuid::max(), at)), answer: None },
            CacheBody::Tag { tag, generation: Uuid::nil() },
            CacheBody::Tag { tag: TagRef::Namespace, generation: Uuid::nil() },
        ] {
            let record =
                CacheRecord { namespace: namespace.clone(), version: 7, modified_at: at, body };
            let written = record.clone().into_record().unwrap();
            assert_eq!(CacheRecord::from_record(written).unwrap(), record);
        }
    }
}
