//! The worker over the in-process store: what it promises about stops, panics, cancels and lost leases.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod worker_counting;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use hexmem_adapter_memory::{ManualClock, MemoryOutbox, MemoryQueue};
use hexmem_command_queue::{
    Commands, Job, JobError, JobResult, PushOptions, Pushed, Relay, RelayReport, WhenCancelled,
    WhenStopping, Worker, WorkerOptions, WorkerReport, no_other_effects,
};
use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{
    CommandId, CommandState, DeadLetters, Dedupe, ErrorKind, Limit, Name, QueueId, Tenant, Ttl,
    WhenIdle,
};
use tokio::sync::oneshot;
use worker_counting::Counting;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn commands() -> (Commands, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let store = Arc::new(MemoryQueue::new(clock.clone(), MemoryOutbox::new(clock.clone())));
    let queue = QueueId::new(Tenant(name("t")), name("q"));
    (Commands::new(store, clock.clone(), queue), clock)
}

fn options(concurrency: u32) -> WorkerOptions {
    WorkerOptions {
        concurrency: Limit::new(concurrency).unwrap(),
        visibility: Ttl::secs(30).unwrap(),
        ..WorkerOptions::default()
    }
}

fn retry_at_once(max_attempts: u32) -> PushOptions {
    let retry = RetryPolicy { max_attempts, base_ms: 0, cap_ms: 0, jitter_percent: 0 };
    PushOptions { retry, ..PushOptions::default() }
}

async fn push(commands: &Commands, payload: &str, options: &PushOptions) -> CommandId {
    commands.push(payload, options).await.unwrap().id()
}

