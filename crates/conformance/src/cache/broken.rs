//! A cache that breaks one clause.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hexmem_ports::{
    CacheEntry, CacheKey, CachePut, CacheStats, CacheStore, CacheTags, Capabilities, Digest,
    Flight, FlightLease, Invalidate, Limit, Lookup, NamespaceId, PAGE_LIMIT, PutOutcome, Result,
    TAG_LIMIT, TagRef, Tally, Tenant, Ttl,
};
use serde_json::Value;
use uuid::Uuid;

use super::Caches;
use crate::{name, records};

const CLAUSES: [&str; 21] = [
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
    "CACHE-INV-1",
    "CACHE-INV-2",
    "CACHE-INV-3",
    "CACHE-INV-4",
    "CACHE-FLIGHT-1",
    "CACHE-FLIGHT-2",
    "CACHE-RELEASE-1",
    "CACHE-STATS-1",
    "CACHE-STATS-2",
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
    lookups: u64,
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

    /// The key as the double addresses it.
    fn addressed(&self, key: &CacheKey) -> CacheKey {
        let mut key = key.clone();
        if self.breaks("CACHE-GET-3") {
            key.namespace = NamespaceId::new(Tenant(name("everybody")), name("everything"));
        }
        key
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

    async fn get(&self, key: &CacheKey, tags: &CacheTags, tally: Tally) -> Result<Lookup> {
        let key = &self.addressed(key);
        let (mut tags, mut tally) = (tags.clone(), tally);
        if self.breaks("CACHE-GET-5") {
            tags.tags.truncate(TAG_LIMIT);
        }
        if self.breaks("CACHE-GET-7") {
            tally = Tally::Count;
        }
        let lookups = self.memory(|memory| {
            memory.lookups += 1;
            memory.lookups
        });
        if self.breaks("CACHE-STATS-1") && lookups.is_multiple_of(7) {
            tally = Tally::Silent;
        }
        match self.inner.get(key, &tags, tally).await? {
            Lookup::Hit(entry, ticket) => {
                let entry = self.found(key, entry, &ticket).await;
                Ok(Lookup::Hit(entry, ticket))
            }
            Lookup::Miss(ticket) => {
                let known = self.memory(|memory| memory.seen.get(&key.digest()).cloned());
                let unbound = self.breaks("CACHE-GET-6") && tags.tags.is_empty();
                match known.filter(|_| unbound || self.breaks("CACHE-GET-2")) {
                    Some(entry) => Ok(Lookup::Hit(entry, ticket)),
                    None => Ok(Lookup::Miss(ticket)),
                }
            }
        }
    }

    async fn put(&self, key: &CacheKey, put: CachePut) -> Result<PutOutcome> {
        let key = &self.addressed(key);
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

    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }

    async fn stats(&self, namespace: &NamespaceId) -> Result<CacheStats> {
        let stats = self.inner.stats(namespace).await?;
        let entries = stats.entries + u64::from(self.breaks("CACHE-STATS-2"));
        Ok(CacheStats { entries, ..stats })
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        let limit = if self.breaks("CACHE-SWEEP-1") { Limit::new(PAGE_LIMIT)? } else { limit };
        self.inner.sweep(limit).await
    }
}
