//! Which tags there are: sets that are filled before something is written under a tag.
//!
//! In a Cluster they lie on other servers than what they name, so they are hints: an entry may name a tag under which
//! nothing is, never the other way round. Whoever writes presents the stamp of an announcement, and the script refuses
//! one older than 30 seconds; whoever finds nothing under a tag drops the entry only when its announcement was older
//! than a minute before the look, and unchanged after it. So no write is outstanding that relies on it. The servers'
//! clocks may differ by seconds, not by half a minute.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use hexmem_ports::{Digest, Error, Result};

use crate::Redis;
use crate::connect::Announced;
use crate::keys::Tag;
use crate::script::Script;

static ANNOUNCE: Script = Script::writes(&[include_str!("lua/directory/announce.lua")]);
static PAGE: Script = Script::reads(&[include_str!("lua/directory/page.lua")]);
static FORGET: Script = Script::frees(&[include_str!("lua/directory/forget.lua")]);

/// How a script refuses a stamp, before anything is written.
pub(crate) const TOO_OLD: &str = "ANNOUNCEMENT TOO OLD";
/// Over how many sets a directory is spread.
pub(crate) const SHARDS: u16 = 16;
/// An announcement this old is made again.
const FRESH: Duration = Duration::from_secs(10);
/// An announcement that was older than this before its tag was found empty has no write outstanding.
const SETTLED: Duration = Duration::from_secs(60);
/// How many tags are remembered as announced.
const REMEMBERED: usize = 10_000;
/// How many tags are read at once.
const ROWS: u32 = 100;

/// Whether a fresh announcement is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anew {
    IfOld,
    Always,
}

/// The tags of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Directory(pub char);

/// An announced tag.
#[derive(Debug)]
pub(crate) struct Known {
    pub tag: Tag,
    stamp: i64,
    settled: bool,
}

impl Directory {
    fn shard(self, redis: &Redis, number: u16) -> Tag {
        Tag::of_number(redis.prefix(), self.0, number)
    }

    fn shard_of(self, redis: &Redis, tag: &Tag) -> Tag {
        let digest = Digest::of(tag.as_str().as_bytes());
        self.shard(redis, u16::from(digest.0[0]) % SHARDS)
    }

    /// Announces `tag` and gives the stamp that its scripts ask for.
    pub(crate) async fn announce(
        self,
        redis: &Redis,
        tag: &Tag,
        operation: &'static str,
        anew: Anew,
    ) -> Result<String> {
        let name = format!("{}{}", self.0, tag.as_str());
        if anew == Anew::IfOld {
            let announced = redis.announced().lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = announced.get(&name).filter(|known| known.at.elapsed() < FRESH) {
                return Ok(known.stamp.clone());
            }
        }
        let at = Instant::now();
        let shard = self.shard_of(redis, tag);
        let stamp = redis.script(&ANNOUNCE, &shard).arg(tag.as_str()).run_alone(operation).await;
        // Of the change itself nothing was sent yet.
        let stamp = stamp.map_err(Error::not_applied)?.text()?;
        let mut announced = redis.announced().lock().unwrap_or_else(PoisonError::into_inner);
        if announced.len() >= REMEMBERED {
            announced.clear();
        }
        announced.insert(name, Announced { stamp: stamp.clone(), at });
        Ok(stamp)
    }

    /// A page of the tags of shard `number`, after the one called `after`; empty at the end.
    pub(crate) async fn page(
        self,
        redis: &Redis,
        operation: &'static str,
        number: u16,
        after: &str,
    ) -> Result<Vec<Known>> {
        let shard = self.shard(redis, number);
        let page = redis.script(&PAGE, &shard).arg(after).arg(ROWS).run_alone(operation).await?;
        let mut page = page.list()?;
        let now = page.item()?.time()?;
        let mut known = Vec::with_capacity(page.left());
        for row in page {
            let mut row = row.list()?;
            let tag = Tag::known(row.item()?.text()?);
            let stamp = row.item()?.time()?;
            let settled = now.since(stamp) > SETTLED;
            known.push(Known { tag, stamp: stamp.as_micros(), settled });
        }
        Ok(known)
    }

    /// Drops a tag under which nothing was found after it had been read from here.
    pub(crate) async fn forget(
        self,
        redis: &Redis,
        operation: &'static str,
        known: &Known,
    ) -> Result<()> {
        if known.settled {
            let shard = self.shard_of(redis, &known.tag);
            let call = redis.script(&FORGET, &shard).arg(known.tag.as_str()).arg(known.stamp);
            call.run_alone(operation).await?;
        }
        Ok(())
    }
}
