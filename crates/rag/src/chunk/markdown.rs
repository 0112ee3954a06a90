//! Cutting Markdown by headings and blocks.

use std::ops::Range;

use super::recursive;

/// A piece of a document and the headings above it.
pub(super) struct Piece {
    pub(super) range: Range<usize>,
    pub(super) context: Vec<String>,
}

/// The most characters of a heading that are kept as context.
const LONGEST_TITLE: usize = 120;

/// The pieces of a Markdown document, each of at most `size` characters.
///
/// A section (a heading and what follows it) is never joined with another, but that a heading
/// without text goes with the deeper one that follows. Within a section whole blocks are joined as
/// long as they fit. A block that does not fit alone is cut as plain text: only there pieces overlap.
pub(super) fn split(document: &str, size: usize, overlap: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for section in sections(document) {
        let mut open: Option<(Range<usize>, usize)> = None;
        let mut close = |range: Range<usize>, chars: usize| {
            let context = || section.context.clone();
            if chars <= size {
                pieces.push(Piece { range, context: context() });
                return;
            }
            let text = document.get(range.clone()).unwrap_or_default();
            for part in recursive::split(text, size, overlap) {
                let range = range.start + part.start..range.start + part.end;
                pieces.push(Piece { range, context: context() });
            }
        };
        for block in &section.blocks {
            let chars = document.get(block.range.clone()).map_or(0, |text| text.chars().count());
            open = Some(match open.take() {
                None => (block.range.clone(), chars),
                Some((range, held)) if held + chars <= size => {
                    (range.start..block.range.end, held + chars)
                }
                // A heading stays with the text that must be cut anyway.
                Some((range, held)) if range == section.headings && chars > size => {
                    (range.start..block.range.end, held + chars)
                }
                Some((range, held)) => {
                    close(range, held);
                    (block.range.clone(), chars)
                }
            });
        }
        if let Some((range, chars)) = open {
            close(range, chars);
        }
    }
    pieces
}

/// A heading with what follows it.
struct Section {
    context: Vec<String>,
    /// The part of the section that is headings.
    headings: Range<usize>,
    blocks: Vec<Block>,
}

fn sections(document: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    for block in blocks(document) {
        let Kind::Heading { level, title } = &block.kind else {
            match sections.last_mut() {
                Some(section) => section.blocks.push(block),
                None => sections.push(Section {
                    context: Vec::new(),
                    headings: 0..0,
                    blocks: vec![block],
                }),
            }
            continue;
        };
        let deeper = path.last().is_some_and(|(last, _)| level > last);
        path.retain(|(above, _)| above < level);
        path.push((*level, title.clone()));
        let context: Vec<String> = path.iter().map(|(_, title)| title.clone()).collect();
        match sections.last_mut() {
            Some(section) if deeper && section.blocks.iter().all(Block::is_heading) => {
                section.context = context;
                section.headings.end = block.range.end;
                section.blocks.push(block);
            }
            _ => sections.push(Section {
                context,
                headings: block.range.clone(),
                blocks: vec![block],
            }),
        }
    }
    sections
}

struct Block {
    kind: Kind,
    range: Range<usize>,
}

enum Kind {
    Heading { level: usize, title: String },
    Fence,
    Text { lines: usize, ended: bool },
}

impl Block {
    fn is_heading(&self) -> bool {
        matches!(self.kind, Kind::Heading { .. })
    }
}

