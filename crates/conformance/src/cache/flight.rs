//! Cases of the right to compute alone.

use std::sync::Arc;

use futures::future::join_all;
use hexmem_ports::{CacheKey, CacheStore, Flight, FlightLease, Ttl};
use uuid::Uuid;

use super::{Caches, key, namespace};
use crate::other_tenant;

async fn lead(store: &Arc<dyn CacheStore>, key: &CacheKey, visibility: Ttl) -> FlightLease {
    match store.begin(key, visibility).await.unwrap() {
        Flight::Leader(lease) => lease,
        Flight::Follower(wait) => panic!("another leads for {wait:?}"),
    }
}

/// `CACHE-FLIGHT-1`
pub async fn cache_flight_1(rig: Caches) {
    let key = key(&rig, "q");
    let askers = (0..16).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &rig.store } else { &rig.other });
        let (key, visibility) = (key.clone(), rig.ttl(50));
        tokio::spawn(async move { store.begin(&key, visibility).await.unwrap() })
    });
    let mut leaders = 0;
    for answer in join_all(askers).await {
        match answer.unwrap() {
            Flight::Leader(_) => leaders += 1,
            Flight::Follower(wait) => {
                assert!(wait <= rig.span(50) && wait > rig.span(40), "{wait:?}");
            }
        }
    }
    assert_eq!(leaders, 1);
    for apart in [
        super::key(&rig, "r"),
        CacheKey { namespace: namespace(&rig.tenant, "n2"), ..key.clone() },
        CacheKey { namespace: namespace(&other_tenant(), "n"), ..key.clone() },
    ] {
        lead(&rig.other, &apart, rig.ttl(50)).await;
    }
}

/// `CACHE-FLIGHT-2`
pub async fn cache_flight_2(rig: Caches) {
    let key = key(&rig, "q");
    let first = lead(&rig.store, &key, rig.ttl(50)).await;
    assert!(rig.store.release(&key, first).await.unwrap());
    let second = lead(&rig.other, &key, rig.ttl(3)).await;
    assert_ne!(first, second, "each lease is another");
    rig.clock.advance(1).await;
    let Flight::Follower(wait) = rig.store.begin(&key, rig.ttl(50)).await.unwrap() else {
        panic!("two lead");
    };
    assert!(wait <= rig.span(2), "asking does not extend: {wait:?}");
    rig.clock.advance(2).await;
    lead(&rig.store, &key, rig.ttl(3)).await;
}

/// `CACHE-RELEASE-1`
pub async fn cache_release_1(rig: Caches) {
    let (key, other) = (key(&rig, "q"), key(&rig, "r"));
    let gone = lead(&rig.store, &key, rig.ttl(1)).await;
    rig.clock.advance(1).await;
    assert!(!rig.store.release(&key, gone).await.unwrap(), "it ran out");
    let current = lead(&rig.other, &key, rig.ttl(50)).await;
    assert!(!rig.store.release(&key, gone).await.unwrap(), "it was replaced");
    assert!(!rig.store.release(&key, FlightLease(Uuid::new_v4())).await.unwrap());
    assert!(!rig.store.release(&other, current).await.unwrap(), "it is of another key");
    let answer = rig.store.begin(&key, rig.ttl(50)).await.unwrap();
    assert!(matches!(answer, Flight::Follower(_)), "the successor still leads");
    assert!(rig.store.release(&key, current).await.unwrap());
    assert!(!rig.other.release(&key, current).await.unwrap(), "only once");
}
