//! What belongs to one namespace.

use std::collections::{BTreeMap, HashMap};

use hexmem_ports::rules::ticket_holds;
use hexmem_ports::{
    CacheEntry, CachePut, CacheTags, Digest, EntryBody, FlightLease, Freshness, Lookup, PutOutcome,
    REPLAY_WINDOW, TagRef, Ticket, Timestamp, next_cache_version,
};
use uuid::Uuid;

use super::counts::Counts;

#[derive(Default)]
pub(super) struct Room {
    pub(super) entries: BTreeMap<Digest, Slot>,
    pub(super) tags: BTreeMap<TagRef, Generation>,
    pub(super) flights: HashMap<Digest, (FlightLease, Timestamp)>,
    pub(super) counts: Counts,
}

/// A key: its answer, and its last invalidation with the instant from which that is forgotten.
pub(super) struct Slot {
    pub(super) version: u64,
    pub(super) modified_at: Timestamp,
    pub(super) invalidated: Option<(Uuid, Timestamp)>,
    pub(super) answer: Option<EntryBody>,
}

impl Slot {
    /// The generation of the last invalidation, while it is remembered.
    pub(super) fn invalidation(&self, now: Timestamp) -> Option<Uuid> {
        self.invalidated.filter(|(_, until)| *until > now).map(|(generation, _)| generation)
    }
}

/// The generation of a tag.
pub(super) struct Generation {
    pub(super) version: u64,
    pub(super) modified_at: Timestamp,
    pub(super) id: Uuid,
}

impl Room {
    pub(super) fn generation(&self, tag: &TagRef) -> Option<Uuid> {
        self.tags.get(tag).map(|generation| generation.id)
    }

    /// The current generation of each tag of a lookup; those that there are not are made.
    pub(super) fn generations(&mut self, tags: &CacheTags, now: Timestamp) -> Vec<(TagRef, Uuid)> {
        let refs = tags.refs().into_iter();
        refs.map(|tag| {
            let known = self.generation(&tag);
            let generation = known.unwrap_or_else(|| self.renew(tag.clone(), now));
            (tag, generation)
        })
        .collect()
    }

    /// Gives a tag a new generation.
    pub(super) fn renew(&mut self, tag: TagRef, now: Timestamp) -> Uuid {
        let id = Uuid::new_v4();
        let version = next_cache_version(self.tags.get(&tag).map(|tag| tag.version), now);
        self.tags.insert(tag, Generation { version, modified_at: now, id });
        id
    }

    /// What is under a key, with a ticket of `generations`.
    pub(super) fn lookup(
        &self,
        key: &Digest,
        now: Timestamp,
        generations: &[(TagRef, Uuid)],
    ) -> Lookup {
        let slot = self.entries.get(key);
        let ticket = Ticket {
            issued_at: now,
            key: slot.and_then(|slot| slot.invalidation(now)),
            generations: generations.to_vec(),
        };
        let answer = slot.and_then(|slot| slot.answer.as_ref());
        match answer.filter(|answer| self.servable(answer, now)) {
            None => Lookup::Miss(ticket),
            Some(answer) => {
                let entry = CacheEntry {
                    value: answer.value.clone(),
                    meta: answer.meta.clone(),
                    stored_at: answer.stored_at,
                    freshness: if answer.fresh_until > now {
                        Freshness::Fresh
                    } else {
                        Freshness::Stale
                    },
                    fresh_for: answer.fresh_until.since(now),
                    remaining: answer.expires_at.since(now),
                };
                Lookup::Hit(entry, ticket)
            }
        }
    }

