//! The records of cached answers.

use std::ops::Bound;

use async_trait::async_trait;
use hexmem_ports::{
    CacheBody, CacheRecord, Cursor, Digest, Error, Limit, NamespaceId, Page, Record, RecordKind,
    Records, Restored, Result, TagRef, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::MemoryCache;
use super::room::{Generation, Room, Slot};

/// Where a record stands in the order of a scan.
#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Place {
    Entry(Digest),
    Tag(TagRef),
}

fn after(room: &Room, place: Option<Place>) -> impl Iterator<Item = (Place, Source<'_>)> {
    let (entries, tags) = match place {
        None => (Bound::Unbounded, Bound::Unbounded),
        Some(Place::Entry(digest)) => (Bound::Excluded(digest), Bound::Unbounded),
        // No digest lies beyond the last one.
        Some(Place::Tag(tag)) => (Bound::Excluded(Digest([u8::MAX; 32])), Bound::Excluded(tag)),
    };
    let entries = room.entries.range((entries, Bound::Unbounded));
    let tags = room.tags.range((tags, Bound::Unbounded));
    entries
        .map(|(digest, slot)| (Place::Entry(*digest), Source::Entry(slot)))
        .chain(tags.map(|(tag, generation)| (Place::Tag(tag.clone()), Source::Tag(generation))))
}

enum Source<'a> {
    Entry(&'a Slot),
    Tag(&'a Generation),
}

fn record(namespace: &NamespaceId, place: &Place, source: &Source<'_>) -> Result<Record> {
    let (version, modified_at) = match source {
        Source::Entry(slot) => (slot.version, slot.modified_at),
        Source::Tag(generation) => (generation.version, generation.modified_at),
    };
    let body = match (place, source) {
        (Place::Entry(fingerprint), Source::Entry(slot)) => CacheBody::Entry {
            fingerprint: *fingerprint,
            invalidated: slot.invalidated,
            answer: slot.answer.clone(),
        },
        (Place::Tag(tag), Source::Tag(generation)) => {
            CacheBody::Tag { tag: tag.clone(), generation: generation.id }
        }
        _ => return Err(Error::corrupt("cache.scan", "an entry in the place of a tag")),
    };
    CacheRecord { namespace: namespace.clone(), version, modified_at, body }.into_record()
}

fn newer(record: &CacheRecord, held: Option<(u64, Timestamp)>) -> bool {
    held.is_none_or(|held| (record.version, record.modified_at) > held)
}

#[async_trait]
impl Records for MemoryCache {
    fn kind(&self) -> RecordKind {
        RecordKind::Cache
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let from: Option<(NamespaceId, Place)> = match cursor {
            None => None,
            Some(cursor) => Some(serde_json::from_str(&cursor.0).map_err(|error| {
                Error::invalid("cache.scan", "not a cursor that this store gave").caused_by(error)
            })?),
        };
        let (start, mut place) = match from {
            None => (Bound::Unbounded, None),
            Some((namespace, place)) => (Bound::Included(namespace), Some(place)),
        };
        let first = match &start {
            Bound::Included(namespace) => Some(namespace.clone()),
            _ => None,
        };
        let rooms = self.rooms();
        let (mut items, mut last) = (Vec::new(), None);
        for (namespace, room) in rooms.range((start, Bound::Unbounded)) {
            // The place counts in its own namespace only, which may be gone by now.
            let place = place.take().filter(|_| first.as_ref() == Some(namespace));
            for (place, source) in after(room, place) {
                if items.len() == limit.as_usize() {
                    return Ok(Page { items, next: cursor_of(last) });
                }
                items.push(record(namespace, &place, &source)?);
                last = Some((namespace, place));
            }
        }
        Ok(Page { items, next: None })
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let records: Vec<CacheRecord> =
            records.into_iter().map(CacheRecord::from_record).collect::<Result<_>>()?;
        let mut rooms = self.rooms();
        Ok(records
            .into_iter()
            .map(|record| {
                let room = rooms.entry(record.namespace.clone()).or_default();
                take(room, record)
            })
            .collect())
    }
}

fn cursor_of(last: Option<(&NamespaceId, Place)>) -> Option<Cursor> {
    serde_json::to_string(&last?).ok().map(Cursor)
}

fn take(room: &mut Room, record: CacheRecord) -> Restored {
    let (version, modified_at) = (record.version, record.modified_at);
    let held = match &record.body {
        CacheBody::Entry { fingerprint, .. } => {
            room.entries.get(fingerprint).map(|slot| (slot.version, slot.modified_at))
        }
        CacheBody::Tag { tag, .. } => room.tags.get(tag).map(|tag| (tag.version, tag.modified_at)),
    };
    if !newer(&record, held) {
        return Restored::Kept;
    }
    match record.body {
        CacheBody::Entry { fingerprint, invalidated, answer } => {
            room.entries.insert(fingerprint, Slot { version, modified_at, invalidated, answer });
        }
        CacheBody::Tag { tag, generation } => {
            room.tags.insert(tag, Generation { version, modified_at, id: generation });
        }
    }
    Restored::Written
}
