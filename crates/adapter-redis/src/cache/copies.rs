//! Copies of answers and generations in the process, which the server takes back when they change (RESP3 client tracking).
//!
//! A copy lives at most `cache_copies_max_age_ms` from the moment it was asked for, whatever becomes of the connection. So an
//! answer that was invalidated is served from here for at most that long after it, and no longer than the server's
//! message takes in the ordinary case. What this handle or a clone of it changes is not served from here at all
//! until every copy from before is gone.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hexmem_ports::{Digest, Result, Timestamp};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::caching::CacheConfig;
use redis::{Client, Pipeline, ProtocolVersion, RedisError, Value};

use crate::error::{self, Access};
use crate::exchange::Sent as _;
use crate::keys::Tag;
use crate::{RedisConfig, target};

/// How long the server's clock is reckoned from one look at it.
const RECKONED: Duration = Duration::from_secs(10);
/// How many changes are remembered by themselves; beyond, all copies are passed over for their time.
const REMEMBERED: usize = 10_000;

/// A connection that keeps what it reads.
pub(crate) struct Copies {
    connection: ConnectionManager,
    max_age: Duration,
    patience: Duration,
    /// The server's clock, and the moments before and after it was read.
    clock: Mutex<Option<(Timestamp, Instant, Instant)>>,
    changed: Mutex<HashMap<Changed, Instant>>,
}

/// What was changed from here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Changed {
    Answer(Tag, Digest),
    Namespace(Tag),
    All,
}

/// A change on its way.
pub(super) struct Changing<'a> {
    copies: &'a Copies,
    what: Vec<Changed>,
}

impl Changing<'_> {
    /// It was answered, in whatever way: no copy that is asked for from now on is from before it.
    pub(super) fn done(self) {
        self.copies.pass_over(self.what, self.copies.max_age);
    }
}

/// The earliest and the latest instant that it may be at the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reckoned {
    pub(super) earliest: Timestamp,
    pub(super) latest: Timestamp,
}

impl Copies {
    /// None where the settings ask for none.
    pub(crate) async fn open(config: &RedisConfig) -> Result<Option<Self>> {
        let size = usize::try_from(config.cache_copies).unwrap_or(usize::MAX);
        let Some(size) = NonZeroUsize::new(size) else { return Ok(None) };
        let failed = |error: RedisError| error::map("redis.connect", Access::Reads, error);
        let info = target::single(config)?.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings)).map_err(failed)?;
        let max_age = Duration::from_millis(config.cache_copies_max_age_ms.into());
        let cache = CacheConfig::new().set_size(size).set_default_client_ttl(max_age);
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(config.connect_timeout()))
            .set_response_timeout(Some(config.response_timeout()))
            .set_cache_config(cache);
        let connection =
            ConnectionManager::new_with_config(client, settings).await.map_err(failed)?;
        Ok(Some(Self {
            connection,
            max_age,
            patience: config.connect_timeout() + config.response_timeout(),
            clock: Mutex::default(),
            changed: Mutex::default(),
        }))
    }

    /// Notes what the server's clock showed between two moments.
    pub(super) fn saw(&self, shown: Timestamp, before: Instant) {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        *clock = Some((shown, before, Instant::now()));
    }

    /// The present, where the server's clock was looked at a short while ago.
    pub(super) fn now(&self) -> Option<Reckoned> {
        let clock = *self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let (shown, before, after) = clock?;
        (after.elapsed() < RECKONED).then(|| Reckoned {
            // What is found may be as old as a copy gets.
            earliest: shown.plus(after.elapsed()).minus(self.max_age),
            latest: shown.plus(before.elapsed()),
        })
    }

    /// Whether no copy of these answers is from before a change that was made here.
    pub(super) fn may_answer(&self, tag: &Tag, fingerprints: &[Digest]) -> bool {
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.is_empty() {
            return true;
        }
        let now = Instant::now();
        let quiet = |what: &Changed| changed.get(what).is_none_or(|until| *until <= now);
        quiet(&Changed::All)
            && quiet(&Changed::Namespace(tag.clone()))
            && fingerprints
                .iter()
                .all(|fingerprint| quiet(&Changed::Answer(tag.clone(), *fingerprint)))
    }

    /// Before a change is sent: copies from before it are passed over, also where the call is dropped on its way.
    pub(super) fn changing(&self, what: Vec<Changed>) -> Changing<'_> {
        self.pass_over(what.iter().cloned(), self.max_age + self.patience);
        Changing { copies: self, what }
    }

    fn pass_over(&self, what: impl IntoIterator<Item = Changed>, span: Duration) {
        let now = Instant::now();
        let until = now + span;
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        for what in what {
            changed.insert(what, until);
        }
        if changed.len() > REMEMBERED {
            changed.retain(|_, until| *until > now);
        }
        if changed.len() > REMEMBERED {
            let last = changed.values().copied().max().unwrap_or(until);
            changed.clear();
            changed.insert(Changed::All, last);
        }
    }

    /// The answers to reads, from copies where there are some.
    pub(super) async fn read(&self, reads: &Pipeline) -> std::result::Result<Value, RedisError> {
        reads.exchange(&mut self.connection.clone(), None).await
    }
}
