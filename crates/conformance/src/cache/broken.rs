//! A cache that breaks one clause.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hexmem_ports::{
    CACHE_BATCH_LIMIT, COUNTED_NAMES, CacheCounts, CacheEntry, CacheKey, CachePut, CacheStats,
    CacheStore, CacheStoreExt as _, CacheTags, Capabilities, Digest, Flight, FlightLease,
    Invalidate, Limit, Lookup, NamespaceId, PAGE_LIMIT, PutOutcome, Result, StatsRoom, TAG_LIMIT,
    TagRef, TagStats, Tenant, Ttl,
};
use serde_json::Value;
use uuid::Uuid;

use super::Caches;
use crate::{name, records};

const CLAUSES: [&str; 26] = [
    "CACHE-GET-1",
    "CACHE-GET-2",
    "CACHE-GET-3",
    "CACHE-GET-4",
    "CACHE-GET-5",
    "CACHE-GET-6",
    "CACHE-GET-7",
    "CACHE-PUT-1",
    "CACHE-PUT-2",
    "CACHE-PUT-3",
    "CACHE-PUT-4",
    "CACHE-PUT-5",
    "CACHE-INV-1",
    "CACHE-INV-2",
    "CACHE-INV-3",
    "CACHE-INV-4",
    "CACHE-FLIGHT-1",
    "CACHE-FLIGHT-2",
    "CACHE-RELEASE-1",
    "CACHE-COUNT-1",
    "CACHE-COUNT-2",
    "CACHE-COUNT-3",
    "CACHE-STATS-1",
    "CACHE-STATS-2",
    "CACHE-BREAK-1",
    "CACHE-SWEEP-1",
];

/// The rig with stores that break `clause`. Panics where no double breaks it.
pub fn broken(clause: &str, rig: Caches) -> Caches {
    if let Some(rig) = records::broken(clause, rig.clone()) {
        return rig;
    }
    let clause = CLAUSES.into_iter().find(|known| *known == clause);
    let clause =
        clause.unwrap_or_else(|| panic!("no double breaks this clause: add it to CLAUSES"));
    // Both handles break in the same way, with one memory.
    let memory = Arc::new(Mutex::new(Memory::default()));
    rig.wrapped(|inner| -> Arc<dyn CacheStore> {
        Arc::new(Broken { inner, clause, memory: Arc::clone(&memory) })
    })
}

#[derive(Default)]
struct Memory {
    seen: HashMap<Digest, CacheEntry>,
    puts: HashMap<Digest, CachePut>,
    namespaces: Vec<NamespaceId>,
    begun: BTreeSet<Digest>,
    leases: HashMap<Digest, FlightLease>,
}

struct Broken {
    inner: Arc<dyn CacheStore>,
    clause: &'static str,
    memory: Arc<Mutex<Memory>>,
}

impl Broken {
    fn breaks(&self, clause: &str) -> bool {
        self.clause == clause
    }

