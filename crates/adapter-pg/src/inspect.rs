//! A look at the server, for whoever asks whether all is well.

use std::time::{Duration, Instant};

use hexmem_ports::Result;
use serde::Serialize;

use crate::value::{micros, span};
use crate::{PoolState, Postgres, SchemaStatus, migrate};

const OPERATION: &str = "postgres.inspect";

/// Transactions that are open for longer are told.
const LONG: Duration = Duration::from_secs(60);

/// What the server and the tables look like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// `user@host:port/database`.
    pub server: String,
    /// PostgreSQL's version.
    pub version: String,
    /// One round trip on an open connection, in microseconds.
    pub latency_micros: u64,
    /// Whether the server only follows another: then nothing can be written here.
    pub is_follower: bool,
    /// Whether what is acknowledged survives a power cut: `fsync`, `full_page_writes`, and `synchronous_commit` for this role.
    pub is_durable: bool,
    /// The connections of this process.
    pub pool: PoolState,
    /// Connections to the server, of everybody.
    pub connections: i64,
    /// The most that it takes.
    pub max_connections: i64,
    /// Bytes of the database.
    pub database_bytes: i64,
    /// The part of the schema's blocks that was found in the server's memory, 0 to 1; `None` before anything was read.
    pub cache_hit_ratio: Option<f64>,
    /// What is applied.
    pub schema: SchemaStatus,
    /// The tables, the largest first.
    pub tables: Vec<TableSize>,
    /// Indexes that the migrations make and that are not there, or cannot be used.
    pub missing_indexes: Vec<String>,
    /// Indexes, by name.
    pub indexes: Vec<IndexSize>,
    /// Transactions that are open for longer than a minute, the oldest first: they keep dead rows from being freed.
    pub long_transactions: Vec<OpenTransaction>,
    /// The servers that follow this one, as far as this role may see them.
    pub followers: Vec<Follower>,
    /// How far the server of `replica_url` is behind, in microseconds; `None` without one.
    pub replica_lag_micros: Option<u64>,
    /// What is wrong, each with the way out. Empty when all is well.
    pub findings: Vec<String>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableSize {
    /// Its name.
    pub name: String,
    /// Rows, estimated.
    pub rows: i64,
    /// Rows that are dead and not freed, estimated.
    pub dead_rows: i64,
    /// Bytes without indexes.
    pub bytes: i64,
    /// Bytes of its indexes.
    pub index_bytes: i64,
    /// How often all of it was read.
    pub whole_reads: i64,
    /// How often an index was used.
    pub index_reads: i64,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexSize {
    /// Its name.
    pub name: String,
    /// Whether the planner may use it.
    pub usable: bool,
    /// Its bytes.
    pub bytes: i64,
    /// How often it was used.
    pub reads: i64,
}

/// A transaction that is open for long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenTransaction {
    /// The server's process.
    pub pid: i32,
    /// Whose it is.
    pub application: String,
    /// What it does: `active`, `idle in transaction`, ...
    pub state: String,
    /// Since how many microseconds.
    pub open_micros: u64,
}

/// A server that follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Follower {
    /// Its name.
    pub name: String,
    /// What it does: `streaming`, ...
    pub state: String,
    /// Bytes that it has not replayed; `None` where this role may not see it.
    pub behind_bytes: Option<i64>,
    /// Since how many microseconds; `None` while it is not behind.
    pub behind_micros: Option<u64>,
}

fn whole(micros: i64) -> u64 {
    u64::try_from(span(micros).as_micros()).unwrap_or(u64::MAX)
}

