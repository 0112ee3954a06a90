//! What went wrong in systems like this one, each by its name: it must not come back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hexmem_adapter_pg::Postgres;
use hexmem_conformance::{TestClock as _, awkward_names};
use hexmem_ports::{
    BucketId, ErrorKind, KeyValueExt as _, KeyValueStore as _, KvCondition, KvSet, Name, OpId,
    Prefix, Remaining, Tenant, Ttl, rules,
};

fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

fn bucket() -> BucketId {
    BucketId::new(Tenant(name("t")), name("b"))
}

/// 1,024 bytes that no compression makes shorter, different for each `seed`.
fn noise(seed: u32) -> Name {
    let digest = |n: u32| hexmem_ports::Digest::of(&[seed.to_be_bytes(), n.to_be_bytes()].concat());
    let text: String = (0..16).map(|n| digest(n).to_hex()).collect();
    // Upper and lower, and three bytes a character: no two neighbours alike.
    let wide: String =
        text.chars().map(|c| char::from_u32(0x4e00 + u32::from(c) * 131).unwrap()).collect();
    let cut: String = wide.chars().take(341).collect();
    name(cut + "x")
}

/// `SET key NX` over an entry whose time has run out, in systems that compared with a row nobody had swept.
#[tokio::test]
async fn nx_is_not_blocked_by_an_expired_row() {
    let bench = rig::bench().await;
    let (store, key) = (bench.first.key_value(), name("lock"));
    let once = || KvSet::new(*b"mine").ttl(Ttl::secs(30).unwrap()).condition(KvCondition::IfAbsent);
    store.set(&bucket(), &key, once()).await.unwrap();
    let error = store.set(&bucket(), &key, once()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    bench.clock.advance(1).await;
    // Of many who see it ended at once, one gets it.
    let other = bench.second.key_value();
    let tries = (0..8).map(|n| {
        let (store, key) = (if n % 2 == 0 { &store } else { &other }, &key);
        async move { store.set(&bucket(), key, once()).await }
    });
    let won = join_all(tries).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
}

/// `if ttl:` in languages where nought is false: it cannot be written, and no time to live is its own case.
#[tokio::test]
async fn a_ttl_of_nought_is_not_the_default() {
    assert_eq!(Ttl::secs(0).unwrap_err().kind(), ErrorKind::Invalid);
    let bench = rig::bench().await;
    let (store, key) = (bench.first.key_value(), name("k"));
    let least = Ttl::new(Duration::from_micros(1)).unwrap();
    store.set(&bucket(), &key, KvSet::new(*b"v").ttl(least)).await.unwrap();
    let left = store.remaining(&bucket(), &key).await.unwrap();
    assert_eq!(left, Some(Remaining::For(Duration::from_micros(1))));
    bench.clock.add(Duration::from_micros(1)).await;
    assert_eq!(
        store.remaining(&bucket(), &key).await.unwrap(),
        None,
        "exactly at its end it is gone"
    );
    store.set(&bucket(), &key, KvSet::new(*b"v")).await.unwrap();
    assert_eq!(store.remaining(&bucket(), &key).await.unwrap(), Some(Remaining::Forever));
    // The longest one has its end within the years that a time has.
    let longest = Ttl::new(hexmem_ports::TTL_LIMIT).unwrap();
    store.set(&bucket(), &key, KvSet::new(*b"v").ttl(longest)).await.unwrap();
    let left = store.remaining(&bucket(), &key).await.unwrap();
    assert_eq!(left, Some(Remaining::For(hexmem_ports::TTL_LIMIT)));
}

/// `timestamp without time zone` and a client or a role that lives in another zone.
#[tokio::test]
async fn times_are_not_shifted_by_a_zone() {
    let database = rig::Database::migrated().await;
    let mut beside = rig::connect(&database.url).await;
    let role = format!("zone_{}", uuid::Uuid::new_v4().simple());
    let current: String =
        sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut beside).await.unwrap();
    rig::run(
        &mut beside,
        format!(
            "CREATE ROLE {role} LOGIN SUPERUSER; ALTER ROLE {role} SET TimeZone = 'Asia/Kathmandu';
             ALTER DATABASE {current} SET TimeZone = 'America/St_Johns';"
        ),
    )
    .await;
    let url = database.url.replacen("hexmem@", &format!("{role}@"), 1);
    let elsewhere = Postgres::connect(rig::config(&url)).await.unwrap();
    let here = database.open("hexmem").await;
    let clock = rig::ServerClock::stopped(&database.url).await;
    let ttl = Ttl::secs(3_600).unwrap();
    for (writer, reader, key) in [(&here, &elsewhere, "a"), (&elsewhere, &here, "b")] {
        writer.key_value().set(&bucket(), &name(key), KvSet::new(*b"v").ttl(ttl)).await.unwrap();
        let left = reader.key_value().remaining(&bucket(), &name(key)).await.unwrap();
        assert_eq!(left, Some(Remaining::For(ttl.get())), "{key}");
    }
    // The record says the instant itself.
    let store = elsewhere.key_value();
    let records = hexmem_ports::Records::scan(&store, None, Default::default());
    for record in records.await.unwrap().items {
        assert_eq!(record.expires_at, Some(clock.now().await.plus(ttl.get())));
    }
    elsewhere.close().await;
    rig::run(&mut beside, format!("DROP ROLE {role}")).await;
}

