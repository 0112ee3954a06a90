//! Limits and recurring commands.

use std::collections::BTreeSet;

use futures::future::join_all;
use hexmem_ports::{
    BYTES_LIMIT, CommandId, Cursor, ErrorKind, Fired, Limit, NewCommand, QueueId, QueueLimits,
    Rate, Schedule, Timestamp,
};
use serde_json::json;
use uuid::Uuid;

use super::{Queue, command, ids, payloads, queue, take};
use crate::{awkward_names, name, other_tenant};

pub(super) fn schedule(rig: &Queue, text: &str, next_at: Option<Timestamp>) -> Schedule {
    Schedule {
        name: name(text),
        spec: json!({"cron": "*/5 * * * *", "zone": "Asia/Tokyo"}),
        next_at,
        version: 0,
        template: NewCommand {
            id: CommandId(Uuid::nil()),
            priority: 3,
            group: Some(name("g")),
            delay: None,
            ..command(rig, text)
        },
    }
}

async fn all(rig: &Queue, q: &QueueId, rows: u32) -> Vec<Schedule> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = rig.other.schedules(q, cursor, Limit::new(rows).unwrap()).await.unwrap();
        assert!(page.items.len() <= rows as usize);
        all.extend(page.items);
        assert!(all.len() < 10_000, "the listing does not end");
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// `QUEUE-LIMITS-1`
pub async fn queue_limits_1(rig: Queue) {
    let q = queue(&rig, "q");
    let rate = Rate { count: u32::MAX, per: rig.ttl(7) };
    let both = QueueLimits { max_in_flight: Some(5), rate: Some(rate) };
    for limits in [both, QueueLimits { rate: None, ..both }, both, QueueLimits::default()] {
        rig.store.set_limits(&q, limits).await.unwrap();
        assert_eq!(rig.other.limits(&q).await.unwrap(), limits);
    }
    rig.store.set_limits(&q, both).await.unwrap();
    let zero_rate = Some(Rate { count: 0, ..rate });
    for zero in [
        QueueLimits { max_in_flight: Some(0), rate: None },
        QueueLimits { max_in_flight: None, rate: zero_rate },
    ] {
        let error = rig.store.set_limits(&q, zero).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(rig.store.limits(&q).await.unwrap(), both, "the refused one changes nothing");
    }
}

/// `QUEUE-LIMITS-2`
pub async fn queue_limits_2(rig: Queue) {
    let limits = QueueLimits { max_in_flight: Some(5), rate: None };
    rig.store.set_limits(&queue(&rig, "limited"), limits).await.unwrap();
    for q in [queue(&rig, "q"), QueueId::new(other_tenant(), name("limited"))] {
        assert_eq!(rig.store.limits(&q).await.unwrap(), QueueLimits::default());
    }
}

