//! The queue of a file.

mod join;
mod manage;
mod records;
mod row;
mod schedules;
mod steps;
mod wait;
mod wake;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::rules::stale;
use hexmem_ports::{
    Ack, CancelOutcome, Capabilities, Capability, CommandId, CommandQueue, CommandResult,
    CommandView, Cursor, DeadLetters, Effect, Enqueued, Extended, FailOutcome, Failure, Fired,
    LeaseRequest, LeaseToken, Leased, Limit, Name, NewCommand, Page, Prefix, QueueId, QueueLimits,
    QueueStats, Result, Schedule, Tenant, Timestamp, Ttl, WhenIdle, check_bytes, check_effects,
    check_json,
};
use serde_json::Value;

use crate::{Database, Work};
use row::Filed;
pub(crate) use wake::Bells;

/// Queues of commands in a file. A lease that waits sees at once what was enqueued through the same
/// [`Database`] or a clone of it, and within half a second what another process enqueued.
#[derive(Debug, Clone)]
pub struct SqliteQueue {
    database: Database,
}

impl Database {
    /// The queues of this file.
    pub fn queue(&self) -> SqliteQueue {
        SqliteQueue { database: self.clone() }
    }
}

impl SqliteQueue {
    /// One step with the command of a lease, in a transaction of its own.
    async fn step<R>(
        &self,
        operation: &'static str,
        queue: &QueueId,
        lease: &LeaseToken,
        step: impl FnOnce(&mut hexmem_ports::rules::CommandCore, Timestamp) -> Result<R>,
    ) -> Result<R> {
        let mut tx = self.database.write(operation).await?;
        let now = tx.now();
        let Some(found) = tx.work().find_queue(queue).await? else {
            return Err(stale(operation, lease));
        };
        let Some(mut filed) = tx.work().find_command(found.queue, lease.command).await? else {
            return Err(stale(operation, lease));
        };
        let answer = step(&mut filed.core, now)?;
        tx.work().file_command(found.queue, &filed, filed.was_head()).await?;
        tx.commit().await?;
        self.database.bells().ring(&queue.digest());
        Ok(answer)
    }
}

impl SqliteQueue {
    /// Renews what is current of a list, in one transaction.
    async fn extend_all(
        &self,
        queue: &QueueId,
        leases: &[LeaseToken],
        visibility: Ttl,
    ) -> Result<Vec<Result<Extended>>> {
        let refused = |lease: &LeaseToken| Err(stale("queue.extend", lease));
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.database.write("queue.extend").await?;
        let now = tx.now();
        let Some(found) = tx.work().find_queue(queue).await? else {
            return Ok(leases.iter().map(refused).collect());
        };
        let mut answers = Vec::with_capacity(leases.len());
        let mut work = tx.work();
        let ids = leases.iter().map(|lease| lease.command);
        let mut commands = work.find_commands(found.queue, ids).await?;
        let mut renewed = HashSet::new();
        for lease in leases {
            let answer = match commands.get_mut(&lease.command) {
                None => refused(lease),
                Some(filed) => {
                    let answer = filed.core.extend(lease, visibility, now);
                    if answer.is_ok() {
                        renewed.insert(lease.command);
                    }
                    answer
                }
            };
            answers.push(answer);
        }
        work.file_commands(found.queue, &of(&commands, &renewed)).await?;
        if !renewed.is_empty() {
            tx.commit().await?;
        }
        Ok(answers)
    }
}

impl Filed {
    /// Whether it stood at the head of its group, or in none, when it was read.
    fn was_head(&self) -> bool {
        self.stage != hexmem_ports::rules::Stage::Blocked
    }
}

/// Those of the commands whose ids are given.
fn of<'a>(commands: &'a HashMap<CommandId, Filed>, ids: &HashSet<CommandId>) -> Vec<&'a Filed> {
    ids.iter().filter_map(|id| commands.get(id)).collect()
}

/// Completes a command that was found, or was not; `false` for a repeat. The caller files it, the result is kept.
async fn complete(
    work: &mut Work<'_>,
    found: Option<&mut Filed>,
    ack: Ack,
) -> Result<Result<bool>> {
    let now = work.now();
    let Some(filed) = found else { return Ok(Err(stale("queue.ack", &ack.lease))) };
    match filed.core.complete(&ack.lease, now) {
        Ok(true) => {
            if let Some(result) = ack.result {
                work.insert_result(filed.row, &result).await?;
            }
            Ok(Ok(true))
        }
        answer => Ok(answer),
    }
}

#[async_trait]
impl CommandQueue for SqliteQueue {
    fn capabilities(&self) -> Capabilities {
        use Capability::{Durable, Effects, ExactCounts, MultiProcess, Records};
        Capabilities::of([Durable, MultiProcess, Effects, ExactCounts, Records])
    }

    async fn enqueue(
        &self,
        queue: &QueueId,
        commands: Vec<NewCommand>,
        when_idle: WhenIdle,
        effects: Vec<Effect>,
    ) -> Result<Vec<Enqueued>> {
        commands.iter().try_for_each(|command| command.check("queue.enqueue"))?;
        check_effects("queue.enqueue", &effects)?;
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.database.write("queue.enqueue").await?;
        let answers = tx.work().enqueue_all(queue, commands, when_idle).await?;
        let newly = answers.iter().any(|(_, stored)| *stored);
        let answers = answers.into_iter().map(|(answer, _)| answer).collect();
        if !newly {
            // Nothing to keep, not even a queue that was opened for it.
            return Ok(answers);
        }
        tx.push_effects(&effects).await?;
        tx.commit().await?;
        self.database.bells().ring(&queue.digest());
        Ok(answers)
    }

