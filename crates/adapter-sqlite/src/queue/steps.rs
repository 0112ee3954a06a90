//! What happens under the write lock: finding the queue, settling, enqueueing, handing out.

use std::collections::HashMap;

use hexmem_ports::rules::{CommandCore, TokenBucket, allowance};
use hexmem_ports::{
    CommandId, DedupeEntry, Enqueued, Error, ErrorKind, LeaseRequest, Leased, Name, NewCommand,
    QueueId, QueueLimits, Rate, Result, StoredCommand, Timestamp, Ttl, WhenIdle, to_hex,
};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::row::{Filed, body, group_hash, number, signed, time_or_none};
use crate::Work;

/// Settled in one transaction: bounds how long the write lock is held for what time has piled up.
pub(super) const BATCH: u32 = 256;

/// A queue as the file has it.
pub(super) struct QueueRow {
    pub(super) queue: i64,
    pub(super) limits: QueueLimits,
    pub(super) limits_version: u64,
    pub(super) limits_modified_at: Option<Timestamp>,
    bucket: Option<TokenBucket>,
    consumer_seen_at: Option<Timestamp>,
}

impl QueueRow {
    pub(super) fn read(row: &SqliteRow) -> sqlx::Result<Self> {
        let count: Option<i64> = row.try_get("rate_count")?;
        let rate = match count {
            None => None,
            Some(_) => Some(Rate {
                count: number(row, "rate_count")?,
                per: Ttl::try_from(number::<u64>(row, "rate_per")?)
                    .map_err(|error| sqlx::Error::Decode(error.into()))?,
            }),
        };
        let cap: Option<i64> = row.try_get("max_in_flight")?;
        let max_in_flight = cap.map(|_| number(row, "max_in_flight")).transpose()?;
        let bucket = time_or_none(row, "bucket_full_at")?.map(|full_at| TokenBucket { full_at });
        Ok(Self {
            queue: row.try_get("queue")?,
            limits: QueueLimits { max_in_flight, rate },
            limits_version: number(row, "limits_version")?,
            limits_modified_at: time_or_none(row, "limits_modified_at")?,
            bucket,
            consumer_seen_at: time_or_none(row, "consumer_seen_at")?,
        })
    }
}

/// What the file has of an id.
#[derive(Clone, Copy)]
pub(super) struct Known {
    row: i64,
    version: u64,
    /// Whether a reader may see it: an enqueue of it is a repeat.
    pub(super) seen: bool,
}

impl Known {
    /// What was stored a moment ago, by the same list.
    pub(super) const STORED: Self = Self { row: 0, version: 0, seen: true };
}

/// Ids as the JSON array of hex that statements take a list by.
fn id_list(ids: impl Iterator<Item = CommandId>) -> String {
    let ids: Vec<_> = ids.map(|id| to_hex(id.0.as_bytes())).collect();
    serde_json::Value::from(ids).to_string()
}

/// 128 random bits.
fn secret(operation: &'static str) -> Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, operation, "the system gives no random bytes")
            .caused_by(error)
    })?;
    Ok(u128::from_be_bytes(bytes))
}

