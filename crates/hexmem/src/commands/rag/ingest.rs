//! `hexmem rag ingest`

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use hexmem_ports::{Error, Result};
use hexmem_rag::chunk::Chunking;
use hexmem_rag::read::{Reading, read};
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
        report: Ingested::default(),
        skipped: BTreeMap::new(),
    };
    for source in &sources {
        let mut present = HashSet::new();
        for file in &source.files {
            work.file(source, file, &mut present).await?;
            progress.step(1);
        }
        work.flush().await?;
        if source.is_folder {
            work.report.removed +=
                work.collection.remove_missing(&shown(&source.root), &present).await?;
        }
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
            text.push_str(&format!("{count} files skipped: {why}\n"));
        }
        text
    })?;
    Ok(Outcome::Done)
}

struct Work {
    collection: Collection,
    chunking: Chunking,
    batch: Vec<Document>,
    bytes: usize,
    report: Ingested,
    skipped: BTreeMap<&'static str, u64>,
}

impl Work {
    async fn file(
        &mut self,
        source: &Source,
        file: &Path,
        present: &mut HashSet<String>,
    ) -> Result<()> {
        let name = shown(file);
        let size = std::fs::metadata(file).map_or(0, |meta| meta.len());
        if size > TEXT_LIMIT as u64 {
            remark(&format!("skipped, larger than 64 MiB: {name}"));
            *self.skipped.entry("too large").or_default() += 1;
            present.insert(name);
            return Ok(());
        }
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) => {
                remark(&format!("skipped, cannot be read: {name}: {error}"));
                *self.skipped.entry("unreadable").or_default() += 1;
                // It may come back: what is known of it stays.
                present.insert(name);
                return Ok(());
            }
        };
        let (format, documents) = match read(&name, &bytes)? {
            Reading::Documents { format, documents, .. } => (format, documents),
            Reading::Skipped(why) => {
                *self.skipped.entry(why.name()).or_default() += 1;
                return Ok(());
            }
        };
        for found in documents {
            let id = found.id.as_ref().map_or_else(|| name.clone(), |id| format!("{name}#{id}"));
            present.insert(id.clone());
            let mut metadata = found.metadata;
            metadata.entry("path").or_insert_with(|| Value::from(name.clone()));
            let format_name = serde_json::to_value(format).map_err(|error| {
                Error::invalid("rag.ingest", "the format has no name").caused_by(error)
            })?;
            metadata.entry("format").or_insert(format_name);
            self.bytes += found.text.len();
            self.batch.push(Document {
                title: found.title,
                metadata,
                chunking: Chunking { strategy: format.strategy(), ..self.chunking },
                root: source.is_folder.then(|| shown(&source.root)),
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
