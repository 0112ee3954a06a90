//! Thousands of random calls give the same answers in SQLite as in process: the rules that decide are shared,
//! and the clock stands still, so that versions are the same too.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, MemoryKeyValue};
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{
    BucketId, Error, KV_TOMBSTONE_RETENTION, KeyValueStore, KvCondition, KvSet, Limit, Name, OpId,
    Prefix, Record, Records, Tenant, Ttl,
};
use uuid::Uuid;

/// A sequence that repeats with its seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

/// An error as far as the two stores must agree on it.
fn told(error: &Error) -> String {
    format!("{:?} {error}", error.kind())
}

/// One random call, drawn with `dice`, and its answer as text.
async fn call(store: &dyn KeyValueStore, dice: &mut Dice) -> String {
    let bucket = BucketId::new(Tenant(name("t")), name(format!("b{}", dice.roll(2))));
    let key = name(["a", "b", "c", "%", "a*"][usize::try_from(dice.roll(5)).unwrap()]);
    let ttl = (dice.roll(2) == 0).then(|| Ttl::secs(1 + dice.roll(4)).unwrap());
    // A few ids, so that some calls are repeats.
    let op = OpId(Uuid::from_u128(dice.roll(200).into()));
    let version =
        match store.get_many(&bucket, std::slice::from_ref(&key)).await.unwrap()[0].as_ref() {
            Some(entry) if dice.roll(3) > 0 => entry.version,
            _ => dice.roll(3),
        };
    let condition = match dice.roll(3) {
        0 => KvCondition::Always,
        1 => KvCondition::IfAbsent,
        _ => KvCondition::IfVersion(version),
    };
    let value = match dice.roll(3) {
        0 => dice.roll(1_000).to_string().into_bytes(),
        1 => vec![0xff, u8::try_from(dice.roll(256)).unwrap()],
        _ => i64::MAX.to_string().into_bytes(),
    };
    let mut set = KvSet { value, ttl, condition, op: None };
    set.op = (dice.roll(2) == 0).then_some(op);
    let limit = Limit::new(1 + u32::try_from(dice.roll(3)).unwrap()).unwrap();
    match dice.roll(9) {
        0 | 1 => format!("{:?}", store.set(&bucket, &key, set).await.map_err(|e| told(&e))),
        2 => {
            let writes = vec![(key.clone(), set.clone()), (name("b"), set.clone()), (key, set)];
            let answers = store.set_many(&bucket, writes).await.unwrap();
            let answers = answers.into_iter().map(|answer| answer.map_err(|e| told(&e)));
            format!("{:?}", answers.collect::<Vec<_>>())
        }
        3 => format!("{:?}", store.delete_many(&bucket, &[key, name("c")]).await.unwrap()),
        4 => {
            format!("{:?}", store.delete_if(&bucket, &key, version).await.map_err(|e| told(&e)))
        }
        5 => format!("{:?}", store.expire(&bucket, &key, ttl).await.unwrap()),
        6 => {
            let by = i64::try_from(dice.roll(9)).unwrap() - 4;
            let sum = store.increment(&bucket, &key, by, ttl, op).await;
            format!("{:?}", sum.map_err(|e| told(&e)))
        }
        7 => {
            let prefix = Prefix::new(["", "a", "%"][usize::try_from(dice.roll(3)).unwrap()]);
            format!("{:?}", store.scan(&bucket, &prefix.unwrap(), None, limit).await.unwrap())
        }
        _ => {
            // To the end: which of those that ended at the same instant goes first is left open.
            let mut freed = 0;
            loop {
                match store.sweep(limit).await.unwrap() {
                    0 => break format!("{freed}"),
                    some => freed += some,
                }
            }
        }
    }
}

async fn all(records: &dyn Records) -> Vec<Record> {
    let mut all = records.scan(None, Limit::new(1_000).unwrap()).await.unwrap().items;
    all.sort_by(|a, b| a.address.cmp(&b.address));
    all
}

#[tokio::test]
async fn random_calls_give_the_same_answers_as_in_process() {
    for seed in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let config = SqliteConfig::new(folder.path().join("x.db"));
        let sqlite = Database::open(config, clock.clone()).await.unwrap().key_value();
        let memory = MemoryKeyValue::new(clock.clone());
        let mut time = Dice(seed ^ 0xffff);
        for step in 0..600u64 {
            let draw = seed.wrapping_mul(1_000_003) + step;
            let expected = call(&memory, &mut Dice(draw)).await;
            let found = call(&sqlite, &mut Dice(draw)).await;
            assert_eq!(found, expected, "seed {seed}, step {step}");
            if time.roll(4) == 0 {
                clock.advance(Duration::from_millis(time.roll(3_000)));
            }
        }
        assert_eq!(all(&sqlite).await, all(&memory).await, "seed {seed}");

        // What is deleted leaves a tombstone, and that is forgotten in its time.
        for n in 0..2 {
            let bucket = BucketId::new(Tenant(name("t")), name(format!("b{n}")));
            let keys = ["a", "b", "c", "%", "a*"].map(name);
            for store in [&sqlite as &dyn KeyValueStore, &memory] {
                store.delete_many(&bucket, &keys).await.unwrap();
            }
        }
        let left = all(&sqlite).await;
        assert!(!left.is_empty() && left == all(&memory).await);
        clock.advance(KV_TOMBSTONE_RETENTION);
        for store in [&sqlite as &dyn KeyValueStore, &memory] {
            let freed = store.sweep(Limit::new(1_000).unwrap()).await.unwrap();
            assert_eq!(freed, u64::try_from(left.len()).unwrap());
        }
        assert_eq!((all(&sqlite).await, all(&memory).await), (vec![], vec![]));
    }
}
