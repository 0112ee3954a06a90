//! Looking up: plain reads in one round trip, in whatever order they meet a change.
//!
//! The present is read first, then generations and tombstones, then answers. Each read is atomic by itself, and any change
//! between them is on the safe side: an answer is served only under generations that were read, a generation never comes
//! back, and a ticket that missed an invalidation no longer holds when it is presented.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use hexmem_ports::{
    CacheEntry, CacheTags, Digest, Error, Freshness, Lookup, NamespaceId, REPLAY_WINDOW, Result,
    TagRef, Ticket, Timestamp,
};
use redis::Pipeline;
use uuid::Uuid;

use super::form::{Mark, Stored, room_and_name};
use super::{RedisCache, scripts};
use crate::keys::Tag;
use crate::reply::{Fields, Reply};

const OPERATION: &str = "cache.get";

/// What was read of a namespace.
struct Read {
    now: Timestamp,
    /// Not after anything was read.
    issued_at: Timestamp,
    /// Of each fingerprint, the tombstone while it is remembered.
    invalidations: Vec<Option<Uuid>>,
    /// Of each tag of the lookup.
    marks: Vec<Option<Mark>>,
    answers: Vec<Option<Stored>>,
}

impl RedisCache {
    pub(super) async fn look_up(
        &self,
        namespace: &NamespaceId,
        fingerprints: &[Digest],
        tags: &CacheTags,
    ) -> Result<Vec<Lookup>> {
        let refs = tags.refs();
        let digests: Vec<Digest> = refs.iter().map(|tag| tag.digest(namespace)).collect();
        let tag = self.tag(namespace);
        let read = self.read(&tag, fingerprints, &digests).await?;
        let (now, issued_at) = (read.now, read.issued_at);
        let known = digests.iter().zip(&read.marks);
        let mut current: HashMap<Digest, Option<Uuid>> = known
            .map(|(digest, mark)| (*digest, mark.as_ref().map(|mark| mark.generation)))
            .collect();
        self.read_others(&tag, &read.answers, &mut current).await?;

        // A ticket must hold for the window; its generations live that long, or are made to.
        let lasting = |mark: &Option<Mark>| {
            mark.as_ref().is_some_and(|mark| mark.until.since(now) >= REPLAY_WINDOW)
        };
        let generations: Vec<(TagRef, Uuid)> = if read.marks.iter().all(lasting) {
            let marks = read.marks.iter().flatten().map(|mark| mark.generation);
            refs.into_iter().zip(marks).collect()
        } else {
            let fresh = read.marks.first().is_none_or(Option::is_none);
            self.make(namespace, &tag, refs, &digests, fresh).await?
        };

        let found = read.answers.into_iter().zip(read.invalidations);
        found
            .map(|(answer, key)| {
                let ticket = Ticket { issued_at, key, generations: generations.clone() };
                let servable = answer.filter(|answer| {
                    answer.expires_at > now
                        && answer.pairs.iter().all(|(digest, generation)| {
                            current.get(digest).copied().flatten() == Some(*generation)
                        })
                });
                Ok(match servable {
                    None => Lookup::Miss(ticket),
                    Some(answer) => Lookup::Hit(entry(answer, now)?, ticket),
                })
            })
            .collect()
    }

    async fn read(&self, tag: &Tag, fingerprints: &[Digest], digests: &[Digest]) -> Result<Read> {
        let given = self.redis.clock().map(|clock| clock.now());
        if let Some(read) = self.read_copies(tag, fingerprints, digests, given).await? {
            return Ok(read);
        }
        let mut pipeline = Pipeline::with_capacity(3);
        pipeline.cmd("TIME");
        add_reads(&mut pipeline, tag, fingerprints, digests);
        let before = Instant::now();
        let mut replies = self.redis.read_all(OPERATION, pipeline).await?;
        let shown = time(replies.item()?)?;
        if let Some(copies) = self.redis.copies() {
            copies.saw(shown, before);
        }
        let now = given.unwrap_or(shown);
        self.parse(replies, fingerprints.len(), digests.len(), now, now)
    }

    /// The same from copies in the process. `None` where the server is to be asked: there are none, they may be from before
    /// a change of this handle, a tag is new, or the connection that keeps them fails.
    async fn read_copies(
        &self,
        tag: &Tag,
        fingerprints: &[Digest],
        digests: &[Digest],
        given: Option<Timestamp>,
    ) -> Result<Option<Read>> {
        let Some(copies) = self.redis.copies() else { return Ok(None) };
        let Some(now) = copies.now().filter(|_| copies.may_answer(tag, fingerprints)) else {
            return Ok(None);
        };
        let mut pipeline = Pipeline::with_capacity(2);
        add_reads(&mut pipeline, tag, fingerprints, digests);
        let Ok(answers) = copies.read(&pipeline).await else { return Ok(None) };
        // A change of this handle may have come in between.
        if !copies.may_answer(tag, fingerprints) {
            return Ok(None);
        }
        let replies = Reply::new(OPERATION, answers).list()?;
        let (now, issued_at) = given.map_or((now.latest, now.earliest), |given| (given, given));
        let read = self.parse(replies, fingerprints.len(), digests.len(), now, issued_at)?;
        Ok(read.marks.iter().all(Option::is_some).then_some(read))
    }

