//! `hexmem session`, as a script uses it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn hexmem(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hexmem"))
        .current_dir(folder)
        .arg("session")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = hexmem(folder, arguments, "");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn document(folder: &Path, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    serde_json::from_str(&done(folder, &arguments)).unwrap()
}

/// What it says when it fails.
fn failed(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = hexmem(folder, arguments, "");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_session_from_its_start_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let alice = ["--user", "alice"];
    let created = document(
        at,
        &[&["create", "--value", r#"{"role":"admin"}"#, "--cluster", "prod"], &alice[..]].concat(),
    );
    let (token, id) = (created["token"].as_str().unwrap(), created["id"].as_str().unwrap());

    let shown = document(at, &["show", token]);
    assert_eq!(shown["id"], id);
    assert_eq!(shown["user"], "alice");
    assert_eq!(shown["data"]["role"], "admin");
    assert_eq!(document(at, &["show", id, "--user", "alice"]), shown);
    let by_stdin = hexmem(at, &["show", "-", "--json"], &format!("{token}\n"));
    assert_eq!(serde_json::from_slice::<Value>(&by_stdin.stdout).unwrap(), shown);
    assert_eq!(document(at, &["list", "--user", "alice"]).as_array().unwrap().len(), 1);
    assert_eq!(document(at, &["list", "--cluster", "prod"])[0]["id"], id);
    assert_eq!(document(at, &["list"]), serde_json::json!([]));
    let touched = document(at, &["touch", token]);
    assert!(touched["last_seen_at"].as_str() > shown["last_seen_at"].as_str());

    let rotated = document(at, &["rotate", token]);
    let newer = rotated["token"].as_str().unwrap();
    assert_eq!(rotated["id"], id);
    failed(at, &["show", token], 1);
    let kept = document(at, &["rotate", newer, "--grace", "1h"]);
    assert_eq!(document(at, &["show", newer])["id"], id);
    assert_eq!(document(at, &["revoke", kept["token"].as_str().unwrap()])["revoked"], 1);
    assert_eq!(document(at, &["revoke", id, "--user", "alice"])["revoked"], 0);
    failed(at, &["show", newer], 1);
}

#[test]
fn the_token_alone_goes_to_stdout_and_only_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let output = hexmem(at, &["create"], "");
    let token = String::from_utf8(output.stdout).unwrap();
    let token = token.trim();
    assert_eq!(token.lines().count(), 1);
    let secret = token.rsplit('.').next().unwrap();
    assert!(!String::from_utf8(output.stderr).unwrap().contains(secret));
    for arguments in [&["show", token][..], &["list"], &["touch", token], &["revoke", "--all"]] {
        assert!(!done(at, arguments).contains(secret), "{arguments:?}");
    }
    let said = failed(at, &["touch", token], 1);
    assert!(said.contains("no such live session") && !said.contains(secret), "{said}");
    let said = failed(at, &["show", &token[..token.len() - 1]], 1);
    assert!(said.contains("neither a token") && !said.contains(&secret[..20]), "{said}");
    for entry in std::fs::read_dir(at.join(".hexmem")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "the secret is on the disk");
    }
}

#[test]
fn a_cap_ends_the_oldest_or_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let first = document(at, &["create", "--max", "2"]);
    document(at, &["create", "--max", "2"]);
    let third = document(at, &["create", "--max", "2"]);
    assert_eq!(third["evicted"], serde_json::json!([first["id"]]));
    let said = failed(at, &["create", "--max", "2", "--when-full", "refuse"], 1);
    assert!(said.contains("as many sessions as allowed"), "{said}");
    assert_eq!(
        document(at, &["revoke", "--all", "--except", third["id"].as_str().unwrap()])["revoked"],
        1
    );
    assert_eq!(document(at, &["list"]).as_array().unwrap().len(), 1);
}

#[test]
fn wrong_usage_says_so_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    failed(at, &["create", "--idle", "soon"], 2);
    failed(at, &["create", "--value", "{"], 2);
    failed(at, &["create", "--max", "0"], 2);
    failed(at, &["list", "--limit", "0"], 2);
    failed(at, &["revoke"], 2);
    failed(at, &["list", "--cluster", "a", "--correlation", "b"], 2);
    let long = "x".repeat(100_000);
    for text in ["", "x", "../../etc/passwd", "' OR 1=1 --", "\u{e9}", &long] {
        failed(at, &["show", text], 1);
    }
    let said = failed(at, &["touch", "0193a8f2-5c1e-7d40-9b57-5a2f4de1c001"], 1);
    assert!(said.contains("proves nothing"), "{said}");
    let said = failed(at, &["create", "--idle", "9h"], 1);
    assert!(said.contains("idle timeout is longer"), "{said}");
    assert_eq!(document(at, &["list"]), serde_json::json!([]));
}