    async fn lease(&self, queue: &QueueId, request: LeaseRequest) -> Result<Vec<Leased>> {
        self.wait_for_commands(queue, &request).await
    }

    async fn extend(
        &self,
        queue: &QueueId,
        leases: Vec<LeaseToken>,
        visibility: Ttl,
    ) -> Result<Vec<Result<Extended>>> {
        self.extend_all(queue, &leases, visibility).await
    }

    async fn ack(
        &self,
        queue: &QueueId,
        acks: Vec<Ack>,
        effects: Vec<Effect>,
    ) -> Result<Vec<Result<()>>> {
        check_effects("queue.ack", &effects)?;
        for ack in &acks {
            check_bytes("queue.ack", ack.result.as_deref().unwrap_or_default())?;
        }
        if acks.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.database.write("queue.ack").await?;
        let Some(found) = tx.work().find_queue(queue).await? else {
            return Ok(acks.iter().map(|ack| Err(stale("queue.ack", &ack.lease))).collect());
        };
        let mut answers = Vec::with_capacity(acks.len());
        let mut work = tx.work();
        let ids = acks.iter().map(|ack| ack.lease.command);
        let mut commands = work.find_commands(found.queue, ids).await?;
        let mut completed = HashSet::new();
        for ack in acks {
            let id = ack.lease.command;
            let answer = complete(&mut work, commands.get_mut(&id), ack).await?;
            if matches!(answer, Ok(true)) {
                completed.insert(id);
            }
            answers.push(answer.map(|_| ()));
        }
        let newly = !completed.is_empty();
        work.file_commands(found.queue, &of(&commands, &completed)).await?;
        if newly {
            if answers.iter().all(Result::is_ok) {
                tx.push_effects(&effects).await?;
            }
            tx.commit().await?;
            self.database.bells().ring(&queue.digest());
        }
        Ok(answers)
    }

    async fn fail(
        &self,
        queue: &QueueId,
        lease: &LeaseToken,
        failure: Failure,
    ) -> Result<FailOutcome> {
        self.step("queue.fail", queue, lease, |core, now| core.fail(lease, &failure, now)).await
    }

    async fn release(&self, queue: &QueueId, lease: &LeaseToken) -> Result<()> {
        self.step("queue.release", queue, lease, |core, now| core.release(lease, now)).await
    }

    async fn progress(&self, queue: &QueueId, lease: &LeaseToken, progress: Value) -> Result<()> {
        check_json("queue.progress", &progress)?;
        self.step("queue.progress", queue, lease, |core, now| core.report(lease, progress, now))
            .await
    }

    async fn cancel(&self, queue: &QueueId, id: CommandId) -> Result<CancelOutcome> {
        let mut tx = self.database.write("queue.cancel").await?;
        let now = tx.now();
        let Some(found) = tx.work().find_queue(queue).await? else {
            return Ok(CancelOutcome::Unknown);
        };
        let Some(mut filed) = tx.work().find_command(found.queue, id).await? else {
            return Ok(CancelOutcome::Unknown);
        };
        let outcome = filed.core.cancel(now);
        tx.work().file_command(found.queue, &filed, filed.was_head()).await?;
        tx.commit().await?;
        self.database.bells().ring(&queue.digest());
        Ok(outcome)
    }

    async fn view(&self, queue: &QueueId, id: CommandId) -> Result<Option<CommandView>> {
        self.view_command(queue, id).await
    }

    async fn result(
        &self,
        queue: &QueueId,
        id: CommandId,
        wait: Duration,
    ) -> Result<Option<CommandResult>> {
        self.wait_for_result(queue, id, wait).await
    }

    async fn dead(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<CommandView>> {
        self.dead_page(queue, cursor, limit).await
    }

    async fn requeue(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        let count = self.requeue_dead(queue, &which).await?;
        self.database.bells().ring(&queue.digest());
        Ok(count)
    }

    async fn purge(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        self.purge_dead(queue, &which).await
    }

    async fn stats(&self, queue: &QueueId) -> Result<QueueStats> {
        self.count(queue).await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        self.list_queues(tenant, prefix, cursor, limit).await
    }

    async fn set_limits(&self, queue: &QueueId, limits: QueueLimits) -> Result<()> {
        limits.check("queue.set_limits")?;
        let mut tx = self.database.write("queue.set_limits").await?;
        let now = tx.now();
        let found = tx.work().open_queue(queue).await?;
        tx.work().put_limits(found.queue, limits, found.limits_version + 1, now).await?;
        tx.commit().await?;
        self.database.bells().ring(&queue.digest());
        Ok(())
    }

    async fn limits(&self, queue: &QueueId) -> Result<QueueLimits> {
        self.read_limits(queue).await
    }

    async fn put_schedule(
        &self,
        queue: &QueueId,
        schedule: Schedule,
        expected: u64,
    ) -> Result<u64> {
        self.write_schedule(queue, schedule, expected).await
    }

    async fn delete_schedule(&self, queue: &QueueId, name: &Name) -> Result<bool> {
        self.remove_schedule(queue, name).await
    }

    async fn schedules(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Schedule>> {
        self.schedule_page(queue, cursor, limit).await
    }

    async fn fire(
        &self,
        queue: &QueueId,
        name: &Name,
        expected: u64,
        command: NewCommand,
        next_at: Option<Timestamp>,
    ) -> Result<Fired> {
        command.check("queue.fire")?;
        let fired = self.fire_schedule(queue, name, expected, command, next_at).await?;
        self.database.bells().ring(&queue.digest());
        Ok(fired)
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        self.sweep_file(limit).await
    }
}
