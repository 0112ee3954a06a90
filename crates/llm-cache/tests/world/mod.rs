//! A store, a clock that is moved, and a model that counts how often it is asked.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part")]

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, MemoryCache};
use hexmem_llm_cache::{Answer, LlmCache, Policy, Question};
use hexmem_ports::{
    CacheCounts, CacheKey, CachePut, CacheStats, CacheStore, CacheTags, Capabilities, Digest,
    Error, ErrorKind, Flight, FlightLease, Invalidate, Limit, Lookup, Name, NamespaceId,
    PutOutcome, StatsRoom, TagRef, TagStats, Tenant, Ttl,
};

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<dyn CacheStore>,
    computed: AtomicU32,
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn secs(seconds: u64) -> Ttl {
    Ttl::secs(seconds).unwrap()
}

pub(crate) fn question(text: &str) -> Question {
    Question::new(name("p"), name("m")).message("user", text)
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let clock = Arc::new(ManualClock::default());
        let store = Arc::new(MemoryCache::new(clock.clone()));
        Arc::new(Self { clock, store, computed: AtomicU32::new(0) })
    }

    /// With a store that fails each call.
    pub(crate) fn down(kind: ErrorKind) -> Arc<Self> {
        let clock = Arc::new(ManualClock::default());
        Arc::new(Self { clock, store: Arc::new(Down(kind)), computed: AtomicU32::new(0) })
    }

    /// Fresh for 100 s, stale for 50 s more, flights of 60 s.
    pub(crate) fn policy() -> Policy {
        Policy { jitter_percent: 0, flight: secs(60), ..Policy::new(secs(100)).unwrap() }
            .stale(secs(50))
    }

    /// A process of its own on the same store.
    pub(crate) fn process(&self) -> LlmCache {
        self.process_with(Self::policy())
    }

    pub(crate) fn process_with(&self, policy: Policy) -> LlmCache {
        let namespace = NamespaceId::new(Tenant(name("t")), name("n"));
        LlmCache::new(self.store.clone(), self.clock.clone(), namespace, policy).unwrap()
    }

    /// A process of its own for another tenant or namespace.
    pub(crate) fn process_of(&self, tenant: &str, namespace: &str) -> LlmCache {
        let namespace = NamespaceId::new(Tenant(name(tenant)), name(namespace));
        LlmCache::new(self.store.clone(), self.clock.clone(), namespace, Self::policy()).unwrap()
    }

    pub(crate) async fn answer(&self) -> Result<Answer, Infallible> {
        tokio::task::yield_now().await;
        let n = self.computed.fetch_add(1, Ordering::SeqCst);
        Ok(Answer::new(format!("answer {n}")))
    }

    pub(crate) fn computed(&self) -> u32 {
        self.computed.load(Ordering::SeqCst)
    }

    pub(crate) async fn ask(&self, cache: &LlmCache, text: &str) -> String {
        let served =
            cache.get_or_compute(&question(text), &[name("a")], || self.answer()).await.unwrap();
        served.answer.text().unwrap().to_owned()
    }

    /// Moves the clock on until the work is done; panics when that takes more than `seconds`.
    pub(crate) async fn within<T>(&self, seconds: u64, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        for _ in 0..seconds * 20 {
            for _ in 0..20 {
                tokio::select! {
                    biased;
                    done = &mut work => return done,
                    () = tokio::task::yield_now() => {}
                }
            }
            self.clock.advance(Duration::from_millis(50));
        }
        panic!("not done within {seconds} s of its clock");
    }
}

/// A store that does not answer.
struct Down(ErrorKind);

impl Down {
    fn fail<T>(&self) -> hexmem_ports::Result<T> {
        Err(Error::new(self.0, "cache.get", "down"))
    }
}

#[async_trait::async_trait]
impl CacheStore for Down {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    async fn get_many(
        &self,
        _: &NamespaceId,
        _: &[Digest],
        _: &CacheTags,
    ) -> hexmem_ports::Result<Vec<Lookup>> {
        self.fail()
    }
    async fn put_many(
        &self,
        _: &NamespaceId,
        _: Vec<(Digest, CachePut)>,
    ) -> hexmem_ports::Result<Vec<PutOutcome>> {
        self.fail()
    }
    async fn invalidate(
        &self,
        _: &NamespaceId,
        _: Invalidate,
    ) -> hexmem_ports::Result<Option<u64>> {
        self.fail()
    }
    async fn begin(&self, _: &CacheKey, _: Ttl) -> hexmem_ports::Result<Flight> {
        self.fail()
    }
    async fn release(&self, _: &CacheKey, _: FlightLease) -> hexmem_ports::Result<bool> {
        self.fail()
    }
    async fn count(
        &self,
        _: &NamespaceId,
        _: Vec<(TagRef, CacheCounts)>,
    ) -> hexmem_ports::Result<()> {
        self.fail()
    }
    async fn breakdown(
        &self,
        _: &NamespaceId,
        _: StatsRoom,
    ) -> hexmem_ports::Result<Vec<TagStats>> {
        self.fail()
    }
    async fn stats(&self, _: &NamespaceId) -> hexmem_ports::Result<CacheStats> {
        self.fail()
    }
    async fn sweep(&self, _: Limit) -> hexmem_ports::Result<u64> {
        self.fail()
    }
}
