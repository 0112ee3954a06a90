//! Views, dead letters, counts, limits, sweeping.

use std::time::Duration;

use hexmem_ports::rules::{dead_cursor, dead_cursor_of, queue_cursor, queue_cursor_of};
use hexmem_ports::{
    CommandId, CommandView, Cursor, DeadLetters, Error, ErrorKind, Limit, Name, Page, Prefix,
    QueueId, QueueLimits, QueueStats, Rate, Result, TOMBSTONE_TTL, Tenant, Timestamp,
};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::row::{Filed, name, number, signed, time, time_or_none, ttl};
use super::{BATCH, PgQueue, one_more};
use crate::query::Work;
use crate::value::{At, Hash, last_of, micros};

/// Workers are counted for this long after they were last seen.
const CONSUMER_SPAN: Duration = Duration::from_secs(60);

/// A queue as the database has it.
pub(super) struct QueueRow {
    pub(super) queue: i64,
    pub(super) limits: QueueLimits,
    pub(super) limits_version: u64,
    pub(super) limits_modified_at: Option<Timestamp>,
}

impl FromRow<'_, PgRow> for QueueRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let set = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.is_some());
        let rate = match set("rate_count")? {
            true => Some(Rate {
                count: number(row, "rate_count")?,
                per: ttl(number(row, "rate_per")?)?,
            }),
            false => None,
        };
        let max_in_flight = set("max_in_flight")?.then(|| number(row, "max_in_flight"));
        Ok(Self {
            queue: row.try_get("queue")?,
            limits: QueueLimits { max_in_flight: max_in_flight.transpose()?, rate },
            limits_version: number(row, "limits_version")?,
            limits_modified_at: time_or_none(row, "limits_modified_at")?,
        })
    }
}

struct Counts(QueueStats);

impl FromRow<'_, PgRow> for Counts {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let now = time(row, "now")?;
        let oldest = time_or_none(row, "oldest_ready")?;
        Ok(Self(QueueStats {
            ready: number(row, "ready")?,
            delayed: number(row, "delayed")?,
            in_flight: number(row, "in_flight")?,
            dead: number(row, "dead")?,
            results: number(row, "results")?,
            oldest_ready: oldest.map(|oldest| now.since(oldest)),
            consumers: number(row, "consumers")?,
        }))
    }
}

/// The ids of a choice; `None` for all.
fn chosen(which: DeadLetters) -> Option<Vec<Uuid>> {
    match which {
        DeadLetters::All => None,
        DeadLetters::Only(ids) => Some(ids.into_iter().map(|id| id.0).collect()),
    }
}

impl PgQueue {
    pub(super) async fn view_command(
        &self,
        queue: &QueueId,
        id: CommandId,
    ) -> Result<Option<CommandView>> {
        let Some(mut filed) = self.read(queue, id, "queue.view").await? else { return Ok(None) };
        filed.core.settle(filed.now);
        if filed.core.is_gone(filed.now) {
            return Ok(None);
        }
        Ok(Some(filed.core.view(filed.payload, filed.headers)))
    }

    /// Settles all that is due, in batches.
    async fn settle_queue(&self, operation: &'static str, queue: &QueueId) -> Result<()> {
        loop {
            let settled: Option<(i32,)> = self
                .postgres
                .write(operation, include_str!("../sql/queue/settle.sql"))
                .bind(Hash(queue.digest()))
                .bind(BATCH)
                .fetch_optional()
                .await?;
            if settled.is_none_or(|(settled,)| settled < BATCH) {
                return Ok(());
            }
        }
    }

