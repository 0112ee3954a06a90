//! Text to terms, for sparse search.
//!
//! A term is a lowercase word after Unicode compatibility normalisation (NFKC), stop words removed,
//! stemmed in the configured language, with the diacritics of Latin letters folded. An identifier
//! (`snake_case`, `camelCase`) gives itself as a whole and its parts. Scripts written without
//! spaces give overlapping pairs of characters. Numbers are kept, with their decimal point.
//!
//! A store sees terms only as `u32` indices: [`term_index`].

mod hash;
mod language;
mod memo;
mod scan;
mod stop;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Mutex;

use rust_stemmers::Stemmer;
use serde::{Deserialize, Serialize};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

pub use hash::term_index;
pub use language::Language;

use memo::Memo;

/// Changes whenever the same text would give other terms: a collection is stamped with it.
pub const ANALYSIS_VERSION: u32 = 1;

/// A word longer than this (in bytes) is kept whole, without stemming.
const LONGEST_STEMMED: usize = 64;

/// Which terms a text gives. Stamped on a collection; documents and queries must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Analysis {
    /// Language of the stemmer and of the stop words.
    pub language: Language,
    /// What happens to the stop words of the language.
    pub stop_words: StopWords,
}

impl Default for Analysis {
    fn default() -> Self {
        Self { language: Language::English, stop_words: StopWords::Remove }
    }
}

/// What happens to stop words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopWords {
    /// They give no term, in documents and in queries.
    Remove,
    /// They are terms like any other.
    Keep,
}

/// The side of the match that a text stands on.
///
/// A document in a script without spaces gives its single characters too, so that a query of one
/// character finds it; a query gives a single character only where it stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The text is indexed.
    Document,
    /// The text is looked for.
    Query,
}

/// Turns text into terms. Cheap to share, dear to build: keep one per collection.
pub struct Analyzer {
    analysis: Analysis,
    stemmer: Option<Stemmer>,
    stop: HashSet<&'static str>,
    /// Words that were analysed before: one for each text that is analysed at this moment.
    memos: Mutex<Vec<Memo>>,
}

impl std::fmt::Debug for Analyzer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Analyzer").field("analysis", &self.analysis).finish_non_exhaustive()
    }
}

impl Default for Analyzer {
    fn default() -> Self {
        Self::new(Analysis::default())
    }
}

impl Analyzer {
    /// An analyzer of this configuration.
    pub fn new(analysis: Analysis) -> Self {
        let stop = match analysis.stop_words {
            StopWords::Remove => stop::words(analysis.language).collect(),
            StopWords::Keep => HashSet::new(),
        };
        Self { analysis, stemmer: analysis.language.stemmer(), stop, memos: Mutex::default() }
    }

    /// The configuration it was built with.
    pub fn analysis(&self) -> Analysis {
        self.analysis
    }

    /// Calls `emit` with each term of `text`, in order, repeats included.
    pub fn each_term(&self, text: &str, side: Side, mut emit: impl FnMut(&str)) {
        self.each_token(text, side, &mut |token| match token {
            scan::Token::Word(word) => self.word(word, &mut emit),
            scan::Token::Verbatim(term) => emit(term),
        });
    }

    /// Calls `emit` with [`term_index`] of each term of `text`, in order, repeats included. Most words of a text were met
    /// before: they are looked up.
    fn each_index(&self, text: &str, side: Side, mut emit: impl FnMut(u32)) {
        let lent = self.memos.lock().ok().and_then(|mut memos| memos.pop());
        let mut memo = lent.unwrap_or_default();
        self.each_token(text, side, &mut |token| match token {
            scan::Token::Word(word) => {
                let index = memo.of(word, || {
                    let mut index = None;
                    self.word(word, &mut |term: &str| index = Some(term_index(term)));
                    index
                });
                index.into_iter().for_each(&mut emit);
            }
            scan::Token::Verbatim(term) => emit(term_index(term)),
        });
        if let Ok(mut memos) = self.memos.lock() {
            memos.push(memo);
        }
    }

