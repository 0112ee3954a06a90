//! The handle, and the transactions of those who read and write through it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hexmem_ports::{Error, ErrorKind, Result};
use sqlx::{PgConnection, SqlStr};
use tokio::time::timeout;

use crate::error::{self, Doing};
use crate::listen::Listener;
use crate::pool::{Lease, Pool, PoolState, Sweeper};
use crate::query::{Access, GRACE, Query, State, Work, simple};
use crate::queue::Hints;
use crate::sql::Statements;
use crate::{Migrate, PgConfig, Pooling, migrate};

/// A PostgreSQL database behind every port. Cheap to clone; clones share connections.
///
/// Any number of processes may use the same database and schema at the same time.
#[derive(Clone)]
pub struct Postgres(Arc<Inner>);

struct Inner {
    config: PgConfig,
    statements: Statements,
    primary: Arc<Pool>,
    replica: Option<Arc<Pool>>,
    listener: Listener,
    /// Whether the database had a usable pgvector when it was connected to.
    pgvector: AtomicBool,
    queue_hints: Hints,
    _sweeper: Sweeper,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("server", &self.place())
            .field("schema", &self.0.config.schema)
            .finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects, checks the server and its tables, and brings them up to date where the configuration says so.
    ///
    /// # Errors
    /// `Invalid` for settings that cannot be; `Unavailable` or `Timeout` where nobody answers; `Denied` for a
    /// wrong user or password and for a missing privilege; `NotFound` for a missing database; `Unsupported` for
    /// a server that is too old or not in UTF-8, for tables that are missing, older or newer than this program.
    /// Each says what to do.
    pub async fn connect(config: PgConfig) -> Result<Self> {
        let postgres = Self::lazy(config)?;
        migrate::check_server(&postgres).await?;
        match postgres.config().migrate {
            Migrate::Connect => migrate::run(&postgres).await.map(|_| ())?,
            Migrate::Never => migrate::check_schema(&postgres).await?,
        }
        Ok(postgres)
    }

    /// The handle without a look at the server: for what works on the tables themselves.
    pub(crate) fn lazy(config: PgConfig) -> Result<Self> {
        config.check()?;
        let primary = Pool::new(&config, &config.url)?;
        let replica =
            config.replica_url.as_deref().map(|url| Pool::new(&config, url)).transpose()?;
        let pools = [Some(&primary), replica.as_ref()].into_iter().flatten().map(Arc::clone);
        Ok(Self(Arc::new(Inner {
            statements: Statements::new(&config.schema),
            listener: Listener::default(),
            queue_hints: Hints::default(),
            _sweeper: Sweeper::start(pools.collect()),
            primary,
            replica,
            pgvector: AtomicBool::new(false),
            config,
        })))
    }

    /// The settings.
    pub fn config(&self) -> &PgConfig {
        &self.0.config
    }

    /// `user@host:port/database` of the server that writes.
    pub fn place(&self) -> &str {
        self.0.primary.place()
    }

    /// The connections to the server that writes.
    pub fn pool_state(&self) -> PoolState {
        self.0.primary.state()
    }

    /// Closes all connections once their calls have ended. Later calls on clones fail.
    pub async fn close(self) {
        self.0.primary.close().await;
        if let Some(replica) = &self.0.replica {
            replica.close().await;
        }
    }

    /// Where leases of queues start to look.
    pub(crate) fn queue_hints(&self) -> &Hints {
        &self.0.queue_hints
    }

    pub(crate) fn listener(&self) -> &Listener {
        &self.0.listener
    }

    /// Whether the database has the extension pgvector, 0.8 or newer.
    pub(crate) fn has_pgvector(&self) -> bool {
        self.0.pgvector.load(Ordering::Relaxed)
    }

    pub(crate) fn found_pgvector(&self, there: bool) {
        self.0.pgvector.store(there, Ordering::Relaxed);
    }

    pub(crate) fn primary(&self) -> &Arc<Pool> {
        &self.0.primary
    }

    pub(crate) fn replica(&self) -> Option<&Arc<Pool>> {
        self.0.replica.as_ref()
    }

    /// How a transaction begins. Behind a pooler nothing lasts longer than that, so the limit is set within.
    pub(crate) fn begin_with(&self, begin: &'static str) -> Cow<'static, str> {
        match self.config().pooling {
            Pooling::Session => begin.into(),
            Pooling::Transaction => {
                let limit = self.config().statement_timeout_ms;
                format!("{begin}; SET LOCAL statement_timeout = {limit}").into()
            }
        }
    }

    /// `text` for the schema of this handle.
    pub(crate) fn statement(&self, text: &'static str) -> SqlStr {
        self.0.statements.get(text)
    }

    /// One statement that reads, by itself. It sees everything acknowledged before.
    pub(crate) fn read(&self, operation: &'static str, sql: &'static str) -> Query<'_> {
        Query::alone(self, operation, Access::Read, sql)
    }

