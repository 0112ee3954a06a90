//! Numbered, forward-only migrations, applied once by whoever comes first.

use hexmem_ports::{Digest, Error, ErrorKind, Result, Timestamp};
use serde::Serialize;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use std::time::Duration;
use tokio::time::timeout;

use crate::error::{self, Doing};
use crate::query::{State, Work};
use crate::sql::render;
use crate::value::{At, Hash, lock_key};
use crate::{CacheTables, PgConfig, Postgres};

const OPERATION: &str = "postgres.migrate";

/// The oldest server that this program works on: 13.
const OLDEST: i32 = 130_000;

/// How long the steps, and waiting for another who applies them, may take.
const LIMIT: Duration = Duration::from_secs(600);

/// One step of the schema. Never edited once released: a later step changes what an earlier one made.
struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal $file:literal,)*) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../migrations/pg/", $file)),
        }),*]
    };
}

const MIGRATIONS: &[Migration] = migrations![
    1 "base" "0001_base.sql",
    2 "sessions" "0002_sessions.sql",
    3 "cache" "0003_cache.sql",
    4 "queue" "0004_queue.sql",
    5 "graph" "0005_graph.sql",
    6 "vectors" "0006_vectors.sql",
    7 "queue_steps" "0007_queue_steps.sql",
    8 "graph_walk" "0008_graph_walk.sql",
    9 "vector_remains" "0009_vector_remains.sql",
];

impl Migration {
    fn digest(&self) -> Digest {
        Digest::of(self.sql.as_bytes())
    }
}

/// The version that this program writes.
fn newest() -> i32 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The indexes that are there after all steps: those that a line of a step makes, and no later one drops. What is made
/// under a condition stands further in.
pub(crate) fn indexes() -> Vec<&'static str> {
    let mut names = Vec::new();
    for line in MIGRATIONS.iter().flat_map(|migration| migration.sql.lines()) {
        let made = ["CREATE INDEX ", "CREATE UNIQUE INDEX "];
        if let Some(rest) = made.iter().find_map(|start| line.strip_prefix(start)) {
            names.extend(rest.split_whitespace().next());
        } else if let Some(rest) = line.strip_prefix("DROP INDEX hexmem.") {
            names.retain(|name| *name != rest.trim_end_matches(';'));
        }
    }
    names
}

/// One step as the database has it, against what this program would apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Its number.
    pub version: i32,
    /// Its name.
    pub name: String,
    /// When it was applied; `None` while it is missing.
    pub applied_at: Option<Timestamp>,
    /// Whether this program knows the step and would apply the same text.
    pub known: bool,
}

/// What is applied and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaStatus {
    /// The schema's name.
    pub schema: String,
    /// The server, without the password.
    pub server: String,
    /// Every step of the database and of this program, in order.
    pub steps: Vec<Applied>,
}

impl SchemaStatus {
    /// Whether nothing is missing and nothing is unknown.
    pub fn is_current(&self) -> bool {
        self.steps.iter().all(|step| step.known && step.applied_at.is_some())
    }
}

impl Postgres {
    /// What is applied in the schema of `config`, and what is not. Changes nothing.
    pub async fn schema_status(config: PgConfig) -> Result<SchemaStatus> {
        let postgres = Self::lazy(config)?;
        check_server(&postgres).await?;
        let status = status(&postgres).await;
        postgres.close().await;
        status
    }

    /// Brings the schema of `config` up to date: the steps that were missing. Any number of processes may do so
    /// at once; one of them applies, the others wait and find nothing left to do.
    ///
    /// # Errors
    /// `Unsupported` for a database of a newer program, which stays as it is; `Denied` where the role may not create
    /// in the schema, or not create the schema.
    pub async fn migrate_schema(config: PgConfig) -> Result<Vec<Applied>> {
        let postgres = Self::lazy(config)?;
        check_server(&postgres).await?;
        let applied = run(&postgres).await;
        postgres.close().await;
        applied
    }
}

