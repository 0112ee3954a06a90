//! Cases of the records, for every port that gives them.
//!
//! A port gives a [`Subject`]: how its numbered entities are made, changed, ended and read. Its own cases
//! (`rec_kind_1`, ...) call the functions here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use hexmem_ports::{Cursor, ErrorKind, Limit, Page, Record, RecordKind, Records, Restored, Result};
use serde_json::Value;

use crate::Rig;

/// The numbered entities of a port, of one kind of record each.
#[async_trait]
pub trait Subject<P: ?Sized>: Send + Sync {
    /// Creates entity `n`. Where `life` is given it ends after so many units.
    async fn create(&self, store: &P, n: u32);
    /// Changes it, so that it reads differently and its record is newer.
    async fn change(&self, store: &P, n: u32);
    /// Deletes, revokes or cancels it: a tombstone stays.
    async fn delete(&self, store: &P, n: u32);
    /// What the port reads of it, times and version included; `None` when it is absent.
    async fn read(&self, store: &P, n: u32) -> Option<String>;
    /// How many units it lives; `None` where entities of this port do not expire.
    fn life(&self) -> Option<u32>;
    /// Whether a deleted entity leaves a tombstone with `deleted_at`.
    fn leaves_tombstone(&self) -> bool {
        true
    }
}

fn records<P: ?Sized>(rig: &Rig<P>) -> &dyn Records {
    rig.records.as_deref().expect("a rig that declares records has them")
}

fn twin<P: ?Sized>(rig: &Rig<P>) -> (&P, &dyn Records) {
    let (store, records) = rig.twin.as_ref().expect("a rig that declares records has a twin");
    (store, records.as_ref())
}

/// All records, by pages of `rows`.
pub async fn scan_all(records: &dyn Records, rows: u32) -> Vec<Record> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = records.scan(cursor, Limit::new(rows).unwrap()).await.unwrap();
        assert!(page.items.len() <= rows as usize, "the limit holds");
        all.extend(page.items);
        assert!(all.len() < 100_000, "the scan does not end");
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// The records by address, so that two stores can be compared.
async fn by_address(records: &dyn Records) -> BTreeMap<Vec<String>, Record> {
    let all = scan_all(records, 100).await;
    let count = all.len();
    let map: BTreeMap<_, _> = all.into_iter().map(|r| (r.address.clone(), r)).collect();
    assert_eq!(map.len(), count, "an address is unique within the kind");
    map
}

/// `REC-KIND-1`
pub async fn kind_1<P: ?Sized + Send + Sync>(rig: Rig<P>, subject: impl Subject<P>) {
    for n in 0..3 {
        subject.create(&rig.store, n).await;
    }
    let all = scan_all(records(&rig), 100).await;
    assert!(all.len() >= 3);
    assert!(all.iter().all(|record| record.kind == records(&rig).kind()));
    let other = match records(&rig).kind() {
        RecordKind::Cache => RecordKind::KeyValue,
        _ => RecordKind::Cache,
    };
    let foreign: Vec<_> = all.into_iter().map(|record| Record { kind: other, ..record }).collect();
    let error = twin(&rig).1.restore(foreign).await.expect_err("another kind");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(scan_all(twin(&rig).1, 100).await, []);
}

