//! JSON read value by value through a window, so that a file may be larger than memory.

use std::io::{self, Read};

use serde::Deserialize;
use serde_json::error::Category;

/// What the window holds to begin with; it grows to the largest single value.
const WINDOW: usize = 1 << 20;

/// Where and why reading ended.
#[derive(Debug)]
pub(super) enum Stop {
    /// The file cannot be read.
    Io(io::Error),
    /// This byte of the file is not what should be there.
    Json { offset: u64, error: Option<serde_json::Error> },
    /// A value was refused.
    Refused(hexmem_ports::Error),
}

impl From<hexmem_ports::Error> for Stop {
    fn from(error: hexmem_ports::Error) -> Self {
        Self::Refused(error)
    }
}

pub(super) struct Scanner<R> {
    source: R,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Of the byte at `start`.
    offset: u64,
    ended: bool,
}

impl<R: Read> Scanner<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, bytes: vec![0; WINDOW], start: 0, end: 0, offset: 0, ended: false }
    }

    /// How far it has read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    fn fill(&mut self) -> Result<(), Stop> {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end == self.bytes.len() {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        match self.source.read(&mut self.bytes[self.end..]) {
            Ok(0) => self.ended = true,
            Ok(len) => self.end += len,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Stop::Io(e)),
        }
        Ok(())
    }

    fn skip(&mut self, len: usize) {
        self.start += len;
        self.offset += len as u64;
    }

    fn wrong<T>(&self) -> Result<T, Stop> {
        Err(Stop::Json { offset: self.offset, error: None })
    }

    /// The next byte that is no white space; it stays.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, Stop> {
        loop {
            let rest = &self.bytes[self.start..self.end];
            match rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t')) {
                Some(blank) => {
                    self.skip(blank);
                    return Ok(Some(self.bytes[self.start]));
                }
                None if self.ended => return Ok(None),
                None => {
                    self.skip(self.end - self.start);
                    self.fill()?;
                }
            }
        }
    }

    fn take(&mut self, wanted: u8) -> Result<(), Stop> {
        if self.peek()? != Some(wanted) {
            return self.wrong();
        }
        self.skip(1);
        Ok(())
    }

    /// Whether another item follows in a list or an object that `close` ends; takes what is between.
    fn more(&mut self, first: bool, close: u8) -> Result<bool, Stop> {
        match self.peek()? {
            Some(byte) if byte == close => {
                self.skip(1);
                Ok(false)
            }
            Some(b',') if !first => {
                self.skip(1);
                Ok(true)
            }
            Some(_) if first => Ok(true),
            _ => self.wrong(),
        }
    }

    /// Each field of an object by its name; `take` takes the value.
    pub(super) fn fields(
        &mut self,
        mut take: impl FnMut(&mut Self, &str) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.take(b'{')?;
        let mut first = true;
        while self.more(first, b'}')? {
            first = false;
            let name: String = self.value()?;
            self.take(b':')?;
            take(self, &name)?;
        }
        Ok(())
    }

    /// Each item of a list.
    pub(super) fn items(
        &mut self,
        mut take: impl FnMut(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.take(b'[')?;
        let mut first = true;
        while self.more(first, b']')? {
            first = false;
            take(self)?;
        }
        Ok(())
    }

    /// A value that keeps nothing of the buffer.
    pub(super) fn value<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T, Stop> {
        let mut taken = None;
        self.with(|value: T| {
            taken = Some(value);
            Ok(())
        })?;
        taken.map_or_else(|| self.wrong(), Ok)
    }
}

/// Reads a value of a type that borrows: a macro, because a closure cannot say that it takes one of any lifetime.
macro_rules! with {
    ($name:ident, $value:ident) => {
        impl<R: Read> Scanner<R> {
            /// The next value, handed to `take` while it lies in the window.
            pub(super) fn $name(
                &mut self,
                take: impl FnOnce(super::line::$value<'_>) -> Result<(), Stop>,
            ) -> Result<(), Stop> {
                loop {
                    let rest = &self.bytes[self.start..self.end];
                    let mut values = serde_json::Deserializer::from_slice(rest)
                        .into_iter::<super::line::$value<'_>>();
                    let next = values.next();
                    let used = values.byte_offset();
                    match next {
                        Some(Ok(value)) => {
                            take(value)?;
                            self.skip(used);
                            return Ok(());
                        }
                        next => self.refill(next.and_then(Result::err))?,
                    }
                }
            }
        }
    };
}

with!(node, NodeLine);
with!(edge, EdgeLine);

impl<R: Read> Scanner<R> {
    /// The next value, whatever it borrows nothing of.
    fn with<T: for<'a> Deserialize<'a>>(
        &mut self,
        take: impl FnOnce(T) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        loop {
            let rest = &self.bytes[self.start..self.end];
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<T>();
            let next = values.next();
            let used = values.byte_offset();
            match next {
                // A number at the end of the window may go on behind it.
                Some(Ok(value)) if self.ended || used < rest.len() => {
                    take(value)?;
                    self.skip(used);
                    return Ok(());
                }
                Some(Ok(_)) => self.fill()?,
                next => self.refill(next.and_then(Result::err))?,
            }
        }
    }

    /// More of the file, where the value that did not parse was cut by the window.
    fn refill(&mut self, error: Option<serde_json::Error>) -> Result<(), Stop> {
        let cut = error.as_ref().is_none_or(|e| e.classify() == Category::Eof);
        if cut && !self.ended {
            return self.fill();
        }
        let within = error.as_ref().map_or(0, |e| self.place_of(e));
        Err(Stop::Json { offset: self.offset + within, error })
    }

    /// An error's place in the window, from its line and column there.
    fn place_of(&self, error: &serde_json::Error) -> u64 {
        let rest = &self.bytes[self.start..self.end];
        let lines = rest.split_inclusive(|byte| *byte == b'\n');
        let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
        (before + error.column()).min(rest.len()) as u64
    }
}
