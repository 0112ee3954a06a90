//! PostgreSQL's states as kinds of error, each with the place and the way out.
//!
//! States: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use std::io;
use std::time::Duration;

use hexmem_ports::{Error, ErrorKind, Retry};
use sqlx::postgres::{PgDatabaseError, PgErrorPosition, PgSeverity};

/// What failed, as far as its outcome matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Looking: nothing can have changed.
    Reading,
    /// A change that is committed with the statement, or the commit itself.
    Committing,
    /// A statement of a transaction that is not committed yet.
    Within,
}

/// The five characters of a failure that the server told.
pub(crate) fn state(error: &sqlx::Error) -> Option<&str> {
    database(error).map(PgDatabaseError::code)
}

fn database(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// Whether the connection can go on after `error`: the server has told it, and stays.
pub(crate) fn leaves_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::RowNotFound
        | sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_) => true,
        _ => database(error).is_some_and(|told| {
            !matches!(told.severity(), PgSeverity::Fatal | PgSeverity::Panic)
                // What was prepared is forgotten: a new connection may be better.
                && !matches!(told.code(), "26000" | "42P05")
                && !demoted(error)
        }),
    }
}

/// Whether the server undid the statement for a reason that is gone when it is repeated.
pub(crate) fn undone(error: &sqlx::Error) -> bool {
    // serialization_failure, deadlock_detected
    matches!(state(error), Some("40001" | "40P01"))
}

/// Whether the server has become a follower, and wrote nothing: a new connection may lead to the one that writes now.
pub(crate) fn demoted(error: &sqlx::Error) -> bool {
    // read_only_sql_transaction
    state(error) == Some("25006")
}

/// Whether the connection was found dead, so that another one may live.
pub(crate) fn lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(cause) => cause.kind() != io::ErrorKind::TimedOut,
        _ => {
            matches!(state(error), Some("57P01" | "57P02" | "57P03" | "26000" | "08006" | "08003"))
        }
    }
}

/// A failure of a statement on the server `place`.
pub(crate) fn map(operation: &'static str, place: &str, doing: Doing, error: sqlx::Error) -> Error {
    let (kind, message) = describe(&error);
    let mut mapped = Error::new(kind, operation, message).with("server", place);
    if let Some(told) = database(&error) {
        mapped = mapped.with("state", told.code());
        for (name, value) in [("constraint", told.constraint()), ("table", told.table())] {
            if let Some(value) = value {
                mapped = mapped.with(name, value);
            }
        }
    }
    if undone(&error) {
        mapped = mapped.retry(Retry::Soon);
    }
    // What the server refused it has undone, except where it went away in the middle of a commit.
    let open = doing == Doing::Committing && !refused(&error);
    let mapped = if open { mapped.outcome_unknown() } else { mapped.not_applied() };
    mapped.caused_by(told(error))
}

const UNENCRYPTED: (ErrorKind, &str) = (
    ErrorKind::Unavailable,
    "no encrypted connection: the server offers none, or its certificate is not accepted; check pg.tls, pg.tls_ca \
     and the host's name",
);

/// A failure to connect to `place`. Nothing was sent.
pub(crate) fn connecting(operation: &'static str, place: &str, error: sqlx::Error) -> Error {
    let (kind, message) = match &error {
        // A certificate that is refused comes as data that is not valid.
        sqlx::Error::Io(cause) if cause.kind() == io::ErrorKind::InvalidData => UNENCRYPTED,
        sqlx::Error::Tls(_) => UNENCRYPTED,
        sqlx::Error::Io(cause) => (ErrorKind::Unavailable, unreachable(cause)),
        sqlx::Error::Configuration(_) => {
            (ErrorKind::Invalid, "the settings of the connection are wrong; check the pg section")
        }
        other => match state(other) {
            Some("08P01") => (
                ErrorKind::Unavailable,
                "a pooler refuses what a session is started with; set pg.pooling to transaction, or add options to \
                 its ignore_startup_parameters",
            ),
            Some("3D000") => (
                ErrorKind::NotFound,
                "the database does not exist; create it with createdb, or correct the URL",
            ),
            _ => describe(other),
        },
    };
    let mut mapped = Error::new(kind, operation, message).with("server", place);
    if let Some(state) = state(&error) {
        mapped = mapped.with("state", state);
    }
    mapped.not_applied().caused_by(told(error))
}

/// No answer in time.
pub(crate) fn timed_out(
    operation: &'static str,
    place: &str,
    doing: Doing,
    after: Duration,
) -> Error {
    let error = Error::new(
        ErrorKind::Timeout,
        operation,
        format!(
            "no answer within {} ms; the server hangs or the call is too large: see pg.statement_timeout_ms",
            after.as_millis()
        ),
    )
    .with("server", place);
    match doing {
        Doing::Committing => error.outcome_unknown(),
        Doing::Reading | Doing::Within => error.not_applied(),
    }
}