/// Refuses a server that is too old or does not hold all of Unicode.
pub(crate) async fn check_server(postgres: &Postgres) -> Result<()> {
    let (version, encoding, pgvector): (i32, String, bool) = postgres
        .read("postgres.connect", include_str!("sql/schema/server.sql"))
        .fetch_one()
        .await?;
    postgres.found_pgvector(pgvector);
    let refused = |message| {
        let error = Error::new(ErrorKind::Unsupported, "postgres.connect", message);
        Err(error.with("server", postgres.place()))
    };
    if version < OLDEST {
        return refused(format!(
            "the server is PostgreSQL {}; hexmem needs 13 or newer: upgrade it",
            version / 10_000
        ));
    }
    if encoding != "UTF8" {
        return refused(format!(
            "the database is encoded in {encoding}; create one with ENCODING 'UTF8' TEMPLATE template0"
        ));
    }
    Ok(())
}

/// Refuses tables that are missing, older or newer, and says what to do.
pub(crate) async fn check_schema(postgres: &Postgres) -> Result<()> {
    let status = status(postgres).await?;
    refuse_unknown(postgres, &status)?;
    let missing = status.steps.iter().filter(|step| step.applied_at.is_none()).count();
    if missing == 0 {
        return Ok(());
    }
    let what = if missing == status.steps.len() {
        "the tables are missing".to_owned()
    } else {
        format!("the tables are older than this program by {missing} of {} steps", newest())
    };
    Err(at(
        postgres,
        Error::new(
            ErrorKind::Unsupported,
            "postgres.connect",
            format!("{what}; run `hexmem schema migrate`, or set pg.migrate to connect"),
        ),
    ))
}

fn at(postgres: &Postgres, error: Error) -> Error {
    error.with("server", postgres.place()).with("schema", &postgres.config().schema)
}

fn refuse_unknown(postgres: &Postgres, status: &SchemaStatus) -> Result<()> {
    let Some(step) = status.steps.iter().find(|step| !step.known) else { return Ok(()) };
    let (version, name) = (step.version, &step.name);
    let message = if version > newest() {
        format!(
            "the database has step {version} ({name}), this program knows up to {}; it was left untouched: \
             use a newer hexmem",
            newest()
        )
    } else {
        format!(
            "step {version} ({name}) of the database differs from this program's; it was left untouched: use \
             the hexmem that wrote it"
        )
    };
    Err(at(postgres, Error::new(ErrorKind::Unsupported, "postgres.connect", message)))
}

type Row = (i32, String, Hash, At);

/// What is applied and what is not.
pub(crate) async fn status(postgres: &Postgres) -> Result<SchemaStatus> {
    let schema = &postgres.config().schema;
    let (_, there): (bool, bool) = postgres
        .read("postgres.schema", include_str!("sql/schema/exists.sql"))
        .bind(schema)
        .fetch_one()
        .await?;
    let rows = if there {
        postgres.read("postgres.schema", include_str!("sql/schema/list.sql")).fetch_all().await?
    } else {
        Vec::new()
    };
    Ok(compare(postgres, rows))
}

fn compare(postgres: &Postgres, rows: Vec<Row>) -> SchemaStatus {
    let mut steps: Vec<Applied> = rows
        .into_iter()
        .map(|(version, name, sha256, at)| {
            let known = MIGRATIONS.iter().find(|migration| migration.version == version);
            let known = known.is_some_and(|migration| migration.digest() == sha256.0);
            Applied { version, name, applied_at: Some(at.0), known }
        })
        .collect();
    for migration in MIGRATIONS {
        if steps.iter().all(|step| step.version != migration.version) {
            let (version, name) = (migration.version, migration.name.to_owned());
            steps.push(Applied { version, name, applied_at: None, known: true });
        }
    }
    steps.sort_by_key(|step| step.version);
    SchemaStatus {
        schema: postgres.config().schema.clone(),
        server: postgres.place().to_owned(),
        steps,
    }
}

/// Applies what is missing; what it applied. Two reads when there is nothing to do.
pub(crate) async fn run(postgres: &Postgres) -> Result<Vec<Applied>> {
    let status = status(postgres).await?;
    refuse_unknown(postgres, &status)?;
    if status.is_current() {
        keep_cache(postgres).await?;
        return Ok(Vec::new());
    }
    // A connection of its own: it waits for longer than calls may.
    let mut connection = postgres.primary().open(OPERATION).await?;
    let applied = timeout(LIMIT, apply(postgres, &mut connection)).await;
    // Closed with whatever is open on it.
    drop(connection);
    let applied = applied.unwrap_or_else(|_| {
        Err(error::timed_out(OPERATION, postgres.place(), Doing::Committing, LIMIT))
    })?;
    keep_cache(postgres).await?;
    Ok(applied)
}

