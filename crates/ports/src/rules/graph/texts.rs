//! Texts that many elements share, once each.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use super::slots::{NONE, index};

/// Types, relations and sources by number. A text stays until the graph is read anew.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    texts: Vec<Box<str>>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl Texts {
    /// The number of `text`, a new one where it is new.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.known(text) {
            return number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(NONE);
        self.texts.push(text.into());
        let (texts, hasher) = (&self.texts, &self.hasher);
        self.numbers.insert_unique(hasher.hash_one(text), number, |other| {
            hasher.hash_one(&*texts[index(*other)])
        });
        number
    }

    /// The number of `text`, if it has one.
    pub(super) fn known(&self, text: &str) -> Option<u32> {
        let same = |number: &u32| &*self.texts[index(*number)] == text;
        self.numbers.find(self.hasher.hash_one(text), same).copied()
    }

    /// The text of a number that [`Texts::number`] gave.
    pub(super) fn text(&self, number: u32) -> &str {
        self.texts.get(index(number)).map_or("", |text| text)
    }
}