/// Lets a condition become true while others run; the clock stands still.
async fn until(mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..10_000 {
        if done().await {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it does not happen");
}

/// Runs the worker until `stop` ends; then the clock goes on, so that the last wait for work ends too.
async fn run<H, F>(
    worker: &Worker,
    clock: &ManualClock,
    handler: H,
    stop: impl Future<Output = ()>,
) -> WorkerReport
where
    H: Fn(Job) -> F,
    F: Future<Output = JobResult>,
{
    let stopped = AtomicBool::new(false);
    let stop = async {
        stop.await;
        stopped.store(true, Ordering::Relaxed);
    };
    let mut run = pin!(worker.run(handler, stop));
    for _ in 0..1_000_000 {
        tokio::select! {
            biased;
            report = &mut run => return report.unwrap(),
            () = tokio::task::yield_now() => {}
        }
        if stopped.load(Ordering::Relaxed) {
            clock.advance(Duration::from_millis(100));
        }
    }
    panic!("the worker does not stop");
}

async fn ended(commands: &Commands, id: CommandId) -> Option<CommandState> {
    commands.result(id).await.unwrap().map(|result| result.state)
}

#[tokio::test]
async fn a_panic_fails_its_attempt_and_nothing_else() {
    let (commands, clock) = commands();
    let bad = push(&commands, "panic", &retry_at_once(2)).await;
    let worse = push(&commands, "early", &retry_at_once(2)).await;
    let good = push(&commands, "good", &retry_at_once(2)).await;
    let worker = Worker::new(commands.clone(), options(2));
    let handler = |job: Job| {
        assert!(job.payload() != b"early", "before the first await");
        async move {
            assert!(job.payload() != b"panic", "in the middle");
            Ok::<_, JobError>(Some(b"done".to_vec()))
        }
    };
    let stop = until(async || {
        let mut all = true;
        for id in [bad, worse, good] {
            all &= ended(&commands, id).await.is_some();
        }
        all
    });
    let report = run(&worker, &clock, handler, stop).await;
    assert_eq!((report.completed, report.retried, report.dead), (1, 2, 2));
    for (id, text) in [(bad, "in the middle"), (worse, "before the first await")] {
        let result = commands.result(id).await.unwrap().unwrap();
        assert_eq!((result.state, result.attempts), (CommandState::Dead, 2));
        assert!(result.error.unwrap().contains(text));
    }
    assert_eq!(commands.requeue(DeadLetters::All).await.unwrap(), 2);
}

#[tokio::test]
async fn heartbeats_keep_a_lease_alive_and_a_cancel_ends_the_handler() {
    for when_cancelled in [WhenCancelled::Drop, WhenCancelled::Tell] {
        let (commands, clock) = commands();
        let id = push(&commands, "long", &retry_at_once(2)).await;
        let worker = Worker::new(commands.clone(), WorkerOptions { when_cancelled, ..options(1) });
        let handler = |job: Job| async move {
            assert!(!job.is_cancelled());
            job.cancelled().await;
            Err(JobError::retry("stopped as asked"))
        };
        let drive = async {
            until(async || commands.stats().await.unwrap().in_flight == 1).await;
            for _ in 0..12 {
                let before = commands.view(id).await.unwrap().unwrap().leased_until;
                clock.advance(Duration::from_secs(10));
                until(async || commands.view(id).await.unwrap().unwrap().leased_until > before)
                    .await;
            }
            assert_eq!(commands.view(id).await.unwrap().unwrap().attempts, 1);
            commands.cancel(id).await.unwrap();
            clock.advance(Duration::from_secs(10));
            until(async || ended(&commands, id).await.is_some()).await;
        };
        let report = run(&worker, &clock, handler, drive).await;
        assert_eq!(report.cancelled, 1, "{when_cancelled:?}");
        assert_eq!(ended(&commands, id).await, Some(CommandState::Cancelled));
    }
}

#[tokio::test]
async fn a_stop_finishes_or_hands_back() {
    let cases = [
        (WhenStopping::Finish, 2, 0),
        (WhenStopping::HandBack, 0, 2),
        (WhenStopping::FinishWithin(Duration::from_secs(5)), 0, 2),
    ];
    for (when_stopping, completed, handed_back) in cases {
        let (commands, clock) = commands();
        let ids = [
            push(&commands, "a", &retry_at_once(1)).await,
            push(&commands, "b", &retry_at_once(1)).await,
        ];
        let worker = Worker::new(commands.clone(), WorkerOptions { when_stopping, ..options(2) });
        let (stop, stopped) = oneshot::channel::<()>();
        let slow = |_: Job| {
            let clock = clock.clone();
            async move {
                hexmem_ports::Clock::sleep(&*clock, Duration::from_secs(8)).await;
                Ok::<_, JobError>(None)
            }
        };
        let stopped = async {
            let _ = stopped.await;
        };
        let drive = async {
            until(async || commands.stats().await.unwrap().in_flight == 2).await;
            stop.send(()).unwrap();
            for _ in 0..10 {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                clock.advance(Duration::from_secs(1));
            }
        };
        let (report, ()) = tokio::join!(worker.run(slow, stopped), drive);
        let report = report.unwrap();
        let counts = (report.completed, report.handed_back);
        assert_eq!(counts, (completed, handed_back), "{when_stopping:?}");
        for id in ids {
            let view = commands.view(id).await.unwrap().unwrap();
            let attempts = if completed > 0 { 1 } else { 0 };
            assert_eq!(view.attempts, attempts, "what is handed back does not count");
        }
    }
}

#[tokio::test]
async fn who_comes_late_learns_that_the_delivery_is_lost() {
    let (commands, clock) = commands();
    let id = push(&commands, "a", &retry_at_once(5)).await;
    let worker = Worker::new(commands.clone(), options(1));
    let runs = AtomicU32::new(0);
    let handler = |_: Job| {
        let first = runs.fetch_add(1, Ordering::Relaxed) == 0;
        let clock = clock.clone();
        async move {
            if first {
                // As if the machine had slept: the clock jumps before any heartbeat could go out.
                clock.advance(Duration::from_secs(31));
            }
            JobResult::Ok(Some(if first { b"late".to_vec() } else { b"in time".to_vec() }))
        }
    };
    let stop = until(async || ended(&commands, id).await.is_some());
    let report = run(&worker, &clock, handler, stop).await;
    assert_eq!((report.lost, report.completed), (1, 1));
    let result = commands.result(id).await.unwrap().unwrap();
    assert_eq!((result.attempts, result.result), (2, Some(b"in time".to_vec())));
}

#[tokio::test]
async fn a_bad_payload_is_dead_at_once_and_json_comes_back() {
    let (commands, clock) = commands();
    let bad = push(&commands, "no json", &PushOptions::default()).await;
    let good = commands.push_json(&[1, 2, 3], &PushOptions::default()).await.unwrap().id();
    let worker = Worker::new(commands.clone(), options(4));
    let handler = |job: Job| async move {
        let numbers: Vec<i64> = job.json()?;
        job.progress(serde_json::json!({"of": numbers.len()})).await?;
        Ok(Some(numbers.iter().sum::<i64>().to_string().into_bytes()))
    };
    let stop = until(async || {
        ended(&commands, bad).await.is_some() && ended(&commands, good).await.is_some()
    });
    run(&worker, &clock, handler, stop).await;
    let sum: Option<i64> = commands.await_json(good, Duration::ZERO).await.unwrap();
    assert_eq!(sum, Some(6));
    let error = commands.await_json::<i64>(bad, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(commands.stats().await.unwrap().dead, 1);
}

#[tokio::test]
async fn pushes_say_what_became_of_them() {
    let (commands, _) = commands();
    let dedupe = Some(Dedupe { key: name("k"), window: Ttl::secs(60).unwrap() });
    let once = PushOptions { dedupe, ..PushOptions::default() };
    let first = commands.push("a", &once).await.unwrap();
    assert!(matches!(first, Pushed::Queued(_)));
    assert_eq!(commands.push("a", &once).await.unwrap(), Pushed::Duplicate(first.id()));
    let when_idle = WhenIdle::Refuse(Ttl::secs(5).unwrap());
    let now_or_never = PushOptions { when_idle, ..PushOptions::default() };
    let refused = commands.push("b", &now_or_never).await.unwrap();
    assert!(matches!(refused, Pushed::NoConsumer(_)));
    let many: Vec<_> = (0..3).map(|i| commands.command(vec![i], &PushOptions::default())).collect();
    let pushed = commands.push_many(many.clone(), vec![]).await.unwrap();
    let expected: Vec<_> = many.iter().map(|command| Pushed::Queued(command.id)).collect();
    assert_eq!(pushed, expected);
}

#[tokio::test]
async fn what_runs_too_long_fails_its_attempt() {
    let (commands, clock) = commands();
    let id = push(&commands, "slow", &retry_at_once(1)).await;
    let timeout = Some(Ttl::secs(45).unwrap());
    let worker = Worker::new(commands.clone(), WorkerOptions { timeout, ..options(1) });
    let drive = async {
        until(async || commands.stats().await.unwrap().in_flight == 1).await;
        // More than the timeout: the handler may not have begun when the store shows the lease.
        for _ in 0..12 {
            clock.advance(Duration::from_secs(5));
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        until(async || ended(&commands, id).await.is_some()).await;
    };
    let never = |_: Job| std::future::pending::<JobResult>();
    let report = run(&worker, &clock, never, drive).await;
    assert_eq!(report.dead, 1);
    let error = commands.result(id).await.unwrap().unwrap().error.unwrap();
    assert!(error.contains("longer than 45s"), "{error}");
}

#[tokio::test]
async fn a_second_stop_hands_back_what_the_first_let_run() {
    let (commands, _) = commands();
    let id = push(&commands, "long", &retry_at_once(1)).await;
    let worker = Worker::new(commands.clone(), options(1));
    let (first, stop) = oneshot::channel::<()>();
    let (second, hand_back) = oneshot::channel::<()>();
    let drive = async {
        until(async || commands.stats().await.unwrap().in_flight == 1).await;
        first.send(()).unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(commands.stats().await.unwrap().in_flight, 1, "it may finish");
        second.send(()).unwrap();
    };
    let heard = |sent: oneshot::Receiver<()>| async move {
        let _ = sent.await;
    };
    let never = |_: Job| std::future::pending::<JobResult>();
    let (report, ()) = tokio::join!(worker.run_until(never, heard(stop), heard(hand_back)), drive);
    assert_eq!(report.unwrap().handed_back, 1);
    assert_eq!(commands.view(id).await.unwrap().unwrap().attempts, 0);
}

#[tokio::test]
async fn many_are_kept_alive_by_one_call_and_settled_by_one() {
    let (inner, clock) = commands();
    let counting = Arc::new(Counting::over(&inner));
    let commands = Commands::new(counting.clone(), clock.clone(), inner.queue().clone());
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(push(&commands, "x", &retry_at_once(2)).await);
    }
    let worker = Worker::new(commands.clone(), options(20));
    let go = tokio::sync::Semaphore::new(0);
    let handler = |_: Job| async {
        let _ = go.acquire().await;
        JobResult::Ok(None)
    };
    let drive = async {
        until(async || commands.stats().await.unwrap().in_flight == 20).await;
        for _ in 0..9 {
            clock.advance(Duration::from_secs(10));
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        go.add_permits(20);
        until(async || commands.stats().await.unwrap().results == 20).await;
    };
    let report = run(&worker, &clock, handler, drive).await;
    assert_eq!((report.completed, report.lost), (20, 0));
    let calls = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    assert_eq!(calls(&counting.extends), 9, "one heartbeat for all");
    assert!(calls(&counting.acks) <= 3, "{} calls for 20", calls(&counting.acks));
}

#[tokio::test]
async fn a_store_out_of_reach_ends_handlers_when_their_leases_have_run_out() {
    let (inner, clock) = commands();
    let counting = Arc::new(Counting::over(&inner));
    let commands = Commands::new(counting.clone(), clock.clone(), inner.queue().clone());
    let id = push(&commands, "x", &retry_at_once(2)).await;
    let worker = Worker::new(commands.clone(), options(1));
    let dropped = AtomicBool::new(false);
    struct OnDrop<'a>(&'a AtomicBool);
    impl Drop for OnDrop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let handler = |_: Job| {
        let on_drop = OnDrop(&dropped);
        async move {
            std::future::pending::<()>().await;
            drop(on_drop);
            JobResult::Ok(None)
        }
    };
    let drive = async {
        until(async || inner.stats().await.unwrap().in_flight == 1).await;
        counting.unreachable.store(true, Ordering::Relaxed);
        for second in 0..32 {
            assert!(second > 20 || !dropped.load(Ordering::Relaxed), "it is held: {second}");
            clock.advance(Duration::from_secs(1));
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        assert!(dropped.load(Ordering::Relaxed), "nothing that it gives back would be taken");
        assert_eq!(ended(&inner, id).await, None);
    };
    let report = run(&worker, &clock, handler, drive).await;
    assert!(report.lost >= 1);
}

#[tokio::test]
async fn a_completion_and_what_follows_from_it_are_one_step() {
    let clock = Arc::new(ManualClock::default());
    let outbox = MemoryOutbox::new(clock.clone());
    let store = Arc::new(MemoryQueue::new(clock.clone(), outbox.clone()));
    let tenant = Tenant(name("t"));
    let first =
        Commands::new(store.clone(), clock.clone(), QueueId::new(tenant.clone(), name("first")));
    let second = Commands::new(store.clone(), clock.clone(), QueueId::new(tenant, name("second")));
    let good = push(&first, "good", &retry_at_once(1)).await;
    let bad = push(&first, "bad", &retry_at_once(1)).await;
    let handler = |job: Job| {
        let second = second.clone();
        async move {
            let options = PushOptions { id: Some(job.id()), ..PushOptions::default() };
            job.then(second.effect(job.payload(), &options)?);
            if job.payload() == b"bad" { Err(JobError::retry("no")) } else { Ok(None) }
        }
    };
    let worker = Worker::new(first.clone(), options(2));
    let stop =
        until(async || ended(&first, good).await.is_some() && ended(&first, bad).await.is_some());
    run(&worker, &clock, handler, stop).await;

    let relay = Relay::new(Arc::new(outbox.clone()), store, clock.clone());
    let mut report = RelayReport::default();
    assert!(relay.carry(&no_other_effects, &mut report).await.unwrap());
    assert!(!relay.carry(&no_other_effects, &mut report).await.unwrap(), "one, and it is gone");
    assert_eq!(report, RelayReport { pushed: 1, others: 0 });
    let view = second.view(good).await.unwrap().unwrap();
    assert_eq!(view.payload, b"good");
    assert_eq!(second.view(bad).await.unwrap(), None, "nothing follows from a failure");
}
