//! The records of cached answers and of generations.

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hexmem_ports::{
    CacheBody, CacheRecord, Cursor, Digest, EntryBody, Error, Limit, NamespaceId, Page, Record,
    RecordKind, Records, Restored, Result, TOMBSTONE_TTL, Timestamp, from_hex, to_hex,
};
use serde::{Deserialize, Serialize};

use super::form::{self, Mark, Names, Stored, room_and_name};
use super::{RedisCache, micros, scripts};
use crate::keys::Tag;
use crate::reply::Reply;

const SCAN: &str = "cache.scan";
const RESTORE: &str = "cache.restore";
/// The most bytes of answers that one script returns, past the last one.
const SCAN_BYTES: usize = 4 << 20;
/// The most bytes of answers in a page, past the last script.
const PAGE_BYTES: usize = 32 << 20;
/// Records that are on their way at once.
const AT_ONCE: usize = 64;
/// Scripts count exactly below this (2^53).
const EXACT: u64 = 1 << 53;

/// Where a scan stands: in the namespace of this address, behind this answer or tag, in hex; behind the namespace.
#[derive(Debug, Serialize, Deserialize)]
enum Place {
    Answers(String, String),
    Tags(String, String),
    Behind(String),
}

impl Place {
    fn read(cursor: &Cursor) -> Option<Self> {
        let place: Self = serde_json::from_str(&cursor.0).ok()?;
        if let Self::Answers(_, last) | Self::Tags(_, last) = &place {
            from_hex(last)?;
        }
        Some(place)
    }

    fn cursor(&self) -> Result<Cursor> {
        serde_json::to_string(self).map(Cursor).map_err(|error| {
            Error::invalid(SCAN, "a place of the scan cannot be written").caused_by(error)
        })
    }
}

/// Records of one namespace, and the last key that was looked at ('' at the end).
struct Part {
    records: Vec<CacheRecord>,
    bytes: usize,
    last: Vec<u8>,
}

#[async_trait]
impl Records for RedisCache {
    fn kind(&self) -> RecordKind {
        RecordKind::Cache
    }

    /// An answer under a tag whose generation is gone can never be served and is left out. A page ends early when it
    /// has 32 MiB.
    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let mut place = match &cursor {
            None => Place::Behind(String::new()),
            Some(cursor) => Place::read(cursor)
                .ok_or_else(|| Error::invalid(SCAN, "not a cursor that this store gave"))?,
        };
        let (mut items, mut bytes) = (Vec::new(), 0);
        while items.len() < limit.as_usize() && bytes < PAGE_BYTES {
            let left = limit.as_usize() - items.len();
            let (address, part, tags) = match place {
                Place::Behind(address) => {
                    let next = self.namespaces(SCAN, address.as_bytes(), 1).await?.pop();
                    let Some((address, _)) = next else {
                        return Ok(Page { items, next: None });
                    };
                    let address = String::from_utf8(address).map_err(|error| {
                        Error::corrupt(SCAN, "the address of a namespace is no text")
                            .caused_by(error)
                    })?;
                    place = Place::Answers(address, String::new());
                    continue;
                }
                Place::Answers(address, last) => {
                    let (namespace, tag) = self.addressed(&address)?;
                    let last = from_hex(&last).unwrap_or_default();
                    (address, self.answers(&namespace, &tag, last, left).await?, false)
                }
                Place::Tags(address, last) => {
                    let (namespace, tag) = self.addressed(&address)?;
                    let last = from_hex(&last).unwrap_or_default();
                    (address, self.generations(&namespace, &tag, last, left).await?, true)
                }
            };
            for record in part.records {
                items.push(record.into_record()?);
            }
            bytes += part.bytes;
            place = match (part.last.is_empty(), tags) {
                (true, false) => Place::Tags(address, String::new()),
                (true, true) => Place::Behind(address),
                (false, false) => Place::Answers(address, to_hex(&part.last)),
                (false, true) => Place::Tags(address, to_hex(&part.last)),
            };
        }
        let next = Some(place.cursor()?);
        Ok(Page { items, next })
    }

    /// Records with a version of 2^53 and more, which no store here writes, are `Invalid`.
    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let records: Vec<CacheRecord> = records
            .into_iter()
            .map(|record| {
                let address = record.address.join("/");
                let record = CacheRecord::from_record(record)?;
                if record.version >= EXACT {
                    return Err(Error::invalid(RESTORE, "the version is beyond 2^53")
                        .with("address", address.escape_debug()));
                }
                Ok(record)
            })
            .collect::<Result<_>>()?;
        let mut named: Vec<&NamespaceId> = records.iter().map(|record| &record.namespace).collect();
        named.sort();
        named.dedup();
        for namespace in named {
            self.announce(RESTORE, namespace).await?;
        }
        let writes = records.into_iter().map(|record| self.restore_one(record));
        stream::iter(writes).buffered(AT_ONCE).try_collect().await
    }
}

impl RedisCache {
    fn addressed(&self, address: &str) -> Result<(NamespaceId, Tag)> {
        let namespace: NamespaceId = serde_json::from_str(address).map_err(|error| {
            Error::corrupt(
                SCAN,
                "the list of namespaces holds what was not written there; is the prefix shared?",
            )
            .caused_by(error)
        })?;
        let tag = self.tag(&namespace);
        Ok((namespace, tag))
    }

