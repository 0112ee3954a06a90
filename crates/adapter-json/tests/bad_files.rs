//! Files that are full, not ours to write, or of a newer program: a clear error, and what was there stays.
//!
//! Child processes are this test binary again, told by an environment variable what to do.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use hexmem_adapter_json::{JsonConfig, JsonGraphs};
use hexmem_adapter_memory::SystemClock;
use hexmem_ports::{
    AsOf, Compact, Effectiveness, ErrorKind, Expect, GraphBatch, GraphChange, GraphId,
    GraphStore as _, Limit, Name, NodeDraft, NodeFilter, Tenant,
};
use serde_json::json;

const CHILD: &str = "HEXMEM_TEST_GRAPH_LIMITED";

fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

fn graph() -> GraphId {
    GraphId::new(Tenant(name("t")), name("g"))
}

fn put(n: u32) -> GraphBatch {
    GraphBatch::new(vec![GraphChange::PutNode(NodeDraft {
        id: name(format!("n{n:05}")),
        kind: name("t"),
        data: json!({ "text": "x".repeat(500) }),
        created_at: None,
        expect: Expect::Absent,
    })])
}

async fn open(folder: &Path) -> JsonGraphs {
    let config = JsonConfig { journal_bytes: 16_384, ..JsonConfig::new(folder) };
    JsonGraphs::open_with(config, Arc::new(SystemClock)).await.unwrap()
}

async fn count(store: &JsonGraphs) -> u32 {
    let (filter, limit) = (NodeFilter::default(), Limit::new(10_000).unwrap());
    let page = store.find_nodes(&graph(), &filter, AsOf::ALL, None, limit).await.unwrap();
    u32::try_from(page.items.len()).unwrap()
}

/// What a child process does: puts nodes until it may not, reads them again, and says how many there are and why it
/// ended.
#[tokio::test]
async fn child() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let store = open(&PathBuf::from(folder)).await;
    let first = count(&store).await;
    let mut n = first;
    let error = loop {
        match store.apply(&graph(), put(n)).await {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
        assert!(n < 5_000, "nothing stopped it");
    };
    assert_eq!(count(&store).await, n, "reading goes on");
    assert_eq!(error.effectiveness(), Effectiveness::NotApplied);
    let told =
        json!({ "there": n, "kind": format!("{:?}", error.kind()), "error": error.to_string() });
    println!("\nended {told}");
}

/// Runs the child after a shell's command.
fn limited(folder: &Path, command: &str) -> serde_json::Value {
    let child = Command::new("sh")
        .args(["-c", &format!("{command} exec \"$0\" --exact child --nocapture --test-threads=1")])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, folder)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let out = String::from_utf8(child.stdout).unwrap();
    assert!(child.status.success(), "{out}");
    let told = out.lines().find_map(|line| line.strip_prefix("ended "));
    serde_json::from_str(told.unwrap()).unwrap()
}

#[tokio::test]
async fn a_file_that_may_not_grow_refuses_writes_by_name_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // 200 blocks are 100 or 200 KiB: several snapshots fit, and then neither a snapshot nor a line.
    let told = limited(folder.path(), "trap '' XFSZ; ulimit -f 200;");
    let there = u32::try_from(told["there"].as_u64().unwrap()).unwrap();
    assert!(there > 20, "{told}");
    assert_eq!(told["kind"], "Unavailable", "{told}");
    let error = told["error"].as_str().unwrap();
    assert!(error.contains(".journal") && error.contains("limit"), "{error}");
    // Where there is room again, everything that was acknowledged is there, and it goes on.
    let store = open(folder.path()).await;
    assert_eq!(count(&store).await, there);
    store.apply(&graph(), put(there)).await.unwrap();
    store.compact(&graph(), Compact::default()).await.unwrap();
    assert_eq!(store.warnings(), [] as [String; 0]);
    assert_eq!(count(&open(folder.path()).await).await, there + 1);
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_is_read_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for n in 0..100 {
        store.apply(&graph(), put(n)).await.unwrap();
    }
    let tenant = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = tenant.filter(|path| path.is_dir()).collect();
    let files = all.iter().flat_map(|tenant| fs::read_dir(tenant).unwrap());
    let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    all.push(folder.path().to_owned());
    for (paths, mode) in [(&files, 0o444), (&all, 0o555)] {
        for path in paths {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    // The superuser may write anyway: then another user tries.
    let me = Command::new("id").arg("-u").output().unwrap().stdout;
    let other = "exec setpriv --reuid 65534 --clear-groups --no-new-privs";
    let told = match me == b"0\n" {
        false => limited(folder.path(), ""),
        true if Command::new("setpriv").arg("--version").output().is_ok() => {
            let program = tempfile::tempdir().unwrap();
            fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755)).unwrap();
            limited_by(folder.path(), other, &program.path().join("test"))
        }
        true => {
            let mut err = std::io::stderr();
            writeln!(err, "NOT TESTED: the superuser cannot be refused, and there is no setpriv")
                .unwrap();
            return;
        }
    };
    assert_eq!((&told["there"], &told["kind"]), (&json!(100), &json!("Denied")), "{told}");
    assert!(told["error"].as_str().unwrap().contains(".lock"), "{told}");
    for path in &all {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// As [`limited`], through a program that gives up rights, with a copy of this binary that everybody may run.
fn limited_by(folder: &Path, program: &str, copy: &Path) -> serde_json::Value {
    fs::copy(std::env::current_exe().unwrap(), copy).unwrap();
    fs::set_permissions(copy, fs::Permissions::from_mode(0o755)).unwrap();
    let child = Command::new("sh")
        .args(["-c", &format!("{program} \"$0\" --exact child --nocapture --test-threads=1")])
        .arg(copy)
        .env(CHILD, folder)
        .current_dir("/")
        .output()
        .unwrap();
    fs::remove_file(copy).unwrap();
    let out = String::from_utf8(child.stdout).unwrap();
    let told = out.lines().find_map(|line| line.strip_prefix("ended "));
    serde_json::from_str(told.unwrap_or_else(|| panic!("{out}"))).unwrap()
}

#[tokio::test]
async fn a_journal_of_a_newer_program_is_named_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for n in 0..3 {
        store.apply(&graph(), put(n)).await.unwrap();
    }
    let tenant = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let tenant = tenant.into_iter().find(|path| path.is_dir()).unwrap();
    let files = fs::read_dir(tenant).unwrap().map(|entry| entry.unwrap().path());
    let journal = files.into_iter().find(|path| path.extension().unwrap() == "journal").unwrap();
    let text = fs::read_to_string(&journal).unwrap();
    let newer = text.replacen("\"form\":1", "\"form\":9", 1);
    fs::write(&journal, &newer).unwrap();
    let store = open(folder.path()).await;
    for error in
        [store.head(&graph()).await.unwrap_err(), store.apply(&graph(), put(7)).await.unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("form 9"), "{error}");
    }
    assert_eq!(fs::read_to_string(&journal).unwrap(), newer);
}
