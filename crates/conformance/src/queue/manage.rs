//! Dead letters, counts, listings, sweeping.

use std::collections::BTreeSet;
use std::time::Duration;

use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{
    CommandId, CommandState, CommandView, Cursor, DeadLetters, Dedupe, ErrorKind, Limit, Name,
    NewCommand, Prefix, QueueId, QueueLimits, QueueStats, Tenant, Verdict,
};
use uuid::Uuid;

use super::{
    Queue, ack, assert_dead_lease, bury, command, failure, payloads, push, queue, state, take,
    take_one,
};
use crate::{awkward_names, name, other_tenant};

async fn dead_letters(rig: &Queue, q: &QueueId, rows: u32) -> Vec<CommandView> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = rig.store.dead(q, cursor, Limit::new(rows).unwrap()).await.unwrap();
        assert!(page.items.len() <= rows as usize);
        all.extend(page.items);
        assert!(all.len() < 10_000, "the listing does not end");
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// `QUEUE-DEAD-1`
pub async fn queue_dead_1(rig: Queue) {
    let q = queue(&rig, "q");
    assert_eq!(dead_letters(&rig, &q, 10).await, []);
    let mut buried = BTreeSet::new();
    for i in 0..25 {
        buried.insert(bury(&rig, &q, &i.to_string(), &format!("error {i}")).await);
    }
    bury(&rig, &queue(&rig, "other"), "x", "x").await;
    let all = dead_letters(&rig, &q, 4).await;
    assert_eq!(all.len(), 25);
    assert_eq!(all.iter().map(|view| view.id).collect::<BTreeSet<_>>(), buried);
    for view in &all {
        let number = String::from_utf8(view.payload.clone()).unwrap();
        assert_eq!(view.last_error, Some(format!("error {number}")));
        assert_eq!(rig.other.view(&q, view.id).await.unwrap().as_ref(), Some(view));
    }
    // While others come and go.
    let (mut seen, mut cursor, mut round) = (Vec::new(), None, 0);
    loop {
        let page = rig.store.dead(&q, cursor, Limit::new(4).unwrap()).await.unwrap();
        seen.extend(page.items.iter().map(|view| view.id));
        bury(&rig, &q, "new", "e").await;
        if round == 1 {
            let gone = DeadLetters::Only(seen[..2].to_vec());
            rig.other.purge(&q, gone).await.unwrap();
        }
        round += 1;
        cursor = page.next;
        if cursor.is_none() || round > 100 {
            break;
        }
    }
    assert!(round <= 40, "the listing does not end");
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "one twice");
    assert!(buried.iter().all(|id| seen.contains(id)), "each that was there throughout");
    let foreign = rig.store.dead(&q, Some(Cursor("no cursor".into())), Limit::default()).await;
    assert_eq!(foreign.unwrap_err().kind(), ErrorKind::Invalid);
}

/// `QUEUE-REQUEUE-1`
pub async fn queue_requeue_1(rig: Queue) {
    let q = queue(&rig, "q");
    let retry = RetryPolicy { max_attempts: 1, ..command(&rig, "").retry };
    let deadline = Some(rig.clock.now().await.plus(rig.span(5)));
    let mortal = NewCommand { retry, deadline, ..command(&rig, "mortal") };
    push(&rig.store, &q, [mortal.clone()]).await;
    let old = take_one(&rig, &q).await;
    rig.store.fail(&q, &old.lease, failure("e", Verdict::Retry)).await.unwrap();
    rig.clock.advance(5).await;
    let second = bury(&rig, &q, "second", "e").await;
    let third = bury(&rig, &q, "third", "e").await;
    push(&rig.store, &q, [command(&rig, "waiting")]).await;
    let waiting = take_one(&rig, &q).await;

    let chosen = vec![mortal.id, mortal.id, waiting.id, CommandId(Uuid::new_v4())];
    let count = rig.other.requeue(&q, DeadLetters::Only(chosen)).await.unwrap();
    assert_eq!(count, 1, "only what is dead counts, once");
    assert_dead_lease(&rig, &q, &old.lease).await;
    let again = take(&rig, &rig.store, &q, 10).await;
    assert_eq!(payloads(&again), ["mortal"], "without its deadline, ready at once");
    assert_eq!((again[0].attempt, again[0].deadline), (1, None));
    ack(&rig.store, &q, again[0].lease, "at last").await.unwrap();
    assert_eq!(state(&rig, &q, mortal.id).await, Some(CommandState::Completed));

    assert_eq!(rig.store.requeue(&q, DeadLetters::All).await.unwrap(), 2);
    assert_eq!(rig.store.requeue(&q, DeadLetters::All).await.unwrap(), 0);
    assert_eq!(dead_letters(&rig, &q, 10).await, []);
    let again: BTreeSet<_> =
        take(&rig, &rig.store, &q, 10).await.into_iter().map(|one| (one.id, one.attempt)).collect();
    assert_eq!(again, BTreeSet::from([(second, 1), (third, 1)]));
    assert_eq!(rig.store.requeue(&queue(&rig, "none"), DeadLetters::All).await.unwrap(), 0);

    // Back in its group, behind those that wait, and never beside the one that runs.
    let q = queue(&rig, "group");
    let of = |text: &str| NewCommand { group: Some(name("g")), ..command(&rig, text) };
    push(&rig.store, &q, [of("1"), of("2"), of("3")]).await;
    let one = take_one(&rig, &q).await;
    rig.store.fail(&q, &one.lease, failure("e", Verdict::Dead)).await.unwrap();
    let two = take_one(&rig, &q).await;
    assert_eq!(rig.store.requeue(&q, DeadLetters::All).await.unwrap(), 1);
    assert_eq!(take(&rig, &rig.store, &q, 10).await, []);
    ack(&rig.store, &q, two.lease, "").await.unwrap();
    let three = take_one(&rig, &q).await;
    assert_eq!(three.payload, b"3");
    ack(&rig.store, &q, three.lease, "").await.unwrap();
    assert_eq!(take_one(&rig, &q).await.payload, b"1");
}

