//! `hexmem cache`, as a script uses it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn hexmem(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hexmem"))
        .current_dir(folder)
        .arg("cache")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn document(folder: &Path, arguments: &[&str]) -> Value {
    let output = hexmem(folder, &[arguments, &["--json"]].concat(), b"");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What it says when it fails.
fn failed(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = hexmem(folder, arguments, b"");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn an_answer_is_put_found_counted_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let ask = ["--model", "m1", "What is a lease?", "--parameter", "temperature=0.0"];
    failed(at, &[&["get"], &ask[..]].concat(), 1);
    let answer = ["--answer", "A right that ends.", "--tag", "book", "--meta", "{\"tokens\": 5}"];
    let put = document(at, &[&["put"], &ask[..], &answer[..]].concat());
    let fingerprint = put["fingerprint"].as_str().unwrap().to_owned();
    let got = document(at, &[&["get"], &ask[..]].concat());
    assert_eq!(got["value"], "A right that ends.");
    assert_eq!((&got["meta"]["tokens"], &got["stale"]), (&5.into(), &false.into()));
    assert_eq!(got["fingerprint"], fingerprint.as_str());
    // The same question from a file, written in another way.
    let file = at.join("question.json");
    let question = r#"{"messages": [{"content": "What is a lease?", "role": "user"}],
        "parameters": {"temperature": 0, "top_p": null}, "model": "m1", "provider": "default"}"#;
    std::fs::write(&file, question).unwrap();
    let plain = hexmem(at, &["get", "--question", "question.json"], b"");
    assert_eq!(plain.stdout, b"A right that ends.\n");
    let elsewhere = [&["get", "--namespace", "other"], &ask[..]].concat();
    assert!(failed(at, &elsewhere, 1).contains("no answer"));
    let stats = document(at, &["stats"]);
    assert_eq!((&stats["hits"], &stats["misses"]), (&2.into(), &1.into()));
    assert_eq!((&stats["entries"], &stats["bytes"]), (&1.into(), &18.into()));
    assert_eq!(document(at, &["invalidate", "--tag", "other"])["ended"], 0);
    assert_eq!(document(at, &["invalidate", "--tag", "book"])["ended"], 1);
    failed(at, &["get", "--fingerprint", &fingerprint], 1);
    let bytes = hexmem(at, &["put", "--question", "question.json", "--json"], &[0xff, 0x00]);
    assert!(bytes.status.success());
    assert_eq!(document(at, &["get", "--fingerprint", &fingerprint])["value_b64"], "/wA=");
    assert_eq!(document(at, &["invalidate", "--model", "m1"])["ended"], 1);
    assert_eq!(document(at, &["sweep"])["freed"], 1);
    assert_eq!(document(at, &["stats"])["entries"], 0);
}

#[test]
fn wrong_words_are_refused_and_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    failed(at, &["invalidate"], 2);
    failed(at, &["invalidate", "--all", "--tag", "a"], 2);
    failed(at, &["get", "text without a model"], 2);
    failed(at, &["get", "--fingerprint", "12"], 2);
    failed(at, &["put", "--model", "m", "q", "--answer", "a", "--ttl", "0s"], 2);
    failed(at, &["put", "--model", "m", "q", "--answer", "a", "--parameter", "top_p"], 2);
    assert!(failed(at, &["get"], 1).contains("--question"));
    std::fs::write(at.join("q.json"), "{\"model\": \"m\", \"typo\": 1}").unwrap();
    let said = failed(at, &["get", "--question", "q.json"], 1);
    assert!(said.contains("typo") && said.contains("q.json"), "{said}");
    assert!(failed(at, &["get", "--question", "missing.json"], 1).contains("missing.json"));
    let said =
        failed(at, &["put", "--model", "m", "q", "--answer", "a", "--meta", "\"\\u0000\""], 1);
    assert!(said.contains("NUL"), "{said}");
}
