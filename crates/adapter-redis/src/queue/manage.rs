//! Views, dead letters, counts, listings, limits, sweeping.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::try_join_all;
use hexmem_ports::rules::{
    dead_cursor, dead_cursor_of, queue_cursor, queue_cursor_of, token_interval,
};
use hexmem_ports::{
    CommandId, CommandView, Cursor, DeadLetters, Error, Limit, Name, Page, Prefix, QueueId,
    QueueLimits, QueueStats, Rate, Result, TOMBSTONE_TTL, Tenant, Ttl,
};
use redis::Cmd;

use super::names::{self, From};
use super::row::{id_bytes, id_of, read_body, read_core};
use super::{BATCH, RedisQueue, scripts};
use crate::Call;
use crate::error::Access;
use crate::keys::Tag;
use crate::reply::Reply;
use crate::script::Script;

/// Dead letters that one script moves.
const DEAD_BATCH: usize = 500;
/// Queues that one sweep or one page of the listing looks at together.
const QUEUES: u32 = 64;

/// The arguments of limits, with the interval of [`token_interval`], in the order of `set_limits.lua`.
pub(super) fn limits_args(limits: &QueueLimits) -> [String; 4] {
    let text = |number: Option<u128>| number.map(|n| n.to_string()).unwrap_or_default();
    [
        text(limits.max_in_flight.map(u128::from)),
        text(limits.rate.map(|rate| rate.count.into())),
        text(limits.rate.map(|rate| rate.per.get().as_micros())),
        text(limits.rate.map(|rate| token_interval(rate).as_micros())),
    ]
}

/// Limits as the queue's hash has them: the cap, the rate's count and span.
pub(super) fn read_limits(
    operation: &'static str,
    cap: Option<Reply>,
    count: Option<Reply>,
    per: Option<Reply>,
) -> Result<QueueLimits> {
    let wrong = || Error::corrupt(operation, "a limit in Redis is out of range");
    let number = |reply: Reply| u32::try_from(reply.uint()?).map_err(|_| wrong());
    let rate = match (count, per) {
        (Some(count), Some(per)) => {
            Some(Rate { count: number(count)?, per: Ttl::try_from(per.uint()?)? })
        }
        _ => None,
    };
    Ok(QueueLimits { max_in_flight: cap.map(number).transpose()?, rate })
}

impl RedisQueue {
    pub(super) async fn view_command(
        &self,
        queue: &QueueId,
        id: CommandId,
    ) -> Result<Option<CommandView>> {
        const OPERATION: &str = "queue.view";
        let tag = self.tag(queue);
        let call = self.read_call(&tag, id).arg("b").arg("p");
        let Some(answer) = call.run(OPERATION).await?.some() else { return Ok(None) };
        let mut answer = answer.list()?;
        let now = answer.item()?.time()?;
        let core = answer.item()?;
        let body = answer.optional()?;
        let mut core = read_core(OPERATION, id, core, answer.optional()?)?;
        core.settle(now);
        if core.is_gone(now) {
            return Ok(None);
        }
        let (payload, headers) = read_body(OPERATION, body)?;
        Ok(Some(core.view(payload, headers)))
    }

