//! Servers that hang, end, refuse and are full: what a caller is told, and that it goes on afterwards.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::process::Command;
use std::time::{Duration, Instant};

use hexmem_adapter_pg::{Migrate, PgConfig, Postgres, TlsMode};
use hexmem_ports::{
    BucketId, Effectiveness, Error, ErrorKind, KeyValueExt as _, KeyValueStore as _, KvSet, Name,
    Retry, Tenant,
};
use rig::server::Server;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn bucket() -> BucketId {
    BucketId::new(Tenant(name("t")), name("b"))
}

async fn set(postgres: &Postgres, key: &str) -> Result<u64, Error> {
    postgres.key_value().set(&bucket(), &name(key), KvSet::new(*b"v")).await
}

async fn get(postgres: &Postgres, key: &str) -> Result<bool, Error> {
    Ok(postgres.key_value().get(&bucket(), &name(key)).await?.is_some())
}

#[tokio::test]
async fn a_server_that_hangs_is_a_timeout_and_then_goes_on() {
    let server = Server::start(&["fsync=off"]).await;
    let postgres = server.open().await;
    set(&postgres, "before").await.unwrap();
    server.signal("STOP");
    // On an open connection, and where a new one would be needed.
    for _ in 0..3 {
        let start = Instant::now();
        let error = set(&postgres, "hung").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert_eq!(error.retry_hint(), Retry::Soon);
        assert!(start.elapsed() < Duration::from_millis(2_500), "{:?}", start.elapsed());
    }
    let error = get(&postgres, "before").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effectiveness()),
        (ErrorKind::Timeout, Effectiveness::NotApplied)
    );
    server.signal("CONT");
    assert!(get(&postgres, "before").await.unwrap());
    set(&postgres, "after").await.unwrap();
    assert_eq!(postgres.pool_state().used, 0, "what hung holds no connection");
}

#[tokio::test]
async fn a_server_that_was_started_anew_is_reconnected() {
    let mut server = Server::start(&["fsync=off"]).await;
    let postgres = server.open().await;
    set(&postgres, "before").await.unwrap();
    server.kill();
    let error = set(&postgres, "gone").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry_hint()),
        (ErrorKind::Unavailable, Retry::Soon),
        "{error}"
    );
    let error = get(&postgres, "before").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("start PostgreSQL"), "{error}");
    server.run().await;
    assert!(get(&postgres, "before").await.unwrap(), "the first call after it is answered");
    set(&postgres, "after").await.unwrap();

    // Restarted between two calls: a read does not notice, on a connection that has died meanwhile.
    server.kill();
    server.run().await;
    assert!(get(&postgres, "after").await.unwrap());
}

#[tokio::test]
async fn a_pool_without_a_free_connection_says_so() {
    let server = Server::start(&["fsync=off"]).await;
    let config =
        PgConfig { acquire_timeout_ms: 50, statement_timeout_ms: 5_000, ..server.config() };
    let postgres = Postgres::connect(config).await.unwrap();
    set(&postgres, "k").await.unwrap();
    let mut beside = rig::connect(&server.url()).await;
    rig::run(&mut beside, "BEGIN; LOCK TABLE hexmem.key_value IN ACCESS EXCLUSIVE MODE").await;
    let (one, two) = (postgres.clone(), postgres.clone());
    let held = [
        tokio::spawn(async move { set(&one, "k").await }),
        tokio::spawn(async move { set(&two, "k").await }),
    ];
    while postgres.pool_state().used < 2 {
        tokio::task::yield_now().await;
    }
    let error = set(&postgres, "k").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effectiveness()),
        (ErrorKind::Timeout, Effectiveness::NotApplied)
    );
    assert!(error.to_string().contains("all 2 are in use; raise pg.max_connections"), "{error}");
    rig::run(&mut beside, "ROLLBACK").await;
    for call in held {
        call.await.unwrap().unwrap();
    }
    set(&postgres, "k").await.unwrap();
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_by_the_server() {
    let server = Server::start(&["fsync=off"]).await;
    let postgres = server.open().await;
    let first = set(&postgres, "k").await.unwrap();
    let mut beside = rig::connect(&server.url()).await;
    rig::run(&mut beside, "BEGIN; LOCK TABLE hexmem.key_value IN ACCESS EXCLUSIVE MODE").await;
    let error = set(&postgres, "k").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effectiveness()),
        (ErrorKind::Timeout, Effectiveness::NotApplied)
    );
    assert!(error.to_string().contains("pg.statement_timeout_ms"), "{error}");
    assert_eq!(postgres.pool_state().idle, 1, "the connection stays");
    rig::run(&mut beside, "ROLLBACK").await;
    assert!(set(&postgres, "k").await.unwrap() > first);
}

