//! `hexmem rag ingest`

use std::collections::{BTreeMap, HashSet};
use std::error::Error as _;
use std::path::Path;

use hexmem_ports::{Error, ErrorKind, Result};
use hexmem_rag::chunk::Chunking;
use hexmem_rag::read::{Format, Reading, read};
use hexmem_rag::{Collection, CollectionOptions, Document, Ingested, TEXT_LIMIT};
use serde_json::{Value, json};

use super::files::{Source, walk};
use super::{CollectionArg, Paths, service, shown};
use crate::commands::Outcome;
use crate::context::Context;
use crate::output::remark;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    paths: Paths,
    #[command(flatten)]
    collection: CollectionArg,
    /// The most characters of a chunk
    #[arg(long, default_value_t = 512)]
    chunk_size: usize,
    /// How many characters a chunk repeats of the one before it
    #[arg(long, default_value_t = 50)]
    overlap: usize,
}

/// Documents given to the collection at once, at most; and bytes of text, about.
const BATCH_DOCUMENTS: usize = 500;
const BATCH_BYTES: usize = 4_000_000;

pub(crate) async fn run(context: &Context, args: Args) -> Result<Outcome> {
    let chunking = Chunking { size: args.chunk_size, overlap: args.overlap, ..Chunking::default() };
    chunking.check()?;
    let sources = args.paths.paths.iter().map(|path| walk(path)).collect::<Result<Vec<_>>>()?;
    let total = sources.iter().map(|source| source.files.len() as u64).sum();
    let rag = service(context).await?;
    let collection =
        rag.open_or_create(args.collection.id(context), CollectionOptions::default()).await?;
    let progress = context.progress("files", Some(total));
    let mut work = Work {
        collection,
        chunking,
        batch: Vec::new(),
        bytes: 0,
        seen: HashSet::new(),
        report: Ingested::default(),
        skipped: BTreeMap::new(),
    };
    for source in &sources {
        let mut present = Present::default();
        for file in &source.files {
            work.file(source, file, &mut present).await?;
            progress.step(1);
        }
        work.flush().await?;
        let root = shown(&source.root);
        work.report.removed += work.collection.remove_missing(&root, |id| present.has(id)).await?;
    }
    drop(progress);
    let Work { report, skipped, .. } = work;
    let document = json!({
        "collection": args.collection.name, "added": report.added, "updated": report.updated,
        "unchanged": report.unchanged, "removed": report.removed, "empty": report.empty,
        "chunks": report.chunks, "skipped": skipped,
    });
    context.emit(&document, || {
        let mut text = format!(
            "{} added, {} updated, {} unchanged, {} removed: {} chunks written\n",
            report.added, report.updated, report.unchanged, report.removed, report.chunks
        );
        for (why, count) in &skipped {
            let files = if *count == 1 { "file" } else { "files" };
            text.push_str(&format!("{count} {files} skipped: {why}\n"));
        }
        text
    })?;
    Ok(Outcome::Done)
}

/// What a source still has.
#[derive(Default)]
struct Present {
    ids: HashSet<String>,
    /// Files that are there and could not be read: what is known of them stays.
    unread: HashSet<String>,
}

impl Present {
    fn has(&self, id: &str) -> bool {
        let of_unread = || {
            let ends = id.match_indices(MARK).map(|(at, _)| at).chain([id.len()]);
            ends.into_iter().any(|end| id.get(..end).is_some_and(|name| self.unread.contains(name)))
        };
        self.ids.contains(id) || of_unread()
    }
}

/// Stands between the name of a file and the name of a document in it.
const MARK: char = '#';

struct Work {
    collection: Collection,
    chunking: Chunking,
    batch: Vec<Document>,
    bytes: usize,
    /// Files of this run: a file given twice is read once.
    seen: HashSet<String>,
    report: Ingested,
    skipped: BTreeMap<&'static str, u64>,
}

impl Work {
    async fn file(&mut self, source: &Source, file: &Path, present: &mut Present) -> Result<()> {
        let name = shown(file);
        if !self.seen.insert(name.clone()) {
            // Read for a source before this one, under whose root it is now.
            present.unread.insert(name);
            return Ok(());
        }
        let (format, documents) = match open(&name, file) {
            Ok(Reading::Documents { format, documents, .. }) => (format, documents),
            Ok(Reading::Skipped(why)) => {
                *self.skipped.entry(why.name()).or_default() += 1;
                if !source.is_folder {
                    self.report.removed += u64::from(self.collection.delete(&name).await?);
                }
                return Ok(());
            }
            // What the user named must be read; of a folder the rest goes on.
            Err((_, error)) if !source.is_folder => return Err(error),
            Err((why, error)) => {
                let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                remark(&format!("skipped: {error}{cause}"));
                *self.skipped.entry(why).or_default() += 1;
                present.unread.insert(name);
                return Ok(());
            }
        };
        // A file of one document keeps the root it has; the lines of a file may come and go.
        let many = format == Format::Jsonl;
        let root = (source.is_folder || many).then(|| shown(&source.root));
        let format_name = serde_json::to_value(format).map_err(|error| {
            Error::invalid("rag.ingest", "the format has no name").caused_by(error)
        })?;
        for (found, number) in documents.into_iter().zip(1_u64..) {
            let id = match found.id {
                Some(id) => format!("{name}{MARK}{id}"),
                None if many => format!("{name}{MARK}{number}"),
                None => name.clone(),
            };
            present.ids.insert(id.clone());
            let mut metadata = found.metadata;
            metadata.entry("path").or_insert_with(|| Value::from(name.clone()));
            metadata.entry("format").or_insert_with(|| format_name.clone());
            self.bytes += found.text.len();
            self.batch.push(Document {
                title: found.title,
                metadata,
                chunking: Chunking { strategy: format.strategy(), ..self.chunking },
                root: root.clone(),
                ..Document::new(id, found.text)
            });
            if self.batch.len() >= BATCH_DOCUMENTS || self.bytes >= BATCH_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        self.report.add(self.collection.ingest(batch).await?);
        Ok(())
    }
}

/// The documents of a file, or one word for a summary and what is wrong.
fn open(name: &str, file: &Path) -> std::result::Result<Reading, (&'static str, Error)> {
    let failed = |error: std::io::Error| {
        let said = Error::new(ErrorKind::Unavailable, "rag.ingest", "the file cannot be read")
            .with("file", name)
            .caused_by(error);
        ("unreadable", said)
    };
    let size = std::fs::metadata(file).map_err(failed)?.len();
    if size > TEXT_LIMIT as u64 {
        let said = Error::invalid("rag.ingest", "the file is larger than 64 MiB; split it")
            .with("file", name)
            .with("bytes", size);
        return Err(("too large", said));
    }
    let bytes = std::fs::read(file).map_err(failed)?;
    read(name, &bytes).map_err(|error| ("malformed", error))
}
