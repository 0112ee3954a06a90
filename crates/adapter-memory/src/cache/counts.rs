//! What was counted in one namespace.

use std::collections::BTreeMap;

use hexmem_ports::{
    COUNTED_NAMES, CacheCounts, CacheStats, Name, StatsRoom, TagRef, TagStats, Timestamp,
};

use super::room::Room;

#[derive(Default)]
pub(super) struct Counts {
    total: CacheCounts,
    models: Names,
    tags: Names,
}

/// The names of a room that have counts of their own, and all others together.
#[derive(Default)]
struct Names {
    own: BTreeMap<Name, CacheCounts>,
    rest: Option<CacheCounts>,
}

impl Names {
    fn count(&mut self, name: Name, counts: CacheCounts) {
        if self.own.len() < COUNTED_NAMES || self.own.contains_key(&name) {
            let own = self.own.entry(name).or_default();
            *own = own.plus(counts);
        } else {
            self.rest = Some(self.rest.unwrap_or_default().plus(counts));
        }
    }
}

impl Counts {
    pub(super) fn is_empty(&self) -> bool {
        self.total == CacheCounts::default()
            && self.models.own.is_empty()
            && self.tags.own.is_empty()
    }

    fn names(&self, room: StatsRoom) -> &Names {
        match room {
            StatsRoom::Models => &self.models,
            StatsRoom::Tags => &self.tags,
        }
    }
}

impl Room {
    pub(super) fn count(&mut self, tag: TagRef, counts: CacheCounts) {
        match tag {
            TagRef::Namespace => self.counts.total = self.counts.total.plus(counts),
            TagRef::Model(name) => self.counts.models.count(name, counts),
            TagRef::Tag(name) => self.counts.tags.count(name, counts),
        }
    }

    pub(super) fn stats(&self, of: &TagRef, now: Timestamp) -> CacheStats {
        let counts = match of {
            TagRef::Namespace => Some(&self.counts.total),
            TagRef::Model(name) => self.counts.models.own.get(name),
            TagRef::Tag(name) => self.counts.tags.own.get(name),
        };
        let (entries, bytes) = self.held_of(of, now);
        CacheStats { counts: counts.copied().unwrap_or_default(), entries, bytes, exact: true }
    }

    pub(super) fn breakdown(&self, of: StatsRoom, now: Timestamp) -> Vec<TagStats> {
        let names = self.counts.names(of);
        let own = names.own.keys().map(|name| TagStats {
            name: Some(name.clone()),
            stats: self.stats(&of.tag(name.clone()), now),
        });
        let rest = names.rest.map(|counts| TagStats {
            name: None,
            stats: CacheStats { counts, exact: true, ..CacheStats::default() },
        });
        own.chain(rest).collect()
    }
}
