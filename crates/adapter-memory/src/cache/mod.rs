//! Cached answers in memory.

mod records;
mod room;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hexmem_ports::rules::ticket_holds;
use hexmem_ports::{
    CacheEntry, CacheKey, CachePut, CacheStats, CacheStore, CacheTags, Capabilities, Capability,
    Clock, EntryBody, Flight, FlightLease, Freshness, Invalidate, Limit, Lookup, NamespaceId,
    PutOutcome, Result, Tally, Ticket, Ttl, next_cache_version,
};

use uuid::Uuid;

use room::{Room, Slot};

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

    async fn get(&self, key: &CacheKey, tags: &CacheTags, tally: Tally) -> Result<Lookup> {
        tags.check("cache.get")?;
        Ok(self.in_room(&key.namespace, |room| {
            let now = self.clock.now();
            let generations = room.generations(tags, now);
            let slot = room.entries.get(&key.fingerprint);
            let found = slot.and_then(|slot| slot.answer.as_ref());
            let found =
                found.filter(|answer| room.servable(answer, now)).map(|answer| CacheEntry {
                    value: answer.value.clone(),
                    meta: answer.meta.clone(),
                    stored_at: answer.stored_at,
                    freshness: if answer.fresh_until > now {
                        Freshness::Fresh
                    } else {
                        Freshness::Stale
                    },
                    remaining: answer.expires_at.since(now),
                });
            let ticket = Ticket {
                issued_at: now,
                key: slot.and_then(|slot| slot.invalidation(now)),
                generations,
            };
            if tally == Tally::Count {
                *(if found.is_some() { &mut room.hits } else { &mut room.misses }) += 1;
            }
            match found {
                Some(entry) => Lookup::Hit(entry, ticket),
                None => Lookup::Miss(ticket),
            }
        }))
    }

    async fn put(&self, key: &CacheKey, put: CachePut) -> Result<PutOutcome> {
        put.check()?;
        Ok(self.in_room(&key.namespace, |room| {
            let now = self.clock.now();
            let before = room.entries.get(&key.fingerprint);
            let invalidation = before.and_then(|slot| slot.invalidation(now));
            if !ticket_holds(&put.ticket, now, invalidation, |tag| room.generation(tag)) {
                return PutOutcome::Outdated;
            }
            let (fresh_until, expires_at) = put.ends(now);
            let slot = Slot {
                version: next_cache_version(before.map(|slot| slot.version), now),
                modified_at: now,
                invalidated: before.and_then(|slot| slot.invalidated),
                answer: Some(EntryBody {
                    value: put.value,
                    meta: put.meta,
                    stored_at: now,
                    fresh_until,
                    expires_at,
                    generations: put.ticket.generations,
                }),
            };
            room.entries.insert(key.fingerprint, slot);
            PutOutcome::Stored
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

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn stats(&self, namespace: &NamespaceId) -> Result<CacheStats> {
        let rooms = self.rooms();
        let Some(room) = rooms.get(namespace) else {
            return Ok(CacheStats { exact: true, ..CacheStats::default() });
        };
        let (entries, bytes) = room.held(self.clock.now());
        Ok(CacheStats { hits: room.hits, misses: room.misses, entries, bytes, exact: true })
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
