//! Cutting source code between lines, where a definition begins rather than in the middle of one.

use std::ops::Range;

use super::lines::lines;
use super::markdown::Piece;
use super::recursive;

/// How many enclosing lines a piece tells.
const DEEP: usize = 4;
/// The most characters of each.
const WIDE: usize = 100;

/// A tab counts as so many spaces.
const TAB: usize = 4;

/// What ends a definition rather than begins one.
const CLOSING: [char; 3] = ['}', ')', ']'];

struct Line<'t> {
    range: Range<usize>,
    text: &'t str,
    /// Columns before its first character; `None` for a blank line.
    indent: Option<usize>,
}

/// The pieces of `text`, each of whole lines of at most `size` characters together, with the lines that enclose it. A line
/// that is longer is cut like prose. The caller has checked that `overlap` is at most half of `size`.
pub(super) fn split(text: &str, size: usize, overlap: usize) -> Vec<Piece> {
    let lines: Vec<Line<'_>> = lines(text)
        .into_iter()
        .map(|range| {
            let line = text.get(range.clone()).unwrap_or_default();
            let spaces = line.chars().take_while(|c| matches!(c, ' ' | '\t'));
            let indent = spaces.map(|c| if c == '\t' { TAB } else { 1 }).sum();
            Line { range, text: line, indent: (!line.trim().is_empty()).then_some(indent) }
        })
        .collect();
    let mut pieces = Vec::new();
    let (mut first, mut covered) = (0, 0);
    while covered < lines.len() {
        let fits = fitting(&lines[first..], size);
        if first + fits <= covered {
            // What is repeated leaves no room for the next line.
            if first < covered {
                first = covered;
                continue;
            }
            let Range { start, .. } = lines[first].range;
            let context = enclosing(&lines, first);
            for part in recursive::split(lines[first].text, size, overlap) {
                let range = start + part.start..start + part.end;
                pieces.push(Piece { range, context: context.clone() });
            }
            (first, covered) = (first + 1, first + 1);
            continue;
        }
        let end = cut(&lines, first, covered, first + fits);
        let range = lines[first].range.start..lines[end - 1].range.end;
        pieces.push(Piece { range, context: enclosing(&lines, first) });
        covered = end;
        first = repeat_from(&lines, first, end, overlap);
    }
    pieces
}

/// How many lines from the first fit into `size` characters.
fn fitting(lines: &[Line<'_>], size: usize) -> usize {
    let mut held = 0;
    lines
        .iter()
        .take_while(|line| {
            held += line.text.chars().count();
            held <= size
        })
        .count()
}

/// Where the next piece begins: in the second half of the lines that fit, at the line that is indented least, behind a blank
/// one if there is such; the last of equals.
fn cut(lines: &[Line<'_>], first: usize, covered: usize, fits: usize) -> usize {
    if fits >= lines.len() {
        return lines.len();
    }
    let least = (first + (fits - first).div_ceil(2)).max(covered + 1).min(fits);
    let badness = |at: usize| match lines[at].indent {
        None => usize::MAX,
        Some(indent) => {
            let closes = lines[at].text.trim_start().starts_with(CLOSING);
            let joined = lines[at - 1].indent.is_some();
            2 * indent + usize::from(joined) + if closes { 1_000 } else { 0 }
        }
    };
    (least..=fits).rev().min_by_key(|at| badness(*at)).unwrap_or(fits)
}

/// The first line that the next piece repeats. A piece that begins at the outermost level repeats nothing.
fn repeat_from(lines: &[Line<'_>], first: usize, end: usize, overlap: usize) -> usize {
    if lines.get(end).is_none_or(|line| line.indent == Some(0)) {
        return end;
    }
    let mut held = 0;
    let repeated = lines[first + 1..end]
        .iter()
        .rev()
        .take_while(|line| {
            held += line.text.chars().count();
            held <= overlap
        })
        .count();
    let ends =
        |line: &Line<'_>| line.indent.is_none() || line.text.trim_start().starts_with(CLOSING);
    let idle = lines[end - repeated..end].iter().take_while(|line| ends(line)).count();
    end - repeated + idle
}

/// The lines that the one at `at` stands under, outermost first: each is indented less than what follows it.
fn enclosing(lines: &[Line<'_>], at: usize) -> Vec<String> {
    let Some(mut indent) = lines[at..].iter().find_map(|line| line.indent) else {
        return Vec::new();
    };
    let mut above = Vec::new();
    for line in lines[..at].iter().rev() {
        let Some(found) = line.indent.filter(|found| *found < indent) else { continue };
        let text = line.text.trim();
        indent = found;
        if !text.starts_with(['}', ')', ']', '#', '/', '@']) {
            above.push(text.chars().take(WIDE).collect());
        }
        if indent == 0 {
            break;
        }
    }
    above.truncate(DEEP);
    above.reverse();
    above
}