/// The blocks of a document, which together cover it.
fn blocks(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence: Option<(char, usize)> = None;
    let mut front = front_matter(document);
    let mut start = 0;
    for line in document.split_inclusive('\n') {
        let range = start..start + line.len();
        start = range.end;
        let last = blocks.last_mut();

        if front > 0 {
            front -= 1;
            extend_or_push(&mut blocks, range, Kind::Fence);
        } else if let Some(opened) = fence {
            if closes(line, opened) {
                fence = None;
            }
            if let Some(block) = last {
                block.range.end = range.end;
            }
        } else if let Some(opened) = opens(line) {
            fence = Some(opened);
            blocks.push(Block { kind: Kind::Fence, range });
        } else if let Some((level, title)) = heading(line) {
            blocks.push(Block { kind: Kind::Heading { level, title }, range });
        } else if let Some((block, level)) = last.and_then(|block| underlined(block, line)) {
            let text = document.get(block.range.clone()).unwrap_or_default();
            block.kind = Kind::Heading { level, title: title(text) };
            block.range.end = range.end;
        } else {
            text_line(&mut blocks, line.trim().is_empty(), range);
        }
    }
    blocks
}

/// Number of lines of the YAML front matter with which a document may begin.
fn front_matter(document: &str) -> usize {
    let mut lines = document.lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return 0;
    }
    lines.position(|line| line.trim_end() == "---").map_or(0, |at| at + 2)
}

fn extend_or_push(blocks: &mut Vec<Block>, range: Range<usize>, kind: Kind) {
    match blocks.last_mut() {
        Some(block) => block.range.end = range.end,
        None => blocks.push(Block { kind, range }),
    }
}

/// A line of text or a blank one: a blank line ends the paragraph it follows and belongs to it.
fn text_line(blocks: &mut Vec<Block>, blank: bool, range: Range<usize>) {
    match blocks.last_mut() {
        Some(Block { kind: Kind::Text { lines, ended }, range: open }) if blank || !*ended => {
            open.end = range.end;
            *lines += 1;
            *ended = blank;
        }
        Some(Block { kind: Kind::Heading { .. }, range: open }) if blank => open.end = range.end,
        _ => blocks.push(Block { kind: Kind::Text { lines: 1, ended: blank }, range }),
    }
}

/// `` ``` `` or `~~~`, at any indent (lists indent their code): the character and how many.
fn opens(line: &str) -> Option<(char, usize)> {
    let line = line.trim();
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let rest = line.trim_start_matches(mark);
    let count = line.len() - rest.len();
    (count >= 3 && !(mark == '`' && rest.contains('`'))).then_some((mark, count))
}

fn closes(line: &str, (mark, count): (char, usize)) -> bool {
    let line = line.trim();
    line.len() >= count && line.chars().all(|c| c == mark)
}

/// `## Title ##`: level and title.
fn heading(line: &str) -> Option<(usize, String)> {
    let text = line.trim_start_matches(' ');
    if line.len() - text.len() > 3 {
        return None;
    }
    let rest = text.trim_start_matches('#');
    let level = text.len() - rest.len();
    let separated = rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']);
    ((1..=6).contains(&level) && separated).then(|| {
        let closed = rest.trim().trim_end_matches('#');
        let closed = if closed.is_empty() || closed.ends_with([' ', '\t']) { closed } else { rest };
        (level, title(closed))
    })
}

/// Whether `line` makes a heading of the one-line paragraph `block`, and of which level.
fn underlined<'a>(block: &'a mut Block, line: &str) -> Option<(&'a mut Block, usize)> {
    if !matches!(block.kind, Kind::Text { lines: 1, ended: false }) {
        return None;
    }
    let line = line.trim_end();
    let level = match line.chars().next() {
        Some('=') if line.len() >= 2 && line.chars().all(|c| c == '=') => 1,
        Some('-') if line.len() >= 2 && line.chars().all(|c| c == '-') => 2,
        _ => return None,
    };
    Some((block, level))
}

/// The text of a heading without emphasis and code marks, cut to a bearable length.
fn title(text: &str) -> String {
    let plain: String = text.trim().chars().filter(|c| !matches!(c, '`' | '*')).collect();
    match plain.char_indices().nth(LONGEST_TITLE) {
        Some((end, _)) => format!("{}…", plain.get(..end).unwrap_or_default().trim_end()),
        None => plain,
    }
}
