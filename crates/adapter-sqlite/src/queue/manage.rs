//! Views, dead letters, counts, limits, sweeping.

use std::time::Duration;

use hexmem_ports::rules::{dead_cursor, dead_cursor_of, queue_cursor, queue_cursor_of};
use hexmem_ports::{
    CommandId, CommandView, Cursor, DeadLetters, Limit, Name, Page, Prefix, QueueId, QueueLimits,
    QueueStats, Result, TOMBSTONE_TTL, Tenant, Timestamp, to_hex,
};

use super::SqliteQueue;
use super::row::{Filed, body, name, number, time_or_none};
use super::steps::{BATCH, QueueRow};
use crate::Work;

/// Workers are counted for this long after they were last seen.
const CONSUMER_SPAN: Duration = Duration::from_secs(60);

impl SqliteQueue {
    pub(super) async fn view_command(
        &self,
        queue: &QueueId,
        id: CommandId,
    ) -> Result<Option<CommandView>> {
        let mut read = self.database.read("queue.view").await?;
        let now = read.now();
        let row = sqlx::query(include_str!("../sql/queue/view.sql"))
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
        let (payload, headers) = body(&row).map_err(|e| read.error(e))?;
        Ok(Some(filed.core.view(payload, headers)))
    }

    /// Settles all that is due, in batches; costs one read when nothing is.
    async fn settle_queue(&self, operation: &'static str, queue: &QueueId) -> Result<()> {
        loop {
            let mut read = self.database.read(operation).await?;
            let now = read.now();
            let found = sqlx::query(include_str!("../sql/queue/find.sql"))
                .bind(queue.digest().0.to_vec())
                .fetch_optional(read.connection())
                .await
                .map_err(|e| read.error(e))?;
            let Some(found) = found else { return Ok(()) };
            let found = QueueRow::read(&found).map_err(|e| read.error(e))?;
            let seen = sqlx::query(include_str!("../sql/queue/peek.sql"))
                .bind(found.queue)
                .fetch_one(read.connection())
                .await
                .map_err(|e| read.error(e))?;
            let due = time_or_none(&seen, "due_at").map_err(|e| read.error(e))?;
            if due.is_none_or(|due| due > now) {
                return Ok(());
            }
            drop(read);
            let mut tx = self.database.write(operation).await?;
            tx.work().settle_due(found.queue, BATCH).await?;
            tx.commit().await?;
        }
    }

