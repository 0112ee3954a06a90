//! `hexmem rag ingest`

use std::collections::{BTreeMap, HashSet};
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use hexmem_ports::{Error, ErrorKind, Result};
use hexmem_rag::chunk::Chunking;
use hexmem_rag::read::{Format, Reading, read};
use hexmem_rag::{Collection, CollectionOptions, Document, Ingested, TEXT_LIMIT};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::files::{Source, walk};
use super::{CollectionArg, Paths, service, shown};
use crate::commands::Outcome;
use crate::commands::stop::asked_to_stop;
use crate::context::Context;
use crate::output::{Progress, remark};

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

/// Files read by one task, at most; and their bytes, about.
const GROUP_FILES: usize = 256;
const GROUP_BYTES: u64 = 4_000_000;

pub(crate) async fn run(context: &Context, args: Args) -> Result<Outcome> {
    let chunking = Chunking { size: args.chunk_size, overlap: args.overlap, ..Chunking::default() };
    chunking.check()?;
    let sources = args.paths.paths.iter().map(|path| walk(path)).collect::<Result<Vec<_>>>()?;
    let total = sources.iter().map(|source| source.files.len() as u64).sum();
    let rag = service(context).await?;
    let collection =
        rag.open_or_create(args.collection.id(context), CollectionOptions::default()).await?;
    let progress = context.progress("files", Some(total));
    let mut stop: (Asked, Asked) = (Box::pin(asked_to_stop(1)), Box::pin(asked_to_stop(2)));
    let mut seen = HashSet::new();
    let mut sum = Sum::default();
    for source in &sources {
        sum.present = Present::default();
        let reader = Reader {
            collection: collection.clone(),
            chunking,
            root: shown(&source.root),
            is_folder: source.is_folder,
        };
        let stopped = read_all(reader, source, &mut seen, &mut stop, &progress, &mut sum).await?;
        if stopped {
            drop(progress);
            return Err(cut_off(&sum.report));
        }
        let root = shown(&source.root);
        sum.report.removed += collection.remove_missing(&root, |id| sum.present.has(id)).await?;
    }
    drop(progress);
    let Sum { report, skipped, .. } = sum;
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

fn cut_off(report: &Ingested) -> Error {
    let done = report.added + report.updated + report.unchanged;
    let what = format!(
        "stopped; {} in the collection as they are now: run the same command again to go on",
        match done {
            1 => "1 document is".to_owned(),
            done => format!("{done} documents are"),
        }
    );
    Error::new(ErrorKind::Unavailable, "rag.ingest", what)
}

/// Ends when the process is asked to stop.
type Asked = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Reads the files of a source in groups, several at a time, and puts what they hold into the collection. Asked to stop, it ends
/// the groups at hand and begins no other, and asked twice it ends at once: `true`.
async fn read_all(
    reader: Reader,
    source: &Source,
    seen: &mut HashSet<String>,
    stop: &mut (Asked, Asked),
    progress: &Progress,
    sum: &mut Sum,
) -> Result<bool> {
    let reader = Arc::new(reader);
    let most = std::thread::available_parallelism().map_or(2, usize::from) + 1;
    let mut groups = groups(&source.files);
    let mut tasks: JoinSet<Result<Sum>> = JoinSet::new();
    let mut stopped = false;
    loop {
        while tasks.len() < most && !stopped {
            let Some(files) = groups.next() else { break };
            let mut fresh = Vec::with_capacity(files.len());
            for file in files {
                let name = shown(file);
                if seen.insert(name.clone()) {
                    fresh.push((name, file.clone()));
                } else {
                    // Read for a source before this one, under whose root it is now.
                    sum.present.unread.insert(name);
                    progress.step(1);
                }
            }
            tasks.spawn(Arc::clone(&reader).read(fresh));
        }
        let ended = tokio::select! {
            ended = tasks.join_next() => ended,
            () = &mut stop.0, if !stopped => {
                stopped = true;
                remark("stopping: what is at hand is written first");
                continue;
            }
            () = &mut stop.1, if stopped => return Ok(true),
        };
        let Some(ended) = ended else { return Ok(stopped) };
        let part = ended.map_err(|error| {
            Error::new(ErrorKind::Internal, "rag.ingest", "a task ended").caused_by(error)
        })??;
        progress.step(part.files);
        sum.add(part);
    }
}

/// Consecutive files.
fn groups(files: &[PathBuf]) -> impl Iterator<Item = &[PathBuf]> {
    let mut rest = files;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let count = rest
            .iter()
            .take(GROUP_FILES)
            .take_while(|file| {
                let fits = bytes < GROUP_BYTES;
                bytes += std::fs::metadata(file).map_or(0, |meta| meta.len());
                fits
            })
            .count();
        let (group, after) = rest.split_at_checked(count).filter(|(group, _)| !group.is_empty())?;
        rest = after;
        Some(group)
    })
}

