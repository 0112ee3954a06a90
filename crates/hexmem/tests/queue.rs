//! `hexmem queue` and `hexmem work`, as a script uses them.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
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
fn a_program_that_is_not_there_costs_no_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    document(at, &["queue", "push", "jobs", "one"]);
    for program in ["no-such-program", "./no-such-program", "/no/such/program"] {
        let said = failed(at, &["work", "jobs", "--until-empty", "--", program], 1);
        assert!(said.contains("no program") && said.contains(program), "{said}");
    }
    assert_eq!(document(at, &["queue", "stats", "jobs"])["ready"], 1);
    assert_eq!(document(at, &["queue", "lease", "jobs"])[0]["attempt"], 1);
}

#[test]
fn a_lease_that_is_over_or_anothers_settles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    document(at, &["queue", "push", "jobs", "one"]);
    let lease = document(at, &["queue", "lease", "jobs"])[0]["lease"].as_str().unwrap().to_owned();
    let (start, last) = lease.split_at(lease.len() - 1);
    let forged = format!("{start}{}", if last == "0" { "1" } else { "0" });
    for (queue, lease) in [("jobs", &forged), ("other", &lease)] {
        let said = failed(at, &["queue", "ack", queue, lease], 1);
        assert!(said.contains("the lease"), "{said}");
    }
    document(at, &["queue", "release", "jobs", &lease]);
    failed(at, &["queue", "ack", "jobs", &lease], 1);
    for wrong in [
        &["queue", "push", "jobs", "x", "--priority", "99999"][..],
        &["queue", "push", "jobs", "x", "--max-attempts", "0"],
        &["queue", "limits", "jobs", "--rate", "0/1s"],
        &["queue", "limits", "jobs", "--max-in-flight", "0"],
        &["queue", "lease", "jobs", "-n", "0"],
    ] {
        failed(at, wrong, 2);
    }
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

    let second = text(&leased[1], "id");
    let waited = failed(at, &["queue", "await", "jobs", second, "--wait", "10ms"], 1);
    assert!(waited.contains("timed out after 10ms: the command is still leased"), "{waited}");
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

/// Starts a worker whose program says when it runs, and waits for that.
fn working(folder: &Path, options: &[&str], program: &str) -> Child {
    let arguments = [&["--json", "work", "jobs"], options, &["--", "sh", "-c", program]].concat();
    let worker = start(folder, &arguments);
    while !folder.join("started").exists() {
        std::thread::yield_now();
    }
    worker
}