/// `text` and `jsonb` refuse NUL, `json` takes it and gives an error later: opaque bytes are neither.
#[tokio::test]
async fn nul_and_bytes_that_are_no_text_come_back() {
    let bench = rig::bench().await;
    let store = bench.first.key_value();
    for value in [&b"\0"[..], b"{\"a\": \"\\u0000\"}", &[0xff, 0x00, 0xc0, 0x80], b""] {
        store.set(&bucket(), &name("k"), KvSet::new(value)).await.unwrap();
        assert_eq!(store.get(&bucket(), &name("k")).await.unwrap().unwrap().value, value);
    }
    // A counter that is no text is refused, not a failure of the server's.
    store.set(&bucket(), &name("n"), KvSet::new([0xff, 0x00])).await.unwrap();
    let error = store.increment(&bucket(), &name("n"), 1, None, OpId::random()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
}

/// A channel is cut at 63 bytes, a payload beyond 7,999 bytes fails the commit: neither is ever made of a name.
#[tokio::test]
async fn the_channel_is_short_and_what_is_told_is_a_topic() {
    let database = rig::Database::empty().await;
    let schema = "s".repeat(48);
    let config =
        hexmem_adapter_pg::PgConfig { schema: schema.clone(), ..rig::config(&database.url) };
    Postgres::migrate_schema(config).await.unwrap();
    let mut beside = rig::connect(&database.url).await;
    let mut listener = sqlx::postgres::PgListener::connect(&database.url).await.unwrap();
    let channel = format!("\"{schema}\".wake");
    assert!(channel.len() < 64);
    listener.listen(&channel).await.unwrap();
    rig::run(&mut beside, format!("SELECT \"{schema}\".notify('topic')")).await;
    let heard =
        tokio::time::timeout(Duration::from_secs(10), listener.recv()).await.unwrap().unwrap();
    assert_eq!((heard.channel(), heard.payload()), (channel.as_str(), "topic"));
}

/// Values of any size are kept and never told: 8,000 bytes are one more than a notification holds.
#[tokio::test]
async fn a_value_may_be_longer_than_a_notification() {
    let bench = rig::bench().await;
    let store = bench.first.key_value();
    for bytes in [7_999, 8_000, 8_001, 1_000_000] {
        store.set(&bucket(), &name("k"), KvSet::new(vec![7; bytes])).await.unwrap();
        assert_eq!(store.get(&bucket(), &name("k")).await.unwrap().unwrap().value.len(), bytes);
    }
}

/// First `SELECT`, then `INSERT` or `UPDATE`: two who save for the first time, one of them fails or is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_save_first_nobody_fails() {
    let bench = Arc::new(rig::bench().await);
    for round in 0..20 {
        let calls = (0..6).map(|n| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                // The bucket is new as well.
                let bucket = BucketId::new(Tenant(name("t")), name(format!("b{round}")));
                let handle = if n % 2 == 0 { &bench.first } else { &bench.second };
                let store = handle.key_value();
                store.set(&bucket, &name("k"), KvSet::new(format!("{n}"))).await.unwrap();
                store.increment(&bucket, &name("n"), 1, None, OpId::random()).await.unwrap()
            })
        });
        let mut sums = Vec::new();
        for call in calls.collect::<Vec<_>>() {
            sums.push(call.await.unwrap());
        }
        sums.sort_unstable();
        assert_eq!(sums, [1, 2, 3, 4, 5, 6]);
    }
}

