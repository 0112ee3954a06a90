//! Opening the file, and the turns of those who read and write it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hexmem_ports::{Clock, Error, ErrorKind, Result, Timestamp};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous, SqliteTransactionManager};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _, SqliteConnection};
use sqlx_core::transaction::TransactionManager as _;
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::line::Line;
use crate::queue::Bells;
use crate::{SqliteConfig, Synchronous, create, error, migrate};

/// A file behind every port. Cheap to clone; clones share connections.
///
/// One connection writes, in turns, with `BEGIN IMMEDIATE`: a writer never loses to another at its commit.
/// Other processes may use the file at the same time.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    config: SqliteConfig,
    file: PathBuf,
    clock: Arc<dyn Clock>,
    line: Line,
    writer: Slot,
    readers: Vec<Slot>,
    free_readers: Arc<Semaphore>,
    bells: Bells,
    graph_batches: crate::graph::Waiting,
    dense_indexes: crate::vectors::Indexes,
}

/// A place for one connection, opened when first needed and again after it broke.
#[derive(Clone, Default)]
struct Slot {
    connection: Arc<Mutex<Option<SqliteConnection>>>,
    broken: Arc<AtomicBool>,
}

type Guard = OwnedMappedMutexGuard<Option<SqliteConnection>, SqliteConnection>;

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("file", &self.0.file).finish_non_exhaustive()
    }
}

impl Database {
    /// Opens the file, creating it and its folder where missing, and brings its tables up to date. Any number
    /// of processes may do so at once.
    ///
    /// # Errors
    /// A file that is not hexmem's, is damaged, is of a newer version, is held for longer than the busy
    /// timeout, or that this user may not write: each by its own message, and the file stays as it was.
    pub async fn open(config: SqliteConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        config.check()?;
        let file = create::prepare(&config).await?;
        let readers = (0..config.readers).map(|_| Slot::default()).collect::<Vec<_>>();
        let database = Self(Arc::new(Inner {
            free_readers: Arc::new(Semaphore::new(readers.len())),
            line: Line::of(&file, config.busy_timeout()),
            file,
            clock,
            bells: Bells::default(),
            graph_batches: crate::graph::Waiting::default(),
            dense_indexes: crate::vectors::Indexes::default(),
            writer: Slot::default(),
            readers,
            config,
        }));
        let mut writer = database.writer("sqlite.open").await?;
        let migrated = migrate::run(&mut writer, &database.0.file, database.0.clock.as_ref()).await;
        drop(writer);
        match migrated {
            Ok(()) => Ok(database),
            Err(refused) => {
                // Closed here rather than by a thread some time later: the file is as it was on return.
                database.close().await.ok();
                Err(refused)
            }
        }
    }

    /// The clock that stamps.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// The wake-ups of those who wait at a queue through this handle or its clones.
    pub(crate) fn bells(&self) -> &Bells {
        &self.0.bells
    }

    /// The graph batches that wait for the write lock in this process.
    pub(crate) fn graph_batches(&self) -> &crate::graph::Waiting {
        &self.0.graph_batches
    }

    /// The indexes of dense vectors that this process has read.
    pub(crate) fn dense_indexes(&self) -> &crate::vectors::Indexes {
        &self.0.dense_indexes
    }

    /// How dense vectors are looked for.
    pub(crate) fn dense_index(&self) -> crate::DenseIndex {
        self.0.config.dense_index
    }

    /// The file, as an absolute path.
    pub fn file(&self) -> &Path {
        &self.0.file
    }

    /// Takes the write lock of the file for `operation` (`port.method`) and stamps the present after it.
    /// Writers of this process take turns in the order in which they asked, and processes take turns with each
    /// other. Dropped without a commit, at any point, nothing has changed.
    pub async fn write(&self, operation: &'static str) -> Result<WriteTx> {
        let connection = self.writer(operation).await?;
        // Made before the statement runs: dropped in the middle of it, it is rolled back.
        let mut tx = WriteTx(Turn {
            connection,
            broken: Arc::clone(&self.0.writer.broken),
            database: self.clone(),
            operation,
            now: Timestamp::MIN,
            open: true,
            _permit: None,
        });
        // Left when the write lock is there, or will not be.
        let place = self.0.line.place().await;
        tx.0.begin("BEGIN IMMEDIATE").await?;
        drop(place);
        Ok(tx)
    }

