//! Handing out, and waiting: for a command, and for a result.

use std::time::{Duration, Instant};

use hexmem_ports::{
    CommandId, CommandResult, Error, ErrorKind, LeaseRequest, Leased, QueueId, Result, Timestamp,
};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::hints::{Floor, Start};
use super::row::{Filed, corrupt, json, lease, name, time, time_or_none};
use super::{BATCH, PgQueue, SLACK, result_topic, topic};
use crate::listen::Ear;
use crate::value::{At, Hash, micros};

/// A waiter looks after this long, then after twice as long, up to [`LONGEST_STEP`], whether or not it was woken.
const FIRST_STEP: Duration = Duration::from_millis(50);
const LONGEST_STEP: Duration = Duration::from_millis(500);

/// How long a waiting worker is believed to be there without another word: a killed one counts as a
/// consumer no longer than this.
const PRESENCE: Duration = Duration::from_secs(10);

/// What one look at a queue gave.
struct Look {
    leased: Vec<Leased>,
    /// The store's present.
    now: Timestamp,
    /// When time changes something next.
    due_at: Option<Timestamp>,
}

/// A row of `lease.sql`: the present, and a command if there is one.
struct Handed {
    now: Timestamp,
    due_at: Option<Timestamp>,
    piled_up: bool,
    /// With what it is ordered by.
    one: Option<(i16, i64, Leased)>,
}

impl FromRow<'_, PgRow> for Handed {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let (now, due_at) = (time(row, "now")?, time_or_none(row, "due_at")?);
        let piled_up = row.try_get("piled_up")?;
        let Some(id) = row.try_get::<Option<Uuid>, _>("id")?.map(CommandId) else {
            return Ok(Self { now, due_at, piled_up, one: None });
        };
        let lease = lease(id, row.try_get("lease")?)?;
        let leased = Leased {
            id,
            attempt: lease.attempt,
            lease,
            payload: row.try_get("payload")?,
            headers: json(row.try_get::<&str, _>("headers")?)?,
            group: row.try_get::<Option<String>, _>("group_name")?.map(name).transpose()?,
            deadline: time_or_none(row, "deadline")?,
            leased_until: time_or_none(row, "leased_until")?
                .ok_or_else(|| corrupt("a lease without an end"))?,
        };
        let one = Some((row.try_get("priority")?, row.try_get("sequence")?, leased));
        Ok(Self { now, due_at, piled_up, one })
    }
}

/// The key that the secrets of a lease are made from, one for each command: SHA-256 of key and id, cut to 128 bits.
fn secret(operation: &'static str) -> Result<Vec<u8>> {
    let mut bytes = vec![0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, operation, "the system gives no random bytes")
            .caused_by(error)
    })?;
    Ok(bytes)
}

impl PgQueue {
    pub(super) async fn wait_for_commands(
        &self,
        queue: &QueueId,
        request: &LeaseRequest,
    ) -> Result<Vec<Leased>> {
        if request.wait.is_zero() {
            return Ok(self.look(queue, request, None).await?.leased);
        }
        let began = Instant::now();
        let (mut step, mut until, mut told) = (FIRST_STEP, None, false);
        let mut ear = self.postgres.hear(&topic(queue));
        loop {
            let left = request.wait.saturating_sub(began.elapsed());
            let over = until.is_some() && left.is_zero();
            let waits = (!over).then(|| PRESENCE.min(left.max(Duration::from_millis(1))));
            let look = self.look(queue, request, waits).await?;
            let until = *until.get_or_insert(look.now.plus(request.wait));
            if !look.leased.is_empty() || over || look.now >= until {
                self.leave(queue, request, &look).await?;
                return Ok(look.leased);
            }
            if !told {
                // Whoever enqueued before this worker was known to wait has told nobody.
                told = true;
                continue;
            }
            self.rest(&mut ear, look.now, step, [Some(until), look.due_at]).await;
            step = (step * 2).min(LONGEST_STEP);
        }
    }

    /// A wait that ends without a command ends the word that somebody waits.
    async fn leave(&self, queue: &QueueId, request: &LeaseRequest, look: &Look) -> Result<()> {
        if look.leased.is_empty() {
            self.postgres
                .write("queue.lease", include_str!("../sql/queue/leave.sql"))
                .bind(Hash(queue.digest()))
                .bind(request.worker.as_str())
                .execute()
                .await?;
        }
        Ok(())
    }

    /// Settles what is due and hands out what is ready. `waits`: the worker will wait for so long.
    async fn look(
        &self,
        queue: &QueueId,
        request: &LeaseRequest,
        waits: Option<Duration>,
    ) -> Result<Look> {
        const OPERATION: &str = "queue.lease";
        let digest = queue.digest();
        let hints = self.postgres.queue_hints();
        loop {
            let start = hints.start(&digest, Instant::now());
            let rows = self.hand_out(OPERATION, queue, request, waits, &start).await?;
            let Some((now, due_at, piled_up)) =
                rows.first().map(|row| (row.now, row.due_at, row.piled_up))
            else {
                return Err(Error::new(
                    ErrorKind::Internal,
                    OPERATION,
                    "a lease gave no answer where one is due",
                ));
            };
            if piled_up {
                // Much has piled up: others get their turn between the batches.
                continue;
            }
            hints.settled(&digest, &start, now, Instant::now());
            let mut handed: Vec<_> = rows.into_iter().filter_map(|row| row.one).collect();
            // RETURNING promises no order.
            handed.sort_by_key(|(priority, sequence, _)| (std::cmp::Reverse(*priority), *sequence));
            let leased: Vec<_> = handed.into_iter().map(|(_, _, leased)| leased).collect();
            if !leased.is_empty() {
                self.move_floors(queue).await;
            }
            return Ok(Look { leased, now, due_at });
        }
    }