    fn memory<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        work(&mut self.memory.lock().unwrap())
    }

    /// The namespace as the double addresses it.
    fn addressed(&self, namespace: &NamespaceId) -> NamespaceId {
        if self.breaks("CACHE-GET-3") {
            return NamespaceId::new(Tenant(name("everybody")), name("everything"));
        }
        namespace.clone()
    }

    async fn put_one(&self, key: &CacheKey, put: CachePut) -> Result<PutOutcome> {
        let again = self.memory(|memory| {
            memory.namespaces.push(key.namespace.clone());
            memory.puts.insert(key.digest(), put.clone()).is_some()
        });
        if self.breaks("CACHE-PUT-1") && again {
            return Ok(PutOutcome::Stored);
        }
        let outcome = self.inner.put(key, put.clone()).await;
        match outcome {
            Ok(PutOutcome::Outdated)
                if ["CACHE-PUT-2", "CACHE-PUT-3", "CACHE-INV-2"].contains(&self.clause) =>
            {
                // Stores what was computed before the invalidation, with a ticket from after it.
                let ticket = super::ticket(&self.inner, key, &CacheTags::default()).await;
                self.inner.put(key, CachePut { ticket, ..put }).await
            }
            Err(error) if self.breaks("CACHE-PUT-4") => {
                let ticket = super::ticket(&self.inner, key, &CacheTags::default()).await;
                let cut = CachePut { value: vec![], meta: Value::Null, ticket, ..put };
                self.inner.put(key, cut).await?;
                Err(error)
            }
            outcome => outcome,
        }
    }

    async fn found(
        &self,
        key: &CacheKey,
        mut entry: CacheEntry,
        ticket: &hexmem_ports::Ticket,
    ) -> CacheEntry {
        if self.breaks("CACHE-GET-1") {
            entry.value.retain(|byte| *byte != 0);
        }
        if self.breaks("CACHE-GET-4") {
            // Reading writes it again, with its whole time to live.
            let put = self.memory(|memory| memory.puts.get(&key.digest()).cloned());
            if let Some(put) = put {
                let put = CachePut { ticket: ticket.clone(), ..put };
                self.inner.put(key, put).await.unwrap();
            }
        }
        self.memory(|memory| memory.seen.insert(key.digest(), entry.clone()));
        entry
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl CacheStore for Broken {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn get_many(
        &self,
        namespace: &NamespaceId,
        fingerprints: &[Digest],
        tags: &CacheTags,
    ) -> Result<Vec<Lookup>> {
        let mut tags = tags.clone();
        let mut asked = fingerprints.to_vec();
        if self.breaks("CACHE-GET-5") {
            tags.tags.truncate(TAG_LIMIT);
            asked.truncate(CACHE_BATCH_LIMIT);
        }
        if self.breaks("CACHE-GET-7") {
            asked.sort();
        }
        let namespace = &self.addressed(namespace);
        if self.breaks("CACHE-STATS-1") {
            let misses = u64::try_from(asked.len()).unwrap();
            let counts = CacheCounts { misses, ..CacheCounts::default() };
            self.inner.count(namespace, vec![(TagRef::Namespace, counts)]).await?;
        }
        let found = self.inner.get_many(namespace, &asked, &tags).await?;
        let mut answers = Vec::with_capacity(found.len());
        for (fingerprint, found) in asked.into_iter().zip(found) {
            let key = CacheKey { namespace: namespace.clone(), fingerprint };
            answers.push(match found {
                Lookup::Hit(entry, ticket) => {
                    let entry = self.found(&key, entry, &ticket).await;
                    Lookup::Hit(entry, ticket)
                }
                Lookup::Miss(ticket) => {
                    let known = self.memory(|memory| memory.seen.get(&key.digest()).cloned());
                    let unbound = self.breaks("CACHE-GET-6") && tags.tags.is_empty();
                    match known.filter(|_| unbound || self.breaks("CACHE-GET-2")) {
                        Some(entry) => Lookup::Hit(entry, ticket),
                        None => Lookup::Miss(ticket),
                    }
                }
            });
        }
        Ok(answers)
    }

    async fn put_many(
        &self,
        namespace: &NamespaceId,
        puts: Vec<(Digest, CachePut)>,
    ) -> Result<Vec<PutOutcome>> {
        let namespace = &self.addressed(namespace);
        let single = puts.len() == 1;
        if self.breaks("CACHE-PUT-5") && !single {
            // The first that is outdated ends the list.
            let mut outcomes = Vec::new();
            for put in puts {
                if outcomes.last() != Some(&PutOutcome::Outdated) {
                    outcomes.extend(self.inner.put_many(namespace, vec![put]).await?);
                }
            }
            return Ok(outcomes);
        }
        let Some((fingerprint, put)) = puts.first().filter(|_| single).cloned() else {
            return self.inner.put_many(namespace, puts).await;
        };
        let key = &CacheKey { namespace: namespace.clone(), fingerprint };
        self.put_one(key, put).await.map(|outcome| vec![outcome])
    }

    async fn invalidate(&self, namespace: &NamespaceId, target: Invalidate) -> Result<Option<u64>> {
        if self.breaks("CACHE-INV-1") {
            return self.inner.invalidate(namespace, Invalidate::Tag(TagRef::Namespace)).await;
        }
        if self.breaks("CACHE-INV-3") {
            for all in self.memory(|memory| memory.namespaces.clone()) {
                self.inner.invalidate(&all, target.clone()).await?;
            }
        }
        let ended = self.inner.invalidate(namespace, target).await?;
        Ok(if self.breaks("CACHE-INV-4") { ended.map(|count| count + 1) } else { ended })
    }

    async fn begin(&self, key: &CacheKey, visibility: Ttl) -> Result<Flight> {
        let first = self.memory(|memory| memory.begun.insert(key.digest()));
        if self.breaks("CACHE-FLIGHT-2") && !first {
            return Ok(Flight::Follower(visibility.get()));
        }
        let flight = self.inner.begin(key, visibility).await?;
        match flight {
            Flight::Leader(lease) => {
                self.memory(|memory| memory.leases.insert(key.digest(), lease));
                Ok(flight)
            }
            Flight::Follower(_) if self.breaks("CACHE-FLIGHT-1") => {
                Ok(Flight::Leader(FlightLease(Uuid::new_v4())))
            }
            Flight::Follower(_) => Ok(flight),
        }
    }

    async fn release(&self, key: &CacheKey, lease: FlightLease) -> Result<bool> {
        let current = self.memory(|memory| memory.leases.get(&key.digest()).copied());
        let lease = current.filter(|_| self.breaks("CACHE-RELEASE-1")).unwrap_or(lease);
        self.inner.release(key, lease).await
    }

    async fn count(
        &self,
        namespace: &NamespaceId,
        counts: Vec<(TagRef, CacheCounts)>,
    ) -> Result<()> {
        let mut counts = counts;
        if self.breaks("CACHE-COUNT-1") && counts.len() == 3 {
            // One under the other's name.
            counts[2].0 = TagRef::Model(name("m"));
        }
        if self.breaks("CACHE-COUNT-3")
            && let Err(error) = self.inner.count(namespace, counts.clone()).await
        {
            counts.truncate(1);
            self.inner.count(namespace, counts).await?;
            return Err(error);
        }
        self.inner.count(namespace, counts).await
    }

    async fn stats(&self, namespace: &NamespaceId) -> Result<CacheStats> {
        let stats = self.inner.stats(namespace).await?;
        let entries = stats.entries + u64::from(self.breaks("CACHE-STATS-2"));
        Ok(CacheStats { entries, ..stats })
    }

    async fn breakdown(&self, namespace: &NamespaceId, room: StatsRoom) -> Result<Vec<TagStats>> {
        let mut told = self.inner.breakdown(namespace, room).await?;
        if self.breaks("CACHE-BREAK-1") {
            told.reverse();
        }
        if self.breaks("CACHE-COUNT-2") {
            // What has no room of its own is lost.
            told.truncate(COUNTED_NAMES);
        }
        Ok(told)
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        let limit = if self.breaks("CACHE-SWEEP-1") { Limit::new(PAGE_LIMIT)? } else { limit };
        self.inner.sweep(limit).await
    }
}