    pub(super) async fn dead_page(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<CommandView>> {
        const OPERATION: &str = "queue.dead";
        let after = cursor.as_ref().map(dead_cursor).transpose()?;
        let after = after.map(id_bytes).unwrap_or_default();
        let tag = self.tag(queue);
        self.settle_queue(OPERATION, &tag).await?;
        let call = self.redis.script(&scripts::DEAD, &tag).bytes(after).arg(limit.get() + 1);
        let mut answer = call.run(OPERATION).await?.list()?;
        let mut views = Vec::with_capacity(answer.left() / 4);
        while answer.left() > 0 {
            let id = id_of(OPERATION, &answer.item()?.bytes()?)?;
            let core = answer.item()?;
            let (payload, headers) = read_body(OPERATION, answer.optional()?)?;
            let core = read_core(OPERATION, id, core, answer.optional()?)?;
            views.push(core.view(payload, headers));
        }
        Ok(Page::cut(views, limit, dead_cursor_of))
    }

    pub(super) async fn requeue_dead(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        self.move_dead("queue.requeue", queue, which, &scripts::REQUEUE, None).await
    }

    pub(super) async fn purge_dead(&self, queue: &QueueId, which: DeadLetters) -> Result<u64> {
        let tombstone = Some(Ttl::from_const(TOMBSTONE_TTL));
        self.move_dead("queue.purge", queue, which, &scripts::PURGE, tombstone).await
    }

    /// Runs `script` on the chosen dead letters, the oldest enqueue first, in bounded steps.
    async fn move_dead(
        &self,
        operation: &'static str,
        queue: &QueueId,
        which: DeadLetters,
        script: &'static Script,
        tombstone: Option<Ttl>,
    ) -> Result<u64> {
        let tag = self.tag(queue);
        self.settle_queue(operation, &tag).await?;
        let mut count = 0;
        match which {
            DeadLetters::Only(ids) => {
                let mut seen = HashSet::new();
                let ids = ids.into_iter().filter(|id| seen.insert(*id));
                let ids: Vec<_> = ids.map(id_bytes).collect();
                for part in ids.chunks(DEAD_BATCH) {
                    count += self.move_some(operation, &tag, part, script, tombstone).await?;
                }
            }
            DeadLetters::All => {
                let mut before = Vec::new();
                loop {
                    let call = self.redis.script(&scripts::DEAD_IDS, &tag);
                    let call = call.arg(before.as_slice()).arg(DEAD_BATCH);
                    let mut answer = call.run(operation).await?.list()?;
                    before = answer.item()?.bytes()?;
                    let ids = answer.item()?.list()?;
                    let ids = ids.map(Reply::bytes).collect::<Result<Vec<_>>>()?;
                    if ids.is_empty() {
                        break;
                    }
                    count += self.move_some(operation, &tag, &ids, script, tombstone).await?;
                }
            }
        }
        Ok(count)
    }

    async fn move_some(
        &self,
        operation: &'static str,
        tag: &Tag,
        ids: &[Vec<u8>],
        script: &'static Script,
        tombstone: Option<Ttl>,
    ) -> Result<u64> {
        let call = self.redis.script(script, tag);
        let call = if tombstone.is_some() { call.ttl(tombstone) } else { call };
        let call = ids.iter().fold(call.arg(ids.len()), |call, id| call.arg(id.as_slice()));
        call.run(operation).await?.uint()
    }

    pub(super) async fn count(&self, queue: &QueueId) -> Result<QueueStats> {
        const OPERATION: &str = "queue.stats";
        let tag = self.tag(queue);
        self.settle_queue(OPERATION, &tag).await?;
        let mut row = self.redis.script(&scripts::STATS, &tag).run(OPERATION).await?.list()?;
        Ok(QueueStats {
            ready: row.item()?.uint()?,
            delayed: row.item()?.uint()?,
            in_flight: row.item()?.uint()?,
            dead: row.item()?.uint()?,
            results: row.item()?.uint()?,
            oldest_ready: row.optional()?.map(Reply::uint).transpose()?.map(Duration::from_micros),
            consumers: row.item()?.uint()?,
        })
    }

    pub(super) async fn list_queues(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        const OPERATION: &str = "queue.list";
        let of = |rest: &[u8]| [tenant.as_str().as_bytes(), &[0], rest].concat();
        let mut from = match cursor.as_ref().map(queue_cursor).transpose()? {
            Some(after) => From::After(of(after.as_str().as_bytes())),
            None => From::At(of(prefix.as_str().as_bytes())),
        };
        let end = prefix
            .end()
            .map_or_else(|| [tenant.as_str().as_bytes(), &[1]].concat(), |end| of(&end));
        let mut names = Vec::new();
        while names.len() <= limit.as_usize() {
            let listed =
                names::page(&self.redis, OPERATION, from, Some(end.clone()), QUEUES).await?;
            let Some(last) = listed.last() else { break };
            from = From::After(names::member(&last.queue));
            let tags: Vec<_> = listed.iter().map(|listed| self.tag(&listed.queue)).collect();
            let holds = tags.iter().map(|tag| self.holds(OPERATION, tag));
            let holds = try_join_all(holds).await?;
            let found = listed.into_iter().zip(holds).filter(|(_, holds)| *holds);
            names.extend(found.map(|(listed, _)| listed.queue.name));
        }
        names.retain(|name| prefix.matches(name.as_str()));
        Ok(Page::cut(names, limit, queue_cursor_of))
    }

    async fn holds(&self, operation: &'static str, tag: &Tag) -> Result<bool> {
        Ok(self.redis.script(&scripts::HOLDS, tag).run(operation).await?.int()? == 1)
    }

    pub(super) async fn write_limits(&self, queue: &QueueId, limits: QueueLimits) -> Result<()> {
        const OPERATION: &str = "queue.set_limits";
        limits.check(OPERATION)?;
        let args = limits_args(&limits);
        let answer = self.run_listed(OPERATION, queue, &scripts::SET_LIMITS, |call| {
            args.iter().fold(call, |call, arg| call.arg(arg.as_str()))
        });
        answer.await.map(drop)
    }

    pub(super) async fn read_limits(&self, queue: &QueueId) -> Result<QueueLimits> {
        const OPERATION: &str = "queue.limits";
        let mut command = Cmd::new();
        command.arg("HMGET").arg(self.tag(queue).key(":meta"));
        command.arg("max_in_flight").arg("rate_count").arg("rate_per");
        let call = Call { operation: OPERATION, access: Access::Reads, command };
        let mut row = Reply::new(OPERATION, self.redis.send(&call).await?).list()?;
        read_limits(OPERATION, row.optional()?, row.optional()?, row.optional()?)
    }

    /// Visits the queues, and ends where so many steps were taken.
    pub(super) async fn sweep_queues(&self, limit: Limit) -> Result<u64> {
        const OPERATION: &str = "queue.sweep";
        let most = u64::from(limit.get());
        let mut count = 0;
        let mut from = From::At(Vec::new());
        loop {
            let listed = names::page(&self.redis, OPERATION, from, None, QUEUES).await?;
            let Some(last) = listed.last() else { return Ok(count) };
            from = From::After(names::member(&last.queue));
            for one in &listed {
                let tag = self.tag(&one.queue);
                let (swept, empty) = self.sweep_queue(OPERATION, &tag, most - count).await?;
                count += swept;
                if empty {
                    let drop =
                        self.redis.script(&scripts::DROP, &tag).run(OPERATION).await?.int()?;
                    if drop != KEPT {
                        names::unlist(&self.redis, OPERATION, one, drop == CLEARED).await?;
                    }
                }
                if count >= most {
                    return Ok(count);
                }
            }
        }
    }

    /// How many steps were taken, and whether the queue holds nothing.
    async fn sweep_queue(
        &self,
        operation: &'static str,
        tag: &Tag,
        most: u64,
    ) -> Result<(u64, bool)> {
        let call = self.redis.script(&scripts::SWEEP, tag).arg(most.min(BATCH));
        let mut answer = call.run(operation).await?.list()?;
        Ok((answer.item()?.uint()?, answer.item()?.int()? == 1))
    }
}

/// What `drop.lua` answers: the queue holds something.
const KEPT: i64 = 0;
/// It took the mark of an empty queue away.
const CLEARED: i64 = 1;
