//! A real follower: which reads go there, what doctor says of it, and what happens when it takes over.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use hexmem_adapter_pg::{CacheTables, Migrate, PgConfig, Postgres};
use hexmem_conformance::name;
use hexmem_ports::{
    BucketId, CacheStore as _, Digest, Effectiveness, Error, ErrorKind, KeyValueExt as _,
    KeyValueStore as _, KvSet, NamespaceId, NewSession, Retry, SessionId, SessionOrigin,
    SessionStore as _, Tenant, TokenKey, Ttl, UserScope,
};
use rig::server::Server;
use serde_json::json;
use sqlx::PgConnection;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;

fn tenant() -> Tenant {
    Tenant(name("t"))
}

async fn sign_in(postgres: &Postgres, user: &str) -> TokenKey {
    let owner = UserScope { tenant: tenant(), user: name(user) };
    let token = TokenKey { bucket: owner.bucket(), hash: Digest::of(Uuid::new_v4().as_bytes()) };
    let new = NewSession {
        id: SessionId(Uuid::new_v4()),
        token,
        owner,
        data: json!({}),
        origin: SessionOrigin::default(),
        idle: Ttl::secs(600).unwrap(),
        absolute: Ttl::secs(6_000).unwrap(),
        cap: None,
        retention: Ttl::secs(600).unwrap(),
    };
    postgres.sessions().create(new, vec![]).await.unwrap();
    token
}

async fn active(postgres: &Postgres) -> u64 {
    postgres.sessions().active_count(&tenant()).await.unwrap().value
}

async fn set(postgres: &Postgres, key: &str) -> Result<u64, Error> {
    let bucket = BucketId::new(tenant(), name("b"));
    postgres.key_value().set(&bucket, &name(key), KvSet::new(*b"v")).await
}

async fn get(postgres: &Postgres, key: &str) -> Result<bool, Error> {
    let bucket = BucketId::new(tenant(), name("b"));
    Ok(postgres.key_value().get(&bucket, &name(key)).await?.is_some())
}

/// Waits until `done` says so of the server at the other end.
async fn until(connection: &mut PgConnection, sql: &'static str) {
    for _ in 0..1_000 {
        if sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut *connection).await.unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never true: {sql}");
}

/// Waits until everybody who follows has replayed all there is.
async fn replayed(first: &mut PgConnection) {
    until(
        first,
        "SELECT bool_and(replay_lsn >= pg_current_wal_lsn()) IS TRUE FROM pg_stat_replication",
    )
    .await;
}

#[tokio::test]
async fn reads_that_accept_lag_are_the_followers_and_doctor_says_how_old_they_are() {
    let first = Server::start(&["fsync=off"]).await;
    let mut follower = first.follower().await;
    let (mut writer, mut reader) =
        (rig::connect(&first.url()).await, rig::connect(&follower.url()).await);
    replayed(&mut writer).await;

    // Behind a migration: the follower has no tables yet.
    rig::run(&mut reader, "SELECT pg_wal_replay_pause()").await;
    let config = PgConfig { replica_url: Some(follower.url()), ..first.config() };
    let postgres = Postgres::connect(config.clone()).await.unwrap();
    assert_eq!(active(&postgres).await, 0, "the first server answers");
    rig::run(&mut reader, "SELECT pg_wal_replay_resume()").await;
    sign_in(&postgres, "ada").await;
    replayed(&mut writer).await;
    assert_eq!(active(&postgres).await, 1);

    let seen = postgres.inspect().await.unwrap();
    assert_eq!(seen.findings, Vec::<String>::new());
    let replica = seen.replica.unwrap();
    assert!(replica.is_follower && replica.is_receiving && !replica.is_paused, "{replica:?}");
    assert_eq!((seen.followers.len(), seen.followers[0].state.as_str()), (1, "streaming"));

    // Paused: counts are from the past, what decides is not.
    rig::run(&mut reader, "SELECT pg_wal_replay_pause()").await;
    let token = sign_in(&postgres, "bob").await;
    assert_eq!(active(&postgres).await, 1, "a count is read from the follower");
    assert!(postgres.sessions().find(&token).await.unwrap().is_some(), "a token is not");
    let seen = postgres.inspect().await.unwrap();
    let replica = seen.replica.unwrap();
    assert!(replica.is_paused && replica.lag_bytes.unwrap() > 0, "{replica:?}");
    assert!(replica.lag_micros.unwrap() > 0, "{replica:?}");
    assert!(seen.followers[0].behind_bytes.unwrap() > 0);
    assert!(seen.findings[0].contains("pg_wal_replay_resume()"), "{:?}", seen.findings);
    assert!(!seen.is_follower);
    rig::run(&mut reader, "SELECT pg_wal_replay_resume()").await;
    replayed(&mut writer).await;
    assert_eq!(active(&postgres).await, 2);

    // What is not in the log is not on the follower.
    let unlogged = PgConfig { cache_tables: CacheTables::Unlogged, ..config };
    let cache = Postgres::connect(unlogged).await.unwrap().cache();
    replayed(&mut writer).await;
    cache.stats(&NamespaceId::new(tenant(), name("n"))).await.unwrap();

    follower.kill();
    assert_eq!(active(&postgres).await, 2, "the first server answers");
    let findings = postgres.inspect().await.unwrap().findings;
    assert!(findings[0].contains("cannot be asked"), "{findings:?}");
}

