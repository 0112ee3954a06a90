//! The handle.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hexmem_ports::{Clock, Error, Result, Timestamp};
use redis::{Cmd, Pipeline, RedisError, Value};

use crate::cache::Copies;
use crate::error::{self, Access};
use crate::exchange::{OnTag, Sent, Wait};
use crate::keys::Tag;
use crate::link::{Call, Link};
use crate::pool::Pool;
use crate::queue::Bells;
use crate::reply::{Fields, Reply};
use crate::{RedisConfig, RedisMode};

/// A Redis, Valkey or Redis Cluster. Clones share its connections.
///
/// Ordinary commands and scripts of all tasks go through one multiplexed connection (in a Cluster, one to each master);
/// writes that wait for replicas have a pool. Dropping the last clone closes them.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
    clock: Option<Arc<dyn Clock>>,
}

struct Inner {
    config: RedisConfig,
    link: Link,
    /// What follows each write, where replicas must have it.
    wait: Option<Wait>,
    /// Copies of cached answers, where they are wished for.
    copies: Option<Copies>,
    pool: Pool,
    /// When a tag was last announced to the readers of the outbox.
    announced: Mutex<HashMap<String, Announced>>,
    /// Those who wait at queues.
    bells: Bells,
}

/// The stamp of an announcement, and when it was made by this process's clock.
#[derive(Debug, Clone)]
pub(crate) struct Announced {
    pub stamp: String,
    pub at: Instant,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects. `Invalid` names a setting that is wrong; `Denied`, `Unavailable` and `Timeout` say what stands in the
    /// way.
    pub async fn connect(config: RedisConfig) -> Result<Self> {
        const OPERATION: &str = "redis.connect";
        config.check()?;
        let patience = config.connect_timeout() + config.response_timeout();
        let open = tokio::time::timeout(patience, Link::open(&config));
        let link = open
            .await
            .unwrap_or_else(|_| {
                Err(error::timed_out(OPERATION, Access::Reads, patience.as_millis()))
            })
            .map_err(|error| error.with("urls", config.shown_urls()))?;
        let pool = Pool::new(&config, &link)?;
        let wait = Wait::of(&config);
        let announced = Mutex::default();
        let bells = Bells::default();
        let copies =
            Copies::open(&config).await.map_err(|error| error.with("urls", config.shown_urls()))?;
        let inner = Inner { config, link, wait, copies, pool, announced, bells };
        let redis = Self { inner: Arc::new(inner), clock: None };
        // A server that wants a password lets everybody in who says nothing.
        let command = redis::cmd("PING");
        let pong = redis.send(&Call { operation: OPERATION, access: Access::Reads, command }).await;
        pong.map_err(|error| error.with("urls", redis.config().shown_urls()))?;
        Ok(redis)
    }

    /// The same, stamping with `clock` instead of the server's: for tests that move time.
    #[must_use]
    pub fn on_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The clock given to [`Self::on_clock`]; `None`: the server's.
    pub(crate) fn clock(&self) -> Option<&Arc<dyn Clock>> {
        self.clock.as_ref()
    }

    /// The settings.
    pub fn config(&self) -> &RedisConfig {
        &self.inner.config
    }

    /// What every key begins with.
    pub(crate) fn prefix(&self) -> &str {
        &self.inner.config.prefix
    }

    /// Whether slots lie on several servers.
    pub(crate) fn is_cluster(&self) -> bool {
        self.inner.config.mode == RedisMode::Cluster
    }

    pub(crate) fn copies(&self) -> Option<&Copies> {
        self.inner.copies.as_ref()
    }

    pub(crate) fn link(&self) -> &Link {
        &self.inner.link
    }

    pub(crate) fn bells(&self) -> &Bells {
        &self.inner.bells
    }

    pub(crate) fn announced(&self) -> &Mutex<HashMap<String, Announced>> {
        &self.inner.announced
    }

    /// Gives the server of `tag` a library of functions. Who is first and who is second give it the same.
    pub(crate) async fn teach(
        &self,
        operation: &'static str,
        tag: &Tag,
        code: &str,
    ) -> Result<Result<Value, RedisError>, Error> {
        let mut command = Cmd::new();
        command.arg("FUNCTION").arg("LOAD").arg("REPLACE").arg(code);
        // A write to the server, and none to what the caller's call is about.
        let call = Call { operation, access: Access::Reads, command: OnTag { tag, command } };
        self.try_send(&call).await
    }

    /// Sends one command through the shared connection. In a Cluster all its keys lie in one slot.
    pub(crate) async fn send(&self, call: &Call) -> Result<Value> {
        let answer = self.try_send(call).await?;
        answer.map_err(|refused| error::map(call.operation, call.access, refused))
    }

    /// Sends several reads, which are answered in order, in one round trip. In a Cluster all their keys lie in one slot.
    pub(crate) async fn read_all(
        &self,
        operation: &'static str,
        command: Pipeline,
    ) -> Result<Fields> {
        let call = Call { operation, access: Access::Reads, command };
        let answer = self.try_send(&call).await?;
        let answers = answer.map_err(|refused| error::map(operation, Access::Reads, refused))?;
        Reply::new(operation, answers).list()
    }

    /// The present and the answers of reads, in one round trip. The present is read first: what changes an entry after that
    /// is read with it, so an answer is what it was at some instant of the call.
    pub(crate) async fn read_with_time(
        &self,
        operation: &'static str,
        reads: Vec<Cmd>,
    ) -> Result<(Timestamp, Fields)> {
        let given = self.clock().map(|clock| clock.now());
        let mut pipeline = Pipeline::with_capacity(reads.len() + 1);
        pipeline.cmd("TIME");
        for read in reads {
            pipeline.add_command(read);
        }
        let mut answers = self.read_all(operation, pipeline).await?;
        let mut time = answers.item()?.list()?;
        let (seconds, micros) = (time.item()?.int()?, time.item()?.int()?);
        let now = seconds.checked_mul(1_000_000).and_then(|whole| whole.checked_add(micros));
        let server = now.and_then(Timestamp::from_micros);
        let now = given.or(server).ok_or_else(|| {
            Error::corrupt(operation, "the server's clock lies beyond the calendar")
        })?;
        Ok((now, answers))
    }

    /// The same, with the server's refusal as it is; a timeout is the outer error.
    pub(crate) async fn try_send<C: Sent>(
        &self,
        call: &Call<C>,
    ) -> Result<Result<Value, RedisError>, Error> {
        let config = &self.inner.config;
        let patience = config.connect_timeout() + config.response_timeout();
        let deadline = Instant::now() + config.response_timeout();
        let wait = self.inner.wait.as_ref().map(|wait| (wait, &self.inner.pool));
        tokio::time::timeout(patience, self.inner.link.send(call, wait, deadline))
            .await
            .map_err(|_| error::timed_out(call.operation, call.access, patience.as_millis()))
    }
}
