//! A database of its own for each test, with a clock that the test moves.
//!
//! The server is that of `HEXMEM_TEST_PG_URL`. A template is migrated once for each state of the migrations and cloned
//! for each test (50 ms, against 150 ms for migrating a schema). It holds two schemas, `hexmem` and `twin`, so that a
//! twin costs nothing. `hexmem.now()` is replaced in the clone: time stands still until the test moves it.
#![allow(dead_code, reason = "each test file uses its part of the rig")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

pub(crate) mod server;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hexmem_adapter_pg::{PgConfig, Postgres};
use hexmem_conformance::{Rig, TestClock};
use hexmem_ports::{Capabilities, Digest, Outbox, Records, Timestamp};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::sync::Mutex;

/// The server of the tests. A suite without it does not pass in silence.
pub(crate) fn server_url() -> String {
    std::env::var("HEXMEM_TEST_PG_URL").unwrap_or_else(|_| {
        panic!("HEXMEM_TEST_PG_URL names no server; `cargo xtask test` starts one")
    })
}

/// `url` with another database.
pub(crate) fn on_database(url: &str, database: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, ""), |(base, query)| (base, query));
    let scheme = base.find("://").unwrap() + 3;
    let host = base[scheme..].find('/').map_or(base, |slash| &base[..scheme + slash]);
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{host}/{database}{mark}{query}")
}

/// A connection beside the store's own.
pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Runs statements of the test's own.
pub(crate) async fn run(connection: &mut PgConnection, sql: impl Into<String>) {
    let sql = sql.into();
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(sql.clone())))
        .await
        .unwrap_or_else(|error| panic!("{error}: {sql}"));
}

/// Settings on `url` with few connections.
pub(crate) fn config(url: &str) -> PgConfig {
    PgConfig { max_connections: 3, ..PgConfig::new(url) }
}

/// A database of one test; dropped with it.
pub(crate) struct Database {
    server: String,
    /// Where it is.
    pub(crate) url: String,
    name: String,
}

impl Database {
    /// An empty one on the server of the tests.
    pub(crate) async fn empty() -> Self {
        Self::make(&server_url(), "template0").await
    }

    /// One with all tables, in the schemas `hexmem` and `twin`.
    pub(crate) async fn migrated() -> Self {
        let server = server_url();
        let template = template(&server).await;
        Self::make(&server, &template).await
    }

    async fn make(server: &str, template: &str) -> Self {
        let name = format!("hexmem_test_{}", uuid::Uuid::new_v4().simple());
        let mut connection = connect(server).await;
        run(&mut connection, format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { server: server.to_owned(), url: on_database(server, &name), name }
    }

    /// A handle of its own, as another process would have.
    pub(crate) async fn open(&self, schema: &str) -> Postgres {
        Postgres::connect(PgConfig { schema: schema.to_owned(), ..self.config() }).await.unwrap()
    }

    /// The settings of [`Self::open`]. With `HEXMEM_TEST_PG_VIA=pgbouncer` they lead through the pooler of
    /// `HEXMEM_TEST_PGBOUNCER_URL`, in transaction mode: any suite can be run so.
    pub(crate) fn config(&self) -> PgConfig {
        if std::env::var("HEXMEM_TEST_PG_VIA").is_ok_and(|via| via == "pgbouncer") {
            return self.through_pgbouncer();
        }
        config(&self.url)
    }

    /// The settings that lead through a pooler of transactions.
    pub(crate) fn through_pgbouncer(&self) -> PgConfig {
        let pooler = std::env::var("HEXMEM_TEST_PGBOUNCER_URL").unwrap_or_else(|_| {
            panic!("HEXMEM_TEST_PGBOUNCER_URL names no pooler; `cargo xtask test` starts one")
        });
        PgConfig {
            pooling: hexmem_adapter_pg::Pooling::Transaction,
            ..config(&on_database(&pooler, &self.name))
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // Not on the test's own threads: they may be ending.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&server).await?;
                let sql = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
                connection.execute(sqlx::raw_sql(sql)).await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("the database of a test stays: {error}");
        }
    }
}

async fn exists(connection: &mut PgConnection, name: &str) -> bool {
    let sql = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
    sqlx::query_scalar(sql).bind(name).fetch_one(connection).await.unwrap()
}

/// The name of the migrated template, made where it is missing.
async fn template(server: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/pg");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let digest = Digest::of_parts(texts.iter().map(Vec::as_slice)).to_hex();
    let name = format!("hexmem_template_{}", &digest[..16]);
    let mut connection = connect(server).await;
    if exists(&mut connection, &name).await {
        return name;
    }
    run(&mut connection, "SELECT pg_advisory_lock(7270931)").await;
    if !exists(&mut connection, &name).await {
        // Renamed when it is whole: a test that is killed in between leaves no half a template.
        let unfinished = format!("hexmem_unfinished_{}", uuid::Uuid::new_v4().simple());
        run(&mut connection, format!("CREATE DATABASE {unfinished} TEMPLATE template0")).await;
        for schema in ["hexmem", "twin"] {
            let config = config(&on_database(server, &unfinished));
            let config = PgConfig { schema: schema.to_owned(), ..config };
            Postgres::migrate_schema(config).await.unwrap();
        }
        // The server may still be closing the connections of the migration.
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{unfinished}'"
        );
        run(&mut connection, end).await;
        let rename = format!("ALTER DATABASE {unfinished} RENAME TO {name}");
        let mut renamed = connection.execute(sqlx::raw_sql(AssertSqlSafe(rename.clone()))).await;
        for _ in 0..100 {
            if renamed.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            renamed = connection.execute(sqlx::raw_sql(AssertSqlSafe(rename.clone()))).await;
        }
        renamed.unwrap();
    }
    // The lock ends with the connection.
    name
}

