//! Recurring commands over the in-process store: who fires, what is missed, what a put leaves alone.

#![cfg(feature = "cron")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, MemoryOutbox, MemoryQueue};
use hexmem_command_queue::{
    Commands, Missed, NewSchedule, PushOptions, Recurrence, Scheduler, SchedulerReport,
};
use hexmem_ports::{
    BYTES_LIMIT, Clock as _, CommandId, ErrorKind, Leased, Limit, Name, QueueId, Schedule, Tenant,
    Timestamp, Ttl, WhenIdle,
};
use serde_json::json;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn commands(start: &str) -> (Commands, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    clock.set(at(start));
    let store = Arc::new(MemoryQueue::new(clock.clone(), MemoryOutbox::new(clock.clone())));
    let queue = QueueId::new(Tenant(name("t")), name("q"));
    (Commands::new(store, clock.clone(), queue), clock)
}

fn hourly(missed: Missed) -> NewSchedule {
    let rule = Recurrence::cron("0 * * * *", "UTC").unwrap();
    NewSchedule { missed, ..NewSchedule::new(name("report"), rule, "payload") }
}

async fn take(commands: &Commands) -> Vec<Leased> {
    let (max, held) = (Limit::new(100).unwrap(), Ttl::secs(600).unwrap());
    commands.lease(&name("w"), max, held, Duration::ZERO).await.unwrap()
}

/// The hours for which commands came.
async fn hours(commands: &Commands) -> Vec<String> {
    let hour = |one: &Leased| one.headers["schedule"]["at"].as_str().unwrap()[11..16].to_owned();
    take(commands).await.iter().map(hour).collect()
}

async fn fire(commands: &Commands) -> (SchedulerReport, Option<Timestamp>) {
    let mut report = SchedulerReport::default();
    let next = Scheduler::new(vec![commands.clone()]).fire_due(&mut report).await.unwrap();
    (report, next)
}

