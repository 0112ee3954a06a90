//! Reading a snapshot.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use hexmem_ports::rules::graph::{GraphLife, GraphLoader, LogEntry};
use hexmem_ports::{Applied, Error, ErrorKind, GraphId, Name, OpId, Result, Tenant};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::scan::{Scanner, Stop};
use super::{FORM, Loaded};
use crate::disk::failed;

/// What the attributes say of the file.
#[derive(Default)]
struct Book {
    form: Option<u32>,
    tenant: Option<Tenant>,
    name: Option<Name>,
    entry: Option<u64>,
    last_effects: Option<OpId>,
    life: Option<GraphLife>,
}

#[derive(Default)]
struct Parts {
    book: Book,
    nodes: bool,
    links: bool,
    loader: GraphLoader,
}

/// Reads the snapshot of `graph`; `None` where there is none. What is not one is refused, with the place, and left as
/// it is.
pub(crate) fn read(
    operation: &'static str,
    path: &Path,
    graph: &GraphId,
) -> Result<Option<Loaded>> {
    let lost = |e| failed(operation, "the snapshot cannot be read", path, e);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(lost(e)),
    };
    let mut scanner = Scanner::new(file);
    let mut parts = Parts::default();
    let scanned = parts.scan(&mut scanner);
    let Parts { book, nodes, links, loader } = parts;
    if book.form.is_some_and(|form| form > FORM) {
        return Err(newer(operation, path, book.form.unwrap_or(FORM)));
    }
    let unreadable = |offset, error| unreadable(operation, path, offset, error);
    match scanned {
        Ok(()) => {}
        Err(Stop::Io(e)) => return Err(lost(e)),
        Err(Stop::Refused(error)) => {
            let error = error.with("file", path.display());
            return Err(place(path, scanner.offset()).ok().into_iter().fold(error, at));
        }
        Err(Stop::Json { offset, error }) => return Err(unreadable(offset, error)),
    }
    let Book { form: Some(_), tenant: Some(tenant), name: Some(name), entry, last_effects, life } =
        book
    else {
        return Err(unreadable(scanner.offset(), None));
    };
    let (Some(entry), Some(life), true) = (entry, life, nodes && links) else {
        return Err(unreadable(scanner.offset(), None));
    };
    if tenant != graph.tenant || name != graph.name {
        return Err(Error::corrupt(
            operation,
            "the snapshot is of another graph; it was left untouched: give it its own name back",
        )
        .with("file", path.display())
        .with("holds", format!("{tenant}/{name}"))
        .with("graph", graph));
    }
    let mut loader = loader;
    loader.life(life);
    let bytes = scanner.offset();
    Ok(Some(Loaded { state: loader.finish(), entry, last_effects, bytes }))
}

impl Parts {
    fn scan(&mut self, scanner: &mut Scanner<File>) -> std::result::Result<(), Stop> {
        scanner.fields(|scanner, name| match name {
            "graph" => scanner.fields(|scanner, name| match name {
                "hexmem" => self.book(scanner),
                _ => scanner.value::<IgnoredAny>().map(|_| ()),
            }),
            "nodes" => {
                self.nodes = true;
                scanner.items(|scanner| self.node(scanner))
            }
            "links" | "edges" => {
                self.links = true;
                scanner.items(|scanner| self.edge(scanner))
            }
            _ => scanner.value::<IgnoredAny>().map(|_| ()),
        })?;
        match scanner.peek()? {
            None => Ok(()),
            Some(_) => Err(Stop::Json { offset: scanner.offset(), error: None }),
        }
    }

    fn book(&mut self, scanner: &mut Scanner<File>) -> std::result::Result<(), Stop> {
        scanner.fields(|scanner, name| {
            let book = &mut self.book;
            match name {
                "form" => {
                    book.form = Some(scanner.value()?);
                    // What follows in a newer form need not parse as this one.
                    match book.form.is_some_and(|form| form > FORM) {
                        true => Err(Stop::Json { offset: scanner.offset(), error: None }),
                        false => Ok(()),
                    }
                }
                "tenant" => scanner.value().map(|value| book.tenant = Some(value)),
                "name" => scanner.value().map(|value| book.name = Some(value)),
                "entry" => scanner.value().map(|value| book.entry = Some(value)),
                "last_effects" => scanner.value().map(|value| book.last_effects = value),
                "life" => scanner.value().map(|value| book.life = Some(value)),
                "batches" => scanner.items(|scanner| {
                    let (id, answer): (OpId, Applied) = scanner.value()?;
                    self.loader.batch(id, answer);
                    Ok(())
                }),
                "log" => scanner.items(|scanner| {
                    let entry: LogEntry = scanner.value()?;
                    self.loader.log(entry);
                    Ok(())
                }),
                "past_nodes" => scanner.items(|scanner| self.node(scanner)),
                "past_edges" => scanner.items(|scanner| self.edge(scanner)),
                _ => scanner.value::<IgnoredAny>().map(|_| ()),
            }
        })
    }

    fn node(&mut self, scanner: &mut Scanner<File>) -> std::result::Result<(), Stop> {
        scanner.node(|node| Ok(self.loader.node(node.text())?))
    }

    fn edge(&mut self, scanner: &mut Scanner<File>) -> std::result::Result<(), Stop> {
        scanner.edge(|edge| Ok(self.loader.edge(edge.text())?))
    }
}

fn newer(operation: &'static str, path: &Path, form: u32) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        operation,
        format!("the snapshot has form {form}, this program reads up to {FORM}: use the newer hexmem that wrote it"),
    )
    .with("file", path.display())
}

fn unreadable(
    operation: &'static str,
    path: &Path,
    offset: u64,
    error: Option<serde_json::Error>,
) -> Error {
    // A newer form may have its number behind what this one cannot read: it alone is looked for.
    if let Some(form) = form_of(path)
        && form > FORM
    {
        return newer(operation, path, form);
    }
    let refused = Error::corrupt(
        operation,
        "the snapshot is cut short, damaged or another program's; it was left untouched: restore a backup, or import \
         a foreign file into a graph of another name",
    )
    .with("file", path.display());
    let refused = place(path, offset).ok().into_iter().fold(refused, at);
    match error {
        Some(error) => refused.caused_by(error),
        None => refused,
    }
}

fn at(error: Error, (line, column): (u64, u64)) -> Error {
    error.with("line", line).with("column", column)
}

/// The line and column of a byte of a file, both from 1.
fn place(path: &Path, offset: u64) -> io::Result<(u64, u64)> {
    let mut before = BufReader::new(File::open(path)?.take(offset));
    let (mut line, mut column) = (1, 1);
    loop {
        let part = before.fill_buf()?;
        if part.is_empty() {
            return Ok((line, column));
        }
        for byte in part {
            (line, column) = if *byte == b'\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        let len = part.len();
        before.consume(len);
    }
}

fn form_of(path: &Path) -> Option<u32> {
    #[derive(Deserialize)]
    struct Form {
        form: u32,
    }
    #[derive(Deserialize)]
    struct Ours {
        hexmem: Form,
    }
    #[derive(Deserialize)]
    struct Probe {
        graph: Ours,
    }
    let file = BufReader::new(File::open(path).ok()?);
    serde_json::from_reader::<_, Probe>(file).ok().map(|probe| probe.graph.hexmem.form)
}