    /// One statement that reads and may be told what was a moment ago: it goes to the follower where there is one.
    /// For listings, counts and statistics; never for what decides a write or whether a secret is valid.
    pub(crate) fn read_lagging(&self, operation: &'static str, sql: &'static str) -> Query<'_> {
        Query::alone(self, operation, Access::ReadLagging, sql)
    }

    /// One statement that is asked of the follower alone: its failure is told. Without a follower the first server answers.
    pub(crate) fn read_follower(&self, operation: &'static str, sql: &'static str) -> Query<'_> {
        Query::alone(self, operation, Access::ReadFollower, sql)
    }

    /// One statement that changes, by itself: committed when it returns. Dropped in the middle, its outcome is
    /// unknown, as after a timeout.
    pub(crate) fn write(&self, operation: &'static str, sql: &'static str) -> Query<'_> {
        Query::alone(self, operation, Access::Write, sql)
    }

    /// A transaction of several statements (READ COMMITTED: each sees what was committed before it). End it with
    /// [`Tx::commit`], [`Tx::rollback`] or [`Tx::finish`]; dropped, it is rolled back with its connection.
    pub(crate) async fn begin(&self, operation: &'static str) -> Result<Tx> {
        Tx::begin(self, operation, Doing::Within, "BEGIN").await
    }

    /// Several statements that read, all of the same instant. End it with [`Tx::rollback`].
    pub(crate) async fn snapshot(&self, operation: &'static str) -> Result<Tx> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        Tx::begin(self, operation, Doing::Reading, begin).await
    }

    /// The transaction of a caller on a connection of its own to this database. What fails in it spoils it: the
    /// caller rolls back.
    pub(crate) fn within<'c>(
        &'c self,
        connection: &'c mut PgConnection,
        state: &'c mut State,
        operation: &'static str,
    ) -> Work<'c> {
        let connection = Ok(connection);
        let place = self.place();
        let (doing, limit) = (Doing::Within, self.config().statement_timeout());
        Work { postgres: self, connection, place, operation, doing, limit, state }
    }
}

/// A transaction, until it is ended or dropped.
pub(crate) struct Tx {
    lease: Lease,
    postgres: Postgres,
    operation: &'static str,
    doing: Doing,
    state: State,
}

impl Tx {
    async fn begin(
        postgres: &Postgres,
        operation: &'static str,
        doing: Doing,
        sql: &'static str,
    ) -> Result<Self> {
        let pool = postgres.primary();
        let within = postgres.config().statement_timeout() + GRACE;
        let mut first = true;
        loop {
            let mut lease = pool.acquire(operation).await?;
            let begin = postgres.begin_with(sql);
            let begun = timeout(within, simple(lease.take_up(operation)?, &begin)).await;
            match begun {
                Ok(Ok(())) => {
                    let (postgres, state) = (postgres.clone(), State::Open);
                    return Ok(Self { lease, postgres, operation, doing, state });
                }
                // The connection had died unnoticed; nothing was begun.
                Ok(Err(failed)) if first && error::lost(&failed) => {
                    first = false;
                    pool.forget_idle();
                }
                Ok(Err(failed)) => {
                    return Err(error::map(operation, pool.place(), Doing::Within, failed));
                }
                Err(_) => {
                    let after = within - GRACE;
                    return Err(error::timed_out(operation, pool.place(), Doing::Within, after));
                }
            }
        }
    }

    /// `port.method`, as errors name it.
    pub(crate) fn operation(&self) -> &'static str {
        self.operation
    }

    /// This transaction, for steps that may also run in a caller's.
    pub(crate) fn work(&mut self) -> Work<'_> {
        let Self { lease, postgres, operation, doing, state } = self;
        let connection = lease.take_up(operation);
        let (operation, doing, place) = (*operation, *doing, postgres.place());
        let limit = postgres.config().statement_timeout();
        Work { postgres, connection, place, operation, doing, limit, state }
    }

    /// A statement of this transaction.
    pub(crate) fn query(&mut self, sql: &'static str) -> Query<'_> {
        Query::within(self.work(), sql)
    }

    /// Makes the changes durable.
    pub(crate) async fn commit(mut self) -> Result<()> {
        if self.state != State::Open {
            // The server answers such a commit with a rollback and no error.
            return Err(Error::new(
                ErrorKind::Internal,
                self.operation,
                "a transaction was to be committed after one of its statements had failed",
            ));
        }
        let doing = if self.doing == Doing::Within { Doing::Committing } else { self.doing };
        self.end("COMMIT", doing).await
    }

    /// Undoes the changes, and leaves the connection to the next call.
    pub(crate) async fn rollback(mut self) -> Result<()> {
        match self.state {
            State::Broken => Ok(()),
            State::Open | State::Failed => self.end("ROLLBACK", Doing::Within).await,
        }
    }

    /// Commits what went well, rolls back what did not.
    pub(crate) async fn finish<T>(self, outcome: Result<T>) -> Result<T> {
        match outcome {
            Ok(value) => self.commit().await.map(|()| value),
            Err(error) => {
                // The first failure is the one to tell; a connection that fails to roll back is closed.
                let _ = self.rollback().await;
                Err(error)
            }
        }
    }

    async fn end(&mut self, sql: &'static str, doing: Doing) -> Result<()> {
        let within = self.postgres.config().statement_timeout() + GRACE;
        let place = self.postgres.place();
        match timeout(within, simple(self.lease.take_up(self.operation)?, sql)).await {
            Ok(Ok(())) => {
                self.lease.settle();
                Ok(())
            }
            Ok(Err(failed)) => Err(error::map(self.operation, place, doing, failed)),
            Err(_) => Err(error::timed_out(self.operation, place, doing, within - GRACE)),
        }
    }
}
