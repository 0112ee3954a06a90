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
fn lookups_count_for_the_model_and_save_its_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let ask = ["--model", "m1", "What is a lease?"];
    let cost = ["--input-tokens", "412", "--output-tokens", "5", "--cost", "1300000"];
    let put = [&["put", "--answer", "A right.", "--tag", "book"], &ask[..], &cost[..]].concat();
    let fingerprint = document(at, &put)["fingerprint"].as_str().unwrap().to_owned();
    let got = document(at, &[&["get"], &ask[..]].concat());
    assert_eq!(got["usage"]["input_tokens"], 412, "{got}");
    failed(at, &["get", "--model", "m2", "What is a lease?"], 1);
    // A fingerprint does not tell the model: that counts for the namespace alone.
    document(at, &["get", "--fingerprint", &fingerprint]);

    let stats = document(at, &["stats", "--by", "model"]);
    assert_eq!((&stats["hits"], &stats["misses"]), (&2.into(), &1.into()), "{stats}");
    assert_eq!(
        (&stats["input_tokens_saved"], &stats["output_tokens_saved"]),
        (&824.into(), &10.into())
    );
    let of = |stats: &Value, key: &str, name: &str| {
        let named = stats[key].as_array().unwrap().iter();
        named.clone().find(|named| named["name"] == name).cloned().unwrap_or_default()
    };
    let m1 = of(&stats, "models", "m1");
    assert_eq!((&m1["hits"], &m1["misses"]), (&1.into(), &0.into()), "{m1}");
    assert_eq!((&m1["cost_saved"], &m1["entries"]), (&1_300_000.into(), &1.into()), "{m1}");
    assert_eq!(of(&stats, "models", "m2")["misses"], 1);
    let tags = document(at, &["stats", "--by", "tag"]);
    assert_eq!(of(&tags, "tags", "book")["entries"], 1, "{tags}");
    assert!(tags.get("models").is_none());
    let text = hexmem(at, &["stats"], b"").stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains(
            "m1: 1 of 1 answered, saved 412 + 5 tokens, cost 1.300000; 1 answer of 8 bytes"
        ),
        "{text}"
    );
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
    assert!(failed(at, &["get"], 2).contains("--question"));
    assert!(failed(at, &["put"], 2).contains("--question"));
    failed(at, &["put", "--model", "m", "q", "--answer", "a", "--input-tokens", "-1"], 2);
    failed(at, &["stats", "--by", "user"], 2);
    std::fs::write(at.join("q.json"), "{\"model\": \"m\", \"typo\": 1}").unwrap();
    let said = failed(at, &["get", "--question", "q.json"], 1);
    assert!(said.contains("typo") && said.contains("q.json"), "{said}");
    assert!(failed(at, &["get", "--question", "missing.json"], 1).contains("missing.json"));
    let said =
        failed(at, &["put", "--model", "m", "q", "--answer", "a", "--meta", "\"\\u0000\""], 1);
    assert!(said.contains("NUL"), "{said}");
}
