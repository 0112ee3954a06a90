//! One heartbeat for everything that a worker holds.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::channel::oneshot;
use hexmem_ports::{ErrorKind, Extended, LeaseToken, Result, Timestamp, Ttl};

use super::WhenCancelled;
use crate::Commands;

/// Why a handler is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The lease is not ours any more: what the handler gives back would be refused.
    Lost,
    /// Somebody cancelled the command.
    Cancelled,
}

/// What a running delivery hears from the heartbeat.
struct Ear {
    /// Until when the lease surely lasts, by the worker's own clock.
    until: Timestamp,
    /// Ends the handler.
    end: Option<oneshot::Sender<Ending>>,
    /// Tells the handler of a cancel.
    tell: Option<oneshot::Sender<()>>,
}

/// The leases that a worker holds, until they are settled.
#[derive(Default)]
pub(super) struct Held(Mutex<HashMap<LeaseToken, Ear>>);

/// What a new delivery listens to.
pub(super) struct Heard {
    pub(super) ended: oneshot::Receiver<Ending>,
    pub(super) told: oneshot::Receiver<()>,
}

impl Held {
    fn ears(&self) -> MutexGuard<'_, HashMap<LeaseToken, Ear>> {
        // Each change is one insert or remove: a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a lease that lasts until `until`.
    pub(super) fn hold(&self, lease: LeaseToken, until: Timestamp) -> Heard {
        let (end, ended) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        self.ears().insert(lease, Ear { until, end: Some(end), tell: Some(tell) });
        Heard { ended, told }
    }

    /// Lets go of a lease.
    pub(super) fn drop(&self, lease: &LeaseToken) {
        self.ears().remove(lease);
    }

    /// Renews all leases each third of `visibility`, for ever.
    pub(super) async fn beat(
        &self,
        commands: &Commands,
        visibility: Ttl,
        when_cancelled: WhenCancelled,
    ) -> Infallible {
        let clock = commands.clock();
        let third = visibility.get() / 3;
        let mut pause = third;
        loop {
            clock.sleep(pause).await;
            pause = third;
            let leases: Vec<_> = self.ears().keys().copied().collect();
            if leases.is_empty() {
                continue;
            }
            let before = clock.now();
            match commands.extend_many(leases.clone(), visibility).await {
                Ok(answers) => {
                    for (lease, answer) in leases.iter().zip(answers) {
                        self.hear(lease, answer, before.plus(visibility.get()), when_cancelled);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, held = leases.len(), "a heartbeat failed");
                    // There is time for more than one try before the leases run out.
                    pause = third / 4;
                }
            }
            self.give_up(clock.now());
        }
    }

    fn hear(
        &self,
        lease: &LeaseToken,
        answer: Result<Extended>,
        until: Timestamp,
        when_cancelled: WhenCancelled,
    ) {
        let mut ears = self.ears();
        let Some(ear) = ears.get_mut(lease) else { return };
        // Nobody listens where the handler has ended in between.
        match answer {
            Ok(extended) => {
                ear.until = until;
                if extended.cancel_requested && when_cancelled == WhenCancelled::Drop {
                    let _ = ear.end.take().map(|end| end.send(Ending::Cancelled));
                } else if extended.cancel_requested {
                    let _ = ear.tell.take().map(|tell| tell.send(()));
                }
            }
            Err(error) if error.kind() == ErrorKind::StaleLease => {
                let _ = ear.end.take().map(|end| end.send(Ending::Lost));
            }
            Err(_) => {}
        }
    }

    /// A lease that could not be renewed in time has run out: whatever its handler gives back would be refused.
    fn give_up(&self, now: Timestamp) {
        for ear in self.ears().values_mut().filter(|ear| ear.until <= now) {
            let _ = ear.end.take().map(|end| end.send(Ending::Lost));
        }
    }
}
