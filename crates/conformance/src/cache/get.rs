//! Cases of looking up.

use hexmem_ports::{
    CACHE_BATCH_LIMIT, CachePut, CacheStore as _, CacheStoreExt as _, ErrorKind, Freshness,
    Invalidate, Lookup, PutOutcome, TAG_LIMIT,
};
use serde_json::json;

use super::{
    CacheKey, CacheTags, Caches, Digest, a_put, entry, key, namespace, of_model, store_value, tag,
    tagged, ticket, value,
};
use crate::{awkward_names, name, other_tenant};

/// `CACHE-GET-1`
pub async fn cache_get_1(rig: Caches) {
    let values: [Vec<u8>; 6] = [
        vec![],
        vec![0],
        b"a\0b\0".to_vec(),
        vec![0xff, 0xfe, 0x00, 0x80],
        vec![7; 8_001],
        (0..1_048_576u32).map(|i| i.to_le_bytes()[1]).collect(),
    ];
    let metas = [
        json!(null),
        json!({}),
        json!([i64::MIN, i64::MAX, 0.1, -1.5e300, true]),
        json!({"": {"a.b": [], "日本": "🦀\u{202e}e\u{301}\n"}}),
        json!("text"),
    ];
    for (n, bytes) in values.iter().enumerate() {
        for (m, meta) in metas.iter().enumerate() {
            let key = key(&rig, &format!("{n} {m}"));
            let ticket = ticket(&rig.store, &key, &tagged(&[])).await;
            let put = CachePut { meta: meta.clone(), ..a_put(&rig, bytes, ticket) };
            assert_eq!(rig.store.put(&key, put).await.unwrap(), PutOutcome::Stored);
            let got = entry(&rig.other, &key).await.expect("it was stored");
            assert!(got.value == *bytes, "{} bytes come back as {}", bytes.len(), got.value.len());
            assert_eq!(&got.meta, meta);
        }
    }
    for name in awkward_names() {
        let namespace = namespace(&rig.tenant, name.as_str());
        let key = CacheKey { namespace, fingerprint: Digest::of(b"q") };
        let tags = CacheTags { model: Some(name.clone()), tags: vec![name.clone()] };
        assert_eq!(value(&rig.store, &key).await, None, "{name:?} is a namespace of its own");
        store_value(&rig, &key, &tags, name.as_str().as_bytes()).await;
    }
    for name in awkward_names() {
        let namespace = namespace(&rig.tenant, name.as_str());
        let key = CacheKey { namespace, fingerprint: Digest::of(b"q") };
        assert_eq!(value(&rig.other, &key).await.as_deref(), Some(name.as_str().as_bytes()));
    }
}

/// `CACHE-GET-2`
pub async fn cache_get_2(rig: Caches) {
    let (with, without) = (key(&rig, "with"), key(&rig, "without"));
    for (key, stale) in [(&with, Some(rig.ttl(3))), (&without, None)] {
        let ticket = ticket(&rig.store, key, &tagged(&[])).await;
        let put = CachePut { ttl: rig.ttl(2), stale, ..a_put(&rig, b"v", ticket) };
        assert_eq!(rig.store.put(key, put).await.unwrap(), PutOutcome::Stored);
    }
    let first = entry(&rig.other, &with).await.expect("it is fresh");
    assert!(first.remaining <= rig.span(5) && first.remaining > rig.span(4));
    let now = rig.clock.now().await;
    assert!(first.stored_at <= now && now.since(first.stored_at) < rig.span(1));
    for unit in 0..6 {
        let expected = match unit {
            0 | 1 => Some(Freshness::Fresh),
            2..=4 => Some(Freshness::Stale),
            _ => None,
        };
        let got = entry(&rig.other, &with).await;
        assert_eq!(got.as_ref().map(|got| got.freshness), expected, "after {unit} units");
        if let Some(got) = got {
            let (fresh, left) = (2u32.saturating_sub(unit), 5 - unit);
            assert!(got.fresh_for <= rig.span(fresh) && got.remaining <= rig.span(left), "{unit}");
            let late = rig.span(1);
            assert!(got.fresh_for + late > rig.span(fresh), "{unit}: {:?}", got.fresh_for);
            assert!(got.remaining + late > rig.span(left), "{unit}: {:?}", got.remaining);
        }
        let got = entry(&rig.store, &without).await;
        let expected = expected.filter(|freshness| *freshness == Freshness::Fresh);
        assert_eq!(got.map(|entry| entry.freshness), expected, "without stale time, {unit}");
        rig.clock.advance(1).await;
    }
}

