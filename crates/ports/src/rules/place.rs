//! Where a scan of records goes on.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Cursor, Digest, Limit, Page, PointId, QueueEntry, Record, Result};

/// A place in the records of a cache, for stores that keep entries by the digest of their key and tags by theirs:
/// entries first, then tags, each in the order of the digests and after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachePlace {
    /// Among entries.
    Entry(Option<Digest>),
    /// Among tags.
    Tag(Option<Digest>),
}

impl CachePlace {
    /// The place of a cursor; without one, the first.
    pub fn read(operation: &'static str, cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else { return Ok(Self::Entry(None)) };
        let place = match cursor.0.split_at_checked(1) {
            Some(("e", "")) => Some(Self::Entry(None)),
            Some(("e", hex)) => Digest::from_hex(hex).map(|digest| Self::Entry(Some(digest))),
            Some(("t", "")) => Some(Self::Tag(None)),
            Some(("t", hex)) => Digest::from_hex(hex).map(|digest| Self::Tag(Some(digest))),
            _ => None,
        };
        place.ok_or_else(|| cursor.refused(operation))
    }

    /// As an opaque cursor.
    pub fn cursor(self) -> Cursor {
        let (kind, after) = match self {
            Self::Entry(after) => ("e", after),
            Self::Tag(after) => ("t", after),
        };
        Cursor(format!("{kind}{}", after.map(|digest| digest.to_hex()).unwrap_or_default()))
    }
}

/// A place in the records of collections, for stores that number them: each collection before its points, aliases last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VectorPlace {
    /// From the collection of this number on.
    From(i64),
    /// Within the points of a collection of this number and version: after an id, or from the first.
    Points(i64, i64, Option<PointId>),
    /// After the alias of this number.
    Aliases(i64),
}

impl VectorPlace {
    /// The place of a cursor; without one, the first.
    pub fn read(operation: &'static str, cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else { return Ok(Self::From(0)) };
        Self::parse(&cursor.0).ok_or_else(|| cursor.refused(operation))
    }

    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').take(5).collect();
        let number = |text: &str| text.parse().ok();
        Some(match *parts {
            ["c", id] => Self::From(number(id)?),
            ["p", id, version] => Self::Points(number(id)?, number(version)?, None),
            ["p", id, version, after] => {
                let after = PointId(Uuid::parse_str(after).ok()?);
                Self::Points(number(id)?, number(version)?, Some(after))
            }
            ["a", id] => Self::Aliases(number(id)?),
            _ => return None,
        })
    }

    /// As an opaque cursor.
    pub fn cursor(self) -> Cursor {
        Cursor(match self {
            Self::From(id) => format!("c:{id}"),
            Self::Points(id, version, None) => format!("p:{id}:{version}"),
            Self::Points(id, version, Some(after)) => format!("p:{id}:{version}:{after}"),
            Self::Aliases(id) => format!("a:{id}"),
        })
    }
}

/// What a record of a queue is about, in the order of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum QueueSection {
    /// Commands, live and purged.
    Commands,
    /// Keys of deduplication.
    Dedupe,
    /// The limits.
    Limits,
    /// Schedules, live and deleted.
    Schedules,
}

impl QueueSection {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Commands, Self::Dedupe, Self::Limits, Self::Schedules];
}

/// The place of a record among the records of queues. `Q` is what a store calls a queue; whether queues or sections come
/// first is the store's affair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuePlace<Q> {
    /// The section.
    pub section: QueueSection,
    /// The queue.
    pub queue: Q,
    /// The record's key, as the store orders a section by it.
    pub key: String,
}

impl<Q: Serialize + for<'de> Deserialize<'de>> QueuePlace<Q> {
    /// The place of a cursor; `None` without one.
    pub fn read(operation: &'static str, cursor: Option<&Cursor>) -> Result<Option<Self>> {
        let read = |cursor: &Cursor| {
            serde_json::from_str(&cursor.0).map_err(|_| cursor.refused(operation))
        };
        cursor.map(read).transpose()
    }

    /// The page of entries, of which one more tells that there is a next page.
    pub fn page(found: Vec<(Self, QueueEntry)>, limit: Limit) -> Result<Page<Record>> {
        let cursor = |place: &Self| Cursor(serde_json::to_string(place).unwrap_or_default());
        let Page { items, next } = Page::cut(found, limit, |(place, _)| cursor(place));
        let items = items.into_iter().map(|(_, entry)| entry.into_record());
        Ok(Page { items: items.collect::<Result<_>>()?, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, QueueId};

    const OP: &str = "op";

    #[test]
    fn places_come_back() {
        let (digest, id) = (Digest::of(b"x"), PointId(Uuid::from_u128(7)));
        for place in [
            CachePlace::Entry(None),
            CachePlace::Entry(Some(digest)),
            CachePlace::Tag(None),
            CachePlace::Tag(Some(digest)),
        ] {
            assert_eq!(CachePlace::read(OP, Some(&place.cursor())).unwrap(), place);
        }
        assert_eq!(CachePlace::read(OP, None).unwrap(), CachePlace::Entry(None));
        for place in [
            VectorPlace::From(9),
            VectorPlace::Points(1, -2, None),
            VectorPlace::Points(1, 2, Some(id)),
            VectorPlace::Aliases(3),
        ] {
            assert_eq!(VectorPlace::read(OP, Some(&place.cursor())).unwrap(), place);
        }
        assert_eq!(VectorPlace::read(OP, None).unwrap(), VectorPlace::From(0));
        let cursor = Cursor(r#"{"section":"Limits","queue":5,"key":"k"}"#.into());
        let place = QueuePlace { section: QueueSection::Limits, queue: 5, key: "k".into() };
        assert_eq!(QueuePlace::<i64>::read(OP, Some(&cursor)).unwrap(), Some(place));
        assert_eq!(QueuePlace::<i64>::read(OP, None).unwrap(), None);
        assert!(QueueSection::ALL.is_sorted());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "ex", "t0", "é", "foo", "c:", "c:x", "p:1", "p:1:2:x", "a:1:2", "{}"] {
            let cursor = Cursor(text.into());
            let cursor = Some(&cursor);
            for error in [
                CachePlace::read(OP, cursor).unwrap_err(),
                VectorPlace::read(OP, cursor).unwrap_err(),
                QueuePlace::<i64>::read(OP, cursor).unwrap_err(),
                QueuePlace::<QueueId>::read(OP, cursor).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Invalid);
                assert!(error.to_string().contains("cursor: "), "{error}");
            }
        }
    }
}
