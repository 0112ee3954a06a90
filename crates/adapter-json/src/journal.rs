//! An append-only file of JSON lines, each with a checksum, that several processes read while one writes.
//!
//! ```text
//! {"hexmem":"graph journal","form":1,"name":["tenant","graph"],"base":41}
//! {"sum":"0123456789abcdef","entry":{...}}
//! ```
//!
//! The lines behind the header are the entries `base + 1`, `base + 2`, ... A line counts when it is whole and its
//! checksum is right. A last line that does not is what a crash left, or what another process is writing.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use hexmem_ports::{Digest, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::disk::{FileId, failed, file_id, internal, replace};

/// The form that this program reads and writes.
const FORM: u32 = 1;

const LEAD: &[u8] = b"{\"sum\":\"";
const MIDDLE: &[u8] = b"\",\"entry\":";
const SUM: usize = 16;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) hexmem: String,
    form: u32,
    pub(crate) name: Vec<String>,
    pub(crate) base: u64,
}

impl Header {
    pub(crate) fn new(kind: &str, name: Vec<String>, base: u64) -> Self {
        Self { hexmem: kind.to_owned(), form: FORM, name, base }
    }
}

/// A journal and how far it was read.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    id: FileId,
    header: Header,
    /// The end of the last whole line.
    end: u64,
    /// The number of its entry.
    number: u64,
}

/// What reading brought.
#[derive(Debug)]
pub(crate) struct News<E> {
    /// Whether the file is another one than at the last reading (or the first): the entries begin behind its header.
    pub(crate) replaced: bool,
    pub(crate) base: u64,
    /// With their numbers.
    pub(crate) entries: Vec<(u64, E)>,
}

impl Journal {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn header(&self) -> Option<&Header> {
        self.open.as_ref().map(|open| &open.header)
    }

