//! Every port seen from another process, on one server and on a Cluster.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_adapter_redis::Redis;
use hexmem_conformance::every_port::{self, Stores, role};
use hexmem_ports::Capability;
use rig::{Servers, Space};

/// A place is `redis` or `redis-cluster`, and the prefix of the test.
async fn open(place: &str) -> Stores {
    let (adapter, prefix) = place.split_once(' ').unwrap();
    let servers = if adapter == "redis" { Servers::Single } else { Servers::Cluster };
    let redis = Redis::connect(servers.config().prefix(prefix)).await.unwrap();
    Stores {
        key_value: Some(Arc::new(redis.key_value())),
        sessions: Some(Arc::new(redis.sessions())),
        cache: Some(Arc::new(redis.cache())),
        queue: Some(Arc::new(redis.queue())),
        ..Stores::default()
    }
}

#[tokio::test]
#[ignore = "the other process of the tests below"]
async fn role_write() {
    role(open).await;
}

async fn every_port(servers: Servers) {
    let space = Space::new(servers);
    let place = format!("{} {}", servers.adapter(), space.config.prefix);
    every_port::every_port(servers.adapter(), &[Capability::MultiProcess], &place, open).await;
}

#[tokio::test]
async fn what_another_process_acknowledged_is_there_for_every_port() {
    every_port(Servers::Single).await;
}

#[tokio::test]
async fn what_another_process_acknowledged_is_there_for_every_port_of_a_cluster() {
    every_port(Servers::Cluster).await;
}
