//! Cases of the records of keys and values.

use async_trait::async_trait;
use hexmem_ports::{BucketId, KeyValueExt as _, KeyValueStore, Name, Ttl};

use super::{Kv, bucket, entry, write};
use crate::name;
use crate::records::{self, Subject};

/// Numbered keys, in two buckets, that live for 9 units.
struct Entries {
    bucket: BucketId,
    ttl: Ttl,
}

impl Entries {
    fn of(rig: &Kv) -> Self {
        Self { bucket: bucket(rig), ttl: rig.ttl(9) }
    }

    fn place(&self, n: u32) -> (BucketId, Name) {
        let mut bucket = self.bucket.clone();
        if n % 2 == 1 {
            bucket.name = name("another");
        }
        (bucket, name(format!("key/{n}")))
    }

    async fn set(&self, store: &dyn KeyValueStore, n: u32, value: &[u8]) {
        let (bucket, key) = self.place(n);
        store.set(&bucket, &key, write(value).ttl(self.ttl)).await.unwrap();
    }
}

#[async_trait]
impl Subject<dyn KeyValueStore> for Entries {
    async fn create(&self, store: &dyn KeyValueStore, n: u32) {
        self.set(store, n, &[0, 255, b'a']).await;
    }
    async fn change(&self, store: &dyn KeyValueStore, n: u32) {
        self.set(store, n, b"changed").await;
    }
    async fn delete(&self, store: &dyn KeyValueStore, n: u32) {
        let (bucket, key) = self.place(n);
        assert!(store.delete(&bucket, &key).await.unwrap());
    }
    async fn read(&self, store: &dyn KeyValueStore, n: u32) -> Option<String> {
        let (bucket, key) = self.place(n);
        entry(store, &bucket, &key).await.map(|entry| format!("{entry:?}"))
    }
    fn life(&self) -> Option<u32> {
        Some(9)
    }
}

/// `REC-KIND-1`
pub async fn rec_kind_1(rig: Kv) {
    let entries = Entries::of(&rig);
    records::kind_1(rig, entries).await;
}

/// `REC-SCAN-1`
pub async fn rec_scan_1(rig: Kv) {
    let entries = Entries::of(&rig);
    records::scan_1(rig, entries).await;
}

/// `REC-SCAN-2`
pub async fn rec_scan_2(rig: Kv) {
    let entries = Entries::of(&rig);
    records::scan_2(rig, entries).await;
}

/// `REC-RESTORE-1`
pub async fn rec_restore_1(rig: Kv) {
    let entries = Entries::of(&rig);
    records::restore_1(rig, entries).await;
}

/// `REC-RESTORE-2`
pub async fn rec_restore_2(rig: Kv) {
    let entries = Entries::of(&rig);
    records::restore_2(rig, entries).await;
}

/// `REC-RESTORE-3`
pub async fn rec_restore_3(rig: Kv) {
    let entries = Entries::of(&rig);
    records::restore_3(rig, entries).await;
}

/// `REC-RESTORE-4`
pub async fn rec_restore_4(rig: Kv) {
    let entries = Entries::of(&rig);
    records::restore_4(rig, entries).await;
}
