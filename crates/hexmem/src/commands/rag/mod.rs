//! `hexmem rag ...`

mod eval;
mod files;
mod ingest;
mod reembed;
mod search;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use hexmem_llm_cache::CachedEmbedder;
use hexmem_ports::{CollectionId, Error, ErrorKind, Limit, Name, NamespaceId, Prefix, Result, Ttl};
use hexmem_rag::{Collection, Rag};
use serde_json::json;

use super::Outcome;
use crate::context::Context;
pub(crate) use search::excerpt;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put files or folders into a collection; run it again to bring it up to date
    #[command(after_help = "Examples:
  hexmem rag ingest docs README.md --collection docs
  hexmem rag ingest notes.jsonl --collection notes     one document a line, with `text` and `id`")]
    Ingest(ingest::Args),
    /// Give a collection the vectors of the configured embedder, in place of others or of none
    #[command(
        after_help = "The new vectors are built beside the old ones, and switched to in one step. Cut off, it leaves the old ones;
run again, it goes on."
    )]
    Reembed(reembed::Args),
    /// Search a collection
    #[command(after_help = "Examples:
  hexmem rag search 'lease expiry' --collection docs -k 3
  hexmem rag search 'lease' --collection docs --filter '{\"field\": \"format\", \"eq\": \"markdown\"}'

Filters are over the documents' metadata: eq, in, gt, gte, lt, lte, exists; joined by and, or, not.")]
    Search(search::Args),
    /// Measure search on a test collection in BEIR form
    #[command(after_help = "Example:
  hexmem rag eval --corpus corpus.jsonl --queries queries.jsonl --qrels qrels.tsv
  hexmem rag eval --corpus corpus.jsonl --queries queries.jsonl --qrels qrels.tsv --modes sparse,dense,hybrid")]
    Eval(eval::Args),
    /// List the collections, or the documents of one
    List {
        /// The collection whose documents to list
        #[arg(long, value_name = "NAME")]
        collection: Option<Name>,
    },
    /// Print a document, put together from its chunks
    Show {
        /// The document's id, as `rag list` prints it
        document: String,
        #[command(flatten)]
        collection: CollectionArg,
    },
    /// Remove documents from a collection, or the collection
    Delete {
        /// The documents' ids; none removes the whole collection
        documents: Vec<String>,
        #[command(flatten)]
        collection: CollectionArg,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CollectionArg {
    /// The collection
    #[arg(long = "collection", value_name = "NAME")]
    name: Name,
}

impl CollectionArg {
    fn id(&self, context: &Context) -> CollectionId {
        CollectionId::new(context.tenant.clone(), self.name.clone())
    }
}

/// Which signals rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeArg {
    /// Words
    Sparse,
    /// Meaning, as an embedder sees it
    Dense,
    /// Both, fused
    Hybrid,
}

impl From<ModeArg> for hexmem_rag::Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Sparse => Self::Sparse,
            ModeArg::Dense => Self::Dense,
            ModeArg::Hybrid => Self::Hybrid,
        }
    }
}

/// For how long vectors of texts are kept, in seconds: 90 days.
const KEPT: u64 = 90 * 86_400;

/// The service on the configured store: for what needs no model.
async fn plain(context: &Context) -> Result<Rag> {
    Ok(Rag::new(context.stores.vectors().await?))
}

/// The service with the embedder and the reranker that are configured. Vectors of texts that were embedded before come
/// from the cache.
pub(crate) async fn service(context: &Context) -> Result<Rag> {
    let mut rag = plain(context).await?;
    if let Some(embedder) = context.stores.embedder().await? {
        let namespace = NamespaceId::new(context.tenant.clone(), Name::new("embeddings")?);
        let cache = context.stores.cache().await?;
        let cached = CachedEmbedder::new(embedder, cache, namespace, Ttl::secs(KEPT)?);
        rag = rag.with_embedder(Arc::new(cached));
    }
    if let Some(reranker) = context.stores.reranker()? {
        rag = rag.with_reranker(reranker);
    }
    Ok(rag)
}