/// `QUEUE-PURGE-1`
pub async fn queue_purge_1(rig: Queue) {
    let q = queue(&rig, "q");
    let mut buried = Vec::new();
    for i in 0..4 {
        buried.push(bury(&rig, &q, &i.to_string(), "e").await);
    }
    push(&rig.store, &q, [command(&rig, "alive")]).await;
    let chosen = DeadLetters::Only(vec![buried[0], buried[0], CommandId(Uuid::new_v4())]);
    assert_eq!(rig.other.purge(&q, chosen.clone()).await.unwrap(), 1);
    assert_eq!(rig.store.purge(&q, chosen).await.unwrap(), 0);
    assert_eq!(state(&rig, &q, buried[0]).await, None);
    assert_eq!(rig.store.result(&q, buried[0], Duration::ZERO).await.unwrap(), None);
    let left: Vec<_> = dead_letters(&rig, &q, 10).await.iter().map(|view| view.id).collect();
    assert_eq!(left.iter().collect::<BTreeSet<_>>(), buried[1..].iter().collect());
    let only = DeadLetters::Only(vec![buried[0]]);
    assert_eq!(rig.store.requeue(&q, only).await.unwrap(), 0, "gone for good");
    assert_eq!(rig.store.purge(&q, DeadLetters::All).await.unwrap(), 3);
    assert_eq!(dead_letters(&rig, &q, 10).await, []);
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 10).await), ["alive"], "others stay");
    // A purged id is free: a new command may have it.
    push(&rig.store, &q, [NewCommand { id: buried[0], ..command(&rig, "new") }]).await;
    assert_eq!(payloads(&take(&rig, &rig.store, &q, 10).await), ["new"]);
}

/// `QUEUE-STATS-1`
pub async fn queue_stats_1(rig: Queue) {
    let q = queue(&rig, "q");
    let stats = || rig.other.stats(&q);
    assert_eq!(stats().await.unwrap(), QueueStats::default());
    let delayed = NewCommand { delay: Some(rig.ttl(5)), ..command(&rig, "later") };
    let group = |text: &str| NewCommand { group: Some(name("g")), ..command(&rig, text) };
    push(&rig.store, &q, [delayed, group("g1"), group("g2"), command(&rig, "a")]).await;
    let first = stats().await.unwrap();
    assert_eq!((first.ready, first.delayed, first.in_flight), (3, 1, 0));
    assert_eq!((first.dead, first.results, first.consumers), (0, 0, 0));
    rig.clock.advance(2).await;
    let oldest = stats().await.unwrap().oldest_ready.expect("some are ready");
    assert!(oldest >= rig.span(2) && oldest < rig.span(4), "{oldest:?}");

    bury(&rig, &q, "dead", "e").await;
    let leased = take(&rig, &rig.store, &q, 10).await;
    assert_eq!(payloads(&leased), ["g1", "a"]);
    ack(&rig.store, &q, leased[1].lease, "").await.unwrap();
    let second = stats().await.unwrap();
    assert_eq!((second.ready, second.delayed, second.in_flight), (1, 1, 1));
    assert_eq!((second.dead, second.results, second.consumers), (1, 1, 1));
    // Time alone: the delay ends, the lease runs out, the result goes.
    rig.clock.advance(20).await;
    let third = stats().await.unwrap();
    assert_eq!((third.ready, third.delayed, third.in_flight), (3, 0, 0));
    assert_eq!((third.dead, third.results), (1, 0));
    let minute = u32::try_from(60_000_000 / rig.clock.unit().as_micros()).unwrap();
    if minute <= 600 {
        rig.clock.advance(minute).await;
        assert_eq!(stats().await.unwrap().consumers, 0, "nobody was seen for a minute");
    }
    let foreign = QueueId::new(other_tenant(), name("q"));
    assert_eq!(rig.store.stats(&foreign).await.unwrap(), QueueStats::default());
}

