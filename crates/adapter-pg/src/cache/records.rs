//! The records of cached answers and of the generations of tags.

use std::collections::HashSet;

use async_trait::async_trait;
use hexmem_ports::rules::CachePlace;
use hexmem_ports::{
    CacheBody, CacheKey, CacheRecord, Cursor, Digest, EntryBody, Limit, NamespaceId, Page, Record,
    RecordKind, Records, Restored, Result, TagRef, Timestamp,
};
use uuid::Uuid;

use super::PgCache;
use super::rows::{self, Bindings, EntryRow, TagRow, signed};
use crate::Tx;
use crate::value::{At, Hash};

const SCAN: &str = "cache.scan";

/// A page ends after the answer that crosses this many bytes.
const PAGE_BYTES: i64 = 16 * 1024 * 1024;

/// What a scan goes on after, as statements take it; no digest lies before the empty one.
fn bytes(after: Option<Digest>) -> Vec<u8> {
    after.map(|digest| digest.0.to_vec()).unwrap_or_default()
}

#[async_trait]
impl Records for PgCache {
    fn kind(&self) -> RecordKind {
        RecordKind::Cache
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        match CachePlace::read(SCAN, cursor.as_ref())? {
            CachePlace::Entry(after) => {
                let rows: Vec<EntryRow> = self
                    .0
                    .read(SCAN, include_str!("../sql/cache/scan_entries.sql"))
                    .bind(bytes(after))
                    .bind(i64::from(limit.get()))
                    .bind(PAGE_BYTES)
                    .fetch_all()
                    .await?;
                let last = rows.last().filter(|row| row.more).map(|row| row.digest);
                let next = last.map_or(CachePlace::Tag(None), |last| CachePlace::Entry(Some(last)));
                let items = rows.into_iter().map(|row| row.record.into_record());
                Ok(Page { items: items.collect::<Result<_>>()?, next: Some(next.cursor()) })
            }
            CachePlace::Tag(after) => {
                let rows: Vec<TagRow> = self
                    .0
                    .read(SCAN, include_str!("../sql/cache/scan_tags.sql"))
                    .bind(bytes(after))
                    .bind(i64::from(limit.get()))
                    .fetch_all()
                    .await?;
                let full = rows.len() == limit.as_usize();
                let next = rows.last().filter(|_| full);
                let next = next.map(|row| CachePlace::Tag(Some(row.digest)).cursor());
                let items = rows.into_iter().map(|row| row.record.into_record());
                Ok(Page { items: items.collect::<Result<_>>()?, next })
            }
        }
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let records: Vec<CacheRecord> =
            records.into_iter().map(CacheRecord::from_record).collect::<Result<_>>()?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.0.begin("cache.restore").await?;
        let restored = restore(&mut tx, records).await;
        tx.finish(restored).await
    }
}

/// An entity to be restored: where its answer goes, and what it is.
struct Given<T> {
    place: usize,
    digest: Digest,
    namespace: NamespaceId,
    version: u64,
    modified_at: Timestamp,
    body: T,
}

/// Fingerprint, invalidation, answer.
type Entry = (Digest, Option<(Uuid, Timestamp)>, Option<EntryBody>);

async fn restore(tx: &mut Tx, records: Vec<CacheRecord>) -> Result<Vec<Restored>> {
    let mut answers = vec![Restored::Kept; records.len()];
    let (mut entries, mut tags) = (Vec::new(), Vec::new());
    for (place, record) in records.into_iter().enumerate() {
        let CacheRecord { namespace, version, modified_at, body } = record;
        match body {
            CacheBody::Entry { fingerprint, invalidated, answer } => {
                let digest = CacheKey { namespace: namespace.clone(), fingerprint }.digest();
                let body = (fingerprint, invalidated, answer);
                entries.push(Given { place, digest, namespace, version, modified_at, body });
            }
            CacheBody::Tag { tag, generation } => {
                let digest = tag.digest(&namespace);
                let body = (tag, generation);
                tags.push(Given { place, digest, namespace, version, modified_at, body });
            }
        }
    }
    // By rounds: a statement takes an entity once, so that one given twice waits for the next round.
    while !entries.is_empty() {
        let (round, later) = apart(entries);
        note(&round, restore_entries(tx, &round).await?, &mut answers);
        entries = later;
    }
    while !tags.is_empty() {
        let (round, later) = apart(tags);
        note(&round, restore_tags(tx, &round).await?, &mut answers);
        tags = later;
    }
    Ok(answers)
}

