//! What a Cluster loses when a master dies and its replica takes over, with and without `wait_replicas`.

use std::time::Duration;

use hexmem_adapter_redis::{Redis, RedisConfig};

use crate::cluster::Cluster;
use crate::durability::{HEAD, Lost, Writers, count, span};
use crate::server::{Server, wait_until};

/// The link to the replica broke this long before the master died: what is lost without `WAIT` was written then.
const CUT: Duration = Duration::from_millis(250);

/// Writes over all masters, cuts the replica of one off, kills that one, and counts when the replica has taken over.
async fn failed_over(cluster: &mut Cluster, dies: usize, wait_replicas: u8) -> Lost {
    let config = RedisConfig { wait_replicas, ..cluster.config() };
    let redis = Redis::connect(config).await.unwrap();
    let writers = Writers::start(&redis, 8);
    tokio::time::sleep(span()).await;
    // A password that the master does not want: the link breaks and does not come back.
    cluster.replicas[dies].command(&["CONFIG", "SET", "masterauth", "unknown"]);
    cluster.replicas[dies].command(&["CLIENT", "KILL", "TYPE", "master"]);
    tokio::time::sleep(CUT).await;
    cluster.masters[dies].kill();
    let done = writers.finish().await;
    let leads = |node: &Server| node.text(&["INFO", "replication"]).contains("role:master");
    assert!(wait_until(|| leads(&cluster.replicas[dies])), "the replica does not take over");
    let whole = |node: &Server| node.text(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
    assert!(wait_until(|| cluster.alive().all(whole)), "the cluster does not recover");
    count(&redis, &done).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_failover_loses() {
    let mut cluster = Cluster::start(3, 1);
    let without = failed_over(&mut cluster, 0, 0).await;
    // The first master has no replica now: WAIT is about the two others.
    cluster.masters[0].restart();
    assert!(wait_until(|| cluster.followed()), "the old master does not follow the new one");
    let with = failed_over(&mut cluster, 1, 1).await;
    println!("{HEAD}");
    println!("{}", without.row("failover, replica cut off 250 ms before, wait_replicas = 0"));
    println!("{}", with.row("failover, replica cut off 250 ms before, wait_replicas = 1"));
    for seen in [without, with] {
        assert!(seen.acknowledged.iter().all(|count| *count > 0), "{seen:?}");
    }
}
