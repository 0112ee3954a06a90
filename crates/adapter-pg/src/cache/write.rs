//! Storing answers, and the right to compute one.

use hexmem_ports::{
    CacheKey, CachePut, Digest, Error, Flight, FlightLease, NamespaceId, PutOutcome, REPLAY_WINDOW,
    Result, Ttl,
};
use uuid::Uuid;

use super::PgCache;
use super::rows::{Bindings, names_its_namespace};
use crate::value::{At, Hash, micros, span};

/// The most bytes of values in one statement; the rest goes into the next one.
const STATEMENT_BYTES: usize = 32 * 1024 * 1024;

/// How often an asker that loses races looks again.
const TRIES: u32 = 100;

impl PgCache {
    /// Stores what holds, in one statement unless the values are too large for one.
    pub(super) async fn store(
        &self,
        namespace: &NamespaceId,
        puts: Vec<(Digest, CachePut)>,
    ) -> Result<Vec<PutOutcome>> {
        let mut outcomes = vec![PutOutcome::Outdated; puts.len()];
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (place, (fingerprint, put)) in puts.into_iter().enumerate() {
            if !names_its_namespace(&put.ticket) {
                continue;
            }
            if bytes > 0 && bytes + put.value.len() > STATEMENT_BYTES {
                self.store_batch(namespace, std::mem::take(&mut batch), &mut outcomes).await?;
                bytes = 0;
            }
            bytes += put.value.len();
            batch.push((place, fingerprint, put));
        }
        self.store_batch(namespace, batch, &mut outcomes).await?;
        Ok(outcomes)
    }

    async fn store_batch(
        &self,
        namespace: &NamespaceId,
        batch: Vec<(usize, Digest, CachePut)>,
        outcomes: &mut [PutOutcome],
    ) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut bindings = Bindings::default();
        let places: Vec<usize> = batch.iter().map(|(place, ..)| *place).collect();
        let tickets: Vec<i64> =
            batch.iter().map(|(_, _, put)| bindings.place(&put.ticket.generations)).collect();
        let key = |fingerprint: &Digest| {
            let key = CacheKey { namespace: namespace.clone(), fingerprint: *fingerprint };
            Hash(key.digest())
        };
        let served = |put: &CachePut| {
            put.ttl.as_micros().saturating_add(put.stale.map_or(0, Ttl::as_micros))
        };
        let stored: Vec<(i64,)> = self
            .0
            .write("cache.put", include_str!("../sql/cache/put_many.sql"))
            .bind(Hash(namespace.digest()))
            .bind(namespace.tenant.as_str())
            .bind(namespace.name.as_str())
            .bind(bindings.firsts)
            .bind(bindings.lasts)
            .bind(bindings.tags)
            .bind(bindings.generations)
            .bind(batch.iter().map(|(_, print, _)| key(print)).collect::<Vec<_>>())
            .bind(batch.iter().map(|(_, print, _)| Hash(*print)).collect::<Vec<_>>())
            .bind(tickets)
            .bind(batch.iter().map(|(.., put)| At(put.ticket.issued_at)).collect::<Vec<_>>())
            .bind(batch.iter().map(|(.., put)| put.ticket.key).collect::<Vec<_>>())
            .bind(batch.iter().map(|(.., put)| put.ttl.as_micros()).collect::<Vec<_>>())
            .bind(batch.iter().map(|(.., put)| served(put)).collect::<Vec<_>>())
            .bind(batch.iter().map(|(.., put)| put.meta.to_string()).collect::<Vec<_>>())
            .bind(batch.into_iter().map(|(.., put)| put.value).collect::<Vec<_>>())
            .bind(micros(REPLAY_WINDOW))
            .fetch_all()
            .await?;
        for (place,) in stored {
            // Places count from 1.
            let place = usize::try_from(place - 1).ok().and_then(|place| places.get(place));
            if let Some(outcome) = place.and_then(|place| outcomes.get_mut(*place)) {
                *outcome = PutOutcome::Stored;
            }
        }
        Ok(())
    }

    pub(super) async fn take_flight(&self, key: &CacheKey, visibility: Ttl) -> Result<Flight> {
        const OPERATION: &str = "cache.begin";
        let lease = FlightLease(Uuid::new_v4());
        for _ in 0..TRIES {
            let (taken, left): (bool, Option<i64>) = self
                .0
                .write(OPERATION, include_str!("../sql/cache/begin.sql"))
                .bind(Hash(key.digest()))
                .bind(lease.0)
                .bind(visibility.as_micros())
                .fetch_one()
                .await?;
            match (taken, left) {
                (true, _) => return Ok(Flight::Leader(lease)),
                (false, Some(left)) => return Ok(Flight::Follower(span(left))),
                // Another was faster, between the look and the insert.
                (false, None) => {}
            }
        }
        Err(Error::conflict(OPERATION, "the right changes hands too often; repeat the call"))
    }
}
