//! Numbered, forward-only migrations, applied once by whoever opens the file first.

use std::path::Path;

use hexmem_ports::{Clock, Digest, Error, ErrorKind, Result};
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::error;

const OPEN: &str = "sqlite.open";

/// One step of the schema. Never edited once released: a later step changes what an earlier one made.
struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal $file:literal,)*) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../migrations/sqlite/", $file)),
        }),*]
    };
}

const MIGRATIONS: &[Migration] = migrations![
    1 "core" "0001_core.sql",
    2 "key_value" "0002_key_value.sql",
    3 "sessions" "0003_sessions.sql",
    4 "cache" "0004_cache.sql",
    5 "queue" "0005_queue.sql",
    6 "graph" "0006_graph.sql",
    7 "vectors" "0007_vectors.sql",
    8 "session chains" "0008_session_chains.sql",
    9 "graph source" "0009_graph_source.sql",
    10 "cache counters" "0010_cache_counters.sql",
    11 "dense index" "0011_dense_index.sql",
];

/// The version that this program writes.
fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Brings the file up to date, or refuses one of a newer or another program. Costs two reads when there
/// is nothing to do.
pub(crate) async fn run(
    connection: &mut SqliteConnection,
    file: &Path,
    clock: &dyn Clock,
) -> Result<()> {
    let applied = applied(connection, file).await?;
    if missing(&applied).next().is_none() {
        return Ok(());
    }
    let failed = |e| error::map(OPEN, file, e);
    let mut tx =
        sqlx::Connection::begin_with(connection, "BEGIN IMMEDIATE").await.map_err(failed)?;
    // Again under the lock: another process may have been faster.
    let applied = self::applied(&mut tx, file).await?;
    sqlx::raw_sql(include_str!("sql/schema/create.sql")).execute(&mut *tx).await.map_err(failed)?;
    for migration in missing(&applied) {
        sqlx::raw_sql(migration.sql).execute(&mut *tx).await.map_err(failed)?;
        sqlx::query(include_str!("sql/schema/applied.sql"))
            .bind(migration.version)
            .bind(migration.name)
            .bind(clock.now().as_micros())
            .bind(Digest::of(migration.sql.as_bytes()).to_hex())
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
    }
    let version = AssertSqlSafe(format!("PRAGMA user_version = {}", newest()));
    sqlx::raw_sql(version).execute(&mut *tx).await.map_err(failed)?;
    tx.commit().await.map_err(|e| error::map_commit(OPEN, file, e))
}

fn missing(applied: &[i64]) -> impl Iterator<Item = &'static Migration> {
    MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version))
}

/// The versions that the file has, each checked to be what this program would have applied.
async fn applied(connection: &mut SqliteConnection, file: &Path) -> Result<Vec<i64>> {
    let failed = |e| error::map(OPEN, file, e);
    let there: i64 = sqlx::query_scalar(include_str!("sql/schema/exists.sql"))
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if there == 0 {
        return Ok(Vec::new());
    }
    let rows: Vec<(i64, String, String)> = sqlx::query_as(include_str!("sql/schema/list.sql"))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    for (version, name, sha256) in &rows {
        let Some(known) = MIGRATIONS.iter().find(|migration| migration.version == *version) else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                OPEN,
                format!(
                    "the file has version {version} ({name}), this program knows up to {}; it was left \
                     untouched: use a newer hexmem",
                    newest()
                ),
            )
            .with("file", file.display()));
        };
        if Digest::of(known.sql.as_bytes()).to_hex() != *sha256 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                OPEN,
                format!(
                    "step {version} ({name}) of the file differs from this program's; it was left \
                     untouched: use the hexmem that wrote it"
                ),
            )
            .with("file", file.display()));
        }
    }
    Ok(rows.into_iter().map(|(version, ..)| version).collect())
}
