//! A server that is killed again and again under load: what was acknowledged is there, and a repeat with the same key
//! counts once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use hexmem_adapter_pg::{PgConfig, Postgres};
use hexmem_conformance::proved;
use hexmem_ports::{
    BucketId, Capability, Error, ErrorKind, KeyValueExt as _, KeyValueStore as _, KvSet, Name,
    OpId, Tenant,
};
use rig::server::Server;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn bucket() -> BucketId {
    BucketId::new(Tenant(name("t")), name("b"))
}

/// A server that is away is waited for; any other failure fails the test.
async fn away(error: Error) {
    let away = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout);
    assert!(away, "{error:?}");
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// How often the server is killed; `HEXMEM_TEST_CRASH_ROUNDS` for more.
fn rounds() -> u32 {
    std::env::var("HEXMEM_TEST_CRASH_ROUNDS").map_or(4, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_has_everything_that_it_acknowledged() {
    // With what makes commits durable: fsync is on.
    let mut server = Server::start(&["wal_sync_method=fdatasync"]).await;
    let config = PgConfig { max_connections: 4, statement_timeout_ms: 5_000, ..server.config() };
    let postgres = Postgres::connect(config).await.unwrap();
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = postgres.key_value();
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut written = BTreeMap::new();
                let (counter, mut counted) = (name("counter"), 0i64);
                for n in 0u32.. {
                    let (key, op) = (name(&format!("{writer}/{n}")), OpId::random());
                    // Over one page and over several.
                    let value = vec![
                        u8::try_from(n % 251).unwrap();
                        usize::try_from(n % 5).unwrap() * 3_000
                    ];
                    let request = KvSet::new(value.clone()).op(op);
                    let version = loop {
                        match store.set(&bucket(), &key, request.clone()).await {
                            Ok(version) => break version,
                            Err(error) => away(error).await,
                        }
                    };
                    written.insert(key.clone(), (version, value));
                    let op = OpId::random();
                    while let Err(error) = store.increment(&bucket(), &counter, 1, None, op).await {
                        away(error).await;
                    }
                    counted += 1;
                    answered.fetch_add(1, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                (written, counted)
            })
        })
        .collect();
    for round in 0..rounds() {
        // A different moment each time.
        let enough = answered.load(Ordering::Relaxed) + 20 + round * 13 % 40;
        while answered.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.kill();
        server.run().await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut total = 0;
    for writer in writers {
        let (written, counted) = writer.await.unwrap();
        total += counted;
        for (key, (version, value)) in written {
            let entry = postgres.key_value().get(&bucket(), &key).await.unwrap();
            let entry = entry.unwrap_or_else(|| panic!("{key} was acknowledged and is lost"));
            assert_eq!((entry.version, entry.value), (version, value), "{key}");
        }
    }
    let counter = postgres.key_value().get(&bucket(), &name("counter")).await.unwrap().unwrap();
    assert_eq!(
        counter.value,
        total.to_string().into_bytes(),
        "each key of idempotence counts once"
    );
    let declares = postgres.key_value().capabilities();
    proved("pg", "key_value", "a_killed_server", &[Capability::Durable], &declares);
}
