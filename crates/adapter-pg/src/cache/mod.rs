//! Cached answers.

mod records;
mod rows;
mod write;

use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::{
    CacheCounts, CacheEntry, CacheKey, CachePut, CacheStats, CacheStore, CacheTags, Capabilities,
    Capability, Digest, Flight, FlightLease, Freshness, Invalidate, Limit, Lookup, Name,
    NamespaceId, PutOutcome, REPLAY_WINDOW, Result, StatsRoom, TagRef, TagStats, Ticket, Ttl,
    check_cache_batch, check_counts,
};
use uuid::Uuid;

use crate::Postgres;
use crate::sessions::{BATCH, breathe};
use crate::value::{At, Hash, micros};
use rows::{corrupt, signed, unsigned};

/// Cached answers of a schema. A lookup writes nothing but the generation of a tag that it is the first to name.
#[derive(Debug, Clone)]
pub struct PgCache(Postgres);

impl Postgres {
    /// The cached answers of this schema.
    pub fn cache(&self) -> PgCache {
        PgCache(self.clone())
    }
}

/// Longer than any statement runs: what a put that is under way may still compare with stays for so long.
const MARGIN: Duration = Duration::from_secs(2 * 3_600);

/// An invalidation that ends more answers than this does not count them.
const COUNTED: i64 = 10_000;

/// The most tags that a batch of a sweep looks at.
const TAGS: i64 = 100;

/// A row of `get.sql`: place, now, issued, generations, invalidation, stored, fresh until, expires, meta, value.
type Found = (
    i64,
    At,
    At,
    Option<Vec<Option<Uuid>>>,
    Option<Uuid>,
    Option<At>,
    Option<At>,
    Option<At>,
    Option<String>,
    Option<Vec<u8>>,
);

