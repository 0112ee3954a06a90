//! Counts, kept aside so that a call need not write.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hexmem_ports::{CacheCounts, CacheTags, Name, TagRef};

/// Calls that are counted before they are written out: what a crash can lose of the statistics.
const BATCH: u64 = 1_000;

/// Models and tags that are counted before they are written out. Beyond twice as many, while the store does not
/// answer, new ones count for the namespace only.
const NAMES: usize = 2_000;

#[derive(Default)]
struct State {
    calls: u64,
    total: CacheCounts,
    models: HashMap<Name, CacheCounts>,
    tags: HashMap<Name, CacheCounts>,
}

/// What clones of a cache counted together and did not write out yet.
#[derive(Clone, Default)]
pub(crate) struct Tallies(Arc<Mutex<State>>);

fn add(names: &mut HashMap<Name, CacheCounts>, name: &Name, counts: CacheCounts) {
    if let Some(known) = names.get_mut(name) {
        *known = known.plus(counts);
    } else if names.len() < 2 * NAMES {
        names.insert(name.clone(), counts);
    }
}

impl State {
    fn add(&mut self, tag: &TagRef, counts: CacheCounts) {
        match tag {
            TagRef::Namespace => self.total = self.total.plus(counts),
            TagRef::Model(name) => add(&mut self.models, name, counts),
            TagRef::Tag(name) => add(&mut self.tags, name, counts),
        }
    }
}

impl Tallies {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts for the namespace and for each name; `true` when it is time to write out.
    pub(crate) fn count(&self, tags: &CacheTags, counts: CacheCounts) -> bool {
        let mut state = self.state();
        state.calls += 1;
        state.total = state.total.plus(counts);
        if let Some(model) = &tags.model {
            add(&mut state.models, model, counts);
        }
        for (n, tag) in tags.tags.iter().enumerate() {
            // A tag given twice counts once.
            if !tags.tags[..n].contains(tag) {
                add(&mut state.tags, tag, counts);
            }
        }
        state.calls >= BATCH || state.models.len() + state.tags.len() >= NAMES
    }

    /// Takes what was counted.
    pub(crate) fn take(&self) -> Vec<(TagRef, CacheCounts)> {
        let state = std::mem::take(&mut *self.state());
        let total = (state.total != CacheCounts::default()).then_some(state.total);
        let total = total.map(|counts| (TagRef::Namespace, counts));
        let models = state.models.into_iter().map(|(name, counts)| (TagRef::Model(name), counts));
        let tags = state.tags.into_iter().map(|(name, counts)| (TagRef::Tag(name), counts));
        total.into_iter().chain(models).chain(tags).collect()
    }

    /// Gives back what was not written.
    pub(crate) fn put_back(&self, counts: &[(TagRef, CacheCounts)]) {
        let mut state = self.state();
        for (tag, counts) in counts {
            state.add(tag, *counts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: impl Into<String>) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn a_batch_is_taken_once_and_can_be_given_back() {
        let tallies = Tallies::default();
        let one = CacheCounts { hits: 1, ..CacheCounts::default() };
        let tags = CacheTags { model: Some(name("m")), tags: vec![name("a"), name("a")] };
        let full: Vec<bool> = (0..BATCH).map(|_| tallies.count(&tags, one)).collect();
        assert_eq!(full.iter().filter(|full| **full).count(), 1, "the last one says so");
        let taken = tallies.take();
        assert!(taken.iter().all(|(_, counts)| counts.hits == BATCH) && taken.len() == 3);
        assert!(tallies.take().is_empty());
        tallies.put_back(&taken);
        tallies.count(&CacheTags::default(), one);
        let again = tallies.take();
        let total = again.iter().find(|(tag, _)| *tag == TagRef::Namespace).unwrap();
        assert_eq!(total.1.hits, BATCH + 1);
    }

    #[test]
    fn names_are_bounded_and_the_total_is_not() {
        let tallies = Tallies::default();
        let one = CacheCounts { misses: 1, ..CacheCounts::default() };
        let mut full = false;
        for n in 0..3 * NAMES {
            let tags = CacheTags { model: None, tags: vec![name(n.to_string())] };
            full = tallies.count(&tags, one);
        }
        assert!(full);
        let taken = tallies.take();
        assert_eq!(taken.len(), 2 * NAMES + 1);
        assert_eq!(taken[0].1.misses, u64::try_from(3 * NAMES).unwrap());
    }
}
