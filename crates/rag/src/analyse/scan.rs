//! Text to words: where a word begins and ends.

use unicode_normalization::char::is_combining_mark;

use super::Side;

/// A piece of text that the scanner found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A word, to be lowercased, looked up among the stop words and stemmed.
    Word(&'a str),
    /// A term that is complete as it is: an identifier as a whole, or CJK characters.
    Verbatim(&'a str),
}

/// Calls `emit` with each token of `text` in order. `apostrophes` inside words belong to them.
pub(super) fn scan(text: &str, side: Side, apostrophes: bool, emit: &mut impl FnMut(Token<'_>)) {
    let mut chars = text.char_indices().peekable();
    while let Some((start, first)) = chars.next() {
        let kind = Kind::of(first);
        if kind == Kind::Other {
            continue;
        }
        let mut end = start + first.len_utf8();
        let mut before = first;
        while let Some(&(at, c)) = chars.peek() {
            let after = || text.get(at + c.len_utf8()..).and_then(|rest| rest.chars().next());
            let inside = Kind::of(c) == kind
                || is_combining_mark(c)
                || (kind == Kind::Word && joins(before, c, after(), apostrophes));
            if !inside {
                break;
            }
            chars.next();
            end = at + c.len_utf8();
            before = c;
        }
        let run = text.get(start..end).unwrap_or_default();
        match kind {
            Kind::Unspaced => pairs(run, side, emit),
            _ => word(run, emit),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A letter, digit or underscore.
    Word,
    /// A letter of a script written without spaces.
    Unspaced,
    /// Everything that separates.
    Other,
}

impl Kind {
    fn of(c: char) -> Self {
        if c.is_ascii() {
            if c.is_ascii_alphanumeric() || c == '_' { Self::Word } else { Self::Other }
        } else if !c.is_alphanumeric() {
            Self::Other
        } else if is_unspaced(c) {
            Self::Unspaced
        } else {
            Self::Word
        }
    }
}

/// Han, kana, bopomofo, Hangul, and the scripts of South East Asia that leave no spaces.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1100..=0x11ff | 0x1780..=0x17ff
        | 0x3005..=0x3007 | 0x3040..=0x318f | 0x31a0..=0x31bf | 0x31f0..=0x31ff
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7ff | 0xf900..=0xfaff
        | 0x1b000..=0x1b16f | 0x20000..=0x3ffff)
}

/// Whether `c`, which is no word character, still belongs to the word it stands in: an apostrophe
/// between letters, a point between digits.
fn joins(before: char, c: char, after: Option<char>, apostrophes: bool) -> bool {
    let Some(after) = after else { return false };
    match c {
        '\'' | '\u{2019}' => apostrophes && before.is_alphabetic() && after.is_alphabetic(),
        '.' => before.is_ascii_digit() && after.is_ascii_digit(),
        _ => false,
    }
}

/// A run of a script without spaces: overlapping pairs, and single characters where asked for.
fn pairs(run: &str, side: Side, emit: &mut impl FnMut(Token<'_>)) {
    let alone = run.chars().nth(1).is_none();
    let mut previous: Option<usize> = None;
    for (at, c) in run.char_indices() {
        let end = at + c.len_utf8();
        if let Some(pair) = previous.and_then(|start| run.get(start..end)) {
            emit(Token::Verbatim(pair));
        }
        if side == Side::Document || alone {
            emit(Token::Verbatim(run.get(at..end).unwrap_or_default()));
        }
        previous = Some(at);
    }
}

/// A run of word characters: one word, or an identifier as a whole and in its parts.
fn word(run: &str, emit: &mut impl FnMut(Token<'_>)) {
    let run = run.trim_matches('_');
    if run.bytes().all(|b| b.is_ascii_lowercase()) {
        if !run.is_empty() {
            emit(Token::Word(run));
        }
        return;
    }
    let parts = || run.split('_').filter(|part| !part.is_empty()).flat_map(CamelParts);
    if parts().nth(1).is_some() {
        emit(Token::Verbatim(&run.to_lowercase()));
    }
    parts().for_each(|part| emit(Token::Word(part)));
}

/// Splits `camelCase` before `C` and `HTTPServer` before `Server`.
struct CamelParts<'a>(&'a str);

impl<'a> Iterator for CamelParts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let mut chars = self.0.char_indices().peekable();
        let (_, mut before) = chars.next()?;
        let mut lower = before.is_lowercase();
        while let Some((at, c)) = chars.next() {
            let next_is_lower = chars.peek().is_some_and(|(_, next)| next.is_lowercase());
            let rises = lower && c.is_uppercase() && !before.is_uppercase();
            let acronym_ends = c.is_uppercase() && before.is_uppercase() && next_is_lower;
            if rises || acronym_ends {
                let (part, rest) = self.0.split_at_checked(at)?;
                self.0 = rest;
                return Some(part);
            }
            before = c;
            lower |= c.is_lowercase();
        }
        Some(std::mem::take(&mut self.0))
    }
}
