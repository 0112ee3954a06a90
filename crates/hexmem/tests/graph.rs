//! `hexmem graph` as a script sees it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Nodes and edges in the form that NetworkX writes, with the traps of real files: naive times, a fact
/// invalidated before it began, attributes of other programs.
const FILE: &str = r#"{
  "directed": true,
  "multigraph": false,
  "graph": {},
  "nodes": [
    {"id": "memory_1", "type": "memory", "created_at": "2025-10-09T23:18:48.046833", "key": "k"},
    {"id": "user_1", "type": "user", "created_at": "2025-10-09T23:18:48.046833"},
    {"id": "topic_rust", "type": "topic", "name": "rust"}
  ],
  "links": [
    {"type": "learned_from", "weight": 1.0, "created_at": "2025-10-09T23:18:48", "valid_from": "2025-10-09T23:18:48",
     "valid_until": null, "source": "memory_1", "confidence": 1.0, "target": "user_1"},
    {"type": "related_to", "weight": 0.1, "created_at": "2025-10-09T23:18:48", "valid_from": "2025-10-09T23:18:48",
     "valid_until": "2025-10-01T00:00:00", "invalidated": true, "source": "memory_1", "target": "topic_rust"}
  ]
}
"#;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn hexmem(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_hexmem"))
            .current_dir(self.path())
            .env_clear()
            .args(arguments)
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let out = self.hexmem(&[arguments, &["--json"]].concat());
        let err = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{arguments:?}: {err}");
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{arguments:?}: {e}"))
    }

    /// What a failing command says.
    fn fails(&self, arguments: &[&str], code: i32) -> String {
        let out = self.hexmem(arguments);
        let says = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {says}");
        assert!(out.stdout.is_empty(), "{arguments:?}");
        says
    }
}

#[test]
fn a_file_goes_in_and_comes_out_equal() {
    let folder = Folder::new();
    folder.write("in.json", FILE);
    let report = folder.json(&["graph", "import", "in.json", "--graph", "a"]);
    assert_eq!((&report["nodes"], &report["edges"]), (&json!(3), &json!(2)));
    assert_eq!((&report["skipped"], &report["never_held"]), (&json!(0), &json!(1)));
    let stats = folder.json(&["graph", "stats", "--graph", "a"]);
    assert_eq!((&stats["nodes"], &stats["edges"]), (&json!(3), &json!(2)));
    assert_eq!(stats["current_edges"], 1);
    assert_eq!(stats["node_types"]["topic"], 1);
    assert_eq!(stats["edge_types"]["learned_from"], 1);
    folder.json(&["graph", "export", "out.json", "--graph", "a"]);
    folder.json(&["graph", "import", "out.json", "--graph", "b"]);
    folder.json(&["graph", "export", "again.json", "--graph", "b"]);
    let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
    // The birth of a node whose file does not say it is when it was first read.
    assert_eq!(read("out.json"), read("again.json"));
    let left = std::fs::read_dir(folder.path()).unwrap().flatten();
    assert!(!left.map(|file| file.file_name()).any(|name| name.to_string_lossy().contains("part")));
    let piped = folder.hexmem(&["graph", "export", "-", "--graph", "a"]);
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), read("out.json"));
    let graphs = folder.json(&["graph", "list"]);
    assert_eq!(graphs["graphs"], json!(["a", "b"]));
}

#[test]
fn a_bad_file_is_refused_by_its_line_or_its_bad_items_are_skipped() {
    let folder = Folder::new();
    folder.write("bad.json", &FILE.replace("\"weight\": 0.1", "\"weight\": NaN"));
    let says = folder.fails(&["graph", "import", "bad.json", "--graph", "a", "--strict"], 1);
    for part in ["bad.json", "links[1]", "line: 13", "`weight` is NaN", "--skip-bad"] {
        assert!(says.contains(part), "{part}: {says}");
    }
    assert!(folder.fails(&["graph", "stats", "--graph", "a"], 1).contains("no graph `a`"));
    let report = folder.json(&["graph", "import", "bad.json", "--graph", "a", "--skip-bad"]);
    assert_eq!((&report["edges"], &report["skipped"]), (&json!(1), &json!(1)));
    assert_eq!(report["problems"][0]["line"], 13);

    folder.write("torn.json", &FILE[..FILE.len() / 2]);
    let says = folder.fails(&["graph", "import", "torn.json", "--skip-bad"], 1);
    assert!(says.contains("cut short") && says.contains("torn.json"), "{says}");
    let says = folder.fails(&["graph", "import", "nowhere.json"], 1);
    assert!(says.contains("nowhere.json"), "{says}");
    folder.fails(&["graph", "import", "bad.json", "--format", "yaml"], 2);
}