/// The same key of idempotence twice at the same time: the second waits, and gets the answer of the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_at_the_same_time_counts_once() {
    let bench = rig::bench().await;
    let (one, two) = (bench.first.key_value(), bench.second.key_value());
    for round in 0..30 {
        let (key, op) = (name(format!("n{round}")), OpId::random());
        let calls = [&one, &two, &one, &two].map(|store| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move { store.increment(&bucket(), &key, 5, None, op).await })
        });
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap(), 5);
        }
        assert_eq!(one.get(&bucket(), &key).await.unwrap().unwrap().value, b"5");
    }
}

/// An entry of a b-tree holds 2,704 bytes: three names that do not compress are 3,072.
#[tokio::test]
async fn the_longest_names_fit_the_indexes() {
    let bench = rig::bench().await;
    let store = bench.first.key_value();
    for n in 0..20 {
        let bucket = BucketId::new(Tenant(noise(n)), noise(n + 100));
        assert_eq!(noise(n).as_str().len(), 1_024);
        store.set(&bucket, &noise(n + 200), KvSet::new(n.to_string())).await.unwrap();
        let entry = store.get(&bucket, &noise(n + 200)).await.unwrap().unwrap();
        assert_eq!(entry.value, n.to_string().into_bytes());
    }
}

/// UNIQUE takes any number of NULLs, and a trigger, a default or an index that asks for the present is asked once.
#[tokio::test]
async fn no_unique_column_may_be_null_and_no_index_asks_for_the_present() {
    let database = rig::Database::migrated().await;
    let mut beside = rig::connect(&database.url).await;
    let nullable: Vec<String> = sqlx::query_scalar(
        "SELECT format('%s.%s', i.indrelid::regclass, a.attname)
         FROM pg_index AS i
         JOIN pg_class AS c ON c.oid = i.indrelid AND c.relnamespace = 'hexmem'::regnamespace
         JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull
         WHERE i.indisunique AND i.indpred IS NULL",
    )
    .fetch_all(&mut beside)
    .await
    .unwrap();
    assert_eq!(nullable, Vec::<String>::new());
    let asking: Vec<String> = sqlx::query_scalar(
        "SELECT kind || text FROM (
             SELECT 'index ' AS kind, pg_get_indexdef(indexrelid) AS text FROM pg_index
             JOIN pg_class AS c ON c.oid = indexrelid AND c.relnamespace = 'hexmem'::regnamespace
             UNION ALL
             SELECT 'default ', pg_get_expr(adbin, adrelid) FROM pg_attrdef
             JOIN pg_class AS c ON c.oid = adrelid AND c.relnamespace = 'hexmem'::regnamespace
         ) AS all_of_them
         WHERE text ~* '(now\\(|current_|localtime|clock_timestamp)'",
    )
    .fetch_all(&mut beside)
    .await
    .unwrap();
    assert_eq!(asking, Vec::<String>::new());
    let plain: Vec<String> = sqlx::query_scalar(
        "SELECT format('%s.%s', attrelid::regclass, attname) FROM pg_attribute
         JOIN pg_class AS c ON c.oid = attrelid AND c.relnamespace = 'hexmem'::regnamespace AND c.relkind = 'r'
         WHERE attnum > 0 AND NOT attisdropped
             AND atttypid IN ('timestamp'::regtype, 'char'::regtype, 'bpchar'::regtype)",
    )
    .fetch_all(&mut beside)
    .await
    .unwrap();
    assert_eq!(plain, Vec::<String>::new(), "no time without a zone, no padded text");
}

