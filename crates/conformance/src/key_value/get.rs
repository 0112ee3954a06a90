//! Reading.

use hexmem_ports::{BucketId, ErrorKind, KV_BATCH_LIMIT, KeyValueExt as _, KvSet, Remaining};

use super::{Kv, bucket, entry, put, value, write};
use crate::{name, other_tenant};

/// `KV-GET-1`
pub async fn kv_get_1(rig: Kv) {
    let bucket = bucket(&rig);
    let values: [Vec<u8>; 6] = [
        b"text".to_vec(),
        vec![],
        vec![0, 1, 0],
        vec![0xff, 0xfe, b'a', 0xc3],
        (0..8_001u32).map(|i| u8::try_from(i * 31 % 256).unwrap()).collect(),
        vec![7; 1_048_576],
    ];
    for (i, bytes) in values.iter().enumerate() {
        let key = name(format!("k{i}"));
        let version = put(&*rig.store, &bucket, &key, bytes).await;
        let read = entry(&*rig.other, &bucket, &key).await.expect("it was set");
        assert!(read.value == *bytes, "value {i} comes back as it was set");
        assert_eq!((read.version, read.remaining), (version, None));
    }
}

/// `KV-GET-2`
pub async fn kv_get_2(rig: Kv) {
    let bucket = bucket(&rig);
    assert_eq!(rig.store.get_many(&bucket, &[]).await.unwrap(), []);
    let [a, b, c] = ["a", "b", "c"].map(name);
    assert_eq!(entry(&*rig.store, &bucket, &a).await, None, "of a bucket that is not there");
    put(&*rig.store, &bucket, &c, b"C").await;
    put(&*rig.store, &bucket, &a, b"A").await;
    let asked = [c.clone(), b, a.clone(), c];
    let found = rig.store.get_many(&bucket, &asked).await.unwrap();
    let values: Vec<_> = found.into_iter().map(|entry| entry.map(|entry| entry.value)).collect();
    let some = |text: &str| Some(text.as_bytes().to_vec());
    assert_eq!(values, [some("C"), None, some("A"), some("C")]);
}

/// `KV-GET-3`
pub async fn kv_get_3(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    rig.store.set(&bucket, &key, write(b"v").ttl(rig.ttl(3))).await.unwrap();
    rig.clock.advance(2).await;
    let left = entry(&*rig.store, &bucket, &key).await.expect("still there").remaining;
    assert!(left.is_some_and(|left| left <= rig.span(1)), "{left:?}");
    rig.clock.advance(1).await;
    assert_eq!(entry(&*rig.store, &bucket, &key).await, None);
    assert!(!rig.store.exists(&bucket, &key).await.unwrap());
}

/// `KV-GET-4`
pub async fn kv_get_4(rig: Kv) {
    let (own, key) = (bucket(&rig), name("k"));
    let elsewhere = [
        BucketId::new(other_tenant(), own.name.clone()),
        BucketId::new(rig.tenant.clone(), name("B")),
        BucketId::new(rig.tenant.clone(), name("bk")),
    ];
    put(&*rig.store, &own, &key, b"mine").await;
    for other in &elsewhere {
        assert_eq!(entry(&*rig.store, other, &key).await, None, "{other}");
        assert_eq!(rig.store.remaining(other, &key).await.unwrap(), None);
        put(&*rig.store, other, &key, b"theirs").await;
    }
    assert_eq!(value(&*rig.store, &own, &key).await.as_deref(), Some(b"mine".as_slice()));
}

/// `KV-GET-5`
pub async fn kv_get_5(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    rig.store.set(&bucket, &key, write(b"v").ttl(rig.ttl(3))).await.unwrap();
    for _ in 0..2 {
        rig.clock.advance(1).await;
        assert!(entry(&*rig.store, &bucket, &key).await.is_some());
        assert!(rig.store.exists(&bucket, &key).await.unwrap());
    }
    rig.clock.advance(1).await;
    assert_eq!(entry(&*rig.store, &bucket, &key).await, None);
}

/// `KV-GET-6`
pub async fn kv_get_6(rig: Kv) {
    let bucket = bucket(&rig);
    let most: Vec<_> = (0..KV_BATCH_LIMIT).map(|i| name(format!("k{i}"))).collect();
    let writes = most.iter().map(|key| (key.clone(), KvSet::new(*b"v"))).collect();
    let written = rig.store.set_many(&bucket, writes).await.unwrap();
    assert!(written.len() == KV_BATCH_LIMIT && written.iter().all(Result::is_ok));
    let found = rig.store.get_many(&bucket, &most).await.unwrap();
    assert!(found.len() == KV_BATCH_LIMIT && found.iter().all(Option::is_some));

    let too_many = [most.clone(), vec![name("one more")]].concat();
    let error = rig.store.get_many(&bucket, &too_many).await.expect_err("too many keys to read");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let error = rig.store.delete_many(&bucket, &too_many).await.expect_err("too many to delete");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let writes = too_many.into_iter().map(|key| (key, KvSet::new(*b"w"))).collect();
    let error = rig.store.set_many(&bucket, writes).await.expect_err("too many to write");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(value(&*rig.store, &bucket, &most[0]).await.as_deref(), Some(b"v".as_slice()));
    assert_eq!(rig.store.delete_many(&bucket, &most).await.unwrap(), 10_000);
}

/// `KV-TTL-1`
pub async fn kv_ttl_1(rig: Kv) {
    let bucket = bucket(&rig);
    let [forever, ending, ended, absent] = ["forever", "ending", "ended", "absent"].map(name);
    put(&*rig.store, &bucket, &forever, b"").await;
    rig.store.set(&bucket, &ending, write(b"").ttl(rig.ttl(5))).await.unwrap();
    rig.store.set(&bucket, &ended, write(b"").ttl(rig.ttl(1))).await.unwrap();
    rig.clock.advance(2).await;
    assert_eq!(rig.store.remaining(&bucket, &forever).await.unwrap(), Some(Remaining::Forever));
    let left = rig.store.remaining(&bucket, &ending).await.unwrap();
    let Some(Remaining::For(left)) = left else { panic!("it ends some time: {left:?}") };
    assert!(!left.is_zero() && left <= rig.span(3), "{left:?}");
    assert_eq!(rig.store.remaining(&bucket, &ended).await.unwrap(), None);
    assert_eq!(rig.store.remaining(&bucket, &absent).await.unwrap(), None);
}
