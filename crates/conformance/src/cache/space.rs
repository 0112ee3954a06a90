//! Cases of statistics and of freeing space.

use std::sync::Arc;

use futures::future::join_all;
use hexmem_ports::{CacheKey, Capability, Invalidate, Limit, PutOutcome, Tally};

use super::{
    Caches, a_put, flushed, key, namespace, store_for, store_value, tag, tagged, ticket, value,
};
use crate::other_tenant;

/// `CACHE-STATS-1`
pub async fn cache_stats_1(rig: Caches) {
    let (here, gone) = (key(&rig, "here"), key(&rig, "gone"));
    store_value(&rig, &here, &tagged(&[]), b"v").await;
    let lookups = (0..24).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &rig.store } else { &rig.other });
        let key = if n % 3 == 0 { here.clone() } else { gone.clone() };
        tokio::spawn(async move {
            for _ in 0..10 {
                store.get(&key, &tagged(&["a"]), Tally::Count).await.unwrap();
            }
        })
    });
    for done in join_all(lookups).await {
        done.unwrap();
    }
    let elsewhere = CacheKey { namespace: namespace(&other_tenant(), "n"), ..gone };
    rig.store.get(&elsewhere, &tagged(&[]), Tally::Count).await.unwrap();
    for _ in 0..2 {
        let stats = flushed(&rig, &here.namespace).await;
        assert_eq!((stats.hits, stats.misses), (80, 160));
        assert_eq!(rig.other.stats(&here.namespace).await.unwrap(), stats);
    }
    let stats = flushed(&rig, &elsewhere.namespace).await;
    assert_eq!((stats.hits, stats.misses), (0, 1));
}

/// `CACHE-STATS-2`
pub async fn cache_stats_2(rig: Caches) {
    let namespace = namespace(&rig.tenant, "n");
    let empty = rig.store.stats(&namespace).await.unwrap();
    assert_eq!((empty.entries, empty.bytes), (0, 0));
    for (question, tags, length, units) in [
        ("0", tagged(&[]), 0, 100),
        ("1", tagged(&["a"]), 10, 100),
        ("2", tagged(&["a", "b"]), 1_000, 100),
        ("3", tagged(&["c"]), 5_000, 100),
        ("4", tagged(&["a"]), 50_000, 1),
        ("5", tagged(&["a"]), 70_000, 100),
        ("6", tagged(&["a"]), 90_000, 100),
    ] {
        store_for(&rig, &key(&rig, question), &tags, &vec![1; length], units).await;
    }
    let elsewhere =
        CacheKey { namespace: super::namespace(&other_tenant(), "n"), ..key(&rig, "0") };
    store_value(&rig, &elsewhere, &tagged(&[]), &[1; 300]).await;
    rig.clock.advance(1).await;
    rig.store.invalidate(&namespace, Invalidate::Tag(tag("c"))).await.unwrap();
    let sixth = Invalidate::Key(key(&rig, "6").fingerprint);
    rig.store.invalidate(&namespace, sixth).await.unwrap();
    store_value(&rig, &key(&rig, "5"), &tagged(&[]), &[1; 200]).await;
    let stats = rig.other.stats(&namespace).await.unwrap();
    assert_eq!(stats.exact, rig.has(Capability::ExactCounts));
    if stats.exact {
        assert_eq!((stats.entries, stats.bytes), (4, 1_210));
    }
}

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
