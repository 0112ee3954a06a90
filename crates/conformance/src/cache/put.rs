//! Cases of storing.

use hexmem_ports::{
    BYTES_LIMIT, CACHE_BATCH_LIMIT, CacheKey, CachePut, CacheStore as _, CacheStoreExt as _,
    ErrorKind, Invalidate, Lookup, PutOutcome, REPLAY_WINDOW, TagRef, Ticket,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Caches, a_put, entry, key, model, namespace, of_model, store_value, tag, tagged, ticket, value,
};

/// `CACHE-PUT-1`
pub async fn cache_put_1(rig: Caches) {
    let key = key(&rig, "q");
    let tags = of_model("m", &["b", "a", "a"]);
    let given = ticket(&rig.store, &key, &tags).await;
    let mut named: Vec<_> = given.generations.iter().map(|(tag, _)| tag.clone()).collect();
    named.sort();
    assert_eq!(named, tags.refs(), "the ticket covers the tags of the lookup");
    let outcome = rig.store.put(&key, a_put(&rig, b"first", given)).await.unwrap();
    assert_eq!(outcome, PutOutcome::Stored);
    assert_eq!(value(&rig.other, &key).await.as_deref(), Some(&b"first"[..]));
    // The ticket of a hit replaces it, with the tags of that lookup.
    let Lookup::Hit(_, given) = rig.other.get(&key, &tagged(&["c"])).await.unwrap() else {
        panic!("it was stored");
    };
    let put = CachePut { meta: Value::Null, ttl: rig.ttl(5), ..a_put(&rig, b"second", given) };
    assert_eq!(rig.other.put(&key, put).await.unwrap(), PutOutcome::Stored);
    let got = entry(&rig.store, &key).await.unwrap();
    assert_eq!((got.value.as_slice(), &got.meta), (&b"second"[..], &Value::Null));
    assert!(got.remaining <= rig.span(5));
    rig.store.invalidate(&key.namespace, Invalidate::Tag(tag("a"))).await.unwrap();
    assert!(entry(&rig.store, &key).await.is_some(), "the first answer's tags do not bind it");
    rig.store.invalidate(&key.namespace, Invalidate::Tag(tag("c"))).await.unwrap();
    assert!(entry(&rig.store, &key).await.is_none());
}

/// `CACHE-PUT-2`
pub async fn cache_put_2(rig: Caches) {
    let tags = of_model("m", &["a", "b"]);
    for (n, target) in ["a tag", "the model", "the namespace", "the key"].into_iter().enumerate() {
        let key = key(&rig, &n.to_string());
        let target = match target {
            "a tag" => Invalidate::Tag(tag("a")),
            "the model" => Invalidate::Tag(model("m")),
            "the namespace" => Invalidate::Tag(TagRef::Namespace),
            _ => Invalidate::Key(key.fingerprint),
        };
        let old = ticket(&rig.store, &key, &tags).await;
        rig.other.invalidate(&key.namespace, target.clone()).await.unwrap();
        let outcome = rig.store.put(&key, a_put(&rig, b"old", old.clone())).await.unwrap();
        assert_eq!(outcome, PutOutcome::Outdated, "{target:?}");
        assert_eq!(value(&rig.store, &key).await, None, "{target:?}");
        store_value(&rig, &key, &tags, b"new").await;
        let outcome = rig.other.put(&key, a_put(&rig, b"old", old)).await.unwrap();
        assert_eq!(outcome, PutOutcome::Outdated, "{target:?}");
        assert_eq!(value(&rig.other, &key).await.as_deref(), Some(&b"new"[..]), "{target:?}");
    }
    // Twice by key: only the last generation holds.
    let key = key(&rig, "twice");
    let (first, invalidate) =
        (ticket(&rig.store, &key, &tags).await, Invalidate::Key(key.fingerprint));
    rig.store.invalidate(&key.namespace, invalidate.clone()).await.unwrap();
    let second = ticket(&rig.store, &key, &tags).await;
    rig.store.invalidate(&key.namespace, invalidate).await.unwrap();
    for ticket in [first, second] {
        let outcome = rig.store.put(&key, a_put(&rig, b"old", ticket)).await.unwrap();
        assert_eq!(outcome, PutOutcome::Outdated);
    }
    store_value(&rig, &key, &tags, b"new").await;
}

