//! How a PostgreSQL server is reached.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use hexmem_ports::{Error, Result};
use serde::{Deserialize, Serialize};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

const OPERATION: &str = "postgres.config";

/// Which server, and how. Everything but the URL has a default.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PgConfig {
    /// `postgres://user:password@host:port/database`. Parameters of libpq are understood (`sslmode`,
    /// `sslrootcert`, `host=/socket/folder`, ...); the fields below win over them.
    pub url: String,
    /// A server that follows the first one. Reads that accept lag go there: listings, counts and statistics;
    /// never a read by id or by token, and nothing that decides a write. The first one is asked where it fails.
    pub replica_url: Option<String>,
    /// The schema that holds the tables: 1 to 48 of `a-z`, `0-9` and `_`, not starting with a digit.
    pub schema: String,
    /// Connections to each server at once: 1 to 1,000. Opened when first needed.
    pub max_connections: u32,
    /// How long a call waits for a free connection, in milliseconds: 1 to 600,000.
    pub acquire_timeout_ms: u32,
    /// How long opening a connection may take, in milliseconds: 1 to 600,000.
    pub connect_timeout_ms: u32,
    /// How long one statement may take, in milliseconds: 1 to 3,600,000. The server ends it then; a server
    /// that does not answer at all is given up at the same time.
    pub statement_timeout_ms: u32,
    /// After how long without use a connection is closed, in milliseconds: 1 to 86,400,000.
    pub idle_timeout_ms: u32,
    /// After how long a connection is replaced, in milliseconds: 1 to 86,400,000. So that a new address of the
    /// server is noticed.
    pub max_lifetime_ms: u32,
    /// Whether and how the connection is encrypted. Without it the URL's `sslmode` decides, and where that is
    /// missing `prefer`.
    pub tls: Option<TlsMode>,
    /// The certificates that the server's is checked against, as a PEM file. Without it those of the system.
    pub tls_ca: Option<PathBuf>,
    /// This client's certificate, as a PEM file.
    pub tls_cert: Option<PathBuf>,
    /// The key of this client's certificate, as a PEM file.
    pub tls_key: Option<PathBuf>,
    /// How the connection is named in `pg_stat_activity`.
    pub application_name: String,
    /// Prepared statements kept by each connection: 0 to 10,000.
    pub statement_cache_capacity: u32,
    /// What lies between this program and the server.
    pub pooling: Pooling,
    /// How waiting calls learn that something has come.
    pub notify: Notify,
    /// Whether connecting brings the tables up to date.
    pub migrate: Migrate,
    /// Whether the tables of the cache survive a crash of the server.
    pub cache_tables: CacheTables,
}

/// What lies between this program and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Nothing, or a pooler that gives a client one server connection for as long as it stays.
    #[default]
    Session,
    /// A pooler that gives a server connection for one transaction (PgBouncer `pool_mode = transaction`, Odyssey,
    /// Supavisor). Statements are not kept prepared, each runs within an explicit transaction, and nothing is
    /// set at the start of a session. Costs three round trips more for each call.
    Transaction,
}

/// How waiting calls learn that something has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notify {
    /// One connection listens for all of them; they look by themselves now and then as well. With
    /// [`Pooling::Transaction`] they only look: a pooler does not keep a listener.
    #[default]
    Listen,
    /// They look by themselves.
    Poll,
}

/// Whether connecting brings the tables up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Migrate {
    /// No: tables that are missing or older are an error that says so.
    #[default]
    Never,
    /// Yes, once, whoever comes first; the others wait.
    Connect,
}

/// Whether the tables of the cache (answers and the generations of their tags) survive a crash of the server. A change
/// rewrites them, and is made where the tables are brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheTables {
    /// They stay as they are: logged, unless they were changed.
    #[default]
    AsTheyAre,
    /// They survive, and are there on followers.
    Logged,
    /// Writes skip the server's log. After a crash, and on a follower that takes over, the cache is empty; followers
    /// cannot read it. Nothing outdated is served then: a ticket from before names generations that are gone too.
    Unlogged,
}

