//! Cases of the cache.

mod broken;
mod count;
mod flight;
mod get;
mod invalidate;
mod put;
mod records;
mod space;

use hexmem_ports::{
    CacheEntry, CacheKey, CachePut, CacheStore, CacheStoreExt as _, CacheTags, Digest, Lookup,
    NamespaceId, PutOutcome, TagRef, Tenant, Ticket,
};
use serde_json::json;

use crate::{Rig, name};

pub use broken::broken;
pub use count::*;
pub use flight::*;
pub use get::*;
pub use invalidate::*;
pub use put::*;
pub use records::*;
pub use space::*;

/// Registers the cases of the cache: `cache_suite!(rig)`, or `cache_suite!(rig, broken)` for the doubles.
#[macro_export]
macro_rules! cache_suite {
    ($make:path) => {
        $crate::cache_suite!(@ [] $make);
    };
    ($make:path, broken) => {
        $crate::cache_suite!(@ [broken] $make);
    };
    (@ [$($mode:ident)?] $make:path) => {
        $crate::suite!([$($mode)?] cache, $make;
            cache_get_1, cache_get_2, cache_get_3, cache_get_4, cache_get_5, cache_get_6, cache_get_7,
            cache_put_1, cache_put_2, cache_put_3, cache_put_4, cache_put_5,
            cache_inv_1, cache_inv_2, cache_inv_3, cache_inv_4: [ExactCounts],
            cache_flight_1, cache_flight_2, cache_release_1,
            cache_count_1, cache_count_2, cache_count_3,
            cache_stats_1, cache_stats_2, cache_break_1, cache_sweep_1,
            rec_kind_1: [Records], rec_scan_1: [Records], rec_scan_2: [Records],
            rec_restore_1: [Records], rec_restore_2: [Records], rec_restore_3: [Records],
            rec_restore_4: [Records],
        );
    };
}

type Caches = Rig<dyn CacheStore>;

fn namespace(tenant: &Tenant, text: &str) -> NamespaceId {
    NamespaceId::new(tenant.clone(), name(text))
}

/// The key of `question` in the namespace `n`.
fn key(rig: &Caches, question: &str) -> CacheKey {
    CacheKey {
        namespace: namespace(&rig.tenant, "n"),
        fingerprint: Digest::of(question.as_bytes()),
    }
}

fn tagged(tags: &[&str]) -> CacheTags {
    CacheTags { model: None, tags: tags.iter().map(|tag| name(*tag)).collect() }
}

fn of_model(model: &str, tags: &[&str]) -> CacheTags {
    CacheTags { model: Some(name(model)), ..tagged(tags) }
}

fn tag(text: &str) -> TagRef {
    TagRef::Tag(name(text))
}

fn model(text: &str) -> TagRef {
    TagRef::Model(name(text))
}

async fn ticket(store: &dyn CacheStore, key: &CacheKey, tags: &CacheTags) -> Ticket {
    match store.get(key, tags).await.unwrap() {
        Lookup::Hit(_, ticket) | Lookup::Miss(ticket) => ticket,
    }
}

/// A put of `value` that lives 100 units and has no stale time.
fn a_put(rig: &Caches, value: &[u8], ticket: Ticket) -> CachePut {
    let value = value.to_vec();
    CachePut { value, meta: json!({"tokens": 7}), ttl: rig.ttl(100), stale: None, ticket }
}

/// Looks up and puts.
async fn store_value(rig: &Caches, key: &CacheKey, tags: &CacheTags, value: &[u8]) {
    store_for(rig, key, tags, value, 100).await;
}

/// Looks up and puts what lives `units`.
async fn store_for(rig: &Caches, key: &CacheKey, tags: &CacheTags, value: &[u8], units: u32) {
    let ticket = ticket(&rig.store, key, tags).await;
    let put = CachePut { ttl: rig.ttl(units), ..a_put(rig, value, ticket) };
    assert_eq!(rig.store.put(key, put).await.unwrap(), PutOutcome::Stored);
}

/// The entry that a silent lookup without tags finds.
async fn entry(store: &dyn CacheStore, key: &CacheKey) -> Option<CacheEntry> {
    match store.get(key, &CacheTags::default()).await.unwrap() {
        Lookup::Hit(entry, _) => Some(entry),
        Lookup::Miss(_) => None,
    }
}

async fn value(store: &dyn CacheStore, key: &CacheKey) -> Option<Vec<u8>> {
    entry(store, key).await.map(|entry| entry.value)
}
