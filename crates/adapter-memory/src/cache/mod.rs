//! Cached answers in memory.

mod counts;
mod records;
mod room;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hexmem_ports::{
    CacheCounts, CacheKey, CachePut, CacheStats, CacheStore, CacheTags, Capabilities, Capability,
    Clock, Digest, Flight, FlightLease, Invalidate, Limit, Lookup, NamespaceId, PutOutcome, Result,
    StatsRoom, TagRef, TagStats, Ttl, check_cache_batch, check_counts,
};

use uuid::Uuid;

use room::Room;

/// Cached answers in memory: cheap to clone, clones are the same cache. What an invalidation ends is freed
/// at once; what expires is freed by [`CacheStore::sweep`].
#[derive(Clone)]
pub struct MemoryCache {
    clock: Arc<dyn Clock>,
    rooms: Arc<Mutex<BTreeMap<NamespaceId, Room>>>,
}

impl MemoryCache {
    /// An empty cache.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, rooms: Arc::default() }
    }

    fn rooms(&self) -> MutexGuard<'_, BTreeMap<NamespaceId, Room>> {
        // Nothing that holds the lock can panic halfway through a change.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on one namespace, which is made where there is none.
    fn in_room<T>(&self, namespace: &NamespaceId, work: impl FnOnce(&mut Room) -> T) -> T {
        let mut rooms = self.rooms();
        if let Some(room) = rooms.get_mut(namespace) {
            return work(room);
        }
        work(rooms.entry(namespace.clone()).or_default())
    }
}

#[async_trait]
impl CacheStore for MemoryCache {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([Capability::ExactCounts, Capability::Records])
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
        Ok(self.in_room(namespace, |room| {
            let now = self.clock.now();
            let generations = room.generations(tags, now);
            fingerprints.iter().map(|key| room.lookup(key, now, &generations)).collect()
        }))
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
        Ok(self.in_room(namespace, |room| {
            let now = self.clock.now();
            puts.into_iter().map(|(key, put)| room.store(key, put, now)).collect()
        }))
    }

    async fn invalidate(&self, namespace: &NamespaceId, target: Invalidate) -> Result<Option<u64>> {
        Ok(self.in_room(namespace, |room| {
            let now = self.clock.now();
            let ended = match target {
                Invalidate::Key(fingerprint) => room.forget(fingerprint, now),
                Invalidate::Tag(tag) => {
                    let (before, _) = room.held(now);
                    room.renew(tag, now);
                    room.free(now, usize::MAX);
                    before - room.held(now).0
                }
            };
            Some(ended)
        }))
    }

    async fn begin(&self, key: &CacheKey, visibility: Ttl) -> Result<Flight> {
        Ok(self.in_room(&key.namespace, |room| {
            let now = self.clock.now();
            match room.flights.get(&key.fingerprint) {
                Some((_, until)) if *until > now => Flight::Follower(until.since(now)),
                _ => {
                    let lease = FlightLease(Uuid::new_v4());
                    room.flights.insert(key.fingerprint, (lease, now.plus(visibility.get())));
                    Flight::Leader(lease)
                }
            }
        }))
    }

    async fn release(&self, key: &CacheKey, lease: FlightLease) -> Result<bool> {
        Ok(self.in_room(&key.namespace, |room| {
            let now = self.clock.now();
            let current = room.flights.get(&key.fingerprint);
            let mine = current.is_some_and(|(held, until)| *held == lease && *until > now);
            if mine {
                room.flights.remove(&key.fingerprint);
            }
            mine
        }))
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
        self.in_room(namespace, |room| {
            for (tag, counts) in counts {
                room.count(tag, counts);
            }
        });
        Ok(())
    }

    async fn stats(&self, namespace: &NamespaceId) -> Result<CacheStats> {
        let rooms = self.rooms();
        let Some(room) = rooms.get(namespace) else {
            return Ok(CacheStats { exact: true, ..CacheStats::default() });
        };
        Ok(room.stats(&TagRef::Namespace, self.clock.now()))
    }

    async fn breakdown(&self, namespace: &NamespaceId, of: StatsRoom) -> Result<Vec<TagStats>> {
        let rooms = self.rooms();
        let Some(room) = rooms.get(namespace) else { return Ok(Vec::new()) };
        Ok(room.breakdown(of, self.clock.now()))
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        let mut rooms = self.rooms();
        let now = self.clock.now();
        let mut left = limit.as_usize();
        for room in rooms.values_mut() {
            left -= room.free(now, left);
            room.tidy(now);
        }
        rooms.retain(|_, room| !room.is_empty());
        Ok(u64::try_from(limit.as_usize() - left).unwrap_or(u64::MAX))
    }
}
