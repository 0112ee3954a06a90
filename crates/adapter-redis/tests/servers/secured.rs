//! A server that speaks TLS only, knows no anonymous user, and lets its user do what hexmem needs and no more.

use std::sync::{Arc, OnceLock};

use hexmem_adapter_memory::ManualClock;
use hexmem_adapter_redis::{Redis, RedisConfig, RedisMode};
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{
    BucketId, Clock, ErrorKind, KeyValueExt as _, KeyValueStore, KvSet, Name, Outbox, Records,
    SessionStore, Tenant,
};
use uuid::Uuid;

use crate::own::Server;
use crate::tls::{certificates, tls_only};

/// What an ACL user of hexmem needs, as `docs/redis.md` says.
pub(crate) const ACL: &str = "user hexmem on >pass-word ~hexmem:* &hexmem:* -@all +@read +@write +@scripting +@connection +@pubsub -@dangerous +time +wait +cluster|slots +cluster|info +info +config|get";

fn start() -> Server {
    Server::start(&[], |port, folder| {
        certificates(folder);
        format!("{}save \"\"\nuser default off\n{ACL}\n", tls_only(port, folder))
    })
}

fn config(server: &Server) -> RedisConfig {
    RedisConfig {
        urls: vec![format!("rediss://127.0.0.1:{}", server.port)],
        username: Some("hexmem".into()),
        password: Some("pass-word".into()),
        ca_file: Some(server.folder.path().join("ca.pem")),
        ..RedisConfig::default()
    }
}

/// One server for all cases of a suite.
fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

async fn handles() -> (Redis, Redis, Redis, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let prefix = format!("hexmem:{}:", Uuid::new_v4().simple());
    let open = async |prefix: String| {
        let redis = Redis::connect(config(shared()).prefix(prefix)).await.unwrap();
        redis.on_clock(Arc::clone(&clock) as Arc<dyn Clock>)
    };
    let (first, second) = (open(prefix.clone()).await, open(prefix.clone()).await);
    (first, second, open(format!("{prefix}twin:")).await, clock)
}

mod key_values {
    use super::*;

    async fn rig() -> Rig<dyn KeyValueStore> {
        let (first, second, apart, clock) = handles().await;
        let (store, twin) = (Arc::new(first.key_value()), Arc::new(apart.key_value()));
        let time = manual_time(clock.clone(), move |span| clock.advance(span));
        let declares = store.capabilities();
        let mut rig = Rig::new("redis", store.clone() as Arc<dyn KeyValueStore>, declares, time);
        rig.other = Arc::new(second.key_value());
        rig.twin = Some((twin.clone(), twin as Arc<dyn Records>));
        rig.records = Some(store);
        rig
    }

    hexmem_conformance::key_value_suite!(rig, together);
}

mod sessions {
    use super::*;

    async fn rig() -> Rig<dyn SessionStore> {
        let (first, second, apart, clock) = handles().await;
        let (store, twin) = (Arc::new(first.sessions()), Arc::new(apart.sessions()));
        let time = manual_time(clock.clone(), move |span| clock.advance(span));
        let declares = store.capabilities();
        let mut rig = Rig::new("redis", store.clone() as Arc<dyn SessionStore>, declares, time);
        rig.other = Arc::new(second.sessions());
        rig.twin = Some((twin.clone(), twin as Arc<dyn Records>));
        rig.records = Some(store);
        rig.outbox = Some(Arc::new(first.outbox()) as Arc<dyn Outbox>);
        rig
    }

    hexmem_conformance::sessions_suite!(rig, together);
}

#[tokio::test]
async fn a_wrong_password_user_or_authority_is_named_and_shows_no_secret() {
    let server = start();
    let right = config(&server);
    let refused = async |config: RedisConfig| {
        let error = Redis::connect(config).await.expect_err("it must not connect");
        let text = format!("{error:?}");
        assert!(!text.contains("pass-word") && !text.contains("gu-ess"), "{text}");
        error
    };
    let guess = RedisConfig { password: Some("gu-ess".into()), ..right.clone() };
    assert_eq!(refused(guess).await.kind(), ErrorKind::Denied);
    let nobody = RedisConfig { username: None, password: None, ..right.clone() };
    assert_eq!(refused(nobody).await.kind(), ErrorKind::Denied);
    let in_url = RedisConfig {
        urls: vec![format!("rediss://hexmem:gu-ess@127.0.0.1:{}", server.port)],
        username: None,
        password: None,
        ..right.clone()
    };
    assert_eq!(refused(in_url).await.kind(), ErrorKind::Denied);
    // The system's authorities do not know this one; and nothing but TLS is spoken.
    let strangers = RedisConfig { ca_file: None, ..right.clone() };
    let error = refused(strangers).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let plain = format!("redis://127.0.0.1:{}", server.port);
    let open = RedisConfig { urls: vec![plain], ca_file: None, ..right.clone() };
    assert_eq!(refused(open).await.kind(), ErrorKind::Unavailable);
    let missing = RedisConfig { ca_file: Some("/no/such/ca.pem".into()), ..right.clone() };
    assert_eq!(refused(missing).await.kind(), ErrorKind::Invalid);
    let elsewhere = Redis::connect(right.prefix("other:")).await.unwrap();
    let name = |text: &str| Name::new(text).unwrap();
    let bucket = BucketId::new(Tenant(name("t")), name("b"));
    let error = elsewhere.key_value().set(&bucket, &name("k"), KvSet::new("v")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "the ACL knows the prefix: {error:?}");
    assert!(elsewhere.key_value().get(&bucket, &name("k")).await.is_err());
}

#[tokio::test]
async fn a_pooled_connection_and_a_look_at_the_server_go_through_tls_too() {
    let server = start();
    let redis = Redis::connect(config(&server)).await.unwrap();
    let seen = redis.inspect().await.unwrap();
    assert_eq!((seen.mode, seen.servers.len()), (RedisMode::Single, 1));
    assert!(seen.findings.is_empty(), "{seen:?}");
    assert!(seen.warnings.iter().any(|text| text.contains("persists nothing")), "{seen:?}");
}