    /// A connection to read from, for one statement. It never waits for a writer.
    pub async fn read(&self, operation: &'static str) -> Result<ReadTx> {
        let permit = timeout(
            self.0.config.queue_timeout(),
            Arc::clone(&self.0.free_readers).acquire_owned(),
        )
        .await
        .map_err(|_| self.queue_timed_out(operation))?
        .map_err(|_| Error::new(ErrorKind::Unavailable, operation, "the database was closed"))?;
        // A permit promises a free slot; another reader may leave and take slots while this one looks.
        let (slot, guard) = loop {
            let free = self.0.readers.iter().find_map(|slot| {
                Arc::clone(&slot.connection).try_lock_owned().ok().map(|guard| (slot, guard))
            });
            match free {
                Some(found) => break found,
                None => tokio::task::yield_now().await,
            }
        };
        let connection = self.connected(operation, slot, guard, Access::Read).await?;
        Ok(ReadTx(Turn {
            connection,
            broken: Arc::clone(&slot.broken),
            database: self.clone(),
            operation,
            now: self.0.clock.now(),
            open: false,
            _permit: Some(permit),
        }))
    }

    /// Like [`Self::read`], for statements that belong together: all see the file as it was at the first.
    pub async fn snapshot(&self, operation: &'static str) -> Result<ReadTx> {
        let mut read = self.read(operation).await?;
        read.0.open = true;
        read.0.begin("BEGIN").await?;
        Ok(read)
    }

    /// Closes all connections once their turns have ended, and folds the log into the file. Later calls on
    /// clones open new ones.
    pub async fn close(self) -> Result<()> {
        for slot in self.0.readers.iter().chain([&self.0.writer]) {
            let connection = slot.connection.lock().await.take();
            if let Some(connection) = connection {
                connection.close().await.map_err(|e| error::map("sqlite.close", self.file(), e))?;
            }
        }
        Ok(())
    }

    async fn writer(&self, operation: &'static str) -> Result<Guard> {
        let slot = &self.0.writer;
        let lock = Arc::clone(&slot.connection).lock_owned();
        let guard = timeout(self.0.config.queue_timeout(), lock)
            .await
            .map_err(|_| self.queue_timed_out(operation))?;
        self.connected(operation, slot, guard, Access::Write).await
    }

    async fn connected(
        &self,
        operation: &'static str,
        slot: &Slot,
        mut guard: OwnedMutexGuard<Option<SqliteConnection>>,
        access: Access,
    ) -> Result<Guard> {
        if slot.broken.swap(false, Ordering::AcqRel) {
            *guard = None;
        }
        if guard.is_none() {
            let opened = connect(&self.0.config, &self.0.file, access).await;
            *guard = Some(opened.map_err(|e| error::map(operation, &self.0.file, e))?);
        }
        OwnedMutexGuard::try_map(guard, Option::as_mut)
            .map_err(|_| Error::new(ErrorKind::Internal, operation, "a connection is missing"))
    }

    fn queue_timed_out(&self, operation: &'static str) -> Error {
        Error::new(
            ErrorKind::Timeout,
            operation,
            format!(
                "no turn within {} ms: this process asks for more than the file can do",
                self.0.config.queue_timeout_ms
            ),
        )
        .not_applied()
        .with("file", self.0.file.display())
    }
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Opens one connection. The file is there already, with its journal mode.
///
/// No `mmap_size`: a file cut short under a mapping ends the process with SIGBUS instead of an error.
pub(crate) async fn connect(
    config: &SqliteConfig,
    file: &Path,
    access: Access,
) -> sqlx::Result<SqliteConnection> {
    let synchronous = match config.synchronous {
        Synchronous::Full => SqliteSynchronous::Full,
        Synchronous::Normal => SqliteSynchronous::Normal,
    };
    let options = SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(config.busy_timeout())
        .foreign_keys(true)
        .synchronous(synchronous)
        // Negative: KiB rather than pages.
        .pragma("cache_size", format!("-{}", config.cache_kib))
        .pragma("temp_store", "MEMORY")
        // A log that one large transaction has grown is cut back at the next checkpoint.
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging();
    let options = match access {
        // A reader that tries to write is a defect of ours: SQLite refuses it.
        Access::Read => options.pragma("query_only", "ON"),
        Access::Write => options,
    };
    options.connect().await
}

/// One holder of a connection.
struct Turn {
    // Dropped in this order: the connection is free before the permit says so.
    connection: Guard,
    broken: Arc<AtomicBool>,
    database: Database,
    operation: &'static str,
    now: Timestamp,
    open: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    async fn begin(&mut self, statement: &'static str) -> Result<()> {
        let statement = Some(statement.into_sql_str());
        let begun = SqliteTransactionManager::begin(&mut self.connection, statement).await;
        begun.map_err(|e| self.error(e))?;
        self.now = self.database.0.clock.now();
        Ok(())
    }

