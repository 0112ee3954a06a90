//! Several processes on one folder, killed processes, torn and foreign files.
//!
//! Child processes are this test binary again, told by an environment variable what to do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;

use hexmem_adapter_json::{JsonConfig, JsonGraphs};
use hexmem_adapter_memory::SystemClock;
use hexmem_ports::{
    AsOf, Capability, Effect, ErrorKind, Expect, GraphBatch, GraphChange, GraphId, GraphStore as _,
    Limit, Name, NodeDraft, NodeFilter, Outbox as _, Tenant, Ttl,
};
use serde_json::{Value, json};
use uuid::Uuid;

const CHILD: &str = "HEXMEM_TEST_GRAPH_WRITER";

fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

fn graph() -> GraphId {
    GraphId::new(Tenant(name("t")), name("g"))
}

fn put(id: &str) -> GraphChange {
    GraphChange::PutNode(NodeDraft {
        id: name(id),
        kind: name("t"),
        data: json!({ "text": "x".repeat(50) }),
        created_at: None,
        expect: Expect::Any,
    })
}

fn batch(id: &str) -> GraphBatch {
    let effect =
        Effect { id: Uuid::new_v4(), topic: name("t"), key: name("k"), payload: json!(id) };
    GraphBatch { effects: vec![effect], ..GraphBatch::new(vec![put(id)]) }
}

async fn open(folder: &Path) -> JsonGraphs {
    // Folded often, so that snapshots are written while others read and die.
    let config = JsonConfig { journal_bytes: 4_096, ..JsonConfig::new(folder) };
    JsonGraphs::open_with(config, Arc::new(SystemClock)).await.unwrap()
}

