//! Words that were analysed before.

use std::collections::HashMap;

/// Words kept: more than a text of one subject has.
const WORDS: usize = 32_768;
/// A longer word, in bytes, is not kept.
const LONGEST: usize = 32;

/// What words became.
#[derive(Default)]
pub(super) struct Memo(HashMap<Box<str>, Option<u32>>);

impl Memo {
    /// The index of `word`'s term, `None` where it has none; analysed where it is not known.
    pub(super) fn of(&mut self, word: &str, analysed: impl FnOnce() -> Option<u32>) -> Option<u32> {
        if let Some(known) = self.0.get(word) {
            return *known;
        }
        let index = analysed();
        if word.len() <= LONGEST {
            // Frequent words come back soon.
            if self.0.len() >= WORDS {
                self.0.clear();
            }
            self.0.insert(word.into(), index);
        }
        index
    }
}