    fn error(&self, error: sqlx::Error) -> Error {
        if error::breaks_connection(&error) {
            self.broken.store(true, Ordering::Release);
        }
        error::map(self.operation, &self.database.0.file, error)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.open {
            // Queued for the connection's thread; does nothing where no transaction is open.
            SqliteTransactionManager::start_rollback(&mut self.connection);
        }
    }
}

/// The right to write, until committed or dropped. Holds the file's write lock: no other work in between.
pub struct WriteTx(Turn);

impl WriteTx {
    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    /// The instant of this change: taken after the lock, so that it is the same order as that of commits.
    pub fn now(&self) -> Timestamp {
        self.0.now
    }

    /// `port.method`, as errors name it.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The connection to run statements on.
    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.0.connection
    }

    /// A driver's failure as this call's failure, with the file and the way out.
    pub fn error(&self, error: sqlx::Error) -> Error {
        self.0.error(error)
    }

    /// Makes the change durable.
    pub async fn commit(self) -> Result<()> {
        self.commit_before((), |()| ()).await
    }

    /// As [`Self::commit`]; `then` runs before the next one may write.
    pub(crate) async fn commit_before<T>(mut self, with: T, then: impl FnOnce(T)) -> Result<()> {
        match SqliteTransactionManager::commit(&mut self.0.connection).await {
            Ok(()) => {
                self.0.open = false;
                then(with);
                Ok(())
            }
            Err(error) => {
                if error::breaks_connection(&error) {
                    self.0.broken.store(true, Ordering::Release);
                }
                Err(error::map_commit(self.0.operation, &self.0.database.0.file, error))
            }
        }
    }
}

/// An open write transaction, whoever began it: what statements run on, when it is, and how failures are told.
pub(crate) struct Work<'c> {
    connection: &'c mut SqliteConnection,
    /// Where it is remembered that the connection is to be opened anew; nobody's business for a caller's own.
    broken: Option<&'c AtomicBool>,
    file: &'c Path,
    operation: &'static str,
    now: Timestamp,
}

impl Work<'_> {
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn operation(&self) -> &'static str {
        self.operation
    }

    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        self.connection
    }

    pub(crate) fn error(&self, error: sqlx::Error) -> Error {
        if let Some(broken) = self.broken.filter(|_| error::breaks_connection(&error)) {
            broken.store(true, Ordering::Release);
        }
        error::map(self.operation, self.file, error)
    }
}

impl WriteTx {
    /// This transaction, for steps that may also run in a caller's.
    pub(crate) fn work(&mut self) -> Work<'_> {
        let Turn { connection, broken, database, operation, now, .. } = &mut self.0;
        let (file, operation, now) = (database.0.file.as_path(), *operation, *now);
        Work { connection, broken: Some(broken), file, operation, now }
    }
}

impl Database {
    /// A transaction that a caller began on a connection of its own to this file. The present is taken now: the
    /// write lock has to be held.
    pub(crate) fn within<'c>(
        &'c self,
        connection: &'c mut SqliteConnection,
        operation: &'static str,
    ) -> Work<'c> {
        let (file, now) = (self.file(), self.0.clock.now());
        Work { connection, broken: None, file, operation, now }
    }
}

/// A connection to read from, until dropped.
pub struct ReadTx(Turn);

impl ReadTx {
    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    /// The reader's present: what is live is judged by it.
    pub fn now(&self) -> Timestamp {
        self.0.now
    }

    /// `port.method`, as errors name it.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The connection to run statements on.
    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.0.connection
    }

    /// A driver's failure as this call's failure, with the file and the way out.
    pub fn error(&self, error: sqlx::Error) -> Error {
        self.0.error(error)
    }
}