async fn names(rig: &Queue, tenant: &Tenant, prefix: &str, rows: u32) -> Vec<Name> {
    let (mut all, mut cursor) = (Vec::new(), None);
    let prefix = Prefix::new(prefix).unwrap();
    loop {
        let page =
            rig.store.list(tenant, &prefix, cursor, Limit::new(rows).unwrap()).await.unwrap();
        assert!(page.items.len() <= rows as usize);
        all.extend(page.items);
        assert!(all.len() < 10_000, "the listing does not end");
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// `QUEUE-LIST-1`
pub async fn queue_list_1(rig: Queue) {
    assert_eq!(names(&rig, &rig.tenant, "", 10).await, []);
    let mut expected = awkward_names();
    for text in &expected {
        push(&rig.store, &queue(&rig, text.as_str()), [command(&rig, "a")]).await;
    }
    // Limits alone and a schedule alone make a queue; a look at one does not.
    let limits = QueueLimits { max_in_flight: Some(1), rate: None };
    rig.store.set_limits(&queue(&rig, "limited"), limits).await.unwrap();
    take(&rig, &rig.store, &queue(&rig, "looked at"), 1).await;
    expected.push(name("limited"));
    let scheduled = super::schedules::schedule(&rig, "s", None);
    rig.store.put_schedule(&queue(&rig, "scheduled"), scheduled, 0).await.unwrap();
    expected.push(name("scheduled"));
    let foreign = other_tenant();
    push(&rig.store, &QueueId::new(foreign.clone(), name("theirs")), [command(&rig, "a")]).await;

    expected.sort();
    let mut all = names(&rig, &rig.tenant, "", 7).await;
    all.sort();
    assert_eq!(all, expected);
    assert_eq!(names(&rig, &foreign, "", 7).await, [name("theirs")]);
    for prefix in ["a", "%", "_", "*", "x", "日"] {
        let mut some = names(&rig, &rig.tenant, prefix, 7).await;
        some.sort();
        let literal: Vec<_> =
            expected.iter().filter(|n| n.as_str().starts_with(prefix)).cloned().collect();
        assert_eq!(some, literal, "the prefix {prefix:?} is literal");
    }
    // A queue whose last trace is gone is not listed.
    let q = queue(&rig, "looked at");
    push(&rig.store, &q, [command(&rig, "a")]).await;
    let leased = take_one(&rig, &q).await;
    ack(&rig.store, &q, leased.lease, "").await.unwrap();
    assert!(names(&rig, &rig.tenant, "looked", 7).await.contains(&q.name));
    rig.clock.advance(20).await;
    assert_eq!(names(&rig, &rig.tenant, "looked", 7).await, []);
}

/// `QUEUE-SWEEP-1`
pub async fn queue_sweep_1(rig: Queue) {
    let q = queue(&rig, "q");
    let deadline = Some(rig.clock.now().await.plus(rig.span(4)));
    let mut sent: Vec<_> = (0..4).map(|i| command(&rig, &i.to_string())).collect();
    let last = RetryPolicy { max_attempts: 1, ..command(&rig, "").retry };
    sent.push(NewCommand { retry: last, ..command(&rig, "last attempt") });
    let dedupe = Some(Dedupe { key: name("k"), window: rig.ttl(7) });
    sent.push(NewCommand { dedupe, ..command(&rig, "deduped") });
    push(&rig.store, &q, sent.clone()).await;
    let leased = take(&rig, &rig.store, &q, 10).await;
    ack(&rig.store, &q, leased[0].lease, "done").await.unwrap();
    rig.store.fail(&q, &leased[1].lease, failure("e", Verdict::Dead)).await.unwrap();
    let mortal = NewCommand { deadline, ..command(&rig, "mortal") };
    let delayed = NewCommand { delay: Some(rig.ttl(8)), ..command(&rig, "delayed") };
    sent.extend([mortal, delayed]);
    push(&rig.store, &q, sent[6..].to_vec()).await;

    let snapshot = || async {
        let mut views = Vec::new();
        for one in &sent {
            views.push(rig.other.view(&q, one.id).await.unwrap());
        }
        let dead = rig.other.dead(&q, None, Limit::default()).await.unwrap().items;
        let stats = rig.other.stats(&q).await.unwrap();
        (views, dead, (stats.ready, stats.delayed, stats.in_flight, stats.dead, stats.results))
    };
    let one = Limit::new(1).unwrap();
    for _ in 0..4 {
        let before = snapshot().await;
        let mut rounds = 0;
        loop {
            let swept = rig.store.sweep(one).await.unwrap();
            assert!(swept <= 1, "at most the limit");
            if swept == 0 {
                break;
            }
            rounds += 1;
            assert!(rounds < 1_000, "it does not end at 0");
        }
        assert_eq!(snapshot().await, before, "a reader can tell");
        rig.clock.advance(6).await;
    }
    let keys: Vec<_> = payloads(&take(&rig, &rig.store, &q, 10).await).into_iter().collect();
    assert_eq!(keys, ["2", "3", "deduped", "delayed"]);
}
