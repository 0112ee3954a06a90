//! Cases of statistics.

use std::sync::Arc;

use futures::future::join_all;
use hexmem_ports::{
    COUNTED_NAMES, CacheCounts, CacheKey, CacheStore as _, CacheStoreExt as _, Capability,
    ErrorKind, Invalidate, StatsRoom, TagRef,
};

use super::{
    Caches, a_put, entry, key, model, namespace, of_model, store_for, store_value, tag, tagged,
    ticket,
};
use crate::{awkward_names, name, other_tenant};

fn hits(hits: u64) -> CacheCounts {
    CacheCounts { hits, cost_saved: 3 * hits, ..CacheCounts::default() }
}

/// `CACHE-COUNT-1`
pub async fn cache_count_1(rig: Caches) {
    let here = namespace(&rig.tenant, "n");
    let lookups = (0..16u64).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &rig.store } else { &rig.other });
        let namespace = here.clone();
        tokio::spawn(async move {
            for _ in 0..5 {
                let miss = CacheCounts { misses: 1, ..CacheCounts::default() };
                let counts = vec![
                    (TagRef::Namespace, hits(2).plus(miss)),
                    (model("m"), hits(2)),
                    (tag("m"), miss),
                ];
                store.count(&namespace, counts).await.unwrap();
            }
        })
    });
    for done in join_all(lookups).await {
        done.unwrap();
    }
    let expected = CacheCounts { misses: 80, ..hits(160) };
    for store in [&rig.store, &rig.other] {
        assert_eq!(store.stats(&here).await.unwrap().counts, expected);
        let models = store.breakdown(&here, StatsRoom::Models).await.unwrap();
        assert_eq!((models.len(), models[0].stats.counts), (1, hits(160)));
        let tags = store.breakdown(&here, StatsRoom::Tags).await.unwrap();
        assert_eq!((tags.len(), tags[0].stats.counts.misses), (1, 80));
    }
    // Each count by itself, and one name given twice.
    let numbers: Vec<u64> = (1..).take(CacheCounts::NAMES.len()).collect();
    let each = CacheCounts::from_values(numbers.try_into().unwrap());
    let twice = vec![(tag("each"), each), (tag("each"), each)];
    rig.store.count(&here, twice).await.unwrap();
    let tags = rig.other.breakdown(&here, StatsRoom::Tags).await.unwrap();
    assert_eq!(tags[0].stats.counts, each.plus(each));
    for elsewhere in [namespace(&other_tenant(), "n"), namespace(&rig.tenant, "n2")] {
        assert_eq!(rig.store.stats(&elsewhere).await.unwrap().counts, CacheCounts::default());
        assert!(rig.store.breakdown(&elsewhere, StatsRoom::Tags).await.unwrap().is_empty());
        rig.store.count(&elsewhere, vec![(TagRef::Namespace, hits(1))]).await.unwrap();
    }
    assert_eq!(rig.other.stats(&here).await.unwrap().counts, expected);
    // The end of the numbers.
    let most = CacheCounts { hits: i64::MAX.unsigned_abs(), ..CacheCounts::default() };
    rig.store.count(&here, vec![(TagRef::Namespace, most)]).await.unwrap();
    assert_eq!(rig.store.stats(&here).await.unwrap().counts.hits, most.hits);
}

/// `CACHE-COUNT-2`
pub async fn cache_count_2(rig: Caches) {
    let here = namespace(&rig.tenant, "n");
    let named = |from: usize, to: usize| {
        (from..to).map(|n| (tag(&format!("{n:05}")), hits(1))).collect::<Vec<_>>()
    };
    rig.store.count(&here, named(0, COUNTED_NAMES - 1)).await.unwrap();
    rig.other.count(&here, named(COUNTED_NAMES - 1, COUNTED_NAMES + 5)).await.unwrap();
    // The known go on, the others are one; models have a room of their own.
    rig.store.count(&here, named(COUNTED_NAMES - 2, COUNTED_NAMES + 2)).await.unwrap();
    rig.store.count(&here, vec![(model("m"), hits(1))]).await.unwrap();
    let tags = rig.other.breakdown(&here, StatsRoom::Tags).await.unwrap();
    assert_eq!(tags.len(), COUNTED_NAMES + 1);
    for (n, tag) in tags[..COUNTED_NAMES].iter().enumerate() {
        assert_eq!(tag.name, Some(name(format!("{n:05}"))));
        let expected = if n < COUNTED_NAMES - 2 { hits(1) } else { hits(2) };
        assert_eq!(tag.stats.counts, expected, "{n}");
    }
    let rest = tags.last().unwrap();
    assert_eq!((&rest.name, rest.stats.counts), (&None, hits(7)));
    let models = rig.store.breakdown(&here, StatsRoom::Models).await.unwrap();
    assert_eq!((models.len(), &models[0].name), (1, &Some(name("m"))));
}

