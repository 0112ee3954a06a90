//! Connections to one server, shared by calls.
//!
//! Not the driver's own pool: that one asks the server once more before and after each use, and keeps a connection
//! that does not answer. Here a connection goes back only when its last answer was read to the end; one that was
//! left in the middle (a timeout, a dropped future) is closed, and the server rolls back what it held.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hexmem_ports::{Error, ErrorKind, Result};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::{PgConfig, config, error};

/// A connection that lay unused for longer is asked whether it still answers.
const TRUSTED: Duration = Duration::from_secs(1);

/// Connections to one server.
pub(crate) struct Pool {
    options: PgConnectOptions,
    place: String,
    limits: Limits,
    permits: Arc<Semaphore>,
    /// The one used last is at the end, and is taken first.
    idle: Mutex<Vec<Idle>>,
}

#[derive(Clone, Copy)]
struct Limits {
    connections: u32,
    acquire: Duration,
    connect: Duration,
    idle: Duration,
    lifetime: Duration,
}

struct Idle {
    connection: PgConnection,
    opened: Instant,
    since: Instant,
}

/// How many connections there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct PoolState {
    /// At most.
    pub max: u32,
    /// In use by a call.
    pub used: u32,
    /// Open and unused.
    pub idle: u32,
}

impl Pool {
    /// Opens nothing yet.
    pub(crate) fn new(config: &PgConfig, url: &str) -> Result<Arc<Self>> {
        let options = config.options(url)?;
        let limits = Limits {
            connections: config.max_connections,
            acquire: config.acquire_timeout(),
            connect: config.connect_timeout(),
            idle: config.idle_timeout(),
            lifetime: config.max_lifetime(),
        };
        let most = usize::try_from(limits.connections).unwrap_or(Semaphore::MAX_PERMITS);
        Ok(Arc::new(Self {
            place: config::place(&options),
            options,
            limits,
            permits: Arc::new(Semaphore::new(most)),
            idle: Mutex::default(),
        }))
    }

    /// `user@host:port/database`.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    pub(crate) fn state(&self) -> PoolState {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        PoolState {
            max: self.limits.connections,
            used: self.limits.connections.saturating_sub(free),
            idle: u32::try_from(self.lock().len()).unwrap_or(u32::MAX),
        }
    }

    /// A connection for `operation`: the one used last, or a new one.
    pub(crate) async fn acquire(self: &Arc<Self>, operation: &'static str) -> Result<Lease> {
        let permit = timeout(self.limits.acquire, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| self.exhausted(operation))?
            .map_err(|_| {
                Error::new(ErrorKind::Unavailable, operation, "the connections were closed")
            })?;
        let lease = |connection, opened| Lease {
            connection: Some(connection),
            opened,
            settled: true,
            pool: Arc::clone(self),
            _permit: permit,
        };
        while let Some(mut idle) = self.pop() {
            let trusted = idle.since.elapsed() < TRUSTED;
            if trusted || answers(&mut idle.connection, self.limits.connect).await {
                return Ok(lease(idle.connection, idle.opened));
            }
            // The server was started anew, or is gone: what else lies here is of no more use.
            self.forget_idle();
        }
        let connection = self.open(operation).await?;
        Ok(lease(connection, Instant::now()))
    }

    /// A connection of its own, that never comes back here.
    pub(crate) async fn open(&self, operation: &'static str) -> Result<PgConnection> {
        match timeout(self.limits.connect, self.options.connect()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(failed)) => Err(error::connecting(operation, &self.place, failed)),
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                operation,
                format!(
                    "PostgreSQL did not answer within {} ms; check host and port, or raise \
                     pg.connect_timeout_ms",
                    self.limits.connect.as_millis()
                ),
            )
            .not_applied()
            .with("server", &self.place)),
        }
    }

    /// Closes all connections once their calls have ended; later calls fail.
    pub(crate) async fn close(&self) {
        self.permits.close();
        let all = std::mem::take(&mut *self.lock());
        for idle in all {
            // Said or not, the server notices.
            let _ = timeout(Duration::from_secs(1), idle.connection.close()).await;
        }
    }

    /// Drops the connections that lie unused: a server that was started anew knows none of them.
    pub(crate) fn forget_idle(&self) {
        drop(std::mem::take(&mut *self.lock()));
    }

    fn pop(&self) -> Option<Idle> {
        let mut idle = self.lock();
        self.drop_old(&mut idle);
        idle.pop()
    }

    fn drop_old(&self, idle: &mut Vec<Idle>) {
        idle.retain(|idle| {
            idle.since.elapsed() < self.limits.idle && idle.opened.elapsed() < self.limits.lifetime
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exhausted(&self, operation: &'static str) -> Error {
        Error::new(
            ErrorKind::Timeout,
            operation,
            format!(
                "no free connection within {} ms: all {} are in use; raise pg.max_connections, or ask for less \
                 at once",
                self.limits.acquire.as_millis(),
                self.limits.connections
            ),
        )
        .not_applied()
        .with("server", &self.place)
    }
}

async fn answers(connection: &mut PgConnection, within: Duration) -> bool {
    matches!(timeout(within, connection.ping()).await, Ok(Ok(())))
}

/// Closes what lies unused for too long, until it is dropped.
pub(crate) struct Sweeper(JoinHandle<()>);

impl Sweeper {
    pub(crate) fn start(pools: Vec<Arc<Pool>>) -> Self {
        let shortest = pools.iter().map(|pool| pool.limits.idle.min(pool.limits.lifetime)).min();
        let pause =
            shortest.unwrap_or_default().clamp(Duration::from_millis(10), Duration::from_secs(60))
                / 2;
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                for pool in &pools {
                    pool.drop_old(&mut pool.lock());
                }
            }
        }))
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The right to use one connection, until dropped.
pub(crate) struct Lease {
    connection: Option<PgConnection>,
    opened: Instant,
    /// Whether the last answer was read to the end and no transaction is open.
    settled: bool,
    pool: Arc<Pool>,
    // Dropped last: the connection is back before another may ask for it.
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// The connection. From now on it is closed on drop, until [`Self::settle`].
    pub(crate) fn take_up(&mut self, operation: &'static str) -> Result<&mut PgConnection> {
        self.settled = false;
        self.connection
            .as_mut()
            .ok_or_else(|| Error::new(ErrorKind::Internal, operation, "a connection is missing"))
    }

    /// The answer was read to the end and no transaction is open: the next call may have the connection.
    pub(crate) fn settle(&mut self) {
        self.settled = true;
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let back =
            self.connection.take().filter(|_| self.settled && !self.pool.permits.is_closed());
        if let Some(connection) = back {
            let idle = Idle { connection, opened: self.opened, since: Instant::now() };
            self.pool.lock().push(idle);
        }
    }
}
