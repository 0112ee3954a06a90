//! The program on PostgreSQL: the same commands, with the settings that say so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A schema of its own in the database of `HEXMEM_TEST_PG_URL`, and a folder that must stay empty.
struct Place {
    folder: tempfile::TempDir,
    url: String,
    schema: String,
}

impl Place {
    fn new() -> Self {
        let url = std::env::var("HEXMEM_TEST_PG_URL").unwrap_or_else(|_| {
            panic!("HEXMEM_TEST_PG_URL names no server; `cargo xtask test` starts one")
        });
        let schema = format!("program_{}", uuid::Uuid::new_v4().simple());
        Self { folder: tempfile::tempdir().unwrap(), url, schema }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hexmem"));
        command.current_dir(self.folder.path()).args(arguments);
        for domain in ["KEY_VALUE", "GRAPH", "SESSIONS", "CACHE", "QUEUE", "RAG"] {
            command.env(format!("HEXMEM__{domain}__BACKEND"), "postgres");
        }
        command.env("DATABASE_URL", &self.url).env("HEXMEM__PG__SCHEMA", &self.schema);
        command.output().unwrap()
    }

    fn document(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Where psql is not installed, the schema stays in a database that is thrown away.
        let sql = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema);
        let _ = Command::new("psql").args(["-qX", &self.url, "-c", &sql]).output();
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn every_domain_on_postgresql() {
    let place = Place::new();
    let before = place.run(&["graph", "stats", "--graph", "g"]);
    let said = String::from_utf8_lossy(&before.stderr).into_owned();
    assert!(!before.status.success() && said.contains("hexmem schema migrate"), "{said}");
    assert_eq!(place.run(&["schema", "status"]).status.code(), Some(1), "steps are missing");
    assert!(!place.document(&["schema", "migrate"])["applied"].as_array().unwrap().is_empty());
    assert_eq!(place.document(&["schema", "migrate"])["applied"], serde_json::json!([]));
    assert_eq!(place.document(&["schema", "status"])["current"], true);

    for node in ["a", "b"] {
        place.document(&["graph", "add-node", node, "--type", "person", "--graph", "g"]);
    }
    place.document(&["graph", "add-edge", "a", "knows", "b", "--graph", "g"]);
    let stats = place.document(&["graph", "stats", "--graph", "g"]);
    assert_eq!((&stats["nodes"], &stats["edges"]), (&2.into(), &1.into()));

    let session = place.document(&["session", "create", "--user", "alice"]);
    let id = session["id"].as_str().unwrap();
    let listed = place.document(&["session", "list", "--user", "alice"]).to_string();
    assert!(listed.contains(id), "{listed}");

    place.document(&["queue", "push", "jobs", "{\"n\": 1}"]);
    let leased = place.document(&["queue", "lease", "jobs"]);
    let lease = leased[0]["lease"].as_str().unwrap();
    place.document(&["queue", "ack", "jobs", lease]);
    place.document(&["cache", "stats"]);

    std::fs::write(
        place.folder.path().join("text.md"),
        "PostgreSQL keeps what it has acknowledged.",
    )
    .unwrap();
    place.document(&["rag", "ingest", "text.md", "--collection", "notes"]);
    std::fs::remove_file(place.folder.path().join("text.md")).unwrap();
    let found = place.document(&["rag", "search", "acknowledged", "--collection", "notes"]);
    assert_eq!(found.as_array().unwrap().len(), 1);

    let doctor = place.document(&["doctor"]);
    assert_eq!(doctor["ok"], true, "{doctor}");
    assert_eq!(doctor["postgres"]["missing_indexes"], serde_json::json!([]));
    assert!(is_empty(place.folder.path()), "nothing is left in files");
}

#[test]
fn no_password_is_told() {
    let place = Place::new();
    let output = Command::new(env!("CARGO_BIN_EXE_hexmem"))
        .current_dir(place.folder.path())
        .args(["schema", "status"])
        .env("HEXMEM__PG__URL", "postgres://me:hush@127.0.0.1:1/d?password=hush")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("me@127.0.0.1:1/d") && !said.contains("hush"), "{said}");
}