    async fn answers(
        &self,
        namespace: &NamespaceId,
        tag: &Tag,
        from: Vec<u8>,
        most: usize,
    ) -> Result<Part> {
        let call = self.script(&scripts::SCAN_ANSWERS, tag).bytes(from);
        let mut found = call.arg(most).arg(SCAN_BYTES).run(SCAN).await?.list()?;
        let rows = found.item()?.list()?;
        let mut names = Names::new();
        for pair in found.item()?.list()? {
            let mut pair = pair.list()?;
            let digest = digest(pair.item()?)?;
            names.insert(digest, Mark::read(SCAN, &pair.item()?.bytes()?)?.tag(SCAN)?);
        }
        let last = found.item()?.bytes()?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        for row in rows {
            let mut row = row.list()?;
            let fingerprint = digest(row.item()?)?;
            let (answer, buried) = (row.item()?.bytes()?, row.item()?.bytes()?);
            bytes += answer.len();
            let answer = (!answer.is_empty()).then(|| Stored::read(SCAN, answer)).transpose()?;
            let buried = (!buried.is_empty()).then(|| Mark::read(SCAN, &buried)).transpose()?;
            records.extend(answer_record(namespace, &names, fingerprint, answer, buried)?);
        }
        Ok(Part { records, bytes, last })
    }

    async fn generations(
        &self,
        namespace: &NamespaceId,
        tag: &Tag,
        from: Vec<u8>,
        most: usize,
    ) -> Result<Part> {
        let call = self.script(&scripts::SCAN_TAGS, tag).bytes(from);
        let mut found = call.arg(most).run(SCAN).await?.list()?;
        let rows = found.item()?.list()?;
        let last = found.item()?.bytes()?;
        let mut records = Vec::new();
        for row in rows {
            let mut row = row.list()?;
            row.item()?;
            let mark = Mark::read(SCAN, &row.item()?.bytes()?)?;
            let body = CacheBody::Tag { tag: mark.tag(SCAN)?, generation: mark.generation };
            let Mark { version, modified_at, .. } = mark;
            records.push(CacheRecord { namespace: namespace.clone(), version, modified_at, body });
        }
        Ok(Part { records, bytes: 0, last })
    }

    async fn restore_one(&self, record: CacheRecord) -> Result<Restored> {
        let CacheRecord { namespace, version, modified_at, body } = record;
        let tag = self.tag(&namespace);
        let call = match body {
            CacheBody::Tag { tag: of, generation } => self
                .script(&scripts::RESTORE_TAG, &tag)
                .bytes(of.digest(&namespace).0.to_vec())
                .arg(version)
                .arg(modified_at.as_micros())
                .bytes(generation.as_bytes().to_vec())
                .bytes(room_and_name(&of))
                .arg(micros(TOMBSTONE_TTL)),
            CacheBody::Entry { fingerprint, invalidated, answer } => {
                let ends = answer.as_ref().map_or(0, |answer| answer.expires_at.as_micros());
                let written = match answer {
                    None => Vec::new(),
                    Some(answer) => {
                        let mut bytes = form::head(version, modified_at, &answer);
                        let pairs = form::pairs(&namespace, &answer.generations);
                        let from = self.redis.config().compress_from();
                        bytes.extend(form::body(&pairs, &answer.meta, &answer.value, from)?);
                        bytes
                    }
                };
                let buried = invalidated.map(|(generation, until)| {
                    Mark::tombstone(until, version, modified_at, generation)
                });
                self.script(&scripts::RESTORE_ANSWER, &tag)
                    .bytes(fingerprint.0.to_vec())
                    .arg(version)
                    .arg(modified_at.as_micros())
                    .bytes(written)
                    .arg(ends)
                    .bytes(buried.unwrap_or_default())
            }
        };
        let written = call.run(RESTORE).await?.int()? == 1;
        Ok(if written { Restored::Written } else { Restored::Kept })
    }
}

fn digest(reply: Reply) -> Result<Digest> {
    Digest::from_slice(&reply.bytes()?).ok_or_else(|| {
        Error::corrupt(SCAN, "a digest in Redis has 32 bytes; is the prefix shared?")
    })
}

/// The record of a key; `None` where a tag of the answer is not known any more.
fn answer_record(
    namespace: &NamespaceId,
    names: &Names,
    fingerprint: Digest,
    answer: Option<Stored>,
    buried: Option<Mark>,
) -> Result<Option<CacheRecord>> {
    let stamp = match (&answer, &buried) {
        (Some(answer), _) => Some((answer.version, answer.modified_at)),
        (None, Some(buried)) => Some((buried.version, buried.modified_at)),
        (None, None) => None,
    };
    let Some((version, modified_at)) = stamp else { return Ok(None) };
    let invalidated: Option<(uuid::Uuid, Timestamp)> =
        buried.map(|buried| (buried.generation, buried.until));
    let answer = match answer {
        None => None,
        Some(answer) => {
            let generations: Option<Vec<_>> = answer
                .pairs
                .iter()
                .map(|(digest, generation)| Some((names.get(digest)?.clone(), *generation)))
                .collect();
            let Some(generations) = generations else { return Ok(None) };
            let Stored { stored_at, fresh_until, expires_at, .. } = answer;
            let (value, meta) = answer.unpack(SCAN)?;
            Some(EntryBody { value, meta, stored_at, fresh_until, expires_at, generations })
        }
    };
    let body = CacheBody::Entry { fingerprint, invalidated, answer };
    Ok(Some(CacheRecord { namespace: namespace.clone(), version, modified_at, body }))
}