    pub(super) async fn dead_page(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<CommandView>> {
        const OPERATION: &str = "queue.dead";
        let after = cursor.as_ref().map(dead_cursor).transpose()?;
        self.settle_queue(OPERATION, queue).await?;
        let rows: Vec<Filed> = self
            .postgres
            .read(OPERATION, include_str!("../sql/queue/dead.sql"))
            .bind(Hash(queue.digest()))
            .bind(after.map_or_else(Uuid::nil, |id| id.0))
            .bind(one_more(limit))
            .fetch_all()
            .await?;
        let views = rows.into_iter().map(|filed| filed.core.view(filed.payload, filed.headers));
        Ok(Page::cut(views, limit, dead_cursor_of))
    }

    pub(super) async fn requeue_dead(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        const OPERATION: &str = "queue.requeue";
        self.settle_queue(OPERATION, queue).await?;
        let (count,): (i64,) = self
            .postgres
            .write(OPERATION, include_str!("../sql/queue/requeue.sql"))
            .bind(Hash(queue.digest()))
            .bind(chosen(which))
            .fetch_one()
            .await?;
        self.wake(queue);
        Ok(u64::try_from(count).unwrap_or(0))
    }

    pub(super) async fn purge_dead(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        const OPERATION: &str = "queue.purge";
        self.settle_queue(OPERATION, queue).await?;
        self.postgres
            .write(OPERATION, include_str!("../sql/queue/purge.sql"))
            .bind(Hash(queue.digest()))
            .bind(chosen(which))
            .bind(micros(TOMBSTONE_TTL))
            .execute()
            .await
    }

    pub(super) async fn count(&self, queue: &QueueId) -> Result<QueueStats> {
        const OPERATION: &str = "queue.stats";
        self.settle_queue(OPERATION, queue).await?;
        let counts: Option<Counts> = self
            .postgres
            .read(OPERATION, include_str!("../sql/queue/stats.sql"))
            .bind(Hash(queue.digest()))
            .bind(micros(CONSUMER_SPAN))
            .fetch_optional()
            .await?;
        Ok(counts.map(|counts| counts.0).unwrap_or_default())
    }

    pub(super) async fn list_queues(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        const OPERATION: &str = "queue.list";
        let after =
            cursor.as_ref().map(queue_cursor).transpose()?.map(String::from).unwrap_or_default();
        let rows: Vec<(String,)> = self
            .postgres
            .read_lagging(OPERATION, include_str!("../sql/queue/list.sql"))
            .bind(tenant.as_str())
            .bind(after)
            .bind(prefix.as_str())
            .bind(last_of(prefix))
            .bind(one_more(limit))
            .fetch_all()
            .await?;
        let names = rows.into_iter().map(|(text,)| name(text));
        let names = names.collect::<sqlx::Result<Vec<_>>>().map_err(|error| {
            Error::new(ErrorKind::Corrupt, OPERATION, "a stored name is no name").caused_by(error)
        })?;
        Ok(Page::cut(names, limit, queue_cursor_of))
    }

    pub(super) async fn read_limits(&self, queue: &QueueId) -> Result<QueueLimits> {
        let found: Option<QueueRow> = self
            .postgres
            .read("queue.limits", include_str!("../sql/queue/find.sql"))
            .bind(Hash(queue.digest()))
            .fetch_optional()
            .await?;
        Ok(found.map(|found| found.limits).unwrap_or_default())
    }

    pub(super) async fn write_limits(&self, queue: &QueueId, limits: QueueLimits) -> Result<()> {
        const OPERATION: &str = "queue.set_limits";
        limits.check(OPERATION)?;
        let mut tx = self.postgres.begin(OPERATION).await?;
        let written = tx.work().change_limits(queue, limits).await;
        tx.finish(written).await?;
        self.ring(OPERATION, queue).await
    }

    /// Has those who wait look again, in every process: for changes that are not an enqueue.
    pub(super) async fn ring(&self, operation: &'static str, queue: &QueueId) -> Result<()> {
        self.wake(queue);
        self.postgres
            .write(operation, include_str!("../sql/queue/ring.sql"))
            .bind(Hash(queue.digest()))
            .execute()
            .await?;
        Ok(())
    }

    pub(super) async fn sweep_schema(&self, limit: Limit) -> Result<u64> {
        const OPERATION: &str = "queue.sweep";
        let most = u64::from(limit.get());
        let left = |count: u64| i64::try_from(most.saturating_sub(count)).unwrap_or(0);
        let mut count = 0_u64;
        let queues: Vec<(i64,)> = self
            .postgres
            .write(OPERATION, include_str!("../sql/queue/sweep_due.sql"))
            .bind(left(0))
            .fetch_all()
            .await?;
        for (queue,) in queues {
            if count < most {
                let (settled,): (i32,) = self
                    .postgres
                    .write(OPERATION, include_str!("../sql/queue/sweep_settle.sql"))
                    .bind(queue)
                    .bind(i32::try_from(left(count)).unwrap_or(i32::MAX))
                    .fetch_one()
                    .await?;
                count += u64::try_from(settled).unwrap_or(0);
            }
        }
        for statement in [
            include_str!("../sql/queue/sweep_ended.sql"),
            include_str!("../sql/queue/sweep_dedupe.sql"),
        ] {
            let query = self.postgres.write(OPERATION, statement).bind(left(count));
            count += query.execute().await?;
        }
        count += self
            .postgres
            .write(OPERATION, include_str!("../sql/queue/sweep_schedules.sql"))
            .bind(left(count))
            .bind(micros(TOMBSTONE_TTL))
            .execute()
            .await?;
        self.postgres
            .write(OPERATION, include_str!("../sql/queue/sweep_workers.sql"))
            .bind(micros(CONSUMER_SPAN))
            .execute()
            .await?;
        Ok(count.min(most))
    }
}

impl Work<'_> {
    /// The queue, which comes to be where it is missing.
    pub(super) async fn open_queue(&mut self, queue: &QueueId) -> Result<QueueRow> {
        self.query(include_str!("../sql/queue/open.sql"))
            .bind(Hash(queue.digest()))
            .bind(queue.tenant.as_str())
            .bind(queue.name.as_str())
            .fetch_one()
            .await
    }

    async fn change_limits(&mut self, queue: &QueueId, limits: QueueLimits) -> Result<()> {
        let found = self.open_queue(queue).await?;
        let locked: QueueRow =
            self.query(include_str!("../sql/queue/lock.sql")).bind(found.queue).fetch_one().await?;
        self.put_limits(found.queue, limits, locked.limits_version + 1, None).await
    }

    /// `modified_at`: the present where none is given.
    pub(super) async fn put_limits(
        &mut self,
        queue: i64,
        limits: QueueLimits,
        version: u64,
        modified_at: Option<Timestamp>,
    ) -> Result<()> {
        self.query(include_str!("../sql/queue/set_limits.sql"))
            .bind(queue)
            .bind(limits.max_in_flight.map(i64::from))
            .bind(limits.rate.map(|rate| i64::from(rate.count)))
            .bind(limits.rate.map(|rate| rate.per.as_micros()))
            .bind(signed(version))
            .bind(modified_at.map(At))
            .execute()
            .await?;
        Ok(())
    }
}
