//! Cases of the cache's records.

use async_trait::async_trait;
use hexmem_ports::{
    CacheKey, CachePut, CacheStore, CacheStoreExt as _, Digest, Invalidate, PutOutcome, Tenant, Ttl,
};
use serde_json::json;

use super::{Caches, entry, namespace, of_model, ticket};
use crate::records::{self, Subject};

/// Answers under numbered questions, fresh for 5 units and stale for 3.
struct Answers {
    tenant: Tenant,
    fresh: Ttl,
    stale: Ttl,
}

impl Answers {
    fn of(rig: &Caches) -> Self {
        Self { tenant: rig.tenant.clone(), fresh: rig.ttl(5), stale: rig.ttl(3) }
    }

    fn key(&self, n: u32) -> CacheKey {
        CacheKey {
            namespace: namespace(&self.tenant, "n"),
            fingerprint: Digest::of(&n.to_be_bytes()),
        }
    }

    async fn put(&self, store: &dyn CacheStore, n: u32, value: &[u8]) {
        let key = self.key(n);
        let ticket = ticket(store, &key, &of_model("m", &[&format!("tag {}", n % 3)])).await;
        let put = CachePut {
            value: value.to_vec(),
            meta: json!({ "n": n, "cost": 0.25 }),
            ttl: self.fresh,
            stale: Some(self.stale),
            ticket,
        };
        assert_eq!(store.put(&key, put).await.unwrap(), PutOutcome::Stored);
    }
}

#[async_trait]
impl Subject<dyn CacheStore> for Answers {
    async fn create(&self, store: &dyn CacheStore, n: u32) {
        self.put(store, n, &[0, 255, 0]).await;
    }
    async fn change(&self, store: &dyn CacheStore, n: u32) {
        self.put(store, n, b"changed").await;
    }
    async fn delete(&self, store: &dyn CacheStore, n: u32) {
        let key = self.key(n);
        store.invalidate(&key.namespace, Invalidate::Key(key.fingerprint)).await.unwrap();
    }
    async fn read(&self, store: &dyn CacheStore, n: u32) -> Option<String> {
        entry(store, &self.key(n)).await.map(|entry| format!("{entry:?}"))
    }
    fn life(&self) -> Option<u32> {
        Some(8)
    }
}

/// `REC-KIND-1`
pub async fn rec_kind_1(rig: Caches) {
    records::kind_1(rig.clone(), Answers::of(&rig)).await;
}
/// `REC-SCAN-1`
pub async fn rec_scan_1(rig: Caches) {
    records::scan_1(rig.clone(), Answers::of(&rig)).await;
}
/// `REC-SCAN-2`
pub async fn rec_scan_2(rig: Caches) {
    records::scan_2(rig.clone(), Answers::of(&rig)).await;
}
/// `REC-RESTORE-1`
pub async fn rec_restore_1(rig: Caches) {
    records::restore_1(rig.clone(), Answers::of(&rig)).await;
}
/// `REC-RESTORE-2`
pub async fn rec_restore_2(rig: Caches) {
    records::restore_2(rig.clone(), Answers::of(&rig)).await;
}
/// `REC-RESTORE-3`
pub async fn rec_restore_3(rig: Caches) {
    records::restore_3(rig.clone(), Answers::of(&rig)).await;
}
/// `REC-RESTORE-4`
pub async fn rec_restore_4(rig: Caches) {
    records::restore_4(rig.clone(), Answers::of(&rig)).await;
}
