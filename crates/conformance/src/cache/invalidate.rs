//! Cases of invalidation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::join_all;
use hexmem_ports::{
    CacheKey, CacheStore, CacheStoreExt as _, CacheTags, Invalidate, Lookup, PutOutcome, TagRef,
};

use super::{
    Caches, a_put, key, model, namespace, of_model, store_for, store_value, tag, tagged, ticket,
    value,
};
use crate::{awkward_names, other_tenant};

/// `CACHE-INV-1`
pub async fn cache_inv_1(rig: Caches) {
    let entries = [
        ("0", of_model("m1", &["a"])),
        ("1", of_model("m1", &["b"])),
        ("2", of_model("m2", &["a", "b"])),
        // A model and a tag of one name are two things.
        ("3", tagged(&["m1"])),
        ("4", of_model("a", &[])),
        ("5", tagged(&[])),
    ];
    let targets = [
        (Invalidate::Tag(tag("a")), vec!["0", "2"]),
        (Invalidate::Tag(tag("b")), vec!["1", "2"]),
        (Invalidate::Tag(tag("m1")), vec!["3"]),
        (Invalidate::Tag(model("m1")), vec!["0", "1"]),
        (Invalidate::Tag(model("a")), vec!["4"]),
        (Invalidate::Key(key(&rig, "1").fingerprint), vec!["1"]),
        (Invalidate::Tag(TagRef::Namespace), vec!["0", "1", "2", "3", "4", "5"]),
    ];
    for (target, ended) in targets {
        for (question, tags) in &entries {
            store_value(&rig, &key(&rig, question), tags, question.as_bytes()).await;
        }
        rig.other.invalidate(&namespace(&rig.tenant, "n"), target.clone()).await.unwrap();
        for (question, _) in &entries {
            let got = value(&rig.store, &key(&rig, question)).await;
            let expected = (!ended.contains(question)).then(|| question.as_bytes().to_vec());
            assert_eq!(got, expected, "{question} after {target:?}");
        }
    }
    let names = awkward_names();
    for name in &names {
        let tags = CacheTags { model: None, tags: vec![name.clone()] };
        store_value(&rig, &key(&rig, name.as_str()), &tags, b"v").await;
    }
    for (n, name) in names.iter().enumerate() {
        let target = Invalidate::Tag(TagRef::Tag(name.clone()));
        rig.store.invalidate(&namespace(&rig.tenant, "n"), target).await.unwrap();
        assert_eq!(value(&rig.store, &key(&rig, name.as_str())).await, None, "{name:?}");
        if let Some(next) = names.get(n + 1) {
            let left = value(&rig.store, &key(&rig, next.as_str())).await;
            assert!(left.is_some(), "{name:?} took {next:?} with it");
        }
    }
}