impl Work<'_> {
    /// The queue, if it is there.
    pub(super) async fn find_queue(&mut self, queue: &QueueId) -> Result<Option<QueueRow>> {
        let row = sqlx::query(include_str!("../sql/queue/find.sql"))
            .bind(queue.digest().0.to_vec())
            .fetch_optional(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        row.as_ref().map(QueueRow::read).transpose().map_err(|e| self.error(e))
    }

    /// The queue, which comes to be where it is missing.
    pub(super) async fn open_queue(&mut self, queue: &QueueId) -> Result<QueueRow> {
        if let Some(found) = self.find_queue(queue).await? {
            return Ok(found);
        }
        sqlx::query(include_str!("../sql/queue/create.sql"))
            .bind(queue.digest().0.to_vec())
            .bind(queue.tenant.as_str())
            .bind(queue.name.as_str())
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        let found = self.find_queue(queue).await?;
        found.ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                self.operation(),
                "a queue is not there after its insert",
            )
        })
    }

    /// Writes down what time has made of up to `most` commands; returns how many.
    pub(super) async fn settle_due(&mut self, queue: i64, most: u32) -> Result<u32> {
        let now = self.now();
        let rows = sqlx::query(include_str!("../sql/queue/due.sql"))
            .bind(queue)
            .bind(now.as_micros())
            .bind(most)
            .fetch_all(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        for row in &rows {
            let mut filed = Filed::read(row).map_err(|e| self.error(e))?;
            filed.core.settle(now);
            self.file_command(queue, &filed, filed.was_head()).await?;
        }
        Ok(u32::try_from(rows.len()).unwrap_or(u32::MAX))
    }

    /// A command, with what time has made of it, if a reader may see it.
    pub(super) async fn find_command(
        &mut self,
        queue: i64,
        id: CommandId,
    ) -> Result<Option<Filed>> {
        let now = self.now();
        let row = sqlx::query(include_str!("../sql/queue/command.sql"))
            .bind(queue)
            .bind(id.0.as_bytes().to_vec())
            .fetch_optional(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        let Some(row) = row else { return Ok(None) };
        let mut filed = Filed::read(&row).map_err(|e| self.error(e))?;
        filed.core.settle(now);
        Ok(Some(filed).filter(|filed| !filed.core.is_gone(now)))
    }

    /// Likewise those of a list, by one statement.
    pub(super) async fn find_commands(
        &mut self,
        queue: i64,
        ids: impl Iterator<Item = CommandId>,
    ) -> Result<HashMap<CommandId, Filed>> {
        let now = self.now();
        let rows = sqlx::query(include_str!("../sql/queue/commands.sql"))
            .bind(queue)
            .bind(id_list(ids))
            .fetch_all(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in &rows {
            let mut filed = Filed::read(row).map_err(|e| self.error(e))?;
            filed.core.settle(now);
            if !filed.core.is_gone(now) {
                found.insert(filed.core.id, filed);
            }
        }
        Ok(found)
    }

    /// Whether nobody consumes the queue, as an enqueue asks.
    pub(super) async fn is_idle(&mut self, queue: &QueueRow, when: WhenIdle) -> Result<bool> {
        let WhenIdle::Refuse(span) = when else { return Ok(false) };
        let now = self.now();
        if queue.consumer_seen_at.is_some_and(|seen| seen > now.minus(span.get())) {
            return Ok(false);
        }
        let waiting: bool = sqlx::query_scalar(include_str!("../sql/queue/waiting.sql"))
            .bind(queue.queue)
            .bind(now.as_micros())
            .fetch_one(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        Ok(!waiting)
    }

    /// Hands out the next `count` places in the order of enqueues; returns the first.
    pub(super) async fn reserve(&mut self, queue: i64, count: usize) -> Result<u64> {
        let first: i64 = sqlx::query_scalar(include_str!("../sql/queue/sequence.sql"))
            .bind(queue)
            .bind(i64::try_from(count).unwrap_or(i64::MAX))
            .fetch_one(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        Ok(u64::try_from(first).unwrap_or_default())
    }

    /// What the file has of the ids of a list, by one statement.
    pub(super) async fn known(
        &mut self,
        queue: i64,
        ids: impl Iterator<Item = CommandId>,
    ) -> Result<HashMap<CommandId, Known>> {
        let now = self.now();
        let rows = sqlx::query(include_str!("../sql/queue/stamps.sql"))
            .bind(queue)
            .bind(id_list(ids))
            .bind(now.as_micros())
            .fetch_all(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        let read = |row: &SqliteRow| {
            let known = Known {
                row: row.try_get("row")?,
                version: number(row, "version")?,
                seen: row.try_get("seen")?,
            };
            Ok((super::row::command_id(row, "id")?, known))
        };
        rows.iter().map(read).collect::<sqlx::Result<_>>().map_err(|e| self.error(e))
    }

    /// The answer to one command of an enqueue; `true` when it was stored by this call.
    pub(super) async fn enqueue_one(
        &mut self,
        queue: i64,
        command: NewCommand,
        sequence: u64,
        idle: bool,
        known: Option<Known>,
    ) -> Result<(Enqueued, bool)> {
        let now = self.now();
        if known.is_some_and(|known| known.seen) {
            return Ok((Enqueued::Queued, false));
        }
        if let Some(dedupe) = &command.dedupe {
            let taken = sqlx::query(include_str!("../sql/queue/dedupe_find.sql"))
                .bind(queue)
                .bind(dedupe.key.as_str())
                .bind(now.as_micros())
                .fetch_optional(self.connection())
                .await
                .map_err(|e| self.error(e))?;
            if let Some(row) = taken {
                let first = super::row::command_id(&row, "command").map_err(|e| self.error(e))?;
                return Ok((Enqueued::Duplicate(first), false));
            }
        }
        if idle {
            return Ok((Enqueued::NoConsumer, false));
        }
        let mut version = 1;
        if let Some(gone) = known {
            // Over what is gone the version goes on, so that a copy takes the new one.
            version = gone.version + 1;
            self.delete_command(gone.row).await?;
        }
        self.store_new(queue, command, sequence, version).await?;
        Ok((Enqueued::Queued, true))
    }

    async fn store_new(
        &mut self,
        queue: i64,
        command: NewCommand,
        sequence: u64,
        version: u64,
    ) -> Result<()> {
        let now = self.now();
        let mut core = CommandCore::new(&command, sequence, version, now);
        // A deadline that has passed already.
        core.settle(now);
        if let Some(dedupe) = command.dedupe {
            let until = now.plus(dedupe.window.get());
            let entry = DedupeEntry { key: dedupe.key, command: command.id, until };
            self.put_dedupe(queue, &entry, now).await?;
        }
        let head = match &core.group {
            None => true,
            Some(group) => !self.is_group_busy(queue, group).await?,
        };
        let stored = StoredCommand {
            core,
            payload: command.payload,
            headers: command.headers,
            result: None,
        };
        self.insert_command(queue, &stored, head).await?;
        Ok(())
    }

    pub(super) async fn put_dedupe(
        &mut self,
        queue: i64,
        entry: &DedupeEntry,
        set_at: Timestamp,
    ) -> Result<()> {
        sqlx::query(include_str!("../sql/queue/dedupe_put.sql"))
            .bind(queue)
            .bind(entry.key.as_str())
            .bind(entry.command.0.as_bytes().to_vec())
            .bind(entry.until.as_micros())
            .bind(set_at.as_micros())
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        Ok(())
    }

    pub(super) async fn is_group_busy(&mut self, queue: i64, group: &Name) -> Result<bool> {
        sqlx::query_scalar(include_str!("../sql/queue/group_busy.sql"))
            .bind(queue)
            .bind(group_hash(group))
            .fetch_one(self.connection())
            .await
            .map_err(|e| self.error(e))
    }

    pub(super) async fn delete_command(&mut self, row: i64) -> Result<()> {
        sqlx::query(include_str!("../sql/queue/delete.sql"))
            .bind(row)
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        Ok(())
    }

    /// Hands out what is ready and allowed, after everything due was settled.
    pub(super) async fn hand_out(
        &mut self,
        queue: &QueueRow,
        request: &LeaseRequest,
    ) -> Result<Vec<Leased>> {
        let now = self.now();
        let in_flight: i64 = match queue.limits.max_in_flight {
            None => 0,
            Some(_) => sqlx::query_scalar(include_str!("../sql/queue/in_flight.sql"))
                .bind(queue.queue)
                .fetch_one(self.connection())
                .await
                .map_err(|e| self.error(e))?,
        };
        let in_flight = u64::try_from(in_flight).unwrap_or_default();
        let wanted = u64::from(request.max.get());
        let (allowed, tokens) = allowance(&queue.limits, queue.bucket, in_flight, wanted, now);
        let rows = sqlx::query(include_str!("../sql/queue/ready.sql"))
            .bind(queue.queue)
            .bind(signed(allowed))
            .fetch_all(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        let mut leased = Vec::with_capacity(rows.len());
        let mut handed_out = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut filed = Filed::read(row).map_err(|e| self.error(e))?;
            let (payload, headers) = body(row).map_err(|e| self.error(e))?;
            let secret = secret(self.operation())?;
            let lease = filed.core.hand_out(&request.worker, secret, request.visibility, now);
            leased.push(Leased {
                id: filed.core.id,
                lease,
                attempt: lease.attempt,
                payload,
                headers,
                group: filed.core.group.clone(),
                deadline: filed.core.deadline,
                leased_until: now.plus(request.visibility.get()),
            });
            handed_out.push(filed);
        }
        self.file_commands(queue.queue, &handed_out.iter().collect::<Vec<_>>()).await?;
        let taken = u64::try_from(leased.len()).unwrap_or(u64::MAX);
        let bucket = tokens.map(|tokens| tokens.take(taken));
        sqlx::query(include_str!("../sql/queue/saw_consumer.sql"))
            .bind(queue.queue)
            .bind(now.as_micros())
            .bind(bucket.map(|bucket| bucket.full_at.as_micros()))
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        Ok(leased)
    }

    /// Notes that a worker was here, and until when it can be believed to wait.
    pub(super) async fn saw_worker(
        &mut self,
        queue: i64,
        worker: &Name,
        waits_until: Option<Timestamp>,
    ) -> Result<()> {
        let now = self.now().as_micros();
        sqlx::query(include_str!("../sql/queue/saw_worker.sql"))
            .bind(queue)
            .bind(worker.as_str())
            .bind(now)
            .bind(waits_until.map(Timestamp::as_micros))
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        Ok(())
    }
}