#[test]
fn a_cap_holds_among_processes_and_one_of_them_rotates() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let token = document(at, &["create"])["token"].as_str().unwrap().to_owned();
    let at_once = |arguments: Vec<&str>| {
        let start = || {
            Command::new(env!("CARGO_BIN_EXE_hexmem"))
                .current_dir(at)
                .arg("session")
                .args(&arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let processes: Vec<_> = (0..6).map(|_| start()).collect();
        let ended = processes.into_iter().map(|mut process| process.wait().unwrap().success());
        ended.filter(|success| *success).count()
    };
    assert_eq!(at_once(vec!["rotate", &token, "--grace", "1h"]), 1);
    assert_eq!(at_once(vec!["create", "--max", "3", "--when-full", "refuse"]), 2);
    assert_eq!(document(at, &["list"]).as_array().unwrap().len(), 3);
    assert_eq!(at_once(vec!["create", "--max", "3"]), 6);
    assert_eq!(document(at, &["list"]).as_array().unwrap().len(), 3);
}

#[test]
fn what_is_kept_is_merged_replaced_and_never_overwritten_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let created = document(at, &["create", "--data", r#"{"role":"user","cart":[1]}"#]);
    let token = created["token"].as_str().unwrap();
    let merged = document(at, &["update", token, r#"{"role":"admin","cart":null}"#]);
    assert_eq!(
        (&merged["data"], &merged["version"]),
        (&serde_json::json!({ "role": "admin" }), &2.into())
    );
    let replaced = document(at, &["update", token, "[1]", "--replace", "--if-version", "2"]);
    assert_eq!((&replaced["data"], &replaced["version"]), (&serde_json::json!([1]), &3.into()));
    let said = failed(at, &["update", token, "{}", "--if-version", "2"], 1);
    assert!(said.contains("was changed"), "{said}");
    failed(at, &["update", token, "{"], 2);
    failed(at, &["update", created["id"].as_str().unwrap(), "{}"], 1);
    assert_eq!(document(at, &["show", token])["version"], 3);
    // Eight at once: none is lost.
    let updates: Vec<_> = (0..8)
        .map(|n| {
            let patch = format!(r#"{{"k{n}":{n}}}"#);
            let mut update = Command::new(env!("CARGO_BIN_EXE_hexmem"));
            update.current_dir(at).args(["session", "update", token, &patch]);
            update.stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut update in updates {
        assert!(update.wait().unwrap().success());
    }
    assert_eq!(document(at, &["show", token])["data"].as_object().unwrap().len(), 8);
}

#[test]
fn agents_at_work_for_each_other_are_listed_and_ended_together() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let root =
        document(at, &["create", "--user", "lead", "--service", "planner", "--cluster", "prod"]);
    let token = root["token"].as_str().unwrap();
    let child = document(at, &["create", "--user", "worker", "--parent", token]);
    let (child, id) = (child["token"].as_str().unwrap(), root["id"].as_str().unwrap());
    document(at, &["create", "--user", "worker", "--parent", child]);
    let chain = document(at, &["list", "--chain", child]);
    let depths: Vec<_> =
        chain.as_array().unwrap().iter().map(|link| link["depth"].as_u64().unwrap()).collect();
    assert_eq!(depths, [0, 1, 2]);
    assert_eq!((&chain[1]["parent"], &chain[1]["cluster"]), (&root["id"], &"prod".into()));
    assert!(done(at, &["list", "--chain", id, "--user", "lead"]).contains("\n    "), "indented");
    assert_eq!(document(at, &["count"])["live"], 3);
    failed(at, &["create", "--parent", "0193a8f2-5c1e-7d40-9b57-5a2f4de1c001"], 1);
    failed(at, &["revoke", "--all", "--chain"], 2);
    failed(at, &["list", "--chain", id, "--cluster", "prod"], 2);
    assert_eq!(document(at, &["revoke", "--chain", token])["revoked"], 3);
    assert_eq!(document(at, &["count"])["live"], 0);
    assert_eq!(document(at, &["sweep"])["swept"], 0, "kept for a week");
}
