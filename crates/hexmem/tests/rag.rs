//! `hexmem rag`, as a script uses it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hexmem"));
    command.current_dir(folder).env("HEXMEM__RAG__BACKEND", "memory").arg("rag").args(arguments);
    command
}

fn hexmem(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The one JSON document of a command that succeeds, and what it remarks.
fn document(folder: &Path, arguments: &[&str]) -> (Value, String) {
    let output = hexmem(folder, &[arguments, &["--json"]].concat());
    let remarks = text(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {remarks}");
    (serde_json::from_slice(&output.stdout).unwrap(), remarks)
}

/// What a command says when it fails.
fn failed(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = hexmem(folder, arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty());
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}

#[test]
fn a_folder_of_many_kinds_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let docs = at.join("docs");
    fs::create_dir_all(docs.join("sub/.hidden")).unwrap();
    fs::create_dir_all(docs.join("target")).unwrap();
    let files: &[(&str, &[u8])] = &[
        ("queue.md", b"# Leases\n\nA worker leases a command.\n"),
        ("sub/plain.txt", b"plain text"),
        ("sub/.hidden/secret.txt", b"not this"),
        ("target/made.txt", b"nor this"),
        ("latin1.txt", b"caf\xe9 cr\xe8me"),
        ("broken.txt", b"gr\xc3\xb6\xc3\x9fer, sch\xc3\xb6ner \xff cut \xc3"),
        ("bom.txt", b"\xef\xbb\xbfmarked"),
        ("page.html", b"<html><title>T</title><body><p>words</p></body></html>"),
        ("image.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("empty.txt", b""),
        ("blank.md", b" \n\n"),
        (
            "notes.jsonl",
            b"{\"id\": \"n1\", \"text\": \"one\"}\n{\"text\": \"two\"}\n\n{\"text\": \"three\"}\n",
        ),
        ("bad.jsonl", b"{\"text\": \"fine\"}\n[1, 2]\n"),
    ];
    for (name, bytes) in files {
        fs::write(docs.join(name), bytes).unwrap();
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("..", docs.join("sub/loop")).unwrap();
        symlink("nowhere", docs.join("dangling")).unwrap();
        fs::write(at.join("outside.txt"), "linked to").unwrap();
        symlink("../outside.txt", docs.join("link.txt")).unwrap();
    }
    let (report, remarks) = document(at, &["ingest", "docs", "--collection", "c"]);
    let linked = u64::from(cfg!(unix));
    assert_eq!(report["added"], 9 + linked, "{report}");
    assert_eq!(report["chunks"], 9 + linked);
    let skipped = serde_json::json!({ "binary": 1, "empty": 2, "malformed": 1 });
    assert_eq!(report["skipped"], skipped);
    // What was left out, where, and why.
    says(&remarks, &["docs/bad.jsonl", "line: 2", "not a JSON object"]);
    // The same words for people.
    let shown = hexmem(at, &["ingest", "./docs", "docs/queue.md", "--collection", "c"]);
    let shown = text(&shown.stdout);
    says(&shown, &["added", "1 file skipped: binary\n", "2 files skipped: empty\n"]);
    assert!(shown.starts_with(&format!("{} added, 0 updated", 9 + linked)), "{shown}");
}

#[test]
fn what_was_named_and_cannot_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let said = failed(at, &["ingest", "absent", "--collection", "c"], 1);
    says(&said, &["absent", "check that it exists"]);
    fs::write(at.join("bad.jsonl"), "{\"text\": \"fine\"}\n{\"text\": \n").unwrap();
    let said = failed(at, &["ingest", "bad.jsonl", "--collection", "c"], 1);
    says(&said, &["bad.jsonl", "line: 2"]);
    let twice = "{\"id\": 1, \"text\": \"a\"}\n{\"id\": \"1\", \"text\": \"b\"}\n";
    fs::write(at.join("twice.jsonl"), twice).unwrap();
    let said = failed(at, &["ingest", "twice.jsonl", "--collection", "c"], 1);
    says(&said, &["twice.jsonl", "line: 2", "was there before"]);
    let said = failed(at, &["search", "x", "--collection", "absent"], 1);
    says(&said, &["no such collection", "hexmem rag list"]);
    let said = failed(at, &["show", "x", "--collection", "absent"], 1);
    says(&said, &["no such collection"]);
}

#[test]
fn wrong_usage_is_told_from_failure() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    says(&failed(at, &["ingest", "--collection", "c"], 2), &["PATH"]);
    says(&failed(at, &["ingest", "."], 2), &["--collection"]);
    says(&failed(at, &["search", "x", "--collection", "c", "-k", "0"], 2), &["1..=10000"]);
    says(&failed(at, &["search", "x", "--collection", "c", "--mode", "best"], 2), &["hybrid"]);
    says(&failed(at, &["search", "x", "--collection", "c", "--filter", "{"], 2), &["not JSON"]);
    let unknown =
        ["search", "x", "--collection", "c", "--filter", "{\"field\": \"a\", \"like\": 1}"];
    says(&failed(at, &unknown, 2), &["like"]);
    let cut = ["ingest", ".", "--collection", "c", "--chunk-size", "10", "--overlap", "9"];
    says(&failed(at, &cut, 1), &["overlap of 9", "half"]);
}

