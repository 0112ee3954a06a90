//! The settings of PostgreSQL, and the handle that they describe.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

/// An address that may hold a password: printed and shown without it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Of `url` as it is.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole address, password included.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Scheme, user, host and path. Parameters may hold a password too, so they are left out.
    fn shown(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else { return "(hidden)".to_owned() };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = match authority.rsplit_once('@') {
            Some((user, host)) => {
                format!("{}@{host}", user.split(':').next().unwrap_or_default())
            }
            None => authority.to_owned(),
        };
        format!("{scheme}://{host}/{path}")
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

/// How PostgreSQL is reached. What is not given has the adapter's default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PgSettings {
    /// `postgres://user:password@host:port/database`. Alone it switches no backend.
    pub url: Option<SecretUrl>,
    /// A server that follows the first one, for reads that accept lag.
    pub replica_url: Option<SecretUrl>,
    /// The schema that holds the tables.
    pub schema: Option<String>,
    /// Connections to each server at once.
    pub max_connections: Option<u32>,
    /// How long a call waits for a free connection, in milliseconds.
    pub acquire_timeout_ms: Option<u32>,
    /// How long opening a connection may take, in milliseconds.
    pub connect_timeout_ms: Option<u32>,
    /// How long one statement may take, in milliseconds.
    pub statement_timeout_ms: Option<u32>,
    /// After how long without use a connection is closed, in milliseconds.
    pub idle_timeout_ms: Option<u32>,
    /// After how long a connection is replaced, in milliseconds.
    pub max_lifetime_ms: Option<u32>,
    /// `disable`, `prefer`, `require`, `verify-ca` or `verify-full`.
    pub tls: Option<PgTls>,
    /// The certificates that the server's is checked against, as a PEM file.
    pub tls_ca: Option<PathBuf>,
    /// This client's certificate, as a PEM file.
    pub tls_cert: Option<PathBuf>,
    /// The key of this client's certificate, as a PEM file.
    pub tls_key: Option<PathBuf>,
    /// How the connection is named in `pg_stat_activity`.
    pub application_name: Option<String>,
    /// Prepared statements kept by each connection.
    pub statement_cache_capacity: Option<u32>,
    /// `session`, or `transaction` behind a pooler of transactions.
    pub pooling: Option<PgPooling>,
    /// `listen` or `poll`.
    pub notify: Option<PgNotify>,
    /// `never` or `connect`.
    pub migrate: Option<PgMigrate>,
    /// `as_they_are`, `logged` or `unlogged`; a change is made where the tables are brought up to date.
    pub cache_tables: Option<PgCacheTables>,
}

/// Whether and how the connection is encrypted, as libpq names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PgTls {
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

/// What lies between this program and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PgPooling {
    /// Nothing, or a pooler of sessions.
    Session,
    /// A pooler of transactions.
    Transaction,
}

/// How waiting calls learn that something has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PgNotify {
    /// One connection listens.
    Listen,
    /// They look by themselves.
    Poll,
}

/// Whether connecting brings the tables up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PgMigrate {
    /// No: `hexmem schema migrate` does.
    Never,
    /// Yes.
    Connect,
}

/// Whether the tables of the cache survive a crash of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PgCacheTables {
    /// As they were made or changed before.
    AsTheyAre,
    /// They do, and followers have them.
    Logged,
    /// They are empty after a crash and on followers; writes cost less.
    Unlogged,
}

#[cfg(feature = "pg")]
pub use hexmem_adapter_pg::{Applied, Inspection, SchemaStatus};

#[cfg(feature = "pg")]
mod open {
    use hexmem_adapter_pg::{
        Applied, CacheTables, Migrate, Notify, PgConfig, Pooling, Postgres, SchemaStatus, TlsMode,
    };
    use hexmem_ports::{Error, Result};

    use super::{PgCacheTables, PgMigrate, PgNotify, PgPooling, PgSettings, PgTls};
    use crate::Stores;

    impl Stores {
        /// The PostgreSQL server.
        pub async fn postgres(&self) -> Result<&Postgres> {
            let open = async || Box::pin(Postgres::connect(self.settings().pg.config()?)).await;
            self.postgres_cell().get_or_try_init(open).await
        }

        /// What is applied in the schema of PostgreSQL, and what is not.
        pub async fn schema_status(&self) -> Result<SchemaStatus> {
            Postgres::schema_status(self.settings().pg.config()?).await
        }

        /// Brings the schema of PostgreSQL up to date; the steps that were missing.
        pub async fn migrate_schema(&self) -> Result<Vec<Applied>> {
            Postgres::migrate_schema(self.settings().pg.config()?).await
        }
    }

    impl PgSettings {
        /// As the adapter takes it. `Invalid` without a URL.
        fn config(&self) -> Result<PgConfig> {
            let url = self.url.as_ref().ok_or_else(|| {
                Error::invalid(
                    "config.open",
                    "PostgreSQL has no address; set pg.url, HEXMEM__PG__URL, DATABASE_URL or POSTGRES_DSN",
                )
                .with("key", "pg.url")
            })?;
            let mut config = PgConfig::new(url.expose());
            config.replica_url = self.replica_url.as_ref().map(|url| url.expose().to_owned());
            let set = |given: Option<u32>, at: &mut u32| *at = given.unwrap_or(*at);
            set(self.max_connections, &mut config.max_connections);
            set(self.acquire_timeout_ms, &mut config.acquire_timeout_ms);
            set(self.connect_timeout_ms, &mut config.connect_timeout_ms);
            set(self.statement_timeout_ms, &mut config.statement_timeout_ms);
            set(self.idle_timeout_ms, &mut config.idle_timeout_ms);
            set(self.max_lifetime_ms, &mut config.max_lifetime_ms);
            set(self.statement_cache_capacity, &mut config.statement_cache_capacity);
            if let Some(schema) = &self.schema {
                config.schema.clone_from(schema);
            }
            if let Some(name) = &self.application_name {
                config.application_name.clone_from(name);
            }
            config.tls = self.tls.map(|mode| match mode {
                PgTls::Disable => TlsMode::Disable,
                PgTls::Prefer => TlsMode::Prefer,
                PgTls::Require => TlsMode::Require,
                PgTls::VerifyCa => TlsMode::VerifyCa,
                PgTls::VerifyFull => TlsMode::VerifyFull,
            });
            config.tls_ca.clone_from(&self.tls_ca);
            config.tls_cert.clone_from(&self.tls_cert);
            config.tls_key.clone_from(&self.tls_key);
            config.pooling = match self.pooling {
                Some(PgPooling::Transaction) => Pooling::Transaction,
                Some(PgPooling::Session) | None => Pooling::Session,
            };
            config.notify = match self.notify {
                Some(PgNotify::Poll) => Notify::Poll,
                Some(PgNotify::Listen) | None => Notify::Listen,
            };
            config.migrate = match self.migrate {
                Some(PgMigrate::Connect) => Migrate::Connect,
                Some(PgMigrate::Never) | None => Migrate::Never,
            };
            config.cache_tables = match self.cache_tables {
                Some(PgCacheTables::Logged) => CacheTables::Logged,
                Some(PgCacheTables::Unlogged) => CacheTables::Unlogged,
                Some(PgCacheTables::AsTheyAre) | None => CacheTables::AsTheyAre,
            };
            Ok(config)
        }
    }
}