    fn each_token(&self, text: &str, side: Side, emit: &mut impl FnMut(scan::Token<'_>)) {
        if text.is_empty() {
            return;
        }
        let normal = text.is_ascii() || is_nfkc_quick(text.chars()) == IsNormalized::Yes;
        let text: Cow<'_, str> =
            if normal { Cow::Borrowed(text) } else { Cow::Owned(text.nfkc().collect()) };
        scan::scan(&text, side, self.analysis.language.keeps_apostrophes(), emit);
    }

    /// The terms of `text`, in order, repeats included.
    pub fn terms(&self, text: &str, side: Side) -> Vec<String> {
        let mut terms = Vec::new();
        self.each_term(text, side, |term| terms.push(term.to_owned()));
        terms
    }

    /// One word without identifier punctuation: lowercase, stop, stem, fold.
    fn word(&self, word: &str, emit: &mut impl FnMut(&str)) {
        let lower: Cow<'_, str> = if word.bytes().all(|b| b.is_ascii_lowercase()) {
            Cow::Borrowed(word)
        } else {
            Cow::Owned(word.to_lowercase().replace('\u{2019}', "'"))
        };
        if self.stop.contains(lower.as_ref()) {
            return;
        }
        let stem = match &self.stemmer {
            Some(stemmer) if lower.len() <= LONGEST_STEMMED => stemmer.stem(&lower),
            _ => Cow::Borrowed(lower.as_ref()),
        };
        let folded = fold_latin(&stem);
        if !folded.is_empty() {
            emit(&folded);
        }
    }
}

/// Drops the combining marks after ASCII letters: `café` and `cafe` are one term.
fn fold_latin(term: &str) -> Cow<'_, str> {
    if term.is_ascii() {
        return Cow::Borrowed(term);
    }
    let mut after_ascii = false;
    let kept = term.nfd().filter(|&c| {
        let mark = ('\u{300}'..='\u{36f}').contains(&c);
        if !mark {
            after_ascii = c.is_ascii();
        }
        !(mark && after_ascii)
    });
    Cow::Owned(kept.nfc().collect())
}

/// How often each term occurs, by [`term_index`], and how many terms there are in all.
///
/// Occurrences count by the weight of the field they stand in, in the way of the weighted-field
/// extension of BM25 (Robertson, Zaragoza and Taylor 2004): term frequencies are added across the
/// fields before the weight of the term is computed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TermCounts {
    /// In ascending order of the index, each once.
    counts: Vec<(u32, f32)>,
    length: f32,
}

impl TermCounts {
    /// The counts of one text.
    pub fn of(analyzer: &Analyzer, text: &str, side: Side) -> Self {
        let mut counts = Self::default();
        counts.add(analyzer, text, side, 1.0);
        counts
    }

    /// Adds a field whose occurrences count `weight` times. A weight that is not positive and
    /// finite adds nothing.
    pub fn add(&mut self, analyzer: &Analyzer, text: &str, side: Side, weight: f32) {
        if !(weight.is_finite() && weight > 0.0) {
            return;
        }
        let known = self.counts.len();
        analyzer.each_index(text, side, |index| {
            self.counts.push((index, weight));
            self.length += weight;
        });
        if self.counts.len() > known {
            // Stable: what counts already stays in front, and the sums are those of adding one by one.
            self.counts.sort_by_key(|(index, _)| *index);
            self.counts.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 += next.1;
                }
                same
            });
        }
    }

    /// Number of terms, repeats included, each by the weight of its field.
    pub fn length(&self) -> f32 {
        self.length
    }

    /// Whether there is no term at all: an empty text, or stop words only.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The counts in ascending order of the index.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f32)> + '_ {
        self.counts.iter().copied()
    }
}

#[cfg(test)]
mod tests;