/// A test collection of four documents and two queries.
fn collection(at: &Path) -> Vec<&'static str> {
    let corpus = "{\"_id\": \"d1\", \"title\": \"Leases\", \"text\": \"A worker leases a command.\"}\n\
                  {\"_id\": \"d2\", \"title\": \"\", \"text\": \"Tea is hot.\"}\n\
                  {\"_id\": \"d3\", \"title\": \"Bread\", \"text\": \"\"}\n\
                  {\"_id\": \"d4\", \"title\": \"\", \"text\": \"Commands expire.\"}\n";
    fs::write(at.join("corpus.jsonl"), corpus).unwrap();
    let queries =
        "{\"_id\": \"q1\", \"text\": \"leasing\"}\n{\"_id\": \"q2\", \"text\": \"bread\"}\n";
    fs::write(at.join("queries.jsonl"), queries).unwrap();
    fs::write(at.join("qrels.tsv"), "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td3\t1\n").unwrap();
    let arguments =
        ["--corpus", "corpus.jsonl", "--queries", "queries.jsonl", "--qrels", "qrels.tsv"];
    [&["eval"][..], &arguments].concat()
}

#[test]
fn figures_of_a_test_collection() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let eval = collection(at);
    for more in [&[][..], &["--exact-terms"], &["--cut", "chunks"], &["--mode", "sparse"]] {
        let (figures, _) = document(at, &[&eval[..], more].concat());
        assert_eq!(figures["index"]["documents"], 4);
        for figure in ["ndcg@10", "mrr@10", "recall@10", "recall@100"] {
            assert_eq!(figures["sparse"][figure], 1.0, "{more:?}: {figure}");
        }
    }
    let table = text(&hexmem(at, &eval).stdout);
    says(&table, &["4 documents", "nDCG@10", "sparse"]);
    let said = failed(at, &[&eval[..], &["--mode", "dense"]].concat(), 1);
    says(&said, &["no embedder is configured", "sparse mode"]);
    // Nothing is left behind, also by the failed one.
    assert_eq!(document(at, &["list"]).0, serde_json::json!([]));
}

#[test]
fn bad_files_of_a_test_collection_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let eval = collection(at);
    let fine = fs::read(at.join("corpus.jsonl")).unwrap();
    for (bad, parts) in [
        (&b"{\"_id\": \"d9\"}\n"[..], &["missing field `text`"][..]),
        (b"{\"_id\": \"d1\", \"text\": \"again\"}\n", &["was there before"]),
        (b"\xff\xfe\n", &["UTF-8"]),
        (b"not json\n", &["not JSON"]),
    ] {
        fs::write(at.join("corpus.jsonl"), [&fine[..], bad].concat()).unwrap();
        let said = failed(at, &eval, 1);
        says(&said, &[parts, &["corpus.jsonl", "line: 5"]].concat());
    }
    fs::write(at.join("corpus.jsonl"), &fine).unwrap();
    fs::write(at.join("qrels.tsv"), "q1\td1\tyes\n").unwrap();
    says(&failed(at, &eval, 1), &["qrels.tsv", "line: 1", "no integer"]);
    fs::remove_file(at.join("queries.jsonl")).unwrap();
    says(&failed(at, &eval, 1), &["queries.jsonl", "cannot open"]);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let eval = collection(at);
    let mut child = command(at, &[&eval[..], &["--json"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty());
}
