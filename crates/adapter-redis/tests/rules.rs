//! What scripts compute is what the rules say: the vectors of `ports::rules`, through the stores.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod rig;

use std::time::Duration;

use hexmem_ports::{
    BucketId, Clock as _, Digest, KeyValueExt as _, KeyValueStore as _, KvRecord, KvSet, KvState,
    Name, NewSession, OpId, Record, Records as _, SessionId, SessionOrigin, SessionStore as _,
    Tenant, Timestamp, TokenKey, Touch, Ttl, UserScope, rules,
};
use rig::{Servers, Space};
use uuid::Uuid;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn bucket() -> BucketId {
    BucketId::new(Tenant(name("t")), name("b"))
}

#[tokio::test]
async fn sums_are_those_of_the_rule() {
    let space = Space::new(Servers::Single);
    let store = space.connect().await.key_value();
    let key = name("k");
    let values: [Option<&str>; 16] = [
        None,
        Some("0"),
        Some("-1"),
        Some("9007199254740993"),
        Some("-9223372036854775808"),
        Some("9223372036854775807"),
        Some("9223372036854775808"),
        Some(""),
        Some("+1"),
        Some("01"),
        Some("-0"),
        Some(" 1"),
        Some("1.0"),
        Some("1e3"),
        Some("0x10"),
        Some("1\0"),
    ];
    for value in values {
        for by in [0, 1, -1, 5, i64::MAX, i64::MIN] {
            store.delete(&bucket(), &key).await.unwrap();
            if let Some(value) = value {
                store.set(&bucket(), &key, KvSet::new(value)).await.unwrap();
            }
            let sum = store.increment(&bucket(), &key, by, None, OpId::random()).await;
            let expected = rules::add("t", value.map(str::as_bytes), by);
            assert_eq!(sum.ok(), expected.ok(), "{value:?} + {by}");
        }
    }
}

#[tokio::test]
async fn versions_are_those_of_the_rule_also_beyond_what_lua_counts_exactly() {
    let space = Space::new(Servers::Single);
    let store = space.connect().await.key_value();
    let now = space.clock.now();
    let present = u64::try_from(now.as_micros()).unwrap();
    let limit = i64::MAX.unsigned_abs();
    let versions = [
        1,
        present - 1,
        present,
        present + 1,
        (1 << 53) - 1,
        1 << 53,
        (1 << 53) + 1,
        limit - 1,
        limit,
    ];
    for (n, version) in versions.into_iter().enumerate() {
        let key = name(&format!("k{n}"));
        let state = KvState { version, modified_at: now, expires_at: None, deleted_at: None };
        let record =
            KvRecord { bucket: bucket(), key: key.clone(), state, value: Some(b"v".to_vec()) };
        store.restore(vec![Record::from(record)]).await.unwrap();
        let written = store.set(&bucket(), &key, KvSet::new("w")).await.unwrap();
        // Beyond 63 bits a version stays where it is.
        let expected = rules::next_version(Some(version), now).min(limit);
        assert_eq!(written, expected, "after {version}");
    }
    let first = store.set(&bucket(), &name("new"), KvSet::new("v")).await.unwrap();
    assert_eq!(first, rules::next_version(None, now));
}

#[tokio::test]
async fn touches_are_those_of_the_rule() {
    let space = Space::new(Servers::Single);
    let store = space.connect().await.sessions();
    let owner = UserScope { tenant: Tenant(name("t")), user: name("u") };
    let micros = |micros: u64| Ttl::try_from(micros).unwrap();
    for (idle, absolute, coalesce, pause) in [
        (10, 100, None, 5),
        (10, 12, None, 5),
        (200, 100, None, 5),
        (10, 100, Some(5), 5),
        (10, 100, Some(6), 5),
        (10, 100, Some(4), 5),
        (1_000_000, 3_600_000_000, Some(999_999), 999_998),
        (1_000_000, 3_600_000_000, Some(999_999), 999_999),
    ] {
        let token =
            TokenKey { bucket: owner.bucket(), hash: Digest::of(Uuid::new_v4().as_bytes()) };
        let new = NewSession {
            id: SessionId(Uuid::new_v4()),
            token,
            owner: owner.clone(),
            data: serde_json::json!(null),
            origin: SessionOrigin::default(),
            idle: micros(idle),
            absolute: micros(absolute),
            cap: None,
            retention: micros(1),
        };
        let session = store.create(new, vec![]).await.unwrap().session;
        let seen = session.last_seen_at;
        assert_eq!(
            session.idle_expires_at,
            rules::idle_end(seen, micros(idle), session.absolute_expires_at)
        );
        space.clock.advance(Duration::from_micros(pause));
        let now: Timestamp = space.clock.now();
        let coalesce = coalesce.map(micros);
        let touched = store
            .touch(&token, Touch { coalesce, ..Touch::default() })
            .await
            .unwrap()
            .expect("it lives");
        let expected = rules::seen(seen, now, coalesce);
        assert_eq!(touched.last_seen_at, expected.unwrap_or(seen), "{idle} {absolute}");
        let ends =
            rules::idle_end(expected.unwrap_or(seen), micros(idle), session.absolute_expires_at);
        assert_eq!(touched.idle_expires_at, ends, "{idle} {absolute}");
    }
}
