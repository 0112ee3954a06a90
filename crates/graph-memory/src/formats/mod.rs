//! Graphs as files: other programs' and our own, read and written as streams.
//!
//! | | read | written | holds |
//! |---|---|---|---|
//! | [`Format::NodeLink`] | yes | yes | everything but earlier versions |
//! | [`Format::Jsonl`] | yes | yes | everything but earlier versions |
//! | [`Format::Mcp`] | yes | yes | ids, types, observations, relations |
//! | [`Format::Graphml`] | no | yes | everything, attributes that are lists or objects as JSON text |
//! | [`Format::Dot`] | no | yes | everything, attributes as text to be looked at |
//!
//! In node-link JSON (`NetworkX`), the file is one object with `nodes` and `links` (or `edges`, `NetworkX`'s newer
//! default), `directed`, `multigraph` and `graph`. Attributes lie flat beside the reserved keys:
//!
//! | | reserved | meaning here |
//! |---|---|---|
//! | node | `id` | a text; an integer is read as its digits |
//! | | `type` | the type; `node` where it is missing |
//! | | `created_at` | when it came to be |
//! | edge | `source`, `target` | the ends |
//! | | `key` | tells parallel edges apart; in our own files the edge's id |
//! | | `type` | the relation; `related_to` where it is missing |
//! | | `weight` | 1 where it is missing |
//! | | `created_at`, `valid_from`, `valid_until` | when it came to be, from when and until when it holds |
//! | | `evidence` | where the fact comes from: `source` means the end in this form |
//!
//! Everything else is data. Our own files say so in `graph.hexmem`; there an attribute whose name is reserved is
//! written as `data.NAME`, so that a graph comes back exactly. The files in which a store keeps graphs as node-link
//! JSON are read too. An undirected graph's edges are read as they are written, from `source` to `target`; queries
//! follow edges both ways unless told otherwise.
//!
//! In Kagura's JSON Lines, an edge without an `id` (Kagura's have none) is told from another of the same ends,
//! relation and source by its start.
//!
//! Times without an offset are read as UTC unless [`ImportOptions::naive_offset`] says otherwise; times with one are
//! what they say, also in the same file.

mod dot;
mod export;
mod graphml;
mod import;
mod json;
mod jsonl;
mod lines;
mod mcp;
mod node_link;
mod parts;
mod problem;
mod seen;

use std::fmt;

use hexmem_ports::{AsOf, Edge, Error, Result, Timestamp, ValidAt};
use serde::Serialize;
use serde_json::Value;

pub(crate) use export::Pages;
pub use export::{ExportOptions, ExportReport, export_graph};
pub use import::{BadItems, ImportOptions, ImportReport, Progress, import_graph};
pub use problem::Problem;

use parts::{WITHDRAWN, WITHDRAWN_AT};

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `NetworkX` node-link JSON, with `links` or `edges`.
    NodeLink,
    /// Kagura's JSON Lines.
    Jsonl,
    /// The JSON Lines of the MCP reference memory server.
    Mcp,
    /// GraphML (yEd, Gephi, `NetworkX`).
    Graphml,
    /// DOT (Graphviz).
    Dot,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeLink => "node-link",
            Self::Jsonl => "jsonl",
            Self::Mcp => "mcp",
            Self::Graphml => "graphml",
            Self::Dot => "dot",
        })
    }
}

impl Format {
    /// Whether files of this form can be imported.
    pub fn is_read(self) -> bool {
        matches!(self, Self::NodeLink | Self::Jsonl | Self::Mcp)
    }

    /// Whether a graph comes back from this form as it was, without its earlier versions.
    pub fn is_lossless(self) -> bool {
        matches!(self, Self::NodeLink | Self::Jsonl)
    }

    /// What is written when nobody says which facts: a form without times gets those that hold now.
    pub(crate) fn default_as_of(self) -> AsOf {
        if self == Self::Mcp { AsOf { valid: ValidAt::Now, known: None } } else { AsOf::ALL }
    }

