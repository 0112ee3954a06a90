//! Building the memory: graph, documents, session.

use std::collections::HashSet;

use hexmem_graph_memory::GraphMemory;
use hexmem_ports::{AsOf, GraphBatch, Name, Result, Revision, SessionId};
use hexmem_rag::chunk::Chunking;
use hexmem_rag::read::{Reading, read};
use hexmem_rag::{CollectionOptions, Document, Ingested};
use hexmem_sessions::{Policy, Sessions, Start};
use serde_json::{Map, Value, json};

use super::Place;
use super::git::Commit;
use super::history::history;
use crate::commands::rag;
use crate::context::Context;

/// Changes in one batch.
const BATCH: usize = 2_000;
/// Files with these endings are documents.
const DOCUMENTS: &[&str] = &["md", "markdown", "mdx", "rst", "txt", "adoc", "org"];
/// Larger documents are left out.
const LARGEST: u64 = 1_000_000;

/// The graph as it was left.
pub(super) struct Built {
    pub(super) memory: GraphMemory,
    pub(super) revision: Revision,
    pub(super) did: String,
}

/// Commits, authors and files as a temporal graph.
pub(super) async fn graph(context: &Context, place: &Place, commits: &[Commit]) -> Result<Built> {
    let history = history(&place.repository.name, commits)?;
    let memory = GraphMemory::new(
        context.stores.graph().await?,
        context.stores.clock(),
        place.graph.clone(),
    );
    let total = history.nodes.len() + history.edges.len();
    let progress = context.progress("nodes and edges", Some(total as u64));
    // Nodes first: an edge needs its ends.
    for changes in history.nodes.chunks(BATCH).chain(history.edges.chunks(BATCH)) {
        memory.apply(GraphBatch::new(changes.to_vec())).await?;
        progress.step(changes.len() as u64);
    }
    drop(progress);
    let stats = memory.stats(AsOf::ALL).await?;
    let revision = memory.head().await?.map_or(Revision(0), |head| head.revision);
    let mut did = format!("{} nodes, {} edges", stats.nodes, stats.edges);
    if history.left_out > 0 {
        did.push_str(&format!("; {} files left out, their paths are too long", history.left_out));
    }
    Ok(Built { memory, revision, did })
}

/// Documents and commit messages as a searchable collection.
pub(super) async fn documents(
    context: &Context,
    place: &Place,
    commits: &[Commit],
    files: &[String],
) -> Result<String> {
    let collection = rag::service(context)
        .await?
        .open_or_create(place.collection.clone(), CollectionOptions::default())
        .await?;
    let root = place.repository.root.display().to_string();
    let paths: Vec<&String> = files.iter().filter(|path| is_document(path)).collect();
    let progress = context.progress("documents", Some((paths.len() + commits.len()) as u64));
    let (mut report, mut present, mut batch) = (Ingested::default(), HashSet::new(), Vec::new());
    for path in paths {
        progress.step(1);
        let on_disk = place.repository.root.join(path);
        if !on_disk.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= LARGEST) {
            continue;
        }
        let Ok(bytes) = std::fs::read(&on_disk) else { continue };
        let Reading::Documents { format, documents, .. } = read(path, &bytes)? else { continue };
        for found in documents {
            present.insert(path.clone());
            batch.push(Document {
                title: found.title,
                metadata: metadata("document", &[("path", json!(path))]),
                chunking: Chunking { strategy: format.strategy(), ..Chunking::default() },
                root: Some(root.clone()),
                ..Document::new(path.clone(), found.text)
            });
        }
        if batch.len() >= 200 {
            report.add(collection.ingest(std::mem::take(&mut batch)).await?);
        }
    }
    report.add(collection.ingest(std::mem::take(&mut batch)).await?);
    report.removed += collection.remove_missing(&root, |id| present.contains(id)).await?;
    for commits in commits.chunks(1_000) {
        let messages = commits.iter().map(message).collect();
        report.add(collection.ingest(messages).await?);
        progress.step(commits.len() as u64);
    }
    let (documents, chunks) = collection.counts().await?;
    Ok(format!(
        "{documents} documents and commit messages in {chunks} chunks, {} of them new",
        report.added + report.updated
    ))
}

fn message(commit: &Commit) -> Document {
    let files: Vec<&str> = commit.files.iter().take(20).map(|file| file.path.as_str()).collect();
    let metadata = metadata(
        "commit",
        &[
            ("author", json!(commit.author.replace('\0', ""))),
            ("at", json!(commit.at)),
            ("files", json!(files)),
        ],
    );
    Document {
        title: commit.subject.clone(),
        metadata,
        ..Document::new(
            format!("commit:{}", commit.short()),
            format!("{}\n\n{}", commit.subject, commit.body),
        )
    }
}

fn metadata(kind: &str, more: &[(&str, Value)]) -> Map<String, Value> {
    let mut map = Map::from_iter([("kind".to_owned(), json!(kind))]);
    map.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    map
}

fn is_document(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, ending)| DOCUMENTS.contains(&ending.to_ascii_lowercase().as_str()))
}

/// A session of the agent that does all this.
pub(super) async fn session(context: &Context, place: &Place) -> Result<SessionId> {
    let sessions =
        Sessions::new(context.stores.sessions().await?, context.stores.clock(), Policy::agent())?;
    let start = Start::new(context.owner())
        .service(Name::new("quickstart")?)
        .cluster(place.graph.name.clone())
        .data(json!({ "repository": place.repository.name }));
    let issued = sessions.create(start).await?;
    sessions.touch(&issued.token).await?;
    Ok(issued.session.id)
}
