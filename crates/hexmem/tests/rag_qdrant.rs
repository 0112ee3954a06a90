//! `hexmem rag` on Qdrant: the same commands, the same answers as from the embedded store.
//!
//! The server is that of `HEXMEM_TEST_QDRANT_URL`; each test has a tenant of its own there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod made;
mod words;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use made::corpus;
use serde_json::{Value, json};

/// Where a command keeps its collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Store {
    Embedded,
    Qdrant,
}

/// A folder and a tenant; its collections on the server go with it.
struct Place {
    folder: tempfile::TempDir,
    url: String,
    tenant: String,
    settings: Vec<(String, String)>,
}

impl Place {
    fn new() -> Self {
        let url = std::env::var("HEXMEM_TEST_QDRANT_URL").unwrap_or_else(|_| {
            panic!("HEXMEM_TEST_QDRANT_URL names no server; `cargo xtask test` starts one")
        });
        let tenant = format!("t-{}", uuid::Uuid::new_v4().simple());
        Self { folder: tempfile::tempdir().unwrap(), url, tenant, settings: Vec::new() }
    }

    fn with_embedder() -> Self {
        let mut place = Self::new();
        place.settings = words::endpoint();
        place
    }

    fn command(&self, store: Store, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hexmem"));
        command.current_dir(self.folder.path()).args(["--tenant", &self.tenant]).args(arguments);
        command.envs(self.settings.iter().map(|(k, v)| (k, v))).env_remove("QDRANT_URL");
        if store == Store::Qdrant {
            let backend = ("HEXMEM__RAG__BACKEND", "qdrant");
            command.envs([backend, ("HEXMEM__QDRANT__URL", self.url.as_str())]);
        }
        command
    }

    fn run(&self, store: Store, arguments: &[&str]) -> Output {
        self.command(store, arguments).output().unwrap()
    }

    fn document(&self, store: Store, arguments: &[&str]) -> Value {
        let output = self.run(store, &[arguments, &["--json"]].concat());
        let remarks = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{store:?} {arguments:?}: {remarks}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The answer of both stores, which must be one.
    fn both(&self, arguments: &[&str]) -> Value {
        let [here, there] = [Store::Embedded, Store::Qdrant].map(|on| self.document(on, arguments));
        same(&there, &here, &format!("{arguments:?}"));
        there
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join(file), text).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let output = self.run(Store::Qdrant, &["rag", "list", "--json"]);
        let listed: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        for one in listed.as_array().into_iter().flatten() {
            let name = one["collection"].as_str().unwrap_or_default();
            self.run(Store::Qdrant, &["rag", "delete", "--collection", name]);
        }
    }
}

/// Panics unless two answers are alike; numbers may differ by what the last places of an f32 hold.
fn same(a: &Value, b: &Value, what: &str) {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{what}: {a:?}\n{b:?}");
            a.iter().zip(b).for_each(|(a, b)| same(a, b, what));
        }
        (Value::Object(a), Value::Object(b)) => {
            assert_eq!(a.len(), b.len(), "{what}: {a:?}\n{b:?}");
            a.iter().for_each(|(key, value)| same(value, &b[key], &format!("{what} {key}")));
        }
        (Value::Number(x), Value::Number(y)) => {
            let (x, y) = (x.as_f64().unwrap(), y.as_f64().unwrap());
            assert!((x - y).abs() <= 1e-4 * (1.0 + y.abs()), "{what}: {x} and {y}");
        }
        _ => assert_eq!(a, b, "{what}"),
    }
}

const IN_C: [&str; 2] = ["--collection", "c"];