/// `QUEUE-SCHED-1`
pub async fn queue_sched_1(rig: Queue) {
    let q = queue(&rig, "q");
    let put = |schedule: Schedule, expected| rig.store.put_schedule(&q, schedule, expected);
    let first = schedule(&rig, "s", None);
    let one = put(first.clone(), 0).await.unwrap();
    assert!(one > 0);
    assert_eq!(put(first.clone(), 0).await.unwrap(), one, "a repeat");
    let other = Schedule { spec: json!("other"), ..first.clone() };
    for wrong in [0, one + 1, u64::from(u32::MAX)] {
        let error = put(other.clone(), wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
    assert_eq!(all(&rig, &q, 10).await, [Schedule { version: one, ..first.clone() }]);
    let two = put(other.clone(), one).await.unwrap();
    assert!(two > one);
    assert_eq!(all(&rig, &q, 10).await, [Schedule { version: two, ..other.clone() }]);
    // Of many at once one wins.
    let racers = (0..8).map(|i| put(Schedule { spec: json!(i), ..first.clone() }, two));
    let won = join_all(racers).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
    // Over a delete versions go on.
    assert!(rig.store.delete_schedule(&q, &first.name).await.unwrap());
    assert_eq!(put(other.clone(), two).await.unwrap_err().kind(), ErrorKind::Conflict);
    let again = put(first.clone(), 0).await.unwrap();
    assert!(again > two + 1, "{again} after {two}");
    let nul = Schedule { spec: json!("\u{0}"), ..first };
    assert_eq!(put(nul, again).await.unwrap_err().kind(), ErrorKind::Invalid);
}

/// `QUEUE-SCHED-2`
pub async fn queue_sched_2(rig: Queue) {
    let q = queue(&rig, "q");
    let now = rig.clock.now().await;
    let due = schedule(&rig, "s", Some(now));
    assert!(!rig.store.delete_schedule(&q, &due.name).await.unwrap(), "none there");
    let version = rig.store.put_schedule(&q, due.clone(), 0).await.unwrap();
    assert!(rig.other.delete_schedule(&q, &due.name).await.unwrap());
    assert!(!rig.other.delete_schedule(&q, &due.name).await.unwrap());
    assert_eq!(all(&rig, &q, 10).await, []);
    for version in [version, version + 1] {
        let fired = rig.store.fire(&q, &due.name, version, command(&rig, "s"), None).await.unwrap();
        assert_eq!(fired, Fired::Lost);
    }
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
}

/// `QUEUE-SCHED-3`
pub async fn queue_sched_3(rig: Queue) {
    let q = queue(&rig, "q");
    let now = rig.clock.now().await;
    let mut put = Vec::new();
    for text in awkward_names() {
        let next_at = Some(now.plus(rig.span(1_000)));
        let schedule = schedule(&rig, text.as_str(), next_at);
        let version = rig.store.put_schedule(&q, schedule.clone(), 0).await.unwrap();
        put.push(Schedule { version, ..schedule });
    }
    let elsewhere = schedule(&rig, "elsewhere", None);
    rig.store.put_schedule(&queue(&rig, "other"), elsewhere, 0).await.unwrap();
    let mut got = all(&rig, &q, 7).await;
    got.sort_by(|a, b| a.name.cmp(&b.name));
    put.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(got, put, "each exactly once, as put");
    let foreign = rig.store.schedules(&q, Some(Cursor("no cursor".into())), Limit::default()).await;
    assert_eq!(foreign.unwrap_err().kind(), ErrorKind::Invalid);
}

/// `QUEUE-SCHED-4`
pub async fn queue_sched_4(rig: Queue) {
    let q = queue(&rig, "q");
    let now = rig.clock.now().await;
    let fire = |name: &str, version, id, next_at| {
        let fired = NewCommand { id, ..schedule(&rig, name, None).template };
        let (store, q, name) = (rig.other.clone(), q.clone(), crate::name(name));
        async move { store.fire(&q, &name, version, fired, next_at).await.unwrap() }
    };
    let fresh = || CommandId(Uuid::new_v4());
    assert_eq!(fire("s", 1, fresh(), None).await, Fired::Lost, "no such schedule");
    let due = schedule(&rig, "s", Some(now.plus(rig.span(5))));
    let version = rig.store.put_schedule(&q, due.clone(), 0).await.unwrap();
    rig.clock.advance(4).await;
    assert_eq!(fire("s", version, fresh(), None).await, Fired::Lost, "before its time");
    rig.clock.advance(1).await;
    assert_eq!(fire("s", version + 1, fresh(), None).await, Fired::Lost, "another version");

    let next = Some(now.plus(rig.span(10)));
    let racers: Vec<_> = (0..10).map(|_| fresh()).collect();
    let fired = join_all(racers.iter().map(|id| fire("s", version, *id, next))).await;
    let winners: Vec<_> =
        racers.iter().zip(&fired).filter(|(_, fired)| **fired == Fired::Enqueued).collect();
    assert_eq!(winners.len(), 1, "exactly one fires");
    let winner = *winners[0].0;
    assert_eq!(fire("s", version, winner, next).await, Fired::Enqueued, "a repeat");
    let leased = take(&rig, &rig.store, &q, 10).await;
    assert_eq!((payloads(&leased), ids(&leased)), (vec!["s".into()], BTreeSet::from([winner])));
    assert_eq!(leased[0].group, Some(name("g")));
    let kept = all(&rig, &q, 10).await;
    assert_eq!((kept[0].next_at, kept[0].version > version), (next, true));

    // The last time: it stays and fires no more.
    rig.clock.advance(5).await;
    let fired = fire("s", kept[0].version, fresh(), None).await;
    assert_eq!(fired, Fired::Enqueued);
    let kept = all(&rig, &q, 10).await;
    assert_eq!(kept[0].next_at, None);
    rig.clock.advance(100).await;
    assert_eq!(fire("s", kept[0].version, fresh(), None).await, Fired::Lost);
}

/// `QUEUE-SCHED-5`
pub async fn queue_sched_5(rig: Queue) {
    let q = queue(&rig, "q");
    let now = rig.clock.now().await;
    let due = schedule(&rig, "s", Some(now));
    let version = rig.store.put_schedule(&q, due.clone(), 0).await.unwrap();
    let given = NewCommand { headers: json!({"at": "noon"}), ..command(&rig, "not the template") };
    for bad in [
        NewCommand { payload: vec![0; BYTES_LIMIT + 1], ..given.clone() },
        NewCommand { headers: json!("\u{0}"), ..given.clone() },
    ] {
        let refused = rig.store.fire(&q, &due.name, version, bad, None).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(all(&rig, &q, 10).await, [Schedule { version, ..due.clone() }], "it stays");
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
    let fired = rig.store.fire(&q, &due.name, version, given.clone(), None).await.unwrap();
    assert_eq!(fired, Fired::Enqueued);
    let leased = take(&rig, &rig.store, &q, 10).await;
    assert_eq!(payloads(&leased), ["not the template"]);
    assert_eq!((leased[0].id, &leased[0].headers), (given.id, &given.headers));
}
