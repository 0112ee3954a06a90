//! Sentinels: the master is asked of them, again when it is gone.

use std::time::{Duration, Instant};

use hexmem_adapter_redis::{Redis, RedisConfig, RedisMode};
use hexmem_ports::{
    BucketId, ErrorKind, KeyValueExt as _, KeyValueStore as _, KvSet, Name, Retry, Tenant,
};

use crate::own::{Server, until};

#[tokio::test]
async fn the_new_master_is_found_after_a_failover() {
    let mut master = Server::plain("");
    let replica = Server::plain(&format!("replicaof 127.0.0.1 {}\n", master.port));
    until("the replica follows", || {
        let info = replica.command(&["INFO", "replication"]).unwrap();
        let text: String = redis::from_redis_value(info).unwrap();
        text.contains("master_link_status:up")
    });
    let sentinel = Server::start(&["--sentinel"], |port, _| {
        format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor m 127.0.0.1 {} 1\nsentinel down-after-milliseconds m 300\nsentinel failover-timeout m 2000\n",
            master.port
        )
    });
    until("the Sentinel knows the replica", || {
        let known = sentinel.command(&["SENTINEL", "REPLICAS", "m"]).unwrap();
        matches!(known, redis::Value::Array(rows) if !rows.is_empty())
    });

    let unknown = RedisConfig {
        mode: RedisMode::Sentinel,
        urls: vec![sentinel.url()],
        master: "nobody".into(),
        ..RedisConfig::default()
    };
    let error = Redis::connect(unknown.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");

    let config = RedisConfig {
        master: "m".into(),
        connect_timeout_ms: 500,
        response_timeout_ms: 1_000,
        ..unknown
    };
    let redis = Redis::connect(config).await.unwrap();
    let store = redis.key_value();
    let name = |text: &str| Name::new(text).unwrap();
    let bucket = BucketId::new(Tenant(name("t")), name("b"));
    store.set(&bucket, &name("before"), KvSet::new("1")).await.unwrap();
    until("the replica has it", || {
        let size = replica.command(&["DBSIZE"]).unwrap();
        matches!(size, redis::Value::Int(keys) if keys >= 3)
    });

    master.kill();
    let start = Instant::now();
    loop {
        match store.set(&bucket, &name("after"), KvSet::new("2")).await {
            Ok(_) => break,
            Err(error) => {
                assert_eq!(error.retry_hint(), Retry::Soon, "{error:?}");
                assert!(start.elapsed() < Duration::from_secs(15), "{error:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    let read = store.get(&bucket, &name("before")).await.unwrap().expect("the replica had it");
    assert_eq!(read.value, b"1");
    let seen = redis.inspect().await.unwrap();
    assert_eq!(seen.servers[0].address, format!("127.0.0.1:{}", replica.port));
}
