//! Cached answers in Redis.
//!
//! A namespace lies under one tag. Its generations and tombstones share one hash: a server that evicts takes all of them or
//! none, and a namespace without its generation refuses every ticket, so that eviction loses answers and never
//! brings an old one back.

mod copies;
mod counts;
mod form;
mod lookup;
mod records;
mod scripts;
mod sweep;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hexmem_ports::{
    CacheCounts, CacheKey, CachePut, CacheStats, CacheStore, CacheTags, Capabilities, Capability,
    Digest, Error, Flight, FlightLease, Invalidate, Limit, Lookup, NamespaceId, PutOutcome,
    REPLAY_WINDOW, Result, StatsRoom, TagRef, TagStats, Ttl, check_cache_batch, check_counts,
};
use uuid::Uuid;

use crate::Redis;
use crate::keys::Tag;
use crate::script::{Script, ScriptCall};
pub(crate) use copies::Copies;
use copies::{Changed, Changing};

/// The most bytes of answers that one script stores: longer lists of puts take several round trips.
const PUT_BYTES: usize = 8 << 20;

impl Redis {
    /// The cache of this Redis. A lookup is one round trip of plain reads, and writes nothing but the generation of a
    /// tag that it is the first to name.
    pub fn cache(&self) -> RedisCache {
        RedisCache { redis: self.clone(), swept: Arc::default() }
    }
}

/// The cache of a Redis. Cheap to clone.
///
/// The server frees answers when they end. [`CacheStore::sweep`] frees what an invalidation ended before that time.
/// Where the server may evict (`maxmemory-policy allkeys-*`), entries, counts and the list of records may get lost, and no
/// invalidated answer ever comes back.
#[derive(Debug, Clone)]
pub struct RedisCache {
    redis: Redis,
    /// Where the last sweep ended.
    swept: Arc<Mutex<sweep::Place>>,
}

impl RedisCache {
    fn tag(&self, namespace: &NamespaceId) -> Tag {
        Tag::of_digest(self.redis.prefix(), 'c', &namespace.digest())
    }

    /// The tag of the list of namespaces.
    fn names(&self) -> Tag {
        Tag::of_number(self.redis.prefix(), 'c', 0)
    }

    fn script<'a>(&'a self, script: &'a Script, tag: &'a Tag) -> ScriptCall<'a> {
        self.redis.script(script, tag).arg(micros(REPLAY_WINDOW))
    }

    /// Lists a namespace, before anything of it is written.
    async fn announce(&self, operation: &'static str, namespace: &NamespaceId) -> Result<()> {
        let names = self.names();
        let call = self.script(&scripts::NAME, &names);
        call.bytes(address(namespace)?).arg("list").run(operation).await.map(drop)
    }

    async fn store(
        &self,
        namespace: &NamespaceId,
        tag: &Tag,
        puts: Vec<(Digest, CachePut)>,
    ) -> Result<Vec<PutOutcome>> {
        let mut outcomes = vec![PutOutcome::Outdated; puts.len()];
        let (mut call, mut places, mut bytes) = (None, Vec::new(), 0);
        for (place, (fingerprint, put)) in puts.into_iter().enumerate() {
            let CachePut { value, meta, ttl, stale, ticket } = put;
            // No ticket holds that is not bound to its namespace.
            if !ticket.generations.iter().any(|(tag, _)| *tag == TagRef::Namespace) {
                continue;
            }
            let pairs = form::pairs(namespace, &ticket.generations);
            let body = form::body(&pairs, &meta, &value, self.redis.config().compress_from())?;
            if bytes > 0 && bytes + body.len() > PUT_BYTES {
                settle(call.take(), &std::mem::take(&mut places), &mut outcomes).await?;
                bytes = 0;
            }
            bytes += body.len();
            places.push(place);
            let list = call.unwrap_or_else(|| self.script(&scripts::PUT, tag));
            call = Some(
                list.bytes(fingerprint.0.to_vec())
                    .arg(ttl.as_micros())
                    .arg(stale.map_or(0, Ttl::as_micros))
                    .arg(ticket.issued_at.as_micros())
                    .bytes(ticket.key.map(|key| key.as_bytes().to_vec()).unwrap_or_default())
                    .bytes(body),
            );
        }
        settle(call, &places, &mut outcomes).await?;
        Ok(outcomes)
    }

    async fn end(
        &self,
        namespace: &NamespaceId,
        tag: &Tag,
        target: Invalidate,
    ) -> Result<Option<u64>> {
        const OPERATION: &str = "cache.invalidate";
        let generation = Uuid::new_v4().as_bytes().to_vec();
        match target {
            Invalidate::Key(fingerprint) => {
                let call = self.script(&scripts::END_KEY, tag);
                let call = call.bytes(fingerprint.0.to_vec()).bytes(generation);
                let own = TagRef::Namespace.digest(namespace);
                call.bytes(own.0.to_vec()).run(OPERATION).await?.uint().map(Some)
            }
            Invalidate::Tag(of) => {
                let call = self.script(&scripts::END_TAG, tag);
                let digest = of.digest(namespace);
                call.bytes(digest.0.to_vec()).bytes(generation).run(OPERATION).await?;
                Ok(None)
            }
        }
    }
}