/// The first of each digest, and the others.
fn apart<T>(given: Vec<Given<T>>) -> (Vec<Given<T>>, Vec<Given<T>>) {
    let mut seen = HashSet::new();
    given.into_iter().partition(|given| seen.insert(given.digest))
}

fn note<T>(round: &[Given<T>], written: Vec<(Hash,)>, answers: &mut [Restored]) {
    let written: HashSet<Digest> = written.into_iter().map(|(digest,)| digest.0).collect();
    for given in round.iter().filter(|given| written.contains(&given.digest)) {
        if let Some(answer) = answers.get_mut(given.place) {
            *answer = Restored::Written;
        }
    }
}

/// One argument: a value of each entity.
macro_rules! each {
    ($round:ident, |$given:ident| $value:expr) => {
        $round.iter().map(|$given| $value).collect::<Vec<_>>()
    };
}

async fn restore_entries(tx: &mut Tx, round: &[Given<Entry>]) -> Result<Vec<(Hash,)>> {
    let mut bindings = Bindings::default();
    let bounds: Vec<(i32, i32)> = round
        .iter()
        .map(|given| {
            let answer = given.body.2.as_ref();
            let place = bindings.place(answer.map_or(&[], |answer| &answer.generations));
            bindings.bounds(place)
        })
        .collect();
    fn end(given: &Given<Entry>, of: fn(&EntryBody) -> Timestamp) -> Option<At> {
        given.body.2.as_ref().map(of).map(At)
    }
    tx.query(include_str!("../sql/cache/restore_entries.sql"))
        .bind(each!(round, |given| Hash(given.digest)))
        .bind(each!(round, |given| Hash(given.namespace.digest())))
        .bind(each!(round, |given| given.namespace.tenant.as_str()))
        .bind(each!(round, |given| given.namespace.name.as_str()))
        .bind(each!(round, |given| Hash(given.body.0)))
        .bind(each!(round, |given| signed(given.version)))
        .bind(each!(round, |given| At(given.modified_at)))
        .bind(each!(round, |given| given.body.1.map(|(id, _)| id)))
        .bind(each!(round, |given| given.body.1.map(|(_, until)| At(until))))
        .bind(each!(round, |given| end(given, |answer| answer.stored_at)))
        .bind(each!(round, |given| end(given, |answer| answer.fresh_until)))
        .bind(each!(round, |given| end(given, |answer| answer.expires_at)))
        .bind(each!(round, |given| given.body.2.as_ref().map(|answer| answer.meta.to_string())))
        .bind(each!(round, |given| given.body.2.as_ref().map(|answer| answer.value.as_slice())))
        .bind(bounds.iter().map(|(first, _)| *first).collect::<Vec<_>>())
        .bind(bounds.iter().map(|(_, last)| *last).collect::<Vec<_>>())
        .bind(bindings.tags)
        .bind(bindings.generations)
        .fetch_all()
        .await
}

async fn restore_tags(tx: &mut Tx, round: &[Given<(TagRef, Uuid)>]) -> Result<Vec<(Hash,)>> {
    tx.query(include_str!("../sql/cache/restore_tags.sql"))
        .bind(each!(round, |given| Hash(given.digest)))
        .bind(each!(round, |given| Hash(given.namespace.digest())))
        .bind(each!(round, |given| given.namespace.tenant.as_str()))
        .bind(each!(round, |given| given.namespace.name.as_str()))
        .bind(each!(round, |given| rows::text(&given.body.0)))
        .bind(each!(round, |given| given.body.1))
        .bind(each!(round, |given| signed(given.version)))
        .bind(each!(round, |given| At(given.modified_at)))
        .fetch_all()
        .await
}