/// `CACHE-GET-3`
pub async fn cache_get_3(rig: Caches) {
    let mine = key(&rig, "q");
    store_value(&rig, &mine, &tagged(&["a"]), b"mine").await;
    let stranger = namespace(&other_tenant(), "n");
    let elsewhere = namespace(&rig.tenant, "n2");
    for namespace in [stranger, elsewhere] {
        let theirs = CacheKey { namespace, ..mine };
        let found = rig.store.get(&theirs, &tagged(&["a"])).await.unwrap();
        assert!(matches!(found, Lookup::Miss(_)), "{} sees an answer", theirs.namespace);
    }
    let other_question = CacheKey { fingerprint: Digest::of(b"r"), ..mine.clone() };
    assert_eq!(value(&rig.store, &other_question).await, None);
    assert_eq!(value(&rig.store, &mine).await.as_deref(), Some(&b"mine"[..]));
}

/// `CACHE-GET-4`
pub async fn cache_get_4(rig: Caches) {
    let key = key(&rig, "q");
    let ticket = ticket(&rig.store, &key, &tagged(&[])).await;
    let put = CachePut { ttl: rig.ttl(2), stale: Some(rig.ttl(1)), ..a_put(&rig, b"v", ticket) };
    rig.store.put(&key, put).await.unwrap();
    for _ in 0..3 {
        for store in [&rig.store, &rig.other] {
            assert!(entry(store, &key).await.is_some());
        }
        rig.clock.advance(1).await;
    }
    assert_eq!(entry(&rig.store, &key).await, None, "reads did not extend it");
}

/// `CACHE-GET-5`
pub async fn cache_get_5(rig: Caches) {
    let key = key(&rig, "q");
    let most: Vec<_> = (0..TAG_LIMIT).map(|n| name(format!("{n}-{}", "x".repeat(900)))).collect();
    let allowed = CacheTags { model: Some(name("m")), tags: most.clone() };
    store_value(&rig, &key, &allowed, b"v").await;
    assert!(entry(&rig.store, &key).await.is_some());
    let beyond =
        CacheTags { tags: most.into_iter().chain([name("one more")]).collect(), ..allowed };
    let error = rig.store.get(&key, &beyond).await.expect_err("33 tags");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let many = vec![key.fingerprint; CACHE_BATCH_LIMIT + 1];
    let (most, beyond) = (&many[..CACHE_BATCH_LIMIT], &many[..]);
    let found = rig.store.get_many(&key.namespace, most, &tagged(&[])).await.unwrap();
    assert_eq!(found.len(), CACHE_BATCH_LIMIT);
    let error = rig.store.get_many(&key.namespace, beyond, &tagged(&[])).await;
    assert_eq!(error.expect_err("1,001 keys").kind(), ErrorKind::Invalid);
}

/// `CACHE-GET-6`
pub async fn cache_get_6(rig: Caches) {
    let key = key(&rig, "q");
    store_value(&rig, &key, &of_model("m", &["a", "b"]), b"v").await;
    for lookup in [tagged(&[]), tagged(&["c"]), of_model("m2", &["b"])] {
        let found = rig.store.get(&key, &lookup).await.unwrap();
        assert!(matches!(found, Lookup::Hit(..)), "the tags of a lookup are those of its ticket");
    }
    rig.store.invalidate(&key.namespace, Invalidate::Tag(tag("a"))).await.unwrap();
    for lookup in [tagged(&[]), tagged(&["c"]), of_model("m2", &["b"])] {
        let found = rig.other.get(&key, &lookup).await.unwrap();
        assert!(matches!(found, Lookup::Miss(_)), "{lookup:?} finds what its own tag ended");
    }
}

/// `CACHE-GET-7`
pub async fn cache_get_7(rig: Caches) {
    let (a, b, none) = (key(&rig, "a"), key(&rig, "b"), key(&rig, "none"));
    for (key, value) in [(&a, b"a"), (&b, b"b")] {
        store_value(&rig, key, &tagged(&["t"]), value).await;
    }
    let namespace = &a.namespace;
    let asked = [&b, &none, &a, &b].map(|key| key.fingerprint);
    let found = rig.other.get_many(namespace, &asked, &of_model("new", &["new"])).await.unwrap();
    let values: Vec<_> = found
        .iter()
        .map(|found| match found {
            Lookup::Hit(entry, _) => Some(entry.value.as_slice()),
            Lookup::Miss(_) => None,
        })
        .collect();
    assert_eq!(values, [Some(&b"b"[..]), None, Some(b"a"), Some(b"b")]);
    for found in found {
        let (Lookup::Hit(_, ticket) | Lookup::Miss(ticket)) = found;
        let named: Vec<_> = ticket.generations.iter().map(|(tag, _)| tag.clone()).collect();
        assert_eq!(named, of_model("new", &["new"]).refs(), "each ticket covers the tags");
        let outcome = rig.store.put(&none, a_put(&rig, b"v", ticket)).await.unwrap();
        assert_eq!(outcome, PutOutcome::Stored, "and holds");
    }
    assert!(rig.store.get_many(namespace, &[], &tagged(&[])).await.unwrap().is_empty());
}