/// Makes the tables of the cache logged or unlogged where the settings ask for it and they are not.
async fn keep_cache(postgres: &Postgres) -> Result<()> {
    let (kept, sql) = match postgres.config().cache_tables {
        CacheTables::AsTheyAre => return Ok(()),
        CacheTables::Logged => ("p", include_str!("sql/cache/tables_logged.sql")),
        CacheTables::Unlogged => ("u", include_str!("sql/cache/tables_unlogged.sql")),
    };
    let (others,): (i64,) = postgres
        .read(OPERATION, include_str!("sql/cache/tables_other.sql"))
        .bind(kept)
        .fetch_one()
        .await?;
    if others == 0 {
        return Ok(());
    }
    let sql = render(sql, &postgres.config().schema);
    let sql = format!("BEGIN; SET LOCAL statement_timeout = 0; {sql} COMMIT");
    let mut connection = postgres.primary().open(OPERATION).await?;
    let done = timeout(LIMIT, script(postgres, &mut connection, sql)).await;
    drop(connection);
    done.unwrap_or_else(|_| {
        Err(error::timed_out(OPERATION, postgres.place(), Doing::Committing, LIMIT))
    })
}

async fn apply(postgres: &Postgres, connection: &mut PgConnection) -> Result<Vec<Applied>> {
    let schema = postgres.config().schema.clone();
    // No limit of the server's for this transaction alone: it may wait for another, and index large tables.
    let begin = "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = warning";
    script(postgres, connection, begin.to_owned()).await?;
    let mut state = State::Open;
    let lock = lock_key([b"migrate".as_slice(), schema.as_bytes()]);
    let mut work = unlimited(postgres, connection, &mut state);
    work.query(include_str!("sql/schema/lock.sql")).bind(lock).execute().await?;
    let (schema_there, steps_there): (bool, bool) =
        work.query(include_str!("sql/schema/exists.sql")).bind(&schema).fetch_one().await?;
    if !schema_there {
        // The name was checked.
        script(postgres, connection, format!("CREATE SCHEMA \"{schema}\"")).await?;
    }
    if !steps_there {
        let create = render(include_str!("sql/schema/create.sql"), &schema);
        script(postgres, connection, create).await?;
    }
    // Again under the lock: another may have been faster.
    let mut work = unlimited(postgres, connection, &mut state);
    let rows = work.query(include_str!("sql/schema/list.sql")).fetch_all().await?;
    let status = compare(postgres, rows);
    refuse_unknown(postgres, &status)?;
    let mut applied = Vec::new();
    for step in status.steps.into_iter().filter(|step| step.applied_at.is_none()) {
        let migration = MIGRATIONS.iter().find(|migration| migration.version == step.version);
        let Some(migration) = migration else { continue };
        script(postgres, connection, render(migration.sql, &schema)).await?;
        unlimited(postgres, connection, &mut state)
            .query(include_str!("sql/schema/applied.sql"))
            .bind(migration.version)
            .bind(migration.name)
            .bind(Hash(migration.digest()))
            .execute()
            .await?;
        applied.push(step);
    }
    script(postgres, connection, "COMMIT".to_owned()).await?;
    Ok(applied)
}

fn unlimited<'c>(
    postgres: &'c Postgres,
    connection: &'c mut PgConnection,
    state: &'c mut State,
) -> Work<'c> {
    Work { limit: LIMIT, ..postgres.within(connection, state, OPERATION) }
}

/// Runs text of this program's own in one round trip.
async fn script(postgres: &Postgres, connection: &mut PgConnection, sql: String) -> Result<()> {
    let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
    done.map(|_| ()).map_err(|e| error::map(OPERATION, postgres.place(), Doing::Within, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_steps_grow_from_one() {
        assert_eq!(MIGRATIONS[0].version, 1);
        for pair in MIGRATIONS.windows(2) {
            assert!(pair[0].version < pair[1].version, "{}", pair[1].name);
        }
    }
}
