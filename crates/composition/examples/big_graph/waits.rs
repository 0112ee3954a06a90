//! How long others wait while a graph is compacted.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hexmem_ports::{
    AsOf, Compact, Expect, GraphBatch, GraphChange, GraphStore, NodeDraft, Timestamp,
};
use serde_json::{Value, json};

use super::build::{Kind, change, graph, mixed, name, node_id, open};

/// As many changes as a batch may have.
const BATCH: u64 = 10_000;

/// Makes a graph by changes, so that there is a log, with a second version of each tenth node, so that there is a past;
/// then lets go of both while others read and write: in the same store, and in a second one as of another process.
pub(crate) async fn waits(kind: Kind, folder: &Path, nodes: u64, edges: u64) -> Value {
    let _ = std::fs::remove_dir_all(folder);
    let begun = Instant::now();
    let (store, _) = open(kind, folder, 1 << 30).await.unwrap();
    let put = |n| GraphChange::PutNode(node(n));
    let link = |n| change(nodes, n).changes.remove(0);
    let all = (0..nodes).chain((0..nodes).step_by(10)).map(put).chain((0..edges).map(link));
    let mut all = all.peekable();
    while all.peek().is_some() {
        let batch = all.by_ref().take(usize::try_from(BATCH).unwrap()).collect();
        store.apply(&graph(), GraphBatch::new(batch)).await.unwrap();
    }
    let made_s = begun.elapsed().as_secs_f64();
    let (other, _) = open(kind, folder, 1 << 30).await.unwrap();
    other.head(&graph()).await.unwrap();
    let stores = [Arc::clone(&store), other];
    let quiet = waited(&stores, nodes, tokio::time::sleep(Duration::from_secs(5))).await;
    let compaction = waited(&stores, nodes, async {
        let head = store.head(&graph()).await.unwrap().unwrap();
        let compact =
            Compact { log_upto: Some(head.revision), history_before: Some(Timestamp::MAX) };
        store.compact(&graph(), compact).await.unwrap();
    });
    json!({ "made_s": made_s, "quiet": quiet, "compaction": compaction.await })
}

fn node(n: u64) -> NodeDraft {
    NodeDraft {
        id: node_id(n),
        kind: name("person"),
        data: json!({ "name": format!("the node {n}") }),
        created_at: None,
        expect: Expect::Any,
    }
}

/// The longest calls while some work is done, in milliseconds.
async fn waited(
    stores: &[Arc<dyn GraphStore>],
    nodes: u64,
    work: impl Future<Output = ()>,
) -> Value {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = stores
        .iter()
        .flat_map(|store| [(store, false), (store, true)])
        .map(|(store, writes)| {
            let (store, stop) = (Arc::clone(store), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut longest, mut calls, mut long) = (0.0_f64, 0_u64, 0_u64);
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    if writes {
                        store.apply(&graph(), change(nodes, calls)).await.unwrap();
                    } else {
                        let id = node_id(mixed(calls) % nodes);
                        store.nodes(&graph(), &[id], AsOf::NOW).await.unwrap();
                    }
                    let ms = begun.elapsed().as_secs_f64() * 1_000.0;
                    longest = longest.max(ms);
                    calls += 1;
                    long += u64::from(ms > 50.0);
                }
                json!({ "longest_ms": longest, "calls": calls, "over_50_ms": long })
            })
        })
        .collect();
    let begun = Instant::now();
    work.await;
    let took_s = begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let mut told = json!({ "took_s": took_s });
    let names = ["reader", "writer", "other reader", "other writer"];
    for (task, name) in tasks.into_iter().zip(names) {
        told[name] = task.await.unwrap();
    }
    told
}
