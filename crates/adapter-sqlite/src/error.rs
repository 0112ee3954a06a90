//! SQLite's result codes as kinds of error, each with the file and the way out.
//!
//! Codes: <https://www.sqlite.org/rescode.html>.

use std::path::Path;

use hexmem_ports::{Error, ErrorKind};

const PERM: i32 = 3;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
const READONLY: i32 = 8;
const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const PROTOCOL: i32 = 15;
const TOOBIG: i32 = 18;
const AUTH: i32 = 23;
const NOTADB: i32 = 26;
/// The shared-memory file cannot grow: in practice a full disk.
const IOERR_SHMSIZE: i32 = 4_874;

/// The extended result code, where SQLite gave one.
fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// The primary result code, where SQLite gave one.
fn primary(error: &sqlx::Error) -> Option<i32> {
    code(error).map(|code| code & 0xff)
}

/// Whether another connection is in the way for a moment.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary(error), Some(BUSY | LOCKED | PROTOCOL))
}

/// Whether the connection must be opened anew: its thread is gone, or SQLite may have ended the transaction
/// by itself, which the driver does not notice (<https://www.sqlite.org/lang_transaction.html>, section 2.3).
pub(crate) fn breaks_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::WorkerCrashed
        | sqlx::Error::InvalidSavePointStatement
        | sqlx::Error::BeginFailed
        | sqlx::Error::Protocol(_) => true,
        _ => matches!(
            primary(error),
            Some(NOMEM | INTERRUPT | IOERR | CORRUPT | FULL | NOTADB | CANTOPEN | READONLY)
        ),
    }
}

/// A failure of `operation` on `file`.
pub(crate) fn map(operation: &'static str, file: &Path, error: sqlx::Error) -> Error {
    let (kind, message) = describe(&error);
    let mapped = Error::new(kind, operation, message).with("file", file.display());
    // A thread that died may have finished its last statement.
    let mapped = match error {
        sqlx::Error::WorkerCrashed => mapped.outcome_unknown(),
        _ => mapped,
    };
    mapped.caused_by(error)
}

/// A failure of a commit. A disk that failed during the last sync may still hold the change; every other
/// failure leaves it undone.
pub(crate) fn map_commit(operation: &'static str, file: &Path, error: sqlx::Error) -> Error {
    let unknown = matches!(primary(&error), Some(IOERR) | None);
    let mapped = map(operation, file, error);
    if unknown { mapped.outcome_unknown() } else { mapped.not_applied() }
}

fn describe(error: &sqlx::Error) -> (ErrorKind, &'static str) {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
            (ErrorKind::Corrupt, "a stored row is not what this program wrote; restore a backup")
        }
        sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => {
            (ErrorKind::Internal, "the connection to the file broke; repeat the call")
        }
        sqlx::Error::Io(_) => (ErrorKind::Unavailable, "the file cannot be reached"),
        _ => match (code(error), primary(error)) {
            (Some(IOERR_SHMSIZE), _) | (_, Some(FULL)) => {
                (ErrorKind::Unavailable, "the disk is full; free space and repeat the call")
            }
            (_, Some(BUSY | LOCKED | PROTOCOL)) => (
                ErrorKind::Unavailable,
                "another process holds the file; wait for it to finish or end it, and repeat the call",
            ),
            (_, Some(NOTADB)) => (
                ErrorKind::Corrupt,
                "the file is no SQLite database; it was left untouched: name another file or restore a backup",
            ),
            (_, Some(CORRUPT)) => (
                ErrorKind::Corrupt,
                "the file is damaged; it was left untouched: restore a backup, or save what is left with `sqlite3 FILE .recover`",
            ),
            (_, Some(READONLY | PERM | AUTH)) => (
                ErrorKind::Denied,
                "the file or its folder is read-only for this user; allow writing or name another file",
            ),
            (_, Some(CANTOPEN)) => (
                ErrorKind::Denied,
                "the file cannot be opened; check that it is a file, and that this user may read and write it and its folder",
            ),
            (_, Some(IOERR)) => {
                (ErrorKind::Unavailable, "the disk failed to read or write; check it and its mount")
            }
            (_, Some(NOMEM)) => (ErrorKind::Unavailable, "out of memory"),
            (_, Some(TOOBIG)) => (ErrorKind::Invalid, "a value is larger than SQLite holds"),
            _ => (ErrorKind::Internal, "an unexpected answer of SQLite"),
        },
    }
}