    pub(super) async fn dead_page(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<CommandView>> {
        let after = cursor.as_ref().map(dead_cursor).transpose()?;
        let after = after.map_or_else(Vec::new, |id| id.0.as_bytes().to_vec());
        self.settle_queue("queue.dead", queue).await?;
        let mut read = self.database.read("queue.dead").await?;
        let rows = sqlx::query(include_str!("../sql/queue/dead.sql"))
            .bind(queue.digest().0.to_vec())
            .bind(after)
            .bind(limit.get() + 1)
            .fetch_all(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        let views = rows.iter().map(|row| {
            let (payload, headers) = body(row)?;
            Ok(Filed::read(row)?.core.view(payload, headers))
        });
        let views = views.collect::<sqlx::Result<Vec<_>>>().map_err(|e| read.error(e))?;
        Ok(Page::cut(views, limit, dead_cursor_of))
    }

    pub(super) async fn requeue_dead(&self, queue: &QueueId, which: &DeadLetters) -> Result<u64> {
        self.settle_queue("queue.requeue", queue).await?;
        let mut tx = self.database.write("queue.requeue").await?;
        let now = tx.now();
        let Some(found) = tx.work().find_queue(queue).await? else { return Ok(0) };
        let chosen = tx.work().dead_letters(found.queue, which).await?;
        let mut sequence = tx.work().reserve(found.queue, chosen.len()).await?;
        let count = chosen.len();
        for mut filed in chosen {
            filed.core.requeue(sequence, now);
            sequence += 1;
            let head = match &filed.core.group {
                None => true,
                Some(group) => !tx.work().is_group_busy(found.queue, group).await?,
            };
            tx.work().file_command(found.queue, &filed, head).await?;
        }
        tx.commit().await?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    pub(super) async fn purge_dead(&self, queue: &QueueId, which: &DeadLetters) -> Result<u64> {
        self.settle_queue("queue.purge", queue).await?;
        let mut tx = self.database.write("queue.purge").await?;
        let now = tx.now();
        let Some(found) = tx.work().find_queue(queue).await? else { return Ok(0) };
        let chosen = tx.work().dead_letters(found.queue, which).await?;
        let count = chosen.len();
        for mut filed in chosen {
            filed.core.purge(now);
            tx.work().file_command(found.queue, &filed, true).await?;
            sqlx::query(include_str!("../sql/queue/delete_body.sql"))
                .bind(filed.row)
                .execute(tx.connection())
                .await
                .map_err(|e| tx.error(e))?;
        }
        tx.commit().await?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    pub(super) async fn count(&self, queue: &QueueId) -> Result<QueueStats> {
        self.settle_queue("queue.stats", queue).await?;
        let mut read = self.database.read("queue.stats").await?;
        let now = read.now();
        let row = sqlx::query(include_str!("../sql/queue/stats.sql"))
            .bind(queue.digest().0.to_vec())
            .bind(now.as_micros())
            .bind(now.minus(CONSUMER_SPAN).as_micros())
            .fetch_optional(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        let Some(row) = row else { return Ok(QueueStats::default()) };
        let stats = || {
            let of = |column| number::<u64>(&row, column);
            let oldest =
                [time_or_none(&row, "oldest_ready")?, time_or_none(&row, "oldest_blocked")?];
            let oldest = oldest.into_iter().flatten().min().filter(|oldest| *oldest <= now);
            Ok(QueueStats {
                ready: of("ready")? + of("blocked")?,
                delayed: of("parked")? + of("blocked_late")?,
                in_flight: of("in_flight")?,
                dead: of("dead")?,
                results: of("results")?,
                oldest_ready: oldest.map(|oldest| now.since(oldest)),
                consumers: of("consumers")?,
            })
        };
        stats().map_err(|e| read.error(e))
    }

    pub(super) async fn list_queues(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        let after =
            cursor.as_ref().map(queue_cursor).transpose()?.map(String::from).unwrap_or_default();
        let mut read = self.database.read("queue.list").await?;
        let now = read.now();
        let names: Vec<String> = sqlx::query_scalar(include_str!("../sql/queue/list.sql"))
            .bind(tenant.as_str())
            .bind(after)
            .bind(prefix.as_str())
            // No UTF-8 text sorts after 0xFF.
            .bind(prefix.end().unwrap_or_else(|| vec![0xff]))
            .bind(now.as_micros())
            .bind(limit.get() + 1)
            .fetch_all(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        let names = names.into_iter().map(name).collect::<sqlx::Result<Vec<_>>>();
        Ok(Page::cut(names.map_err(|e| read.error(e))?, limit, queue_cursor_of))
    }

    pub(super) async fn read_limits(&self, queue: &QueueId) -> Result<QueueLimits> {
        let mut read = self.database.read("queue.limits").await?;
        let row = sqlx::query(include_str!("../sql/queue/find.sql"))
            .bind(queue.digest().0.to_vec())
            .fetch_optional(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        let found = row.as_ref().map(QueueRow::read).transpose().map_err(|e| read.error(e))?;
        Ok(found.map(|found| found.limits).unwrap_or_default())
    }

    pub(super) async fn sweep_file(&self, limit: Limit) -> Result<u64> {
        let mut tx = self.database.write("queue.sweep").await?;
        let now = tx.now();
        let most = limit.get();
        let mut count = 0;
        let queues: Vec<i64> = sqlx::query_scalar(include_str!("../sql/queue/sweep_due.sql"))
            .bind(now.as_micros())
            .bind(most)
            .fetch_all(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        for queue in queues {
            if count < most {
                count += tx.work().settle_due(queue, most - count).await?;
            }
        }
        let buried = now.minus(TOMBSTONE_TTL);
        for (statement, before) in [
            (include_str!("../sql/queue/sweep_commands.sql"), now),
            (include_str!("../sql/queue/sweep_dedupe.sql"), now),
            (include_str!("../sql/queue/sweep_schedules.sql"), buried),
        ] {
            let done = sqlx::query(statement)
                .bind(before.as_micros())
                .bind(most - count)
                .execute(tx.connection())
                .await
                .map_err(|e| tx.error(e))?;
            count += u32::try_from(done.rows_affected()).unwrap_or(u32::MAX).min(most - count);
        }
        sqlx::query(include_str!("../sql/queue/sweep_workers.sql"))
            .bind(now.minus(CONSUMER_SPAN).as_micros())
            .bind(now.as_micros())
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        tx.commit().await?;
        Ok(count.into())
    }
}

impl Work<'_> {
    /// The chosen dead letters, the oldest enqueue first.
    async fn dead_letters(&mut self, queue: i64, which: &DeadLetters) -> Result<Vec<Filed>> {
        let query = match which {
            DeadLetters::All => sqlx::query(include_str!("../sql/queue/dead_all.sql")).bind(queue),
            DeadLetters::Only(ids) => {
                let ids: Vec<_> = ids.iter().map(|id| to_hex(id.0.as_bytes())).collect();
                let ids = serde_json::Value::from(ids).to_string();
                sqlx::query(include_str!("../sql/queue/dead_some.sql")).bind(queue).bind(ids)
            }
        };
        let rows = query.fetch_all(self.connection()).await.map_err(|e| self.error(e))?;
        rows.iter().map(Filed::read).collect::<sqlx::Result<_>>().map_err(|e| self.error(e))
    }

    pub(super) async fn put_limits(
        &mut self,
        queue: i64,
        limits: QueueLimits,
        version: u64,
        modified_at: Timestamp,
    ) -> Result<()> {
        sqlx::query(include_str!("../sql/queue/set_limits.sql"))
            .bind(queue)
            .bind(limits.max_in_flight.map(i64::from))
            .bind(limits.rate.map(|rate| i64::from(rate.count)))
            .bind(limits.rate.map(|rate| rate.per.as_micros()))
            .bind(super::row::signed(version))
            .bind(modified_at.as_micros())
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        Ok(())
    }
}
