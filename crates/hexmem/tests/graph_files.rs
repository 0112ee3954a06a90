//! `hexmem graph import`, `export` and `view` as a script sees them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Two people, who know each other from different sources, and a city of once.
const LINES: &str = r#"{"type":"node","id":"ada","node_type":"person","data":{"created_at":"2026-01-01T00:00:00Z","born":1815}}
{"type":"node","id":"charles","node_type":"person","data":{"created_at":"2026-01-01T00:00:00Z"}}
{"type":"node","id":"a city","node_type":"city","data":{"created_at":"2026-01-01T00:00:00Z"}}
{"type":"edge","src":"ada","dst":"charles","rel_type":"knows","weight":0.5,"data":{"created_at":"2026-01-01T00:00:00Z","valid_from":"1833-06-05","source":"letters"}}
{"type":"edge","src":"ada","dst":"a city","rel_type":"lives_in","weight":1.0,"data":{"created_at":"2026-01-01T00:00:00Z","valid_from":"1835-01-01","valid_until":"1852-11-27"}}
"#;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hexmem"));
        command.current_dir(self.0.path()).env_clear().args(["graph"]).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command that works says: its document, and what it says beside it.
    fn json(&self, arguments: &[&str]) -> (Value, String) {
        let out = self.run(&[arguments, &["--json"]].concat());
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success(), "{arguments:?}: {said}");
        (serde_json::from_slice(&out.stdout).unwrap(), said)
    }

    fn fails(&self, arguments: &[&str], code: i32) -> String {
        let out = self.run(arguments);
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    /// The names in a folder, without the data.
    fn files(&self) -> Vec<String> {
        let there = std::fs::read_dir(self.0.path()).unwrap().flatten();
        let mut names: Vec<String> =
            there.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name != ".hexmem");
        names.sort();
        names
    }
}

#[test]
fn every_form_is_known_by_its_content_or_its_name() {
    let folder = Folder::new();
    folder.write("in.txt", LINES);
    let (report, _) = folder.json(&["import", "in.txt", "--graph", "a"]);
    assert_eq!(
        (&report["format"], &report["nodes"], &report["edges"]),
        (&json!("jsonl"), &json!(3), &json!(2))
    );
    for (file, format, edges) in [
        ("out.json", "node-link", 2),
        ("out.jsonl", "jsonl", 2),
        ("out.graphml", "graphml", 2),
        ("out.gv", "dot", 2),
        ("out", "node-link", 2),
    ] {
        let (report, said) = folder.json(&["export", file, "--graph", "a"]);
        assert_eq!((&report["format"], &report["edges"]), (&json!(format), &json!(edges)));
        assert_eq!(said.is_empty(), report["lost"] == json!({}), "{said}");
    }
    let (report, said) = folder.json(&["export", "mcp.jsonl", "--format", "mcp", "--graph", "a"]);
    assert_eq!(
        (&report["edges"], &report["lost"]["edges that do not hold now"]),
        (&json!(1), &json!(1))
    );
    for lost in ["1 attributes of nodes", "1 weights of edges", "1 sources of edges"] {
        assert!(said.contains(lost), "{lost}: {said}");
    }
    for (file, nodes) in [("out.json", 3), ("out.jsonl", 3), ("mcp.jsonl", 3)] {
        let (report, _) = folder.json(&["import", file, "--graph", file]);
        assert_eq!(report["nodes"], nodes);
    }
    // Through either lossless form the graph is the same.
    folder.json(&["export", "one.json", "--graph", "out.json"]);
    folder.json(&["export", "two.json", "--graph", "out.jsonl"]);
    assert_eq!(folder.read("one.json"), folder.read("out.json"));
    assert_eq!(folder.read("two.json"), folder.read("out.json"));

    let (report, _) =
        folder.json(&["export", "then.json", "--as-of", "1840-01-01", "--graph", "a"]);
    assert_eq!(report["edges"], 2);
    let (report, _) =
        folder.json(&["export", "then.json", "--as-of", "1834-01-01", "--graph", "a"]);
    assert_eq!(report["edges"], 1);

    assert!(folder.fails(&["import", "out.graphml"], 1).contains("GraphML"));
    assert!(folder.fails(&["import", "out.gv"], 1).contains("DOT"));
    folder.fails(&["import", "out.gv", "--format", "dot"], 2);
    folder.fails(&["export", "x.json", "--format", "yaml"], 2);
    assert!(folder.fails(&["import", "."], 1).contains("folder"));
}

