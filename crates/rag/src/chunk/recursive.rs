//! Cutting at the best separator that fits.

use std::ops::Range;

use unicode_segmentation::GraphemeCursor;

/// Where a text may be cut: behind one of these, the earlier rows first.
const SEPARATORS: &[&[&str]] = &[
    &["\n\n", "\r\n\r\n"],
    &["\n"],
    &["。", "！", "？", ". ", "! ", "? ", "．", "｡"],
    &["、", "，", ", ", "; ", "；", "："],
    &["\u{3000}", " ", "\t", "\u{200b}"],
];

/// A grapheme cluster of more characters than this may be cut.
const LONGEST_CLUSTER: usize = 64;

/// The pieces of `text`, each of at most `size` characters, each repeating at most `overlap`
/// characters of the one before. The caller has checked that `overlap` is at most half of `size`.
pub(super) fn split(text: &str, size: usize, overlap: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let (mut start, mut covered) = (0, 0);
    while let Some(rest) = text.get(start..).filter(|_| covered < text.len()) {
        let end = match rest.char_indices().nth(size) {
            None => text.len(),
            Some((window, _)) => start + cut(rest, window, covered - start),
        };
        pieces.push(start..end);
        covered = end;
        start = text.get(start..end).map_or(end, |piece| start + repeat_from(piece, overlap));
    }
    pieces
}

/// Where to cut `rest`, whose first `window` bytes fit: behind `covered` in any case.
///
/// A separator in the second half of the window is preferred to a better one in the first half,
/// so that chunks are not much smaller than they may be.
fn cut(rest: &str, window: usize, covered: usize) -> usize {
    for least in [covered.max(window / 2), covered] {
        for row in SEPARATORS {
            let best = row.iter().filter_map(|mark| last_end(rest, window, least, mark)).max();
            if let Some(end) = best {
                return end;
            }
        }
    }
    let fits = rest.get(..window).unwrap_or_default();
    let ends = fits.char_indices().rev().map(|(at, _)| at).take_while(|&at| at > covered);
    [window]
        .into_iter()
        .chain(ends)
        .take(LONGEST_CLUSTER)
        .find(|&at| is_boundary(rest, at))
        .unwrap_or(window)
}

/// The end of the last `mark` that ends in `least+1..=window`, at a grapheme boundary.
fn last_end(rest: &str, window: usize, least: usize, mark: &str) -> Option<usize> {
    // What ends at or before `least` is not looked at.
    let lower = rest.floor_char_boundary((least + 1).saturating_sub(mark.len()));
    let mut upper = window;
    while let Some(at) = rest.get(lower..upper).and_then(|part| part.rfind(mark)) {
        let end = lower + at + mark.len();
        if end <= least {
            return None;
        }
        if is_boundary(rest, end) {
            return Some(end);
        }
        upper = rest.floor_char_boundary(end - 1);
    }
    None
}

/// Where the next piece begins within `piece`: at a word, at most `overlap` characters and at most
/// half of the piece before its end.
fn repeat_from(piece: &str, overlap: usize) -> usize {
    let overlap = overlap.min(piece.chars().count() / 2);
    let Some((from, _)) = overlap.checked_sub(1).and_then(|nth| piece.char_indices().nth_back(nth))
    else {
        return piece.len();
    };
    let repeated = piece.get(from..).unwrap_or_default();
    let mut gap =
        piece.get(..from).and_then(|before| before.chars().next_back()).is_none_or(is_gap);
    for (at, c) in repeated.char_indices() {
        if gap && !is_gap(c) && is_boundary(piece, from + at) {
            return from + at;
        }
        gap = is_gap(c);
    }
    let starts = repeated.char_indices().map(|(at, _)| from + at).take(LONGEST_CLUSTER);
    starts.into_iter().find(|&at| is_boundary(piece, at)).unwrap_or(piece.len())
}

/// Whether a word can begin behind `c`.
fn is_gap(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '。' | '！' | '？' | '．' | '｡' | '、' | '，' | '；' | '：' | '\u{200b}')
}

/// Whether a grapheme cluster of `text` begins at byte `at`.
fn is_boundary(text: &str, at: usize) -> bool {
    GraphemeCursor::new(at, text.len(), true).is_boundary(text, 0).unwrap_or(false)
}
