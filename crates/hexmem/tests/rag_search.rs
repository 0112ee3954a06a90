//! `hexmem rag search` with what comes after the search, and with embedders that are not there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn hexmem(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hexmem"));
    command.current_dir(folder).arg("rag").args(arguments).envs(settings.iter().copied());
    command.output().unwrap()
}

fn document(folder: &Path, arguments: &[&str]) -> Value {
    let output = hexmem(folder, &[], &[arguments, &["--collection", "c", "--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> String {
    let output = hexmem(folder, settings, &[arguments, &["--collection", "c"]].concat());
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn corpus() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let long: String = (0..12)
        .map(|n| {
            format!("Paragraph {n} says nothing new at all.\n\n{}\n\n", "Filler words. ".repeat(20))
        })
        .collect();
    let long = long.replacen("Paragraph 6 says", "Paragraph 6: a lease ends by itself, it says", 1);
    fs::write(folder.path().join("long.txt"), &long).unwrap();
    fs::write(folder.path().join("short.txt"), "A lease.").unwrap();
    document(folder.path(), &["ingest", "long.txt", "short.txt"]);
    folder
}

#[test]
fn text_around_hits_and_whole_documents() {
    let folder = corpus();
    let at = folder.path();
    let ask = |options: &[&str]| document(at, &[&["search", "lease ends"], options].concat());
    let window = ask(&["--window", "1"]);
    let passages = window["passages"].as_array().unwrap();
    let long = passages.iter().find(|passage| passage["document"] == "long.txt").unwrap();
    assert!(long["text"].as_str().unwrap().contains("a lease ends by itself"));
    let whole = ask(&["--whole"]);
    let text = fs::read_to_string(at.join("long.txt")).unwrap();
    let texts: Vec<&str> =
        whole["passages"].as_array().unwrap().iter().map(|p| p["text"].as_str().unwrap()).collect();
    assert!(texts.contains(&text.as_str()) && texts.contains(&"A lease."));
    let few = ask(&["--whole", "--max-tokens", "1"]);
    assert_eq!((few["passages"].as_array().unwrap().len(), &few["left_out"]), (0, &2.into()));
    let one = ask(&["--per-document", "1", "--diversity", "0.5", "--profile", "recent"]);
    assert_eq!(one.as_array().unwrap().len(), 2);
    assert!(one[0]["signals"]["recency"].is_number(), "{one}");
}

#[test]
fn what_is_not_configured_says_so() {
    let folder = corpus();
    let at = folder.path();
    let search = ["search", "lease"];
    let said = refused(at, &[], &[&search[..], &["--rerank"]].concat());
    assert!(said.contains("no reranker is configured"), "{said}");
    let said = refused(at, &[], &[&search[..], &["--diversity", "7"]].concat());
    assert!(said.contains("diversity is 0 to 1"), "{said}");
    let said = refused(at, &[], &[&search[..], &["--mode", "dense"]].concat());
    assert!(said.contains("no embedder is configured"), "{said}");

    let local = [("HEXMEM__EMBED__PROVIDER", "local")];
    assert!(refused(at, &local, &search).contains("embed.folder is missing"));
    let nowhere = [("HEXMEM__EMBED__PROVIDER", "local"), ("HEXMEM__EMBED__FOLDER", "nowhere")];
    assert!(refused(at, &nowhere, &search).contains("there is no such folder"));
    let endpoint = [("HEXMEM__EMBED__PROVIDER", "endpoint"), ("HEXMEM__EMBED__API_KEY", "hush")];
    let said = refused(at, &endpoint, &search);
    assert!(said.contains("model is missing") && !said.contains("hush"), "{said}");
    // What needs no model asks none.
    let output = hexmem(at, &nowhere, &["list"]);
    assert!(output.status.success());
}
