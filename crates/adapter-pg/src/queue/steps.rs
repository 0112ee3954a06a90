//! One step of the shared state machine with one command, under its locks.

use hexmem_ports::rules::{CommandCore, stale};
use hexmem_ports::{
    CancelOutcome, CommandId, FailOutcome, Failure, LeaseToken, QueueId, Result, Timestamp,
};
use serde_json::Value;

use super::PgQueue;
use super::row::{Filed, lease_bytes, place, settlement, signed, small};
use crate::query::Work;
use crate::value::{At, Hash};

impl PgQueue {
    /// One step with a command, in a transaction of its own. `None` where a reader may not see the command.
    async fn step<R>(
        &self,
        operation: &'static str,
        queue: &QueueId,
        id: CommandId,
        step: impl FnOnce(&mut CommandCore, Timestamp) -> Result<R> + Send,
    ) -> Result<Option<R>> {
        let mut tx = self.postgres.begin(operation).await?;
        let held = tx
            .query(include_str!("../sql/queue/hold.sql"))
            .bind(Hash(queue.digest()))
            .bind(id.0)
            .fetch_optional::<Filed>()
            .await;
        let done = match held {
            Ok(Some(filed)) => self.step_held(&mut tx.work(), queue, filed, step).await,
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        tx.finish(done).await
    }

    async fn step_held<R>(
        &self,
        work: &mut Work<'_>,
        queue: &QueueId,
        mut filed: Filed,
        step: impl FnOnce(&mut CommandCore, Timestamp) -> Result<R> + Send,
    ) -> Result<Option<R>> {
        let now = filed.now;
        let before = filed.core.clone();
        filed.core.settle(now);
        if filed.core.is_gone(now) {
            return Ok(None);
        }
        let answer = step(&mut filed.core, now)?;
        if filed.core != before {
            self.file(work, queue, &filed).await?;
        }
        Ok(Some(answer))
    }

    async fn file(&self, work: &mut Work<'_>, queue: &QueueId, filed: &Filed) -> Result<()> {
        let core = &filed.core;
        let stage = core.stage(filed.was_head(), filed.now);
        // Never before the present: those who look start there.
        let due_at = core.due_at(stage).map(|due| At(due.max(filed.now)));
        work.query(include_str!("../sql/queue/file.sql"))
            .bind(filed.queue)
            .bind(core.id.0)
            .bind(Hash(queue.digest()))
            .bind(place(stage))
            .bind(due_at)
            .bind(core.free_at().map(At))
            .bind(signed(core.version))
            .bind(At(core.modified_at))
            .bind(At(core.ready_at))
            .bind(small(core.attempts))
            .bind(core.leased_until.map(At))
            .bind(core.worker.as_ref().map(|worker| worker.as_str().to_owned()))
            .bind(core.lease.as_ref().map(lease_bytes))
            .bind(settlement(&core.settlement))
            .bind(core.cancel_requested)
            .bind(core.progress.as_ref().map(ToString::to_string))
            .bind(core.last_error.clone())
            .bind(core.ended_at.map(At))
            .execute()
            .await?;
        Ok(())
    }

    async fn step_leased<R>(
        &self,
        operation: &'static str,
        queue: &QueueId,
        lease: &LeaseToken,
        step: impl FnOnce(&mut CommandCore, Timestamp) -> Result<R> + Send,
    ) -> Result<R> {
        let answer = self.step(operation, queue, lease.command, step).await?;
        let answer = answer.ok_or_else(|| stale(operation, lease))?;
        self.wake(queue);
        Ok(answer)
    }

    pub(super) async fn fail_one(
        &self,
        queue: &QueueId,
        lease: &LeaseToken,
        failure: &Failure,
    ) -> Result<FailOutcome> {
        self.step_leased("queue.fail", queue, lease, |core, now| core.fail(lease, failure, now))
            .await
    }

    pub(super) async fn release_one(&self, queue: &QueueId, lease: &LeaseToken) -> Result<()> {
        self.step_leased("queue.release", queue, lease, |core, now| core.release(lease, now)).await
    }

    pub(super) async fn report(
        &self,
        queue: &QueueId,
        lease: &LeaseToken,
        progress: Value,
    ) -> Result<()> {
        self.step_leased("queue.progress", queue, lease, |core, now| {
            core.report(lease, progress, now)
        })
        .await
    }

    pub(super) async fn cancel_one(&self, queue: &QueueId, id: CommandId) -> Result<CancelOutcome> {
        let outcome =
            self.step("queue.cancel", queue, id, |core, now| Ok(core.cancel(now))).await?;
        self.wake(queue);
        Ok(outcome.unwrap_or(CancelOutcome::Unknown))
    }
}