    /// Stores an answer if its ticket holds.
    pub(super) fn store(&mut self, key: Digest, put: CachePut, now: Timestamp) -> PutOutcome {
        let before = self.entries.get(&key);
        let invalidation = before.and_then(|slot| slot.invalidation(now));
        if !ticket_holds(&put.ticket, now, invalidation, |tag| self.generation(tag)) {
            return PutOutcome::Outdated;
        }
        let (fresh_until, expires_at) = put.ends(now);
        let slot = Slot {
            version: next_cache_version(before.map(|slot| slot.version), now),
            modified_at: now,
            invalidated: before.and_then(|slot| slot.invalidated),
            answer: Some(EntryBody {
                value: put.value,
                meta: put.meta,
                stored_at: now,
                fresh_until,
                expires_at,
                generations: put.ticket.generations,
            }),
        };
        self.entries.insert(key, slot);
        PutOutcome::Stored
    }

    /// Ends the answer of one key and leaves a tombstone; returns how many could be served.
    pub(super) fn forget(&mut self, fingerprint: Digest, now: Timestamp) -> u64 {
        let before = self.entries.get(&fingerprint);
        let answer = before.and_then(|slot| slot.answer.as_ref());
        let ended = answer.is_some_and(|answer| self.servable(answer, now));
        let tombstone = Slot {
            version: next_cache_version(before.map(|slot| slot.version), now),
            modified_at: now,
            invalidated: Some((Uuid::new_v4(), now.plus(REPLAY_WINDOW))),
            answer: None,
        };
        self.entries.insert(fingerprint, tombstone);
        u64::from(ended)
    }

    /// Whether an answer is within its time and nothing that it depends on was invalidated.
    pub(super) fn servable(&self, answer: &EntryBody, now: Timestamp) -> bool {
        let current =
            |(tag, generation): &(TagRef, Uuid)| self.generation(tag) == Some(*generation);
        answer.expires_at > now && answer.generations.iter().all(current)
    }

    /// How many answers could be served, and the bytes of their values.
    pub(super) fn held(&self, now: Timestamp) -> (u64, u64) {
        self.held_of(&TagRef::Namespace, now)
    }

    /// The same of those that depend on a tag; all depend on the namespace.
    pub(super) fn held_of(&self, of: &TagRef, now: Timestamp) -> (u64, u64) {
        let answers = self.entries.values().filter_map(|slot| slot.answer.as_ref());
        let answers = answers.filter(|answer| answer.generations.iter().any(|(tag, _)| tag == of));
        answers.filter(|answer| self.servable(answer, now)).fold(
            (0, 0),
            |(count, bytes), answer| {
                (count + 1, bytes + u64::try_from(answer.value.len()).unwrap_or(u64::MAX))
            },
        )
    }

    /// Removes at most `most` answers that can never be served again; returns how many.
    pub(super) fn free(&mut self, now: Timestamp, most: usize) -> usize {
        let dead = |slot: &Slot| slot.answer.as_ref().is_some_and(|a| !self.servable(a, now));
        let dead = self.entries.iter().filter(|(_, slot)| dead(slot)).map(|(key, _)| *key);
        let dead: Vec<Digest> = dead.take(most).collect();
        for key in &dead {
            // An invalidation of the key that is still remembered stays, as a tombstone.
            match self.entries.get_mut(key) {
                Some(slot) if slot.invalidation(now).is_some() => slot.answer = None,
                _ => drop(self.entries.remove(key)),
            }
        }
        dead.len()
    }

    /// Forgets invalidations after their time, flights that ran out, and generations that nothing uses.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        self.flights.retain(|_, (_, until)| *until > now);
        self.entries.retain(|_, slot| slot.answer.is_some() || slot.invalidation(now).is_some());
        let answers = self.entries.values().filter_map(|slot| slot.answer.as_ref());
        let used: std::collections::BTreeSet<&TagRef> =
            answers.flat_map(|answer| &answer.generations).map(|(tag, _)| tag).collect();
        self.tags.retain(|tag, generation| {
            used.contains(tag) || now.since(generation.modified_at) < REPLAY_WINDOW
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
            && self.entries.is_empty()
            && self.tags.is_empty()
            && self.flights.is_empty()
    }
}
