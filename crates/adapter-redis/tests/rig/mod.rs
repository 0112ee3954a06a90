//! What every test here runs on: a prefix of its own on the server of the environment, removed afterwards.
//!
//! `HEXMEM_TEST_REDIS_URL` names a single server, `HEXMEM_TEST_REDIS_CLUSTER_URL` the nodes of a Cluster; `cargo xtask test`
//! starts both. Tests on the Cluster have `cluster` in their path, so that they are left out where there is none.
#![allow(dead_code, unreachable_pub, reason = "each test is a crate of its own and uses a part")]

use std::sync::Arc;

use hexmem_adapter_memory::ManualClock;
use hexmem_adapter_redis::{Redis, RedisConfig};
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{Capabilities, Clock, Outbox, Records};
use uuid::Uuid;

/// On which servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Servers {
    Single,
    Cluster,
}

impl Servers {
    /// The adapter's name in the table.
    pub fn adapter(self) -> &'static str {
        match self {
            Self::Single => "redis",
            Self::Cluster => "redis-cluster",
        }
    }

    /// Where they are. A test without its server fails: it must not pass for nothing.
    pub fn config(self) -> RedisConfig {
        let name = match self {
            Self::Single => "HEXMEM_TEST_REDIS_URL",
            Self::Cluster => "HEXMEM_TEST_REDIS_CLUSTER_URL",
        };
        let url = std::env::var(name).unwrap_or_else(|_| {
            panic!(
                "{name} is not set: run `cargo xtask test`, or `cargo xtask services start` first"
            )
        });
        RedisConfig::new(url)
    }
}

/// A prefix of one test: what lies under it is removed with this.
pub struct Space {
    pub config: RedisConfig,
    pub clock: Arc<ManualClock>,
}

impl Space {
    pub fn new(servers: Servers) -> Self {
        let prefix = format!("test:{}:", Uuid::new_v4().simple());
        Self { config: servers.config().prefix(prefix), clock: Arc::default() }
    }

    /// A connection of its own, on the test's clock.
    pub async fn connect(&self) -> Redis {
        let redis = Redis::connect(self.config.clone()).await.unwrap();
        redis.on_clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    /// Another, whose keys lie apart.
    pub async fn connect_apart(&self) -> Redis {
        let config = self.config.clone().prefix(format!("{}twin:", self.config.prefix));
        let redis = Redis::connect(config).await.unwrap();
        redis.on_clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        for url in masters(&self.config) {
            if let Err(error) = remove(&url, &self.config.prefix) {
                eprintln!("the keys of {} stay on {url}: {error}", self.config.prefix);
            }
        }
    }
}

/// The servers that hold keys.
fn masters(config: &RedisConfig) -> Vec<String> {
    config.urls.clone()
}

/// Removes the keys of a prefix, without a runtime: a test may have ended its own.
fn remove(url: &str, prefix: &str) -> redis::RedisResult<()> {
    let mut connection = redis::Client::open(url)?.get_connection()?;
    let mut cursor = 0u64;
    loop {
        let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{prefix}*"))
            .arg("COUNT")
            .arg(10_000)
            .query(&mut connection)?;
        for key in keys {
            redis::cmd("UNLINK").arg(key).exec(&mut connection)?;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}

/// The rig of a port: `store` makes it of a handle. The second handle has connections of its own.
pub async fn rig<P: ?Sized, S>(
    servers: Servers,
    store: impl Fn(&Redis) -> Arc<S>,
    port: impl Fn(Arc<S>) -> Arc<P>,
    declares: impl Fn(&P) -> Capabilities,
) -> Rig<P>
where
    S: Records,
{
    let space = Space::new(servers);
    let (first, second, apart) =
        (space.connect().await, space.connect().await, space.connect_apart().await);
    let (here, twin) = (store(&first), store(&apart));
    let clock = Arc::clone(&space.clock);
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let main = port(Arc::clone(&here));
    let declared = declares(&main);
    let mut rig = Rig::new(servers.adapter(), main, declared, time);
    rig.other = port(store(&second));
    rig.twin = Some((port(Arc::clone(&twin)), twin as Arc<dyn Records>));
    rig.records = Some(here as Arc<dyn Records>);
    rig.outbox = Some(Arc::new(first.outbox()) as Arc<dyn Outbox>);
    rig.guard = Some(Arc::new(space));
    rig
}

/// The suite of a port on both kinds of servers: `on_both!(key_value_suite, KeyValueStore, key_value, "key_value")`.
#[macro_export]
macro_rules! on_both {
    ($suite:ident, $port:ident, $store:ident, $name:literal) => {
        mod single {
            $crate::on_both!(@ Single, $suite, $port, $store, $name);
        }
        mod cluster {
            $crate::on_both!(@ Cluster, $suite, $port, $store, $name);
        }
    };
    (@ $servers:ident, $suite:ident, $port:ident, $store:ident, $name:literal) => {
        async fn rig() -> hexmem_conformance::Rig<dyn hexmem_ports::$port> {
            $crate::rig::rig(
                $crate::rig::Servers::$servers,
                |redis| std::sync::Arc::new(redis.$store()),
                |store| store as std::sync::Arc<dyn hexmem_ports::$port>,
                |port| port.capabilities(),
            )
            .await
        }

        hexmem_conformance::$suite!(rig);

        #[tokio::test]
        async fn declares_the_minimum() {
            let rig = rig().await;
            hexmem_conformance::minimum::check(rig.adapter, $name, &rig.declares);
        }
    };
}
