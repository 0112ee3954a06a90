//! `hexmem queue` and `hexmem work`, as a script uses them.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

fn start(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_hexmem"))
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn hexmem(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = start(folder, arguments);
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn document(folder: &Path, arguments: &[&str]) -> Value {
    // Before a `--` that belongs to a program.
    let arguments = [&["--json"], arguments].concat();
    let output = hexmem(folder, &arguments, b"");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What it says when it fails.
fn failed(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = hexmem(folder, arguments, b"");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn text<'a>(document: &'a Value, field: &str) -> &'a str {
    document[field].as_str().unwrap()
}

#[test]
fn a_command_is_pushed_leased_and_completed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let first = document(at, &["queue", "push", "jobs", "one"]);
    assert_eq!(first["outcome"], "queued");
    let binary = hexmem(at, &["queue", "push", "jobs", "-", "--priority", "-3"], &[0xff, 0]);
    assert!(binary.status.success());

    let leased = document(at, &["queue", "lease", "jobs", "-n", "9", "--visibility", "1m"]);
    assert_eq!((&leased[0]["id"], &leased[0]["payload"]), (&first["id"], &json!("one")));
    assert_eq!(leased[0]["attempt"], 1);
    assert_eq!((&leased[1]["payload"], &leased[1]["payload_b64"]), (&Value::Null, &json!("/wA=")));
    let lease = text(&leased[0], "lease");
    assert_eq!(document(at, &["queue", "extend", "jobs", lease])["cancel_requested"], false);
    document(at, &["queue", "ack", "jobs", lease, "done"]);
    let result = document(at, &["queue", "await", "jobs", text(&first, "id")]);
    assert_eq!((&result["state"], &result["result"]), (&json!("completed"), &json!("done")));

    let late = failed(at, &["queue", "fail", "jobs", lease], 1);
    assert!(late.contains("lease"), "{late}");
    let forged = failed(at, &["queue", "ack", "jobs", "not-a-lease"], 2);
    assert!(forged.contains("not a lease"), "{forged}");
    let unknown = failed(at, &["queue", "show", "jobs", "7f2c1c9e-0000-4000-8000-000000000000"], 1);
    assert!(unknown.contains("no command"), "{unknown}");
}

#[test]
fn dead_letters_are_listed_requeued_and_purged() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for payload in ["a", "b"] {
        document(at, &["queue", "push", "jobs", payload]);
        let leased = document(at, &["queue", "lease", "jobs"]);
        let lease = text(&leased[0], "lease");
        let outcome = document(at, &["queue", "fail", "jobs", lease, "--dead", "--error", "why"]);
        assert_eq!(outcome["outcome"], "dead");
    }
    let dead = document(at, &["queue", "dead", "list", "jobs"]);
    assert_eq!(dead.as_array().unwrap().len(), 2);
    assert_eq!(dead[0]["last_error"], "why");
    let one = text(&dead[0], "id");
    assert_eq!(document(at, &["queue", "dead", "requeue", "jobs", one]), json!({"requeued": 1}));
    assert_eq!(document(at, &["queue", "dead", "purge", "jobs", "--all"]), json!({"purged": 1}));
    let stats = document(at, &["queue", "stats", "jobs"]);
    assert_eq!((&stats["ready"], &stats["dead"]), (&json!(1), &json!(0)));
}

#[test]
fn a_program_works_a_queue() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let good = document(at, &["queue", "push", "jobs", "shout"]);
    let bad = document(at, &["queue", "push", "jobs", "bad"]);
    let program = "read -r text || true; [ \"$text\" = bad ] && { echo no >&2; exit 65; }; \
                   echo \"$text\" | tr a-z A-Z; echo $HEXMEM_ATTEMPT";
    let work = ["work", "jobs", "--until-empty", "--concurrency", "2", "--", "sh", "-c", program];
    let report = document(at, &work);
    assert_eq!((&report["completed"], &report["dead"]), (&json!(1), &json!(1)));
    let result = document(at, &["queue", "result", "jobs", text(&good, "id")]);
    assert_eq!(result["result"], "SHOUT\n1\n");
    let why = failed(at, &["queue", "result", "jobs", text(&bad, "id")], 1);
    assert!(why.contains("65") && why.contains("no"), "{why}");
    let nobody = failed(at, &["queue", "push", "quiet", "x", "--require-consumer", "1m"], 1);
    assert!(nobody.contains("no worker"), "{nobody}");
}

#[test]
fn ctrl_c_hands_back_what_runs() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    document(at, &["queue", "push", "jobs", "x", "--max-attempts", "1"]);
    // The program says when it runs, and would go on for a minute.
    let program = "touch started; exec sleep 60";
    let worker = start(at, &["--json", "work", "jobs", "--", "sh", "-c", program]);
    while !at.join("started").exists() {
        std::thread::yield_now();
    }
    let pid = worker.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = worker.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["handed_back"], &report["completed"]), (&json!(1), &json!(0)));
    let again = document(at, &["queue", "lease", "jobs"]);
    assert_eq!(again[0]["attempt"], 1, "what is handed back does not count");
}
