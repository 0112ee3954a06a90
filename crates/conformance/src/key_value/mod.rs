//! Cases of keys and values.

mod broken;
mod count;
mod delete;
mod get;
mod records;
mod scan;
mod set;

use hexmem_ports::{BucketId, KeyValueExt as _, KeyValueStore, KvEntry, KvSet, Limit, Name, OpId};

use crate::{Rig, name};

pub use broken::broken;
pub use count::*;
pub use delete::*;
pub use get::*;
pub use records::*;
pub use scan::*;
pub use set::*;

/// Registers the cases of keys and values: `key_value_suite!(rig)`, or `key_value_suite!(rig, broken)` for the
/// doubles.
#[macro_export]
macro_rules! key_value_suite {
    ($make:path) => {
        $crate::key_value_suite!(@ [] $make);
    };
    ($make:path, broken) => {
        $crate::key_value_suite!(@ [broken] $make);
    };
    ($make:path, together) => {
        $crate::key_value_suite!(@ [together] $make);
    };
    (@ [$($mode:ident)?] $make:path) => {
        $crate::suite!([$($mode)?] key_value, $make;
            kv_get_1, kv_get_2, kv_get_3, kv_get_4, kv_get_5, kv_get_6,
            kv_set_1, kv_set_2, kv_set_3, kv_set_4, kv_set_5, kv_set_6, kv_set_7,
            kv_setmany_1, kv_setmany_2,
            kv_delete_1, kv_delete_2, kv_delete_3, kv_deleteif_1,
            kv_expire_1, kv_expire_2, kv_ttl_1,
            kv_incr_1, kv_incr_2, kv_incr_3, kv_incr_4,
            kv_scan_1, kv_scan_2, kv_scan_3: [OrderedScan], kv_scan_4, kv_scan_5,
            kv_sweep_1,
            rec_kind_1: [Records], rec_scan_1: [Records], rec_scan_2: [Records],
            rec_restore_1: [Records], rec_restore_2: [Records], rec_restore_3: [Records],
            rec_restore_4: [Records],
        );
    };
}

type Kv = Rig<dyn KeyValueStore>;

fn bucket(rig: &Kv) -> BucketId {
    BucketId::new(rig.tenant.clone(), name("b"))
}

fn limit(rows: u32) -> Limit {
    Limit::new(rows).unwrap()
}

/// A write with its own key of idempotence.
fn write(value: &[u8]) -> KvSet {
    KvSet::new(value).op(OpId::random())
}

async fn put(store: &dyn KeyValueStore, bucket: &BucketId, key: &Name, value: &[u8]) -> u64 {
    store.set(bucket, key, write(value)).await.unwrap()
}

async fn entry(store: &dyn KeyValueStore, bucket: &BucketId, key: &Name) -> Option<KvEntry> {
    store.get(bucket, key).await.unwrap()
}

async fn value(store: &dyn KeyValueStore, bucket: &BucketId, key: &Name) -> Option<Vec<u8>> {
    entry(store, bucket, key).await.map(|entry| entry.value)
}

/// All keys of a scan, by pages of `rows`.
async fn keys(store: &dyn KeyValueStore, bucket: &BucketId, prefix: &str, rows: u32) -> Vec<Name> {
    let prefix = hexmem_ports::Prefix::new(prefix).unwrap();
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.scan(bucket, &prefix, cursor, limit(rows)).await.unwrap();
        assert!(page.items.len() <= rows as usize, "the limit holds");
        all.extend(page.items.into_iter().map(|(key, _)| key));
        assert!(all.len() < 100_000, "the scan does not end");
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}
