//! Cached answers in a file.

mod counters;
mod records;
mod rows;
mod sweep;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use async_trait::async_trait;
use hexmem_ports::rules::ticket_holds;
use hexmem_ports::{
    CacheEntry, CacheKey, CachePut, CacheStats, CacheStore, CacheTags, Capabilities, Capability,
    Flight, FlightLease, Freshness, Invalidate, Limit, Lookup, NamespaceId, PutOutcome,
    REPLAY_WINDOW, Result, Tally, Ticket, Timestamp, Ttl, next_cache_version,
};
use uuid::Uuid;

use crate::Database;
use counters::Counters;
use rows::{Generations, generations, row, tags_of};

impl Database {
    /// The cache of this file. A lookup writes nothing but the generation of a tag that it is the first to
    /// name; hits and misses are counted in the handle, which its clones share, and written out by
    /// [`CacheStore::flush`], by [`CacheStore::sweep`] and with every 1,000th lookup.
    pub fn cache(&self) -> SqliteCache {
        let shared = Shared { counters: Counters::default(), swept_tags: AtomicI64::new(0) };
        SqliteCache { database: self.clone(), shared: Arc::new(shared) }
    }
}

/// The cache of a file. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct SqliteCache {
    database: Database,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    counters: Counters,
    // Where the last sweep ended its walk over the tags.
    swept_tags: AtomicI64,
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

    async fn get(&self, key: &CacheKey, tags: &CacheTags, tally: Tally) -> Result<Lookup> {
        tags.check("cache.get")?;
        let refs = tags.refs();
        let mut read = self.database.read("cache.get").await?;
        let now = read.now();
        let found: Found = sqlx::query_as(include_str!("../sql/cache/get.sql"))
            .bind(key.digest().0.as_slice())
            .bind(now.as_micros())
            .bind(tags_of(&key.namespace, &refs))
            .fetch_one(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        drop(read);
        let (invalidation, known, stored_at, fresh_until, expires_at, meta, value) = found;
        let mut known = generations("cache.get", &refs, &known)?;
        if known.len() < refs.len() {
            self.make_generations(&key.namespace, &refs, &mut known).await?;
        }
        let ticket = Ticket {
            // Before anything was read: an invalidation since then is not missed.
            issued_at: now,
            key: row("cache.get", invalidation.map(|bytes| Uuid::from_slice(&bytes)).transpose())?,
            generations: refs.iter().filter_map(|t| Some((t.clone(), *known.get(t)?))).collect(),
        };
        let entry = match (stored_at, fresh_until, expires_at, meta, value) {
            (Some(stored), Some(fresh), Some(expires), Some(meta), Some(value)) => {
                let fresh_until = rows::time("cache.get", fresh)?;
                Some(CacheEntry {
                    value,
                    meta: row("cache.get", serde_json::from_str(&meta))?,
                    stored_at: rows::time("cache.get", stored)?,
                    freshness: if fresh_until > now { Freshness::Fresh } else { Freshness::Stale },
                    remaining: rows::time("cache.get", expires)?.since(now),
                })
            }
            _ => None,
        };
        if tally == Tally::Count && self.shared.counters.count(&key.namespace, entry.is_some()) {
            // Counting never fails a lookup: what could not be written stays counted.
            let _ = self.flush().await;
        }
        Ok(match entry {
            Some(entry) => Lookup::Hit(entry, ticket),
            None => Lookup::Miss(ticket),
        })
    }

    async fn put(&self, key: &CacheKey, put: CachePut) -> Result<PutOutcome> {
        put.check()?;
        let refs: Vec<_> = put.ticket.generations.iter().map(|(tag, _)| tag.clone()).collect();
        let mut tx = self.database.write("cache.put").await?;
        let now = tx.now();
        let held = rows::held(&mut tx, key, &refs).await?;
        let current: Generations = held.generations;
        if !ticket_holds(&put.ticket, now, held.invalidation, |tag| current.get(tag).copied()) {
            return Ok(PutOutcome::Outdated);
        }
        let room = rows::room(&mut tx, &key.namespace).await?;
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
        rows::unbind(&mut tx, entry).await?;
        sqlx::query(include_str!("../sql/cache/entry_bind.sql"))
            .bind(entry)
            .bind(tags_of(&key.namespace, &refs))
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        tx.commit().await?;
        Ok(PutOutcome::Stored)
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

    async fn flush(&self) -> Result<()> {
        let pending = self.shared.counters.take();
        if pending.is_empty() {
            return Ok(());
        }
        let written = self.write_counts(&pending).await;
        if let Err(error) = &written {
            // A commit of unknown outcome is not repeated: too few is better than twice.
            if error.effectiveness() == hexmem_ports::Effectiveness::NotApplied {
                self.shared.counters.put_back(pending);
            }
        }
        written
    }

    async fn stats(&self, namespace: &NamespaceId) -> Result<CacheStats> {
        let mut read = self.database.read("cache.stats").await?;
        let now = read.now();
        let found: Option<(i64, i64, i64, i64)> =
            sqlx::query_as(include_str!("../sql/cache/stats.sql"))
                .bind(namespace.digest().0.as_slice())
                .bind(now.as_micros())
                .fetch_optional(read.connection())
                .await
                .map_err(|e| read.error(e))?;
        drop(read);
        let (hits, misses, entries, bytes) = found.unwrap_or_default();
        let (more_hits, more_misses) = self.shared.counters.pending(namespace);
        Ok(CacheStats {
            hits: rows::unsigned(hits) + more_hits,
            misses: rows::unsigned(misses) + more_misses,
            entries: rows::unsigned(entries),
            bytes: rows::unsigned(bytes),
            exact: true,
        })
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        self.flush().await?;
        self.free(limit).await
    }
}

impl SqliteCache {
    /// Makes the generations that a lookup is the first to name: one write for the life of a tag.
    async fn make_generations(
        &self,
        namespace: &NamespaceId,
        refs: &[hexmem_ports::TagRef],
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

    async fn write_counts(&self, pending: &counters::Pending) -> Result<()> {
        let mut tx = self.database.write("cache.flush").await?;
        for (namespace, (hits, misses)) in pending {
            let room = rows::room(&mut tx, namespace).await?;
            sqlx::query(include_str!("../sql/cache/room_count.sql"))
                .bind(room)
                .bind(rows::signed(*hits))
                .bind(rows::signed(*misses))
                .execute(tx.connection())
                .await
                .map_err(|e| tx.error(e))?;
        }
        tx.commit().await
    }
}

/// Until when an invalidation of a key is remembered.
fn remembered_until(now: Timestamp) -> Timestamp {
    now.plus(REPLAY_WINDOW)
}