#[async_trait]
impl CacheStore for PgCache {
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
        const OPERATION: &str = "cache.get";
        tags.check(OPERATION)?;
        check_cache_batch(OPERATION, fingerprints.len())?;
        if fingerprints.is_empty() {
            return Ok(Vec::new());
        }
        let refs = tags.refs();
        let key = |fingerprint: &Digest| {
            let key = CacheKey { namespace: namespace.clone(), fingerprint: *fingerprint };
            Hash(key.digest())
        };
        let found: Vec<Found> = self
            .0
            .read(OPERATION, include_str!("../sql/cache/get.sql"))
            .bind(fingerprints.iter().map(key).collect::<Vec<_>>())
            .bind(refs.iter().map(|tag| Hash(tag.digest(namespace))).collect::<Vec<_>>())
            .bind(refs.iter().map(rows::text).collect::<Vec<_>>())
            .fetch_all()
            .await?;
        let known = found.iter().find_map(|row| row.3.clone()).unwrap_or_default();
        let known = if known.len() == refs.len() && known.iter().all(Option::is_some) {
            refs.into_iter().zip(known.into_iter().flatten()).collect()
        } else {
            self.make_generations(namespace, refs, known).await?
        };
        let mut answers: Vec<Option<Lookup>> = vec![None; fingerprints.len()];
        for row in found {
            // Places count from 1.
            let slot = usize::try_from(row.0 - 1).ok().and_then(|place| answers.get_mut(place));
            if let Some(slot) = slot {
                *slot = Some(lookup(OPERATION, row, known.clone())?);
            }
        }
        answers.into_iter().map(|answer| answer.ok_or_else(|| corrupt(OPERATION))).collect()
    }

    async fn put_many(
        &self,
        namespace: &NamespaceId,
        puts: Vec<(Digest, CachePut)>,
    ) -> Result<Vec<PutOutcome>> {
        check_cache_batch("cache.put", puts.len())?;
        puts.iter().try_for_each(|(_, put)| put.check())?;
        self.store(namespace, puts).await
    }

    /// Answers `None` where more than 10,000 answers end: to count them would take longer than to end them.
    async fn invalidate(&self, namespace: &NamespaceId, target: Invalidate) -> Result<Option<u64>> {
        const OPERATION: &str = "cache.invalidate";
        let room = Hash(namespace.digest());
        let (tenant, name) = (namespace.tenant.as_str(), namespace.name.as_str());
        let (ended,): (Option<i64>,) = match target {
            Invalidate::Key(fingerprint) => {
                let key = CacheKey { namespace: namespace.clone(), fingerprint };
                self.0
                    .write(OPERATION, include_str!("../sql/cache/end_key.sql"))
                    .bind(Hash(key.digest()))
                    .bind(room)
                    .bind(tenant)
                    .bind(name)
                    .bind(Hash(fingerprint))
                    .bind(Uuid::new_v4())
                    .bind(micros(REPLAY_WINDOW))
                    .fetch_one()
                    .await?
            }
            Invalidate::Tag(tag) => {
                self.0
                    .write(OPERATION, include_str!("../sql/cache/end_tag.sql"))
                    .bind(Hash(tag.digest(namespace)))
                    .bind(room)
                    .bind(tenant)
                    .bind(name)
                    .bind(rows::text(&tag))
                    .bind(Uuid::new_v4())
                    .bind(COUNTED)
                    .fetch_one()
                    .await?
            }
        };
        Ok(ended.map(unsigned))
    }

    async fn begin(&self, key: &CacheKey, visibility: Ttl) -> Result<Flight> {
        self.take_flight(key, visibility).await
    }

    async fn release(&self, key: &CacheKey, lease: FlightLease) -> Result<bool> {
        let released = self
            .0
            .write("cache.release", include_str!("../sql/cache/release.sql"))
            .bind(Hash(key.digest()))
            .bind(lease.0)
            .execute()
            .await?;
        Ok(released > 0)
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
        self.add_counts(namespace, &counts).await
    }

    async fn stats(&self, namespace: &NamespaceId) -> Result<CacheStats> {
        const OPERATION: &str = "cache.stats";
        let (counts, entries, bytes): (Option<String>, i64, i64) = self
            .0
            .read_lagging(OPERATION, include_str!("../sql/cache/stats.sql"))
            .bind(Hash(namespace.digest()))
            .bind(Hash(TagRef::Namespace.digest(namespace)))
            .fetch_one()
            .await?;
        stats(OPERATION, counts.as_deref(), entries, bytes)
    }

    async fn breakdown(&self, namespace: &NamespaceId, room: StatsRoom) -> Result<Vec<TagStats>> {
        const OPERATION: &str = "cache.breakdown";
        let rows: Vec<(String, String, i64, i64)> = self
            .0
            .read_lagging(OPERATION, include_str!("../sql/cache/breakdown.sql"))
            .bind(Hash(namespace.digest()))
            .bind(Hash(TagRef::Namespace.digest(namespace)))
            .bind(room.kind())
            .fetch_all()
            .await?;
        let each = |(name, counts, entries, bytes): (String, String, i64, i64)| {
            let name = match name.as_str() {
                hexmem_ports::ABSENT => None,
                _ => Some(Name::new(name).map_err(|e| corrupt(OPERATION).caused_by(e))?),
            };
            Ok(TagStats { name, stats: stats(OPERATION, Some(&counts), entries, bytes)? })
        };
        rows.into_iter().map(each).collect()
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        let mut left = i64::from(limit.get());
        while left > 0 {
            let batch = left.min(BATCH);
            let start = [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat();
            let (freed,): (i64,) = self
                .0
                .write("cache.sweep", include_str!("../sql/cache/sweep.sql"))
                .bind(batch)
                .bind(micros(REPLAY_WINDOW))
                .bind(micros(MARGIN))
                .bind(start)
                .bind(TAGS)
                .fetch_one()
                .await?;
            left -= freed;
            if freed < batch {
                break;
            }
            breathe().await;
        }
        Ok(unsigned(i64::from(limit.get()) - left))
    }
}

