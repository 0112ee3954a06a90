//! Documents to chunks.
//!
//! A chunk is a piece of the document, byte for byte: its offsets say where it stands, so that a
//! document can be rebuilt from its chunks without doubled overlaps ([`rebuild`]). The chunks of a
//! document are in order, overlap or touch, and together cover every byte. Sizes are in characters
//! (Unicode scalar values). A user-perceived character (grapheme cluster) is never split, unless it
//! is longer than a whole chunk.

mod code;
mod dialogue;
mod lines;
mod markdown;
mod recursive;

use std::borrow::Cow;

use hexmem_ports::{Error, Result};
use serde::{Deserialize, Serialize};

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its place among the chunks of the document, from 0.
    pub index: usize,
    /// Byte offset of its first byte in the document.
    pub start: usize,
    /// Byte offset behind its last byte.
    pub end: usize,
    /// The bytes of the document from `start` to `end`.
    pub text: String,
    /// The headings above it, outermost first. Empty where the document has none.
    pub context: Vec<String>,
}

impl Chunk {
    /// The text behind its heading path (`Guide > Install`), for an embedder or a reranker.
    pub fn text_in_context(&self) -> Cow<'_, str> {
        if self.context.is_empty() {
            return Cow::Borrowed(&self.text);
        }
        Cow::Owned(format!("{}\n{}", self.context.join(" > "), self.text))
    }
}

/// How a document is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// At the best separator that fits: paragraph, line, sentence, clause, word, character.
    Recursive,
    /// By headings, then by blocks; fenced code stays whole when it fits.
    Markdown,
    /// Source code: between lines, where a definition begins if one does; told with the lines that enclose it.
    Code,
    /// A transcript: a turn each. The two turns before and the two behind are found too, with a lower weight.
    Dialogue,
    /// Not at all.
    Whole,
}

/// Strategy and sizes. Stamped on a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chunking {
    /// How a document is cut.
    pub strategy: Strategy,
    /// The most characters of a chunk.
    pub size: usize,
    /// How many characters, at most, a chunk repeats of the one before it.
    pub overlap: usize,
}

impl Default for Chunking {
    /// Recursive, 512 characters, 50 of overlap.
    fn default() -> Self {
        Self { strategy: Strategy::Recursive, size: 512, overlap: 50 }
    }
}

impl Chunking {
    /// `Invalid` unless `size` is at least 1 and `overlap` at most half of it.
    pub fn check(&self) -> Result<()> {
        let Self { size, overlap, .. } = *self;
        if size == 0 {
            return Err(Error::invalid("rag.chunk", "the chunk size is 0; it must be at least 1"));
        }
        if overlap > size / 2 {
            let message = format!("an overlap of {overlap} is more than half of the size, {size}");
            return Err(Error::invalid("rag.chunk", message));
        }
        Ok(())
    }

    /// The chunks of a document. A document of white space alone has none.
    ///
    /// `Invalid` as [`check`](Self::check) says.
    pub fn chunks(&self, document: &str) -> Result<Vec<Chunk>> {
        self.check()?;
        if document.trim().is_empty() {
            return Ok(Vec::new());
        }
        let mut chunks = Vec::new();
        let mut push = |start: usize, end: usize, context: &[String]| {
            if let Some(text) = document.get(start..end).filter(|text| !text.is_empty()) {
                let (index, text, context) = (chunks.len(), text.to_owned(), context.to_vec());
                chunks.push(Chunk { index, start, end, text, context });
            }
        };
        match self.strategy {
            Strategy::Recursive => {
                for piece in recursive::split(document, self.size, self.overlap) {
                    push(piece.start, piece.end, &[]);
                }
            }
            Strategy::Markdown => {
                for piece in markdown::split(document, self.size, self.overlap) {
                    push(piece.range.start, piece.range.end, &piece.context);
                }
            }
            Strategy::Code => {
                for piece in code::split(document, self.size, self.overlap) {
                    push(piece.range.start, piece.range.end, &piece.context);
                }
            }
            Strategy::Dialogue => {
                for piece in dialogue::split(document, self.size, self.overlap) {
                    push(piece.start, piece.end, &[]);
                }
            }
            Strategy::Whole => push(0, document.len(), &[]),
        }
        Ok(chunks)
    }
}

/// The document that chunks came from, given as byte offset and text in ascending order of offset.
/// A run of neighbouring chunks gives that part of the document.
///
/// `Corrupt` when a chunk is missing between two, or two disagree about where characters begin.
pub fn rebuild<'a>(chunks: impl IntoIterator<Item = (usize, &'a str)>) -> Result<String> {
    let mut document = String::new();
    let mut end = None;
    for (start, text) in chunks {
        let covered = end.unwrap_or(start);
        let Some(known) = covered.checked_sub(start) else {
            let message = format!("no chunk has the bytes {covered} to {start} of the document");
            return Err(Error::corrupt("rag.rebuild", message));
        };
        if known < text.len() {
            let Some(new) = text.get(known..) else {
                let message =
                    format!("byte {covered} lies inside a character of the chunk at {start}");
                return Err(Error::corrupt("rag.rebuild", message));
            };
            document.push_str(new);
            end = Some(start + text.len());
        } else {
            end = Some(covered);
        }
    }
    Ok(document)
}

#[cfg(test)]
mod tests;