#[test]
fn the_same_commands_have_the_same_answers() {
    let place = Place::with_embedder();
    place.write("corpus.jsonl", &corpus(60, 150));
    let run = |words: &[&str]| place.both(&[&["rag"][..], words, &IN_C].concat());
    assert_eq!(run(&["ingest", "corpus.jsonl"])["added"], 60);
    assert_eq!(run(&["ingest", "corpus.jsonl"])["unchanged"], 60);
    for mode in ["sparse", "dense", "hybrid"] {
        for (query, filter) in [
            ("word3 word700", "{}"),
            (
                "word12",
                r#"{"and": [{"field": "lang", "eq": "de"}, {"not": {"field": "year", "gte": 2005}}]}"#,
            ),
        ] {
            let found = run(&["search", query, "--mode", mode, "-k", "12", "--filter", filter]);
            assert!(!found.as_array().unwrap().is_empty());
        }
    }
    run(&["search", "word5 word6", "--per-document", "1", "--diversity", "0.5"]);
    run(&["search", "word5 word6", "--window", "1", "--max-tokens", "500"]);
    let shown = run(&["show", "corpus.jsonl#d7"]);
    assert_eq!(shown["title"], "word7 title");
    assert_eq!(run(&["delete", "corpus.jsonl#d7", "corpus.jsonl#absent"])["documents"], 1);
    assert_eq!(run(&["list"]).as_array().unwrap().len(), 59);
    for store in [Store::Embedded, Store::Qdrant] {
        let gone = place.run(store, &["rag", "show", "corpus.jsonl#d7", "--collection", "c"]);
        assert_eq!(gone.status.code(), Some(1));
    }
    run(&["search", "word7 title"]);
    let listed = place.both(&["rag", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(run(&["delete"])["collection"], true);
    assert_eq!(place.both(&["rag", "list"]), json!([]));
}

/// The figures of each mode, on both stores.
fn figures(place: &Place, files: [&str; 3], more: &[&str]) -> Vec<(String, Value, Value)> {
    let [corpus, queries, qrels] = files;
    let named = ["rag", "eval", "--corpus", corpus, "--queries", queries, "--qrels", qrels];
    let arguments = [&named[..], more].concat();
    let [here, there] = [Store::Embedded, Store::Qdrant].map(|on| place.document(on, &arguments));
    let modes = here.as_object().unwrap().iter().filter(|(mode, _)| *mode != "index");
    modes.map(|(mode, here)| (mode.clone(), here.clone(), there[mode].clone())).collect()
}

fn alike(place: &Place, files: [&str; 3], more: &[&str], modes: usize, apart: f64) {
    let all = figures(place, files, more);
    assert_eq!(all.len(), modes);
    for (mode, here, there) in all {
        for figure in ["ndcg@10", "recall@10", "recall@100", "mrr@10"] {
            let [here, there] = [&here, &there].map(|seen| seen[figure].as_f64().unwrap());
            assert!((here - there).abs() <= apart, "{mode} {figure}: {here}, on Qdrant {there}");
            assert!(here > 0.0);
        }
    }
}

#[test]
fn the_figures_of_a_measurement_are_the_same() {
    let place = Place::with_embedder();
    place.write("corpus.jsonl", &corpus(120, 60));
    let (mut queries, mut qrels) = (String::new(), String::from("query-id\tcorpus-id\tscore\n"));
    for n in 0..40 {
        let text = format!("word{} word{} word{n}", n * 3 % 50, n * 7 % 400);
        queries.push_str(&format!("{}\n", json!({"_id": format!("q{n}"), "text": text})));
        // Those whose titles say it: what matches as well as others by chance changes places by the last digits of scores.
        qrels.push_str(&format!("q{n}\td{n}\t2\n"));
        if n * 3 % 50 != n {
            qrels.push_str(&format!("q{n}\td{}\t1\n", n * 3 % 50));
        }
    }
    place.write("queries.jsonl", &queries);
    place.write("qrels.tsv", &qrels);
    let modes = ["--mode", "sparse", "--mode", "dense", "--mode", "hybrid"];
    // Of 77 relevant documents one more or less is 0.013; while the optimizer runs, terms are counted by estimate.
    alike(&place, ["corpus.jsonl", "queries.jsonl", "qrels.tsv"], &modes, 3, 0.02);
    assert_eq!(place.document(Store::Qdrant, &["rag", "list"]), json!([]), "nothing is left");
}

/// The same on Cranfield, where `HEXMEM_TEST_CRANFIELD` names its folder (BEIR files), with the dense modes where
/// `HEXMEM_TEST_MODEL` names a model folder. Takes a minute, without optimisation many.
#[test]
fn the_figures_of_cranfield_are_the_same() {
    let Some(folder) = std::env::var_os("HEXMEM_TEST_CRANFIELD").map(PathBuf::from) else { return };
    let mut place = Place::new();
    let mut modes = vec!["--mode", "sparse"];
    if let Ok(model) = std::env::var("HEXMEM_TEST_MODEL") {
        let local = [("HEXMEM__EMBED__PROVIDER", "local"), ("HEXMEM__EMBED__FOLDER", &model)];
        place.settings.extend(local.map(|(key, value)| (key.to_owned(), value.to_owned())));
        modes.extend(["--mode", "dense", "--mode", "hybrid"]);
    }
    let files = ["corpus.jsonl", "queries.jsonl", "qrels.tsv"].map(|file| folder.join(file));
    let [corpus, queries, qrels] = [0, 1, 2].map(|at| files[at].to_str().unwrap());
    alike(&place, [corpus, queries, qrels], &modes, modes.len() / 2, 0.01);
}

#[test]
fn killed_ingests_leave_no_duplicates() {
    const DOCUMENTS: u32 = 150;
    let place = Place::new();
    place.write("corpus.jsonl", &corpus(DOCUMENTS, 400));
    let ingest = ["rag", "ingest", "corpus.jsonl", "--collection", "c"];
    let chunks = place.document(Store::Embedded, &ingest)["chunks"].as_u64().unwrap();
    let count = || {
        let listed = place.document(Store::Qdrant, &["rag", "list"]);
        listed[0]["chunks"].as_u64().unwrap_or_default()
    };
    let mut killed = 0;
    for part in 1..5 {
        let mut command = place.command(Store::Qdrant, &ingest);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        // In the middle, further with each part; one that is too fast ends by itself.
        while count() < chunks * part / 6 {
            assert!(Instant::now() < until, "the ingest does not come on");
            if child.try_wait().unwrap().is_some() {
                break;
            }
        }
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        let there = count();
        assert!(there <= chunks, "{there} of {chunks} chunks");
    }
    assert!(killed > 0, "no ingest was killed in the middle");
    let rest = place.document(Store::Qdrant, &ingest);
    let sum = |key: &str| rest[key].as_u64().unwrap();
    assert_eq!(sum("added") + sum("updated") + sum("unchanged"), u64::from(DOCUMENTS), "{rest}");
    assert_eq!(count(), chunks, "no duplicates, nothing missing");
    assert_eq!(place.document(Store::Qdrant, &ingest)["unchanged"], DOCUMENTS);
    for query in ["word3 word700", "word1 word2 word999", "word12"] {
        place.both(&["rag", "search", query, "--collection", "c", "-k", "25"]);
    }
}

#[test]
fn the_doctor_looks_at_the_server() {
    let place = Place::new();
    place.write("a.md", "A lease ends by itself.");
    place.document(Store::Qdrant, &["rag", "ingest", "a.md", "--collection", "c"]);
    let seen = place.document(Store::Qdrant, &["doctor"]);
    assert_eq!(seen["ok"], true, "{seen}");
    let checks = seen["checks"].as_array().unwrap();
    let of = |name: &str| checks.iter().find(|check| check["check"] == name).unwrap();
    assert_eq!(of("rag")["detail"], "qdrant answers");
    assert!(of("qdrant")["detail"].as_str().unwrap().contains("Qdrant 1."), "{seen}");
    assert!(seen["qdrant"]["version"].as_str().unwrap().starts_with("1."), "{seen}");
    let text = String::from_utf8(place.run(Store::Qdrant, &["doctor"]).stdout).unwrap();
    assert!(text.contains("points") && text.contains("indexed"), "{text}");
}

#[test]
fn a_server_that_is_not_there_is_said_and_no_key_is() {
    let mut place = Place::new();
    let url = std::mem::replace(&mut place.url, "http://127.0.0.1:1".to_owned());
    place.settings.push(("QDRANT_API_KEY".to_owned(), "hush".to_owned()));
    let start = Instant::now();
    let run = |place: &Place, arguments: &[&str], code| {
        let output = place.run(Store::Qdrant, arguments);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(!said.contains("hush"), "{said}");
        said
    };
    for arguments in [&["rag", "list"][..], &["doctor"]] {
        let said = run(&place, arguments, 1);
        assert!(said.contains("127.0.0.1:1"), "{said}");
    }
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(run(&place, &["config", "show"], 0).contains("qdrant.url"));
    place.url = "qdrant+http://me:hush@127.0.0.1:1".to_owned();
    assert!(run(&place, &["rag", "list"], 1).contains("qdrant.api_key"));
    run(&place, &["config", "show"], 0);
    place.url = url;
}