    /// The form that a file's name speaks of, by its ending.
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "json" => Some(Self::NodeLink),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "graphml" | "xml" => Some(Self::Graphml),
            "dot" | "gv" => Some(Self::Dot),
            _ => None,
        }
    }

    /// The form of a file that begins with `start` (some kilobytes will do), and is called `name`. What it holds
    /// counts before its name. `Invalid` for a file of which neither says enough, or that is of a form that is only
    /// written.
    pub fn of_content(start: &[u8], name: Option<&str>) -> Result<Self> {
        let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
        let unread = |what: &str| {
            Err(Error::invalid(
                "graph.import",
                format!(
                    "the file looks like {what}; hexmem reads \
                node-link JSON, Kagura's JSON Lines and those of the MCP memory server"
                ),
            ))
        };
        match start {
            [b'<', ..] => return unread("GraphML"),
            [b'{', ..] | [] => {}
            _ if start.starts_with(b"digraph")
                || start.starts_with(b"strict")
                || start.starts_with(b"graph") =>
            {
                return unread("DOT");
            }
            _ => {}
        }
        let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let kind = serde_json::from_slice::<Value>(line).ok();
        let kind = kind.as_ref().and_then(|line| line.get("type")?.as_str());
        // A first line that is cut off or bad still shows what it was to be.
        let has = |words: [&str; 2]| {
            let text = String::from_utf8_lossy(line);
            let text: String = text.chars().filter(|c| !c.is_whitespace()).take(64).collect();
            words.iter().any(|word| text.starts_with(&format!("{{\"type\":\"{word}\"")))
        };
        match kind {
            Some("entity" | "relation") => return Ok(Self::Mcp),
            Some("node" | "edge" | "memory") => return Ok(Self::Jsonl),
            _ if has(["entity", "relation"]) => return Ok(Self::Mcp),
            _ if has(["node", "edge"]) => return Ok(Self::Jsonl),
            _ => {}
        }
        match name.and_then(Self::of_name) {
            Some(named) if named.is_read() => Ok(named),
            _ if matches!(start.first(), Some(b'{') | None) => Ok(Self::NodeLink),
            _ => unread("none of the forms that are read"),
        }
    }
}

fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| at.to_string().into())
}

/// The end of a fact as its file said it: one that never held was withdrawn at the instant that the import kept,
/// and that instant is taken out of the attributes again.
fn valid_until(edge: &mut Edge) -> Option<Timestamp> {
    let withdrawn = withdrawn_at(edge);
    if let (Some(_), Some(data)) = (withdrawn, edge.data.as_object_mut()) {
        data.shift_remove(WITHDRAWN_AT);
    }
    withdrawn.or(edge.valid_until)
}

fn withdrawn_at(edge: &Edge) -> Option<Timestamp> {
    let from = edge.valid_from.filter(|from| edge.valid_until == Some(*from))?;
    let marked = edge.data.get(WITHDRAWN) == Some(&Value::Bool(true));
    let text = edge.data.get(WITHDRAWN_AT).filter(|_| marked)?.as_str()?;
    let at = Timestamp::parse(text).ok()?;
    (at < from && at.to_string() == text).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_what_it_holds_and_then_by_its_name() {
        let of = |text: &str, name| Format::of_content(text.as_bytes(), name);
        let entity = "{\"type\":\"entity\",\"name\":\"a\"}\n";
        assert_eq!(of(entity, Some("memory.json")).unwrap(), Format::Mcp);
        assert_eq!(of("\n{ \"type\": \"edge\"}", None).unwrap(), Format::Jsonl);
        assert_eq!(of("{\"src\":1,\"type\":\"edge\"}\n{", Some("a.json")).unwrap(), Format::Jsonl);
        assert_eq!(of("{\"type\": \"relation\", \"fr", None).unwrap(), Format::Mcp);
        assert_eq!(of("{\"directed\": true,", Some("a.txt")).unwrap(), Format::NodeLink);
        assert_eq!(of("{\n \"nodes\": [", None).unwrap(), Format::NodeLink);
        assert_eq!(of("{}", Some("g.jsonl")).unwrap(), Format::Jsonl);
        assert_eq!(of("", Some("g.jsonl")).unwrap(), Format::Jsonl);
        assert!(of("<?xml version=", None).unwrap_err().to_string().contains("GraphML"));
        assert!(of("digraph {", None).unwrap_err().to_string().contains("DOT"));
        assert!(of("hello", Some("hello.txt")).is_err());
        assert_eq!(Format::of_name("A.GraphML"), Some(Format::Graphml));
        assert_eq!(Format::of_name("json"), None);
    }
}
