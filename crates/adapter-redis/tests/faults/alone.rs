//! Faults of one server.

use std::time::{Duration, Instant};

use hexmem_adapter_redis::{Redis, RedisConfig};
use hexmem_conformance::queue::crash::patient;
use hexmem_ports::{
    Ack, CommandId, CommandQueue as _, Effectiveness, ErrorKind, KeyValueExt as _,
    KeyValueStore as _, KvSet, LeaseRequest, Limit, NewCommand, OpId, QueueId, Retry, Tenant, Ttl,
    WhenIdle,
};
use uuid::Uuid;

use crate::load::{Load, bucket, cached, is_passing, name, put};
use crate::server::{Server, quick};

fn value(text: &str) -> KvSet {
    KvSet { value: text.into(), ttl: None, condition: Default::default(), op: None }
}

async fn set(redis: &Redis, key: &str) -> hexmem_ports::Result<u64> {
    redis.key_value().set(&bucket("b"), &name(key), value(key)).await
}

async fn get(redis: &Redis, key: &str) -> hexmem_ports::Result<Option<Vec<u8>>> {
    let found = redis.key_value().get(&bucket("b"), &name(key)).await?;
    Ok(found.map(|entry| entry.value))
}

/// Repeats `work` until it succeeds; what fails meanwhile must be passing.
async fn soon<T>(mut work: impl AsyncFnMut() -> hexmem_ports::Result<T>) -> T {
    let end = Instant::now() + crate::server::PATIENCE;
    loop {
        match work().await {
            Ok(done) => return done,
            Err(error) => assert!(is_passing(&error) && Instant::now() < end, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_named_and_used_again_when_it_is_back() {
    let mut server = Server::start(&[]);
    let redis = Redis::connect(server.config()).await.unwrap();
    set(&redis, "a").await.unwrap();
    put(&redis, 1, b"answer").await.unwrap();
    server.kill();
    let started = Instant::now();
    for error in [
        set(&redis, "b").await.unwrap_err(),
        get(&redis, "a").await.unwrap_err(),
        cached(&redis, 1).await.unwrap_err(),
        put(&redis, 2, b"x").await.unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.retry_hint()),
            (ErrorKind::Unavailable, Retry::Soon),
            "{error:?}"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    let refused = Redis::connect(server.config()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused:?}");
    server.restart();
    // The same handle, and a server that knows no script.
    soon(async || set(&redis, "b").await).await;
    assert_eq!(get(&redis, "b").await.unwrap().as_deref(), Some(&b"b"[..]));
    assert_eq!(get(&redis, "a").await.unwrap(), None, "nothing was persisted");
    soon(async || put(&redis, 1, b"again").await).await;
    assert_eq!(cached(&redis, 1).await.unwrap().as_deref(), Some(&b"again"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_server_is_a_timeout_within_the_time_set() {
    let server = Server::start(&[]);
    let redis = Redis::connect(server.config()).await.unwrap();
    set(&redis, "a").await.unwrap();
    put(&redis, 1, b"answer").await.unwrap();
    server.hang();
    let started = Instant::now();
    let (write, read, lookup, connect) = tokio::join!(
        set(&redis, "b"),
        get(&redis, "a"),
        cached(&redis, 1),
        Redis::connect(server.config())
    );
    // Connecting has its own time, and answers theirs.
    assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
    server.go_on();
    let write = write.unwrap_err();
    assert_eq!((write.kind(), write.effectiveness()), (ErrorKind::Timeout, Effectiveness::Unknown));
    for error in [read.unwrap_err(), lookup.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
        assert_eq!(error.effectiveness(), Effectiveness::NotApplied, "{error:?}");
    }
    assert_eq!(connect.unwrap_err().kind(), ErrorKind::Timeout);
    soon(async || set(&redis, "c").await).await;
    assert_eq!(get(&redis, "c").await.unwrap().as_deref(), Some(&b"c"[..]));
    assert_eq!(cached(&redis, 1).await.unwrap().as_deref(), Some(&b"answer"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_refuses_by_name_and_nothing_is_half_written() {
    let server = Server::start(&["--maxmemory", "4mb", "--maxmemory-policy", "noeviction"]);
    let redis = Redis::connect(server.config()).await.unwrap();
    // What does not get shorter.
    let noise: Vec<u8> =
        (0..512u32).flat_map(|n| hexmem_ports::Digest::of(&n.to_be_bytes()).0).collect();
    let (mut stored, mut refused) = (0, 0);
    for n in 0..400 {
        match put(&redis, n, &noise).await {
            Ok(_) => stored += 1,
            Err(error) => {
                assert_eq!(
                    (error.kind(), error.retry_hint()),
                    (ErrorKind::Unavailable, Retry::Soon)
                );
                assert_eq!(error.effectiveness(), Effectiveness::NotApplied, "{error:?}");
                assert!(error.message().contains("maxmemory"), "{error:?}");
                refused += 1;
            }
        }
    }
    assert!(stored > 0 && refused > 0, "{stored} stored, {refused} refused");
    server.command(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let error =
        redis.key_value().increment(&bucket("b"), &name("n"), 1, None, OpId::random()).await;
    let error = error.unwrap_err();
    assert!(error.message().contains("maxmemory"), "{error:?}");
    assert_eq!(error.effectiveness(), Effectiveness::NotApplied, "{error:?}");
    // Reads go on; an answer is whole or absent.
    let mut whole = 0;
    for n in 0..400 {
        match cached(&redis, n).await {
            Ok(Some(found)) => {
                assert!(found == noise, "{n} is not what was put");
                whole += 1;
            }
            Ok(None) => {}
            Err(error) => assert!(error.message().contains("maxmemory"), "{error:?}"),
        }
    }
    assert_eq!(whole, stored);
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    put(&redis, 1_000, &noise).await.unwrap();
    assert_eq!(get(&redis, "n").await.unwrap(), None, "the refused increment left nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_worked_off_and_swept() {
    let server = Server::start(&["--maxmemory", "6mb", "--maxmemory-policy", "noeviction"]);
    let redis = Redis::connect(server.config()).await.unwrap();
    let (store, queue) = (redis.queue(), QueueId::new(Tenant(name("t")), name("q")));
    let mut stored = 0;
    let refused = loop {
        let command = NewCommand {
            payload: vec![0; 50_000],
            result_ttl: Ttl::millis(1).unwrap(),
            ..patient(CommandId(Uuid::now_v7()))
        };
        match store.enqueue(&queue, vec![command], WhenIdle::Store, vec![]).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(refused.message().contains("maxmemory"), "{refused:?}");
    assert_eq!(refused.effectiveness(), Effectiveness::NotApplied, "{refused:?}");
    let request = LeaseRequest {
        worker: name("w"),
        max: Limit::new(10).unwrap(),
        visibility: Ttl::secs(60).unwrap(),
        wait: Duration::ZERO,
    };
    let mut done = 0;
    loop {
        // The server knows none of these functions yet, and takes none.
        let leased = store.lease(&queue, request.clone()).await.unwrap();
        if leased.is_empty() {
            break;
        }
        let acks = leased.iter().map(|one| Ack { lease: one.lease, result: None }).collect();
        done += store.ack(&queue, acks, vec![]).await.unwrap().iter().filter(|a| a.is_ok()).count();
    }
    assert_eq!(done, stored, "what was acknowledged is handed out, and completed");
    while store.sweep(Limit::new(1_000).unwrap()).await.unwrap() > 0 {}
    let command = patient(CommandId(Uuid::now_v7()));
    store.enqueue(&queue, vec![command], WhenIdle::Store, vec![]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_server_says_so_until_it_is_a_master_again() {
    let (server, master) = (Server::start(&[]), Server::start(&[]));
    let redis = Redis::connect(server.config()).await.unwrap();
    set(&redis, "a").await.unwrap();
    server.command(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    let started = Instant::now();
    for error in [set(&redis, "b").await.unwrap_err(), put(&redis, 1, b"x").await.unwrap_err()] {
        assert_eq!(
            (error.kind(), error.retry_hint()),
            (ErrorKind::Unavailable, Retry::Soon),
            "{error:?}"
        );
        assert_eq!(error.effectiveness(), Effectiveness::NotApplied, "{error:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    server.command(&["REPLICAOF", "NO", "ONE"]);
    soon(async || set(&redis, "b").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_denied_and_never_shown() {
    let server = Server::of(&["--save", "", "--requirepass", "open-sesame"]);
    let with = |password: &str| RedisConfig { password: Some(password.into()), ..server.config() };
    for config in [with("s3cret-guess"), server.config()] {
        let error = Redis::connect(config).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry_hint()),
            (ErrorKind::Denied, Retry::Never),
            "{error:?}"
        );
        let told = format!("{error} {error:?}");
        assert!(!told.contains("s3cret-guess") && !told.contains("open-sesame"), "{told}");
    }
    let in_url = format!("redis://:s3cret-guess@127.0.0.1:{}", server.port());
    let error = Redis::connect(quick(RedisConfig::new(in_url))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert!(!format!("{error} {error:?}").contains("s3cret-guess"), "{error:?}");
    let redis = Redis::connect(with("open-sesame")).await.unwrap();
    set(&redis, "a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn forgotten_functions_are_given_again() {
    let server = Server::start(&[]);
    let redis = Redis::connect(server.config()).await.unwrap();
    let load = Load::start(&redis, 4);
    for _ in 0..20 {
        server.command(&["FUNCTION", "FLUSH"]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seen = load.finish(&redis).await;
    assert_eq!((seen.refused, seen.open), (0, 0), "nobody notices: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_connections_cost_nothing_but_a_repeat() {
    let server = Server::start(&[]);
    let redis = Redis::connect(server.config()).await.unwrap();
    let load = Load::start(&redis, 4);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(15)).await;
        let _ = server.try_command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
    let seen = load.finish(&redis).await;
    println!("killed connections: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_an_answer_is_never_older_than_was_said() {
    let server = Server::start(&[]);
    let max_age = Duration::from_millis(700);
    let config = RedisConfig {
        cache_copies: 1_000,
        cache_copies_max_age_ms: max_age.as_millis().try_into().unwrap(),
        ..server.config()
    };
    let redis = Redis::connect(config).await.unwrap();
    put(&redis, 1, b"answer").await.unwrap();
    // Copies from before the put are passed over for their time; then one is made.
    tokio::time::sleep(max_age).await;
    let asked = Instant::now();
    assert_eq!(cached(&redis, 1).await.unwrap().as_deref(), Some(&b"answer"[..]));
    // Nobody can take anything back now: an invalidation may have been acknowledged elsewhere.
    server.hang();
    let copy = cached(&redis, 1).await;
    assert_eq!(copy.unwrap().as_deref(), Some(&b"answer"[..]), "without the server");
    while asked.elapsed() <= max_age {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let late = cached(&redis, 1).await;
    server.go_on();
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Timeout, "the copy is too old");
    let found = soon(async || cached(&redis, 1).await).await;
    assert_eq!(found.as_deref(), Some(&b"answer"[..]));
}
