//! No statement on sessions or on the cache reads a whole table: each seeks in an index, so that its cost does not grow
//! with the tables. Twenty thousand rows lie in each, and the planner decides by itself, as it does in production.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::fs;
use std::path::Path;

use rig::{Database, connect, run};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

const SESSIONS: &str = "
    INSERT INTO hexmem.sessions (
        owner, id, tenant, user_name, created_at, last_seen_at, idle_expires_at, absolute_expires_at,
        token_issued_at, modified_at, sweep_at, idle, retention, version, revision, cluster, cluster_key,
        correlation, correlation_key, evicted, data, revoked_at
    )
    SELECT
        sha256(('u' || n / 3)::bytea), gen_random_uuid(), 't' || n % 50, 'u' || n / 3, now(), now(),
        now() + interval '1 h', now() + interval '1 d', now(), now(), now() + interval '2 h', 3600000000, 3600000000,
        1, 1, 'c', sha256(('c' || n % 500)::bytea), 'k', sha256(('k' || n % 500)::bytea), '{}', '{}',
        CASE WHEN n % 4 = 0 THEN now() END
    FROM generate_series(1, 20000) AS n;
    INSERT INTO hexmem.session_tokens (bucket, hash, session)
    SELECT seq % 1024, sha256(seq::text::bytea), seq FROM hexmem.sessions;
    ANALYZE hexmem.sessions, hexmem.session_tokens;";

const CACHE: &str = "
    INSERT INTO hexmem.cache_tags (digest, room, tenant, namespace, tag, generation, version, modified_at)
    SELECT sha256(n::text::bytea), sha256('room'), 't', 'n', CASE n WHEN 0 THEN 'namespace' ELSE 'tag:' || n END,
        md5(n::text)::uuid, 1, now()
    FROM generate_series(0, 19999) AS n;
    INSERT INTO hexmem.cache_entries (
        digest, room, tenant, namespace, fingerprint, version, modified_at, tags, generations, stored_at, fresh_until,
        expires_at, meta, value
    )
    SELECT sha256(n::text::bytea), sha256('room'), 't', 'n', sha256(n::text::bytea), 1, now(),
        ARRAY['namespace', 'tag:' || n % 1000 + 1], ARRAY[md5('0')::uuid, md5((n % 1000 + 1)::text)::uuid],
        now(), now() + interval '1 h', now() + interval '1 h', 'null', convert_to(repeat('x', 500), 'UTF8')
    FROM generate_series(1, 20000) AS n;
    INSERT INTO hexmem.cache_flights (digest, lease, expires_at)
    SELECT sha256(n::text::bytea), gen_random_uuid(), now() + interval '1 h' FROM generate_series(1, 20000) AS n;
    INSERT INTO hexmem.cache_counters (room, kind, name, counts)
    SELECT sha256((n / 100)::text::bytea), 'tag', 'x' || n, '{}' FROM generate_series(1, 20000) AS n;
    ANALYZE hexmem.cache_tags, hexmem.cache_entries, hexmem.cache_flights, hexmem.cache_counters;";

async fn plan(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    run(connection, format!("PREPARE looked AS {sql}")).await;
    let kinds =
        "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'looked'";
    let count: i32 = sqlx::query_scalar(kinds).fetch_one(&mut *connection).await.unwrap();
    let values = vec!["NULL"; usize::try_from(count).unwrap()].join(", ");
    let values = if count == 0 { String::new() } else { format!("({values})") };
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE looked{values}");
    let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
    run(connection, "DEALLOCATE looked").await;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The statements of a folder whose plans read a whole table, and how many statements there are. `all` names those that
/// look at a large part of the tables by their nature: for them an index must be there, used or not.
async fn scans(connection: &mut PgConnection, folder: &str, all: &[&str]) -> (usize, Vec<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql").join(folder);
    let (mut looked, mut scans) = (0, Vec::new());
    run(connection, "SET plan_cache_mode = force_generic_plan").await;
    for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        // About the tables, not on them.
        if name.starts_with("tables_") {
            continue;
        }
        let off = if all.contains(&name.as_str()) { "off" } else { "on" };
        run(connection, format!("SET enable_seqscan = {off}")).await;
        let steps = plan(connection, &fs::read_to_string(&file).unwrap()).await;
        looked += 1;
        if steps.iter().any(|step| step.contains("Seq Scan on")) {
            scans.push(format!("{name}: {steps:#?}"));
        }
    }
    (looked, scans)
}

