//! Remembered answers: a repeat of a mutation within the window gets the first answer.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use hexmem_ports::{REPLAY_WINDOW, Timestamp};

/// Answers by the key of their mutation, each for [`REPLAY_WINDOW`]. Lives inside a store's own lock.
#[derive(Debug)]
pub(crate) struct Replay<K, A> {
    answers: HashMap<K, (Timestamp, A)>,
    order: VecDeque<(Timestamp, K)>,
}

impl<K, A> Default for Replay<K, A> {
    fn default() -> Self {
        Self { answers: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, A: Clone> Replay<K, A> {
    /// The answer kept under `key`, if its window is still open.
    pub(crate) fn find(&self, key: &K, now: Timestamp) -> Option<A> {
        self.answers.get(key).filter(|(until, _)| *until > now).map(|(_, answer)| answer.clone())
    }

    /// Keeps `answer`, and forgets those whose window has passed.
    pub(crate) fn remember(&mut self, key: K, answer: A, now: Timestamp) {
        while let Some((until, _)) = self.order.front()
            && *until <= now
        {
            let Some((until, old)) = self.order.pop_front() else { break };
            // A key that was remembered anew has a later end.
            if self.answers.get(&old).is_some_and(|(current, _)| *current == until) {
                self.answers.remove(&old);
            }
        }
        let until = now.plus(REPLAY_WINDOW);
        self.order.push_back((until, key.clone()));
        self.answers.insert(key, (until, answer));
    }
}
