//! Cuts a file of one JSON object a line into its lines, without holding more than one of them.

use std::io::{BufRead, BufReader, Read};

use hexmem_ports::{Error, Result};

use super::problem::{CHUNK, Element, IMPORT, LINES, Place, count, unreadable};

/// The longest line, in bytes.
const LINE_LIMIT: usize = 64 * 1024 * 1024;

/// Reads a file from its start to its end, giving the lines that are not blank.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    byte: u64,
    line: u64,
    index: u64,
    text: Vec<u8>,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(CHUNK, reader),
            byte: 0,
            line: 0,
            index: 0,
            text: Vec::new(),
        }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.byte
    }

    /// The next line that is not blank. An error is about the file, not a line.
    pub(super) fn next(&mut self) -> Result<Option<Element<'_>>> {
        loop {
            let start = self.byte;
            let whole = self.line()?;
            if self.byte == start {
                return Ok(None);
            }
            self.line += 1;
            let mark: &[u8] = if start == 0 { b"\xef\xbb\xbf" } else { b"" };
            if start == 0 {
                check_encoding(&self.text)?;
            }
            let skipped = if self.text.starts_with(mark) { mark.len() } else { 0 };
            let blank = |byte: &u8| byte.is_ascii_whitespace();
            let lead = self.text[skipped..].iter().take_while(|byte| blank(byte)).count() + skipped;
            let tail = self.text.iter().rev().take_while(|byte| blank(byte)).count();
            let end = self.text.len().saturating_sub(tail);
            if whole && lead >= end {
                continue;
            }
            let place = Place {
                list: LINES,
                index: self.index,
                line: self.line,
                column: count(lead).saturating_add(1),
                byte: start.saturating_add(count(lead)),
            };
            self.index += 1;
            let text = if whole { self.text.get(lead..end) } else { None };
            return Ok(Some(Element { place, text }));
        }
    }

    /// Reads to the end of the line. `false` when it is longer than a line may be; what was beyond is dropped.
    fn line(&mut self) -> Result<bool> {
        self.text.clear();
        let mut whole = true;
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(self.byte, error)),
            };
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(chunk.len(), |end| end + 1);
            whole = whole && self.text.len() + taken <= LINE_LIMIT;
            if whole {
                self.text.extend_from_slice(&chunk[..taken]);
            }
            let over = end.is_some() || chunk.is_empty();
            self.reader.consume(taken);
            self.byte = self.byte.saturating_add(count(taken));
            if over {
                return Ok(whole);
            }
        }
    }
}

fn check_encoding(start: &[u8]) -> Result<()> {
    let what = match start {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [_, 0, ..] | [0, _, ..] => {
            "the file is UTF-16 or UTF-32; save it as UTF-8"
        }
        [0x1f, 0x8b, ..] => "the file is compressed; unpack it first",
        _ => return Ok(()),
    };
    Err(Error::invalid(IMPORT, what).with("line", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<(Place, String)> {
        let mut lines = Lines::new(text);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.place, String::from_utf8(line.text.unwrap().to_vec()).unwrap()));
        }
        assert_eq!(lines.position(), text.len() as u64);
        all
    }

    #[test]
    fn lines_come_with_their_place_and_without_what_surrounds_them() {
        let text = b"\xef\xbb\xbf{\"a\":1}\r\n\n   \r\n  [2]\t\n\"\\n\"";
        let found = lines(text);
        let texts: Vec<_> = found.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["{\"a\":1}", "[2]", "\"\\n\""]);
        let places: Vec<_> =
            found.iter().map(|(at, _)| (at.index, at.line, at.column, at.byte)).collect();
        assert_eq!(places, [(0, 1, 4, 3), (1, 4, 3, 20), (2, 5, 1, 25)]);
        assert!(lines(b"").is_empty() && lines(b"\n \n").is_empty());
    }

    #[test]
    fn other_encodings_are_named() {
        for (text, says) in
            [(&b"\xff\xfe{\0"[..], "UTF-16"), (b"{\0\"\0", "UTF-16"), (b"\x1f\x8b", "compressed")]
        {
            let error = Lines::new(text).next().err().unwrap().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
