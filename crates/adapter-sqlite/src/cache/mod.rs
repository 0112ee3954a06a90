//! Cached answers in a file.

mod counts;
mod records;
mod rows;
mod sweep;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use async_trait::async_trait;
use hexmem_ports::rules::ticket_holds;
use hexmem_ports::{
    CacheCounts, CacheEntry, CacheKey, CachePut, CacheStats, CacheStore, CacheTags, Capabilities,
    Capability, Digest, Flight, FlightLease, Freshness, Invalidate, Limit, Lookup, NamespaceId,
    PutOutcome, REPLAY_WINDOW, Result, StatsRoom, TagRef, TagStats, Ticket, Timestamp, Ttl,
    check_cache_batch, check_counts, next_cache_version,
};
use uuid::Uuid;

use crate::{Database, WriteTx};
use rows::{Generations, generations, row, tags_of};

impl Database {
    /// The cache of this file. A lookup writes nothing but the generation of a tag that it is the first to
    /// name.
    pub fn cache(&self) -> SqliteCache {
        SqliteCache { database: self.clone(), swept_tags: Arc::default() }
    }
}

/// The cache of a file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqliteCache {
    database: Database,
    // Where the last sweep ended its walk over the tags.
    swept_tags: Arc<AtomicI64>,
}

/// A row of `get.sql`: invalidation, generations, stored, fresh until, expires, meta, value.
type Found = (
    Option<Vec<u8>>,
    String,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<Vec<u8>>,
);

