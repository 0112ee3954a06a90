//! TLS where there is more than one server: a Cluster, whose nodes are found over TLS, and Sentinels, which name a master
//! that is reached over TLS.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hexmem_adapter_memory::ManualClock;
use hexmem_adapter_redis::{Redis, RedisConfig, RedisMode};
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{
    BucketId, Clock, CommandId, CommandQueue as _, ErrorKind, KeyValueExt as _, KeyValueStore,
    KvSet, LeaseRequest, Limit, Name, NewCommand, QueueId, Records, Retry, Tenant, Ttl, WhenIdle,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::own::{Server, until};
use crate::secured::ACL;
use crate::tls::{certificates, command, tls_only};

const SLOTS: usize = 16_384;
/// Who sets the servers up.
const ADMIN: &str = "admin:adm-in@";

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn text(server: &Server, folder: &Path, user: &str, words: &[&str]) -> String {
    redis::from_redis_value(command(server, folder, user, words).unwrap()).unwrap()
}

/// Three masters that speak TLS only, also with each other, and let hexmem's user do what it needs and no more.
struct Cluster {
    nodes: Vec<Server>,
    folder: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        let node = |_| {
            Server::start(&[], |port, _| {
                let bus = crate::own::free_port();
                let tls = tls_only(port, folder.path());
                format!(
                    "{tls}save \"\"\ntls-cluster yes\ncluster-enabled yes\ncluster-port {bus}\ncluster-node-timeout 2000\nuser default off\nuser admin on >adm-in ~* &* +@all\n{ACL}\n"
                )
            })
        };
        let nodes: Vec<Server> = (0..3).map(node).collect();
        let cluster = Self { nodes, folder };
        cluster.join();
        cluster
    }

    fn admin(&self, node: &Server, words: &[&str]) -> redis::Value {
        command(node, self.folder.path(), ADMIN, words).unwrap()
    }

    fn join(&self) {
        let first = &self.nodes[0];
        let bus: Vec<String> =
            redis::from_redis_value(self.admin(first, &["CONFIG", "GET", "cluster-port"])).unwrap();
        for (index, node) in self.nodes.iter().enumerate() {
            let (from, to) = (SLOTS * index / 3, SLOTS * (index + 1) / 3 - 1);
            self.admin(node, &["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
            self.admin(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            if index > 0 {
                let port = first.port.to_string();
                self.admin(node, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus[1]]);
            }
        }
        until("the Cluster comes together", || {
            self.nodes.iter().all(|node| {
                let info = text(node, self.folder.path(), ADMIN, &["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3\r\n")
            })
        });
    }

    /// Only one node is named: the others are found.
    fn config(&self) -> RedisConfig {
        RedisConfig {
            mode: RedisMode::Cluster,
            urls: vec![format!("rediss://127.0.0.1:{}", self.nodes[0].port)],
            username: Some("hexmem".into()),
            password: Some("pass-word".into()),
            ca_file: Some(self.folder.path().join("ca.pem")),
            ..RedisConfig::default()
        }
    }
}

/// One Cluster for all cases of the suite.
fn shared() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

mod key_values {
    use super::*;

    async fn rig() -> Rig<dyn KeyValueStore> {
        let clock = Arc::new(ManualClock::default());
        let prefix = format!("hexmem:{}:", Uuid::new_v4().simple());
        let open = async |prefix: String| {
            let redis = Redis::connect(shared().config().prefix(prefix)).await.unwrap();
            redis.on_clock(Arc::clone(&clock) as Arc<dyn Clock>)
        };
        let (first, second) = (open(prefix.clone()).await, open(prefix.clone()).await);
        let apart = open(format!("{prefix}twin:")).await;
        let (store, twin) = (Arc::new(first.key_value()), Arc::new(apart.key_value()));
        let time = manual_time(clock.clone(), move |span| clock.advance(span));
        let declares = store.capabilities();
        let port = store.clone() as Arc<dyn KeyValueStore>;
        let mut rig = Rig::new("redis-cluster", port, declares, time);
        rig.other = Arc::new(second.key_value());
        rig.twin = Some((twin.clone(), twin as Arc<dyn Records>));
        rig.records = Some(store);
        rig
    }

    hexmem_conformance::key_value_suite!(rig, together);
}

#[tokio::test]
async fn the_nodes_of_a_cluster_are_found_over_tls_and_wake_those_who_wait() {
    let cluster = Cluster::start();
    let redis = Redis::connect(cluster.config()).await.unwrap();
    let (waiting, store) = (redis.queue(), redis.queue());
    // One of these queues lies on each node.
    for n in 0..9 {
        let queue = QueueId::new(Tenant(name("t")), name(&format!("q{n}")));
        let request = LeaseRequest {
            worker: name("w"),
            max: Limit::new(1).unwrap(),
            visibility: Ttl::secs(30).unwrap(),
            wait: Duration::from_secs(20),
        };
        let lease = waiting.lease(&queue, request);
        let push = async {
            let command = NewCommand {
                id: CommandId(Uuid::now_v7()),
                payload: b"work".to_vec(),
                headers: serde_json::Value::Null,
                priority: 0,
                delay: None,
                deadline: None,
                dedupe: None,
                group: None,
                retry: RetryPolicy::default(),
                result_ttl: Ttl::secs(60).unwrap(),
            };
            store.enqueue(&queue, vec![command], WhenIdle::Store, vec![]).await.unwrap();
        };
        let (leased, ()) = tokio::join!(lease, push);
        assert_eq!(leased.unwrap()[0].payload, b"work");
    }
    let keys = cluster.nodes.iter().map(|node| match cluster.admin(node, &["DBSIZE"]) {
        redis::Value::Int(keys) => keys,
        other => panic!("{other:?}"),
    });
    assert!(keys.into_iter().all(|keys| keys > 0), "each node holds some of it");
    let seen = redis.inspect().await.unwrap();
    assert_eq!((seen.mode, seen.servers.len()), (RedisMode::Cluster, 3));

    let strangers = RedisConfig { ca_file: None, ..cluster.config() };
    assert_eq!(Redis::connect(strangers).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let guess = RedisConfig { password: Some("gu-ess".into()), ..cluster.config() };
    let error = Redis::connect(guess).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("gu-ess"), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
}

#[tokio::test]
async fn sentinels_name_the_new_master_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let secret = "requirepass pass-word\nmasterauth pass-word\nsave \"\"\n";
    let lines = |port| format!("{}{secret}", tls_only(port, folder.path()));
    let mut master = Server::start(&[], |port, _| lines(port));
    let replica = Server::start(&[], |port, _| {
        format!("{}replicaof 127.0.0.1 {}\nrepl-diskless-sync-delay 0\n", lines(port), master.port)
    });
    let user = ":pass-word@";
    until("the replica follows", || {
        let info = text(&replica, folder.path(), user, &["INFO", "replication"]);
        info.contains("master_link_status:up")
    });
    let sentinel = Server::start(&["--sentinel"], |port, _| {
        format!(
            "{}requirepass sen-tinel\nsentinel monitor m 127.0.0.1 {} 1\nsentinel auth-pass m pass-word\nsentinel down-after-milliseconds m 500\nsentinel failover-timeout m 2000\n",
            tls_only(port, folder.path()),
            master.port
        )
    });
    until("the Sentinel knows the replica", || {
        let known =
            command(&sentinel, folder.path(), ":sen-tinel@", &["SENTINEL", "REPLICAS", "m"]);
        matches!(known.unwrap(), redis::Value::Array(rows) if !rows.is_empty())
    });

    let config = RedisConfig {
        mode: RedisMode::Sentinel,
        urls: vec![format!("rediss://127.0.0.1:{}", sentinel.port)],
        master: "m".into(),
        password: Some("pass-word".into()),
        sentinel_password: Some("sen-tinel".into()),
        ca_file: Some(folder.path().join("ca.pem")),
        connect_timeout_ms: 500,
        response_timeout_ms: 1_000,
        ..RedisConfig::default()
    };
    let redis = Redis::connect(config).await.unwrap();
    let (store, bucket) = (redis.key_value(), BucketId::new(Tenant(name("t")), name("b")));
    store.set(&bucket, &name("before"), KvSet::new("1")).await.unwrap();
    until("the replica has it", || {
        let size = command(&replica, folder.path(), user, &["DBSIZE"]).unwrap();
        matches!(size, redis::Value::Int(keys) if keys >= 3)
    });

    master.kill();
    let start = Instant::now();
    while let Err(error) = store.set(&bucket, &name("after"), KvSet::new("2")).await {
        assert_eq!(error.retry_hint(), Retry::Soon, "{error:?}");
        assert!(!format!("{error:?}").contains("pass-word"), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(20), "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let read = store.get(&bucket, &name("before")).await.unwrap().expect("the replica had it");
    assert_eq!(read.value, b"1");
    let seen = redis.inspect().await.unwrap();
    assert_eq!(seen.servers[0].address, format!("127.0.0.1:{}", replica.port));
}
