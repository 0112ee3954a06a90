//! Slots that move from one master to another under load.

use std::time::Duration;

use hexmem_adapter_redis::Redis;

use crate::cluster::{Cluster, slot};
use crate::load::Load;

/// Keys that move together; an increment leaves one behind for its repeats.
const AT_ONCE: usize = 30;

/// Moves a slot, some keys at a time, with a pause after each: as slow as a large one.
fn move_slot(cluster: &Cluster, slot: u16, from: usize, to: usize) {
    let (source, target) = (&cluster.masters[from], &cluster.masters[to]);
    let (from, to) = (source.text(&["CLUSTER", "MYID"]), target.text(&["CLUSTER", "MYID"]));
    let (number, port) = (slot.to_string(), target.port().to_string());
    target.command(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &from]);
    source.command(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &to]);
    loop {
        let keys: Vec<Vec<u8>> = redis::from_redis_value(source.command(&[
            "CLUSTER",
            "GETKEYSINSLOT",
            &number,
            &AT_ONCE.to_string(),
        ]))
        .unwrap();
        if keys.is_empty() {
            break;
        }
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(&port).arg("").arg(0).arg(5_000).arg("KEYS").arg(keys);
        source.send(&migrate).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    // The new owner first: nobody is without one.
    target.command(&["CLUSTER", "SETSLOT", &number, "NODE", &to]);
    cluster.settle(slot, &to);
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