/// Whether and how the connection is encrypted, as libpq names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Where the server offers it; nothing is checked.
    Prefer,
    /// Always; nothing is checked.
    Require,
    /// Always, and the server's certificate is checked.
    VerifyCa,
    /// Always, and the server's certificate and name are checked.
    VerifyFull,
}

impl Default for PgConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            replica_url: None,
            schema: "hexmem".to_owned(),
            max_connections: 10,
            acquire_timeout_ms: 5_000,
            connect_timeout_ms: 5_000,
            statement_timeout_ms: 30_000,
            idle_timeout_ms: 600_000,
            max_lifetime_ms: 1_800_000,
            tls: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            application_name: "hexmem".to_owned(),
            statement_cache_capacity: 500,
            pooling: Pooling::Session,
            notify: Notify::Listen,
            migrate: Migrate::Never,
            cache_tables: CacheTables::AsTheyAre,
        }
    }
}

/// A password is a secret: everything but it is printed.
impl fmt::Debug for PgConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgConfig")
            .field("url", &shown(&self.url))
            .field("replica_url", &self.replica_url.as_deref().map(shown))
            .field("schema", &self.schema)
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout_ms", &self.acquire_timeout_ms)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("statement_timeout_ms", &self.statement_timeout_ms)
            .field("idle_timeout_ms", &self.idle_timeout_ms)
            .field("max_lifetime_ms", &self.max_lifetime_ms)
            .field("tls", &self.tls)
            .field("tls_ca", &self.tls_ca)
            .field("tls_cert", &self.tls_cert)
            .field("tls_key", &self.tls_key)
            .field("application_name", &self.application_name)
            .field("statement_cache_capacity", &self.statement_cache_capacity)
            .field("pooling", &self.pooling)
            .field("notify", &self.notify)
            .field("migrate", &self.migrate)
            .field("cache_tables", &self.cache_tables)
            .finish()
    }
}

/// Where a URL leads: `host:port/database` and the user, never the password or the parameters.
pub(crate) fn shown(url: &str) -> String {
    PgConnectOptions::from_str(url).map_or_else(|_| "(not a URL)".to_owned(), |o| place(&o))
}

/// `user@host:port/database`.
pub(crate) fn place(options: &PgConnectOptions) -> String {
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    match options.get_socket() {
        Some(socket) => format!("{user}@{}/{database}", socket.display()),
        None => format!("{user}@{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

impl PgConfig {
    /// The defaults on `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// `Invalid` for a value out of its range, naming it.
    pub fn check(&self) -> Result<()> {
        for (name, value, least, most) in [
            ("max_connections", self.max_connections, 1, 1_000),
            ("acquire_timeout_ms", self.acquire_timeout_ms, 1, 600_000),
            ("connect_timeout_ms", self.connect_timeout_ms, 1, 600_000),
            ("statement_timeout_ms", self.statement_timeout_ms, 1, 3_600_000),
            ("idle_timeout_ms", self.idle_timeout_ms, 1, 86_400_000),
            ("max_lifetime_ms", self.max_lifetime_ms, 1, 86_400_000),
            ("statement_cache_capacity", self.statement_cache_capacity, 0, 10_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Error::invalid(
                    OPERATION,
                    format!("pg.{name} is {value}; it is {least} to {most}"),
                ));
            }
        }
        check_schema(&self.schema)
    }

    pub(crate) fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.acquire_timeout_ms.into())
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.into())
    }

    pub(crate) fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms.into())
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms.into())
    }

    /// Whether connections keep prepared statements.
    pub(crate) fn keeps_statements(&self) -> bool {
        self.pooling == Pooling::Session && self.statement_cache_capacity > 0
    }

    pub(crate) fn max_lifetime(&self) -> Duration {
        Duration::from_millis(self.max_lifetime_ms.into())
    }

    /// How a connection to `url` is opened.
    pub(crate) fn options(&self, url: &str) -> Result<PgConnectOptions> {
        let mut options = parse(url)?
            .application_name(&self.application_name)
            .disable_statement_logging()
            // Floats travel as they are: all values are binary. PgBouncer refuses the parameter.
            .extra_float_digits(None);
        if let Some(mode) = self.tls {
            options = options.ssl_mode(match mode {
                TlsMode::Disable => PgSslMode::Disable,
                TlsMode::Prefer => PgSslMode::Prefer,
                TlsMode::Require => PgSslMode::Require,
                TlsMode::VerifyCa => PgSslMode::VerifyCa,
                TlsMode::VerifyFull => PgSslMode::VerifyFull,
            });
        }
        if let Some(file) = &self.tls_ca {
            options = options.ssl_root_cert(file);
        }
        if let Some(file) = &self.tls_cert {
            options = options.ssl_client_cert(file);
        }
        if let Some(file) = &self.tls_key {
            options = options.ssl_client_key(file);
        }
        Ok(match self.pooling {
            Pooling::Session => options
                .statement_cache_capacity(
                    usize::try_from(self.statement_cache_capacity).unwrap_or(usize::MAX),
                )
                .options([
                    ("statement_timeout", self.statement_timeout_ms.to_string()),
                    // A transaction that its client forgot holds locks and keeps dead rows.
                    (
                        "idle_in_transaction_session_timeout",
                        self.statement_timeout_ms.saturating_mul(2).to_string(),
                    ),
                ]),
            Pooling::Transaction => options.statement_cache_capacity(0),
        })
    }
}