fn stats(
    operation: &'static str,
    counts: Option<&str>,
    entries: i64,
    bytes: i64,
) -> Result<CacheStats> {
    let counts = counts.map(serde_json::from_str).transpose();
    let counts = counts.map_err(|error| corrupt(operation).caused_by(error))?.unwrap_or_default();
    Ok(CacheStats { counts, entries: unsigned(entries), bytes: unsigned(bytes), exact: true })
}

/// What a row of `get.sql` means.
fn lookup(operation: &'static str, row: Found, generations: Vec<(TagRef, Uuid)>) -> Result<Lookup> {
    let (_, At(now), At(issued_at), _, key, stored_at, fresh_until, expires_at, meta, value) = row;
    let ticket = Ticket { issued_at, key, generations };
    let (Some(At(stored_at)), Some(At(fresh_until)), Some(At(expires_at)), Some(meta), Some(value)) =
        (stored_at, fresh_until, expires_at, meta, value)
    else {
        return Ok(Lookup::Miss(ticket));
    };
    let entry = CacheEntry {
        value,
        meta: serde_json::from_str(&meta).map_err(|error| corrupt(operation).caused_by(error))?,
        stored_at,
        freshness: if fresh_until > now { Freshness::Fresh } else { Freshness::Stale },
        fresh_for: fresh_until.since(now),
        remaining: expires_at.since(now),
    };
    Ok(Lookup::Hit(entry, ticket))
}

impl PgCache {
    /// Makes the generations that a lookup is the first to name: one write for the life of a tag.
    async fn make_generations(
        &self,
        namespace: &NamespaceId,
        refs: Vec<TagRef>,
        known: Vec<Option<Uuid>>,
    ) -> Result<Vec<(TagRef, Uuid)>> {
        const OPERATION: &str = "cache.get";
        let known = known.into_iter().chain(std::iter::repeat(None));
        let mut pairs: Vec<(TagRef, Option<Uuid>)> = refs.into_iter().zip(known).collect();
        let missing = || pairs.iter().filter(|(_, known)| known.is_none()).map(|(tag, _)| tag);
        let made: Vec<(Hash, Uuid)> = self
            .0
            .write(OPERATION, include_str!("../sql/cache/tags_make.sql"))
            .bind(Hash(namespace.digest()))
            .bind(namespace.tenant.as_str())
            .bind(namespace.name.as_str())
            .bind(missing().map(|tag| Hash(tag.digest(namespace))).collect::<Vec<_>>())
            .bind(missing().map(rows::text).collect::<Vec<_>>())
            .bind(missing().map(|_| Uuid::new_v4()).collect::<Vec<_>>())
            .fetch_all()
            .await?;
        for (digest, generation) in made {
            let tag = pairs.iter_mut().find(|(tag, _)| tag.digest(namespace) == digest.0);
            if let Some((_, known)) = tag {
                *known = Some(generation);
            }
        }
        let whole = |(tag, known): (TagRef, Option<Uuid>)| {
            known.map(|generation| (tag, generation)).ok_or_else(|| corrupt(OPERATION))
        };
        pairs.into_iter().map(whole).collect()
    }

    async fn add_counts(
        &self,
        namespace: &NamespaceId,
        counts: &[(TagRef, CacheCounts)],
    ) -> Result<()> {
        let text = |counts: &CacheCounts| {
            let named = CacheCounts::NAMES.into_iter().zip(counts.values());
            let held = named.filter(|(_, count)| *count > 0);
            let held = held.map(|(name, count)| format!("\"{name}\":{count}"));
            format!("{{{}}}", held.collect::<Vec<_>>().join(","))
        };
        self.0
            .write("cache.count", include_str!("../sql/cache/count.sql"))
            .bind(Hash(namespace.digest()))
            .bind(counts.iter().map(|(tag, _)| tag.kind()).collect::<Vec<_>>())
            .bind(counts.iter().map(|(tag, _)| tag.name()).collect::<Vec<_>>())
            .bind(counts.iter().map(|(_, counts)| text(counts)).collect::<Vec<_>>())
            .bind(signed(u64::try_from(hexmem_ports::COUNTED_NAMES).unwrap_or(u64::MAX)))
            .execute()
            .await
            .map(|_| ())
    }
}
