//! Files to documents: a pure function of name and bytes.
//!
//! Text, source code, Markdown, JSON Lines, HTML and, with the feature `pdf`, PDF are read. The extension decides the
//! format, the bytes decide the encoding, and whether it is a PDF. What is not text is skipped with a reason, so that a
//! caller can count.

mod encoding;
mod html;
mod jsonl;
#[cfg(feature = "pdf")]
mod pdf;

use hexmem_ports::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use encoding::Encoding;

use crate::chunk::Strategy;

/// What a file gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// Its documents, with the format and encoding that were found. JSON Lines hold many, any
    /// other file one.
    Documents {
        /// The format.
        format: Format,
        /// The encoding.
        encoding: Encoding,
        /// The documents, in the order of the file.
        documents: Vec<SourceDocument>,
    },
    /// The file holds nothing to search, and this is why.
    Skipped(SkipReason),
}

/// Why a file was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SkipReason {
    /// It is not text.
    Binary,
    /// It has no text: no bytes, white space, or markup alone.
    Empty,
}

impl SkipReason {
    /// The word for a summary: `binary`, `empty`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Empty => "empty",
        }
    }
}

/// A document as it stood in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceDocument {
    /// Its id within the file, where the file says one (JSON Lines); unique within the file.
    pub id: Option<String>,
    /// Its title; empty when it has none.
    pub title: String,
    /// Its text. Offsets of chunks are into this.
    pub text: String,
    /// What else the file says about it.
    pub metadata: Map<String, Value>,
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Plain text.
    Text,
    /// Source code.
    Code,
    /// Markdown.
    Markdown,
    /// One JSON object a line.
    Jsonl,
    /// HTML; its text is given as Markdown, so that headings stay known.
    Html,
    /// PDF: the text of its pages, without that of pictures.
    Pdf,
}

/// Extensions of source code.
const CODE: [&str; 47] = [
    "bash", "c", "cc", "clj", "cpp", "cs", "css", "cxx", "dart", "el", "erl", "ex", "exs", "fs",
    "go", "h", "hh", "hpp", "hs", "java", "jl", "js", "jsx", "kt", "kts", "lua", "m", "mjs", "ml",
    "nix", "php", "pl", "proto", "ps1", "py", "pyi", "r", "rb", "rs", "scala", "sh", "sql",
    "swift", "tf", "ts", "tsx", "zig",
];

impl Format {
    /// The format of a file of this name, by its extension; plain text when it is not known.
    pub fn of(name: &str) -> Self {
        let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
        let extension = base.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension.to_ascii_lowercase().as_str() {
            "md" | "markdown" | "mdx" | "mkd" => Self::Markdown,
            "jsonl" | "ndjson" => Self::Jsonl,
            "html" | "htm" | "xhtml" => Self::Html,
            "pdf" => Self::Pdf,
            known if CODE.contains(&known) => Self::Code,
            _ => Self::Text,
        }
    }

    /// How a document of this format is best cut.
    pub fn strategy(self) -> Strategy {
        match self {
            Self::Markdown | Self::Html => Strategy::Markdown,
            Self::Code => Strategy::Code,
            Self::Text | Self::Jsonl | Self::Pdf => Strategy::Recursive,
        }
    }
}

/// The documents of a file of this name and content.
///
/// `Invalid`, with file and line, when a JSON Lines file has a line that is no JSON object, or an
/// id twice; when a PDF is damaged, or locked by a password.
pub fn read(name: &str, bytes: &[u8]) -> Result<Reading> {
    #[cfg(feature = "pdf")]
    if pdf::is_pdf(name, bytes) {
        let (title, text) = pdf::extract(name, bytes)?;
        return Ok(some(Format::Pdf, Encoding::Own, vec![document(title, text)]));
    }
    let Some((encoding, text)) = encoding::decode(bytes) else {
        return Ok(Reading::Skipped(SkipReason::Binary));
    };
    let format = Format::of(name);
    let documents = match format {
        Format::Jsonl => jsonl::documents(name, &text)?,
        Format::Html => {
            let page = html::extract(&text);
            vec![document(page.title, page.text)]
        }
        Format::Markdown => vec![document(markdown_title(&text), text)],
        Format::Text | Format::Code | Format::Pdf => vec![document(String::new(), text)],
    };
    Ok(some(format, encoding, documents))
}

/// The documents that have text or a title.
fn some(format: Format, encoding: Encoding, documents: Vec<SourceDocument>) -> Reading {
    let documents: Vec<_> = documents
        .into_iter()
        .filter(|document| !(document.text.trim().is_empty() && document.title.is_empty()))
        .collect();
    if documents.is_empty() {
        return Reading::Skipped(SkipReason::Empty);
    }
    Reading::Documents { format, encoding, documents }
}

fn document(title: String, text: String) -> SourceDocument {
    SourceDocument { id: None, title, text, metadata: Map::new() }
}

/// The first heading of the first level.
fn markdown_title(text: &str) -> String {
    let mut in_fence = false;
    for line in text.lines() {
        if line.starts_with("```") || line.starts_with("~~~") {
            in_fence = !in_fence;
        }
        if let Some(title) = line.strip_prefix("# ").filter(|_| !in_fence) {
            return title.trim().trim_end_matches('#').trim_end().chars().take(200).collect();
        }
    }
    String::new()
}

#[cfg(test)]
mod tests;
