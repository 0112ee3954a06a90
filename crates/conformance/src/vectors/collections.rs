//! Collections and aliases.

use std::collections::BTreeSet;

use futures::future::join_all;
use hexmem_ports::{
    CollectionId, CollectionSpec, Cursor, ErrorKind, Filter, Name, Prefix, Tenant, VectorStore,
};
use serde_json::json;

use super::Vectors;
use super::fixture::*;
use crate::{awkward_names, name, other_tenant};

/// `VEC-CREATE-1`
pub async fn vec_create_1(rig: Vectors) {
    let c = collection(&rig);
    let created = join_all((0..8).map(|i| {
        let store = if i % 2 == 0 { &rig.store } else { &rig.other };
        store.create(&c, spec())
    }))
    .await;
    let created: Vec<bool> = created.into_iter().map(Result::unwrap).collect();
    assert_eq!(created.iter().filter(|yes| **yes).count(), 1, "one creates");
    let info = rig.other.info(&c).await.unwrap().expect("it is there");
    assert_eq!((info.spec, info.points), (spec(), 0));
    rig.store.upsert(&c, vec![point(1)]).await.unwrap();
    assert!(!rig.store.create(&c, spec()).await.unwrap());
    assert_eq!(rig.store.get(&c, &[id(1)]).await.unwrap(), [Some(point(1))], "nothing changed");
}