/// `CACHE-INV-2`
pub async fn cache_inv_2(rig: Caches) {
    let key = key(&rig, "q");
    let tags = of_model("m", &["a"]);
    let before = ticket(&rig.store, &key, &tags).await;
    rig.store.invalidate(&key.namespace, Invalidate::Tag(tag("a"))).await.unwrap();
    rig.other.put(&key, a_put(&rig, b"0", before)).await.unwrap();
    assert_eq!(value(&rig.store, &key).await, None, "computed before the invalidation");

    // The truth that answers are computed from, and the least of it that may still be served.
    let (truth, floor) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
    let workers = (0..6).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &rig.store } else { &rig.other });
        let (truth, floor) = (Arc::clone(&truth), Arc::clone(&floor));
        let (rig, key, tags) = (rig.clone(), key.clone(), tags.clone());
        tokio::spawn(async move {
            for _ in 0..60 {
                let least = floor.load(Ordering::SeqCst);
                let ticket = match store.get(&key, &tags).await.unwrap() {
                    Lookup::Hit(entry, ticket) => {
                        let value = number(&entry.value);
                        assert!(value >= least, "{value} is served after {least} was invalidated");
                        ticket
                    }
                    Lookup::Miss(ticket) => ticket,
                };
                let value = truth.load(Ordering::SeqCst);
                tokio::task::yield_now().await;
                let put = a_put(&rig, value.to_string().as_bytes(), ticket);
                store.put(&key, put).await.unwrap();
            }
        })
    });
    let invalidator = {
        let (rig, key) = (rig.clone(), key.clone());
        let (truth, floor) = (Arc::clone(&truth), Arc::clone(&floor));
        tokio::spawn(async move {
            for n in 0..40u64 {
                let target = match n % 4 {
                    0 => Invalidate::Tag(tag("a")),
                    1 => Invalidate::Tag(model("m")),
                    2 => Invalidate::Tag(TagRef::Namespace),
                    _ => Invalidate::Key(key.fingerprint),
                };
                let next = truth.fetch_add(1, Ordering::SeqCst) + 1;
                rig.other.invalidate(&key.namespace, target).await.unwrap();
                floor.store(next, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        })
    };
    for done in join_all(workers.chain([invalidator])).await {
        done.unwrap();
    }
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// `CACHE-INV-3`
pub async fn cache_inv_3(rig: Caches) {
    let mine = key(&rig, "q");
    let strangers = [namespace(&other_tenant(), "n"), namespace(&rig.tenant, "n2")]
        .map(|namespace| CacheKey { namespace, ..mine.clone() });
    for key in strangers.iter().chain([&mine]) {
        store_value(&rig, key, &of_model("m", &["a"]), b"v").await;
    }
    let unknown = [tag("nothing has it"), model("nothing has it")].map(Invalidate::Tag);
    for target in unknown.into_iter().chain([Invalidate::Key(key(&rig, "r").fingerprint)]) {
        let ended = rig.store.invalidate(&mine.namespace, target).await.unwrap();
        assert!(matches!(ended, None | Some(0)), "{ended:?}");
    }
    assert!(value(&rig.store, &mine).await.is_some());
    for target in [
        Invalidate::Tag(tag("a")),
        Invalidate::Tag(model("m")),
        Invalidate::Tag(TagRef::Namespace),
        Invalidate::Key(mine.fingerprint),
    ] {
        rig.store.invalidate(&mine.namespace, target.clone()).await.unwrap();
        for key in &strangers {
            assert!(value(&rig.store, key).await.is_some(), "{target:?} of another namespace");
        }
    }
}

/// `CACHE-INV-4`
pub async fn cache_inv_4(rig: Caches) {
    let count = async |store: &Arc<dyn CacheStore>, target| {
        store.invalidate(&namespace(&rig.tenant, "n"), target).await.unwrap()
    };
    for (question, tags, units) in [
        ("0", tagged(&["a"]), 100),
        ("1", tagged(&["a", "b"]), 100),
        ("2", of_model("m", &["a"]), 100),
        ("3", tagged(&["a"]), 1),
        ("4", tagged(&["a", "c"]), 100),
        ("5", tagged(&["d"]), 100),
    ] {
        store_for(&rig, &key(&rig, question), &tags, b"v", units).await;
    }
    let before = ticket(&rig.store, &key(&rig, "6"), &tagged(&["a"])).await;
    rig.clock.advance(1).await;
    assert_eq!(count(&rig.store, Invalidate::Tag(tag("c"))).await, Some(1));
    assert_eq!(count(&rig.other, Invalidate::Tag(tag("a"))).await, Some(3), "the live ones");
    assert_eq!(count(&rig.store, Invalidate::Tag(tag("a"))).await, Some(0));
    let outcome = rig.store.put(&key(&rig, "6"), a_put(&rig, b"v", before)).await.unwrap();
    assert_eq!(outcome, PutOutcome::Outdated);
    let five = Invalidate::Key(key(&rig, "5").fingerprint);
    assert_eq!(count(&rig.store, five.clone()).await, Some(1));
    assert_eq!(count(&rig.store, five).await, Some(0));
    store_value(&rig, &key(&rig, "7"), &tagged(&[]), b"v").await;
    assert_eq!(count(&rig.store, Invalidate::Tag(TagRef::Namespace)).await, Some(1));
}