/// A namespace as the list of namespaces holds it.
fn address(namespace: &NamespaceId) -> Result<Vec<u8>> {
    serde_json::to_vec(namespace).map_err(|error| {
        Error::invalid("cache.namespace", "the namespace cannot be written").caused_by(error)
    })
}

fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[async_trait]
impl CacheStore for RedisCache {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([Capability::MultiProcess, Capability::Records])
    }

    async fn get_many(
        &self,
        namespace: &NamespaceId,
        fingerprints: &[Digest],
        tags: &CacheTags,
    ) -> Result<Vec<Lookup>> {
        tags.check("cache.get")?;
        check_cache_batch("cache.get", fingerprints.len())?;
        if fingerprints.is_empty() {
            return Ok(Vec::new());
        }
        self.look_up(namespace, fingerprints, tags).await
    }

    /// One round trip for each 8 MiB.
    async fn put_many(
        &self,
        namespace: &NamespaceId,
        puts: Vec<(Digest, CachePut)>,
    ) -> Result<Vec<PutOutcome>> {
        check_cache_batch("cache.put", puts.len())?;
        puts.iter().try_for_each(|(_, put)| put.check())?;
        let tag = self.tag(namespace);
        let changing = self.redis.copies().map(|copies| {
            let answer = |(key, _): &(Digest, CachePut)| Changed::Answer(tag.clone(), *key);
            copies.changing(puts.iter().map(answer).collect())
        });
        // Boxed: the futures below are nested deeper than the compiler follows.
        let outcomes = Box::pin(self.store(namespace, &tag, puts)).await;
        changing.into_iter().for_each(Changing::done);
        outcomes
    }

    async fn invalidate(&self, namespace: &NamespaceId, target: Invalidate) -> Result<Option<u64>> {
        let tag = self.tag(namespace);
        let changing = self.redis.copies().map(|copies| {
            copies.changing(vec![match &target {
                Invalidate::Key(fingerprint) => Changed::Answer(tag.clone(), *fingerprint),
                Invalidate::Tag(_) => Changed::Namespace(tag.clone()),
            }])
        });
        let ended = Box::pin(self.end(namespace, &tag, target)).await;
        changing.into_iter().for_each(Changing::done);
        ended
    }

    async fn begin(&self, key: &CacheKey, visibility: Ttl) -> Result<Flight> {
        let tag = self.tag(&key.namespace);
        let lease = FlightLease(Uuid::new_v4());
        let call = self.script(&scripts::BEGIN, &tag);
        let call = call.bytes(key.fingerprint.0.to_vec()).bytes(lease.0.as_bytes().to_vec());
        let left = call.arg(visibility.as_micros()).run("cache.begin").await?.uint()?;
        Ok(match left {
            0 => Flight::Leader(lease),
            left => Flight::Follower(std::time::Duration::from_micros(left)),
        })
    }

    async fn release(&self, key: &CacheKey, lease: FlightLease) -> Result<bool> {
        let tag = self.tag(&key.namespace);
        let call = self.script(&scripts::RELEASE, &tag);
        let call = call.bytes(key.fingerprint.0.to_vec()).bytes(lease.0.as_bytes().to_vec());
        Ok(call.run("cache.release").await?.uint()? > 0)
    }

    async fn count(
        &self,
        namespace: &NamespaceId,
        counts: Vec<(TagRef, CacheCounts)>,
    ) -> Result<()> {
        check_counts(&counts)?;
        self.add_counts(namespace, &counts).await
    }

    async fn stats(&self, namespace: &NamespaceId) -> Result<CacheStats> {
        self.stats_of(namespace).await
    }

    async fn breakdown(&self, namespace: &NamespaceId, room: StatsRoom) -> Result<Vec<TagStats>> {
        self.names_counted(namespace, room).await
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        self.free(limit).await
    }
}

/// Sends puts, and notes which of them were stored.
async fn settle(
    call: Option<ScriptCall<'_>>,
    places: &[usize],
    outcomes: &mut [PutOutcome],
) -> Result<()> {
    let Some(call) = call else { return Ok(()) };
    let mut answers = call.run("cache.put").await?.list()?;
    for place in places {
        if answers.item()?.int()? == 1
            && let Some(outcome) = outcomes.get_mut(*place)
        {
            *outcome = PutOutcome::Stored;
        }
    }
    Ok(())
}
