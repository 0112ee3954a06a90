//! Counting.

use std::sync::Arc;

use futures::future::join_all;
use hexmem_ports::{ErrorKind, OpId, Remaining};

use super::{Kv, bucket, entry, put, value};
use crate::name;

/// `KV-INCR-1`
pub async fn kv_incr_1(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    let tasks = (0..8u32).map(|i| {
        let store = Arc::clone(if i.is_multiple_of(2) { &rig.store } else { &rig.other });
        let (bucket, key) = (bucket.clone(), key.clone());
        tokio::spawn(async move {
            for n in 0..10 {
                let by = if n == 0 { -5 } else { 3 };
                store.increment(&bucket, &key, by, None, OpId::random()).await.unwrap();
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(value(&*rig.store, &bucket, &key).await.as_deref(), Some(b"176".as_slice()));
    let sum = rig.store.increment(&bucket, &key, -200, None, OpId::random()).await.unwrap();
    assert_eq!(sum, -24);
    assert_eq!(value(&*rig.store, &bucket, &key).await.as_deref(), Some(b"-24".as_slice()));
}

/// `KV-INCR-2`
pub async fn kv_incr_2(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    let no_numbers = ["", "x", "1.5", " 1", "+1", "01", "-0", "9223372036854775808", "1\0"];
    for text in no_numbers {
        put(&*rig.store, &bucket, &key, text.as_bytes()).await;
        let before = entry(&*rig.store, &bucket, &key).await;
        let error = rig
            .store
            .increment(&bucket, &key, 1, None, OpId::random())
            .await
            .expect_err("the value is no number");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text:?}");
        assert_eq!(entry(&*rig.store, &bucket, &key).await, before, "{text:?} stays");
    }
    for (start, by) in [(i64::MAX, 1), (i64::MIN, -1), (i64::MAX, i64::MAX)] {
        put(&*rig.store, &bucket, &key, start.to_string().as_bytes()).await;
        let error = rig
            .store
            .increment(&bucket, &key, by, None, OpId::random())
            .await
            .expect_err("the sum is too large");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let kept = value(&*rig.store, &bucket, &key).await;
        assert_eq!(kept, Some(start.to_string().into_bytes()));
        let sum = rig.store.increment(&bucket, &key, 0, None, OpId::random()).await.unwrap();
        assert_eq!(sum, start, "integers are exact over i64");
    }
}

/// `KV-INCR-3`
pub async fn kv_incr_3(rig: Kv) {
    let (bucket, key, op) = (bucket(&rig), name("k"), OpId::random());
    assert_eq!(rig.store.increment(&bucket, &key, 2, None, op).await.unwrap(), 2);
    assert_eq!(rig.store.increment(&bucket, &key, 5, None, OpId::random()).await.unwrap(), 7);
    rig.clock.advance(1).await;
    assert_eq!(rig.other.increment(&bucket, &key, 2, None, op).await.unwrap(), 2, "a repeat");
    assert_eq!(value(&*rig.store, &bucket, &key).await.as_deref(), Some(b"7".as_slice()));
}

/// `KV-INCR-4`
pub async fn kv_incr_4(rig: Kv) {
    let (bucket, key) = (bucket(&rig), name("k"));
    let ttl = Some(rig.ttl(3));
    let add = async |by| rig.store.increment(&bucket, &key, by, ttl, OpId::random()).await.unwrap();
    assert_eq!(add(1).await, 1);
    rig.clock.advance(2).await;
    assert_eq!(add(1).await, 2, "it lives");
    let left = rig.store.remaining(&bucket, &key).await.unwrap();
    let Some(Remaining::For(left)) = left else { panic!("it ends some time: {left:?}") };
    assert!(left <= rig.span(1), "counting does not extend: {left:?}");
    rig.clock.advance(1).await;
    assert_eq!(add(1).await, 1, "counting starts anew");
    let left = rig.store.remaining(&bucket, &key).await.unwrap();
    let Some(Remaining::For(left)) = left else { panic!("it ends some time: {left:?}") };
    assert!(left > rig.span(2), "the new one has the time to live: {left:?}");
    rig.store.increment(&bucket, &name("forever"), 1, None, OpId::random()).await.unwrap();
    rig.store.increment(&bucket, &name("forever"), 1, ttl, OpId::random()).await.unwrap();
    let left = rig.store.remaining(&bucket, &name("forever")).await.unwrap();
    assert_eq!(left, Some(Remaining::Forever), "a time to live is set on creation only");
}
