//! The server is killed again and again under load: every acknowledged write is found after it, no command is lost, none
//! is completed under a stale lease.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hexmem_adapter_pg::{Migrate, PgConfig, PgQueue, Postgres};
use hexmem_conformance::queue::crash::{patient, random, wanted};
use hexmem_ports::{
    Ack, CommandId, CommandQueue as _, CommandState, ErrorKind, LeaseRequest, Limit, Name, QueueId,
    Tenant, Ttl, WhenIdle,
};
use rig::server::Server;
use uuid::Uuid;

fn queue() -> QueueId {
    QueueId::new(Tenant(Name::new("t").unwrap()), Name::new("q").unwrap())
}

/// What the clients were told.
#[derive(Default)]
struct Told {
    stored: Mutex<Vec<CommandId>>,
    /// The attempt under which each was completed.
    completed: Mutex<HashMap<CommandId, u32>>,
    failures: AtomicU32,
    done: AtomicBool,
}

impl Told {
    /// A failure of the server's. Whether it was applied is told; the same call is made again either way.
    async fn failed(&self, error: &hexmem_ports::Error) {
        let expected = [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Conflict];
        assert!(expected.contains(&error.kind()), "{error:?}");
        self.failures.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn produce(store: &PgQueue, told: &Told, ids: Vec<CommandId>) {
    for part in ids.chunks(7) {
        loop {
            let commands = part.iter().map(|id| patient(*id)).collect();
            match store.enqueue(&queue(), commands, WhenIdle::Store, vec![]).await {
                Ok(_) => break,
                Err(error) => told.failed(&error).await,
            }
        }
        told.stored.lock().unwrap().extend(part);
    }
}

async fn consume(store: &PgQueue, told: &Told, worker: usize) {
    let request = LeaseRequest {
        worker: Name::new(format!("worker-{worker}")).unwrap(),
        max: Limit::new(9).unwrap(),
        visibility: Ttl::millis(1_000).unwrap(),
        wait: Duration::from_millis(100),
    };
    while !told.done.load(Ordering::Relaxed) {
        let leased = match store.lease(&queue(), request.clone()).await {
            Ok(leased) => leased,
            Err(error) => {
                told.failed(&error).await;
                continue;
            }
        };
        if leased.is_empty() {
            continue;
        }
        let acks: Vec<_> = leased
            .iter()
            .map(|one| Ack { lease: one.lease, result: Some(one.attempt.to_string().into_bytes()) })
            .collect();
        let answers = loop {
            match store.ack(&queue(), acks.clone(), vec![]).await {
                Ok(answers) => break answers,
                Err(error) => told.failed(&error).await,
            }
        };
        for (one, answer) in leased.iter().zip(answers) {
            match answer {
                Ok(()) => {
                    let before = told.completed.lock().unwrap().insert(one.id, one.attempt);
                    assert_eq!(before, None, "{} was completed twice", one.id);
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::StaleLease, "{error:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_keeps_what_it_acknowledged() {
    // What was acknowledged is on the disk.
    let mut server = Server::start(&["fsync=on", "synchronous_commit=on"]).await;
    let config = PgConfig {
        migrate: Migrate::Connect,
        statement_timeout_ms: 10_000,
        ..PgConfig::new(server.url())
    };
    let store = Postgres::connect(config).await.unwrap().queue();
    let wanted = wanted(1_500);
    let ids: Vec<_> = (1..=wanted).map(|n| CommandId(Uuid::from_u128(n))).collect();
    let told = Told::default();
    let halves = ids.split_at(ids.len() / 2);
    let mut kills = 0;
    let work = async {
        tokio::join!(
            produce(&store, &told, halves.0.to_vec()),
            produce(&store, &told, halves.1.to_vec()),
            consume(&store, &told, 1),
            consume(&store, &told, 2),
            consume(&store, &told, 3),
        )
    };
    let havoc = async {
        let start = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(50 + random() % 400)).await;
            let completed = told.completed.lock().unwrap().len();
            if completed == ids.len() {
                told.done.store(true, Ordering::Relaxed);
                return;
            }
            let patience = Duration::from_secs(60 + u64::try_from(ids.len() / 20).unwrap());
            assert!(start.elapsed() < patience, "{completed}");
            if kills < wanted / 400 {
                kills += 1;
                server.kill();
                server.run().await;
            }
        }
    };
    tokio::join!(work, havoc);

    let failures = told.failures.load(Ordering::Relaxed);
    let stored = told.stored.into_inner().unwrap();
    let completed = told.completed.into_inner().unwrap();
    assert_eq!((stored.len(), completed.len()), (ids.len(), ids.len()));
    for id in stored.iter() {
        let ended = store.result(&queue(), *id, Duration::ZERO).await.unwrap().expect("kept");
        assert_eq!(ended.state, CommandState::Completed);
        let by: u32 = String::from_utf8(ended.result.unwrap()).unwrap().parse().unwrap();
        assert_eq!((by, ended.attempts), (completed[id], completed[id]), "{id}: by another lease");
    }
    let stats = store.stats(&queue()).await.unwrap();
    assert_eq!((stats.ready, stats.in_flight, stats.dead), (0, 0, 0));
    println!("{wanted} commands, {kills} kills, {failures} calls failed and were made again");
}
