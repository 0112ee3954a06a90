//! Writing.

use std::sync::Arc;

use futures::future::join_all;
use hexmem_ports::{BYTES_LIMIT, ErrorKind, KeyValueExt as _, KvCondition, KvSet, OpId};

use super::{Kv, bucket, entry, put, value, write};
use crate::{awkward_names, name};

/// `KV-SET-1`
pub async fn kv_set_1(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    rig.store.set(&bucket, &key, write(b"first").ttl(rig.ttl(2))).await.unwrap();
    put(&*rig.store, &bucket, &key, b"2").await;
    rig.clock.advance(5).await;
    let kept = entry(&*rig.store, &bucket, &key).await.expect("the time to live is gone");
    assert_eq!((kept.value.as_slice(), kept.remaining), (b"2".as_slice(), None));
    rig.store.set(&bucket, &key, write(b"third").ttl(rig.ttl(2))).await.unwrap();
    rig.clock.advance(1).await;
    assert_eq!(value(&*rig.store, &bucket, &key).await.as_deref(), Some(b"third".as_slice()));
    rig.clock.advance(1).await;
    assert_eq!(entry(&*rig.store, &bucket, &key).await, None, "the new time to live holds");
}

/// `KV-SET-2`
pub async fn kv_set_2(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    let absent = |value: &[u8]| write(value).condition(KvCondition::IfAbsent);
    rig.store.set(&bucket, &key, absent(b"1").ttl(rig.ttl(3))).await.unwrap();
    let before = entry(&*rig.store, &bucket, &key).await;
    let error = rig.store.set(&bucket, &key, absent(b"2")).await.expect_err("it is there");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(entry(&*rig.store, &bucket, &key).await, before, "nothing changed");
    rig.clock.advance(3).await;
    rig.store.set(&bucket, &key, absent(b"3")).await.expect("the entry has expired");
    assert_eq!(value(&*rig.store, &bucket, &key).await.as_deref(), Some(b"3".as_slice()));
    rig.store.delete(&bucket, &key).await.unwrap();
    rig.store.set(&bucket, &key, absent(b"4")).await.expect("the entry was deleted");
}