#[tokio::test]
async fn each_time_fires_once_however_many_schedulers_run() {
    let (commands, clock) = commands("2026-01-01T00:30:00Z");
    let put = commands.put_schedule(hourly(Missed::One)).await.unwrap();
    assert_eq!(put.next_at, Some(at("2026-01-01T01:00:00Z")));
    let schedulers = [(); 3].map(|()| Scheduler::new(vec![commands.clone()]));
    let stop = clock.sleep(Duration::from_secs(3 * 3_600));
    let stop = futures::FutureExt::shared(stop);
    let runs = schedulers.iter().map(|scheduler| scheduler.run(stop.clone()));
    let drive = async {
        for _ in 0..4 * 360 {
            clock.advance(Duration::from_secs(10));
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    };
    let (reports, ()) = tokio::join!(futures::future::try_join_all(runs), drive);
    let reports = reports.unwrap();
    assert_eq!(reports.iter().map(|report| report.fired).sum::<u64>(), 3, "{reports:?}");
    assert_eq!(hours(&commands).await, ["01:00", "02:00", "03:00"]);
}

#[tokio::test]
async fn missed_times_follow_their_policy() {
    let late = |later_than| Missed::Skip { later_than: Ttl::secs(later_than).unwrap() };
    for (missed, expected, skipped) in [
        (Missed::One, vec!["05:00"], 0),
        (Missed::All { most: 3 }, vec!["03:00", "04:00", "05:00"], 0),
        (Missed::All { most: 9 }, vec!["01:00", "02:00", "03:00", "04:00", "05:00"], 0),
        (late(60), vec![], 1),
        (late(3_600), vec!["05:00"], 0),
    ] {
        let (commands, clock) = commands("2026-01-01T00:30:00Z");
        commands.put_schedule(hourly(missed)).await.unwrap();
        assert_eq!(fire(&commands).await.0, SchedulerReport::default(), "before its time");
        clock.advance(Duration::from_secs(5 * 3_600));
        let (report, next) = fire(&commands).await;
        assert_eq!(hours(&commands).await, expected, "{missed:?}");
        assert_eq!(report.skipped, skipped, "{missed:?}");
        assert_eq!(next, Some(at("2026-01-01T06:00:00Z")), "{missed:?}");
        assert_eq!(fire(&commands).await.0, SchedulerReport::default(), "{missed:?}: once");
    }
}

#[tokio::test]
async fn a_put_at_each_start_changes_nothing_and_a_new_rule_does() {
    let (commands, clock) = commands("2026-01-01T00:30:00Z");
    let first = commands.put_schedule(hourly(Missed::One)).await.unwrap();
    clock.advance(Duration::from_secs(3_600));
    let again = commands.put_schedule(hourly(Missed::One)).await.unwrap();
    assert_eq!(again, first, "also when it is due: the missed time is not lost");
    let each = |from: &str| {
        let rule = Recurrence::every(Ttl::secs(90).unwrap(), at(from));
        NewSchedule::new(name("each"), rule, "")
    };
    let first = commands.put_schedule(each("2026-01-01T00:00:00Z")).await.unwrap();
    let again = commands.put_schedule(each("2026-01-01T00:00:07Z")).await.unwrap();
    assert_eq!(again, first, "a span goes on as it was counted");

    let daily = Recurrence::cron("0 9 * * *", "Asia/Tokyo").unwrap();
    let changed = NewSchedule { recurrence: daily, ..hourly(Missed::One) };
    let changed = commands.put_schedule(changed).await.unwrap();
    assert_eq!(changed.next_at, Some(at("2026-01-02T00:00:00Z")));
    assert_eq!(commands.schedule(&name("report")).await.unwrap(), Some(changed));
    assert!(commands.remove_schedule(&name("report")).await.unwrap());
    assert!(!commands.remove_schedule(&name("report")).await.unwrap());
    assert_eq!(commands.schedule(&name("report")).await.unwrap(), None);
    // What was removed can be put again.
    assert!(commands.put_schedule(hourly(Missed::One)).await.is_ok());
}

#[tokio::test]
async fn a_firing_has_its_own_deadline_headers_and_id() {
    let (commands, clock) = commands("2026-01-01T00:59:00Z");
    let options = PushOptions {
        within: Some(Ttl::secs(600).unwrap()),
        headers: json!({ "trace": 7 }),
        group: Some(name("g")),
        ..PushOptions::default()
    };
    let schedule = NewSchedule { options, ..hourly(Missed::One) };
    commands.put_schedule(schedule).await.unwrap();
    clock.advance(Duration::from_secs(120));
    fire(&commands).await;
    let fired = take(&commands).await.remove(0);
    assert_eq!(fired.deadline, Some(at("2026-01-01T01:11:00Z")), "from the firing");
    let due = "2026-01-01T01:00:00.000000Z";
    let headers = json!({ "trace": 7, "schedule": { "name": "report", "at": due } });
    assert_eq!((fired.headers, fired.payload), (headers, b"payload".to_vec()));
    let millis = fired.id.0.get_timestamp().unwrap().to_unix();
    assert_eq!(i64::try_from(millis.0).unwrap() * 1_000_000, at(due).as_micros());
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let (commands, clock) = commands("2026-01-01T00:30:00Z");
    let with = |options| NewSchedule { options, ..hourly(Missed::One) };
    let id = Some(CommandId(uuid::Uuid::new_v4()));
    for wrong in [
        with(PushOptions { id, ..PushOptions::default() }),
        with(PushOptions { deadline: Some(at("2027-01-01")), ..PushOptions::default() }),
        with(PushOptions {
            when_idle: WhenIdle::Refuse(Ttl::secs(1).unwrap()),
            ..PushOptions::default()
        }),
        with(PushOptions { headers: json!("\u{0}"), ..PushOptions::default() }),
        hourly(Missed::All { most: 0 }),
        NewSchedule { payload: vec![0; BYTES_LIMIT + 1], ..hourly(Missed::One) },
    ] {
        let error = commands.put_schedule(wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert!(commands.schedules(None, Limit::default()).await.unwrap().items.is_empty());

    // One that cannot be read does not stop the others.
    commands.put_schedule(hourly(Missed::One)).await.unwrap();
    let kept = commands.schedules(None, Limit::default()).await.unwrap().items.remove(0);
    let foreign = Schedule { name: name("a foreign one"), spec: json!("?"), version: 0, ..kept };
    commands.store().put_schedule(commands.queue(), foreign, 0).await.unwrap();
    clock.advance(Duration::from_secs(3_600));
    let (report, _) = fire(&commands).await;
    assert_eq!((report.fired, report.unreadable), (1, 1));
}
