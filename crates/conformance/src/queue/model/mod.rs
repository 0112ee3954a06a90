//! Random operations through two handles, with crashes in the middle of them and a clock that jumps, against a plain
//! model that shares no code with the stores: each answer and each view is the model's.

mod plain;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::{
    Ack, CommandId, CommandQueue, DeadLetters, Failure, LeaseRequest, LeaseToken, Leased, Limit,
    QueueId, QueueLimits, Tenant, Ttl, Verdict, WhenIdle,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proptest::{collection, option};
use uuid::Uuid;

use super::Store;
use crate::{TestClock, name};
use plain::{Model, New};

/// One step of a run. Commands and leases are named by a number, taken modulo how many there are.
#[derive(Debug, Clone)]
enum Op {
    Enqueue(Vec<New>),
    /// The id of an earlier one.
    EnqueueAgain(usize),
    Lease {
        max: u32,
        seconds: u64,
    },
    Ack(Vec<usize>),
    Fail(usize, Option<u64>),
    Release(usize),
    Extend(Vec<usize>, u64),
    Cancel(usize),
    Requeue(usize),
    Cap(Option<u32>),
    Sweep,
    Pass(u32),
    /// A lease that is dropped after so many polls, and its process with it.
    CrashLeasing(u32),
    /// Likewise a completion.
    CrashCompleting(usize, u32),
}

fn new_command() -> impl Strategy<Value = New> {
    let soon = || option::weighted(0.3, 1..30_u64);
    (0..3_i16, option::weighted(0.5, 0..2_u8), soon(), soon(), 1..4_u32).prop_map(
        |(priority, group, delay, deadline, max_attempts)| New {
            priority,
            group,
            delay,
            deadline,
            max_attempts,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let some = || collection::vec(0..99_usize, 0..4);
    prop_oneof![
        4 => collection::vec(new_command(), 1..4).prop_map(Op::Enqueue),
        1 => (0..99_usize).prop_map(Op::EnqueueAgain),
        6 => (1..4_u32, 1..20_u64).prop_map(|(max, seconds)| Op::Lease { max, seconds }),
        4 => some().prop_map(Op::Ack),
        3 => (0..99_usize, option::of(0..20_u64)).prop_map(|(n, wait)| Op::Fail(n, wait)),
        2 => (0..99_usize).prop_map(Op::Release),
        2 => (some(), 1..20_u64).prop_map(|(which, seconds)| Op::Extend(which, seconds)),
        2 => (0..99_usize).prop_map(Op::Cancel),
        2 => (0..99_usize).prop_map(Op::Requeue),
        1 => option::of(1..4_u32).prop_map(Op::Cap),
        1 => Just(Op::Sweep),
        4 => prop_oneof![9 => 0..12_u32, 1 => Just(100_000)].prop_map(Op::Pass),
        1 => (0..12_u32).prop_map(Op::CrashLeasing),
        1 => (0..99_usize, 0..12_u32).prop_map(|(which, polls)| Op::CrashCompleting(which, polls)),
    ]
}

/// A step, and through which of the two handles.
type Step = (Op, usize);

/// What one run is played on.
#[async_trait]
pub trait Ground: Send + Sync {
    /// Another handle on the same store, as a process that was started anew has it.
    async fn open(&self) -> Store;

    /// The store's time, in units of one second.
    fn clock(&self) -> Arc<dyn TestClock>;
}

struct Run<'a> {
    ground: &'a dyn Ground,
    handles: [Store; 2],
    clock: Arc<dyn TestClock>,
    queue: QueueId,
    model: Model,
    ids: Vec<CommandId>,
    leases: Vec<LeaseToken>,
}

fn pick<T: Copy>(all: &[T], n: usize) -> Option<T> {
    (!all.is_empty()).then(|| all[n % all.len()])
}

impl<'a> Run<'a> {
    async fn new(ground: &'a dyn Ground) -> Self {
        let handles = [ground.open().await, ground.open().await];
        let queue = QueueId::new(Tenant(name("t")), name(Uuid::new_v4()));
        let (clock, model) = (ground.clock(), Model::default());
        assert_eq!(clock.unit(), Duration::from_secs(1), "the model counts in seconds");
        Self { ground, handles, clock, queue, model, ids: vec![], leases: vec![] }
    }

    fn request(&self, max: u32, seconds: u64) -> LeaseRequest {
        LeaseRequest {
            worker: name("w"),
            max: Limit::new(max).unwrap(),
            visibility: Ttl::secs(seconds).unwrap(),
            wait: Duration::ZERO,
        }
    }

    fn got(&mut self, leased: &[Leased]) {
        for one in leased {
            self.leases.push(one.lease);
            self.model.hand(one.id, one.lease);
        }
    }

    async fn step(&mut self, op: Op, handle: usize) {
        let store = self.handles[handle].clone();
        let queue = self.queue.clone();
        let now = self.clock.now().await;
        self.model.settle(now);
        match op {
            Op::Enqueue(news) => {
                let commands: Vec<_> =
                    news.iter().map(|new| new.command(CommandId(Uuid::now_v7()), now)).collect();
                for (new, command) in news.iter().zip(&commands) {
                    self.ids.push(command.id);
                    self.model.enqueue(command.id, new, now);
                }
                store.enqueue(&queue, commands, WhenIdle::Store, vec![]).await.unwrap();
            }
            Op::EnqueueAgain(n) => {
                let Some(id) = pick(&self.ids, n) else { return };
                let again = New::default().command(id, now);
                store.enqueue(&queue, vec![again], WhenIdle::Store, vec![]).await.unwrap();
            }
            Op::Lease { max, seconds } => {
                let leased = store.lease(&queue, self.request(max, seconds)).await.unwrap();
                let found: Vec<_> = leased.iter().map(|one| (one.id, one.attempt)).collect();
                assert_eq!(found, self.model.lease(max, seconds, now));
                self.got(&leased);
            }
            Op::Ack(which) => {
                let leases: Vec<_> =
                    which.into_iter().filter_map(|n| pick(&self.leases, n)).collect();
                let acks = leases.iter().map(|lease| Ack { lease: *lease, result: None }).collect();
                let answers = store.ack(&queue, acks, vec![]).await.unwrap();
                let told: Vec<_> = answers.iter().map(Result::is_ok).collect();
                let expected: Vec<_> =
                    leases.iter().map(|lease| self.model.ack(lease, now)).collect();
                assert_eq!(told, expected, "{leases:?}");
            }
            Op::Fail(n, wait) => {
                let Some(lease) = pick(&self.leases, n) else { return };
                let after = |wait| Verdict::RetryAfter(Duration::from_secs(wait));
                let verdict = wait.map_or(Verdict::Dead, after);
                let failure = Failure { error: "e".into(), verdict };
                let told = store.fail(&queue, &lease, failure).await.ok();
                assert_eq!(told, self.model.fail(&lease, wait, now));
            }
            Op::Release(n) => {
                let Some(lease) = pick(&self.leases, n) else { return };
                let told = store.release(&queue, &lease).await.is_ok();
                assert_eq!(told, self.model.release(&lease, now));
            }
            Op::Extend(which, seconds) => {
                let leases: Vec<_> =
                    which.into_iter().filter_map(|n| pick(&self.leases, n)).collect();
                let span = Ttl::secs(seconds).unwrap();
                let answers = store.extend(&queue, leases.clone(), span).await.unwrap();
                let told: Vec<_> = answers
                    .into_iter()
                    .map(|answer| {
                        answer.ok().map(|told| (told.leased_until, told.cancel_requested))
                    })
                    .collect();
                let expected: Vec<_> =
                    leases.iter().map(|lease| self.model.extend(lease, seconds, now)).collect();
                assert_eq!(told, expected);
            }
            Op::Cancel(n) => {
                let Some(id) = pick(&self.ids, n) else { return };
                let told = store.cancel(&queue, id).await.unwrap();
                assert_eq!(told, self.model.cancel(id, now));
            }
            Op::Requeue(n) => {
                let Some(id) = pick(&self.ids, n) else { return };
                let told = store.requeue(&queue, DeadLetters::Only(vec![id])).await.unwrap();
                assert_eq!(told, u64::from(self.model.requeue(id, now)));
            }
            Op::Cap(max_in_flight) => {
                let limits = QueueLimits { max_in_flight, rate: None };
                store.set_limits(&queue, limits).await.unwrap();
                self.model.cap = max_in_flight;
            }
            Op::Sweep => {
                store.sweep(Limit::new(3).unwrap()).await.unwrap();
            }
            Op::Pass(seconds) => self.clock.advance(seconds).await,
            Op::CrashLeasing(polls) => {
                let request = self.request(2, 10);
                let leasing = async { store.lease(&queue, request).await.unwrap() };
                let leased = dropped_after(polls, leasing).await;
                self.reopen(handle).await;
                match leased {
                    Some(leased) => {
                        self.model.lease(2, 10, now);
                        self.got(&leased);
                    }
                    // Whether it came to its commit, nobody was told.
                    None => {
                        let mut after = self.model.clone();
                        after.lease(2, 10, now);
                        self.either(after).await;
                    }
                }
            }
            Op::CrashCompleting(n, polls) => {
                let Some(lease) = pick(&self.leases, n) else { return };
                let acks = vec![Ack { lease, result: None }];
                let completing = async { store.ack(&queue, acks, vec![]).await.unwrap() };
                dropped_after(polls, completing).await;
                self.reopen(handle).await;
                let mut after = self.model.clone();
                after.ack(&lease, now);
                self.either(after).await;
            }
        }
    }

    /// The process of a handle is gone; another opens the store.
    async fn reopen(&mut self, handle: usize) {
        self.handles[handle] = self.ground.open().await;
    }

    /// The store is as it was, or as `after`; the model goes on with what it finds.
    async fn either(&mut self, after: Model) {
        for (n, id) in self.ids.iter().enumerate() {
            let found = self.handles[n % 2].view(&self.queue, *id).await.unwrap();
            let now = self.clock.now().await;
            if !self.model.agrees(*id, found.as_ref(), now) {
                assert!(
                    after.agrees(*id, found.as_ref(), now),
                    "neither before nor after: {found:?}"
                );
                self.model = after;
                return;
            }
        }
    }

    /// Every command is as the model has it, seen through either handle.
    async fn check(&mut self) {
        let now = self.clock.now().await;
        self.model.settle(now);
        for (n, id) in self.ids.iter().enumerate() {
            let found = self.handles[n % 2].view(&self.queue, *id).await.unwrap();
            assert!(
                self.model.agrees(*id, found.as_ref(), now),
                "found {found:?}\nwanted {:?}",
                self.model.of(*id)
            );
        }
        let stats = self.handles[0].stats(&self.queue).await.unwrap();
        assert_eq!((stats.in_flight, stats.dead), self.model.counts());
    }
}

/// Polls so many times, then drops.
async fn dropped_after<T>(polls: u32, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = async {
            for _ in 0..polls {
                tokio::task::yield_now().await;
            }
        } => None,
    }
}

/// Plays one run; panics where an answer or a view is not the model's.
async fn play(ground: &dyn Ground, steps: Vec<Step>) {
    let mut run = Run::new(ground).await;
    for (op, handle) in steps {
        run.step(op, handle).await;
        run.check().await;
    }
}

/// Plays `cases` random runs of up to `most` steps, each on what `ground` makes; the shortest that goes wrong is shown.
pub fn holds<G: Ground>(cases: u32, most: usize, ground: impl AsyncFn() -> G) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let steps = collection::vec((op(), 0..2_usize), 1..most);
    let played = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(async { play(&ground().await, steps).await });
        Ok(())
    });
    if let Err(error) = played {
        panic!("{error}");
    }
}
