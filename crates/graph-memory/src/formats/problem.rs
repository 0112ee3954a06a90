//! What is wrong in a file, and where.

use std::fmt;

use hexmem_ports::{Error, ErrorKind};
use serde::Serialize;

/// What errors of reading a file say they are of.
pub(super) const IMPORT: &str = "graph.import";

/// What is read from a source at once.
pub(super) const CHUNK: usize = 256 * 1024;

/// A source failed while the byte at `byte` was read.
pub(super) fn unreadable(byte: u64, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, IMPORT, "the file cannot be read")
        .with("byte", byte)
        .caused_by(error)
}

/// Why one element of a file was not taken, and where that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `nodes`, `links` or `edges` in node-link JSON; `lines` in a form with one element a line.
    pub list: &'static str,
    /// The element's index in its list, from 0.
    pub index: u64,
    /// The line, from 1: of the fault where it is known, else of the element's start.
    pub line: u64,
    /// The byte within that line, from 1.
    pub column: u64,
    /// The byte within the file, from 0.
    pub byte: u64,
    /// What is wrong.
    pub what: String,
}

impl Problem {
    /// The problem `fault` of the element at `place`, whose text is `text`.
    pub(super) fn at(place: Place, text: Option<&[u8]>, fault: Fault) -> Self {
        let before = fault.at.and_then(|at| text?.get(..at)).unwrap_or_default();
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        let last = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        let column =
            if lines == 0 { place.column.saturating_add(count(last)) } else { count(last) + 1 };
        Self {
            list: place.list,
            index: place.index,
            line: place.line.saturating_add(count(lines)),
            column,
            byte: place.byte.saturating_add(count(before.len())),
            what: fault.what,
        }
    }

    /// The element, as one would look for it; nothing where the line says it all.
    pub(super) fn element(&self) -> String {
        if self.list == LINES { String::new() } else { format!("{}[{}]: ", self.list, self.index) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}{}", self.line, self.column, self.element(), self.what)
    }
}

/// The list of forms with one element a line.
pub(super) const LINES: &str = "lines";

/// Where an element starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) list: &'static str,
    /// From 0.
    pub(super) index: u64,
    /// From 1.
    pub(super) line: u64,
    /// In bytes, from 1.
    pub(super) column: u64,
    /// From 0.
    pub(super) byte: u64,
}

/// One element: where, and its text. `None`: it is larger than any element may be.
pub(super) struct Element<'a> {
    pub(super) place: Place,
    pub(super) text: Option<&'a [u8]>,
}

/// What is wrong with an element, and at which byte of its text where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) at: Option<usize>,
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self { what, at: None }
    }
}

impl From<&str> for Fault {
    fn from(what: &str) -> Self {
        what.to_owned().into()
    }
}

pub(super) fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// A file's text as far as a message shows it.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).collect::<String>().escape_debug().to_string()
}