/// `REC-SCAN-1`
pub async fn scan_1<P: ?Sized + Send + Sync>(rig: Rig<P>, subject: impl Subject<P>) {
    for n in 0..30 {
        subject.create(&rig.store, n).await;
    }
    let before = by_address(records(&rig)).await;
    let (mut seen, mut cursor, mut n) = (BTreeMap::<_, u32>::new(), None, 0);
    loop {
        let page = records(&rig).scan(cursor, Limit::new(7).unwrap()).await.unwrap();
        for record in page.items {
            *seen.entry(record.address).or_default() += 1;
        }
        subject.change(&rig.other, n).await;
        subject.create(&rig.other, 100 + n).await;
        n += 1;
        assert!(n < 1_000, "the scan does not end");
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(seen.values().all(|times| *times == 1), "no entity twice: {seen:?}");
    for address in before.keys() {
        assert!(seen.contains_key(address), "{address:?} was there throughout and is missing");
    }
}

/// `REC-SCAN-2`
pub async fn scan_2<P: ?Sized + Send + Sync>(rig: Rig<P>, subject: impl Subject<P>) {
    if let Some(life) = subject.life() {
        subject.create(&rig.store, 0).await;
        rig.clock.advance(life).await;
        assert_eq!(subject.read(&rig.store, 0).await, None, "it has expired");
        let now = rig.clock.now().await;
        let all = scan_all(records(&rig), 100).await;
        assert!(all.iter().any(|record| record.expires_at.is_some_and(|end| end <= now)));
    }
    if subject.leaves_tombstone() {
        subject.create(&rig.store, 1).await;
        rig.clock.advance(1).await;
        subject.delete(&rig.store, 1).await;
        let now = rig.clock.now().await;
        let all = scan_all(records(&rig), 100).await;
        let dead = all.iter().filter_map(|record| record.deleted_at).collect::<Vec<_>>();
        assert_eq!(dead, [now], "the tombstone says when");
    }
}

/// `REC-RESTORE-1`
pub async fn restore_1<P: ?Sized + Send + Sync>(rig: Rig<P>, subject: impl Subject<P>) {
    for n in 0..6 {
        subject.create(&rig.store, n).await;
    }
    rig.clock.advance(2).await;
    subject.change(&rig.store, 1).await;
    subject.delete(&rig.store, 2).await;
    let (copy, copied) = twin(&rig);
    let restored = copied.restore(scan_all(records(&rig), 100).await).await.unwrap();
    assert!(restored.iter().all(|r| *r == Restored::Written), "{restored:?}");
    assert_eq!(by_address(copied).await, by_address(records(&rig)).await);
    for n in 0..6 {
        let original = subject.read(&rig.store, n).await;
        assert_eq!(original.is_none(), n == 2);
        assert_eq!(subject.read(copy, n).await, original);
    }
    if let Some(life) = subject.life() {
        for _ in 0..=life {
            rig.clock.advance(1).await;
            for n in 0..6 {
                let (here, there) =
                    (subject.read(&rig.store, n).await, subject.read(copy, n).await);
                assert_eq!(there, here, "the copy ends when the original does");
            }
        }
        assert_eq!(subject.read(copy, 0).await, None);
    }
}

/// `REC-RESTORE-2`
pub async fn restore_2<P: ?Sized + Send + Sync>(rig: Rig<P>, subject: impl Subject<P>) {
    for n in 0..4 {
        subject.create(&rig.store, n).await;
    }
    let all = scan_all(records(&rig), 100).await;
    let copied = twin(&rig).1;
    copied.restore(all.clone()).await.unwrap();
    let before = by_address(copied).await;
    rig.clock.advance(1).await;
    let again = copied.restore(all.clone()).await.unwrap();
    assert_eq!(again, vec![Restored::Kept; all.len()]);
    assert_eq!(by_address(copied).await, before);
    assert_eq!(copied.restore(vec![]).await.unwrap(), []);
}

/// `REC-RESTORE-3`
pub async fn restore_3<P: ?Sized + Send + Sync>(rig: Rig<P>, subject: impl Subject<P>) {
    let (copy, copied) = twin(&rig);
    subject.create(&rig.store, 0).await;
    let old = scan_all(records(&rig), 100).await;
    rig.clock.advance(1).await;
    subject.change(&rig.store, 0).await;
    let new = scan_all(records(&rig), 100).await;
    copied.restore(old.clone()).await.unwrap();
    copied.restore(new.clone()).await.unwrap();
    assert_eq!(
        subject.read(copy, 0).await,
        subject.read(&rig.store, 0).await,
        "the newer is taken"
    );
    copied.restore(old).await.unwrap();
    assert_eq!(subject.read(copy, 0).await, subject.read(&rig.store, 0).await, "the newer stays");
    rig.clock.advance(1).await;
    subject.delete(&rig.store, 0).await;
    if subject.leaves_tombstone() {
        copied.restore(scan_all(records(&rig), 100).await).await.unwrap();
        assert_eq!(subject.read(copy, 0).await, None, "the tombstone removes it");
        copied.restore(new).await.unwrap();
        assert_eq!(subject.read(copy, 0).await, None, "the tombstone stays");
    }
}

/// `REC-RESTORE-4`
pub async fn restore_4<P: ?Sized + Send + Sync>(rig: Rig<P>, subject: impl Subject<P>) {
    for n in 0..3 {
        subject.create(&rig.store, n).await;
    }
    let good = scan_all(records(&rig), 100).await;
    let copied = twin(&rig).1;
    let last = good.len() - 1;
    let unknown = Record { form: 9_999, ..good[last].clone() };
    let unreadable = Record { body: Value::from("no body"), ..good[last].clone() };
    let empty = Record { body: Value::Object(serde_json::Map::new()), ..good[last].clone() };
    let lost = Record { address: vec![], ..good[last].clone() };
    for bad in [unknown, unreadable, empty, lost] {
        let mut batch = good.clone();
        batch[last] = bad.clone();
        let error = copied.restore(batch).await.expect_err("a record that cannot be read");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        for level in &bad.address {
            assert!(error.to_string().contains(level.as_str()), "{error} does not name {level}");
        }
        assert_eq!(scan_all(copied, 100).await, [], "none of the batch is written");
    }
}

/// The rig with records that break `clause`, or `None` when it is no clause of records.
pub fn broken<P: ?Sized>(clause: &str, rig: Rig<P>) -> Option<Rig<P>> {
    let breaks = match clause {
        "REC-KIND-1" => Breaks::TakesAnyKind,
        "REC-SCAN-1" => Breaks::EndsEarly,
        "REC-SCAN-2" => Breaks::HidesDead,
        "REC-RESTORE-1" => Breaks::LosesOne,
        "REC-RESTORE-2" => Breaks::AlwaysWritten,
        "REC-RESTORE-3" => Breaks::TakesOlder,
        "REC-RESTORE-4" => Breaks::WritesHalf,
        _ => return None,
    };
    let wrap = |inner| -> Arc<dyn Records> {
        Arc::new(Broken { inner, breaks, calls: AtomicU64::default() })
    };
    let records = rig.records.clone().expect("a rig that declares records has them");
    let twin = rig.twin.clone().map(|(store, records)| (store, wrap(records)));
    Some(Rig { records: Some(wrap(records)), twin, ..rig })
}

#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    TakesAnyKind,
    EndsEarly,
    HidesDead,
    LosesOne,
    AlwaysWritten,
    TakesOlder,
    WritesHalf,
}

