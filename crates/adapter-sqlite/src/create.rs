//! Making the file, and refusing one that is not ours before anything of it is touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hexmem_ports::{Error, ErrorKind, Result};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};

use crate::connect::{Access, connect};
use crate::{SqliteConfig, error};

const OPEN: &str = "sqlite.open";

/// Marks a file as hexmem's, in the file's header: "hxmm".
const APPLICATION_ID: i64 = 0x6878_6d6d;

/// How often a step that another process disturbs is repeated within the busy timeout.
const PAUSE: Duration = Duration::from_millis(10);

/// Creates folder and file where missing, checks that the file is ours, and sets its journal mode. Returns
/// the absolute path.
pub(crate) async fn prepare(config: &SqliteConfig) -> Result<PathBuf> {
    let file = std::path::absolute(&config.path)
        .map_err(|e| Error::invalid(OPEN, "the path cannot be used").caused_by(e))?;
    make_folder(file.parent())?;
    if is_empty(&file)? {
        create(&file).await?;
    } else if !exists_beside(&file, "-journal") {
        // With a journal beside it the header may be half of a change; then the check below must do.
        refuse_foreign(config, &file).await?;
    }
    let opened = connect(config, &file, Access::Write).await;
    let mut connection = opened.map_err(|e| error::map(OPEN, &file, e))?;
    let initialised = initialise(config, &file, &mut connection).await;
    // Closed here rather than by a thread some time later: a refused file is as it was on return.
    let closed = connection.close().await;
    initialised?;
    closed.map_err(|e| error::map(OPEN, &file, e))?;
    Ok(file)
}

/// Creates the folder and those above it for the owner alone, and syncs each into the one that holds it: a
/// commit is not durable in a folder that a power cut takes away.
fn make_folder(folder: Option<&Path>) -> Result<()> {
    let Some(folder) = folder.filter(|folder| !folder.is_dir()) else { return Ok(()) };
    make_folder(folder.parent())?;
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = match builder.create(folder) {
        // Another process was faster.
        Err(_) if folder.is_dir() => Ok(()),
        made => made,
    };
    let synced = made.and_then(|()| match folder.parent() {
        Some(parent) if cfg!(unix) => fs::File::open(parent)?.sync_all(),
        _ => Ok(()),
    });
    synced.map_err(|e| io_error("the folder cannot be created", folder, e))
}

fn io_error(what: &str, place: &Path, error: io::Error) -> Error {
    let (kind, hint) = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::Denied, "allow this user to write there, or name another place")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Unavailable, "the disk is full; free space and repeat the call")
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            (ErrorKind::Invalid, "a file stands where a folder should be; name another place")
        }
        _ => (ErrorKind::Unavailable, "check the path and its disk"),
    };
    Error::new(kind, OPEN, format!("{what}: {hint}")).with("path", place.display()).caused_by(error)
}

fn exists_beside(file: &Path, suffix: &str) -> bool {
    let mut beside = file.as_os_str().to_owned();
    beside.push(suffix);
    fs::metadata(beside).is_ok_and(|found| found.len() > 0)
}

/// Whether there is no file, or one of zero bytes that nothing was written to yet.
fn is_empty(file: &Path) -> Result<bool> {
    // The log first: a file always has its mark before it has a log.
    let logged = exists_beside(file, "-wal");
    match fs::metadata(file) {
        Ok(found) if found.is_dir() => {
            Err(Error::invalid(OPEN, "a folder stands where the file should be; name a file in it")
                .with("file", file.display()))
        }
        Ok(found) if found.len() == 0 && logged => Err(Error::corrupt(
            OPEN,
            "the file is empty but its log is not; both were left untouched: restore the file beside its log",
        )
        .with("file", file.display())),
        Ok(found) => Ok(found.len() == 0),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(io_error("the file cannot be looked at", file, e)),
    }
}

/// Creates the file for its owner alone.
async fn create(file: &Path) -> Result<()> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .disable_statement_logging();
    let created = options.connect().await.map_err(|e| error::map(OPEN, file, e))?;
    #[cfg(unix)]
    {
        // Still empty; log and shared memory take the mode of the file.
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(file, owner_only)
            .map_err(|e| io_error("the file cannot be kept to its owner", file, e))?;
    }
    created.close().await.map_err(|e| error::map(OPEN, file, e))
}

/// Reads the header through SQLite as an immutable file: no lock, no log, no change. Opening and closing
/// the file by other means would drop the locks that this process holds on it (POSIX locks belong to the
/// process: <https://www.sqlite.org/howtocorrupt.html>, section 2.2).
async fn refuse_foreign(config: &SqliteConfig, file: &Path) -> Result<()> {
    let mut found = read_mark(file).await;
    // Another process may be writing the header right now, or folding its log into the file.
    for _ in 0..3 {
        if matches!(found, Ok(APPLICATION_ID)) || found.is_err() && exists_beside(file, "-wal") {
            break;
        }
        tokio::time::sleep(config.busy_timeout().min(PAUSE * 5)).await;
        found = read_mark(file).await;
    }
    match found {
        Ok(APPLICATION_ID) => Ok(()),
        Ok(_) => Err(foreign(file)),
        // A process that ended while it folded its log into the file leaves a file that is whole with its log
        // only. Opening it with its log is the check then: what is damaged or foreign is refused there.
        Err(_) if exists_beside(file, "-wal") => Ok(()),
        Err(e) => Err(error::map(OPEN, file, e)),
    }
}

fn foreign(file: &Path) -> Error {
    Error::invalid(
        OPEN,
        "the file is a SQLite database of another program; it was left untouched: name another file",
    )
    .with("file", file.display())
}

async fn read_mark(file: &Path) -> sqlx::Result<i64> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .immutable(true)
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    let mark = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut connection).await;
    connection.close().await?;
    mark
}

/// Marks a new file, and sets the journal mode. Interrupted anywhere, the next one does what is missing.
async fn initialise(
    config: &SqliteConfig,
    file: &Path,
    connection: &mut SqliteConnection,
) -> Result<()> {
    let failed = |e| error::map(OPEN, file, e);
    let mark: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if mark != APPLICATION_ID {
        let tables: i64 = sqlx::query_scalar(include_str!("sql/schema/tables.sql"))
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        if mark != 0 || tables != 0 {
            return Err(foreign(file));
        }
        // In rollback mode, before the log exists: the header of every file of ours carries the mark.
        let set = format!("PRAGMA application_id = {APPLICATION_ID}");
        patiently(config, file, connection, &set).await?;
    }
    let mode = patiently(config, file, connection, "PRAGMA journal_mode = WAL").await?;
    if mode.as_deref() == Some("wal") {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unavailable,
        OPEN,
        "the file system cannot share memory between processes; put the file on a local disk",
    )
    .with("file", file.display()))
}

/// Runs a pragma, and again while another process is in the way: changes of the journal mode do not wait
/// by themselves.
async fn patiently(
    config: &SqliteConfig,
    file: &Path,
    connection: &mut SqliteConnection,
    pragma: &str,
) -> Result<Option<String>> {
    let mut left = config.busy_timeout();
    loop {
        let sql = AssertSqlSafe(pragma.to_owned());
        match sqlx::query_scalar(sql).fetch_optional(&mut *connection).await {
            Ok(answer) => return Ok(answer),
            Err(e) if error::is_busy(&e) && !left.is_zero() => {
                tokio::time::sleep(PAUSE.min(left)).await;
                left = left.saturating_sub(PAUSE);
            }
            Err(e) => return Err(error::map(OPEN, file, e)),
        }
    }
}
