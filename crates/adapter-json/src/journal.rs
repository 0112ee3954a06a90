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
use std::io::{self, BufRead as _, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use hexmem_ports::{Digest, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::disk::{FileId, beside, failed, file_id, internal, replace, sync_folder};

/// The form that this program reads and writes.
const FORM: u32 = 1;

const LEAD: &[u8] = b"{\"sum\":\"";
const MIDDLE: &[u8] = b"\",\"entry\":";
const SUM: usize = 16;

/// How much of a long journal is read at once.
const PART: usize = 8 << 20;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) hexmem: String,
    form: u32,
    pub(crate) name: Vec<String>,
    pub(crate) base: u64,
    /// Whether the graph exists where no entry says so: a listing reads the two ends of the file only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exists: Option<bool>,
}

impl Header {
    pub(crate) fn new(kind: &str, name: Vec<String>, base: u64) -> Self {
        Self { hexmem: kind.to_owned(), form: FORM, name, base, exists: None }
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
    /// Whether there is more to read.
    pub(crate) more: bool,
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

    /// Reads what was added since the last reading, or a part of it; a file that was put in its place from its
    /// beginning. `None`: there is no file.
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
            return Ok(Some(News { replaced: false, base, entries: Vec::new(), more: false }));
        }
        if same && meta.len() < self.len() {
            return Err(Error::corrupt(
                operation,
                "the journal has become shorter; it was left untouched: restore a backup",
            )
            .with("file", self.path.display()));
        }
        if !same {
            self.open_anew(operation)?;
        }
        let Some(open) = &mut self.open else { return Ok(None) };
        let (bytes, more) = open
            .part()
            .map_err(|e| failed(operation, "the journal cannot be read", &self.path, e))?;
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
                None if !more && lines.peek().is_none() => break,
                None => {
                    return Err(corrupt(
                        "a line in the middle of the journal is damaged; it was left untouched: restore a backup",
                    ));
                }
            }
        }
        Ok(Some(News { replaced: !same, base: open.header.base, entries, more }))
    }

    fn open_anew(&mut self, operation: &'static str) -> Result<()> {
        let lost = |e| failed(operation, "the journal cannot be read", &self.path, e);
        let mut file = File::options().read(true).write(true).open(&self.path);
        if file.as_ref().is_err_and(|e| {
            matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
        }) {
            file = File::open(&self.path);
        }
        let file = file.map_err(lost)?;
        let id = file_id(&file.metadata().map_err(lost)?);
        let line = first_line(&file).map_err(lost)?;
        let (header, end) = self.parse_header(operation, &line)?;
        let (end, number) = (end as u64, header.base);
        self.open = Some(Open { file, id, header, end, number });
        Ok(())
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

    /// Adds entries, durably: all of them or none. On failure the file is as it was, or the outcome is unknown and
    /// the error says so.
    pub(crate) fn append<E: Serialize>(
        &mut self,
        operation: &'static str,
        entries: &[E],
    ) -> Result<()> {
        self.write(operation, entries, File::sync_data)
    }

    /// Adds an entry that a power cut may take away.
    pub(crate) fn append_lightly<E: Serialize>(
        &mut self,
        operation: &'static str,
        entry: &E,
    ) -> Result<()> {
        self.write(operation, std::slice::from_ref(entry), |_| Ok(()))
    }

    fn write<E: Serialize>(
        &mut self,
        operation: &'static str,
        entries: &[E],
        sync: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<()> {
        let lines = entries.iter().map(render).collect::<serde_json::Result<Vec<_>>>();
        let lines = lines.map_err(|e| internal(operation, e))?.concat();
        let Some(open) = &mut self.open else {
            return Err(Error::new(ErrorKind::Internal, operation, "the journal is not open"));
        };
        let written = open
            .file
            .seek(SeekFrom::Start(open.end))
            .and_then(|_| open.file.write_all(&lines))
            .and_then(|()| sync(&open.file));
        if let Err(e) = written {
            let undone = open.file.set_len(open.end).and_then(|()| open.file.sync_data());
            let error = failed(operation, "the journal cannot be written", &self.path, e);
            return Err(if undone.is_ok() { error } else { error.outcome_unknown() });
        }
        open.end += lines.len() as u64;
        open.number += entries.len() as u64;
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

impl Open {
    /// What lies behind the last whole line, in whole lines where there is more.
    fn part(&mut self) -> io::Result<(Vec<u8>, bool)> {
        let mut size = PART;
        loop {
            self.file.seek(SeekFrom::Start(self.end))?;
            let mut bytes = Vec::new();
            (&self.file).take(size as u64).read_to_end(&mut bytes)?;
            if bytes.len() < size {
                return Ok((bytes, false));
            }
            if let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
                bytes.truncate(end + 1);
                return Ok((bytes, true));
            }
            size = size.saturating_mul(2);
        }
    }
}

/// The first line of a file, with its end where it has one.
fn first_line(mut file: &File) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    // Names have 1,024 bytes each, sixfold where all is escaped.
    io::BufReader::new(file.take(1 << 16)).read_until(b'\n', &mut line)?;
    Ok(line)
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

/// How much of a journal's end is looked at for its last whole line.
const END: u64 = 1 << 16;

/// What stands at the end of a journal.
#[derive(Debug)]
pub(crate) enum Last {
    /// This entry.
    Entry(Vec<u8>),
    /// No entry at all.
    Nothing,
    /// A torn line, or a longer one than was looked at.
    Unclear,
}

/// The header of a journal, and what stands at its end; `None` where there is no file.
pub(crate) fn ends(operation: &'static str, path: &Path) -> Result<Option<(Header, Last)>> {
    let mut journal = Journal::at(path.to_owned());
    match journal.open_anew(operation) {
        Ok(()) => {}
        Err(_) if !path.exists() => return Ok(None),
        Err(error) => return Err(error),
    }
    let Some(Open { mut file, header, end, .. }) = journal.open else { return Ok(None) };
    let lost = |e| failed(operation, "the journal cannot be read", path, e);
    let len = file.metadata().map_err(lost)?.len();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(len.saturating_sub(END).max(end))).map_err(lost)?;
    file.read_to_end(&mut bytes).map_err(lost)?;
    let last = match bytes.split_inclusive(|byte| *byte == b'\n').next_back() {
        None => Last::Nothing,
        Some(line) => whole(line).map_or(Last::Unclear, |entry| Last::Entry(entry.to_vec())),
    };
    Ok(Some((header, last)))
}

/// A journal that is to take the place of another one.
#[derive(Debug)]
pub(crate) struct Next {
    file: File,
    path: PathBuf,
    header: Header,
    /// Its length.
    len: u64,
    /// How far the old one was copied.
    copied: u64,
    old: FileId,
}

impl Journal {
    /// Begins a journal that goes on with what lies behind `from` in this one; the end is copied when it is put in
    /// place.
    pub(crate) fn next(
        &mut self,
        operation: &'static str,
        header: Header,
        from: u64,
    ) -> Result<Next> {
        let path = beside(&self.path);
        let lost = |e| failed(operation, "the journal cannot be written", &path, e);
        let Some(open) = &mut self.open else {
            return Err(Error::new(ErrorKind::Internal, operation, "the journal is not open"));
        };
        let mut text = serde_json::to_vec(&header).map_err(|e| internal(operation, e))?;
        text.push(b'\n');
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(lost)?;
        file.write_all(&text).map_err(lost)?;
        let mut next =
            Next { file, path, header, len: text.len() as u64, copied: from, old: open.id };
        next.copy(operation, open)?;
        Ok(next)
    }

    /// Whether `next` was begun from the journal that this one is.
    pub(crate) fn follows(&self, next: &Next) -> bool {
        self.open.as_ref().is_some_and(|open| open.id == next.old && open.end >= next.copied)
    }

    /// Puts a journal in the place of this one. Only for the holder of the lock, who has read everything. `false`:
    /// another journal was put there meanwhile.
    pub(crate) fn adopt(&mut self, operation: &'static str, mut next: Next) -> Result<bool> {
        if !self.follows(&next) {
            return Ok(false);
        }
        let Some(open) = &mut self.open else { return Ok(false) };
        next.copy(operation, open)?;
        let lost = |e| failed(operation, "the journal cannot be put in place", &self.path, e);
        std::fs::rename(&next.path, &self.path).map_err(lost)?;
        if let Some(folder) = self.path.parent() {
            sync_folder(folder).map_err(lost)?;
        }
        let id = file_id(&next.file.metadata().map_err(lost)?);
        let Next { file, header, len, .. } = next;
        self.open = Some(Open { file, id, header, end: len, number: open.number });
        Ok(true)
    }
}

impl Next {
    fn copy(&mut self, operation: &'static str, old: &mut Open) -> Result<()> {
        let lost = |e| failed(operation, "the journal cannot be written", &self.path, e);
        let length = old.end - self.copied;
        old.file.seek(SeekFrom::Start(self.copied)).map_err(lost)?;
        self.file.seek(SeekFrom::Start(self.len)).map_err(lost)?;
        let copied = io::copy(&mut (&old.file).take(length), &mut self.file).map_err(lost)?;
        self.file.sync_data().map_err(lost)?;
        self.copied += copied;
        self.len += copied;
        if copied < length {
            return Err(lost(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }
}