fn signal(worker: &Child, name: &str) {
    let pid = worker.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// What a worker printed at its end.
fn report(worker: Child) -> Value {
    let output = worker.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether a process ends, by the number that it wrote down. A kill is sent, not awaited: the kernel gets some time.
#[allow(clippy::disallowed_methods, reason = "another process has no clock that a test moves")]
fn ends(folder: &Path, file: &str) -> bool {
    (0..1_000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        !is_alive(folder, file)
    })
}

/// Whether it is there. A killed one that nobody has waited for yet is a zombie.
fn is_alive(folder: &Path, file: &str) -> bool {
    let pid = std::fs::read_to_string(folder.join(file)).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

#[test]
fn a_stop_lets_programs_finish_and_a_second_one_hands_back() {
    for name in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        document(at, &["queue", "push", "jobs", "x", "--max-attempts", "1"]);
        let program = "touch started; while ! [ -e go ]; do sleep 0.01; done; echo done";
        let worker = working(at, &[], program);
        document(at, &["queue", "push", "jobs", "later"]);
        signal(&worker, name);
        std::fs::write(at.join("go"), "").unwrap();
        let report = report(worker);
        let counts = (&report["completed"], &report["handed_back"]);
        assert_eq!(counts, (&json!(1), &json!(0)), "{name}");
        assert_eq!(document(at, &["queue", "stats", "jobs"])["ready"], 1, "nothing new is begun");
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    document(at, &["queue", "push", "jobs", "x", "--max-attempts", "1"]);
    // A program that started another: both end.
    let program = "sleep 60 & echo $! > child; touch started; wait";
    let mut worker = working(at, &[], program);
    signal(&worker, "-INT");
    // It says that it heard the first one.
    let mut heard = [0; 1];
    worker.stderr.as_mut().unwrap().read_exact(&mut heard).unwrap();
    signal(&worker, "-INT");
    let report = report(worker);
    assert_eq!((&report["handed_back"], &report["completed"]), (&json!(1), &json!(0)));
    assert!(ends(at, "child"), "the group is ended");
    let again = document(at, &["queue", "lease", "jobs"]);
    assert_eq!(again[0]["attempt"], 1, "what is handed back does not count");
}

#[test]
fn a_program_that_runs_too_long_is_ended_with_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    document(at, &["queue", "push", "jobs", "x", "--max-attempts", "1"]);
    let program = "sleep 60 & echo $! > child; wait";
    let work = ["work", "jobs", "--until-empty", "--timeout", "300ms", "--", "sh", "-c", program];
    assert_eq!(document(at, &work)["dead"], 1);
    assert!(ends(at, "child"));
    let dead = document(at, &["queue", "dead", "list", "jobs"]);
    assert!(text(&dead[0], "last_error").contains("longer than 300ms"), "{dead}");
}

#[test]
fn recurring_commands_are_added_listed_fired_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let add = ["queue", "cron", "add", "jobs", "nightly", "backup", "--line", "30 2 * * *"];
    let add = [&add[..], &["--zone", "Europe/Berlin"]].concat();
    let added = document(at, &add);
    assert_eq!(text(&added, "rule"), "30 2 * * * Europe/Berlin");
    assert_eq!(document(at, &add), added, "asked for twice, kept once");
    document(at, &["queue", "cron", "add", "jobs", "often", "ping", "--every", "1ms"]);
    let listed = document(at, &["queue", "cron", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let next = document(at, &["queue", "cron", "next", "jobs", "nightly", "-n", "2"]);
    assert_eq!((next.as_array().unwrap().len(), &next[0]), (2, &added["next_at"]));

    // Its time has long come, and comes all the time: the latest fires, once.
    assert_eq!(document(at, &["queue", "cron", "run", "--once"])["fired"], 1);
    let leased = document(at, &["queue", "lease", "jobs"]);
    assert_eq!(text(&leased[0], "payload"), "ping");
    assert_eq!(text(&leased[0]["headers"]["schedule"], "name"), "often");
    document(at, &["queue", "cron", "remove", "jobs", "often"]);
    let gone = failed(at, &["queue", "cron", "remove", "jobs", "often"], 1);
    assert!(gone.contains("no recurring"), "{gone}");
    failed(at, &["queue", "cron", "next", "jobs", "often"], 1);
    let leap = document(at, &["queue", "cron", "next", "--line", "0 0 29 2 *", "-n", "1"]);
    assert!(leap[0].as_str().unwrap().contains("-02-29T00:00"), "{leap}");

    let bad = ["queue", "cron", "add", "jobs", "bad", "x"];
    for (line, zone, why) in [
        ("0 0 30 2 *", "UTC", "can never fire"),
        ("0 25 * * *", "UTC", "hour"),
        ("* * *", "UTC", "five fields"),
        ("@daily", "Mars/Olympus", "time zone"),
    ] {
        let said = failed(at, &[&bad[..], &["--line", line, "--zone", zone]].concat(), 2);
        assert!(said.contains(why), "{line}: {said}");
    }
    for wrong in [
        &[][..],
        &["--line", "@daily", "--every", "1s"],
        &["--every", "1s", "--zone", "UTC"],
        &["--every", "0s"],
        &["--line", "@daily", "--missed", "all:0"],
    ] {
        failed(at, &[&bad[..], wrong].concat(), 2);
    }
    assert_eq!(document(at, &["queue", "cron", "list"]).as_array().unwrap().len(), 1, "unchanged");
}