/// `CACHE-PUT-3`
pub async fn cache_put_3(rig: Caches) {
    let key = key(&rig, "q");
    let tags = of_model("m", &["a"]);
    let good = ticket(&rig.store, &key, &tags).await;
    let with = |change: &dyn Fn(&mut Ticket)| {
        let mut ticket = good.clone();
        change(&mut ticket);
        ticket
    };
    let elsewhere = CacheKey { namespace: namespace(&rig.tenant, "n2"), ..key.clone() };
    let forged = [
        with(&|ticket| ticket.generations.iter_mut().for_each(|(_, g)| *g = Uuid::new_v4())),
        with(&|ticket| ticket.generations.last_mut().unwrap().1 = Uuid::new_v4()),
        with(&|ticket| ticket.generations.last_mut().unwrap().1 = Uuid::nil()),
        with(&|ticket| ticket.generations.clear()),
        with(&|ticket| ticket.generations.retain(|(tag, _)| *tag != TagRef::Namespace)),
        with(&|ticket| ticket.generations.push((tag("never seen"), Uuid::new_v4()))),
        with(&|ticket| ticket.issued_at = ticket.issued_at.minus(REPLAY_WINDOW)),
        ticket(&rig.store, &elsewhere, &tags).await,
    ];
    for ticket in forged {
        let outcome = rig.store.put(&key, a_put(&rig, b"v", ticket.clone())).await.unwrap();
        assert_eq!(outcome, PutOutcome::Outdated, "{ticket:?}");
        assert_eq!(value(&rig.store, &key).await, None);
    }
    let outcome = rig.store.put(&key, a_put(&rig, b"v", good)).await.unwrap();
    assert_eq!(outcome, PutOutcome::Stored);
}

/// `CACHE-PUT-4`
pub async fn cache_put_4(rig: Caches) {
    let key = key(&rig, "q");
    store_value(&rig, &key, &tagged(&["a"]), b"before").await;
    let ticket = ticket(&rig.store, &key, &tagged(&["a"])).await;
    let good = a_put(&rig, b"after", ticket);
    let deep = (0..80).fold(json!(1), |inner, _| json!([inner]));
    let metas = [json!("a\0b"), json!({"a\0": 1}), json!(u64::MAX), deep];
    let mut bad: Vec<_> = metas.into_iter().map(|meta| CachePut { meta, ..good.clone() }).collect();
    bad.push(CachePut { value: vec![1; BYTES_LIMIT + 1], ..good.clone() });
    let mut crowded = good.clone();
    crowded.ticket.generations = (0..100).map(|n| (tag(&n.to_string()), Uuid::new_v4())).collect();
    bad.push(crowded);
    for put in bad {
        let what = put.meta.to_string();
        let error = rig.store.put(&key, put).await.expect_err(&what);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{what}");
        assert_eq!(value(&rig.other, &key).await.as_deref(), Some(&b"before"[..]), "{what}");
    }
    assert_eq!(rig.store.put(&key, good).await.unwrap(), PutOutcome::Stored);
}

/// `CACHE-PUT-5`
pub async fn cache_put_5(rig: Caches) {
    let tags = tagged(&["a"]);
    let (old, one, two) = (key(&rig, "old"), key(&rig, "one"), key(&rig, "two"));
    let namespace = &old.namespace;
    let outdated = ticket(&rig.store, &old, &tagged(&["b"])).await;
    rig.store.invalidate(namespace, Invalidate::Tag(tag("b"))).await.unwrap();
    let current = ticket(&rig.store, &one, &tags).await;
    let put = |key: &CacheKey, value: &[u8], ticket: &Ticket| {
        (key.fingerprint, a_put(&rig, value, ticket.clone()))
    };
    let puts = vec![
        put(&one, b"first", &current),
        put(&old, b"old", &outdated),
        put(&two, b"two", &current),
        put(&one, b"last", &current),
    ];
    let outcomes = rig.store.put_many(namespace, puts).await.unwrap();
    let (stored, outdated) = (PutOutcome::Stored, PutOutcome::Outdated);
    assert_eq!(outcomes, [stored, outdated, stored, stored]);
    assert_eq!(value(&rig.other, &one).await.as_deref(), Some(&b"last"[..]));
    assert_eq!(value(&rig.other, &two).await.as_deref(), Some(&b"two"[..]));
    assert_eq!(value(&rig.other, &old).await, None);
    // One that cannot be stored: none is.
    let good = put(&one, b"better", &current);
    let bad = (two.fingerprint, CachePut { meta: json!("\0"), ..good.1.clone() });
    let error = rig.store.put_many(namespace, vec![good.clone(), bad]).await.expect_err("NUL");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(value(&rig.other, &one).await.as_deref(), Some(&b"last"[..]));
    let many = vec![good; CACHE_BATCH_LIMIT + 1];
    let error = rig.store.put_many(namespace, many).await.expect_err("1,001 answers");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(value(&rig.other, &one).await.as_deref(), Some(&b"last"[..]));
    assert!(rig.store.put_many(namespace, vec![]).await.unwrap().is_empty());
}