/// The clock of a database: it stands still until it is moved. A unit is a minute.
pub(crate) struct ServerClock(Mutex<(PgConnection, Timestamp)>);

impl ServerClock {
    /// Of the database at `url`, stopped at the server's present.
    pub(crate) async fn stopped(url: &str) -> Arc<Self> {
        let mut connection = connect(url).await;
        let sql = "SELECT hexmem.micros(clock_timestamp())";
        let micros = sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await.unwrap();
        let clock = Self(Mutex::new((connection, Timestamp::from_micros(micros).unwrap())));
        clock.add(Duration::ZERO).await;
        Arc::new(clock)
    }

    /// Adds `span` to the present.
    pub(crate) async fn add(&self, span: Duration) {
        let mut guard = self.0.lock().await;
        let (connection, now) = &mut *guard;
        *now = now.plus(span);
        // A constant, which is inlined as the real one is; plans that hold the old one are made anew.
        let sql = ["hexmem", "twin"].map(|schema| {
            format!(
                "CREATE OR REPLACE FUNCTION {schema}.now() RETURNS timestamptz LANGUAGE sql VOLATILE AS \
                 'SELECT timestamptz ''{now}''';"
            )
        });
        run(connection, sql.concat()).await;
    }
}

#[async_trait]
impl TestClock for ServerClock {
    fn unit(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn now(&self) -> Timestamp {
        self.0.lock().await.1
    }

    async fn advance(&self, units: u32) {
        self.add(self.unit() * units).await;
    }
}

/// The clock of a database in units of a second: for what is believed for a few seconds.
pub(crate) struct Seconds(pub(crate) Arc<ServerClock>);

#[async_trait]
impl TestClock for Seconds {
    fn unit(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn now(&self) -> Timestamp {
        self.0.now().await
    }

    async fn advance(&self, units: u32) {
        self.0.add(self.unit() * units).await;
    }
}

/// A database, two handles on it that share nothing, an empty twin on the same clock, and the clock.
pub(crate) struct Bench {
    /// The handle that a case uses most.
    pub(crate) first: Postgres,
    /// A second one with connections of its own.
    pub(crate) second: Postgres,
    /// An empty store apart.
    pub(crate) twin: Postgres,
    /// The time of all three.
    pub(crate) clock: Arc<ServerClock>,
    /// Where they are.
    pub(crate) database: Arc<Database>,
}

/// A bench for one test.
pub(crate) async fn bench() -> Bench {
    bench_with(Database::config).await
}

/// A bench whose handles are opened with other settings.
pub(crate) async fn bench_with(config: impl Fn(&Database) -> PgConfig) -> Bench {
    bench_on(Database::migrated().await, config).await
}

/// A bench whose database has the extension pgvector, which the server must offer.
pub(crate) async fn bench_with_pgvector() -> Bench {
    let database = Database::migrated().await;
    run(&mut connect(&database.url).await, "CREATE EXTENSION vector").await;
    bench_on(database, Database::config).await
}

async fn bench_on(database: Database, config: impl Fn(&Database) -> PgConfig) -> Bench {
    let database = Arc::new(database);
    let open = async |schema: &str| {
        let config = PgConfig { schema: schema.to_owned(), ..config(&database) };
        Postgres::connect(config).await.unwrap()
    };
    Bench {
        first: open("hexmem").await,
        second: open("hexmem").await,
        twin: open("twin").await,
        clock: ServerClock::stopped(&database.url).await,
        database,
    }
}

impl Bench {
    /// The rig of a port: `store` gives it from a handle.
    pub(crate) fn rig<P: ?Sized, S: Records>(
        self,
        store: impl Fn(&Postgres) -> Arc<S>,
        port: impl Fn(Arc<S>) -> Arc<P>,
        declares: impl Fn(&S) -> Capabilities,
    ) -> Rig<P> {
        let (first, second, twin) = (store(&self.first), store(&self.second), store(&self.twin));
        let declares = declares(&first);
        let mut rig = Rig::new("pg", port(Arc::clone(&first)), declares, self.clock.clone());
        rig.other = port(second);
        rig.twin = Some((port(Arc::clone(&twin)), twin as Arc<dyn Records>));
        rig.records = Some(first as Arc<dyn Records>);
        rig.outbox = Some(Arc::new(self.first.outbox()) as Arc<dyn Outbox>);
        rig.guard = Some(Arc::new(self));
        rig
    }
}