#[async_trait]
impl CacheStore for SqliteCache {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([
            Capability::Durable,
            Capability::MultiProcess,
            Capability::ExactCounts,
            Capability::Records,
        ])
    }

    async fn get_many(
        &self,
        namespace: &NamespaceId,
        fingerprints: &[Digest],
        tags: &CacheTags,
    ) -> Result<Vec<Lookup>> {
        tags.check("cache.get")?;
        check_cache_batch("cache.get", fingerprints.len())?;
        if fingerprints.is_empty() {
            return Ok(Vec::new());
        }
        let refs = tags.refs();
        let asked = tags_of(namespace, &refs);
        let mut read = self.database.read("cache.get").await?;
        // Before anything is read: no ticket misses an invalidation since then.
        let now = read.now();
        let mut found: Vec<Found> = Vec::with_capacity(fingerprints.len());
        for fingerprint in fingerprints {
            let key = CacheKey { namespace: namespace.clone(), fingerprint: *fingerprint };
            let row = sqlx::query_as(include_str!("../sql/cache/get.sql"))
                .bind(key.digest().0.to_vec())
                .bind(now.as_micros())
                .bind(&asked)
                .fetch_one(read.connection())
                .await
                .map_err(|e| read.error(e))?;
            found.push(row);
        }
        drop(read);
        let mut made = Generations::new();
        let mut answers = Vec::with_capacity(found.len());
        for found in found {
            let mut known = generations("cache.get", &refs, &found.1)?;
            if known.len() < refs.len() {
                if made.is_empty() {
                    made.clone_from(&known);
                    self.make_generations(namespace, &refs, &mut made).await?;
                }
                for (tag, generation) in &made {
                    known.entry(tag.clone()).or_insert(*generation);
                }
            }
            answers.push(lookup(found, &refs, &known, now)?);
        }
        Ok(answers)
    }

    async fn put_many(
        &self,
        namespace: &NamespaceId,
        puts: Vec<(Digest, CachePut)>,
    ) -> Result<Vec<PutOutcome>> {
        check_cache_batch("cache.put", puts.len())?;
        puts.iter().try_for_each(|(_, put)| put.check())?;
        if puts.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.database.write("cache.put").await?;
        let mut outcomes = Vec::with_capacity(puts.len());
        for (fingerprint, put) in puts {
            let key = CacheKey { namespace: namespace.clone(), fingerprint };
            outcomes.push(store(&mut tx, &key, put).await?);
        }
        if outcomes.contains(&PutOutcome::Stored) {
            tx.commit().await?;
        }
        Ok(outcomes)
    }

    async fn invalidate(&self, namespace: &NamespaceId, target: Invalidate) -> Result<Option<u64>> {
        let mut tx = self.database.write("cache.invalidate").await?;
        let ended = match target {
            Invalidate::Key(fingerprint) => {
                let key = CacheKey { namespace: namespace.clone(), fingerprint };
                rows::end_key(&mut tx, &key).await?
            }
            Invalidate::Tag(tag) => rows::end_tag(&mut tx, namespace, &tag).await?,
        };
        tx.commit().await?;
        Ok(Some(ended))
    }

    async fn begin(&self, key: &CacheKey, visibility: Ttl) -> Result<Flight> {
        let digest = key.digest();
        let mut read = self.database.read("cache.begin").await?;
        let now = read.now();
        let held: Option<i64> = sqlx::query_scalar(include_str!("../sql/cache/flight_find.sql"))
            .bind(digest.0.as_slice())
            .bind(now.as_micros())
            .fetch_optional(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        drop(read);
        if let Some(until) = held {
            return Ok(Flight::Follower(rows::time("cache.begin", until)?.since(now)));
        }
        let mut tx = self.database.write("cache.begin").await?;
        let now = tx.now();
        let lease = FlightLease(Uuid::new_v4());
        let taken: Option<i64> = sqlx::query_scalar(include_str!("../sql/cache/flight_begin.sql"))
            .bind(digest.0.as_slice())
            .bind(lease.0.as_bytes().as_slice())
            .bind(now.plus(visibility.get()).as_micros())
            .bind(now.as_micros())
            .fetch_optional(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        if taken.is_some() {
            tx.commit().await?;
            return Ok(Flight::Leader(lease));
        }
        // Another process was faster, between the look and the lock.
        let until: i64 = sqlx::query_scalar(include_str!("../sql/cache/flight_find.sql"))
            .bind(digest.0.as_slice())
            .bind(now.as_micros())
            .fetch_one(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        Ok(Flight::Follower(rows::time("cache.begin", until)?.since(now)))
    }

    async fn release(&self, key: &CacheKey, lease: FlightLease) -> Result<bool> {
        let mut tx = self.database.write("cache.release").await?;
        let now = tx.now();
        let done = sqlx::query(include_str!("../sql/cache/flight_release.sql"))
            .bind(key.digest().0.as_slice())
            .bind(lease.0.as_bytes().as_slice())
            .bind(now.as_micros())
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn count(
        &self,
        namespace: &NamespaceId,
        counts: Vec<(TagRef, CacheCounts)>,
    ) -> Result<()> {
        check_counts(&counts)?;
        if counts.is_empty() {
            return Ok(());
        }
        self.add_counts(namespace, counts).await
    }

    async fn stats(&self, namespace: &NamespaceId) -> Result<CacheStats> {
        let mut read = self.database.read("cache.stats").await?;
        let now = read.now();
        let found: Option<(Option<String>, i64, i64)> =
            sqlx::query_as(include_str!("../sql/cache/stats.sql"))
                .bind(namespace.digest().0.as_slice())
                .bind(now.as_micros())
                .fetch_optional(read.connection())
                .await
                .map_err(|e| read.error(e))?;
        drop(read);
        let (counts, entries, bytes) = found.unwrap_or_default();
        Ok(CacheStats {
            counts: counts::read("cache.stats", counts)?,
            entries: rows::unsigned(entries),
            bytes: rows::unsigned(bytes),
            exact: true,
        })
    }

    async fn breakdown(&self, namespace: &NamespaceId, room: StatsRoom) -> Result<Vec<TagStats>> {
        self.names_counted(namespace, room).await
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        self.free(limit).await
    }
}

impl SqliteCache {
    /// Makes the generations that a lookup is the first to name: one write for the life of a tag.
    async fn make_generations(
        &self,
        namespace: &NamespaceId,
        refs: &[TagRef],
        known: &mut Generations,
    ) -> Result<()> {
        let mut tx = self.database.write("cache.get").await?;
        let room = rows::room(&mut tx, namespace).await?;
        let now = tx.now();
        for tag in refs {
            if known.contains_key(tag) {
                continue;
            }
            let made: Vec<u8> = sqlx::query_scalar(include_str!("../sql/cache/tag_make.sql"))
                .bind(tag.digest(namespace).0.as_slice())
                .bind(room)
                .bind(tag.kind())
                .bind(tag.name())
                .bind(Uuid::new_v4().as_bytes().as_slice())
                .bind(rows::signed(next_cache_version(None, now)))
                .bind(now.as_micros())
                .fetch_one(tx.connection())
                .await
                .map_err(|e| tx.error(e))?;
            known.insert(tag.clone(), row("cache.get", Uuid::from_slice(&made))?);
        }
        tx.commit().await
    }
}

/// What a row of `get.sql` means.
fn lookup(found: Found, refs: &[TagRef], known: &Generations, now: Timestamp) -> Result<Lookup> {
    let (invalidation, _, stored_at, fresh_until, expires_at, meta, value) = found;
    let ticket = Ticket {
        issued_at: now,
        key: row("cache.get", invalidation.map(|bytes| Uuid::from_slice(&bytes)).transpose())?,
        generations: refs.iter().filter_map(|t| Some((t.clone(), *known.get(t)?))).collect(),
    };
    let (Some(stored), Some(fresh), Some(expires), Some(meta), Some(value)) =
        (stored_at, fresh_until, expires_at, meta, value)
    else {
        return Ok(Lookup::Miss(ticket));
    };
    let fresh_until = rows::time("cache.get", fresh)?;
    let entry = CacheEntry {
        value,
        meta: row("cache.get", serde_json::from_str(&meta))?,
        stored_at: rows::time("cache.get", stored)?,
        freshness: if fresh_until > now { Freshness::Fresh } else { Freshness::Stale },
        fresh_for: fresh_until.since(now),
        remaining: rows::time("cache.get", expires)?.since(now),
    };
    Ok(Lookup::Hit(entry, ticket))
}

/// Stores an answer if its ticket holds.
async fn store(tx: &mut WriteTx, key: &CacheKey, put: CachePut) -> Result<PutOutcome> {
    let refs: Vec<_> = put.ticket.generations.iter().map(|(tag, _)| tag.clone()).collect();
    let now = tx.now();
    let held = rows::held(tx, key, &refs).await?;
    let current: Generations = held.generations;
    if !ticket_holds(&put.ticket, now, held.invalidation, |tag| current.get(tag).copied()) {
        return Ok(PutOutcome::Outdated);
    }
    let room = rows::room(tx, &key.namespace).await?;
    let (fresh_until, expires_at) = put.ends(now);
    let entry: i64 = sqlx::query_scalar(include_str!("../sql/cache/entry_set.sql"))
        .bind(key.digest().0.as_slice())
        .bind(room)
        .bind(key.fingerprint.0.as_slice())
        .bind(rows::signed(next_cache_version(held.version, now)))
        .bind(now.as_micros())
        .bind(fresh_until.as_micros())
        .bind(expires_at.as_micros())
        .bind(rows::size(&put.value))
        .bind(put.meta.to_string())
        .bind(put.value)
        .fetch_one(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    rows::unbind(tx, entry).await?;
    sqlx::query(include_str!("../sql/cache/entry_bind.sql"))
        .bind(entry)
        .bind(tags_of(&key.namespace, &refs))
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(PutOutcome::Stored)
}

/// Until when an invalidation of a key is remembered.
fn remembered_until(now: Timestamp) -> Timestamp {
    now.plus(REPLAY_WINDOW)
}
