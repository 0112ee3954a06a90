//! Recurring commands.

use hexmem_ports::rules::{schedule_cursor, schedule_cursor_of};
use hexmem_ports::{
    CommandId, Cursor, Digest, Error, ErrorKind, Fired, Limit, Name, NewCommand, Page, QueueId,
    Result, Schedule, TOMBSTONE_TTL, Timestamp, Ttl, check_json,
};
use serde_json::Value;
use uuid::Uuid;

use super::{RedisQueue, command_args, scripts};
use crate::keys::Tag;
use crate::reply::Reply;

/// A schedule as Redis has it.
pub(super) struct Kept {
    pub(super) schedule: Schedule,
    pub(super) modified_at: Timestamp,
    pub(super) deleted_at: Option<Timestamp>,
}

/// The rule and the template as they are kept: JSON that scripts do not read.
pub(super) fn schedule_text(operation: &'static str, schedule: &Schedule) -> Result<String> {
    serde_json::to_string(&(&schedule.spec, &schedule.template)).map_err(|error| {
        Error::new(ErrorKind::Internal, operation, "a schedule cannot be written as JSON")
            .caused_by(error)
    })
}

/// Equal for two schedules where [`Schedule::same_rule`] says so.
fn rule(operation: &'static str, schedule: &Schedule) -> Result<Vec<u8>> {
    let mut bare = schedule.clone();
    bare.version = 0;
    bare.template.id = CommandId(Uuid::nil());
    let text = schedule_text(operation, &bare)?;
    let next_at = bare.next_at.map(|at| at.as_micros().to_string()).unwrap_or_default();
    Ok(Digest::of_parts([text.as_bytes(), next_at.as_bytes()]).0.to_vec())
}

fn read(operation: &'static str, name: Name, row: Reply) -> Result<Kept> {
    let mut row = row.list()?;
    let version = row.item()?.uint()?;
    let next_at = row.optional()?.map(Reply::time).transpose()?;
    let _put_over = row.item()?;
    let modified_at = row.item()?.time()?;
    let deleted_at = row.optional()?.map(Reply::time).transpose()?;
    let _rule = row.item()?;
    let text = row.item()?.bytes()?;
    if deleted_at.is_some() {
        return Ok(Kept { schedule: Schedule::deleted(name, version), modified_at, deleted_at });
    }
    let (spec, template): (Value, NewCommand) = serde_json::from_slice(&text).map_err(|error| {
        Error::corrupt(operation, "a schedule in Redis cannot be read").caused_by(error)
    })?;
    let schedule = Schedule { name, spec, next_at, version, template };
    Ok(Kept { schedule, modified_at, deleted_at })
}

impl RedisQueue {
    pub(super) async fn write_schedule(
        &self,
        queue: &QueueId,
        schedule: Schedule,
        expected: u64,
    ) -> Result<u64> {
        const OPERATION: &str = "queue.put_schedule";
        check_json(OPERATION, &schedule.spec)?;
        schedule.template.check(OPERATION)?;
        let rule = rule(OPERATION, &schedule)?;
        let text = schedule_text(OPERATION, &schedule)?;
        let answer = self.run_listed(OPERATION, queue, &scripts::PUT_SCHEDULE, |call| {
            let call = call.arg(schedule.name.as_str()).arg(expected).time(schedule.next_at);
            call.arg(rule.as_slice()).arg(text.as_str())
        });
        let mut answer = answer.await?.list()?;
        let (put, version) = (answer.item()?.int()? == 1, answer.item()?.uint()?);
        if put {
            return Ok(version);
        }
        Err(Error::conflict(
            OPERATION,
            format!("the schedule has version {version}, not {expected}; read it again"),
        )
        .with("schedule", &schedule.name))
    }

    pub(super) async fn remove_schedule(&self, queue: &QueueId, name: &Name) -> Result<bool> {
        const OPERATION: &str = "queue.delete_schedule";
        let tag = self.tag(queue);
        let call = self.redis.script(&scripts::DELETE_SCHEDULE, &tag).arg(name.as_str());
        let call = call.ttl(Some(Ttl::from_const(TOMBSTONE_TTL)));
        Ok(call.run(OPERATION).await?.int()? == 1)
    }

    /// Up to `limit` schedules after a name, deleted ones too.
    pub(super) async fn kept_schedules(
        &self,
        operation: &'static str,
        tag: &Tag,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Kept>> {
        let call = self.redis.script(&scripts::SCHEDULES, tag).arg(after).arg(limit);
        let mut answer = call.run(operation).await?.list()?;
        let mut kept = Vec::with_capacity(answer.left() / 2);
        while answer.left() > 0 {
            let name = Name::new(answer.item()?.text()?)?;
            kept.push(read(operation, name, answer.item()?)?);
        }
        Ok(kept)
    }

    pub(super) async fn schedule_page(
        &self,
        queue: &QueueId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Schedule>> {
        const OPERATION: &str = "queue.schedules";
        let mut after =
            cursor.as_ref().map(schedule_cursor).transpose()?.map(String::from).unwrap_or_default();
        let tag = self.tag(queue);
        let mut found = Vec::new();
        while found.len() <= limit.as_usize() {
            let kept = self.kept_schedules(OPERATION, &tag, &after, limit.get() + 1).await?;
            let Some(last) = kept.last() else { break };
            after = last.schedule.name.to_string();
            let live = kept.into_iter().filter(|kept| kept.deleted_at.is_none());
            found.extend(live.map(|kept| kept.schedule));
        }
        Ok(Page::cut(found, limit, schedule_cursor_of))
    }

    pub(super) async fn fire_schedule(
        &self,
        queue: &QueueId,
        name: &Name,
        expected: u64,
        command: &NewCommand,
        next_at: Option<Timestamp>,
    ) -> Result<Fired> {
        const OPERATION: &str = "queue.fire";
        command.check(OPERATION)?;
        let tag = self.tag(queue);
        let call = self.redis.script(&scripts::FIRE, &tag).arg(name.as_str());
        let call = command_args(call.arg(expected).time(next_at), command);
        let fired = call.run(OPERATION).await?.int()? == 1;
        Ok(if fired { Fired::Enqueued } else { Fired::Lost })
    }
}