/// How often each table of a call was read as a whole, the statements within functions included.
async fn whole_reads(database: &Database, calls: &[&str]) -> Vec<(String, i64)> {
    // What a connection did before is counted with its transaction.
    let mut connection = connect(&database.url).await;
    run(&mut connection, "BEGIN").await;
    for call in calls {
        run(&mut connection, *call).await;
    }
    let sql = "SELECT relname::text, seq_scan FROM pg_stat_xact_user_tables
        WHERE schemaname = 'hexmem' AND seq_scan > 0 ORDER BY relname";
    sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
}

#[tokio::test]
async fn sessions_seek_in_an_index() {
    let database = Database::migrated().await;
    let mut connection = connect(&database.url).await;
    run(&mut connection, SESSIONS).await;
    let (looked, found) = scans(&mut connection, "sessions", &["count"]).await;
    assert!(looked > 15, "{looked}");
    assert_eq!(found, [] as [String; 0]);
    let effects = "'{}', '{}', '{}', '{}', '{}', '{}'";
    let token = "(SELECT hash FROM hexmem.session_tokens WHERE bucket = 7 LIMIT 1)";
    // Bound before: the look-up of an argument is not the function's.
    let bound = format!("CREATE TABLE public.given AS SELECT {token} AS hash");
    run(&mut connection, bound).await;
    let create = format!(
        "SELECT hexmem.session_create(1, 2, true, sha256('u9'), gen_random_uuid(), 9, sha256('new'), 't9', 'u9', '1',
            1000000, 1000000, 1000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, {effects})"
    );
    let rotate = format!(
        "SELECT (hexmem.session_rotate(7, given.hash, sha256('newer'), NULL, 1, NULL, NULL, NULL, {effects})).outcome
        FROM public.given"
    );
    // Some are due, as always in production.
    let due = "UPDATE hexmem.sessions SET sweep_at = now() - interval '1 d' WHERE seq % 100 = 0";
    run(&mut connection, format!("{due}; ANALYZE hexmem.sessions")).await;
    let sweep = "SELECT hexmem.session_sweep(100)";
    let read = whole_reads(&database, &[&create, &rotate, sweep]).await;
    assert_eq!(read, [] as [(String, i64); 0]);
}

#[tokio::test]
async fn the_cache_seeks_in_an_index() {
    let database = Database::migrated().await;
    let mut connection = connect(&database.url).await;
    run(&mut connection, CACHE).await;
    let (looked, found) = scans(&mut connection, "cache", &["stats", "breakdown"]).await;
    assert!(looked > 12, "{looked}");
    assert_eq!(found, [] as [String; 0]);
    let read = whole_reads(
        &database,
        &[
            "SELECT hexmem.cache_end_tag(sha256('5'), sha256('room'), 't', 'n', 'tag:5', gen_random_uuid(), 10000)",
            "SELECT hexmem.cache_end_tag(sha256('-1'), sha256('room'), 't', 'n', 'tag:-1', gen_random_uuid(), 10000)",
            "SELECT hexmem.cache_end_key(sha256('7'), sha256('room'), 't', 'n', sha256('7'), gen_random_uuid(), 1)",
            "SELECT hexmem.cache_count(sha256('7'), ARRAY['tag'], ARRAY['y'], ARRAY['{}'], 1000)",
            "SELECT hexmem.cache_current(sha256('room'), ARRAY['tag:9'], ARRAY[md5('9')::uuid])",
        ],
    )
    .await;
    assert_eq!(read, [] as [(String, i64); 0]);
    // The list of ended generations is short; the rest is large.
    run(&mut connection, "UPDATE hexmem.cache_entries SET expires_at = now() - interval '1 h' WHERE tags[2] = 'tag:8'")
        .await;
    run(&mut connection, "ANALYZE hexmem.cache_entries").await;
    let sweep = "SELECT hexmem.cache_sweep(100, 1, 1, '\\x80', 100)";
    let read = whole_reads(&database, &[sweep]).await;
    let read: Vec<_> = read.into_iter().filter(|(table, _)| table != "cache_ended").collect();
    assert_eq!(read, [] as [(String, i64); 0]);
}