#[test]
fn bad_lines_are_named_refused_or_skipped() {
    let folder = Folder::new();
    let torn = &LINES[..LINES.len() - 30];
    folder.write("torn.jsonl", torn);
    let said = folder.fails(&["import", "torn.jsonl", "--graph", "a"], 1);
    for part in
        ["line: 5", "column:", "cut short", "torn.jsonl", "--skip-bad", "nothing was imported"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (report, said) = folder.json(&["import", "torn.jsonl", "--skip-bad", "--graph", "a"]);
    assert_eq!((&report["edges"], &report["skipped"]), (&json!(1), &json!(1)));
    assert!(said.contains("skipped: line 5, column"), "{said}");

    let said = folder.fails(&["import", "torn.jsonl", "--skip-bad", "--profile", "kagura"], 1);
    assert!(said.contains("`person` is not in this graph's closed vocabulary"), "{said}");
    let utf16: Vec<u8> = LINES.encode_utf16().flat_map(u16::to_le_bytes).collect();
    folder.write("utf16.jsonl", utf16);
    assert!(folder.fails(&["import", "utf16.jsonl"], 1).contains("UTF-16"));
    folder.write("empty.jsonl", "");
    assert_eq!(folder.json(&["import", "empty.jsonl", "--graph", "b"]).0["nodes"], 0);
}

#[test]
fn standard_input_and_output_are_files_too() {
    let folder = Folder::new();
    let mut child = folder
        .command(&["import", "-", "--graph", "a"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(LINES.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    assert!(
        String::from_utf8(out.stdout)
            .unwrap()
            .contains("imported 3 nodes and 2 edges into `a` from jsonl")
    );
    let out = folder.run(&["export", "-", "--format", "jsonl", "--graph", "a"]).stdout;
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 5);
    let page = folder.run(&["view", "-", "--graph", "a"]).stdout;
    assert!(page.starts_with(b"<!doctype html>"));
    assert_eq!(folder.files(), Vec::<String>::new());

    // A reader that leaves early is no failure.
    let mut child = folder
        .command(&["view", "-", "--graph", "a"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty());
}

#[test]
fn a_page_says_what_it_leaves_out() {
    let folder = Folder::new();
    folder.write("in.jsonl", LINES);
    folder.json(&["import", "in.jsonl", "--graph", "a"]);
    let (report, said) = folder.json(&["view", "a.html", "--nodes", "2", "--graph", "a"]);
    assert_eq!((&report["nodes"], &report["nodes_left_out"]), (&json!(2), &json!(1)));
    assert!(said.contains("1 nodes") && said.contains("--around"), "{said}");
    let (report, _) =
        folder.json(&["view", "a.html", "--around", "charles", "--hops", "1", "--graph", "a"]);
    assert_eq!(report["nodes"], 2);
    assert!(folder.read("a.html").contains("Within 1 edge of charles."));
    let said = folder.fails(&["view", "b.html", "--around", "char", "--graph", "a"], 1);
    assert!(said.contains("`charles`"), "{said}");
    folder.fails(&["view", "b.html", "--nodes", "0", "--graph", "a"], 2);
    folder.fails(&["view", "b.html", "--hops", "1", "--graph", "a"], 2);
    assert!(folder.fails(&["view", "b.html", "--graph", "none"], 1).contains("`a`"));
    assert_eq!(folder.files(), ["a.html", "in.jsonl"], "no half files");
}

/// Sends Ctrl-C while an import writes, then finishes it.
#[cfg(unix)]
#[test]
fn an_import_that_is_stopped_leaves_whole_batches_and_is_finished_by_a_second_run() {
    use std::fmt::Write as _;

    let folder = Folder::new();
    let mut lines = String::new();
    for i in 0..40_000 {
        writeln!(
            lines,
            "{{\"type\":\"node\",\"id\":\"n{i}\",\"data\":{{\"created_at\":\"2026-01-01\"}}}}"
        )
        .unwrap();
    }
    folder.write("big.jsonl", &lines);
    let child = folder
        .command(&["import", "big.jsonl", "--graph", "a"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let data = folder.path(".hexmem");
    // Until something is written: the log of the database grows.
    while !has_written(&data) {
        std::thread::yield_now();
    }
    let id = child.id().to_string();
    Command::new("kill").args(["-INT", &id]).status().unwrap();
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    let stats = folder.run(&["stats", "--graph", "a", "--json"]);
    let nodes = serde_json::from_slice::<Value>(&stats.stdout)
        .map_or(0, |stats| stats["nodes"].as_u64().unwrap());
    assert_eq!(nodes % 5_000, 0, "whole batches: {nodes}");
    // On a fast machine the import may have been over before the signal came.
    if !out.status.success() {
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains("stopped"), "{said}");
    }
    folder.json(&["import", "big.jsonl", "--graph", "a"]);
    let revision = folder.json(&["import", "big.jsonl", "--graph", "a"]).0["revision"].clone();
    let (stats, _) = folder.json(&["stats", "--graph", "a"]);
    assert_eq!(stats["nodes"], 40_000);
    assert_eq!(folder.json(&["import", "big.jsonl", "--graph", "a"]).0["revision"], revision);
}

#[cfg(unix)]
fn has_written(data: &Path) -> bool {
    let Ok(files) = std::fs::read_dir(data) else { return false };
    let sizes = files.flatten().filter_map(|file| Some(file.metadata().ok()?.len()));
    sizes.sum::<u64>() > 1 << 20
}