impl Postgres {
    /// Looks at server, schema, tables and followers. A few catalogue reads; right also on an empty database.
    pub async fn inspect(&self) -> Result<Inspection> {
        let name = self.config().schema.as_str();
        let (version, is_follower, is_durable, connections, max_connections, bytes, ratio) = self
            .read(OPERATION, include_str!("sql/inspect/server.sql"))
            .bind(name)
            .fetch_one::<(String, bool, bool, i64, i64, i64, Option<f64>)>()
            .await?;
        let start = Instant::now();
        self.read(OPERATION, "SELECT 1").execute().await?;
        let latency = start.elapsed();
        let schema = migrate::status(self).await?;
        let indexes = self.indexes().await?;
        let missing_indexes = migrate::indexes()
            .into_iter()
            .filter(|wanted| !indexes.iter().any(|index| index.usable && index.name == *wanted))
            .map(str::to_owned)
            .collect();
        let mut seen = Inspection {
            server: self.place().to_owned(),
            version,
            latency_micros: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            is_follower,
            is_durable,
            pool: self.pool_state(),
            connections,
            max_connections,
            database_bytes: bytes,
            cache_hit_ratio: ratio,
            schema,
            tables: self.tables().await?,
            missing_indexes,
            indexes,
            long_transactions: self.long_transactions().await?,
            followers: self.followers().await?,
            replica_lag_micros: self.replica_lag().await?,
            findings: Vec::new(),
        };
        seen.findings = findings(&seen);
        Ok(seen)
    }

    async fn tables(&self) -> Result<Vec<TableSize>> {
        let rows: Vec<(String, i64, i64, i64, i64, i64, i64)> = self
            .read(OPERATION, include_str!("sql/inspect/tables.sql"))
            .bind(self.config().schema.as_str())
            .fetch_all()
            .await?;
        let size = |(name, rows, dead_rows, bytes, index_bytes, whole_reads, index_reads)| {
            TableSize { name, rows, dead_rows, bytes, index_bytes, whole_reads, index_reads }
        };
        Ok(rows.into_iter().map(size).collect())
    }

    async fn indexes(&self) -> Result<Vec<IndexSize>> {
        let rows: Vec<(String, bool, i64, i64)> = self
            .read(OPERATION, include_str!("sql/inspect/indexes.sql"))
            .bind(self.config().schema.as_str())
            .fetch_all()
            .await?;
        let size = |(name, usable, bytes, reads)| IndexSize { name, usable, bytes, reads };
        Ok(rows.into_iter().map(size).collect())
    }

    async fn long_transactions(&self) -> Result<Vec<OpenTransaction>> {
        let rows: Vec<(i32, String, String, i64)> = self
            .read(OPERATION, include_str!("sql/inspect/transactions.sql"))
            .bind(micros(LONG))
            .fetch_all()
            .await?;
        let open = |(pid, application, state, since)| OpenTransaction {
            pid,
            application,
            state,
            open_micros: whole(since),
        };
        Ok(rows.into_iter().map(open).collect())
    }

    async fn followers(&self) -> Result<Vec<Follower>> {
        let rows: Vec<(String, String, Option<i64>, Option<i64>)> =
            self.read(OPERATION, include_str!("sql/inspect/followers.sql")).fetch_all().await?;
        let follower = |(name, state, behind_bytes, since): (_, _, _, Option<i64>)| Follower {
            name,
            state,
            behind_bytes,
            behind_micros: since.map(whole),
        };
        Ok(rows.into_iter().map(follower).collect())
    }

    async fn replica_lag(&self) -> Result<Option<u64>> {
        if self.replica().is_none() {
            return Ok(None);
        }
        let (_, lag): (bool, Option<i64>) = self
            .read_lagging(OPERATION, include_str!("sql/inspect/behind.sql"))
            .fetch_one()
            .await?;
        Ok(lag.map(whole))
    }
}

fn findings(seen: &Inspection) -> Vec<String> {
    let mut found = Vec::new();
    if !seen.schema.is_current() {
        found.push(
            "the tables are not those of this program; run `hexmem schema status`".to_owned(),
        );
    }
    if !seen.missing_indexes.is_empty() {
        found.push(format!(
            "indexes are missing or unusable: {}; run REINDEX, or create them as the migrations do",
            seen.missing_indexes.join(", ")
        ));
    }
    if seen.is_follower {
        found.push(
            "the server only follows another one; point pg.url at the one that writes".to_owned(),
        );
    }
    if seen.connections * 10 >= seen.max_connections * 9 {
        found.push(format!(
            "{} of {} connections of the server are in use; lower pg.max_connections or put a pooler before it",
            seen.connections, seen.max_connections
        ));
    }
    if let Some(oldest) = seen.long_transactions.first() {
        found.push(format!(
            "a transaction of {:?} (process {}, {}) is open for {} s: dead rows are not freed; end it with \
             pg_terminate_backend",
            oldest.application,
            oldest.pid,
            oldest.state,
            oldest.open_micros / 1_000_000
        ));
    }
    found
}