/// `LIKE prefix || '%'`, and a database whose language sorts otherwise than bytes.
#[tokio::test]
async fn a_prefix_is_literal_and_the_order_is_that_of_bytes() {
    let bench = rig::bench().await;
    let store = bench.first.key_value();
    let mut keys = awkward_names();
    for key in &keys {
        store.set(&bucket(), key, KvSet::new(*b"v")).await.unwrap();
    }
    keys.sort_by(|a, b| a.as_str().as_bytes().cmp(b.as_str().as_bytes()));
    let limit = hexmem_ports::Limit::new(10_000).unwrap();
    let all = store.scan(&bucket(), &Prefix::default(), None, limit).await.unwrap().items;
    assert_eq!(all.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), keys);
    for prefix in ["%", "_", "a", "\\", "\u{10ffff}", "x", "é"] {
        let page = store.scan(&bucket(), &Prefix::new(prefix).unwrap(), None, limit).await.unwrap();
        let wanted = keys.iter().filter(|key| key.as_str().starts_with(prefix)).count();
        assert_eq!(page.items.len(), wanted, "{prefix:?}");
    }
}

/// The rules in SQL are those of Rust, also at their edges.
#[tokio::test]
async fn rules_in_sql_are_the_rules() {
    let database = rig::Database::migrated().await;
    let mut beside = rig::connect(&database.url).await;
    for (previous, micros) in [
        (None, 0i64),
        (None, -5),
        (None, 1),
        (Some(1u64), 1_767_225_600_000_000),
        (Some(1_767_225_600_000_000), 1_767_225_600_000_000),
        (Some(1_767_225_600_000_009), 1_767_225_600_000_000),
        (None, 4_102_444_799_999_999),
        (None, 1_795_285_000_123_457),
    ] {
        let now = hexmem_ports::Timestamp::from_micros(micros).unwrap();
        let sql = "SELECT hexmem.next_version($1, $2::text::timestamptz), hexmem.micros($2::text::timestamptz)";
        let (version, read): (i64, i64) = sqlx::query_as(sql)
            .bind(previous.map(u64::cast_signed))
            .bind(now.to_string())
            .fetch_one(&mut beside)
            .await
            .unwrap();
        assert_eq!(
            version.cast_unsigned(),
            rules::next_version(previous, now),
            "{previous:?} {micros}"
        );
        assert_eq!(read, micros);
    }
    let store = database.open("hexmem").await.key_value();
    for (at, (value, by)) in [
        (None, 5),
        (Some("0"), -1),
        (Some("-9223372036854775808"), 1),
        (Some("9223372036854775807"), 1),
        (Some("9223372036854775807"), 0),
        (Some("-9223372036854775808"), -1),
        (Some("9223372036854775808"), 0),
        (Some("-9223372036854775809"), 0),
        (Some("99999999999999999999"), 0),
        (Some(""), 0),
        (Some("+1"), 0),
        (Some("01"), 0),
        (Some("-0"), 0),
        (Some(" 1"), 0),
        (Some("1\n"), 0),
        (Some("1.0"), 0),
        (Some("1e3"), 0),
    ]
    .into_iter()
    .enumerate()
    {
        let key = name(format!("k{at}"));
        if let Some(text) = value {
            store.set(&bucket(), &key, KvSet::new(text)).await.unwrap();
        }
        let added = store.increment(&bucket(), &key, by, None, OpId::random()).await;
        let rule = rules::add("t", value.map(str::as_bytes), by);
        match (added, rule) {
            (Ok(sum), Ok(expected)) => assert_eq!(sum, expected, "{value:?} + {by}"),
            (Err(one), Err(other)) => {
                assert_eq!(
                    (one.kind(), one.message()),
                    (other.kind(), other.message()),
                    "{value:?} + {by}"
                );
            }
            (one, other) => panic!("{value:?} + {by}: {one:?}, and the rule says {other:?}"),
        }
    }
}
