//! What a worker says about many deliveries at once: acknowledgements and heartbeats.

use std::collections::HashMap;

use hexmem_ports::rules::stale;
use hexmem_ports::{
    Ack, CommandId, Effect, Extended, LeaseToken, QueueId, Result, Ttl, check_bytes, check_effects,
};
use uuid::Uuid;

use super::row::lease_bytes;
use super::{PgQueue, result_topic};
use crate::outbox::Effects;
use crate::query::Query;
use crate::value::{At, Hash};

/// id, lease, its new end, whether a cancel was asked for.
type Renewed = (Uuid, Vec<u8>, At, bool);

/// What `hexmem.queue_ack` answers for a lease that completed its command with this call.
const COMPLETED: i16 = 1;

/// Likewise for a lease that did so before.
const REPEATED: i16 = 2;

impl PgQueue {
    pub(super) async fn ack_all(
        &self,
        queue: &QueueId,
        acks: Vec<Ack>,
        effects: Vec<Effect>,
    ) -> Result<Vec<Result<()>>> {
        const OPERATION: &str = "queue.ack";
        check_effects(OPERATION, &effects)?;
        for ack in &acks {
            check_bytes(OPERATION, ack.result.as_deref().unwrap_or_default())?;
        }
        if acks.is_empty() {
            return Ok(Vec::new());
        }
        let leases: Vec<LeaseToken> = acks.iter().map(|ack| ack.lease).collect();
        let answers = if effects.is_empty() {
            let query = self.postgres.write(OPERATION, include_str!("../sql/queue/ack.sql"));
            self.complete(query, queue, acks).await?
        } else {
            let effects = Effects::new(&self.postgres, OPERATION, &effects)?;
            let mut tx = self.postgres.begin(OPERATION).await?;
            let query = tx.query(include_str!("../sql/queue/ack.sql"));
            let mut completed = self.complete(query, queue, acks).await;
            if let Ok(answers) = &completed
                && answers.contains(&COMPLETED)
                && answers.iter().all(|answer| matches!(*answer, COMPLETED | REPEATED))
                && let Err(error) = tx.work().push_effects(&effects).await
            {
                completed = Err(error);
            }
            tx.finish(completed).await?
        };
        for (lease, _) in leases.iter().zip(&answers).filter(|(_, answer)| **answer == COMPLETED) {
            self.postgres.tell_here(&result_topic(queue, lease.command));
        }
        let told = leases.iter().enumerate().map(|(at, lease)| match answers.get(at) {
            Some(&(COMPLETED | REPEATED)) => Ok(()),
            _ => Err(stale(OPERATION, lease)),
        });
        Ok(told.collect())
    }

    async fn complete(
        &self,
        query: Query<'_>,
        queue: &QueueId,
        acks: Vec<Ack>,
    ) -> Result<Vec<i16>> {
        let ids: Vec<Uuid> = acks.iter().map(|ack| ack.lease.command.0).collect();
        let leases: Vec<Vec<u8>> = acks.iter().map(|ack| lease_bytes(&ack.lease)).collect();
        let results: Vec<Option<Vec<u8>>> = acks.into_iter().map(|ack| ack.result).collect();
        let (answers,): (Vec<i16>,) = query
            .bind(Hash(queue.digest()))
            .bind(ids)
            .bind(leases)
            .bind(results)
            .fetch_one()
            .await?;
        Ok(answers)
    }

    pub(super) async fn extend_all(
        &self,
        queue: &QueueId,
        leases: &[LeaseToken],
        visibility: Ttl,
    ) -> Result<Vec<Result<Extended>>> {
        const OPERATION: &str = "queue.extend";
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<Renewed> = self
            .postgres
            .write(OPERATION, include_str!("../sql/queue/extend.sql"))
            .bind(Hash(queue.digest()))
            .bind(leases.iter().map(|lease| lease.command.0).collect::<Vec<_>>())
            .bind(leases.iter().map(lease_bytes).collect::<Vec<_>>())
            .bind(visibility.as_micros())
            .fetch_all()
            .await?;
        let renewed: HashMap<(CommandId, Vec<u8>), Extended> = rows
            .into_iter()
            .map(|(id, lease, until, cancel_requested)| {
                ((CommandId(id), lease), Extended { leased_until: until.0, cancel_requested })
            })
            .collect();
        let told = leases.iter().map(|lease| {
            let found = renewed.get(&(lease.command, lease_bytes(lease)));
            found.copied().ok_or_else(|| stale(OPERATION, lease))
        });
        Ok(told.collect())
    }
}
