//! `hexmem graph neighbors`, `find`, `history`, `contradictions` and `forget` as a script sees them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hexmem"));
        command.current_dir(self.0.path()).env_clear().arg("graph").args(arguments);
        command.args(["--graph", "ada"]);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let out = self.run(&[arguments, &["--json"]].concat());
        let err = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{arguments:?}: {err}");
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{arguments:?}: {e}"))
    }

    fn text(&self, arguments: &[&str]) -> String {
        let out = self.run(arguments);
        assert!(out.status.success(), "{arguments:?}");
        String::from_utf8(out.stdout).unwrap()
    }

    fn fails(&self, arguments: &[&str], code: i32) -> String {
        let out = self.run(arguments);
        let says = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {says}");
        assert!(out.stdout.is_empty(), "{arguments:?}");
        says
    }
}

fn ids(document: &Value) -> Vec<&str> {
    document["nodes"].as_array().unwrap().iter().map(|n| n["id"].as_str().unwrap()).collect()
}

fn lived() -> Folder {
    let folder = Folder::new();
    for (id, kind, data) in [
        ("ada", "person", r#"{"born": 1815}"#),
        ("charles", "person", r#"{"born": 1791}"#),
        ("london", "city", "{}"),
        ("paris", "city", r#"{"big": true}"#),
    ] {
        folder.json(&["add-node", id, "--type", kind, "--data", data]);
    }
    let lives = ["add-edge", "ada", "lives_in"];
    folder.json(
        &[&lives[..], &["london", "--valid-from", "1835-07-08", "--source", "letters"]].concat(),
    );
    folder.json(
        &[&lives[..], &["paris", "--valid-from", "1840-01-01", "--source", "diary"]].concat(),
    );
    folder.json(&[
        "add-edge",
        "ada",
        "knows",
        "charles",
        "--weight",
        "0.9",
        "--source",
        "letters",
        "--data",
        r#"{"since": 1833}"#,
        "--since-ever",
    ]);
    folder
}

#[test]
fn neighbors_are_filtered_and_paged_and_say_how_they_were_reached() {
    let folder = lived();
    let near = |more: &[&str]| folder.json(&[&["neighbors", "ada"], more].concat());
    let all = near(&[]);
    assert_eq!(ids(&all), ["ada", "charles", "london", "paris"]);
    assert_eq!(all["nodes"][1]["via"]["from"], "ada");
    assert_eq!((&all["truncated"], &all["next"]), (&json!(false), &json!(null)));
    assert_eq!(ids(&near(&["--source", "diary"])), ["ada", "paris"]);
    assert_eq!(ids(&near(&["--type", "city"])), ["ada", "london", "paris"]);
    assert_eq!(ids(&near(&["--where", r#"{"field": "born", "lt": 1800}"#])), ["ada", "charles"]);
    assert_eq!(
        ids(&near(&["--edge-where", r#"{"field": "since", "exists": true}"#])),
        ["ada", "charles"]
    );
    assert_eq!(ids(&near(&["--min-weight", "0.95"])), ["ada", "london", "paris"]);
    assert_eq!(ids(&near(&["--direction", "in"])), ["ada"]);
    assert_eq!(ids(&near(&["--as-of", "1836-01-01"])), ["ada", "charles", "london"]);
    assert_eq!(ids(&near(&["--max-nodes", "2"])), ["ada", "charles"]);

    let first = near(&["--limit", "3"]);
    assert_eq!(ids(&first), ["ada", "charles", "london"]);
    let next = first["next"].as_str().unwrap();
    let second = near(&["--limit", "3", "--cursor", next]);
    assert_eq!((ids(&second), &second["next"]), (vec!["paris"], &json!(null)));
    assert_eq!(second["edges"].as_array().unwrap().len(), 1, "each edge comes once");
    assert!(
        folder.text(&["neighbors", "ada", "--limit", "3"]).contains(&format!("--cursor '{next}'"))
    );

    let found = |more: &[&str]| folder.json(&[&["find"], more].concat());
    assert_eq!(ids(&found(&["--type", "person", "--limit", "1"])), ["ada"]);
    let next = found(&["--type", "person", "--limit", "1"])["next"].as_str().unwrap().to_owned();
    assert_eq!(ids(&found(&["--type", "person", "--cursor", &next])), ["charles"]);
    assert_eq!(ids(&found(&["--where", r#"{"field": "big", "eq": true}"#])), ["paris"]);
    assert_eq!(ids(&found(&["--prefix", "lon"])), ["london"]);
    assert_eq!(ids(&found(&["--known-at", "2001-01-01"])), [] as [&str; 0]);
}

#[test]
fn bad_input_is_named() {
    let folder = lived();
    for (arguments, code, says) in [
        (&["neighbors", "ada", "--min-weight", "NaN"][..], 2, "not a finite number"),
        (&["neighbors", "ada", "--where", "{"], 2, "no JSON"),
        (&["neighbors", "ada", "--where", r#"{"feld": 1}"#], 2, "unknown key"),
        (&["neighbors", "ada", "--as-of", "yesterday"], 2, "RFC 3339"),
        (&["neighbors", "ada", "--cursor", "x"], 1, "cursor: x"),
        (&["find", "--cursor", "foo"], 1, "cursor: foo"),
        (&["find", "--cursor", "ada"], 1, "cursor: ada"),
        (&["contradictions", "--cursor", "ada"], 1, "cursor: ada"),
        (&["history", "ada", "--cursor", "foo"], 1, "cursor: foo"),
        (&["neighbors", "ada", "--hops", "33"], 2, "32"),
        (&["neighbors", "ada", "--limit", "0"], 2, "1 to 10000"),
        (&["contradictions", "--limit", "10001"], 2, "1 to 10000"),
        (&["path", "ada", "paris", "--paths", "0"], 2, "1 to 10000"),
        (&["neighbors", "adb"], 1, "`ada`"),
        (&["add-edge", "ada", "r", "paris", "--weight", "inf"], 2, "not a finite number"),
        (
            &[
                "add-edge",
                "ada",
                "r",
                "paris",
                "--valid-from",
                "2020-01-02",
                "--valid-until",
                "2020-01-01",
            ],
            2,
            "end before it begins",
        ),
        (&["add-node", "x", "--type", "alien", "--profile", "kagura"], 1, "closed vocabulary"),
        (&["add-edge", "ada", "works_at", "paris", "--profile", "kagura"], 1, "works_on"),
        (&["add-node", "x", "--type", "t", "--profile", "strict"], 2, "kagura"),
        (&["remove", "ada", "lives_in"], 2, "SRC RELATION DST"),
        (&["invalidate", "ada", "lives_in"], 2, "SRC RELATION DST"),
        (&["invalidate", "ada"], 2, "three words"),
        (&["invalidate", "ada", "lives_in", "paris", "--at", "1800-01-01"], 1, "remove it"),
        (&["history", "ada", "lives_in", "rome"], 1, "there never was"),
        (&["forget", "city", "paris"], 2, "possible values"),
        (&["forget", "source"], 2, "NAME"),
    ] {
        let text = folder.fails(arguments, code);
        assert!(text.contains(says), "{arguments:?}: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
    // A time without a zone is in UTC, and the help says so.
    folder.json(&["add-edge", "ada", "r", "paris", "--valid-from", "2020-01-01T10:00:00"]);
    let history = folder.json(&["history", "ada", "r", "paris"]);
    assert_eq!(history["versions"][0]["edge"]["valid_from"], "2020-01-01T10:00:00.000000Z");
    assert!(folder.text(&["add-edge", "--help"]).contains("UTC"));
}

#[test]
fn one_is_not_many() {
    let folder = Folder::new();
    for id in ["a", "b"] {
        folder.text(&["add-node", id, "--type", "t"]);
    }
    folder.text(&["add-edge", "a", "knows", "b"]);
    for (arguments, says) in [
        (&["stats"][..], "2 nodes, 1 edge (1 hold now)"),
        (&["path", "a", "b"], "1 edge, cost 1"),
        (&["components"], "1 component of 2 nodes"),
        (&["communities"], "1 community of 2 nodes"),
        (&["contradictions"], "0 contradictions"),
        (&["view", "a.html"], "drew 2 nodes and 1 edge"),
        (&["export", "a.jsonl"], "exported 2 nodes and 1 edge"),
        (&["import", "a.jsonl"], "imported 2 nodes and 1 edge"),
        (&["invalidate", "a", "knows", "b"], "1 edge ends at"),
        (&["remove", "a", "knows", "b"], "removed 0 nodes and 1 edge;"),
        (&["remove", "a"], "removed 1 node and 0 edges;"),
        (&["forget", "source", "nobody"], "forgot 0 edges and 0 nodes"),
    ] {
        let text = folder.text(arguments);
        assert!(text.contains(says), "{arguments:?}: {text}");
    }
}

#[test]
fn a_wrong_word_of_a_hundred_kilobytes_is_not_quoted_whole() {
    let folder = Folder::new();
    let long = "x".repeat(100_000);
    let text = folder.fails(&["add-node", &long, "--type", "t"], 2);
    assert!(text.len() < 1_000 && text.contains("for '<ID>'"), "{text}");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let folder = lived();
    let mut child = folder.command(&["neighbors", "ada"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    assert_ne!(status.code(), Some(101), "no panic");
}

#[test]
fn values_of_a_relation_have_a_history_and_contradictions() {
    let folder = lived();
    let values = folder.json(&["history", "ada", "lives_in"]);
    assert_eq!(values["versions"].as_array().unwrap().len(), 2);
    let then = folder.json(&["history", "ada", "lives_in", "--as-of", "1836-01-01"]);
    assert_eq!(then["versions"][0]["edge"]["dst"], "london");
    let before = folder.json(&["history", "ada", "lives_in", "--known-at", "2001-01-01"]);
    assert_eq!(before["versions"], json!([]));
    let clash = folder.json(&["contradictions", "--functional", "lives_in"]);
    let found = &clash["contradictions"][0];
    assert_eq!(
        (&found["clash"], &found["from"]),
        (&json!("two_values"), &json!("1840-01-01T00:00:00.000000Z"))
    );
    assert_eq!(found["first"]["dst"], "london");
    assert!(
        folder.text(&["contradictions", "--functional", "lives_in"]).contains("two values at once")
    );
    let none =
        folder.json(&["contradictions", "--functional", "lives_in", "--as-of", "1837-01-01"]);
    assert_eq!(none["contradictions"], json!([]));
}

#[test]
fn forgetting_says_what_goes_and_what_stays() {
    let folder = lived();
    let would = folder.json(&["forget", "source", "letters", "--dry-run"]);
    assert_eq!(
        (&would["edges"], &would["nodes"], &would["dry_run"]),
        (&json!(2), &json!(2), &json!(true))
    );
    assert_eq!(folder.json(&["stats"])["edges"], 3, "nothing happened");
    let text = folder.text(&["forget", "source", "letters", "--dry-run"]);
    assert!(
        text.contains("would forget 2 edges") && text.contains("stays  ada: other facts"),
        "{text}"
    );
    let mut done = folder.json(&["forget", "source", "letters"]);
    done["dry_run"] = json!(true);
    assert_eq!(done, would);
    assert_eq!(done["purged"], json!(["charles", "london"]));
    assert_eq!(done["kept"], json!({"ada": "other_facts"}));
    assert_eq!(folder.json(&["stats"])["edges"], 1);
    folder.fails(&["history", "ada", "knows", "charles"], 1);
    assert_eq!(folder.json(&["forget", "source", "letters"])["edges"], 0);
    let kept = folder.json(&["forget", "source", "diary", "--keep-nodes"]);
    assert_eq!((&kept["edges"], &kept["nodes"]), (&json!(1), &json!(0)));
    assert_eq!(folder.json(&["forget", "user", "nobody"])["nodes"], 0);
}
