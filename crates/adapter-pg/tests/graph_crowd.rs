//! Eight processes change one graph at once, and another one follows it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_pg::{Notify, PgConfig, PgGraphs, Postgres};
use hexmem_conformance::graph::crowd::{self, Opened};
use hexmem_conformance::name;
use hexmem_ports::{
    Expect, GraphBatch, GraphChange, GraphId, GraphStore as _, Limit, NodeDraft, Revision, Tenant,
};
use serde_json::json;

/// The URL of the database of a test, for its child processes.
const URL: &str = "HEXMEM_TEST_GRAPH_URL";

async fn postgres(url: &str) -> Postgres {
    Postgres::connect(PgConfig { max_connections: 4, ..rig::config(url) }).await.unwrap()
}

/// The place is a file that holds the database's URL.
async fn open(place: &Path) -> Opened {
    let postgres = postgres(&std::fs::read_to_string(place).unwrap()).await;
    (Arc::new(postgres.graphs()), Arc::new(postgres.outbox()))
}

#[tokio::test]
async fn child() {
    crowd::child(open).await;
}

#[tokio::test]
async fn eight_processes_of_a_thousand_changes_lose_nothing() {
    let database = rig::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("url");
    std::fs::write(&place, &database.url).unwrap();
    crowd::eight(&place, open).await;
}

fn graph() -> GraphId {
    GraphId::new(Tenant(name("t")), name("followed"))
}

fn put(n: u32) -> GraphBatch {
    GraphBatch::new(vec![GraphChange::PutNode(NodeDraft {
        id: name(format!("n{n:04}")),
        kind: name("t"),
        data: json!({ "n": n }),
        created_at: None,
        expect: Expect::Absent,
    })])
}

/// How many changes are followed.
const FOLLOWED: u32 = 400;

/// Reads what is new; how many changes, all after `seen`, and where the log ends.
async fn read(store: &PgGraphs, mut seen: Revision) -> (u32, Revision) {
    let mut count = 0;
    loop {
        let log = store.changes(&graph(), seen, Limit::new(7).unwrap()).await.unwrap();
        assert!(log.changes.iter().all(|change| change.revision > seen));
        count += u32::try_from(log.changes.len()).unwrap();
        seen = log.upto;
        if log.upto == log.head {
            return (count, seen);
        }
    }
}

/// What the process that follows does: waits for changes and reads them, until it has all.
#[tokio::test]
async fn follower() {
    let Ok(url) = std::env::var(URL) else { return };
    let store = postgres(&url).await.graphs();
    println!("\nfollows");
    let (mut count, mut seen) = (0, Revision(0));
    while count < FOLLOWED {
        let head = store.changed(&graph(), seen, Duration::from_secs(60)).await.unwrap();
        assert!(head > seen, "woken, or told at the end, of something");
        let (new, upto) = read(&store, seen).await;
        count += new;
        seen = upto;
    }
    println!("\nfound {count}");
}

#[tokio::test]
async fn a_process_that_follows_misses_nothing() {
    let database = rig::Database::migrated().await;
    let mut follower = hexmem_conformance::role_command("follower")
        .env(URL, &database.url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap() == "follows"));
    let writers = (0..4).map(|writer| {
        let url = database.url.clone();
        tokio::spawn(async move {
            let store = postgres(&url).await.graphs();
            for n in (writer..FOLLOWED).step_by(4) {
                store.apply(&graph(), put(n)).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let found = format!("found {FOLLOWED}");
    // To the end: a process that nobody reads fails.
    let told = tokio::task::spawn_blocking(move || {
        lines.filter(|line| line.as_ref().is_ok_and(|line| *line == found)).count()
    });
    assert_eq!(told.await.unwrap(), 1);
    assert!(follower.wait().unwrap().success());
}

/// One who waits is woken by another's notice, long before it would look by itself.
#[tokio::test]
async fn a_change_wakes_who_waits() {
    let database = rig::Database::migrated().await;
    let (one, other) = (postgres(&database.url).await, postgres(&database.url).await);
    let first = one.graphs().apply(&graph(), put(0)).await.unwrap().revision;
    let store = one.graphs();
    let waiting = tokio::spawn(async move {
        store.changed(&graph(), first, Duration::from_secs(9)).await.unwrap()
    });
    // Until it waits: its look has said so in the graph's row.
    let mut connection = rig::connect(&database.url).await;
    let watched = "SELECT count(*) FROM hexmem.graph WHERE watched_until IS NOT NULL";
    while sqlx::query_scalar::<_, i64>(watched).fetch_one(&mut connection).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    let second = other.graphs().apply(&graph(), put(1)).await.unwrap().revision;
    let woken = tokio::time::timeout(Duration::from_secs(8), waiting).await;
    assert_eq!(woken.expect("before it looks by itself").unwrap(), second);
    // A wait that is over answers what is.
    let now = one.graphs().changed(&graph(), second, Duration::ZERO).await.unwrap();
    assert_eq!(now, second);
    // One who may not listen looks by itself.
    let config = PgConfig { notify: Notify::Poll, ..rig::config(&database.url) };
    let alone = Postgres::connect(config).await.unwrap().graphs();
    let third = other.graphs().apply(&graph(), put(2)).await.unwrap().revision;
    let wait = Duration::from_secs(8);
    assert_eq!(alone.changed(&graph(), second, wait).await.unwrap(), third);
    let never = GraphId::new(Tenant(name("t")), name("never"));
    assert_eq!(
        one.graphs().changed(&never, Revision(0), Duration::ZERO).await.unwrap(),
        Revision(0)
    );
}