async fn ids(store: &JsonGraphs) -> BTreeSet<String> {
    let (mut all, mut cursor) = (BTreeSet::new(), None);
    loop {
        let limit = Limit::new(1_000).unwrap();
        let filter = NodeFilter::default();
        let page = store.find_nodes(&graph(), &filter, AsOf::ALL, cursor, limit).await.unwrap();
        all.extend(page.items.into_iter().map(|node| node.id.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

fn writer(folder: &Path, prefix: &str, count: u32) -> Child {
    hexmem_conformance::role_command("child")
        .env(CHILD, json!([folder, prefix, count]).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a child process does: puts nodes one by one and says so after each.
#[tokio::test]
async fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (folder, prefix, count): (PathBuf, String, u32) = serde_json::from_str(&told).unwrap();
    let store = open(&folder).await;
    for n in 0..count {
        let id = format!("{prefix}-{n:04}");
        store.apply(&graph(), batch(&id)).await.unwrap();
        println!("\ndone {id}");
    }
}

/// The ids that a child said it had put.
fn acknowledged(line: &str) -> Option<String> {
    line.strip_prefix("done ").map(str::to_owned)
}

#[tokio::test]
async fn what_a_killed_process_acknowledged_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let mut promised = BTreeSet::new();
    for round in 0..20u32 {
        let mut child = writer(folder.path(), &format!("r{round:02}"), 10_000);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < 1 + round % 7 {
            let line = lines.next().unwrap().unwrap();
            if let Some(id) = acknowledged(&line) {
                promised.insert(id);
                seen += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let rest = lines.map_while(Result::ok);
        promised.extend(rest.filter_map(|line| acknowledged(&line)));
        let there = ids(&store).await;
        assert!(promised.is_subset(&there), "lost: {:?}", promised.difference(&there));
    }
    let fresh = open(folder.path()).await;
    let there = ids(&fresh).await;
    assert_eq!(there, ids(&store).await, "a fresh reader and one that followed agree");
    // One effect for each node that is there, and none for one that is not.
    let mut effects = BTreeSet::new();
    let limit = Limit::new(1_000).unwrap();
    while let Some(held) = fresh.outbox().lease(limit, Ttl::secs(60).unwrap()).await.unwrap() {
        fresh.outbox().ack(held.lease).await.unwrap();
        for entry in held.entries {
            let id = entry.effect.payload.as_str().unwrap().to_owned();
            assert!(effects.insert(id.clone()), "{id} twice");
        }
    }
    assert_eq!(effects, there);
    let needs = [Capability::Durable, Capability::MultiProcess];
    hexmem_conformance::proved("json", "graph", "killed_process", &needs, &fresh.capabilities());
}

/// The only file of this kind in the folder of the tenant.
fn file(folder: &Path, end: &str) -> PathBuf {
    let tenants = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = tenants.filter(|path| path.is_dir()).flat_map(|path| fs::read_dir(path).unwrap());
    let mut found = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == end));
    found.next().unwrap()
}

#[tokio::test]
async fn a_line_torn_anywhere_costs_that_line_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = JsonGraphs::open(folder.path(), Arc::new(SystemClock)).await.unwrap();
    for n in 0..3 {
        store.apply(&graph(), GraphBatch::new(vec![put(&format!("n{n}"))])).await.unwrap();
    }
    let journal = file(folder.path(), "journal");
    let whole = fs::read(&journal).unwrap();
    let start = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for end in start..whole.len() {
        for garbage in [&b""[..], b"\0\0\0", b"garbage\n"] {
            if garbage.is_empty() && end == start {
                continue;
            }
            fs::write(&journal, [&whole[..end], garbage].concat()).unwrap();
            let torn = fs::read(&journal).unwrap();
            let store = JsonGraphs::open(folder.path(), Arc::new(SystemClock)).await.unwrap();
            assert_eq!(ids(&store).await, BTreeSet::from(["n0".into(), "n1".into()]), "at {end}");
            assert_eq!(fs::read(&journal).unwrap(), torn, "a reader cuts nothing");
            assert_eq!(store.warnings(), [] as [String; 0]);
            store.apply(&graph(), GraphBatch::new(vec![put("new")])).await.unwrap();
            let warnings = store.warnings();
            assert!(warnings.len() == 1 && warnings[0].contains("journal"), "{warnings:?}");
            let again = JsonGraphs::open(folder.path(), Arc::new(SystemClock)).await.unwrap();
            assert_eq!(ids(&again).await.len(), 3);
        }
    }
    // Damage before the last line is no torn end: nothing is cut.
    let mut damaged = whole.clone();
    damaged[start - 10] ^= 1;
    fs::write(&journal, &damaged).unwrap();
    let store = JsonGraphs::open(folder.path(), Arc::new(SystemClock)).await.unwrap();
    let error = store.apply(&graph(), GraphBatch::new(vec![put("x")])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("line: 3"), "{error}");
    assert_eq!(fs::read(&journal).unwrap(), damaged);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_is_refused_by_name_and_left_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for n in 0..100 {
        store.apply(&graph(), GraphBatch::new(vec![put(&format!("n{n}"))])).await.unwrap();
    }
    let path = file(folder.path(), "json");
    let whole = fs::read(&path).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let foreign =
        json!({"directed": true, "multigraph": false, "graph": {}, "nodes": [], "links": []});
    let newer = text.replacen("\"form\": 1", "\"form\": 7", 1).replace("\"links\"", "\"ties\"");
    let cases: [(Vec<u8>, ErrorKind, &str); 6] = [
        (whole[..whole.len() / 2].to_vec(), ErrorKind::Corrupt, "column"),
        (Vec::new(), ErrorKind::Corrupt, "line"),
        (foreign.to_string().into_bytes(), ErrorKind::Corrupt, "column"),
        (b"\xff\xfe".to_vec(), ErrorKind::Corrupt, "line"),
        (newer.into_bytes(), ErrorKind::Unsupported, "form 7"),
        (
            text.replace("\"name\": \"g\"", "\"name\": \"h\"").into_bytes(),
            ErrorKind::Corrupt,
            "t/h",
        ),
    ];
    for (bytes, kind, says) in cases {
        fs::write(&path, &bytes).unwrap();
        let store = open(folder.path()).await;
        for error in [
            store.head(&graph()).await.unwrap_err(),
            store.apply(&graph(), GraphBatch::new(vec![put("x")])).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), kind, "{error}");
            let shown = error.to_string();
            assert!(shown.contains(says) && shown.contains(".json"), "{shown}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "left untouched");
    }
    // NetworkX writes `edges` where it is not told otherwise.
    fs::write(&path, text.replacen("\"links\": [", "\"edges\": [", 1)).unwrap();
    assert_eq!(ids(&open(folder.path()).await).await.len(), 100);
}

#[tokio::test]
async fn a_snapshot_is_node_link_json() {
    let folder = tempfile::tempdir().unwrap();
    let store = JsonGraphs::open(folder.path(), Arc::new(SystemClock)).await.unwrap();
    let edge = hexmem_ports::EdgeDraft {
        id: hexmem_ports::EdgeId(Uuid::from_u128(7)),
        src: name("a"),
        relation: name("knows"),
        dst: name("b"),
        weight: 0.1,
        valid_from: None,
        valid_until: None,
        source: Some(name("https://example.org")),
        data: json!({}),
        created_at: None,
        expect: Expect::Any,
    };
    let changes = vec![put("a"), put("b"), put("gone"), GraphChange::PutEdge(edge)];
    store.apply(&graph(), GraphBatch::new(changes)).await.unwrap();
    let gone = GraphChange::RemoveNode { id: name("gone"), expect: Expect::Any };
    store.apply(&graph(), GraphBatch::new(vec![gone])).await.unwrap();
    store.compact(&graph(), hexmem_ports::Compact::default()).await.unwrap();
    let file: Value =
        serde_json::from_slice(&fs::read(file(folder.path(), "json")).unwrap()).unwrap();
    assert_eq!((&file["directed"], &file["multigraph"]), (&json!(true), &json!(true)));
    let ids: Vec<_> = file["nodes"].as_array().unwrap().iter().map(|n| &n["id"]).collect();
    assert_eq!(ids, [&json!("a"), &json!("b")]);
    let link = &file["links"][0];
    assert_eq!((&link["source"], &link["target"]), (&json!("a"), &json!("b")));
    assert_eq!(link["evidence"], json!("https://example.org"));
    assert_eq!(link["type"], json!("knows"));
}

#[tokio::test]
async fn a_graph_that_another_process_holds_is_named_and_not_waited_for_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let config = JsonConfig { lock_timeout_ms: 50, ..JsonConfig::new(folder.path()) };
    let store = JsonGraphs::open_with(config, Arc::new(SystemClock)).await.unwrap();
    store.apply(&graph(), GraphBatch::new(vec![put("a")])).await.unwrap();
    let lock = fs::File::open(file(folder.path(), "lock")).unwrap();
    lock.lock().unwrap();
    let error = store.apply(&graph(), GraphBatch::new(vec![put("b")])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(".lock"), "{error}");
    assert_eq!(ids(&store).await.len(), 1, "reading goes on");
    lock.unlock().unwrap();
    store.apply(&graph(), GraphBatch::new(vec![put("b")])).await.unwrap();
}
