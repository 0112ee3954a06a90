//! Slots that move from one master to another under load.

use std::time::Duration;

use hexmem_adapter_redis::Redis;
use hexmem_ports::{Effectiveness, ErrorKind, KeyValueExt as _, KeyValueStore as _, KvSet};

use crate::cluster::{Cluster, slot};
use crate::load::{Load, bucket, name};
use crate::server::Server;

/// Keys that move together; an increment leaves one behind for its repeats.
const AT_ONCE: usize = 30;

/// Moves a slot, some keys at a time, with a pause after each: as slow as a large one.
fn move_slot(cluster: &Cluster, slot: u16, from: usize, to: usize) {
    let (source, target) = (&cluster.masters[from], &cluster.masters[to]);
    let (from, to) = (source.text(&["CLUSTER", "MYID"]), target.text(&["CLUSTER", "MYID"]));
    let (number, port) = (slot.to_string(), target.port().to_string());
    target.command(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &from]);
    source.command(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &to]);
    while move_some(source, &number, &port) > 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    // The new owner first: nobody is without one.
    target.command(&["CLUSTER", "SETSLOT", &number, "NODE", &to]);
    cluster.settle(slot, &to);
}

/// Moves some keys of a slot that was said to move: how many.
fn move_some(source: &Server, slot: &str, port: &str) -> usize {
    let at_once = AT_ONCE.to_string();
    let keys = source.command(&["CLUSTER", "GETKEYSINSLOT", slot, &at_once]);
    let keys: Vec<Vec<u8>> = redis::from_redis_value(keys).unwrap();
    let count = keys.len();
    if count > 0 {
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(port).arg("").arg(0).arg(5_000).arg("KEYS").arg(keys);
        source.send(&migrate).unwrap();
    }
    count
}

/// The slots with keys, and who has them.
fn used(cluster: &Cluster) -> Vec<(u16, usize)> {
    let mut used = Vec::new();
    for (index, master) in cluster.masters.iter().enumerate() {
        let keys: Vec<Vec<u8>> =
            redis::from_redis_value(master.command(&["KEYS", "hexmem:*"])).unwrap();
        for key in keys {
            // The slot is the tag's.
            let tag = String::from_utf8_lossy(&key).into_owned();
            let tag = tag.split_inclusive('}').next().unwrap_or_default().to_owned();
            used.push((slot(master, &tag), index));
        }
    }
    used.sort_unstable();
    used.dedup();
    used
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slots_move_under_load_and_nothing_is_lost_or_done_twice() {
    let cluster = Cluster::start(2, 0);
    let redis = Redis::connect(cluster.config()).await.unwrap();
    let load = Load::start(&redis, 3);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let moved = tokio::task::spawn_blocking(move || {
        let slots = used(&cluster);
        assert!(slots.len() >= 2, "{slots:?}");
        for (slot, owner) in &slots {
            move_slot(&cluster, *slot, *owner, 1 - *owner);
        }
        // And back.
        for (slot, owner) in &slots {
            move_slot(&cluster, *slot, 1 - *owner, *owner);
        }
        (slots, cluster)
    });
    let (slots, _cluster) = moved.await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let seen = load.finish(&redis).await;
    println!("{} slots moved twice: {seen:?}", slots.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_a_slot_moves_reads_are_answered_by_whoever_has_the_key() {
    let cluster = Cluster::start(2, 0);
    let redis = Redis::connect(cluster.config()).await.unwrap();
    let (store, bucket) = (redis.key_value(), bucket("moving"));
    for n in 0..60 {
        let value = format!("value {n}");
        store.set(&bucket, &name(format!("k{n}")), KvSet::new(value)).await.unwrap();
    }
    let read_all = async || {
        for n in 0..60 {
            let found = store.get(&bucket, &name(format!("k{n}"))).await.unwrap();
            let found = found.map(|entry| entry.value);
            assert_eq!(found, Some(format!("value {n}").into_bytes()), "k{n}");
        }
        assert!(store.get(&bucket, &name("absent")).await.unwrap().is_none());
    };
    let of_entries = |(_, owner): &&(u16, usize)| {
        let keys: Vec<String> =
            redis::from_redis_value(cluster.masters[*owner].command(&["KEYS", "*:e:k0"])).unwrap();
        !keys.is_empty()
    };
    let used = used(&cluster);
    let owner = used.iter().find(of_entries).unwrap().1;
    let (source, target) = (&cluster.masters[owner], &cluster.masters[1 - owner]);
    let keys: Vec<String> = redis::from_redis_value(source.command(&["KEYS", "*:e:k0"])).unwrap();
    let number = slot(source, &keys[0]).to_string();
    let (from, to) = (source.text(&["CLUSTER", "MYID"]), target.text(&["CLUSTER", "MYID"]));
    target.command(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &from]);
    source.command(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &to]);
    let port = target.port().to_string();
    // With no key, some keys and all keys at the new master, which is not theirs yet.
    loop {
        read_all().await;
        let refused = store.set(&bucket, &name("k0"), KvSet::new("other")).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.effectiveness()),
            (ErrorKind::Unavailable, Effectiveness::NotApplied),
            "no script runs on a part of its keys: {refused:?}"
        );
        if move_some(source, &number, &port) == 0 {
            break;
        }
    }
    target.command(&["CLUSTER", "SETSLOT", &number, "NODE", &to]);
    cluster.settle(number.parse().unwrap(), &to);
    read_all().await;
    store.set(&bucket, &name("k0"), KvSet::new("other")).await.unwrap();
}
