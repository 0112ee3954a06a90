//! `hexmem rag` on PostgreSQL: what killed ingests leave is made good by the next one, and searches answer as on SQLite.
//!
//! The server is that of `HEXMEM_TEST_PG_URL`; the test makes a database of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod made;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use made::corpus;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

const DOCUMENTS: u32 = 150;

fn hexmem(folder: &Path, url: Option<&str>, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hexmem"));
    command.current_dir(folder).env_remove("HEXMEM__RAG__BACKEND");
    if let Some(url) = url {
        command
            .env("HEXMEM__PG__URL", url)
            .env("HEXMEM__PG__MIGRATE", "connect")
            .env("HEXMEM__RAG__BACKEND", "postgres");
    }
    command.arg("rag").args(arguments);
    command
}

fn document(folder: &Path, url: Option<&str>, arguments: &[&str]) -> Value {
    let output = hexmem(folder, url, &[arguments, &["--json"]].concat()).output().unwrap();
    let remarks = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {remarks}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn count(connection: &mut PgConnection) -> i64 {
    let sql = "SELECT count(*) FROM hexmem.vector_points";
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_ingests_leave_no_duplicates() {
    let server = std::env::var("HEXMEM_TEST_PG_URL").unwrap_or_else(|_| {
        panic!("HEXMEM_TEST_PG_URL names no server; `cargo xtask test` starts one")
    });
    let name = format!("hexmem_test_{}", uuid::Uuid::new_v4().simple());
    let mut admin = PgConnection::connect(&server).await.unwrap();
    admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let url = format!("{}/{name}", &server[..server.rfind('/').unwrap()]);
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("corpus.jsonl"), corpus(DOCUMENTS, 400)).unwrap();
    let ingest = ["ingest", "corpus.jsonl", "--collection", "c"];
    let expected = document(at, None, &ingest);
    assert_eq!(expected["added"], DOCUMENTS);
    let chunks = expected["chunks"].as_i64().unwrap();

    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut killed = 0;
    for part in 1..5 {
        let mut command = hexmem(at, Some(&url), &ingest);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        // In the middle, further with each part; one that is too fast ends by itself.
        while count(&mut connection).await < chunks * part / 6 {
            assert!(Instant::now() < until, "the ingest does not come on");
            if child.try_wait().unwrap().is_some() {
                break;
            }
        }
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        let there = count(&mut connection).await;
        assert!(there <= chunks, "{there} of {chunks} chunks");
    }
    assert!(killed > 0, "no ingest was killed in the middle");
    let rest = document(at, Some(&url), &ingest);
    let sum = |key: &str| rest[key].as_u64().unwrap();
    assert_eq!(sum("added") + sum("updated") + sum("unchanged"), u64::from(DOCUMENTS), "{rest}");
    assert_eq!(count(&mut connection).await, chunks, "no duplicates, nothing missing");
    assert_eq!(document(at, Some(&url), &ingest)["unchanged"], DOCUMENTS);
    for query in ["word3 word700", "word1 word2 word999", "word12"] {
        let search = ["search", query, "--collection", "c", "-k", "25"];
        let (there, here) = (document(at, Some(&url), &search), document(at, None, &search));
        assert_eq!(there, here, "{query}");
        assert!(!here.as_array().unwrap().is_empty());
    }
    drop(connection);
    admin.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
}
