//! Removing, ending and sweeping.

use hexmem_ports::{BucketId, ErrorKind, KeyValueExt as _, Remaining};

use super::{Kv, bucket, entry, limit, put, value, write};
use crate::{name, other_tenant};

/// `KV-DELETE-1`
pub async fn kv_delete_1(rig: Kv) {
    let bucket = bucket(&rig);
    let [a, b, c] = ["a", "b", "c"].map(name);
    assert_eq!(rig.store.delete_many(&bucket, &[]).await.unwrap(), 0);
    assert_eq!(rig.store.delete_many(&bucket, std::slice::from_ref(&a)).await.unwrap(), 0);
    for key in [&a, &b, &c] {
        put(&*rig.store, &bucket, key, b"v").await;
    }
    let some = [a.clone(), name("absent"), b.clone(), a.clone()];
    assert_eq!(rig.store.delete_many(&bucket, &some).await.unwrap(), 2, "each counts once");
    assert_eq!(rig.store.delete_many(&bucket, &some).await.unwrap(), 0);
    assert_eq!(entry(&*rig.other, &bucket, &a).await, None);
    assert_eq!(rig.store.remaining(&bucket, &b).await.unwrap(), None);
    assert_eq!(value(&*rig.store, &bucket, &c).await.as_deref(), Some(b"v".as_slice()));
}

/// `KV-DELETE-2`
pub async fn kv_delete_2(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    rig.store.set(&bucket, &key, write(b"v").ttl(rig.ttl(1))).await.unwrap();
    rig.clock.advance(1).await;
    assert_eq!(rig.store.delete_many(&bucket, &[key]).await.unwrap(), 0);
}

/// `KV-DELETE-3`
pub async fn kv_delete_3(rig: Kv) {
    let (own, key) = (bucket(&rig), name("k"));
    let others = [
        BucketId::new(other_tenant(), own.name.clone()),
        BucketId::new(rig.tenant.clone(), name("other")),
    ];
    for bucket in others.iter().chain([&own]) {
        put(&*rig.store, bucket, &key, b"v").await;
    }
    assert_eq!(rig.store.delete_many(&own, std::slice::from_ref(&key)).await.unwrap(), 1);
    for bucket in &others {
        assert!(rig.store.exists(bucket, &key).await.unwrap(), "{bucket} keeps its own");
    }
}

/// `KV-DELETEIF-1`
pub async fn kv_deleteif_1(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    assert!(!rig.store.delete_if(&bucket, &key, 1).await.unwrap());
    let first = put(&*rig.store, &bucket, &key, b"1").await;
    let second = put(&*rig.store, &bucket, &key, b"2").await;
    let error = rig.store.delete_if(&bucket, &key, first).await.expect_err("it has changed");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(value(&*rig.store, &bucket, &key).await.as_deref(), Some(b"2".as_slice()));
    assert!(rig.store.delete_if(&bucket, &key, second).await.unwrap());
    assert!(!rig.store.delete_if(&bucket, &key, second).await.unwrap());
    assert_eq!(entry(&*rig.store, &bucket, &key).await, None);
    let third = rig.store.set(&bucket, &key, write(b"3").ttl(rig.ttl(1))).await.unwrap();
    rig.clock.advance(1).await;
    assert!(!rig.store.delete_if(&bucket, &key, third).await.unwrap(), "it has expired");
}

/// `KV-EXPIRE-1`
pub async fn kv_expire_1(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    let mut versions = vec![put(&*rig.store, &bucket, &key, b"v").await];
    for (ttl, most) in [(Some(9), Some(9)), (Some(2), Some(2)), (Some(5), Some(5)), (None, None)] {
        let ttl = ttl.map(|units| rig.ttl(units));
        assert!(rig.store.expire(&bucket, &key, ttl).await.unwrap());
        let read = entry(&*rig.store, &bucket, &key).await.expect("it lives");
        assert_eq!(read.value, b"v");
        versions.push(read.version);
        match (rig.store.remaining(&bucket, &key).await.unwrap(), most) {
            (Some(Remaining::Forever), None) => {}
            (Some(Remaining::For(left)), Some(most)) => {
                assert!(left > rig.span(most - 1) && left <= rig.span(most), "{left:?}");
            }
            (left, most) => panic!("{left:?} instead of {most:?} units"),
        }
    }
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "the version grows: {versions:?}");
    rig.clock.advance(20).await;
    assert!(rig.store.expire(&bucket, &key, Some(rig.ttl(2))).await.unwrap());
    rig.clock.advance(2).await;
    assert_eq!(entry(&*rig.store, &bucket, &key).await, None);
}

/// `KV-EXPIRE-2`
pub async fn kv_expire_2(rig: Kv) {
    let bucket = bucket(&rig);
    let [absent, expired, deleted] = ["absent", "expired", "deleted"].map(name);
    rig.store.set(&bucket, &expired, write(b"v").ttl(rig.ttl(1))).await.unwrap();
    put(&*rig.store, &bucket, &deleted, b"v").await;
    rig.store.delete(&bucket, &deleted).await.unwrap();
    rig.clock.advance(1).await;
    for key in [absent, expired, deleted] {
        for ttl in [Some(rig.ttl(5)), None] {
            assert!(!rig.store.expire(&bucket, &key, ttl).await.unwrap(), "{key}");
            assert_eq!(entry(&*rig.store, &bucket, &key).await, None, "{key} is not revived");
        }
    }
}

/// `KV-SWEEP-1`
pub async fn kv_sweep_1(rig: Kv) {
    let bucket = bucket(&rig);
    for i in 0..25 {
        let request = write(b"v").ttl(rig.ttl(1));
        rig.store.set(&bucket, &name(format!("dead {i}")), request).await.unwrap();
        let request = write(b"v").ttl(rig.ttl(100));
        rig.store.set(&bucket, &name(format!("late {i}")), request).await.unwrap();
        put(&*rig.store, &bucket, &name(format!("kept {i}")), b"v").await;
    }
    // One that was about to end lives on.
    rig.store.expire(&bucket, &name("dead 0"), None).await.unwrap();
    rig.clock.advance(1).await;
    let mut freed = 0;
    loop {
        let some = rig.store.sweep(limit(10)).await.unwrap();
        assert!(some <= 10, "the limit holds");
        freed += some;
        if some == 0 {
            break;
        }
    }
    // Other cases may share the store, and have what can be freed.
    assert!(freed >= 24, "{freed}");
    assert_eq!(super::keys(&*rig.store, &bucket, "dead", 100).await, [name("dead 0")]);
    assert_eq!(super::keys(&*rig.store, &bucket, "late", 100).await.len(), 25);
    assert_eq!(super::keys(&*rig.store, &bucket, "kept", 100).await.len(), 25);
    for i in 0..25 {
        assert!(rig.store.exists(&bucket, &name(format!("kept {i}"))).await.unwrap());
        let key = name(format!("dead {i}"));
        assert_eq!(rig.store.exists(&bucket, &key).await.unwrap(), i == 0, "{key}");
    }
}
