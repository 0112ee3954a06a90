//! Connections for blocking commands, which would hold up everybody else on the shared one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::{Connection, Manager, Runtime, Timeouts};
use hexmem_ports::{Error, ErrorKind, Result};
use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Cmd, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{self, Access};
use crate::link::{Link, checked};
use crate::{Redis, RedisConfig, RedisMode, target};

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
    free: Semaphore,
    idle: Mutex<Vec<ClusterConnection>>,
}

impl Pool {
    pub(crate) fn new(config: &RedisConfig, link: &Link) -> Result<Self> {
        let size = usize::try_from(config.pool_size).unwrap_or(usize::MAX);
        if config.mode == RedisMode::Cluster {
            let client = target::cluster(config)?;
            let pool =
                ClusterPool { client, free: Semaphore::new(size), idle: Mutex::new(Vec::new()) };
            return Ok(Self::Cluster(Box::new(pool)));
        }
        let connect_timeout = config.connect_timeout();
        let Some((generation, info)) = link.server() else {
            return Err(Error::new(ErrorKind::Internal, "redis.connect", "no server is known"));
        };
        let current = Mutex::new((generation, direct(info, size, connect_timeout)?));
        Ok(Self::Direct(Box::new(DirectPool { size, connect_timeout, current })))
    }
}

fn direct(
    info: redis::ConnectionInfo,
    size: usize,
    connect_timeout: Duration,
) -> Result<deadpool_redis::Pool> {
    const OPERATION: &str = "redis.connect";
    // Without a response timeout: each blocking command brings its own.
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect_timeout))
        .set_response_timeout(None);
    let manager = Manager::new_with_config(info, settings)
        .map_err(|error| error::map(OPERATION, Access::Reads, error))?;
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
        .map_err(|error| {
            Error::new(ErrorKind::Internal, OPERATION, "the pool cannot be made").caused_by(error)
        })
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
    /// Sends a command that may block for `wait`, and gives its answer. Cancellation-safe for commands that only look.
    pub(crate) async fn run(
        &mut self,
        operation: &'static str,
        command: &Cmd,
        wait: Duration,
        patience: Duration,
    ) -> Result<Value> {
        self.busy = true;
        let limit = wait + patience;
        let send = async {
            match &mut self.lane {
                Lane::Direct(Some(connection)) => connection.req_packed_command(command).await,
                Lane::Cluster { connection: Some(connection), .. } => {
                    connection.req_packed_command(command).await
                }
                _ => Err(redis::RedisError::from((
                    redis::ErrorKind::Client,
                    "the connection is closed",
                ))),
            }
        };
        let answer = tokio::time::timeout(limit, send)
            .await
            .map(checked)
            .map_err(|_| error::timed_out(operation, Access::Writes, limit.as_millis()))?;
        // After a broken connection it stays busy, and is closed.
        if answer.as_ref().err().is_none_or(|error| !error.is_io_error()) {
            self.busy = false;
        }
        answer.map_err(|refused| error::map(operation, Access::Writes, refused))
    }
}

impl Redis {
    /// A connection of one's own from the pool, waiting for a free one for at most the connect timeout.
    pub(crate) async fn blocking(&self, operation: &'static str) -> Result<Blocking<'_>> {
        match self.pool() {
            Pool::Direct(pool) => {
                let current = self.direct_pool(pool)?;
                let connection =
                    current.get().await.map_err(|error| pool_error(operation, error))?;
                Ok(Blocking { lane: Lane::Direct(Some(connection)), busy: false })
            }
            Pool::Cluster(pool) => {
                let patience = self.config().connect_timeout();
                let take = async {
                    let permit = pool.free.acquire().await.map_err(|error| {
                        Error::new(ErrorKind::Internal, operation, "the pool is closed")
                            .caused_by(error)
                    })?;
                    let idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let connection = match idle {
                        Some(connection) => connection,
                        None => pool
                            .client
                            .get_async_connection()
                            .await
                            .map_err(|error| error::map(operation, Access::Reads, error))?,
                    };
                    Ok((permit, connection))
                };
                let (permit, connection) = tokio::time::timeout(patience, take)
                    .await
                    .map_err(|_| exhausted(operation))??;
                let lane = Lane::Cluster { pool, connection: Some(connection), _permit: permit };
                Ok(Blocking { lane, busy: false })
            }
        }
    }

    /// The pool of the server that is in use now.
    fn direct_pool(&self, pool: &DirectPool) -> Result<deadpool_redis::Pool> {
        let mut current = pool.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((generation, info)) = self.link().server()
            && generation != current.0
        {
            *current = (generation, direct(info, pool.size, pool.connect_timeout)?);
        }
        Ok(current.1.clone())
    }
}

fn exhausted(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        operation,
        "every connection for blocking waits is in use; raise pool_size",
    )
}

fn pool_error(operation: &'static str, error: deadpool_redis::PoolError) -> Error {
    match error {
        deadpool_redis::PoolError::Backend(error) => error::map(operation, Access::Reads, error),
        deadpool_redis::PoolError::Timeout(_) => exhausted(operation),
        other => Error::new(ErrorKind::Internal, operation, "the pool failed").caused_by(other),
    }
}
