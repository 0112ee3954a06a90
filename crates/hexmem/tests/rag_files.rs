//! `hexmem rag ingest` of many files at once, stopped half-way, and questions that ask for nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hexmem"));
    command.current_dir(folder).arg("rag").args(arguments).args(["--collection", "c"]);
    command
}

fn output(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn document(folder: &Path, arguments: &[&str]) -> Value {
    let output = output(folder, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn files(folder: &Path, numbers: std::ops::Range<u32>) {
    fs::create_dir_all(folder.join("docs")).unwrap();
    for n in numbers {
        let text = format!("File number{n}. {}", "A worker leases commands. ".repeat(40));
        fs::write(folder.join(format!("docs/{n}.txt")), text).unwrap();
    }
}

#[test]
fn many_files_are_read_at_once_and_what_is_gone_goes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    files(at, 0..700);
    fs::write(at.join("docs/bad.jsonl"), "{\"text\": \"one\"}\nnonsense\n").unwrap();
    fs::write(at.join("docs/picture.png"), b"\x89PNG\r\n\x1a\n\0\0").unwrap();
    let first = document(at, &["ingest", "docs"]);
    assert_eq!(
        (first["added"].as_u64(), first["chunks"].as_u64()),
        (Some(700), Some(2_100)),
        "{first}"
    );
    assert_eq!(first["skipped"], serde_json::json!({ "binary": 1, "malformed": 1 }));
    for n in 0..350 {
        fs::remove_file(at.join(format!("docs/{n}.txt"))).unwrap();
    }
    fs::write(at.join("docs/400.txt"), "Another text.").unwrap();
    let second = document(at, &["ingest", "docs"]);
    let told = ["added", "updated", "unchanged", "removed", "chunks"]
        .map(|key| second[key].as_u64().unwrap());
    assert_eq!(told, [0, 1, 349, 350, 1]);
    assert!(document(at, &["search", "number100"]).as_array().unwrap().is_empty());
    assert_eq!(document(at, &["search", "number600"])[0]["document"], "docs/600.txt");
}

#[cfg(unix)]
#[test]
fn one_that_is_stopped_is_finished_by_the_next() {
    use rustix::process::{Pid, Signal, kill_process};

    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    files(at, 0..1);
    document(at, &["ingest", "docs"]);
    files(at, 0..2_000);
    let child = command(at, &["ingest", "docs"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Once something is on its way into the file, whose tables are there.
    let log = at.join(".hexmem/hexmem.db-wal");
    while fs::metadata(&log).map_or(0, |meta| meta.len()) < 300_000 {
        std::thread::yield_now();
    }
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, Signal::INT).unwrap();
    let stopped = child.wait_with_output().unwrap();
    let said = String::from_utf8(stopped.stderr).unwrap();
    assert_eq!(stopped.status.code(), Some(1), "{said}");
    assert!(said.contains("stopped;") && said.contains("run the same command again"), "{said}");
    let next = document(at, &["ingest", "docs"]);
    let (added, unchanged) = (next["added"].as_u64().unwrap(), next["unchanged"].as_u64().unwrap());
    assert_eq!(added + unchanged, 2_000);
    assert!(unchanged > 1 && next["updated"] == 0 && next["removed"] == 0, "{next}");
    assert!(
        said.contains(&format!("{unchanged} documents are in the collection")),
        "{said}: {next}"
    );
}

/// A PDF of one page that shows `text`, without compression and with a table of places that readers must mend.
fn pdf(text: &str) -> String {
    let shown = format!("BT /F1 12 Tf 50 700 Td ({text}) Tj ET");
    format!(
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
         2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
         3 0 obj<</Type/Page/Parent 2 0 R/Contents 5 0 R/Resources<</Font<</F1 4 0 R>>>>/MediaBox[0 0 595 842]>>endobj\n\
         4 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>endobj\n\
         5 0 obj<</Length {}>>stream\n{shown}\nendstream endobj\n\
         trailer<</Root 1 0 R/Size 6>>\nstartxref\n0\n%%EOF\n",
        shown.len()
    )
}

#[test]
fn pdf_and_old_encodings_are_found_by_their_words() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("docs")).unwrap();
    let utf16: Vec<u8> = "Un café très noir".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let paper = pdf("A lease ends by itself");
    let files: [(&str, &[u8]); 4] = [
        ("paper.pdf", paper.as_bytes()),
        ("damaged.pdf", b"%PDF-1.7 and no more"),
        ("unmarked.txt", &utf16),
        ("old.txt", b"Ein gr\xfcner Schl\xfcssel f\xfcr die T\xfcr"),
    ];
    for (name, bytes) in files {
        fs::write(at.join("docs").join(name), bytes).unwrap();
    }
    let told = output(at, &["ingest", "docs", "--json"]);
    let report: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(
        (report["added"].as_u64(), &report["skipped"]),
        (Some(3), &serde_json::json!({ "malformed": 1 }))
    );
    let remarks = String::from_utf8(told.stderr).unwrap();
    assert!(remarks.contains("damaged.pdf"), "{remarks}");
    for (question, name) in
        [("lease", "paper.pdf"), ("café", "unmarked.txt"), ("Schlüssel", "old.txt")]
    {
        let hits = document(at, &["search", question]);
        assert_eq!(hits[0]["document"], format!("docs/{name}"));
    }
    let filter = "{\"field\": \"format\", \"eq\": \"pdf\"}";
    assert_eq!(document(at, &["search", "lease", "--filter", filter]).as_array().unwrap().len(), 1);
}

#[test]
fn questions_that_ask_for_nothing_get_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    files(at, 0..3);
    document(at, &["ingest", "docs"]);
    for question in ["", "   ", "the of and", "!?", "\u{3000}", "zebra"] {
        assert!(document(at, &["search", question]).as_array().unwrap().is_empty(), "{question:?}");
    }
    let shown = output(at, &["search", "the of and"]);
    assert!(String::from_utf8(shown.stdout).unwrap().contains("stop words alone"));
    // One word, a hundred kilobytes of them, and one of a hundred kilobytes.
    assert_eq!(document(at, &["search", "leases"]).as_array().unwrap().len(), 9);
    let long: String = (0..9_000).map(|n| format!("leases{n} ")).collect::<String>() + "number2";
    assert_eq!(document(at, &["search", &long])[0]["document"], "docs/2.txt");
    assert!(document(at, &["search", &"x".repeat(100_000)]).as_array().unwrap().is_empty());
    // A field that no document has.
    let filter = "{\"field\": \"nowhere.at.all\", \"eq\": 1}";
    assert!(document(at, &["search", "leases", "--filter", filter]).as_array().unwrap().is_empty());
}
