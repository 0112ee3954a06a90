//! Cases of freeing space.

use hexmem_ports::{CacheStore as _, CacheStoreExt as _, Invalidate, Limit, PutOutcome};

use super::{Caches, a_put, key, namespace, store_for, tag, tagged, ticket, value};

/// `CACHE-SWEEP-1`
pub async fn cache_sweep_1(rig: Caches) {
    for n in 0..9 {
        let tags = if n < 7 { tagged(&["a"]) } else { tagged(&["b"]) };
        store_for(&rig, &key(&rig, &n.to_string()), &tags, b"v", 1).await;
    }
    for n in 20..29 {
        let tags = if n < 25 { tagged(&["a"]) } else { tagged(&["c"]) };
        store_for(&rig, &key(&rig, &n.to_string()), &tags, b"v", 50).await;
    }
    rig.clock.advance(1).await;
    let in_flight = ticket(&rig.store, &key(&rig, "new"), &tagged(&["d"])).await;
    let freed = sweep_all(&rig).await;
    assert!(freed >= 9, "what has expired is freed: {freed}");
    rig.store.invalidate(&namespace(&rig.tenant, "n"), Invalidate::Tag(tag("c"))).await.unwrap();
    sweep_all(&rig).await;
    for n in 20..25 {
        assert!(value(&rig.store, &key(&rig, &n.to_string())).await.is_some(), "{n} is live");
    }
    let outcome = rig.store.put(&key(&rig, "new"), a_put(&rig, b"v", in_flight)).await.unwrap();
    assert_eq!(outcome, PutOutcome::Stored, "a ticket outlives the sweep");
}

/// Sweeps, 4 at a time, until nothing is left; returns how many.
async fn sweep_all(rig: &Caches) -> u64 {
    let mut freed = 0;
    for _ in 0..10_000 {
        let swept = rig.other.sweep(Limit::new(4).unwrap()).await.unwrap();
        assert!(swept <= 4, "the limit holds");
        if swept == 0 {
            return freed;
        }
        freed += swept;
    }
    panic!("sweeping does not end");
}
