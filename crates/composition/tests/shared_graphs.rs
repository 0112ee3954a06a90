//! A loaded graph keeps up with what others write to the same files, also past a compaction.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use hexmem_adapter_json::JsonGraphs;
use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_graph_memory::GraphMemory;
use hexmem_ports::{Compact, ErrorKind, GraphId, GraphStore, Limit, Name, Revision, Tenant};
use serde_json::json;

fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

fn memory(store: Arc<dyn GraphStore>) -> GraphMemory {
    let graph = GraphId::new(Tenant(name("t")), name("g"));
    GraphMemory::new(store, Arc::new(SystemClock), graph)
}

async fn json(folder: &Path) -> GraphMemory {
    memory(Arc::new(JsonGraphs::open(folder, Arc::new(SystemClock)).await.unwrap()))
}

async fn sqlite(folder: &Path) -> GraphMemory {
    let config = SqliteConfig::new(folder.join("x.db"));
    let database = Database::open(config, Arc::new(SystemClock)).await.unwrap();
    memory(Arc::new(database.graphs()))
}

/// `here` reads, `there` writes; they share files and nothing else.
async fn reloads(here: GraphMemory, there: GraphMemory) {
    let put = async |n: u32| {
        there.put_node(name(format!("n{n}")), name("t"), json!({ "n": n })).await.unwrap();
    };
    put(0).await;
    let mut mirror = here.load().await.unwrap();
    put(1).await;
    let followed = mirror.follow().await.unwrap();
    assert_eq!((followed.changes, followed.reloaded), (1, false));

    let seen = mirror.revision();
    put(2).await;
    put(3).await;
    let log_upto = there.head().await.unwrap().map(|head| head.revision);
    let compact = Compact { log_upto, history_before: None };
    there.store().compact(there.graph(), compact).await.unwrap();
    put(4).await;
    // The log no longer says what happened since: the reader is told so, and loads anew.
    let limit = Limit::new(10).unwrap();
    let error = here.store().changes(here.graph(), seen, limit).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gap);
    assert!(mirror.follow().await.unwrap().reloaded);
    assert_eq!((mirror.node_count(), mirror.revision()), (5, Revision(5)));
    put(5).await;
    assert_eq!(mirror.follow().await.unwrap().changes, 1);
    assert_eq!(mirror.node(&name("n5")).unwrap().data, json!({ "n": 5 }));
}

#[tokio::test]
async fn a_reader_behind_the_log_of_json_files_loads_anew() {
    let folder = tempfile::tempdir().unwrap();
    reloads(json(folder.path()).await, json(folder.path()).await).await;
}

#[tokio::test]
async fn a_reader_behind_the_log_of_a_sqlite_file_loads_anew() {
    let folder = tempfile::tempdir().unwrap();
    reloads(sqlite(folder.path()).await, sqlite(folder.path()).await).await;
}