#[test]
fn facts_are_stated_ended_and_asked_for() {
    let folder = Folder::new();
    let graph = ["--graph", "ada"];
    let run = |arguments: &[&str]| folder.json(&[arguments, &graph].concat());
    let refuses = |arguments: &[&str], code| folder.fails(&[arguments, &graph].concat(), code);
    for (id, kind) in [("ada", "person"), ("london", "city"), ("paris", "city")] {
        run(&["graph", "add-node", id, "--type", kind]);
    }
    let merged = ["graph", "add-node", "ada", "--merge", "--data", "{\"born\": 1815}"];
    assert_eq!(run(&merged)["node"]["data"], json!({"born": 1815}));
    let lives = ["graph", "add-edge", "ada", "lives_in"];
    let early = ["london", "--valid-from", "1835-07-08", "--functional", "--source", "letters"];
    let london = run(&[&lives[..], &early].concat());
    let late = ["paris", "--valid-from", "2020-01-01", "--functional", "--weight", "-0.5"];
    let paris = run(&[&lives[..], &late].concat());
    assert_eq!(paris["ended"], json!([london["edge"]]));

    let near = run(&["graph", "neighbors", "ada", "--direction", "out"]);
    assert_eq!(
        (&near["nodes"][1]["id"], &near["nodes"][1]["distance"]),
        (&json!("paris"), &json!(1))
    );
    let then = run(&["graph", "neighbors", "ada", "--as-of", "1840-01-01"]);
    assert_eq!(then["edges"][0]["source"], "letters");
    let path = run(&["graph", "path", "london", "paris", "--any-time"]);
    assert_eq!(path["nodes"], json!(["london", "ada", "paris"]));
    assert!(refuses(&["graph", "path", "london", "paris"], 1).contains("no path"));

    let known = run(&["graph", "history", "ada", "lives_in", "london"]);
    assert_eq!(known["versions"].as_array().unwrap().len(), 2);
    let end = ["graph", "invalidate", "ada", "lives_in", "paris", "--at", "2024-01-01T00:00:00Z"];
    assert_eq!(run(&end)["edges"], json!([paris["edge"]]));
    assert_eq!(run(&["graph", "stats"])["current_edges"], 0);
    assert_eq!(run(&["graph", "remove", "ada"])["edges"], 2);
    let says = refuses(&["graph", "neighbors", "parisq"], 1);
    assert!(says.contains("no node `parisq`") && says.contains("`paris`"), "{says}");
    let says = refuses(&["graph", "add-edge", "paris", "r", "nowhere"], 1);
    assert!(says.contains("nowhere") && says.contains("add-node"), "{says}");
    refuses(&["graph", "add-node", "x", "--type", "t", "--data", "[1]"], 2);
    refuses(&["graph", "neighbors", "ada", "--as-of", "yesterday"], 2);
}

#[cfg(unix)]
#[test]
fn an_export_replaces_a_file_behind_its_links_and_nothing_that_is_no_file() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let folder = Folder::new();
    folder.write("in.json", FILE);
    folder.json(&["graph", "import", "in.json", "--graph", "a"]);
    folder.write("kept.json", "old");
    let kept = folder.path().join("kept.json");
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o600)).unwrap();
    symlink("kept.json", folder.path().join("link.json")).unwrap();
    folder.json(&["graph", "export", "link.json", "--graph", "a"]);
    assert!(folder.path().join("link.json").is_symlink());
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&kept).unwrap().contains("memory_1"));

    std::fs::create_dir(folder.path().join("folder")).unwrap();
    assert!(
        folder
            .fails(&["graph", "export", "folder", "--graph", "a"], 1)
            .contains("a folder stands there")
    );

    // A pipe stays a pipe, and its reader gets the graph.
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut reader =
        Command::new("cat").arg(&pipe).stdout(std::process::Stdio::piped()).spawn().unwrap();
    assert!(folder.hexmem(&["graph", "export", "pipe", "--graph", "a"]).status.success());
    let mut read = String::new();
    std::io::Read::read_to_string(&mut reader.stdout.take().unwrap(), &mut read).unwrap();
    reader.wait().unwrap();
    assert!(read.contains("memory_1"));
}