    /// Bytes up to the end of the last whole line.
    pub(crate) fn len(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.end)
    }

    /// The number of the last whole line.
    pub(crate) fn number(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.number)
    }

    /// Forgets what was read, so that the next reading gives everything.
    pub(crate) fn forget(&mut self) {
        self.open = None;
    }

    /// Reads what was added since the last reading; all of a file that was put in its place. `None`: there is no file.
    pub(crate) fn read<E: DeserializeOwned>(
        &mut self,
        operation: &'static str,
    ) -> Result<Option<News<E>>> {
        let lost = |e| failed(operation, "the journal cannot be read", &self.path, e);
        let meta = match std::fs::metadata(&self.path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.open = None;
                return Ok(None);
            }
            Err(e) => return Err(lost(e)),
        };
        let same = self.open.as_ref().is_some_and(|open| open.id == file_id(&meta));
        if same && self.len() == meta.len() {
            let base = self.header().map_or(0, |header| header.base);
            return Ok(Some(News { replaced: false, base, entries: Vec::new() }));
        }
        if same && meta.len() < self.len() {
            return Err(Error::corrupt(
                operation,
                "the journal has become shorter; it was left untouched: restore a backup",
            )
            .with("file", self.path.display()));
        }
        let mut bytes = Vec::new();
        if same {
            if let Some(open) = &mut self.open {
                open.file.seek(SeekFrom::Start(open.end)).map_err(lost)?;
                open.file.read_to_end(&mut bytes).map_err(lost)?;
            }
        } else {
            let mut file = File::options().read(true).write(true).open(&self.path);
            if file.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied) {
                file = File::open(&self.path);
            }
            let mut file = file.map_err(lost)?;
            let id = file_id(&file.metadata().map_err(lost)?);
            file.read_to_end(&mut bytes).map_err(lost)?;
            let (header, rest) = self.parse_header(operation, &bytes)?;
            bytes.drain(..rest);
            let (end, number) = (rest as u64, header.base);
            self.open = Some(Open { file, id, header, end, number });
        }
        let Some(open) = &mut self.open else { return Ok(None) };
        let mut entries = Vec::new();
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            let at = open.number - open.header.base + 2;
            let corrupt = |what| {
                Error::corrupt(operation, what).with("file", self.path.display()).with("line", at)
            };
            match whole(line) {
                Some(entry) => {
                    let entry = serde_json::from_slice(entry).map_err(|e| {
                        corrupt("a line of the journal is none that this program writes; use a newer hexmem")
                            .caused_by(e)
                    })?;
                    open.number += 1;
                    open.end += line.len() as u64;
                    entries.push((open.number, entry));
                }
                None if lines.peek().is_none() => break,
                None => {
                    return Err(corrupt(
                        "a line in the middle of the journal is damaged; it was left untouched: restore a backup",
                    ));
                }
            }
        }
        Ok(Some(News { replaced: !same, base: open.header.base, entries }))
    }

    fn parse_header(&self, operation: &'static str, bytes: &[u8]) -> Result<(Header, usize)> {
        let end = bytes.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
        let refuse = |kind, what: String| {
            Err(Error::new(kind, operation, what).with("file", self.path.display()).with("line", 1))
        };
        let line = &bytes[..end.unwrap_or(bytes.len())];
        match (serde_json::from_slice::<Header>(line), end) {
            (Ok(header), Some(end)) if header.form <= FORM => Ok((header, end)),
            (Ok(header), _) if header.form > FORM => refuse(
                ErrorKind::Unsupported,
                format!(
                    "the journal has form {}, this program reads up to {FORM}: use the newer hexmem that wrote it",
                    header.form
                ),
            ),
            _ => refuse(
                ErrorKind::Corrupt,
                "the journal does not begin as one of hexmem's; it was left untouched: restore a backup".into(),
            ),
        }
    }

    /// Cuts off what is behind the last whole line; `None` where nothing is. Only for the holder of the lock, after
    /// it has read.
    pub(crate) fn cut(&mut self, operation: &'static str) -> Result<Option<String>> {
        let Some(open) = &self.open else { return Ok(None) };
        let lost = |e| failed(operation, "the journal's torn end cannot be cut", &self.path, e);
        let len = open.file.metadata().map_err(lost)?.len();
        if len <= open.end {
            return Ok(None);
        }
        open.file.set_len(open.end).and_then(|()| open.file.sync_data()).map_err(lost)?;
        Ok(Some(format!(
            "{}: {} bytes of a line that was never finished were cut off behind line {}",
            self.path.display(),
            len - open.end,
            open.number - open.header.base + 1
        )))
    }

    /// Adds an entry, durably. On failure the file is as it was, or the outcome is unknown and the error says so.
    pub(crate) fn append<E: Serialize>(
        &mut self,
        operation: &'static str,
        entry: &E,
    ) -> Result<()> {
        self.write(operation, entry, File::sync_data)
    }

    /// Adds an entry that a power cut may take away.
    pub(crate) fn append_lightly<E: Serialize>(
        &mut self,
        operation: &'static str,
        entry: &E,
    ) -> Result<()> {
        self.write(operation, entry, |_| Ok(()))
    }

    fn write<E: Serialize>(
        &mut self,
        operation: &'static str,
        entry: &E,
        sync: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<()> {
        let line = render(entry).map_err(|e| internal(operation, e))?;
        let Some(open) = &mut self.open else {
            return Err(Error::new(ErrorKind::Internal, operation, "the journal is not open"));
        };
        let written = open
            .file
            .seek(SeekFrom::Start(open.end))
            .and_then(|_| open.file.write_all(&line))
            .and_then(|()| sync(&open.file));
        if let Err(e) = written {
            let undone = open.file.set_len(open.end).and_then(|()| open.file.sync_data());
            let error = failed(operation, "the journal cannot be written", &self.path, e);
            return Err(if undone.is_ok() { error } else { error.outcome_unknown() });
        }
        open.end += line.len() as u64;
        open.number += 1;
        Ok(())
    }

    /// Puts a new journal in the place of this one, or creates it, with these entries. Call [`Journal::read`] next.
    pub(crate) fn start<E: Serialize>(
        &mut self,
        operation: &'static str,
        header: &Header,
        entries: &[E],
    ) -> Result<()> {
        let mut text = serde_json::to_vec(header).map_err(|e| internal(operation, e))?;
        text.push(b'\n');
        for entry in entries {
            text.extend(render(entry).map_err(|e| internal(operation, e))?);
        }
        replace(&self.path, |file| file.write_all(&text))
            .map_err(|e| failed(operation, "the journal cannot be written", &self.path, e))?;
        Ok(())
    }
}

fn sum(entry: &[u8]) -> String {
    let mut hex = Digest::of(entry).to_hex();
    hex.truncate(SUM);
    hex
}

fn render<E: Serialize>(entry: &E) -> serde_json::Result<Vec<u8>> {
    let entry = serde_json::to_vec(entry)?;
    Ok([LEAD, sum(&entry).as_bytes(), MIDDLE, &entry, b"}\n"].concat())
}

/// The entry of a line that is whole and has the right checksum.
fn whole(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(LEAD)?.strip_suffix(b"}\n")?;
    let (given, rest) = rest.split_at_checked(SUM)?;
    let entry = rest.strip_prefix(MIDDLE)?;
    (sum(entry).as_bytes() == given).then_some(entry)
}
