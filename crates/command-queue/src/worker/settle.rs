//! Telling the store how deliveries ended: what ended together is told together.

use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use hexmem_ports::{
    Ack, Effect, Error, ErrorKind, Failure, LeaseToken, Result, Retry, Verdict, check_bytes,
    check_effects,
};

use super::{End, Worker};

/// How often a call that may succeed later is repeated before the worker gives up on it.
const TRIES: u32 = 6;

/// What a delivery came to.
pub(super) enum Outcome {
    /// The handler gave this back, and asked for these effects.
    Done(Option<Vec<u8>>, Vec<Effect>),
    /// The attempt failed.
    Failed(Failure),
    /// It never began, or was interrupted by the stop.
    HandedBack,
    /// There is nothing to tell: the store knows better.
    Lost,
}

/// A delivery that has ended and is not settled.
pub(super) struct Finished {
    pub(super) lease: LeaseToken,
    pub(super) outcome: Outcome,
}

/// A delivery that is settled, or could not be.
pub(super) struct Settled {
    pub(super) lease: LeaseToken,
    pub(super) end: Result<End>,
}

impl Finished {
    /// A completion that no store would take is a failure for good, and must not spoil the others of its batch.
    fn checked(mut self) -> Self {
        if let Outcome::Done(result, effects) = &self.outcome {
            let checked = check_bytes("queue.ack", result.as_deref().unwrap_or_default())
                .and_then(|()| check_effects("queue.ack", effects));
            if let Err(error) = checked {
                let error = format!("what the handler gave back cannot be kept: {error}");
                self.outcome = Outcome::Failed(Failure { error, verdict: Verdict::Dead });
            }
        }
        self
    }
}

/// A delivery that was lost to another worker is no failure of this one.
fn settled(lease: LeaseToken, end: Result<End>) -> Settled {
    let end = match end {
        Err(error) if error.kind() == ErrorKind::StaleLease => Ok(End::Lost),
        end => end,
    };
    match &end {
        Ok(End::Lost) => tracing::warn!(command = %lease.command, lease.attempt, "lease lost"),
        Ok(_) => {}
        Err(error) => tracing::error!(%error, command = %lease.command, "not settled"),
    }
    Settled { lease, end }
}

impl Worker {
    /// Settles a batch: plain completions by one call, the rest side by side.
    pub(super) async fn settle(&self, batch: Vec<Finished>) -> Vec<Settled> {
        let (mut plain, mut single) = (Vec::new(), Vec::new());
        for one in batch.into_iter().map(Finished::checked) {
            match one.outcome {
                Outcome::Done(result, effects) if effects.is_empty() => {
                    plain.push(Ack { lease: one.lease, result });
                }
                outcome => single.push(self.settle_one(one.lease, outcome)),
            }
        }
        let (acked, singly) = futures::join!(self.ack_all(plain), join_all(single));
        acked.into_iter().chain(singly).collect()
    }

    async fn ack_all(&self, acks: Vec<Ack>) -> Vec<Settled> {
        if acks.is_empty() {
            return Vec::new();
        }
        let leases: Vec<_> = acks.iter().map(|ack| ack.lease).collect();
        let call =
            || -> BoxFuture<'_, _> { Box::pin(self.commands.ack_many(acks.clone(), Vec::new())) };
        match self.again(call).await {
            Ok(answers) => {
                let each = leases.into_iter().zip(answers);
                each.map(|(lease, answer)| settled(lease, answer.map(|()| End::Completed)))
                    .collect()
            }
            Err(error) => {
                let each = leases.into_iter();
                each.map(|lease| settled(lease, Err(copy(&error)))).collect()
            }
        }
    }

    async fn settle_one(&self, lease: LeaseToken, outcome: Outcome) -> Settled {
        let end = match outcome {
            // Effects are committed with all of a list or none: such a completion goes alone.
            Outcome::Done(result, effects) => {
                let ack = || -> BoxFuture<'_, Result<()>> {
                    let acks = vec![Ack { lease, result: result.clone() }];
                    let effects = effects.clone();
                    Box::pin(async move {
                        self.commands.ack_many(acks, effects).await?.pop().unwrap_or(Ok(()))
                    })
                };
                self.again(ack).await.map(|()| End::Completed)
            }
            Outcome::Failed(failure) => {
                let fail = || -> BoxFuture<'_, _> {
                    let failure = failure.clone();
                    Box::pin(async move { self.commands.fail(&lease, failure).await })
                };
                self.again(fail).await.map(End::Failed)
            }
            Outcome::HandedBack => {
                let release = || -> BoxFuture<'_, _> {
                    Box::pin(async move { self.commands.release(&lease).await })
                };
                self.again(release).await.map(|()| End::HandedBack)
            }
            Outcome::Lost => Ok(End::Lost),
        };
        settled(lease, end)
    }

    /// Repeats a call that may succeed later, waiting twice as long each time. Every call here is
    /// idempotent: by its lease, or because a lease nobody saw runs out.
    pub(super) async fn again<'a, T>(
        &self,
        call: impl Fn() -> BoxFuture<'a, Result<T>>,
    ) -> Result<T> {
        let mut wait = Duration::from_millis(100);
        for _ in 1..TRIES {
            match call().await {
                Err(error) => match error.retry_hint() {
                    Retry::Never => return Err(error),
                    Retry::Soon => self.commands.clock().sleep(wait).await,
                    Retry::After(span) => self.commands.clock().sleep(span).await,
                },
                done => return done,
            }
            wait *= 2;
        }
        call().await
    }
}

/// One failure of a call for many, told for each.
fn copy(error: &Error) -> Error {
    Error::new(error.kind(), "queue.ack", error.message().to_owned())
}