/// An address that leads to one server and later to another, as a name or a proxy does.
struct Address {
    url: String,
    port: Arc<AtomicU16>,
    /// Ends with it.
    _tasks: JoinSet<()>,
}

impl Address {
    async fn of(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let port = Arc::new(AtomicU16::new(server.port()));
        let (target, mut tasks) = (Arc::clone(&port), JoinSet::new());
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let to = target.load(Ordering::SeqCst);
                open.spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", to)).await {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        let url = server.url().replace(&server.port().to_string(), &own.to_string());
        Self { url, port, _tasks: tasks }
    }

    fn leads_to(&self, server: &Server) {
        self.port.store(server.port(), Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_follower_that_takes_over_is_written_to_by_the_handle_that_was_there() {
    let mut first = Server::start(&["fsync=off"]).await;
    let follower = first.follower().await;
    let address = Address::of(&first).await;
    let config = PgConfig { url: address.url.clone(), ..first.config() };
    let postgres = Postgres::connect(config).await.unwrap();
    set(&postgres, "before").await.unwrap();
    replayed(&mut rig::connect(&first.url()).await).await;

    first.kill();
    let error = set(&postgres, "away").await.unwrap_err();
    assert_eq!((error.kind(), error.retry_hint()), (ErrorKind::Unavailable, Retry::Soon));
    // The address moves before the follower is promoted: it reads, and refuses to write.
    address.leads_to(&follower);
    assert!(get(&postgres, "before").await.unwrap(), "what was acknowledged is there");
    let error = set(&postgres, "refused").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effectiveness()),
        (ErrorKind::Unavailable, Effectiveness::NotApplied),
        "{error}"
    );
    assert!(error.to_string().contains("point pg.url at the one that writes"), "{error}");
    let findings = postgres.inspect().await.unwrap().findings;
    assert!(findings.iter().any(|text| text.contains("only follows another one")), "{findings:?}");

    let mut promoted = rig::connect(&follower.url()).await;
    until(&mut promoted, "SELECT pg_promote(true, 30)").await;
    set(&postgres, "after").await.unwrap();
    assert!(get(&postgres, "after").await.unwrap());

    // Who still takes the promoted one for a follower is told.
    let config = PgConfig {
        replica_url: Some(follower.url()),
        migrate: Migrate::Never,
        ..follower.config()
    };
    let config = PgConfig { url: address.url.clone(), ..config };
    let seen = Postgres::connect(config).await.unwrap().inspect().await.unwrap();
    assert!(seen.findings[0].contains("follows nobody"), "{:?}", seen.findings);
}

#[tokio::test]
async fn connections_to_a_server_that_became_a_follower_are_not_used_again() {
    let first = Server::start(&["fsync=off"]).await;
    let follower = first.follower().await;
    let address = Address::of(&first).await;
    let postgres =
        Postgres::connect(PgConfig { url: address.url.clone(), ..first.config() }).await.unwrap();
    set(&postgres, "before").await.unwrap();
    replayed(&mut rig::connect(&first.url()).await).await;
    // Two connections to the follower lie in the pool; then the address leads back to the server that writes.
    address.leads_to(&follower);
    let mut beside = rig::connect(&first.url()).await;
    rig::run(
        &mut beside,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hexmem'",
    )
    .await;
    let both = tokio::join!(get(&postgres, "before"), get(&postgres, "before"));
    assert!(both.0.unwrap() && both.1.unwrap());
    address.leads_to(&first);
    set(&postgres, "after").await.unwrap();
    set(&postgres, "later").await.unwrap();
    assert!(get(&postgres, "later").await.unwrap());
}