/// Whether the server told that the statement failed, in a way that leaves no doubt that it was undone.
fn refused(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Encode(_) | sqlx::Error::Configuration(_) => true,
        _ => database(error)
            .is_some_and(|told| !matches!(told.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
    }
}

/// The cause without what may hold a user's data: the server quotes values in its detail.
fn told(error: sqlx::Error) -> Box<dyn std::error::Error + Send + Sync> {
    let Some(told) = database(&error) else { return Box::new(error) };
    let mut text = format!("{}: {}", told.code(), told.message());
    if let Some(hint) = told.hint() {
        text.push_str(" (");
        text.push_str(hint);
        text.push(')');
    }
    if let Some(PgErrorPosition::Original(at)) = told.position() {
        text.push_str(&format!(" at character {at} of the statement"));
    }
    text.into()
}

fn unreachable(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there; start PostgreSQL, or correct host and port of the URL"
        }
        io::ErrorKind::NotFound => "there is no such socket; start PostgreSQL, or correct the URL",
        io::ErrorKind::PermissionDenied => {
            "this user may not open the socket or a certificate's file"
        }
        _ => "PostgreSQL cannot be reached; check host, port and network",
    }
}

fn describe(error: &sqlx::Error) -> (ErrorKind, &'static str) {
    use ErrorKind::{
        AlreadyExists, Conflict, Corrupt, Denied, Internal, Invalid, RateLimited, Timeout,
        Unavailable, Unsupported,
    };
    let Some(told) = database(error) else {
        return match error {
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::RowNotFound => {
                (Corrupt, "a stored row is not what this program wrote; restore a backup")
            }
            sqlx::Error::Io(_) => {
                (Unavailable, "the connection broke; the server was stopped or cannot be reached")
            }
            sqlx::Error::Tls(_) => (Unavailable, "the encrypted connection broke"),
            sqlx::Error::Encode(_) => (Invalid, "a value cannot be sent"),
            _ => (Internal, "an unexpected answer of the driver"),
        };
    };
    // Nobody holds on to a connection's end: what a terminating server says is that it is not there.
    match told.code() {
        "28P01" | "28000" => (
            Denied,
            "the server refuses user or password; check the URL, and pg_hba.conf for this host and user",
        ),
        "42501" => (
            Denied,
            "this role may not do that; grant it USAGE and CREATE on the schema, or use the role that owns it",
        ),
        "3F000" | "42P01" | "42883" | "42703" => (
            Unsupported,
            "the tables are missing or of another version; run `hexmem schema status` and `hexmem schema migrate`",
        ),
        "0A000" | "58P01" | "42704" => {
            (Unsupported, "the server cannot do this; it is too old, or an extension is missing")
        }
        "26000" | "42P05" => (
            Unavailable,
            "a pooler shares connections and forgets prepared statements; set pg.pooling to transaction",
        ),
        "25006" => (
            Unavailable,
            "the server only reads: it follows another one; point pg.url at the one that writes",
        ),
        "53300" => (
            Unavailable,
            "the server has no free connection; lower pg.max_connections, or raise max_connections there",
        ),
        "53100" => (Unavailable, "the server's disk is full; free space there"),
        "53200" => (Unavailable, "the server is out of memory"),
        "53400" => (RateLimited, "the server's limits are reached"),
        "57014" => (
            Timeout,
            "the server ended the statement: it took longer than pg.statement_timeout_ms, or was cancelled",
        ),
        "55P03" => (Timeout, "a lock was not free in time; repeat the call"),
        "57P01" | "57P02" | "57P03" | "25P03" => {
            (Unavailable, "the server ended the connection: it stops or starts; repeat the call")
        }
        "40001" | "40P01" => (Conflict, "another change was in the way; repeat the call"),
        "23505" => (AlreadyExists, "a row of this key exists"),
        "54000" | "22001" | "22021" | "22P05" | "54001" => {
            (Invalid, "a value is larger than PostgreSQL holds, or is no text of its encoding")
        }
        code => match code.get(..2) {
            Some("08") => (Unavailable, "the connection broke; repeat the call"),
            Some("53") => (Unavailable, "the server lacks resources"),
            Some("57") => (Unavailable, "an operator intervened; repeat the call"),
            Some("58") => (Unavailable, "the server's machine failed; see its log"),
            Some("XX") => (Corrupt, "the server found its data damaged; see its log"),
            Some("23") => (Conflict, "a constraint of the tables refuses the change"),
            _ => (Internal, "an unexpected answer of PostgreSQL"),
        },
    }
}
