//! What a case runs on.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::{
    Capabilities, Capability, Clock, Name, Outbox, Records, Tenant, Timestamp, Ttl,
};
use uuid::Uuid;

/// The time of the store under test, in the hands of the case.
#[async_trait]
pub trait TestClock: Send + Sync {
    /// The least span that cases count in. Long enough that a few calls take well under one unit.
    fn unit(&self) -> Duration;

    /// The store's present.
    async fn now(&self) -> Timestamp;

    /// Lets `units` pass on the store's clock.
    async fn advance(&self, units: u32);
}

/// A clock that stands still until `advance` moves it; a unit is one second. For stores that stamp with
/// the caller's clock.
pub fn manual_time(
    clock: Arc<dyn Clock>,
    advance: impl Fn(Duration) + Send + Sync + 'static,
) -> Arc<dyn TestClock> {
    Arc::new(ManualTime { clock, advance })
}

struct ManualTime<F> {
    clock: Arc<dyn Clock>,
    advance: F,
}

#[async_trait]
impl<F: Fn(Duration) + Send + Sync> TestClock for ManualTime<F> {
    fn unit(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, units: u32) {
        (self.advance)(self.unit() * units);
    }
}

/// A clock that nobody can move: letting time pass is waiting. For the machine's clock, and for servers that
/// stamp with their own.
pub fn real_time(clock: Arc<dyn Clock>, unit: Duration) -> Arc<dyn TestClock> {
    Arc::new(RealTime { clock, unit })
}

struct RealTime {
    clock: Arc<dyn Clock>,
    unit: Duration,
}

#[async_trait]
impl TestClock for RealTime {
    fn unit(&self) -> Duration {
        self.unit
    }

    async fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, units: u32) {
        self.clock.sleep(self.unit * units).await;
    }
}

/// A fresh store and what belongs to it.
pub struct Rig<P: ?Sized> {
    /// The adapter's short name (`memory`, `sqlite`, ...), as the table prints it.
    pub adapter: &'static str,
    /// The store.
    pub store: Arc<P>,
    /// Another handle on the same data, as a second process would have (the same one where there is none).
    pub other: Arc<P>,
    /// An empty store apart from the first, on the same clock, with its records: for restore cases.
    pub twin: Option<(Arc<P>, Arc<dyn Records>)>,
    /// What the store declares.
    pub declares: Capabilities,
    /// The store's time.
    pub clock: Arc<dyn TestClock>,
    /// A tenant that no other case uses.
    pub tenant: Tenant,
    /// The outbox that effects of this store go to.
    pub outbox: Option<Arc<dyn Outbox>>,
    /// The store's records.
    pub records: Option<Arc<dyn Records>>,
    /// Whatever must live as long as the store (a temporary folder).
    pub guard: Option<Arc<dyn Any + Send + Sync>>,
}

impl<P: ?Sized> Clone for Rig<P> {
    fn clone(&self) -> Self {
        Self {
            adapter: self.adapter,
            store: Arc::clone(&self.store),
            other: Arc::clone(&self.other),
            twin: self.twin.clone(),
            declares: self.declares.clone(),
            clock: Arc::clone(&self.clock),
            tenant: self.tenant.clone(),
            outbox: self.outbox.clone(),
            records: self.records.clone(),
            guard: self.guard.clone(),
        }
    }
}

impl<P: ?Sized> Rig<P> {
    /// A rig with one handle and nothing else.
    pub fn new(
        adapter: &'static str,
        store: Arc<P>,
        declares: Capabilities,
        clock: Arc<dyn TestClock>,
    ) -> Self {
        Self {
            adapter,
            other: Arc::clone(&store),
            store,
            twin: None,
            declares,
            clock,
            tenant: Tenant(Name::new(format!("t-{}", Uuid::new_v4())).unwrap()),
            outbox: None,
            records: None,
            guard: None,
        }
    }

    /// The same rig with both handles wrapped.
    #[must_use]
    pub fn wrapped<Q: ?Sized>(self, wrap: impl Fn(Arc<P>) -> Arc<Q>) -> Rig<Q> {
        Rig {
            adapter: self.adapter,
            store: wrap(self.store),
            other: wrap(self.other),
            twin: self.twin.map(|(store, records)| (wrap(store), records)),
            declares: self.declares,
            clock: self.clock,
            tenant: self.tenant,
            outbox: self.outbox,
            records: self.records,
            guard: self.guard,
        }
    }

    /// Whether the store declares `capability`.
    pub fn has(&self, capability: Capability) -> bool {
        self.declares.has(capability)
    }

    /// A time to live of `units`.
    pub fn ttl(&self, units: u32) -> Ttl {
        Ttl::new(self.clock.unit() * units).unwrap()
    }

    /// A span of `units`.
    pub fn span(&self, units: u32) -> Duration {
        self.clock.unit() * units
    }

    /// Lets time pass until `work` is done, at most `units`; panics when it is not done by then.
    pub async fn within<T>(&self, units: u32, work: impl Future<Output = T> + Send) -> T {
        tokio::pin!(work);
        for _ in 0..=units {
            for _ in 0..50 {
                tokio::select! {
                    biased;
                    done = &mut work => return done,
                    () = tokio::time::sleep(Duration::from_millis(1)) => {}
                }
            }
            self.clock.advance(1).await;
        }
        panic!("not done within {units} units of the store's time");
    }
}

/// A name made of `text`; panics where it is none.
pub fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

/// Another tenant, that no other case uses.
pub fn other_tenant() -> Tenant {
    Tenant(name(format!("o-{}", Uuid::new_v4())))
}

/// Names that have broken stores: patterns, separators, quotes, long ones of incompressible text, close
/// relatives, right-to-left and combining marks.
pub fn awkward_names() -> Vec<Name> {
    let mut names: Vec<String> = [
        "%",
        "_",
        "*",
        "a*",
        "[a]",
        "\\",
        "'",
        "\"",
        "a:b",
        "a",
        ":b",
        "{a}",
        "{}",
        "..",
        "/",
        "a/b",
        " ",
        " a",
        "a ",
        "A",
        "é",
        "e\u{301}",
        "\u{202e}abc",
        "日本",
        "🦀",
        "\n",
        "\t",
        "\u{10ffff}",
        "$1",
        "?1",
        ";--",
        "null",
        "0",
    ]
    .map(String::from)
    .into();
    let noise: String =
        (0u32..200).map(|i| char::from_u32(0x4e00 + (i * 7_919) % 20_000).unwrap()).collect();
    names.push(format!("{}a", &"x".repeat(1_023)));
    names.push(format!("{}b", &"x".repeat(1_023)));
    names.push(noise);
    names.into_iter().map(name).collect()
}
