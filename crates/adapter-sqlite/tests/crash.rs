//! Processes that are killed while they write, and processes that write at the same time.
//!
//! The other process is this test program, run again for one of the tests below that are marked as roles.
//! A SIGKILL shows that what was acknowledged has left the process and that no change is half there; a
//! power cut, against which `synchronous = full` syncs each commit, cannot be made here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{
    BucketId, Effect, ErrorKind, KeyValueExt as _, KeyValueStore as _, KvCondition, KvSet, Name,
    OpId, Outbox as _, Tenant,
};
use serde_json::json;
use uuid::Uuid;

const FILE: &str = "HEXMEM_TEST_FILE";
const TAG: &str = "HEXMEM_TEST_TAG";

fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

fn bucket() -> BucketId {
    BucketId::new(Tenant(name("t")), name("b"))
}

/// Grows with `n`, over one page and over several.
fn value(n: u32) -> Vec<u8> {
    let len = (n % 13) * (n % 13) * 97;
    (0..len).map(|i| u8::try_from((i + n) % 251).unwrap()).collect()
}

async fn open(file: &Path) -> Database {
    Database::open(SqliteConfig::new(file), Arc::new(SystemClock)).await.unwrap()
}

/// This program again, as `role` on `file`, with its lines in our hands.
fn start(role: &str, file: &Path, tag: &str) -> Child {
    hexmem_conformance::role_command(role)
        .env(FILE, file)
        .env(TAG, tag)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// What a role runs on; `None` when it is run by hand and has nothing to do.
fn role() -> Option<(std::path::PathBuf, String)> {
    Some((std::env::var_os(FILE)?.into(), std::env::var(TAG).ok()?))
}

/// One whole line at once: what the other side reads was written after the call had returned.
fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("\nSAID {line}\n").as_bytes()).unwrap();
}

fn said(line: &str) -> Option<&str> {
    line.strip_prefix("SAID ")
}

#[tokio::test]
#[ignore = "a role, run by a_killed_writer_loses_nothing_that_it_acknowledged"]
async fn role_write_until_killed() {
    let Some((file, round)) = role() else { return };
    let database = open(&file).await;
    let (store, counter) = (database.key_value(), name("counter"));
    for n in 0..100_000 {
        let key = name(format!("{round}/{n}"));
        store.set(&bucket(), &key, KvSet::new(value(n)).op(OpId::random())).await.unwrap();
        say(&format!("set {n}"));
        store.increment(&bucket(), &counter, 1, None, OpId::random()).await.unwrap();
        say("counted");
        // Two entries of one change: both are there or none.
        let mut tx = database.write("test.push").await.unwrap();
        let effect = |key: &str| Effect {
            id: Uuid::new_v4(),
            topic: name("t"),
            key: name(key),
            payload: json!({ "n": n }),
        };
        tx.push_effects(&[effect("a"), effect("b")]).await.unwrap();
        tx.commit().await.unwrap();
        say("pushed");
    }
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let (mut acknowledged, mut counted, mut pushed) = (BTreeSet::new(), 0i64, 0u64);
    let rounds = 25u32;
    for round in 0..rounds {
        let mut child = start("role_write_until_killed", &file, &round.to_string());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // A different moment each round, from right after the start.
        let mut wait = 1 + (round * 17) % 90;
        let mut killed = false;
        for line in lines.by_ref() {
            let Ok(line) = line else { break };
            match said(&line).map(|said| said.split_once(' ').unwrap_or((said, ""))) {
                Some(("set", n)) => {
                    acknowledged.insert((round, n.parse::<u32>().unwrap()));
                }
                Some(("counted", _)) => counted += 1,
                Some(("pushed", _)) => pushed += 2,
                _ => continue,
            }
            wait = wait.saturating_sub(1);
            if wait == 0 && !killed {
                child.kill().unwrap();
                killed = true;
            }
        }
        assert!(killed, "the writer of round {round} ended by itself");
        child.wait().unwrap();

        let database = open(&file).await;
        assert!(database.inspect().await.unwrap().damage.is_empty());
        let store = database.key_value();
        for (round, n) in &acknowledged {
            let key = name(format!("{round}/{n}"));
            let entry = store.get(&bucket(), &key).await.unwrap();
            let entry = entry.unwrap_or_else(|| panic!("{key} was acknowledged and is gone"));
            assert!(entry.value == value(*n), "{key} is another value");
        }
        // Of each killed writer one change at most was made and not yet told.
        let sum = store
            .get(&bucket(), &name("counter"))
            .await
            .unwrap()
            .map_or(0, |entry| String::from_utf8(entry.value).unwrap().parse::<i64>().unwrap());
        let untold = i64::from(round) + 1;
        assert!((counted..=counted + untold).contains(&sum), "{sum} of {counted} in round {round}");
        let depth = database.outbox().depth().await.unwrap();
        assert!(depth >= pushed && depth % 2 == 0, "{depth} effects of {pushed}");
        database.close().await.unwrap();
    }
    assert!(acknowledged.len() > 100, "{} writes prove little", acknowledged.len());
}

