//! Cuts a node-link file into its elements without holding more than one of them.

use std::io::Read;

use hexmem_ports::{Error, Result};
use serde_json::{Map, Value};

use crate::formats::import::Want;
use crate::formats::problem::{CHUNK, Element, IMPORT, Place, count, unreadable};

/// The largest single element or header value, in bytes of its text.
const ELEMENT_LIMIT: usize = 64 * 1024 * 1024;

/// Which list an element is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum List {
    Nodes,
    /// Under this key: `links` or `edges`.
    Edges(&'static str),
}

impl List {
    pub(in crate::formats) fn key(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Edges(key) => key,
        }
    }
}

/// The keys beside the two lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::formats) struct Header {
    pub(in crate::formats) directed: Option<bool>,
    pub(in crate::formats) multigraph: Option<bool>,
    pub(in crate::formats) graph: Map<String, Value>,
    /// Which lists were met.
    pub(in crate::formats) nodes: bool,
    pub(in crate::formats) edges: Option<&'static str>,
}

enum State {
    Start,
    /// Before a key or the closing brace; `true` after the first entry.
    Key(bool),
    /// In a list; the index of the next element.
    Element(List, u64),
    End,
}

/// Reads a file from its start to its end, giving the wanted elements one by one.
pub(in crate::formats) struct Scanner<R> {
    reader: R,
    chunk: Vec<u8>,
    at: usize,
    len: usize,
    /// Bytes and lines before `chunk[at]`.
    byte: u64,
    line: u64,
    /// The byte at which the line begins.
    line_start: u64,
    state: State,
    want: Want,
    pub(in crate::formats) header: Header,
    element: Vec<u8>,
    too_large: bool,
}

impl<R: Read> Scanner<R> {
    pub(in crate::formats) fn new(reader: R, want: Want) -> Self {
        Self {
            reader,
            chunk: vec![0; CHUNK],
            at: 0,
            len: 0,
            byte: 0,
            line: 1,
            line_start: 0,
            state: State::Start,
            want,
            header: Header::default(),
            element: Vec::new(),
            too_large: false,
        }
    }

    /// Bytes read so far.
    pub(in crate::formats) fn position(&self) -> u64 {
        self.byte
    }

