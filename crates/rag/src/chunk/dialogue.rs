//! Cutting a transcript into turns.

use std::ops::Range;

use super::lines::lines;
use super::recursive;

/// The longest name of a speaker, in characters.
const NAME: usize = 40;

/// A turn begins with a line that names its speaker (`Ada: ...`, `[10:02] Ada: ...`, `**Ada**: ...`) and has the lines behind
/// it that name none. Where no line names one, each line is a turn. A turn that is longer than `size` is cut like prose.
pub(super) fn split(text: &str, size: usize, overlap: usize) -> Vec<Range<usize>> {
    let line = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default();
    let lines = lines(text);
    let named = lines.iter().any(|range| names_speaker(line(range)));
    let mut turns: Vec<Range<usize>> = Vec::new();
    for range in lines {
        let begins =
            if named { names_speaker(line(&range)) } else { !line(&range).trim().is_empty() };
        match turns.last_mut() {
            Some(last) if !begins => last.end = range.end,
            _ => turns.push(range),
        }
    }
    turns
        .into_iter()
        .flat_map(|turn| {
            let parts = recursive::split(line(&turn), size, overlap);
            parts.into_iter().map(move |part| turn.start + part.start..turn.start + part.end)
        })
        .collect()
}

fn names_speaker(line: &str) -> bool {
    let line = line.trim_start();
    let line = match line.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(line, |(_, rest)| rest.trim_start()),
        None => line,
    };
    let Some((name, rest)) = line.split_once([':', '：']) else { return false };
    let letters = name.chars().any(char::is_alphabetic);
    let plain = !name.contains(['.', '!', '?', ',', ';', '(', '/', '"', '<', '{', '=']);
    let short = name.chars().count() <= NAME && name.split_whitespace().count() <= 4;
    // `http://...` and `12:30` are no speakers.
    letters && plain && short && !rest.starts_with("//")
}
