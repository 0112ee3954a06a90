//! Effects: pushed by the script of their change under its tag, handed out in order for each key.
//!
//! The outbox spans all tags, which lie on different servers of a Cluster: a tag is announced in a directory before effects
//! are pushed there.

use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::{
    Effect, Error, Limit, Name, Outbox, OutboxBatch, OutboxEntry, OutboxLease, Result, Timestamp,
    Ttl, to_hex,
};
use redis::Cmd;
use uuid::Uuid;

use crate::directory::{Directory, SHARDS};
use crate::error::Access;
use crate::keys::Tag;
use crate::reply::Reply;
use crate::script::Script;
use crate::{Call, Redis};

static LEASE: Script = Script::frees(&[include_str!("lua/outbox/lease.lua")]);
static ACK: Script = Script::frees(&[include_str!("lua/outbox/ack.lua")]);

/// The tags that hold effects.
pub(crate) const DIRECTORY: Directory = Directory('o');
/// The most bytes of entries in one batch; one entry may exceed it.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// The arguments that `push.lua` takes after the stamp.
pub(crate) fn write_args(effects: &[Effect], args: &mut Vec<Vec<u8>>) {
    args.push(effects.len().to_string().into_bytes());
    for effect in effects {
        args.push(effect.key.as_str().as_bytes().to_vec());
        let topic = effect.topic.as_str();
        let mut entry = effect.id.simple().to_string().into_bytes();
        entry.extend_from_slice(format!(" {} ", topic.len()).as_bytes());
        entry.extend_from_slice(topic.as_bytes());
        entry.extend_from_slice(effect.payload.to_string().as_bytes());
        args.push(entry);
    }
}

impl Redis {
    /// The outbox of all stores under this prefix.
    pub fn outbox(&self) -> RedisOutbox {
        RedisOutbox(self.clone())
    }
}

/// The outbox of all stores of a prefix.
#[derive(Debug, Clone)]
pub struct RedisOutbox(Redis);

impl RedisOutbox {
    /// The key that says under which tag a lease is held.
    fn lease_key(&self, lease: OutboxLease) -> String {
        format!("{}{{l{}}}", self.0.prefix(), lease.0.simple())
    }

    /// Entries of one tag, and how many it holds in all.
    async fn lease_of(
        &self,
        tag: &Tag,
        lease: OutboxLease,
        limit: Limit,
        visibility: Ttl,
    ) -> Result<(u64, Vec<OutboxEntry>)> {
        let answer = self
            .0
            .script(&LEASE, tag)
            .arg(lease.0.simple().to_string())
            .arg(visibility.as_micros())
            .arg(limit.get())
            .arg(BATCH_BYTES)
            .run("outbox.lease")
            .await?;
        let mut answer = answer.list()?;
        let depth = answer.item()?.uint()?;
        let entries = answer.item()?.list()?.map(entry).collect::<Result<Vec<_>>>()?;
        Ok((depth, entries))
    }

    /// Remembers under which tag the lease will be, so that its acknowledgement finds it.
    async fn note(&self, lease: OutboxLease, tag: &Tag, visibility: Ttl) -> Result<()> {
        let spare = Duration::from_secs(60);
        let millis = (visibility.get() + spare).as_millis().to_string();
        let mut command = Cmd::new();
        command.arg("SET").arg(self.lease_key(lease)).arg(tag.as_str()).arg("PX").arg(millis);
        let call = Call { operation: "outbox.lease", access: Access::Writes, command };
        self.0.send(&call).await.map(drop).map_err(Error::not_applied)
    }
}

fn entry(row: Reply) -> Result<OutboxEntry> {
    let corrupt =
        || Error::corrupt("outbox.lease", "an entry of the outbox is not what was written");
    let mut row = row.list()?;
    let key = Name::new(row.item()?.text()?)?;
    let text = row.item()?.text()?;
    let read = || {
        let (sequence, rest) = text.split_once(' ')?;
        let (committed_at, rest) = rest.split_once(' ')?;
        let (id, rest) = rest.split_once(' ')?;
        let (length, rest) = rest.split_once(' ')?;
        let (topic, payload) = rest.split_at_checked(length.parse().ok()?)?;
        Some(OutboxEntry {
            sequence: sequence.parse().ok()?,
            committed_at: Timestamp::from_micros(committed_at.parse().ok()?)?,
            effect: Effect {
                id: Uuid::try_parse(id).ok()?,
                topic: Name::new(topic).ok()?,
                key: key.clone(),
                payload: serde_json::from_str(payload).ok()?,
            },
        })
    };
    read().ok_or_else(|| corrupt().with("key", &key))
}

#[async_trait]
impl Outbox for RedisOutbox {
    async fn lease(&self, limit: Limit, visibility: Ttl) -> Result<Option<OutboxBatch>> {
        const OPERATION: &str = "outbox.lease";
        let lease = OutboxLease(Uuid::new_v4());
        // Several readers start at different places.
        let start = u16::from(lease.0.as_bytes()[0]);
        for step in 0..SHARDS {
            let shard = (start + step) % SHARDS;
            let mut after = String::new();
            loop {
                let page = DIRECTORY.page(&self.0, OPERATION, shard, &after).await?;
                let Some(last) = page.last() else { break };
                last.tag.as_str().clone_into(&mut after);
                for known in page {
                    let tag = &known.tag;
                    self.note(lease, tag, visibility).await?;
                    let (depth, entries) = self.lease_of(tag, lease, limit, visibility).await?;
                    if !entries.is_empty() {
                        return Ok(Some(OutboxBatch { lease, entries }));
                    }
                    if depth == 0 {
                        DIRECTORY.forget(&self.0, OPERATION, &known).await?;
                    }
                }
            }
        }
        Ok(None)
    }

    async fn ack(&self, lease: OutboxLease) -> Result<()> {
        const OPERATION: &str = "outbox.ack";
        let stale = || {
            Error::stale_lease(
                OPERATION,
                "the lease ran out or was acknowledged before; its entries are handed out again",
            )
        };
        let mut command = Cmd::new();
        command.arg("GET").arg(self.lease_key(lease));
        let call = Call { operation: OPERATION, access: Access::Reads, command };
        let found = Reply::new(OPERATION, self.0.send(&call).await?);
        let tag = Tag::known(found.some().ok_or_else(stale)?.text()?);
        let id = to_hex(lease.0.as_bytes());
        let done = self.0.script(&ACK, &tag).arg(id).run(OPERATION).await?;
        if done.int()? == 0 { Err(stale()) } else { Ok(()) }
    }

    async fn depth(&self) -> Result<u64> {
        const OPERATION: &str = "outbox.depth";
        let mut sum = 0;
        for shard in 0..SHARDS {
            let mut after = String::new();
            loop {
                let page = DIRECTORY.page(&self.0, OPERATION, shard, &after).await?;
                let Some(last) = page.last() else { break };
                last.tag.as_str().clone_into(&mut after);
                let counts = page.iter().map(async |known| {
                    let mut command = Cmd::new();
                    command.arg("GET").arg(known.tag.key(":o:d"));
                    let call = Call { operation: OPERATION, access: Access::Reads, command };
                    let count = Reply::new(OPERATION, self.0.send(&call).await?);
                    count.some().map_or(Ok(0), Reply::uint)
                });
                sum += futures::future::try_join_all(counts).await?.iter().sum::<u64>();
            }
        }
        Ok(sum)
    }
}