fn parse(url: &str) -> Result<PgConnectOptions> {
    let wrong = |what: &str| {
        // Never the text itself: it may hold a password.
        Err(Error::invalid(
            OPERATION,
            format!("the URL of PostgreSQL {what}; write postgres://user@host:5432/database"),
        ))
    };
    if url.is_empty() {
        return wrong("is missing");
    }
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return wrong("does not start with postgres://");
    }
    PgConnectOptions::from_str(url).or_else(|error| match error {
        sqlx::Error::Configuration(cause) => wrong(&format!("cannot be read ({cause})")),
        _ => wrong("cannot be read"),
    })
}

/// The name goes into statements, so that it is checked and not escaped. 48 leave room within the 63 bytes of
/// an identifier.
pub(crate) fn check_schema(name: &str) -> Result<()> {
    let fits = (1..=48).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.starts_with("pg_");
    if fits {
        return Ok(());
    }
    Err(Error::invalid(
        OPERATION,
        "pg.schema is 1 to 48 of a-z, 0-9 and _, starts with no digit and not with pg_",
    )
    .with("schema", name.chars().take(64).collect::<String>().escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_printed() {
        let config = PgConfig {
            replica_url: Some("postgres://u:hush2@h2/d2".into()),
            ..PgConfig::new("postgres://u:hush1@h:1/d?password=hush3")
        };
        let text = format!("{config:?}");
        assert!(!text.contains("hush"), "{text}");
        assert!(text.contains("u@h:1/d") && text.contains("u@h2:5432/d2"), "{text}");
    }

    #[test]
    fn a_wrong_url_is_told_without_the_url() {
        for (url, what) in [
            ("", "is missing"),
            ("mysql://u:hush@h/d", "does not start with"),
            ("postgres://u:hush@h:port/d", "cannot be read"),
            ("postgres://u:hush@h/d?sslmode=sometimes", "cannot be read"),
        ] {
            let error = PgConfig::new(url).options(url).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
            assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let config = PgConfig { max_connections: 0, ..PgConfig::new("postgres://h/d") };
        assert!(config.check().unwrap_err().to_string().contains("max_connections"));
        for name in ["", "a b", "A", "1a", "pg_x", "a\"b", "a.b", &"a".repeat(49)] {
            assert!(check_schema(name).is_err(), "{name}");
        }
        assert!(check_schema("team_2").is_ok());
    }
}