#[tokio::test]
async fn a_dropped_call_leaves_no_connection_in_the_middle() {
    let server = Server::start(&["fsync=off"]).await;
    let postgres = server.open().await;
    set(&postgres, "k").await.unwrap();
    for micros in (0..2_000).step_by(100) {
        let call = set(&postgres, "k");
        let _ = tokio::time::timeout(Duration::from_micros(micros), call).await;
        assert!(get(&postgres, "k").await.unwrap(), "dropped after {micros} microseconds");
    }
    assert_eq!(postgres.pool_state().used, 0);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Server::start(&["fsync=off"]).await;
    let config = PgConfig { idle_timeout_ms: 20, ..server.config() };
    let postgres = Postgres::connect(config).await.unwrap();
    get(&postgres, "k").await.unwrap();
    for _ in 0..500 {
        if postgres.pool_state().idle == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{:?}", postgres.pool_state());
}

async fn refused(config: PgConfig, kind: ErrorKind, says: &str) {
    let error = Postgres::connect(config).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().contains(says), "{error}");
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    assert!(
        error.kind() == ErrorKind::Invalid || error.to_string().contains("server: "),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_connection_is_named_with_the_way_out() {
    let server = Server::start(&["fsync=off", "password_encryption=scram-sha-256"]).await;
    let mut admin = rig::connect(&server.url()).await;
    rig::run(
        &mut admin,
        "CREATE ROLE guarded LOGIN PASSWORD 'hush-right';
         CREATE ROLE poor LOGIN;
         REVOKE CREATE ON DATABASE postgres FROM PUBLIC;",
    )
    .await;
    rig::run(&mut admin, "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0").await;
    let rules = "host all guarded 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
    server.write(&server.data().join("pg_hba.conf"), rules);
    rig::run(&mut admin, "SELECT pg_reload_conf()").await;
    let port = server.port();
    let at = |user: &str, database: &str| {
        let url = format!("postgres://{user}@127.0.0.1:{port}/{database}");
        PgConfig { url, ..server.config() }
    };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();

    refused(PgConfig { url: String::new(), ..server.config() }, ErrorKind::Invalid, "is missing")
        .await;
    let elsewhere = PgConfig::new(format!("postgres://u:hush@127.0.0.1:{closed}/d"));
    refused(elsewhere, ErrorKind::Unavailable, "start PostgreSQL, or correct host and port").await;
    let nowhere = PgConfig::new("postgres://u:hush@no-such-host.invalid/d");
    refused(nowhere, ErrorKind::Unavailable, "check host, port and network").await;
    // The reload may take a moment.
    for _ in 0..100 {
        if Postgres::connect(at("guarded:hush-wrong", "postgres")).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    refused(at("guarded:hush-wrong", "postgres"), ErrorKind::Denied, "refuses user or password")
        .await;
    refused(at("nobody", "postgres"), ErrorKind::Denied, "refuses user or password").await;
    refused(at("hexmem", "missing"), ErrorKind::NotFound, "does not exist; create it").await;
    refused(at("poor", "postgres"), ErrorKind::Denied, "grant it USAGE and CREATE").await;
    refused(at("hexmem", "latin"), ErrorKind::Unsupported, "encoded in LATIN1").await;
    let unmade = PgConfig { migrate: Migrate::Never, ..at("hexmem", "postgres") };
    refused(unmade, ErrorKind::Unsupported, "run `hexmem schema migrate`").await;

    // The owner makes the tables; a poorer role may not use them until it is told that it may.
    server.open().await.close().await;
    let reader = PgConfig { migrate: Migrate::Never, ..at("poor", "postgres") };
    refused(reader.clone(), ErrorKind::Denied, "may not do that").await;
    rig::run(
        &mut admin,
        "GRANT USAGE ON SCHEMA hexmem TO poor; GRANT SELECT ON ALL TABLES IN SCHEMA hexmem TO poor",
    )
    .await;
    let poor = Postgres::connect(reader).await.unwrap();
    assert!(!get(&poor, "k").await.unwrap());
    let error = set(&poor, "k").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effectiveness()),
        (ErrorKind::Denied, Effectiveness::NotApplied)
    );
    rig::run(&mut admin, "GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA hexmem TO poor")
        .await;
    set(&poor, "k").await.unwrap();
}

#[tokio::test]
async fn a_read_that_accepts_lag_goes_on_without_the_follower() {
    let mut follower = Server::start(&["fsync=off"]).await;
    let first = Server::start(&["fsync=off"]).await;
    follower.open().await.close().await;
    let config = PgConfig { replica_url: Some(follower.url()), ..first.config() };
    let postgres = Postgres::connect(config).await.unwrap();
    // Nothing replicates here: that the other one answers shows who was asked.
    let mut beside = rig::connect(&follower.url()).await;
    rig::run(
        &mut beside,
        "INSERT INTO hexmem.outbox (effect_id, topic, key, key_hash, payload, committed_at)
         VALUES (gen_random_uuid(), 't', 'k', '', '{}', now())",
    )
    .await;
    let outbox = postgres.outbox();
    let depth = hexmem_ports::Outbox::depth(&outbox).await.unwrap();
    assert_eq!(depth, 1, "a count is read from the follower");
    set(&postgres, "k").await.unwrap();
    assert!(get(&postgres, "k").await.unwrap(), "a read by key is not");
    follower.kill();
    let depth = hexmem_ports::Outbox::depth(&outbox).await.unwrap();
    assert_eq!(depth, 0, "the first server answers instead");
}

fn openssl(folder: &std::path::Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("this test makes certificates: install openssl ({error})"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
async fn tls_is_checked_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for ca in ["ca", "other"] {
        let subject = format!("-days 2 -subj /CN=hexmem-{ca} -keyout {ca}.key -out {ca}.pem");
        openssl(path, &format!("req -x509 {key} {subject}"));
    }
    openssl(path, &format!("req {key} -subj /CN=localhost -keyout server.key -out server.csr"));
    std::fs::write(path.join("names"), "subjectAltName=DNS:localhost").unwrap();
    openssl(
        path,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
    let mut server = Server::start(&["fsync=off"]).await;
    let plain = server.config();
    for file in ["server.key", "server.pem"] {
        let text = std::fs::read_to_string(path.join(file)).unwrap();
        server.write(&server.data().join(file), &text);
    }
    let file = |name: &str| server.data().join(name).display().to_string();
    let settings = format!(
        "ssl = on\nssl_key_file = '{}'\nssl_cert_file = '{}'\n",
        file("server.key"),
        file("server.pem")
    );
    let config = server.data().join("postgresql.auto.conf");

    // Before it is on: who asks for encryption gets none, and is told.
    let wanted = PgConfig { tls: Some(TlsMode::Require), ..plain.clone() };
    refused(wanted.clone(), ErrorKind::Unavailable, "no encrypted connection").await;
    server.kill();
    server.write(&config, &settings);
    server.run().await;

    let local = format!("postgres://hexmem@localhost:{}/postgres", server.port());
    let with = |url: &str, tls, ca: &str| PgConfig {
        url: url.to_owned(),
        tls: Some(tls),
        tls_ca: Some(path.join(ca)),
        ..plain.clone()
    };
    let encrypted = Postgres::connect(with(&local, TlsMode::VerifyFull, "ca.pem")).await.unwrap();
    set(&encrypted, "k").await.unwrap();
    Postgres::connect(wanted).await.unwrap();
    let wrong_ca = with(&local, TlsMode::VerifyFull, "other.pem");
    refused(wrong_ca, ErrorKind::Unavailable, "certificate is not accepted").await;
    let by_number = plain.url.as_str();
    let wrong_name = with(by_number, TlsMode::VerifyFull, "ca.pem");
    refused(wrong_name, ErrorKind::Unavailable, "certificate is not accepted").await;
    Postgres::connect(with(by_number, TlsMode::VerifyCa, "ca.pem")).await.unwrap();
}