    fn parse(
        &self,
        mut replies: Fields,
        fingerprints: usize,
        digests: usize,
        now: Timestamp,
        issued_at: Timestamp,
    ) -> Result<Read> {
        let mut held = replies.item()?.list()?;
        let mut invalidations = Vec::with_capacity(fingerprints);
        for _ in 0..fingerprints {
            let mark = mark(held.optional()?)?.filter(|mark| mark.until > now);
            invalidations.push(mark.map(|mark| mark.generation));
        }
        let marks = (0..digests).map(|_| mark(held.optional()?)).collect::<Result<_>>()?;
        let stored = |reply: Reply| {
            reply.some().map(|reply| Stored::read(OPERATION, reply.bytes()?)).transpose()
        };
        let answers = replies.item()?.list()?.map(stored).collect::<Result<_>>()?;
        Ok(Read { now, issued_at, invalidations, marks, answers })
    }

    /// The generations of tags that answers were stored under and the lookup does not name. They are read later, and
    /// an answer whose generation is still there then had it when it was read.
    async fn read_others(
        &self,
        tag: &Tag,
        answers: &[Option<Stored>],
        current: &mut HashMap<Digest, Option<Uuid>>,
    ) -> Result<()> {
        let named = answers.iter().flatten().flat_map(|answer| &answer.pairs);
        let others: BTreeSet<Digest> = named
            .map(|(digest, _)| *digest)
            .filter(|digest| !current.contains_key(digest))
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("HMGET").arg(tag.key(":g"));
        for digest in &others {
            pipeline.arg(field(b'g', digest));
        }
        let mut replies = self.redis.read_all(OPERATION, pipeline).await?;
        let mut held = replies.item()?.list()?;
        for digest in others {
            let mark = mark(held.optional()?)?;
            current.insert(digest, mark.map(|mark| mark.generation));
        }
        Ok(())
    }

    /// Generations for all tags of a lookup: those that there are, and new ones.
    async fn make(
        &self,
        namespace: &NamespaceId,
        tag: &Tag,
        refs: Vec<TagRef>,
        digests: &[Digest],
        first: bool,
    ) -> Result<Vec<(TagRef, Uuid)>> {
        if first {
            self.announce(OPERATION, namespace).await?;
        }
        let mut call = self.script(&scripts::MAKE, tag);
        for (of, digest) in refs.iter().zip(digests) {
            let generation = Uuid::new_v4().as_bytes().to_vec();
            call = call.bytes(digest.0.to_vec()).bytes(generation).bytes(room_and_name(of));
        }
        let mut made = call.run(OPERATION).await?.list()?;
        refs.into_iter()
            .map(|tag| {
                let generation = Uuid::from_slice(&made.item()?.bytes()?).map_err(|error| {
                    Error::corrupt(OPERATION, "a generation has 16 bytes").caused_by(error)
                })?;
                Ok((tag, generation))
            })
            .collect()
    }
}

/// Generations and tombstones, then answers.
fn add_reads(pipeline: &mut Pipeline, tag: &Tag, fingerprints: &[Digest], digests: &[Digest]) {
    pipeline.cmd("HMGET").arg(tag.key(":g"));
    for fingerprint in fingerprints {
        pipeline.arg(field(b'k', fingerprint));
    }
    for digest in digests {
        pipeline.arg(field(b'g', digest));
    }
    pipeline.cmd("MGET");
    for fingerprint in fingerprints {
        pipeline.arg(answer_key(tag, fingerprint));
    }
}

fn entry(answer: Stored, now: Timestamp) -> Result<CacheEntry> {
    let Stored { stored_at, fresh_until, expires_at, .. } = answer;
    let (value, meta) = answer.unpack(OPERATION)?;
    Ok(CacheEntry {
        value,
        meta,
        stored_at,
        freshness: if fresh_until > now { Freshness::Fresh } else { Freshness::Stale },
        fresh_for: fresh_until.since(now),
        remaining: expires_at.since(now),
    })
}

fn field(kind: u8, digest: &Digest) -> Vec<u8> {
    let mut field = Vec::with_capacity(33);
    field.push(kind);
    field.extend(digest.0);
    field
}

fn answer_key(tag: &Tag, fingerprint: &Digest) -> Vec<u8> {
    let mut key = tag.key(":e:").into_bytes();
    key.extend(fingerprint.0);
    key
}

fn mark(reply: Option<Reply>) -> Result<Option<Mark>> {
    reply.map(|reply| Mark::read(OPERATION, &reply.bytes()?)).transpose()
}

/// The answer of TIME: seconds and microseconds.
fn time(reply: Reply) -> Result<Timestamp> {
    let mut parts = reply.list()?;
    let (seconds, micros) = (parts.item()?.int()?, parts.item()?.int()?);
    let micros = seconds.checked_mul(1_000_000).and_then(|all| all.checked_add(micros));
    micros.and_then(Timestamp::from_micros).ok_or_else(|| {
        Error::corrupt(OPERATION, "the server's clock lies beyond the calendar; set it")
    })
}