struct Broken {
    inner: Arc<dyn Records>,
    breaks: Breaks,
    calls: AtomicU64,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Records for Broken {
    fn kind(&self) -> RecordKind {
        self.inner.kind()
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let mut page = self.inner.scan(cursor, limit).await?;
        match self.breaks {
            Breaks::EndsEarly => page.next = None,
            Breaks::HidesDead => {
                page.items.retain(|r| r.deleted_at.is_none() && r.expires_at.is_none());
            }
            _ => {}
        }
        Ok(page)
    }

    async fn restore(&self, mut records: Vec<Record>) -> Result<Vec<Restored>> {
        let count = records.len();
        match self.breaks {
            Breaks::TakesAnyKind => records.iter_mut().for_each(|r| r.kind = self.inner.kind()),
            Breaks::LosesOne => {
                records.pop();
            }
            Breaks::TakesOlder => {
                let call = self.calls.fetch_add(1_000_000, Ordering::Relaxed);
                records.iter_mut().for_each(|record| record.version += call);
            }
            _ => {}
        }
        let answer = self.inner.restore(records.clone()).await;
        match (self.breaks, answer) {
            (Breaks::LosesOne | Breaks::AlwaysWritten, Ok(_)) => Ok(vec![Restored::Written; count]),
            (Breaks::WritesHalf, Err(error)) => {
                for record in records {
                    // Those that can be read are written; the others are what the error is about.
                    let _ = self.inner.restore(vec![record]).await;
                }
                Err(error)
            }
            (_, answer) => answer,
        }
    }
}
