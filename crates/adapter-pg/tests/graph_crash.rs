//! A server that is killed again and again while graphs are written: every acknowledged batch is there once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use hexmem_adapter_pg::{PgConfig, PgGraphs, Postgres};
use hexmem_conformance::name;
use hexmem_ports::{
    AsOf, Element, ErrorKind, Expect, GraphBatch, GraphChange, GraphId, GraphStore as _, Limit,
    Name, NodeDraft, NodeFilter, Revision, Tenant,
};
use rig::server::Server;
use serde_json::json;

fn graph() -> GraphId {
    GraphId::new(Tenant(name("t")), name("g"))
}

fn put(id: &str, n: u64, expect: Expect) -> GraphChange {
    GraphChange::PutNode(NodeDraft {
        id: name(id),
        kind: name("t"),
        data: json!({ "n": n }),
        created_at: None,
        expect,
    })
}

/// Applies until it is answered; a repeat has the id of the first, so that it happens once.
async fn apply(store: &PgGraphs, changes: Vec<GraphChange>) -> Result<(), ErrorKind> {
    let batch = GraphBatch::new(changes);
    loop {
        match store.apply(&graph(), batch.clone()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => return Err(error.kind()),
            Err(error) => {
                let away = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout);
                assert!(away, "{error:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// One more on a node that all share; on condition of what was read.
async fn count_up(store: &PgGraphs) {
    loop {
        let Ok(found) = store.nodes(&graph(), &[name("shared")], AsOf::ALL).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let change = match &found[0] {
            Some(node) => {
                let n = node.data["n"].as_u64().unwrap();
                put("shared", n + 1, Expect::Version(node.version))
            }
            None => put("shared", 1, Expect::Absent),
        };
        if apply(store, vec![change]).await.is_ok() {
            return;
        }
    }
}

/// How often the server is killed; `HEXMEM_TEST_CRASH_ROUNDS` for more.
fn rounds() -> u32 {
    std::env::var("HEXMEM_TEST_CRASH_ROUNDS").map_or(2, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_has_every_acknowledged_batch_once() {
    // With what makes commits durable: fsync is on.
    let mut server = Server::start(&["wal_sync_method=fdatasync"]).await;
    let config = PgConfig { max_connections: 4, statement_timeout_ms: 5_000, ..server.config() };
    let postgres = Postgres::connect(config).await.unwrap();
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    // Two lines of writers, each with two: some share a transaction, some race.
    let lines = [postgres.graphs(), postgres.graphs()];
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = lines[writer % 2].clone();
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            tokio::spawn(async move {
                let (mut written, mut counted) = (BTreeSet::<Name>::new(), 0);
                for n in 0_u64.. {
                    let ids = [format!("{writer}/{n}/a"), format!("{writer}/{n}/b")];
                    let changes = ids.iter().map(|id| put(id, n, Expect::Absent)).collect();
                    apply(&store, changes).await.unwrap();
                    written.extend(ids.iter().map(|id| name(id.as_str())));
                    count_up(&store).await;
                    counted += 1;
                    done.fetch_add(1, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                (written, counted)
            })
        })
        .collect();
    for _ in 0..rounds() {
        let before = done.load(Ordering::Relaxed);
        while done.load(Ordering::Relaxed) < before + 6 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.kill();
        server.run().await;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut promised, mut count) = (BTreeSet::new(), 0);
    for writer in writers {
        let (written, counted) = writer.await.unwrap();
        promised.extend(written);
        count += counted;
    }
    let store = server.open().await.graphs();
    let shared = store.nodes(&graph(), &[name("shared")], AsOf::ALL).await.unwrap().remove(0);
    let shared = shared.unwrap();
    assert_eq!((shared.data, shared.version), (json!({ "n": count }), count));
    promised.insert(shared.id);
    let (mut there, mut cursor) = (BTreeSet::new(), None);
    loop {
        let (filter, limit) = (NodeFilter::default(), Limit::new(10_000).unwrap());
        let page = store.find_nodes(&graph(), &filter, AsOf::ALL, cursor, limit).await.unwrap();
        there.extend(page.items.into_iter().map(|node| node.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(there, promised, "what was acknowledged, and nothing else");
    // The log tells of each change once, without a hole.
    let (mut seen, mut changes, mut revisions) = (Revision(0), 0, BTreeSet::new());
    loop {
        let log = store.changes(&graph(), seen, Limit::new(1_000).unwrap()).await.unwrap();
        for change in &log.changes {
            assert!(matches!(change.state, Some(Element::Node(_))));
            revisions.insert(change.revision);
            changes += 1;
        }
        seen = log.upto;
        if log.upto == log.head {
            break;
        }
    }
    assert_eq!(changes, promised.len() - 1 + usize::try_from(count).unwrap());
    assert_eq!(u64::try_from(revisions.len()).unwrap(), seen.0);
    let stats = store.stats(&graph(), AsOf::NOW).await.unwrap();
    assert_eq!(stats.nodes, u64::try_from(promised.len()).unwrap());
}
