//! How tags are written, and rows that have more columns than a tuple.

use hexmem_ports::{
    CacheBody, CacheRecord, Digest, EntryBody, Error, Name, NamespaceId, TagRef, Tenant, Ticket,
};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use crate::value::{At, Hash};

/// A tag as the columns have it: `namespace`, `model:NAME` or `tag:NAME`.
pub(super) fn text(tag: &TagRef) -> String {
    match tag {
        TagRef::Namespace => tag.kind().to_owned(),
        _ => format!("{}:{}", tag.kind(), tag.name()),
    }
}

/// Reads what [`text`] wrote.
pub(super) fn tag(text: &str) -> Option<TagRef> {
    let (kind, name) = text.split_once(':').unwrap_or((text, hexmem_ports::ABSENT));
    TagRef::from_parts(kind, name)
}

pub(super) fn corrupt(operation: &'static str) -> Error {
    Error::corrupt(operation, "a row of the cache is not what was written; restore a backup")
}

/// Sizes, counts and versions as columns hold them.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Tags with their generations, sorted, each pair once: the one form in which answers and lookups have them.
pub(super) fn sorted(pairs: &[(TagRef, Uuid)]) -> Vec<(TagRef, Uuid)> {
    let mut pairs = pairs.to_vec();
    pairs.sort();
    pairs.dedup();
    pairs
}

/// Many lists of tags and generations as two flat ones, and where each begins and ends in them, from 1 on: an argument
/// cannot be an array of arrays of different lengths. Equal lists stand there once.
#[derive(Default)]
pub(super) struct Bindings {
    pub(super) firsts: Vec<i32>,
    pub(super) lasts: Vec<i32>,
    pub(super) tags: Vec<String>,
    pub(super) generations: Vec<Uuid>,
    places: std::collections::HashMap<Vec<(TagRef, Uuid)>, i64>,
}

impl Bindings {
    /// The place of a list, from 1 on.
    pub(super) fn place(&mut self, pairs: &[(TagRef, Uuid)]) -> i64 {
        let pairs = sorted(pairs);
        if let Some(place) = self.places.get(&pairs) {
            return *place;
        }
        let end = |tags: &Vec<String>| i32::try_from(tags.len()).unwrap_or(i32::MAX);
        self.firsts.push(end(&self.tags).saturating_add(1));
        self.tags.extend(pairs.iter().map(|(tag, _)| text(tag)));
        self.generations.extend(pairs.iter().map(|(_, generation)| *generation));
        self.lasts.push(end(&self.tags));
        let place = i64::try_from(self.firsts.len()).unwrap_or(i64::MAX);
        self.places.insert(pairs, place);
        place
    }

    /// Where the list of a place begins and ends.
    pub(super) fn bounds(&self, place: i64) -> (i32, i32) {
        let index = usize::try_from(place - 1).unwrap_or(usize::MAX);
        let at = |ends: &[i32]| ends.get(index).copied().unwrap_or(0);
        (at(&self.firsts), at(&self.lasts))
    }
}

/// Whether a ticket names its namespace: without it none holds.
pub(super) fn names_its_namespace(ticket: &Ticket) -> bool {
    ticket.generations.iter().any(|(tag, _)| *tag == TagRef::Namespace)
}

/// An entry of a scan.
pub(super) struct EntryRow {
    pub(super) record: CacheRecord,
    pub(super) digest: Digest,
    /// Whether entries follow this one.
    pub(super) more: bool,
}

fn damaged() -> sqlx::Error {
    sqlx::Error::Decode("no tag, or tags without generations".into())
}

fn namespace(row: &PgRow) -> sqlx::Result<NamespaceId> {
    let name = |column: usize| -> sqlx::Result<Name> {
        Name::new(row.try_get::<String, _>(column)?).map_err(|e| sqlx::Error::Decode(e.into()))
    };
    Ok(NamespaceId::new(Tenant(name(0)?), name(1)?))
}

impl FromRow<'_, PgRow> for EntryRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let at = |column: usize| -> sqlx::Result<_> {
            Ok(row.try_get::<Option<At>, _>(column)?.map(|At(time)| time))
        };
        let tags: Option<Vec<String>> = row.try_get(7)?;
        let generations: Option<Vec<Uuid>> = row.try_get(8)?;
        let answer = match (at(9)?, at(10)?, at(11)?, tags, generations) {
            (Some(stored_at), Some(fresh_until), Some(expires_at), Some(tags), Some(ids)) => {
                if tags.len() != ids.len() {
                    return Err(damaged());
                }
                let tags = tags.iter().map(|text| tag(text).ok_or_else(damaged));
                let tags = tags.collect::<sqlx::Result<Vec<_>>>()?;
                let meta: &str = row.try_get(12)?;
                Some(EntryBody {
                    value: row.try_get(13)?,
                    meta: serde_json::from_str(meta).map_err(|e| sqlx::Error::Decode(e.into()))?,
                    stored_at,
                    fresh_until,
                    expires_at,
                    generations: tags.into_iter().zip(ids).collect(),
                })
            }
            _ => None,
        };
        let invalidation: Option<Uuid> = row.try_get(5)?;
        let body = CacheBody::Entry {
            fingerprint: row.try_get::<Hash, _>(2)?.0,
            invalidated: invalidation.zip(at(6)?),
            answer,
        };
        let record = CacheRecord {
            namespace: namespace(row)?,
            version: unsigned(row.try_get(3)?),
            modified_at: row.try_get::<At, _>(4)?.0,
            body,
        };
        Ok(Self { record, digest: row.try_get::<Hash, _>(14)?.0, more: row.try_get(15)? })
    }
}

/// A tag of a scan.
pub(super) struct TagRow {
    pub(super) record: CacheRecord,
    pub(super) digest: Digest,
}

impl FromRow<'_, PgRow> for TagRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let body = CacheBody::Tag {
            tag: tag(row.try_get(2)?).ok_or_else(damaged)?,
            generation: row.try_get(3)?,
        };
        let record = CacheRecord {
            namespace: namespace(row)?,
            version: unsigned(row.try_get(4)?),
            modified_at: row.try_get::<At, _>(5)?.0,
            body,
        };
        Ok(Self { record, digest: row.try_get::<Hash, _>(6)?.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag_of(name: &str) -> TagRef {
        TagRef::Tag(Name::new(name).unwrap())
    }

    #[test]
    fn tags_read_as_written() {
        let model = TagRef::Model(Name::new("a:b").unwrap());
        for each in [TagRef::Namespace, tag_of("namespace"), tag_of(":"), tag_of("tag:x"), model] {
            assert_eq!(tag(&text(&each)), Some(each));
        }
        for none in ["", "tag", "tag:", "model:", "namespace:x", "other:x"] {
            assert_eq!(tag(none), None, "{none}");
        }
    }

    #[test]
    fn equal_lists_stand_there_once() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut bindings = Bindings::default();
        let first = [(tag_of("b"), two), (TagRef::Namespace, one), (tag_of("b"), two)];
        assert_eq!(bindings.place(&first), 1);
        assert_eq!(bindings.place(&[(TagRef::Namespace, one)]), 2);
        assert_eq!(bindings.place(&[(TagRef::Namespace, one), (tag_of("b"), two)]), 1);
        assert_eq!(bindings.tags, ["namespace", "tag:b", "namespace"]);
        assert_eq!((bindings.bounds(1), bindings.bounds(2)), ((1, 2), (3, 3)));
        assert_eq!(bindings.place(&[]), 3);
        assert_eq!(bindings.bounds(3), (4, 3), "an empty slice");
    }
}
