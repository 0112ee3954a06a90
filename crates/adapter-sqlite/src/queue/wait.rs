//! Waiting for a command, and for a result.

use std::pin::Pin;
use std::time::Duration;

use hexmem_ports::{CommandId, CommandResult, LeaseRequest, Leased, QueueId, Result, Timestamp};
use sqlx::Row as _;
use tokio::sync::futures::Notified;

use super::SqliteQueue;
use super::row::{Filed, time_or_none};
use super::steps::BATCH;

/// A waiter looks after this long, then after twice as long, up to [`LONGEST_STEP`]: what another process
/// enqueued is seen by then.
const FIRST_STEP: Duration = Duration::from_millis(50);
const LONGEST_STEP: Duration = Duration::from_millis(500);

/// How long a waiting worker is believed to be there without another word: a killed one counts as a
/// consumer no longer than this.
const PRESENCE: Duration = Duration::from_secs(10);

/// What a look at a queue without the write lock tells.
struct Glimpse {
    ready: bool,
    due_at: Option<Timestamp>,
}

impl SqliteQueue {
    pub(super) async fn wait_for_commands(
        &self,
        queue: &QueueId,
        request: &LeaseRequest,
    ) -> Result<Vec<Leased>> {
        let clock = self.database.clock();
        let digest = queue.digest();
        let until = clock.now().plus(request.wait);
        let mut step = FIRST_STEP;
        // When the next word of this worker is due.
        let mut word_due = Timestamp::MIN;
        let mut key = None;
        loop {
            let mut bell = std::pin::pin!(self.database.bells().listen(&digest));
            bell.as_mut().enable();
            let now = clock.now();
            let glimpse = match key {
                Some(key) if now < word_due && now < until => Some(self.glimpse(key).await?),
                _ => None,
            };
            let worth = glimpse
                .as_ref()
                .is_none_or(|seen| seen.ready || seen.due_at.is_some_and(|due| due <= now));
            if worth {
                let waits = (now < until).then(|| until.min(now.plus(PRESENCE)));
                let (leased, at) = self.try_lease(queue, request, waits).await?;
                key = Some(at);
                word_due = now.plus(PRESENCE / 2);
                if !leased.is_empty() || now >= until {
                    return Ok(leased);
                }
            }
            let next = now.plus(step).min(until).min(word_due.max(now));
            let next = glimpse.and_then(|seen| seen.due_at).map_or(next, |due| next.min(due));
            self.rest(bell, next).await;
            step = (step * 2).min(LONGEST_STEP);
        }
    }

    /// One attempt under the write lock. Also gives the key of the queue.
    async fn try_lease(
        &self,
        queue: &QueueId,
        request: &LeaseRequest,
        waits_until: Option<Timestamp>,
    ) -> Result<(Vec<Leased>, i64)> {
        loop {
            let mut tx = self.database.write("queue.lease").await?;
            let found = tx.work().open_queue(queue).await?;
            if tx.work().settle_due(found.queue, BATCH).await? == BATCH {
                // Much has piled up: others get their turn between the batches.
                tx.commit().await?;
                continue;
            }
            let leased = tx.work().hand_out(&found, request).await?;
            let waits_until = waits_until.filter(|_| leased.is_empty());
            tx.work().saw_worker(found.queue, &request.worker, waits_until).await?;
            tx.commit().await?;
            return Ok((leased, found.queue));
        }
    }

    async fn glimpse(&self, queue: i64) -> Result<Glimpse> {
        let mut read = self.database.read("queue.lease").await?;
        let row = sqlx::query(include_str!("../sql/queue/peek.sql"))
            .bind(queue)
            .fetch_one(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        let glimpse =
            || Ok(Glimpse { ready: row.try_get("ready")?, due_at: time_or_none(&row, "due_at")? });
        glimpse().map_err(|e| read.error(e))
    }

    pub(super) async fn wait_for_result(
        &self,
        queue: &QueueId,
        id: CommandId,
        wait: Duration,
    ) -> Result<Option<CommandResult>> {
        let clock = self.database.clock();
        let digest = queue.digest();
        let until = clock.now().plus(wait);
        let mut step = FIRST_STEP;
        loop {
            let mut bell = std::pin::pin!(self.database.bells().listen(&digest));
            bell.as_mut().enable();
            let now = clock.now();
            let found = self.read_result(queue, id).await?;
            let due = match found {
                Some((Some(result), _)) => return Ok(Some(result)),
                Some((None, due)) => due,
                None => None,
            };
            if now >= until {
                return Ok(None);
            }
            let next = now.plus(step).min(until);
            self.rest(bell, due.map_or(next, |due| next.min(due))).await;
            step = (step * 2).min(LONGEST_STEP);
        }
    }

    /// The result of a command that can be seen, or when time alone will change it.
    async fn read_result(
        &self,
        queue: &QueueId,
        id: CommandId,
    ) -> Result<Option<(Option<CommandResult>, Option<Timestamp>)>> {
        let mut read = self.database.read("queue.result").await?;
        let now = read.now();
        let row = sqlx::query(include_str!("../sql/queue/result.sql"))
            .bind(queue.digest().0.to_vec())
            .bind(id.0.as_bytes().to_vec())
            .fetch_optional(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        let Some(row) = row else { return Ok(None) };
        let mut filed = Filed::read(&row).map_err(|e| read.error(e))?;
        filed.core.settle(now);
        if filed.core.is_gone(now) {
            return Ok(None);
        }
        let bytes: Option<Vec<u8>> = row.try_get("result").map_err(|e| read.error(e))?;
        Ok(Some((filed.core.result(bytes), filed.core.facts().due_at())))
    }

    /// Sleeps until somebody in this process changes the queue, or until an instant.
    async fn rest(&self, bell: Pin<&mut Notified<'_>>, until: Timestamp) {
        let clock = self.database.clock();
        let span = until.since(clock.now()).max(Duration::from_millis(1));
        tokio::select! {
            () = bell => {}
            () = clock.sleep(span) => {}
        }
    }
}
