//! Who computes what in this process: one at a time for one question.
//!
//! A flight is known by its key *and* the generations of its ticket. Who looked up after an invalidation has
//! other generations, and does not join a computation that began before it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::oneshot;
use futures::future::{FutureExt as _, Shared};
use hexmem_ports::{CacheKey, Digest, FlightLease, Ticket, Timestamp};

use crate::answer::{Answer, CacheError};
use crate::semantic::SemanticHit;

/// What a flight ends with: an answer, and of which similar question it is.
pub(crate) type Landing = Result<(Arc<Answer>, Option<SemanticHit>), CacheError>;

/// Resolves when the flight ends; `Err` when its leader was dropped.
pub(crate) type Seat = Shared<oneshot::Receiver<Landing>>;

/// Leases of leaders that were dropped: the next one of this process gives them back. More than this many
/// are left to run out.
const ABANDONED: usize = 1_024;

#[derive(Default)]
struct State {
    last: u64,
    flights: HashMap<Digest, (u64, Seat)>,
    refreshes: HashMap<Digest, (u64, Timestamp)>,
    abandoned: HashMap<CacheKey, FlightLease>,
}

/// The flights of one process. No lock is held across an await.
#[derive(Clone, Default)]
pub(crate) struct Flights(Arc<Mutex<State>>);

/// A caller's part in a flight.
pub(crate) enum Part {
    Leader(Leader),
    Passenger(u64, Seat),
}

/// The key and everything whose invalidation would end the answer.
pub(crate) fn flight_of(key: &CacheKey, ticket: &Ticket) -> Digest {
    let digest = key.digest();
    let mut parts = vec![digest.0.to_vec()];
    parts.push(ticket.key.map(|id| id.as_bytes().to_vec()).unwrap_or_default());
    for (tag, generation) in &ticket.generations {
        parts.push(tag.digest(&key.namespace).0.to_vec());
        parts.push(generation.as_bytes().to_vec());
    }
    Digest::of_parts(parts.iter().map(Vec::as_slice))
}

impl Flights {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the flight, or leads it where there is none.
    pub(crate) fn join(&self, flight: Digest) -> Part {
        let mut state = self.state();
        if let Some((id, seat)) = state.flights.get(&flight) {
            return Part::Passenger(*id, seat.clone());
        }
        let (landing, seat) = oneshot::channel();
        state.last += 1;
        let id = state.last;
        state.flights.insert(flight, (id, seat.shared()));
        drop(state);
        Part::Leader(Leader { flights: self.clone(), flight, id, landing: Some(landing) })
    }

    /// Gives up a flight that takes too long: who comes next leads anew.
    pub(crate) fn give_up(&self, flight: &Digest, id: u64) {
        let mut state = self.state();
        if state.flights.get(flight).is_some_and(|(current, _)| *current == id) {
            state.flights.remove(flight);
        }
    }

    /// The right to compute a stale answer anew, for one at a time and until `until` at most.
    pub(crate) fn claim_refresh(
        &self,
        flight: Digest,
        now: Timestamp,
        until: Timestamp,
    ) -> Option<Claim> {
        let mut state = self.state();
        if state.flights.contains_key(&flight)
            || state.refreshes.get(&flight).is_some_and(|(_, until)| *until > now)
        {
            return None;
        }
        state.last += 1;
        let id = state.last;
        state.refreshes.insert(flight, (id, until));
        drop(state);
        Some(Claim { flights: self.clone(), flight, id })
    }

    /// A lease that this process was given and did not give back.
    pub(crate) fn take_abandoned(&self, key: &CacheKey) -> Option<FlightLease> {
        self.state().abandoned.remove(key)
    }

    /// Watches over a lease while its owner may be dropped.
    pub(crate) fn watch(&self, key: &CacheKey, lease: FlightLease) -> LeaseGuard {
        LeaseGuard { flights: self.clone(), key: key.clone(), lease: Some(lease) }
    }
}

/// Leads a flight. Dropped without landing, its passengers go on by themselves.
pub(crate) struct Leader {
    flights: Flights,
    flight: Digest,
    id: u64,
    landing: Option<oneshot::Sender<Landing>>,
}

impl Leader {
    /// Ends the flight for all.
    pub(crate) fn land(mut self, landing: Landing) {
        // Off the list first: who comes now looks into the store.
        self.flights.give_up(&self.flight, self.id);
        if let Some(sender) = self.landing.take() {
            // Nobody may be waiting.
            let _ = sender.send(landing);
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.flights.give_up(&self.flight, self.id);
    }
}

/// The right to refresh; given back when dropped.
pub(crate) struct Claim {
    flights: Flights,
    flight: Digest,
    id: u64,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.flights.state();
        if state.refreshes.get(&self.flight).is_some_and(|(current, _)| *current == self.id) {
            state.refreshes.remove(&self.flight);
        }
    }
}

/// Keeps a lease of an owner that was dropped, for the next one to give back.
pub(crate) struct LeaseGuard {
    flights: Flights,
    key: CacheKey,
    lease: Option<FlightLease>,
}

impl LeaseGuard {
    /// The lease, to be released by the caller.
    pub(crate) fn disarm(mut self) -> Option<FlightLease> {
        self.lease.take()
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            let mut state = self.flights.state();
            if state.abandoned.len() >= ABANDONED {
                state.abandoned.clear();
            }
            state.abandoned.insert(self.key.clone(), lease);
        }
    }
}