/// What became of files.
#[derive(Default)]
struct Sum {
    files: u64,
    report: Ingested,
    skipped: BTreeMap<&'static str, u64>,
    present: Present,
}

impl Sum {
    fn add(&mut self, part: Self) {
        self.files += part.files;
        self.report.add(part.report);
        for (why, count) in part.skipped {
            *self.skipped.entry(why).or_default() += count;
        }
        self.present.ids.extend(part.present.ids);
        self.present.unread.extend(part.present.unread);
    }
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

/// Puts files of one source into a collection.
struct Reader {
    collection: Collection,
    chunking: Chunking,
    root: String,
    is_folder: bool,
}

impl Reader {
    async fn read(self: Arc<Self>, files: Vec<(String, PathBuf)>) -> Result<Sum> {
        let mut sum = Sum { files: files.len() as u64, ..Sum::default() };
        let opened = tokio::task::spawn_blocking(move || {
            let open = |(name, file): (String, PathBuf)| {
                let reading = open(&name, &file);
                (name, reading)
            };
            files.into_iter().map(open).collect::<Vec<_>>()
        });
        let opened = opened.await.map_err(|error| {
            Error::new(ErrorKind::Internal, "rag.ingest", "a thread ended").caused_by(error)
        })?;
        let mut batch = Batch::default();
        for (name, reading) in opened {
            self.file(name, reading, &mut batch, &mut sum).await?;
        }
        self.flush(&mut batch, &mut sum).await?;
        Ok(sum)
    }

    async fn file(
        &self,
        name: String,
        reading: Opened,
        batch: &mut Batch,
        sum: &mut Sum,
    ) -> Result<()> {
        let (format, documents) = match reading {
            Ok(Reading::Documents { format, documents, .. }) => (format, documents),
            Ok(Reading::Skipped(why)) => {
                *sum.skipped.entry(why.name()).or_default() += 1;
                if !self.is_folder {
                    sum.report.removed += u64::from(self.collection.delete(&name).await?);
                }
                return Ok(());
            }
            // What the user named must be read; of a folder the rest goes on.
            Err((_, error)) if !self.is_folder => return Err(error),
            Err((why, error)) => {
                let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                remark(&format!("skipped: {error}{cause}"));
                *sum.skipped.entry(why).or_default() += 1;
                sum.present.unread.insert(name);
                return Ok(());
            }
        };
        // A file of one document keeps the root it has; the lines of a file may come and go.
        let many = format == Format::Jsonl;
        let root = (self.is_folder || many).then(|| self.root.clone());
        let format_name = serde_json::to_value(format).map_err(|error| {
            Error::invalid("rag.ingest", "the format has no name").caused_by(error)
        })?;
        for (found, number) in documents.into_iter().zip(1_u64..) {
            let id = match found.id {
                Some(id) => format!("{name}{MARK}{id}"),
                None if many => format!("{name}{MARK}{number}"),
                None => name.clone(),
            };
            sum.present.ids.insert(id.clone());
            let mut metadata = found.metadata;
            metadata.entry("path").or_insert_with(|| Value::from(name.clone()));
            metadata.entry("format").or_insert_with(|| format_name.clone());
            batch.bytes += found.text.len();
            batch.documents.push(Document {
                title: found.title,
                metadata,
                chunking: Chunking { strategy: format.strategy(), ..self.chunking },
                root: root.clone(),
                ..Document::new(id, found.text)
            });
            if batch.documents.len() >= BATCH_DOCUMENTS || batch.bytes >= BATCH_BYTES {
                self.flush(batch, sum).await?;
            }
        }
        Ok(())
    }

    async fn flush(&self, batch: &mut Batch, sum: &mut Sum) -> Result<()> {
        let documents = std::mem::take(batch).documents;
        sum.report.add(self.collection.ingest(documents).await?);
        Ok(())
    }
}

/// Documents on their way.
#[derive(Default)]
struct Batch {
    documents: Vec<Document>,
    bytes: usize,
}

/// The documents of a file, or one word for a summary and what is wrong.
type Opened = std::result::Result<Reading, (&'static str, Error)>;

fn open(name: &str, file: &Path) -> Opened {
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
