//! Connections for what blocks, which would hold up everybody else on the shared one: `WAIT` behind writes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::{Connection, Manager, PoolError, Runtime, Timeouts};
use hexmem_ports::{Error, ErrorKind, Result};
use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, RedisError, RedisResult, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{self, Access};
use crate::exchange::{Sent, Wait};
use crate::link::Link;
use crate::{RedisConfig, RedisMode, target};

/// The code of a call that no connection was free for.
pub(crate) const NO_CONNECTION: &str = "NOCONNECTION";

/// The connections of one handle.
pub(crate) enum Pool {
    Direct(Box<DirectPool>),
    Cluster(Box<ClusterPool>),
}

/// Of one server at a time: after a failover the pool is made anew.
pub(crate) struct DirectPool {
    size: usize,
    connect_timeout: Duration,
    current: Mutex<(u64, deadpool_redis::Pool)>,
}

/// Of a Cluster. The driver's own pool for Clusters takes neither timeouts nor certificates.
pub(crate) struct ClusterPool {
    client: redis::cluster::ClusterClient,
    connect_timeout: Duration,
    free: Semaphore,
    idle: Mutex<Vec<ClusterConnection>>,
}

impl Pool {
    pub(crate) fn new(config: &RedisConfig, link: &Link) -> Result<Self> {
        let size = usize::try_from(config.pool_size).unwrap_or(usize::MAX);
        if config.mode == RedisMode::Cluster {
            let client = target::cluster(config)?;
            let pool = ClusterPool {
                client,
                connect_timeout: config.connect_timeout(),
                free: Semaphore::new(size),
                idle: Mutex::new(Vec::new()),
            };
            return Ok(Self::Cluster(Box::new(pool)));
        }
        let connect_timeout = config.connect_timeout();
        let Some((generation, info)) = link.server() else {
            return Err(Error::new(ErrorKind::Internal, "redis.connect", "no server is known"));
        };
        let current = direct(info, size, connect_timeout)
            .map_err(|error| error::map("redis.connect", Access::Reads, error))?;
        let current = Mutex::new((generation, current));
        Ok(Self::Direct(Box::new(DirectPool { size, connect_timeout, current })))
    }
}

fn direct(
    info: redis::ConnectionInfo,
    size: usize,
    connect_timeout: Duration,
) -> RedisResult<deadpool_redis::Pool> {
    // Without a response timeout: each blocking command brings its own.
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect_timeout))
        .set_response_timeout(None);
    let manager = Manager::new_with_config(info, settings)?;
    let waits = Timeouts {
        wait: Some(connect_timeout),
        create: Some(connect_timeout),
        recycle: Some(connect_timeout),
    };
    deadpool_redis::Pool::builder(manager)
        .max_size(size)
        .timeouts(waits)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|_| RedisError::from((redis::ErrorKind::Client, "the pool cannot be made")))
}

/// A connection of one's own. A wait that is cancelled closes it: its answer may still come, and must not reach the next
/// user.
pub(crate) struct Blocking<'a> {
    lane: Lane<'a>,
    busy: bool,
}

enum Lane<'a> {
    Direct(Option<Connection>),
    Cluster {
        pool: &'a ClusterPool,
        connection: Option<ClusterConnection>,
        _permit: SemaphorePermit<'a>,
    },
}

impl Drop for Blocking<'_> {
    fn drop(&mut self) {
        match &mut self.lane {
            Lane::Direct(connection) => {
                if let Some(connection) = connection.take()
                    && self.busy
                {
                    drop::<MultiplexedConnection>(Connection::take(connection));
                }
            }
            Lane::Cluster { pool, connection, .. } => {
                if let Some(connection) = connection.take()
                    && !self.busy
                {
                    pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                }
            }
        }
    }
}

impl Blocking<'_> {
    /// Sends a command and what blocks behind it. The caller limits the time; where it runs out, the connection is closed.
    pub(crate) async fn exchange<C: Sent>(
        &mut self,
        command: &C,
        wait: &Wait,
    ) -> RedisResult<Value> {
        self.busy = true;
        let answer = match &mut self.lane {
            Lane::Direct(Some(connection)) => command.exchange(&mut **connection, Some(wait)).await,
            Lane::Cluster { connection: Some(connection), .. } => {
                command.exchange(connection, Some(wait)).await
            }
            _ => Err(RedisError::from((redis::ErrorKind::Client, "the connection is closed"))),
        };
        // After a broken connection it stays busy, and is closed.
        if answer.as_ref().err().is_none_or(|error| !error.is_io_error()) {
            self.busy = false;
        }
        answer
    }
}

impl Pool {
    /// A connection of one's own, waiting for a free one for at most the connect timeout.
    pub(crate) async fn take(&self, link: &Link) -> RedisResult<Blocking<'_>> {
        match self {
            Self::Direct(pool) => {
                let connection = pool.current(link)?.get().await.map_err(pool_error)?;
                Ok(Blocking { lane: Lane::Direct(Some(connection)), busy: false })
            }
            Self::Cluster(pool) => {
                let take = async {
                    let permit = pool.free.acquire().await.map_err(|_| exhausted())?;
                    let idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let connection = match idle {
                        Some(connection) => connection,
                        None => pool.client.get_async_connection().await?,
                    };
                    RedisResult::Ok((permit, connection))
                };
                let (permit, connection) = tokio::time::timeout(pool.connect_timeout, take)
                    .await
                    .map_err(|_| exhausted())??;
                let lane = Lane::Cluster { pool, connection: Some(connection), _permit: permit };
                Ok(Blocking { lane, busy: false })
            }
        }
    }
}

impl DirectPool {
    /// The pool of the server that is in use now.
    fn current(&self, link: &Link) -> RedisResult<deadpool_redis::Pool> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((generation, info)) = link.server()
            && generation != current.0
        {
            *current = (generation, direct(info, self.size, self.connect_timeout)?);
        }
        Ok(current.1.clone())
    }
}

fn exhausted() -> RedisError {
    let detail = "every connection of the pool is in use; raise pool_size";
    redis::make_extension_error(NO_CONNECTION.to_owned(), Some(detail.to_owned()))
}

fn pool_error(error: PoolError) -> RedisError {
    match error {
        PoolError::Backend(error) => error,
        _ => exhausted(),
    }
}
