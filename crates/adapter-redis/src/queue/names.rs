//! Which queues there are: one list of a prefix, by tenant and name, filled before a queue is first written to.
//!
//! It may name a queue that holds nothing, never miss one that does: a queue's own key says whether it is listed, and is
//! looked at in the script of each change. Only who takes that mark away takes the queue off the list, and only where
//! nobody listed it again since.

use std::time::Duration;

use hexmem_ports::{Name, QueueId, Result, Tenant, Timestamp};

use crate::Redis;
use crate::keys::Tag;
use crate::script::Script;

static LIST: Script = Script::writes(&[include_str!("../lua/queue/list.lua")]);
static UNLIST: Script = Script::frees(&[include_str!("../lua/queue/unlist.lua")]);
static PAGE: Script = Script::reads(&[include_str!("../lua/queue/page.lua")]);

/// Whoever listed a queue this long ago and wrote nothing to it is gone.
const FORGOTTEN: Duration = Duration::from_secs(86_400);

/// A queue of the list.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) queue: QueueId,
    /// Tells this entry from a later one of the same queue.
    stamp: Timestamp,
    is_old: bool,
}

fn tag(redis: &Redis) -> Tag {
    Tag::known(format!("{}{{queues}}", redis.prefix()))
}

/// Tenant and name; neither holds a NUL.
pub(super) fn member(queue: &QueueId) -> Vec<u8> {
    format!("{}\0{}", queue.tenant, queue.name).into_bytes()
}

/// Names a queue in the list.
pub(super) async fn list(redis: &Redis, operation: &'static str, queue: &QueueId) -> Result<()> {
    let tag = tag(redis);
    let listed = redis.script(&LIST, &tag).bytes(member(queue)).run(operation).await;
    // Of the change itself nothing was sent yet.
    listed.map(drop).map_err(hexmem_ports::Error::not_applied)
}

/// Takes an entry off whose queue holds nothing: `cleared` where this caller took the queue's mark away.
pub(super) async fn unlist(
    redis: &Redis,
    operation: &'static str,
    listed: &Listed,
    cleared: bool,
) -> Result<()> {
    if cleared || listed.is_old {
        let stamp = listed.stamp.as_micros();
        let tag = tag(redis);
        let call = redis.script(&UNLIST, &tag).bytes(member(&listed.queue));
        call.arg(stamp).run(operation).await?;
    }
    Ok(())
}

/// Where a page begins.
#[derive(Debug, Clone)]
pub(super) enum From {
    /// At this member or the next one.
    At(Vec<u8>),
    /// Behind this member.
    After(Vec<u8>),
}

/// Up to `limit` queues in bytewise order of their members, before `end`.
pub(super) async fn page(
    redis: &Redis,
    operation: &'static str,
    from: From,
    end: Option<Vec<u8>>,
    limit: u32,
) -> Result<Vec<Listed>> {
    let bound = |mark: u8, member: Vec<u8>| {
        let mut bound = vec![mark];
        bound.extend(member);
        bound
    };
    let from = match from {
        From::At(member) => bound(b'[', member),
        From::After(member) => bound(b'(', member),
    };
    let to = end.map_or_else(|| b"+".to_vec(), |end| bound(b'(', end));
    let tag = tag(redis);
    let call = redis.script(&PAGE, &tag).bytes(from).bytes(to).arg(limit);
    let mut answer = call.run(operation).await?.list()?;
    let now = answer.item()?.time()?;
    let mut found = Vec::with_capacity(answer.left() / 2);
    while answer.left() > 0 {
        let text = answer.item()?.text()?;
        let stamp = answer.item()?.time()?;
        let Some((tenant, name)) = text.split_once('\0') else {
            return Err(hexmem_ports::Error::corrupt(operation, "the list of queues has no name"));
        };
        let queue = QueueId::new(Tenant(Name::new(tenant)?), Name::new(name)?);
        let is_old = now.since(stamp) > FORGOTTEN;
        found.push(Listed { queue, stamp, is_old });
    }
    Ok(found)
}