    async fn hand_out(
        &self,
        operation: &'static str,
        queue: &QueueId,
        request: &LeaseRequest,
        waits: Option<Duration>,
        start: &Start,
    ) -> Result<Vec<Handed>> {
        let (priorities, floors): (Vec<i16>, Vec<i64>) = start.floors.iter().copied().unzip();
        self.postgres
            .write(operation, include_str!("../sql/queue/lease.sql"))
            .bind(Hash(queue.digest()))
            .bind(queue.tenant.as_str())
            .bind(queue.name.as_str())
            .bind(request.worker.as_str())
            .bind(i32::try_from(request.max.get()).unwrap_or(i32::MAX))
            .bind(request.visibility.as_micros())
            .bind(secret(operation)?)
            .bind(priorities)
            .bind(floors)
            .bind(At(start.since))
            .bind(BATCH)
            .bind(micros(SLACK))
            .bind(waits.map(micros))
            .fetch_all()
            .await
    }

    /// Remembers up to where nothing is left. It is a matter of speed alone: a failure is not told.
    async fn move_floors(&self, queue: &QueueId) {
        let digest = queue.digest();
        let hints = self.postgres.queue_hints();
        let Some(before) = hints.wants_floors(&digest, Instant::now()) else { return };
        let (priorities, floors): (Vec<i16>, Vec<i64>) = before.into_iter().unzip();
        let asked = Instant::now();
        let found = self
            .postgres
            .read("queue.lease", include_str!("../sql/queue/floors.sql"))
            .bind(Hash(digest))
            .bind(priorities)
            .bind(floors)
            .fetch_all::<Floor>()
            .await;
        match found {
            Ok(rows) => hints.found(&digest, asked, &rows),
            Err(error) => tracing::debug!(%error, "where leases start stays as it was"),
        }
    }

    pub(super) async fn wait_for_result(
        &self,
        queue: &QueueId,
        id: CommandId,
        wait: Duration,
    ) -> Result<Option<CommandResult>> {
        let began = Instant::now();
        let (mut step, mut until, mut told) = (FIRST_STEP, None, false);
        let mut ear = self.postgres.hear(&result_topic(queue, id));
        loop {
            let found = self.read(queue, id, "queue.result").await?;
            let (now, due_at) = match found {
                Some(mut filed) => {
                    filed.core.settle(filed.now);
                    if filed.core.is_gone(filed.now) {
                        return Ok(None);
                    }
                    let due_at = filed.core.facts().due_at();
                    if let Some(result) = filed.core.result(filed.result) {
                        return Ok(Some(result));
                    }
                    (Some(filed.now), due_at)
                }
                None => (None, None),
            };
            let over = match (now, until) {
                (Some(now), Some(until)) => now >= until,
                _ => false,
            };
            if wait.is_zero() || over || began.elapsed() >= wait {
                return Ok(None);
            }
            let until = now.map(|now| *until.get_or_insert(now.plus(wait)));
            if !told && now.is_some() {
                // Whoever ends it now has told nobody: look once more.
                told = true;
                self.await_end(queue, id).await?;
                continue;
            }
            self.rest(&mut ear, now.unwrap_or(Timestamp::MIN), step, [until, due_at]).await;
            step = (step * 2).min(LONGEST_STEP);
        }
    }

    async fn await_end(&self, queue: &QueueId, id: CommandId) -> Result<()> {
        self.postgres
            .write("queue.result", include_str!("../sql/queue/await.sql"))
            .bind(Hash(queue.digest()))
            .bind(id.0)
            .execute()
            .await?;
        Ok(())
    }

    /// A command as it was written down.
    pub(super) async fn read(
        &self,
        queue: &QueueId,
        id: CommandId,
        operation: &'static str,
    ) -> Result<Option<Filed>> {
        self.postgres
            .read(operation, include_str!("../sql/queue/view.sql"))
            .bind(Hash(queue.digest()))
            .bind(id.0)
            .fetch_optional()
            .await
    }

    /// Sleeps until somebody changes the queue, for a step, or until the first of some instants of the store's.
    async fn rest(
        &self,
        ear: &mut Ear,
        now: Timestamp,
        step: Duration,
        ends: [Option<Timestamp>; 2],
    ) {
        let ends = ends.into_iter().flatten().map(|end| end.since(now));
        let span = ends.fold(step, Duration::min).max(Duration::from_millis(1));
        tokio::select! {
            () = ear.heard() => {}
            () = tokio::time::sleep(span) => {}
        }
    }
}