    /// The next wanted element; `None` at the end of a whole file. An error is about the file, not an element.
    pub(in crate::formats) fn next(&mut self) -> Result<Option<Element<'_>>> {
        loop {
            match self.state {
                State::Start => self.start()?,
                State::Key(after) => self.key(after)?,
                State::Element(list, index) => {
                    if let Some(place) = self.list_element(list, index)? {
                        let text = (!self.too_large).then_some(&*self.element);
                        return Ok(Some(Element { place, text }));
                    }
                }
                State::End => return Ok(None),
            }
        }
    }

    fn start(&mut self) -> Result<()> {
        if self.peek()? == Some(0xef) {
            // A byte order mark in UTF-8 says nothing and is harmless.
            for expected in [0xef, 0xbb, 0xbf] {
                if self.bump()? != Some(expected) {
                    return Err(self.fault("the file is not UTF-8"));
                }
            }
        }
        match self.token()? {
            Some(b'{') => {
                self.bump()?;
                self.state = State::Key(false);
                Ok(())
            }
            None => Err(self
                .fault("the file is empty; node-link JSON is one object with `nodes` and `links`")),
            Some(0x1f) => Err(self.fault("the file is compressed; unpack it first")),
            Some(0xff | 0xfe) => Err(self.fault("the file is UTF-16; save it as UTF-8")),
            Some(_) => {
                Err(self.fault("the file is not node-link JSON: it does not begin with `{`"))
            }
        }
    }

    fn key(&mut self, after: bool) -> Result<()> {
        match self.token()? {
            Some(b'}') => {
                self.bump()?;
                return self.end();
            }
            Some(b',') if after => {
                self.bump()?;
                self.token()?;
            }
            Some(_) if !after => {}
            Some(_) => {
                return Err(self.fault("expected `,` or `}` after an entry of the file's object"));
            }
            None => return Err(self.torn("the file's object")),
        }
        if self.peek()? != Some(b'"') {
            return Err(self.fault("expected a key in quotes"));
        }
        let key: String = self.header_value("a key")?;
        if self.token()? != Some(b':') {
            return Err(self.fault(format!("expected `:` after the key `{}`", key.escape_debug())));
        }
        self.bump()?;
        self.token()?;
        self.state = State::Key(true);
        match key.as_str() {
            "nodes" => {
                if std::mem::replace(&mut self.header.nodes, true) {
                    return Err(self.fault("the file has two lists `nodes`"));
                }
                self.open(List::Nodes)
            }
            "links" | "edges" => {
                let key = if key == "links" { "links" } else { "edges" };
                if let Some(other) = self.header.edges.replace(key) {
                    return Err(self.fault(format!(
                        "the file has two lists of edges, `{other}` and `{key}`; keep one"
                    )));
                }
                self.open(List::Edges(key))
            }
            "directed" => self.header_value("`directed`").map(|b| self.header.directed = Some(b)),
            "multigraph" => {
                self.header_value("`multigraph`").map(|b| self.header.multigraph = Some(b))
            }
            "graph" => {
                // Old writers put a list of pairs here, which says nothing to us.
                let value: Value = self.header_value("`graph`")?;
                if let Value::Object(graph) = value {
                    self.header.graph = graph;
                }
                Ok(())
            }
            _ => self.value(false, "a value of the file's object").map(|_| ()),
        }
    }

    fn open(&mut self, list: List) -> Result<()> {
        if self.peek()? != Some(b'[') {
            return Err(self.fault(format!("`{}` is not a list", list.key())));
        }
        self.bump()?;
        self.state = State::Element(list, 0);
        Ok(())
    }

    fn list_element(&mut self, list: List, index: u64) -> Result<Option<Place>> {
        let torn = || format!("`{}`, after {index} elements", list.key());
        match self.token()? {
            Some(b']') => {
                self.bump()?;
                self.state = State::Key(true);
                return Ok(None);
            }
            Some(b',') if index > 0 => {
                self.bump()?;
                self.token()?;
            }
            Some(_) if index == 0 => {}
            Some(_) => {
                return Err(self.fault(format!("expected `,` or `]` in {}", torn())));
            }
            None => return Err(self.torn(&torn())),
        }
        let place = Place {
            list: list.key(),
            index,
            line: self.line,
            column: self.column(),
            byte: self.byte,
        };
        let wanted =
            matches!((self.want, list), (Want::Nodes, List::Nodes) | (Want::Edges, List::Edges(_)));
        if self.value(wanted, &torn())? == 0 {
            return Err(self.fault(format!("expected an element in {}", torn())));
        }
        self.state = State::Element(list, index.saturating_add(1));
        Ok(wanted.then_some(place))
    }

    fn end(&mut self) -> Result<()> {
        let missing = match (self.header.nodes, self.header.edges) {
            (true, Some(_)) => None,
            (false, _) => Some("`nodes`"),
            (true, None) => Some("`links` or `edges`"),
        };
        let more = self.token()?.is_some();
        match (missing, more) {
            (None, false) => {
                self.state = State::End;
                Ok(())
            }
            (None, true) => Err(self.fault("something follows the file's object")),
            (Some(missing), more) => {
                let lines = if more { "; it looks like JSON Lines, one object a line" } else { "" };
                Err(self
                    .fault(format!("the file is not node-link JSON: it has no {missing}{lines}")))
            }
        }
    }

    /// Parses a small value of the file's object.
    fn header_value<T: serde::de::DeserializeOwned>(&mut self, what: &str) -> Result<T> {
        let (line, byte) = (self.line, self.byte);
        self.value(true, what)?;
        if self.too_large {
            return Err(self.fault(format!("{what} has more than 64 MiB of text")));
        }
        serde_json::from_slice(&self.element).map_err(|error| {
            Error::invalid(IMPORT, format!("{what} is not what node-link JSON has there"))
                .with("line", line)
                .with("byte", byte)
                .caused_by(error)
        })
    }

    /// Passes over one value, keeping its text where `keep`. Gives its length.
    fn value(&mut self, keep: bool, within: &str) -> Result<usize> {
        self.element.clear();
        self.too_large = false;
        let (mut depth, mut in_string, mut escaped) = (0u64, false, false);
        let mut length = 0usize;
        loop {
            if self.at == self.len && !self.fill()? {
                // A number or word may end with the file, but nothing may end a file-level value so.
                return Err(self.torn(within));
            }
            let rest = &self.chunk[self.at..self.len];
            let mut taken = 0;
            let mut done = false;
            for byte in rest {
                if in_string {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = true,
                        b'"' => in_string = false,
                        _ => {}
                    }
                    taken += 1;
                    if !in_string && depth == 0 {
                        done = true;
                        break;
                    }
                    continue;
                }
                match byte {
                    b'"' => in_string = true,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' if depth > 0 => {
                        depth -= 1;
                        if depth == 0 {
                            taken += 1;
                            done = true;
                            break;
                        }
                    }
                    b'}' | b']' | b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => {
                        done = true;
                        break;
                    }
                    _ => {}
                }
                taken += 1;
            }
            length = length.saturating_add(taken);
            if keep && !self.too_large {
                self.too_large = self.element.len() + taken > ELEMENT_LIMIT;
                if !self.too_large {
                    self.element.extend_from_slice(&rest[..taken]);
                }
            }
            self.advance(taken);
            if done {
                return Ok(length);
            }
        }
    }

    /// The next byte that is no white space, not taken.
    fn token(&mut self) -> Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(Some(byte));
            }
            self.advance(1);
        }
        Ok(None)
    }

    fn peek(&mut self) -> Result<Option<u8>> {
        if self.at == self.len && !self.fill()? {
            return Ok(None);
        }
        Ok(self.chunk.get(self.at).copied())
    }

    fn bump(&mut self) -> Result<Option<u8>> {
        let byte = self.peek()?;
        if byte.is_some() {
            self.advance(1);
        }
        Ok(byte)
    }

    fn advance(&mut self, taken: usize) {
        let passed = &self.chunk[self.at..self.at + taken];
        let lines = passed.iter().filter(|byte| **byte == b'\n').count();
        if let Some(last) = passed.iter().rposition(|byte| *byte == b'\n') {
            self.line_start = self.byte.saturating_add(count(last)).saturating_add(1);
        }
        self.line = self.line.saturating_add(count(lines));
        self.byte = self.byte.saturating_add(count(taken));
        self.at += taken;
    }

    fn column(&self) -> u64 {
        self.byte.saturating_sub(self.line_start).saturating_add(1)
    }

    fn fill(&mut self) -> Result<bool> {
        self.at = 0;
        self.len = 0;
        loop {
            match self.reader.read(&mut self.chunk) {
                Ok(len) => {
                    self.len = len;
                    return Ok(len > 0);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(self.byte, error)),
            }
        }
    }

    fn fault(&self, what: impl Into<String>) -> Error {
        Error::invalid(IMPORT, what)
            .with("line", self.line)
            .with("column", self.column())
            .with("byte", self.byte)
    }

    fn torn(&self, within: &str) -> Error {
        self.fault(format!("the file ends inside {within}; it was cut short"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its text in pieces of one byte, as the worst reader would.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn scan(text: &str, want: Want) -> Result<(Vec<(Place, String)>, Header)> {
        let mut scanner = Scanner::new(Drip(text.as_bytes()), want);
        let mut all = Vec::new();
        while let Some(element) = scanner.next()? {
            let text = String::from_utf8(element.text.unwrap().to_vec()).unwrap();
            all.push((element.place, text));
        }
        Ok((all, scanner.header))
    }

    #[test]
    fn elements_come_with_their_place_whatever_they_contain() {
        let text = "{\"directed\": true, \"x\": [1, {\"nodes\": 2}],\n \"nodes\": [\n  {\"id\": \"a]}\\\"\"},\n  7, \"s\"\n ],\n\"edges\":[],\"graph\":{\"k\":1}}\n";
        let (found, header) = scan(text, Want::Nodes).unwrap();
        let texts: Vec<_> = found.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["{\"id\": \"a]}\\\"\"}", "7", "\"s\""]);
        assert_eq!((found[0].0.line, found[0].0.index), (3, 0));
        assert_eq!((found[2].0.line, found[2].0.index), (4, 2));
        let byte = usize::try_from(found[1].0.byte).unwrap();
        assert_eq!(&text[byte..=byte], "7");
        assert_eq!(header.directed, Some(true));
        assert_eq!(header.edges, Some("edges"));
        assert_eq!(header.graph.get("k"), Some(&Value::from(1)));
        assert!(scan(text, Want::Edges).unwrap().0.is_empty());
    }

    #[test]
    fn a_file_that_is_something_else_is_named_as_what_it_is() {
        for (text, says) in [
            ("", "empty"),
            ("[]", "does not begin with"),
            ("hello", "does not begin with"),
            ("{}", "no `nodes`"),
            ("{\"nodes\":[]}", "no `links` or `edges`"),
            ("{\"id\":1} {\"id\":2}", "looks like JSON Lines"),
            ("{\"nodes\":{},\"links\":[]}", "`nodes` is not a list"),
            ("{\"nodes\":[],\"nodes\":[]}", "two lists `nodes`"),
            ("{\"nodes\":[],\"links\":[],\"edges\":[]}", "two lists of edges"),
            ("{\"nodes\":[{\"id\":1}", "cut short"),
            ("{\"nodes\":[{\"id\":\"a", "cut short"),
            ("{\"nodes\":[1 2],\"links\":[]}", "expected `,` or `]`"),
            ("{\"nodes\":[1,],\"links\":[]}", "expected an element"),
            ("{\"nodes\":[,1],\"links\":[]}", "expected an element"),
            ("{\"nodes\":[],\"links\":[]} x", "something follows"),
            ("{\"nodes\":[] \"links\":[]}", "expected `,` or `}`"),
            ("{nodes:[]}", "a key in quotes"),
            ("{\"nodes\" []}", "expected `:`"),
            ("{\"directed\":\"yes\",\"nodes\":[],\"links\":[]}", "`directed`"),
            ("\u{1f}\u{8b}", "compressed"),
        ] {
            let error = scan(text, Want::Nodes).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("line: 1"), "{text}: {error}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert!(scan("\u{feff}{\"nodes\":[],\"links\":[]}", Want::Nodes).is_ok());
    }
}