/// `CACHE-COUNT-3`
pub async fn cache_count_3(rig: Caches) {
    let here = namespace(&rig.tenant, "n");
    rig.store.count(&here, vec![]).await.unwrap();
    let many = vec![(TagRef::Namespace, hits(1)); 10_001];
    let beyond = CacheCounts { misses: i64::MAX.unsigned_abs() + 1, ..hits(1) };
    let large = vec![(TagRef::Namespace, hits(1)), (tag("a"), beyond)];
    for counts in [many, large] {
        let error = rig.store.count(&here, counts).await.expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert_eq!(rig.other.stats(&here).await.unwrap().counts, CacheCounts::default());
    assert!(rig.other.breakdown(&here, StatsRoom::Tags).await.unwrap().is_empty());
}

/// `CACHE-STATS-1`
pub async fn cache_stats_1(rig: Caches) {
    let nobody = namespace(&rig.tenant, "nobody");
    for _ in 0..2 {
        let stats = rig.store.stats(&nobody).await.unwrap();
        assert_eq!((stats.counts, stats.entries, stats.bytes), Default::default());
        for room in [StatsRoom::Models, StatsRoom::Tags] {
            assert!(rig.other.breakdown(&nobody, room).await.unwrap().is_empty());
        }
    }
    // A lookup and a put count nothing by themselves.
    let key = CacheKey { namespace: nobody.clone(), ..key(&rig, "q") };
    store_value(&rig, &key, &of_model("m", &["a"]), b"v").await;
    assert!(entry(&rig.store, &key).await.is_some());
    assert_eq!(rig.store.stats(&nobody).await.unwrap().counts, CacheCounts::default());
    assert!(rig.store.breakdown(&nobody, StatsRoom::Models).await.unwrap().is_empty());
}

/// `CACHE-STATS-2`
pub async fn cache_stats_2(rig: Caches) {
    let namespace = namespace(&rig.tenant, "n");
    let empty = rig.store.stats(&namespace).await.unwrap();
    assert_eq!((empty.entries, empty.bytes), (0, 0));
    for (question, tags, length, units) in [
        ("0", tagged(&[]), 0, 100),
        ("1", tagged(&["a"]), 10, 100),
        ("2", tagged(&["a", "b"]), 1_000, 100),
        ("3", tagged(&["c"]), 5_000, 100),
        ("4", tagged(&["a"]), 50_000, 1),
        ("5", tagged(&["a"]), 70_000, 100),
        ("6", tagged(&["a"]), 90_000, 100),
    ] {
        store_for(&rig, &key(&rig, question), &tags, &vec![1; length], units).await;
    }
    let elsewhere =
        CacheKey { namespace: super::namespace(&other_tenant(), "n"), ..key(&rig, "0") };
    store_value(&rig, &elsewhere, &tagged(&[]), &[1; 300]).await;
    rig.clock.advance(1).await;
    rig.store.invalidate(&namespace, Invalidate::Tag(tag("c"))).await.unwrap();
    let sixth = Invalidate::Key(key(&rig, "6").fingerprint);
    rig.store.invalidate(&namespace, sixth).await.unwrap();
    store_value(&rig, &key(&rig, "5"), &tagged(&[]), &[1; 200]).await;
    let stats = rig.other.stats(&namespace).await.unwrap();
    assert_eq!(stats.exact, rig.has(Capability::ExactCounts));
    if stats.exact {
        assert_eq!((stats.entries, stats.bytes), (4, 1_210));
    }
}

/// `CACHE-BREAK-1`
pub async fn cache_break_1(rig: Caches) {
    let here = namespace(&rig.tenant, "n");
    for (question, tags, length, units) in [
        ("0", of_model("m1", &["a", "b"]), 10, 100),
        ("1", of_model("m1", &["a"]), 100, 100),
        ("2", of_model("m2", &["b", "c"]), 1_000, 100),
        ("3", of_model("m2", &["a"]), 5_000, 1),
        ("4", of_model("m2", &["d", "a"]), 7_000, 100),
    ] {
        store_for(&rig, &key(&rig, question), &tags, &vec![1; length], units).await;
    }
    rig.clock.advance(1).await;
    rig.store.invalidate(&here, Invalidate::Tag(tag("d"))).await.unwrap();
    let names = ["m2", "m1", "gone"].map(model).into_iter();
    let names = names.chain(["c", "b", "a"].map(tag)).map(|tag| (tag, hits(1)));
    rig.store.count(&here, names.collect()).await.unwrap();
    let told = async |room| {
        let told = rig.other.breakdown(&here, room).await.unwrap();
        assert!(told.iter().all(|tag| tag.stats.counts == hits(1)));
        let told = told.into_iter().map(|tag| {
            assert_eq!(tag.stats.exact, rig.has(Capability::ExactCounts));
            let held = tag.stats.exact.then_some((tag.stats.entries, tag.stats.bytes));
            (tag.name.unwrap().to_string(), held)
        });
        told.collect::<Vec<_>>()
    };
    let exact = rig.has(Capability::ExactCounts);
    let expected = |list: &[(&str, u64, u64)]| {
        let list = list.iter();
        list.map(|(n, e, b)| (n.to_string(), exact.then_some((*e, *b)))).collect::<Vec<_>>()
    };
    let models = expected(&[("gone", 0, 0), ("m1", 2, 110), ("m2", 1, 1_000)]);
    assert_eq!(told(StatsRoom::Models).await, models);
    let tags = expected(&[("a", 2, 110), ("b", 2, 1_010), ("c", 1, 1_000)]);
    assert_eq!(told(StatsRoom::Tags).await, tags);
    // Replaced under other tags: only those count it. Names are compared byte for byte.
    let first = key(&rig, "0");
    let ticket = ticket(&rig.store, &first, &tagged(&["c"])).await;
    rig.store.put(&first, a_put(&rig, b"12345", ticket)).await.unwrap();
    let tags = expected(&[("a", 1, 100), ("b", 1, 1_000), ("c", 2, 1_005)]);
    assert_eq!(told(StatsRoom::Tags).await, tags);
    let mut names = awkward_names();
    let counts = names.iter().map(|name| (TagRef::Tag(name.clone()), hits(1))).collect();
    let elsewhere = namespace(&rig.tenant, "names");
    rig.store.count(&elsewhere, counts).await.unwrap();
    let told = rig.other.breakdown(&elsewhere, StatsRoom::Tags).await.unwrap();
    names.sort();
    names.dedup();
    assert_eq!(told.into_iter().filter_map(|tag| tag.name).collect::<Vec<_>>(), names);
}