/// A collection that must be there.
async fn existing(rag: &Rag, id: CollectionId) -> Result<Collection> {
    rag.open(id.clone()).await?.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            "rag",
            "there is no such collection; `hexmem rag list` shows those there are",
        )
        .with("collection", id)
    })
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<Outcome> {
    match command {
        Command::Ingest(args) => ingest::run(context, args).await,
        Command::Reembed(args) => reembed::run(context, args).await,
        Command::Search(args) => search::run(context, args).await,
        Command::Eval(args) => eval::run(context, args).await,
        Command::List { collection: None } => list_collections(context).await,
        Command::List { collection: Some(name) } => {
            list_documents(context, CollectionId::new(context.tenant.clone(), name)).await
        }
        Command::Show { document, collection } => {
            show(context, &document, collection.id(context)).await
        }
        Command::Delete { documents, collection } => {
            delete(context, &documents, collection.id(context)).await
        }
    }
}

async fn list_collections(context: &Context) -> Result<Outcome> {
    let rag = plain(context).await?;
    let mut rows = Vec::new();
    let mut cursor = None;
    loop {
        let page =
            rag.collections(&context.tenant, &Prefix::default(), cursor, Limit::default()).await?;
        for name in page.items {
            let id = CollectionId::new(context.tenant.clone(), name.clone());
            let store = context.stores.vectors().await?;
            let chunks = store.info(&id).await?.map_or(0, |info| info.points);
            rows.push((name.to_string(), chunks));
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let document: Vec<_> =
        rows.iter().map(|(name, chunks)| json!({ "collection": name, "chunks": chunks })).collect();
    context.emit(&document, || {
        if rows.is_empty() {
            return "no collections; make one with: hexmem rag ingest PATH --collection NAME"
                .into();
        }
        rows.iter().map(|(name, chunks)| format!("{name:<32} {chunks:>8} chunks\n")).collect()
    })?;
    Ok(Outcome::Done)
}

async fn list_documents(context: &Context, id: CollectionId) -> Result<Outcome> {
    let collection = existing(&plain(context).await?, id).await?;
    let mut rows = Vec::new();
    let mut cursor = None;
    loop {
        let page = collection.documents(cursor, Limit::new(1_000)?).await?;
        rows.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    context.emit(&rows, || {
        rows.iter()
            .map(|row| format!("{:>5} chunks  {}  {}\n", row.chunks, row.id, row.title))
            .collect()
    })?;
    Ok(Outcome::Done)
}

async fn show(context: &Context, document: &str, id: CollectionId) -> Result<Outcome> {
    let collection = existing(&plain(context).await?, id).await?;
    let stored = collection.document(document).await?.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            "rag.show",
            "there is no such document; `hexmem rag list --collection` shows those there are",
        )
        .with("document", document)
    })?;
    context.emit_data(&stored, stored.text.as_bytes())?;
    Ok(Outcome::Done)
}

async fn delete(context: &Context, documents: &[String], id: CollectionId) -> Result<Outcome> {
    if documents.is_empty() {
        let dropped = plain(context).await?.drop_collection(&id).await?;
        context.emit(&json!({ "collection": dropped }), || {
            if dropped {
                format!("collection {} removed", id.name)
            } else {
                format!("there is no collection {}", id.name)
            }
        })?;
        return Ok(Outcome::Done);
    }
    let collection = existing(&plain(context).await?, id).await?;
    let mut removed = 0u64;
    for document in documents {
        removed += u64::from(collection.delete(document).await?);
    }
    context.emit(&json!({ "documents": removed }), || {
        format!("{removed} of {} documents removed", documents.len())
    })?;
    Ok(Outcome::Done)
}

/// A path as errors and ids show it: `./a` is `a`.
fn shown(path: &std::path::Path) -> String {
    let short: PathBuf =
        path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect();
    short.to_string_lossy().into_owned()
}

/// Paths, at least one.
#[derive(Debug, Args)]
struct Paths {
    /// Files or folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}