/// `VEC-CREATE-2`
pub async fn vec_create_2(rig: Vectors) {
    let c = collection(&rig);
    rig.store.create(&c, spec()).await.unwrap();
    let mut spaced = spec();
    spaced.dense.get_mut(&name("cos")).unwrap().space.model = name("another-model");
    let mut fewer = spec();
    fewer.sparse.remove(&name("plain"));
    let unindexed = CollectionSpec { indexed: [].into(), ..spec() };
    let constant = CollectionSpec { constants: json!({"average": 13.0}), ..spec() };
    for wanted in [spaced.clone(), fewer, unindexed, constant] {
        let error = rig.other.create(&c, wanted).await.expect_err("another stamp");
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    }
    let error = rig.store.create(&c, spaced).await.expect_err("another space").to_string();
    assert!(error.contains("test/m ") && error.contains("test/another-model"), "{error}");
    assert_eq!(rig.store.info(&c).await.unwrap().unwrap().spec, spec());
    let alias = CollectionId::new(rig.tenant.clone(), name("alias"));
    rig.store.set_alias(&alias, Some(c.name.clone())).await.unwrap();
    let error = rig.store.create(&alias, spec()).await.expect_err("an alias has the name");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

/// `VEC-CREATE-3`
pub async fn vec_create_3(rig: Vectors) {
    let c = collection(&rig);
    let none = CollectionSpec { dense: [].into(), sparse: [].into(), ..spec() };
    let mut flat = spec();
    flat.dense.get_mut(&name("cos")).unwrap().space.dimension = 0;
    let mut vast = spec();
    vast.dense.get_mut(&name("dot")).unwrap().space.dimension = 65_537;
    let mut many = spec();
    let sparse = many.sparse[&name("idf")];
    many.sparse = (0..257).map(|n| (name(format!("s{n}")), sparse)).collect();
    let nul = CollectionSpec { constants: json!({"a": "\0"}), ..spec() };
    for wrong in [none, flat, vast, many, nul] {
        let error = rig.store.create(&c, wrong).await.expect_err("no collection");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert_eq!(rig.store.info(&c).await.unwrap(), None);
}

/// `VEC-INFO-1`
pub async fn vec_info_1(rig: Vectors) {
    let (c, _) = filled(&rig, 60).await;
    let counted = async || rig.other.info(&c).await.unwrap().unwrap().points;
    assert_eq!(counted().await, 60);
    rig.store.upsert(&c, vec![point(3), point(60), point(60)]).await.unwrap();
    assert_eq!(counted().await, 61);
    rig.store.delete(&c, &[id(0), id(1), id(999)]).await.unwrap();
    assert_eq!(counted().await, 59);
    let alias = CollectionId::new(rig.tenant.clone(), name("alias"));
    rig.store.set_alias(&alias, Some(c.name.clone())).await.unwrap();
    assert_eq!(rig.store.info(&alias).await.unwrap().unwrap().points, 59);
    let stranger = CollectionId::new(other_tenant(), c.name.clone());
    assert_eq!(rig.store.info(&stranger).await.unwrap(), None);
}

async fn names(store: &dyn VectorStore, tenant: &Tenant, prefix: &str, rows: u32) -> Vec<Name> {
    let prefix = Prefix::new(prefix).unwrap();
    let (mut all, mut cursor): (Vec<Name>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page = store.list(tenant, &prefix, cursor, limit(rows)).await.unwrap();
        assert!(page.items.len() <= rows as usize, "the limit holds");
        all.extend(page.items);
        assert!(all.len() < 10_000, "the listing does not end");
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// `VEC-LIST-1`
pub async fn vec_list_1(rig: Vectors) {
    let awkward = awkward_names();
    let stranger = other_tenant();
    for name in &awkward {
        let c = CollectionId::new(rig.tenant.clone(), name.clone());
        assert!(rig.store.create(&c, spec()).await.unwrap(), "{name}");
    }
    let theirs = CollectionId::new(stranger.clone(), name("theirs"));
    rig.store.create(&theirs, spec()).await.unwrap();
    let alias = CollectionId::new(rig.tenant.clone(), name("an alias"));
    rig.store.set_alias(&alias, Some(awkward[0].clone())).await.unwrap();
    let all = names(rig.other.as_ref(), &rig.tenant, "", 7).await;
    assert_eq!(all.len(), awkward.len());
    assert_eq!(BTreeSet::from_iter(all), awkward.iter().cloned().collect());
    for prefix in ["a", "%", "a*", "\u{10ffff}", "x", "no such"] {
        let found: BTreeSet<_> =
            names(rig.store.as_ref(), &rig.tenant, prefix, 2).await.into_iter().collect();
        let expected = awkward.iter().filter(|name| name.as_str().starts_with(prefix)).cloned();
        assert_eq!(found, expected.collect(), "{prefix}");
    }
    assert_eq!(names(rig.store.as_ref(), &stranger, "", 10).await, [name("theirs")]);
}

/// `VEC-DROP-1`
pub async fn vec_drop_1(rig: Vectors) {
    let (c, points) = filled(&rig, 30).await;
    let neighbour = CollectionId::new(rig.tenant.clone(), name("d"));
    rig.store.create(&neighbour, spec()).await.unwrap();
    rig.store.upsert(&neighbour, vec![point(1)]).await.unwrap();
    let alias = CollectionId::new(rig.tenant.clone(), name("alias"));
    rig.store.set_alias(&alias, Some(c.name.clone())).await.unwrap();
    assert!(!rig.store.drop_collection(&alias).await.unwrap(), "an alias is no collection");
    assert!(rig.store.info(&alias).await.unwrap().is_some());
    assert!(rig.store.drop_collection(&c).await.unwrap());
    assert!(!rig.other.drop_collection(&c).await.unwrap());
    for gone in [&c, &alias] {
        assert_eq!(rig.other.info(gone).await.unwrap(), None);
        let error = rig.other.get(gone, &[id(1)]).await.expect_err("it is gone");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    // Other vectors under the name: nothing of the old ones shows.
    let mut other_spec = spec();
    other_spec.dense.remove(&name("dot"));
    assert!(rig.other.create(&c, other_spec).await.unwrap());
    assert_eq!(rig.store.info(&c).await.unwrap().unwrap().points, 0);
    assert_eq!(rig.store.count(&c, &Filter::all()).await.unwrap(), 0);
    let sought = search(sparse_query("plain", points[0].sparse[&name("plain")].clone()), 10);
    assert_eq!(rig.store.search(&c, &sought).await.unwrap(), []);
    assert_eq!(rig.store.info(&alias).await.unwrap(), None, "the alias went with its target");
    assert_eq!(rig.store.get(&neighbour, &[id(1)]).await.unwrap(), [Some(point(1))]);
    let error = rig.store.upsert(&c, vec![point(0)]).await.expect_err("`dot` is no more");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// `VEC-ALIAS-1`
pub async fn vec_alias_1(rig: Vectors) {
    let at = |text: &str| CollectionId::new(rig.tenant.clone(), name(text));
    let (one, two, alias) = (at("one"), at("two"), at("current"));
    for (c, n) in [(&one, 1), (&two, 2)] {
        rig.store.create(c, spec()).await.unwrap();
        rig.store.upsert(c, vec![point(n)]).await.unwrap();
    }
    rig.store.set_alias(&alias, Some(name("one"))).await.unwrap();
    assert_eq!(rig.other.get(&alias, &[id(1)]).await.unwrap(), [Some(point(1))]);
    rig.other.upsert(&alias, vec![point(3)]).await.unwrap();
    assert_eq!(rig.store.count(&one, &Filter::all()).await.unwrap(), 2);
    assert_eq!(rig.store.delete(&alias, &[id(3)]).await.unwrap(), 1);
    // While it is switched to and fro, each reader sees one of the two.
    let switch = async {
        for i in 0..20 {
            let target = if i % 2 == 0 { "two" } else { "one" };
            rig.store.set_alias(&alias, Some(name(target))).await.unwrap();
        }
    };
    let read = async {
        for _ in 0..20 {
            let seen = rig.other.get(&alias, &[id(1), id(2)]).await.unwrap();
            assert_eq!(seen.iter().flatten().count(), 1, "one target at a time");
        }
    };
    futures::join!(switch, read);
    rig.store.set_alias(&alias, Some(name("two"))).await.unwrap();
    let query = search(dense_query("cos", vec![1.0; 4]), 10);
    assert_eq!(ids(&rig.other.search(&alias, &query).await.unwrap()), [id(2)]);
    rig.store.set_alias(&alias, None).await.unwrap();
    assert_eq!(rig.other.info(&alias).await.unwrap(), None);
    let error = rig.other.upsert(&alias, vec![]).await.expect_err("the alias is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// `VEC-ALIAS-2`
pub async fn vec_alias_2(rig: Vectors) {
    let at = |text: &str| CollectionId::new(rig.tenant.clone(), name(text));
    for c in ["one", "two"] {
        rig.store.create(&at(c), spec()).await.unwrap();
    }
    let alias = at("alias");
    rig.store.set_alias(&alias, Some(name("one"))).await.unwrap();
    rig.store.upsert(&alias, vec![point(1)]).await.unwrap();
    for (from, to, kind) in [
        ("alias", "absent", ErrorKind::NotFound),
        ("another", "alias", ErrorKind::NotFound),
        ("two", "one", ErrorKind::AlreadyExists),
    ] {
        let error = rig.other.set_alias(&at(from), Some(name(to))).await.expect_err("refused");
        assert_eq!(error.kind(), kind, "{error}");
    }
    let theirs = CollectionId::new(other_tenant(), name("alias"));
    let error =
        rig.store.set_alias(&theirs, Some(name("one"))).await.expect_err("another tenant's");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(rig.store.get(&alias, &[id(1)]).await.unwrap(), [Some(point(1))], "as it was");
    assert_eq!(rig.store.info(&at("another")).await.unwrap(), None);
    rig.store.set_alias(&at("another"), None).await.unwrap();
}