#[tokio::test]
async fn a_file_whose_creator_was_killed_opens() {
    for round in 0..30u32 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/b/x.db");
        let mut child = start("role_write_until_killed", &file, "0");
        // From before the program runs to after the first writes.
        tokio::time::sleep(Duration::from_micros(u64::from(round) * 1_500)).await;
        child.kill().unwrap();
        let told = child.wait_with_output().unwrap().stdout;
        let told = String::from_utf8_lossy(&told).lines().filter(|l| said(l).is_some()).count();

        let database = open(&file).await;
        let store = database.key_value();
        assert!(told == 0 || store.exists(&bucket(), &name("0/0")).await.unwrap());
        store.set(&bucket(), &name("after"), KvSet::new(*b"v")).await.unwrap();
        database.close().await.unwrap();
        assert!(open(&file).await.inspect().await.unwrap().damage.is_empty());
    }
}

#[tokio::test]
#[ignore = "a role, run by processes_that_write_at_once_lose_nothing"]
async fn role_count() {
    let Some((file, tag)) = role() else { return };
    let store = open(&file).await.key_value();
    for n in 0..60u32 {
        store.increment(&bucket(), &name("sum"), 1, None, OpId::random()).await.unwrap();
        store.set(&bucket(), &name(format!("{tag}/{n}")), KvSet::new(value(n))).await.unwrap();
        // Read, change, write where it is still what was read.
        loop {
            let read = store.get(&bucket(), &name("shared")).await.unwrap();
            let (next, condition) = match read {
                Some(read) => {
                    let sum = u64::from_be_bytes(read.value.try_into().unwrap()) + 1;
                    (sum, KvCondition::IfVersion(read.version))
                }
                None => (1, KvCondition::IfAbsent),
            };
            let request = KvSet::new(next.to_be_bytes()).condition(condition);
            match store.set(&bucket(), &name("shared"), request).await {
                Ok(_) => break,
                Err(error) => assert!(
                    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists),
                    "{error:?}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn processes_that_write_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/x.db");
    // They also create the file at once.
    let children: Vec<_> = (0..4).map(|i| start("role_count", &file, &i.to_string())).collect();
    for child in children {
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    }
    let store = open(&file).await.key_value();
    let sum = store.get(&bucket(), &name("sum")).await.unwrap().unwrap().value;
    assert_eq!(String::from_utf8(sum).unwrap(), "240");
    let shared = store.get(&bucket(), &name("shared")).await.unwrap().unwrap().value;
    assert_eq!(u64::from_be_bytes(shared.try_into().unwrap()), 240);
    for (tag, n) in (0..4).flat_map(|tag| (0..60).map(move |n| (tag, n))) {
        let entry = store.get(&bucket(), &name(format!("{tag}/{n}"))).await.unwrap();
        assert!(entry.is_some_and(|entry| entry.value == value(n)), "{tag}/{n}");
    }
}

#[tokio::test]
#[ignore = "a role, run by a_file_that_another_process_holds_is_unavailable_until_it_lets_go"]
async fn role_hold() {
    let Some((file, _)) = role() else { return };
    let database = open(&file).await;
    let tx = database.write("test.hold").await.unwrap();
    say("held");
    // Until the other side closes the pipe.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    drop(tx);
}

#[tokio::test]
async fn a_file_that_another_process_holds_is_unavailable_until_it_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        SqliteConfig { busy_timeout_ms: 50, ..SqliteConfig::new(folder.path().join("x.db")) };
    let database = Database::open(config.clone(), Arc::new(SystemClock)).await.unwrap();
    let store = database.key_value();
    let key = name("k");
    store.set(&bucket(), &key, KvSet::new(*b"before")).await.unwrap();

    let mut child = start("role_hold", &config.path, "");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| said(&line.unwrap()) == Some("held")));
    let error = store.set(&bucket(), &key, KvSet::new(*b"during")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("another process") && error.to_string().contains("x.db"));
    assert_eq!(error.effectiveness(), hexmem_ports::Effectiveness::NotApplied);
    assert_eq!(error.retry_hint(), hexmem_ports::Retry::Soon);
    // Reading and opening do not wait.
    assert_eq!(store.get(&bucket(), &key).await.unwrap().unwrap().value, b"before");
    Database::open(config.clone(), Arc::new(SystemClock)).await.unwrap();

    // One who waits longer than it is held goes ahead.
    let patient =
        Database::open(SqliteConfig { busy_timeout_ms: 20_000, ..config }, Arc::new(SystemClock))
            .await
            .unwrap();
    let waiting = tokio::spawn(async move {
        patient.key_value().set(&bucket(), &name("k"), KvSet::new(*b"after")).await
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(child.stdin.take());
    waiting.await.unwrap().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(store.get(&bucket(), &key).await.unwrap().unwrap().value, b"after");
    store.set(&bucket(), &key, KvSet::new(*b"last")).await.unwrap();
}
