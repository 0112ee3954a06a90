//! Eight processes that change one graph at once.
//!
//! A test binary runs itself again for each process: its test `child` calls [`child`], the other one [`eight`]. Both say
//! how a store opens its files.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use hexmem_ports::{
    AsOf, Effect, ErrorKind, Expect, GraphBatch, GraphChange, GraphId, GraphStore, Limit, Name,
    Node, NodeDraft, NodeFilter, Outbox, Revision, Tenant,
};
use serde_json::json;
use uuid::Uuid;

/// Tells a child its place and its number.
const CHILD: &str = "HEXMEM_TEST_GRAPH_CROWD";

/// A store and the outbox of its effects, opened at a place.
pub type Opened = (Arc<dyn GraphStore>, Arc<dyn Outbox>);

/// Processes, and the changes that each makes: every tenth counts up a node that all share, every fiftieth has an
/// effect.
const PROCESSES: u32 = 8;
const CHANGES: u32 = 1_000;

/// How many changes a process has under way.
const FLIGHT: u32 = 10;

fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

fn graph() -> GraphId {
    GraphId::new(Tenant(name("t")), name("g"))
}

fn put(id: &str, count: u32, expect: Expect) -> GraphBatch {
    let (id, kind) = (name(id), name("t"));
    let data = json!({ "n": count });
    GraphBatch::new(vec![GraphChange::PutNode(NodeDraft {
        id,
        kind,
        data,
        created_at: None,
        expect,
    })])
}

async fn counter(store: &dyn GraphStore) -> Option<Node> {
    store.nodes(&graph(), &[name("counter")], AsOf::ALL).await.unwrap().pop().flatten()
}

/// Reads, counts up on condition of what was read, and reads again where another was first.
async fn count_up(store: &dyn GraphStore) {
    loop {
        let batch = match counter(store).await {
            Some(node) => {
                let count = u32::try_from(node.data["n"].as_u64().unwrap()).unwrap();
                put("counter", count + 1, Expect::Version(node.version))
            }
            None => put("counter", 1, Expect::Absent),
        };
        match store.apply(&graph(), batch).await {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
    }
}

async fn change(store: Arc<dyn GraphStore>, process: u32, n: u32) {
    if n.is_multiple_of(10) {
        return count_up(store.as_ref()).await;
    }
    let id = format!("p{process}-{n:04}");
    let mut batch = put(&id, n, Expect::Absent);
    if n % 50 == 1 {
        let (topic, key) = (name("t"), name(id.as_str()));
        batch.effects = vec![Effect { id: Uuid::new_v4(), topic, key, payload: json!(id) }];
    }
    store.apply(&graph(), batch).await.unwrap();
}

/// What a child process does; nothing where this process is none.
pub async fn child(open: impl AsyncFn(&Path) -> Opened) {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (place, process): (PathBuf, u32) = serde_json::from_str(&told).unwrap();
    let (store, _) = open(&place).await;
    for start in (0..CHANGES).step_by(FLIGHT as usize) {
        let flight = (start..start + FLIGHT)
            .map(|n| tokio::spawn(change(Arc::clone(&store), process, n)))
            .collect::<Vec<_>>();
        for change in flight {
            change.await.unwrap();
        }
    }
}

/// Starts the processes, waits for them, and counts what is there: in a store that was open from the beginning, and in
/// one opened after.
pub async fn eight(place: &Path, open: impl AsyncFn(&Path) -> Opened) {
    let (store, outbox) = open(place).await;
    let children: Vec<_> = (0..PROCESSES)
        .map(|process| {
            crate::role_command("child")
                .env(CHILD, json!([place, process]).to_string())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    // A reader that was there from the beginning, and one that comes after.
    for store in [store, open(place).await.0] {
        let (mut there, mut cursor) = (0, None);
        loop {
            let limit = Limit::new(1_000).unwrap();
            let filter = NodeFilter::default();
            let page = store.find_nodes(&graph(), &filter, AsOf::ALL, cursor, limit).await.unwrap();
            there += page.items.len();
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(there, 8 * 900 + 1);
        let counter = counter(store.as_ref()).await.unwrap();
        assert_eq!((counter.data, counter.version), (json!({ "n": 800 }), 800));
        let (mut after, mut changes) = (Revision(0), 0);
        loop {
            let log = store.changes(&graph(), after, Limit::new(1_000).unwrap()).await.unwrap();
            changes += log.changes.len();
            after = log.upto;
            if log.upto == log.head {
                break;
            }
        }
        assert_eq!((changes, after), (8_000, Revision(8_000)));
    }
    assert_eq!(outbox.depth().await.unwrap(), 8 * 20);
}
