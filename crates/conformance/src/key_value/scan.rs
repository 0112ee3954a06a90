//! Listing.

use std::collections::BTreeMap;

use hexmem_ports::{BucketId, Cursor, ErrorKind, KV_PAGE_BYTES, KeyValueExt as _, Prefix};

use super::{Kv, bucket, keys, limit, put, write};
use crate::{awkward_names, name, other_tenant};

/// `KV-SCAN-1`
pub async fn kv_scan_1(rig: Kv) {
    let bucket = bucket(&rig);
    assert_eq!(keys(&*rig.store, &bucket, "", 10).await, [], "of a bucket that is not there");
    for i in 0..40 {
        put(&*rig.store, &bucket, &name(format!("stays {i:02}")), b"v").await;
        put(&*rig.store, &bucket, &name(format!("goes {i:02}")), b"v").await;
    }
    let (mut seen, mut cursor, mut round) = (BTreeMap::<_, u32>::new(), None, 0);
    loop {
        let page = rig.store.scan(&bucket, &Prefix::default(), cursor, limit(7)).await.unwrap();
        assert!(page.items.len() <= 7, "the limit holds");
        for (key, entry) in page.items {
            assert!(!entry.value.is_empty());
            *seen.entry(key).or_default() += 1;
        }
        rig.other.delete(&bucket, &name(format!("goes {round:02}"))).await.unwrap();
        put(&*rig.other, &bucket, &name(format!("new {round:02}")), b"v").await;
        put(&*rig.other, &bucket, &name(format!("stays {round:02}")), b"changed").await;
        round += 1;
        assert!(round < 1_000, "the scan does not end");
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(seen.values().all(|times| *times == 1), "no key twice: {seen:?}");
    for i in 0..40 {
        assert!(seen.contains_key(&name(format!("stays {i:02}"))), "{i} was there throughout");
    }

    // Large values end a page before its limit, and none is lost.
    let large = BucketId::new(rig.tenant.clone(), name("large"));
    for i in 0..5 {
        put(&*rig.store, &large, &name(format!("{i}")), &vec![1; KV_PAGE_BYTES / 2]).await;
    }
    let first = rig.store.scan(&large, &Prefix::default(), None, limit(100)).await.unwrap();
    assert_eq!((first.items.len(), first.next.is_some()), (2, true));
    assert_eq!(keys(&*rig.store, &large, "", 100).await.len(), 5);
}

/// `KV-SCAN-2`
pub async fn kv_scan_2(rig: Kv) {
    let bucket = bucket(&rig);
    let mut names = awkward_names();
    names.extend(["%b", "_b", "*b", "[a]b", "\\b", "ab", "\u{10ffff}\u{10ffff}"].map(name));
    for key in &names {
        put(&*rig.store, &bucket, key, b"v").await;
    }
    for prefix in ["", "%", "_", "*", "[", "[a]", "\\", "'", "a", "é", "e", "日", "\u{10ffff}", "x"]
    {
        let mut found = keys(&*rig.store, &bucket, prefix, 4).await;
        found.sort();
        let mut expected: Vec<_> =
            names.iter().filter(|key| key.as_str().starts_with(prefix)).cloned().collect();
        expected.sort();
        assert_eq!(found, expected, "prefix {prefix:?}");
    }
}

/// `KV-SCAN-3`
pub async fn kv_scan_3(rig: Kv) {
    let bucket = bucket(&rig);
    for key in awkward_names().iter().rev() {
        put(&*rig.store, &bucket, key, b"v").await;
    }
    let found = keys(&*rig.store, &bucket, "", 5).await;
    let mut expected = awkward_names();
    expected.sort_by(|a, b| a.as_str().as_bytes().cmp(b.as_str().as_bytes()));
    assert_eq!(found, expected);
}

/// `KV-SCAN-4`
pub async fn kv_scan_4(rig: Kv) {
    let own = bucket(&rig);
    let others = [
        BucketId::new(other_tenant(), own.name.clone()),
        BucketId::new(rig.tenant.clone(), name("other")),
    ];
    for bucket in &others {
        put(&*rig.store, bucket, &name("theirs"), b"v").await;
    }
    put(&*rig.store, &own, &name("mine"), b"v").await;
    put(&*rig.store, &own, &name("deleted"), b"v").await;
    rig.store.delete(&own, &name("deleted")).await.unwrap();
    rig.store.set(&own, &name("expired"), write(b"v").ttl(rig.ttl(1))).await.unwrap();
    rig.clock.advance(1).await;
    assert_eq!(keys(&*rig.store, &own, "", 10).await, [name("mine")]);
}

/// `KV-SCAN-5`
pub async fn kv_scan_5(rig: Kv) {
    let bucket = bucket(&rig);
    for i in 0..5 {
        put(&*rig.store, &bucket, &name(format!("a{i}")), b"v").await;
    }
    let prefix = Prefix::new("a").unwrap();
    for text in ["", "x", "0", "kv.", "kv.zz", "kv.00", "a0", "' OR 1=1 --", "日本"] {
        let cursor = Some(Cursor(text.into()));
        let error = rig.store.scan(&bucket, &prefix, cursor, limit(2)).await.expect_err("foreign");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text:?}");
    }
    let page = rig.store.scan(&bucket, &prefix, None, limit(2)).await.unwrap();
    assert!(page.next.is_some());
    rig.store.scan(&bucket, &prefix, page.next, limit(2)).await.expect("its own cursor");
}
