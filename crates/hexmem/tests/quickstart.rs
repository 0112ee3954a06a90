//! `hexmem quickstart` as a newcomer meets it: on a repository, on none, again, and the commands that it prints.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn hexmem(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hexmem")).current_dir(folder).args(arguments).output().unwrap()
}

fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .current_dir(folder)
        .args([
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.com",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        status.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&status.stderr)
    );
}

fn commit(folder: &Path, files: &[(&str, &str)], message: &str) {
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", message]);
}

fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q"]);
    commit(
        folder.path(),
        &[("README.md", "# Boats\n\nRents boats by the hour.\n")],
        "Begin the boat rental",
    );
    for n in 0..6 {
        let files =
            [("src/boat.rs", format!("//! Boats. {n}\n")), ("src/rent it.rs", format!("// {n}\n"))];
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        commit(
            folder.path(),
            &files,
            &format!("Fix lease token {n}\n\nThe token was compared wrongly."),
        );
    }
    folder
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_repository_becomes_a_memory_that_answers() {
    let folder = repository();
    let report = json(&hexmem(folder.path(), &["quickstart", "--json"]));
    let about = |kind: &str| {
        let all = report["questions"].as_array().unwrap();
        all.iter().find(|question| question["about"] == kind).unwrap().clone()
    };
    assert_eq!(about("file")["subject"], "src/boat.rs");
    let together = about("file")["answer"].to_string();
    assert!(
        together.contains("6 commits touch it") && together.contains("6 times with src/rent it.rs"),
        "{together}"
    );
    assert_eq!(about("topic")["subject"], "lease token");
    assert!(about("topic")["answer"].to_string().contains("commit:"), "{report}");
    assert!(about("past")["answer"].to_string().contains("7 commits, 3 files"), "{report}");
    assert!(about("parts")["answer"].to_string().contains("src: 2 files"), "{report}");
    assert!(folder.path().join(".hexmem/hexmem.db").is_file());

    for command in report["next"].as_array().unwrap() {
        let command = command.as_str().unwrap();
        let ran =
            Command::new("sh").current_dir(folder.path()).args(["-c", command]).output().unwrap();
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
        assert!(!ran.stdout.is_empty(), "{command} printed nothing");
    }
}

#[test]
fn a_second_run_writes_only_what_is_new() {
    let folder = repository();
    let stats = || {
        json(&hexmem(folder.path(), &["graph", "stats", "--json", "--graph", &name(folder.path())]))
    };
    json(&hexmem(folder.path(), &["quickstart", "--json"]));
    let first = stats();
    json(&hexmem(folder.path(), &["quickstart", "--json"]));
    assert_eq!(stats(), first);
    commit(folder.path(), &[("NEWS.md", "# News\n")], "Announce it");
    json(&hexmem(folder.path(), &["quickstart", "--json"]));
    let nodes = |stats: &Value| stats["nodes"].as_u64().unwrap();
    assert_eq!(nodes(&stats()), nodes(&first) + 2, "a commit and a file");
}

fn name(folder: &Path) -> String {
    folder.canonicalize().unwrap().file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn what_is_no_repository_is_said_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let ran = hexmem(folder.path(), &["quickstart"]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(1));
    assert!(
        said.contains("not a git repository") && said.contains("hexmem quickstart PATH"),
        "{said}"
    );

    git(folder.path(), &["init", "-q"]);
    let ran = hexmem(folder.path(), &["quickstart"]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(1));
    assert!(said.contains("no commits"), "{said}");
    assert!(!folder.path().join(".hexmem").exists(), "a refused quickstart leaves nothing");
}