/// `KV-SET-3`
pub async fn kv_set_3(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    let at = |version, value: &[u8]| write(value).condition(KvCondition::IfVersion(version));
    let absent = rig.store.set(&bucket, &key, at(1, b"x")).await.expect_err("it is absent");
    assert_eq!(absent.kind(), ErrorKind::Conflict);
    assert_eq!(entry(&*rig.store, &bucket, &key).await, None);
    let first = put(&*rig.store, &bucket, &key, b"1").await;
    let second = rig.store.set(&bucket, &key, at(first, b"2")).await.unwrap();
    for version in [first, second + 1, 0, u64::MAX] {
        let error = rig.store.set(&bucket, &key, at(version, b"3")).await.expect_err("another");
        assert_eq!(error.kind(), ErrorKind::Conflict, "version {version}");
    }
    let kept = entry(&*rig.store, &bucket, &key).await.expect("still there");
    assert_eq!((kept.value.as_slice(), kept.version), (b"2".as_slice(), second));
    rig.store.set(&bucket, &key, write(b"4").ttl(rig.ttl(1))).await.unwrap();
    let fourth = entry(&*rig.store, &bucket, &key).await.expect("just written").version;
    rig.clock.advance(1).await;
    let error = rig.store.set(&bucket, &key, at(fourth, b"5")).await.expect_err("it has expired");
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

/// `KV-SET-4`
pub async fn kv_set_4(rig: Kv) {
    let bucket = bucket(&rig);
    let store = |i: u32| Arc::clone(if i.is_multiple_of(2) { &rig.store } else { &rig.other });
    let once = name("once");
    let creates = (0..8).map(|i| {
        let (store, bucket, key) = (store(i), bucket.clone(), once.clone());
        tokio::spawn(async move {
            let request = write(&i.to_be_bytes()).condition(KvCondition::IfAbsent);
            store.set(&bucket, &key, request).await
        })
    });
    let created = join_all(creates).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(created.iter().filter(|result| result.is_ok()).count(), 1, "{created:?}");

    let counted = name("counted");
    put(&*rig.store, &bucket, &counted, &0u64.to_be_bytes()).await;
    let loops = (0..6).map(|i| {
        let (store, bucket, key) = (store(i), bucket.clone(), counted.clone());
        tokio::spawn(async move {
            let mut done = 0;
            for _ in 0..500 {
                let read = entry(&*store, &bucket, &key).await.unwrap();
                let sum = u64::from_be_bytes(read.value.try_into().unwrap()) + 1;
                let condition = KvCondition::IfVersion(read.version);
                match store.set(&bucket, &key, write(&sum.to_be_bytes()).condition(condition)).await
                {
                    Ok(_) => done += 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                }
                if done == 10 {
                    return;
                }
            }
            panic!("no progress: {done} of 10 in 500 rounds");
        })
    });
    for task in join_all(loops).await {
        task.unwrap();
    }
    let sum = value(&*rig.store, &bucket, &counted).await.unwrap();
    assert_eq!(u64::from_be_bytes(sum.try_into().unwrap()), 60, "an update was lost");
}

/// `KV-SET-5`
pub async fn kv_set_5(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    let op = OpId::random();
    let request = KvSet::new(*b"1").condition(KvCondition::IfAbsent).op(op);
    let first = rig.store.set(&bucket, &key, request.clone()).await.unwrap();
    assert_eq!(rig.store.set(&bucket, &key, request.clone()).await.unwrap(), first);
    let later = put(&*rig.store, &bucket, &key, b"2").await;
    rig.clock.advance(1).await;
    assert_eq!(rig.other.set(&bucket, &key, request.clone()).await.unwrap(), first, "a repeat");
    let kept = entry(&*rig.store, &bucket, &key).await.unwrap();
    assert_eq!((kept.value.as_slice(), kept.version), (b"2".as_slice(), later));
    rig.store.delete(&bucket, &key).await.unwrap();
    assert_eq!(rig.store.set(&bucket, &key, request).await.unwrap(), first, "a late repeat");
    assert_eq!(entry(&*rig.store, &bucket, &key).await, None, "nothing was written again");

    // On another key it is another write, and a refusal is not remembered.
    let (other, op) = (name("other"), OpId::random());
    let request = KvSet::new(*b"3").condition(KvCondition::IfAbsent).op(op);
    rig.store.set(&bucket, &other, request.clone()).await.unwrap();
    put(&*rig.store, &bucket, &key, b"4").await;
    rig.store.set(&bucket, &key, request.clone()).await.expect_err("it is there");
    rig.store.delete(&bucket, &key).await.unwrap();
    rig.store.set(&bucket, &key, request).await.expect("it is absent now");
    assert_eq!(value(&*rig.store, &bucket, &key).await.as_deref(), Some(b"3".as_slice()));
}

/// `KV-SET-6`
pub async fn kv_set_6(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    let mut versions = vec![put(&*rig.store, &bucket, &key, b"a").await];
    versions.push(put(&*rig.other, &bucket, &key, b"a").await);
    rig.store.delete(&bucket, &key).await.unwrap();
    versions.push(put(&*rig.store, &bucket, &key, b"a").await);
    for _ in 0..3 {
        versions.push(rig.store.set(&bucket, &key, write(b"a").ttl(rig.ttl(1))).await.unwrap());
    }
    rig.clock.advance(1).await;
    versions.push(rig.store.set(&bucket, &key, write(b"a").ttl(rig.ttl(1))).await.unwrap());
    rig.clock.advance(1).await;
    while rig.store.sweep(super::limit(100)).await.unwrap() > 0 {}
    versions.push(put(&*rig.store, &bucket, &key, b"a").await);
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
    assert_eq!(
        entry(&*rig.store, &bucket, &key).await.map(|e| e.version),
        versions.last().copied()
    );
}

/// `KV-SET-7`
pub async fn kv_set_7(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    put(&*rig.store, &bucket, &key, b"kept").await;
    let large = vec![0; BYTES_LIMIT + 1];
    let error = rig.store.set(&bucket, &key, KvSet::new(large)).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(value(&*rig.store, &bucket, &key).await.as_deref(), Some(b"kept".as_slice()));

    let names = awkward_names();
    for (i, key) in names.iter().enumerate() {
        put(&*rig.store, &bucket, key, format!("value {i}").as_bytes()).await;
    }
    for (i, key) in names.iter().enumerate() {
        let read = value(&*rig.other, &bucket, key).await;
        assert_eq!(read, Some(format!("value {i}").into_bytes()), "{key:?} has its own value");
    }
    let together = rig.store.get_many(&bucket, &names).await.unwrap();
    for (i, found) in together.into_iter().enumerate() {
        assert_eq!(found.map(|e| e.value), Some(format!("value {i}").into_bytes()));
    }
}

/// `KV-SETMANY-1`
pub async fn kv_setmany_1(rig: Kv) {
    let bucket = bucket(&rig);
    assert!(rig.store.set_many(&bucket, vec![]).await.unwrap().is_empty());
    let [a, b, c, d] = ["a", "b", "c", "d"].map(name);
    put(&*rig.store, &bucket, &b, b"old").await;
    let absent = KvCondition::IfAbsent;
    let writes = vec![
        (a.clone(), write(b"A").condition(absent)),
        (b.clone(), write(b"B").condition(absent)),
        (c.clone(), write(&vec![0; BYTES_LIMIT + 1])),
        (d.clone(), write(b"D").ttl(rig.ttl(1))),
    ];
    let answers = rig.store.set_many(&bucket, writes).await.unwrap();
    let kinds: Vec<_> =
        answers.iter().map(|answer| answer.as_ref().err().map(|e| e.kind())).collect();
    assert_eq!(kinds, [None, Some(ErrorKind::AlreadyExists), Some(ErrorKind::Invalid), None]);
    let found = rig.store.get_many(&bucket, &[a, b, c, d.clone()]).await.unwrap();
    let versions: Vec<_> = found.iter().map(|e| e.as_ref().map(|e| e.version)).collect();
    assert_eq!(versions[0], answers[0].as_ref().ok().copied());
    assert_eq!(versions[3], answers[3].as_ref().ok().copied());
    let values: Vec<_> = found.into_iter().map(|e| e.map(|e| e.value)).collect();
    let some = |text: &str| Some(text.as_bytes().to_vec());
    assert_eq!(values, [some("A"), some("old"), None, some("D")]);
    rig.clock.advance(1).await;
    assert_eq!(entry(&*rig.store, &bucket, &d).await, None, "its own time to live");
}

/// `KV-SETMANY-2`
pub async fn kv_setmany_2(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    let writes = (0..5u8).map(|i| (key.clone(), write(&[i]))).collect();
    let answers = rig.store.set_many(&bucket, writes).await.unwrap();
    let versions: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
    let kept = entry(&*rig.store, &bucket, &key).await.unwrap();
    assert_eq!((kept.value, kept.version), (vec![4], versions[4]));
}
