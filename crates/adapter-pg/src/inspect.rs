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
    /// The server of `replica_url`; `None` without one.
    pub replica: Option<Replica>,
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

/// The server that reads go to which accept lag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replica {
    /// `user@host:port/database`.
    pub server: String,
    /// Why it cannot be asked; the fields below are then empty, and the first server answers in its place.
    pub trouble: Option<String>,
    /// Whether it follows a server at all: one that was promoted does not.
    pub is_follower: bool,
    /// Whether it is connected to the server it follows. One that reads an archive is not.
    pub is_receiving: bool,
    /// Whether somebody paused its replay.
    pub is_paused: bool,
    /// Bytes of the first server's log that it has not replayed; `None` where it follows nobody.
    pub lag_bytes: Option<u64>,
    /// How old the last change is that it has replayed, in microseconds; 0 while it is not behind. `None` where it follows
    /// nobody, or has replayed no change since it was started.
    pub lag_micros: Option<u64>,
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
            replica: self.seen_replica().await?,
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

    async fn seen_replica(&self) -> Result<Option<Replica>> {
        let Some(pool) = self.replica() else { return Ok(None) };
        let (position,): (String,) =
            self.read(OPERATION, include_str!("sql/inspect/position.sql")).fetch_one().await?;
        let asked = self
            .read_follower(OPERATION, include_str!("sql/inspect/behind.sql"))
            .bind(position)
            .fetch_one::<(bool, bool, bool, Option<i64>, Option<i64>)>()
            .await;
        let mut replica = Replica {
            server: pool.place().to_owned(),
            trouble: None,
            is_follower: false,
            is_receiving: false,
            is_paused: false,
            lag_bytes: None,
            lag_micros: None,
        };
        match asked {
            Err(error) => replica.trouble = Some(error.to_string()),
            Ok((is_follower, is_receiving, is_paused, bytes, since)) => {
                let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
                replica.lag_micros = if bytes == Some(0) { Some(0) } else { since.map(whole) }
                    .filter(|_| is_follower);
                (replica.is_follower, replica.is_receiving) = (is_follower, is_receiving);
                (replica.is_paused, replica.lag_bytes) = (is_paused, bytes);
            }
        }
        Ok(Some(replica))
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
    if let Some(replica) = &seen.replica {
        found.extend(replica.finding(&seen.server));
    }
    found
}

impl Replica {
    /// What is wrong with it, beside the server `first`.
    fn finding(&self, first: &str) -> Option<String> {
        let Self { server, trouble, .. } = self;
        let behind = self.lag_bytes.is_some_and(|bytes| bytes > 0);
        let late = self.lag_micros.map(Duration::from_micros).filter(|lag| behind && *lag > LONG);
        let what = match (trouble, late) {
            (Some(trouble), _) => {
                format!("cannot be asked, and its reads go to the first server: {trouble}")
            }
            // Some point both at one server until there is a second.
            _ if !self.is_follower && server == first => return None,
            _ if !self.is_follower => {
                "follows nobody: it was promoted, or is another database, and answers \
                                       reads that accept lag; correct the URL"
                    .to_owned()
            }
            _ if self.is_paused => {
                "is paused and answers from the past; run pg_wal_replay_resume() there".to_owned()
            }
            _ if behind && !self.is_receiving => {
                "is behind and receives nothing; check its primary_conninfo and its log".to_owned()
            }
            (None, Some(late)) => format!(
                "is {} s behind: it cannot keep up, or a long query there holds it up",
                late.as_secs()
            ),
            (None, None) => return None,
        };
        Some(format!("the server of pg.replica_url ({server}) {what}"))
    }
}
