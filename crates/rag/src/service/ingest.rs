//! Putting documents into a collection, each replaced as a whole.

use std::collections::{BTreeMap, HashSet};

use hexmem_ports::{
    Digest, EmbedMode, Error, ErrorKind, Filter, Limit, PAGE_LIMIT, Point, PointId, Result,
    check_json,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::point::{Payload, point_id};
use super::{Collection, DENSE, SPARSE, fixed, to_json};
use crate::analyse::{Side, TermCounts};
use crate::bm25::{AROUND_WEIGHT, TITLE_WEIGHT};
use crate::chunk::{Chunk, Chunking, Strategy};

/// A document to be ingested.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Unique in the collection; ingesting it again replaces it. At most 1,024 bytes.
    pub id: String,
    /// Its title; empty when it has none. Its first 1,000 characters are kept and found.
    pub title: String,
    /// Its text, at most [`TEXT_LIMIT`] bytes.
    pub text: String,
    /// What filters and hits see.
    pub metadata: Map<String, Value>,
    /// How it is cut.
    pub chunking: Chunking,
    /// What stands around it (the turns before and behind it in a conversation): it is found by these words too, with
    /// the weight [`AROUND_WEIGHT`](crate::bm25::AROUND_WEIGHT), and they are not kept.
    pub around: String,
    /// The place it comes from, if [`Collection::remove_missing`] is to know it. `None` keeps the one that an earlier
    /// ingest gave.
    pub root: Option<String>,
}

impl Document {
    /// A document cut in the default way.
    pub fn new(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            title: String::new(),
            text: text.into(),
            metadata: Map::new(),
            chunking: Chunking::default(),
            around: String::new(),
            root: None,
        }
    }
}

/// The largest text of one document, in bytes.
pub const TEXT_LIMIT: usize = 64 * 1024 * 1024;

/// What an ingest did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingested {
    /// Documents that were not there before.
    pub added: u64,
    /// Documents that replaced an earlier text.
    pub updated: u64,
    /// Documents that were there as they are.
    pub unchanged: u64,
    /// Documents without text and title: nothing of them is kept.
    pub empty: u64,
    /// Documents removed because their source is gone.
    pub removed: u64,
    /// Chunks written.
    pub chunks: u64,
}

impl Ingested {
    /// Adds up.
    pub fn add(&mut self, other: Self) {
        self.added += other.added;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.empty += other.empty;
        self.removed += other.removed;
        self.chunks += other.chunks;
    }
}

/// Chunks that gather before they are written.
const BATCH: usize = 2_000;
/// Chunks written in one call to the store, at most: what a store takes.
const MOST: usize = 10_000;
/// The largest text of one chunk, in bytes: its payload stays below the limit of JSON.
const CHUNK_LIMIT: usize = 8 * 1024 * 1024;

impl Collection {
    /// Ingests documents. Each replaces exactly its own chunks; one that is there as it is costs a look. When it is cut
    /// off, what was written stays, and a repeat finishes it. Of one document there is one ingest at a time.
    ///
    /// `Invalid` names the document, and nothing of the list is ingested. `Unsupported` when the collection has
    /// dense vectors and there is no embedder. `Conflict` when it was embedded anew meanwhile: open it again and repeat.
    pub async fn ingest(&self, documents: Vec<Document>) -> Result<Ingested> {
        self.check_all(&documents)?;
        match self.ingest_checked(documents).await {
            // Where it lay there is nothing any more: this says why.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.still_open().await?;
                Err(error)
            }
            Ok(report) => self.still_open().await.map(|()| report),
            failed => failed,
        }
    }

    async fn ingest_checked(&self, documents: Vec<Document>) -> Result<Ingested> {
        let mut report = Ingested::default();
        let mut points = Vec::new();
        let mut surplus = Vec::new();
        for part in documents.chunks(1_000) {
            let firsts: Vec<PointId> =
                part.iter().map(|d| point_id(&self.named, &d.id, 0)).collect();
            let known = self.store().get(&self.place, &firsts).await?;
            for ((document, first), known) in part.iter().zip(firsts).zip(known) {
                let known = known.map(|point| Payload::read(first, point.payload)).transpose()?;
                let root = document.root.as_deref();
                let root = root.or(known.as_ref().and_then(|payload| payload.root.as_deref()));
                let hash = hash(document, root)?;
                if known.as_ref().is_some_and(|payload| payload.hash == hash) {
                    report.unchanged += 1;
                    continue;
                }
                let chunks = cut(document)?;
                let before = known.as_ref().map_or(0, |payload| payload.chunks);
                // The first chunk goes last: without it nobody knows of the others.
                let gone = (chunks.len()..before).rev();
                surplus.extend(gone.map(|n| point_id(&self.named, &document.id, n)));
                match (chunks.is_empty(), &known) {
                    (true, _) => report.empty += 1,
                    (false, Some(_)) => report.updated += 1,
                    (false, None) => report.added += 1,
                }
                report.chunks += chunks.len() as u64;
                if chunks.len() > MOST - BATCH {
                    self.announce(document, root, &chunks, before).await?;
                }
                // The first chunk carries the hash and goes last, so that a cut ingest is seen as unfinished.
                points.extend(self.points(document, root, &hash, &chunks)?.into_iter().rev());
                if points.len() >= BATCH {
                    self.write(&mut points, &mut surplus).await?;
                }
            }
        }
        self.write(&mut points, &mut surplus).await?;
        Ok(report)
    }

    /// Removes the documents that an earlier ingest brought from `root` and that are not `present` any more.
    pub async fn remove_missing(
        &self,
        root: &str,
        present: impl Fn(&str) -> bool + Send,
    ) -> Result<u64> {
        let field = |path: &str, value: Value| {
            Ok::<_, Error>(Filter::Eq(hexmem_ports::FieldPath::new(path)?, value))
        };
        let firsts = Filter::And(vec![field("chunk", 0.into())?, field("root", root.into())?]);
        let mut removed = 0;
        let mut cursor = None;
        loop {
            let page =
                self.store().scroll(&self.place, &firsts, cursor, Limit::new(PAGE_LIMIT)?).await?;
            for point in page.items {
                let payload = Payload::read(point.id, point.payload)?;
                if !present(&payload.document) {
                    removed += u64::from(self.forget(&payload.document).await?);
                }
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        if removed > 0 {
            self.still_open().await?;
        }
        Ok(removed)
    }

    fn check_all(&self, documents: &[Document]) -> Result<()> {
        if let (Some(space), None) = (&self.space, &self.rag.embedder) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "rag.ingest",
                format!("the collection holds vectors of {space}; configure that embedder"),
            )
            .with("collection", &self.id));
        }
        let mut seen = HashSet::new();
        for document in documents {
            check(document)?;
            if !seen.insert(document.id.as_str()) {
                return Err(Error::invalid("rag.ingest", "a document id is given twice")
                    .with("document", &document.id));
            }
        }
        Ok(())
    }

    /// Writes a first chunk that says how many there may be, before those of a document that needs more than one
    /// call: cut off in between, the next ingest knows what to remove.
    async fn announce(
        &self,
        document: &Document,
        root: Option<&str>,
        chunks: &[Chunk],
        before: usize,
    ) -> Result<()> {
        let unfinished = self.points(document, root, "", chunks.get(..1).unwrap_or_default())?;
        let most = chunks.len().max(before);
        let points = unfinished
            .into_iter()
            .map(|mut point| {
                point.sparse.clear();
                point.payload["chunks"] = most.into();
                point
            })
            .collect();
        self.store().upsert(&self.place, points).await
    }

    fn points(
        &self,
        document: &Document,
        root: Option<&str>,
        hash: &str,
        chunks: &[Chunk],
    ) -> Result<Vec<Point>> {
        // Every chunk carries it.
        let title = without_nul(&document.title.chars().take(1_000).collect::<String>());
        chunks
            .iter()
            .map(|chunk| {
                let mut counts = TermCounts::of(&self.analyzer, &chunk.text, Side::Document);
                for heading in &chunk.context {
                    counts.add(&self.analyzer, heading, Side::Document, 1.0);
                }
                counts.add(&self.analyzer, &title, Side::Document, TITLE_WEIGHT);
                counts.add(&self.analyzer, &document.around, Side::Document, AROUND_WEIGHT);
                for turn in turns_around(document, chunks, chunk.index) {
                    counts.add(&self.analyzer, &turn.text, Side::Document, AROUND_WEIGHT);
                }
                let payload = Payload {
                    document: document.id.clone(),
                    chunk: chunk.index,
                    chunks: chunks.len(),
                    start: chunk.start,
                    end: chunk.end,
                    text: without_nul(&chunk.text),
                    nul: chunk.text.match_indices('\0').map(|(at, _)| at).collect(),
                    title: title.clone(),
                    context: chunk.context.iter().map(|heading| without_nul(heading)).collect(),
                    hash: hash.to_owned(),
                    root: root.map(ToOwned::to_owned),
                    metadata: document.metadata.clone(),
                };
                let mut sparse = BTreeMap::new();
                if !counts.is_empty() {
                    sparse.insert(fixed(SPARSE)?, self.bm25.document(&counts)?);
                }
                let id = point_id(&self.named, &document.id, chunk.index);
                Ok(Point { id, dense: BTreeMap::new(), sparse, payload: to_json(&payload)? })
            })
            .collect()
    }

    /// Embeds and writes what has gathered. Surplus chunks of the old texts go first: a reader may miss them for a moment, and
    /// never finds a chunk of a text that is gone.
    async fn write(&self, points: &mut Vec<Point>, surplus: &mut Vec<PointId>) -> Result<()> {
        self.remove(surplus).await?;
        let mut points = std::mem::take(points);
        self.embed(&mut points).await?;
        while !points.is_empty() {
            let rest = points.split_off(points.len().min(MOST));
            self.store().upsert(&self.place, points).await?;
            points = rest;
        }
        Ok(())
    }

    /// Gives points their dense vectors, if the collection has some.
    pub(super) async fn embed(&self, points: &mut [Point]) -> Result<()> {
        if let (true, Some(embedder)) = (self.space.is_some(), &self.rag.embedder) {
            let texts = points
                .iter()
                .map(|point| {
                    Payload::read(point.id, point.payload.clone())
                        .map(|payload| in_context(&payload))
                })
                .collect::<Result<Vec<_>>>()?;
            let vectors = embedder.embed(EmbedMode::Passage, &texts).await?;
            for (point, vector) in points.iter_mut().zip(vectors) {
                point.dense.insert(fixed(DENSE)?, vector);
            }
        }
        Ok(())
    }
}

fn check(document: &Document) -> Result<()> {
    let shown = || document.id.chars().take(64).collect::<String>().escape_debug().to_string();
    hexmem_ports::Name::new(&document.id).map_err(|error| {
        Error::invalid("rag.ingest", "a document id is 1 to 1,024 bytes without NUL")
            .with("document", shown())
            .caused_by(error)
    })?;
    if document.text.len() > TEXT_LIMIT {
        return Err(Error::invalid("rag.ingest", "a document is longer than 64 MiB; split it")
            .with("document", &document.id)
            .with("bytes", document.text.len()));
    }
    let chunking = document.chunking;
    let bounded = chunking.strategy != Strategy::Whole && chunking.size <= CHUNK_LIMIT / 4;
    if !bounded && document.text.len() > CHUNK_LIMIT {
        return Err(Error::invalid(
            "rag.ingest",
            "a chunk may be longer than 8 MiB; cut it smaller",
        )
        .with("document", &document.id)
        .with("bytes", document.text.len()));
    }
    check_json("rag.ingest", &json!({ "metadata": document.metadata, "root": document.root }))
        .map_err(|error| error.with("document", &document.id))?;
    chunking.check()
}

/// SHA-256 of everything that the document's points are made from.
fn hash(document: &Document, root: Option<&str>) -> Result<String> {
    let described = to_json(&(&document.title, &document.metadata, document.chunking, root))?;
    let described = described.to_string();
    let mut parts = vec![document.text.as_bytes(), described.as_bytes()];
    if !document.around.is_empty() {
        parts.push(document.around.as_bytes());
    }
    Ok(Digest::of_parts(parts).to_hex())
}

/// How many turns of a dialogue on each side of one lead to it too.
const TURNS: usize = 2;

/// The chunks on both sides of one, in a dialogue.
fn turns_around<'c>(
    document: &Document,
    chunks: &'c [Chunk],
    at: usize,
) -> impl Iterator<Item = &'c Chunk> {
    let turns = if document.chunking.strategy == Strategy::Dialogue { TURNS } else { 0 };
    let (from, to) = (at.saturating_sub(turns), at.saturating_add(turns));
    chunks.iter().filter(move |chunk| (from..=to).contains(&chunk.index) && chunk.index != at)
}

/// The chunks of a document. One that has a title alone is found by it: it has one chunk without text.
fn cut(document: &Document) -> Result<Vec<Chunk>> {
    let mut chunks = document.chunking.chunks(&document.text)?;
    if chunks.is_empty() && !document.title.trim().is_empty() {
        chunks.push(Chunk { index: 0, start: 0, end: 0, text: String::new(), context: Vec::new() });
    }
    Ok(chunks)
}

/// What an embedder sees of a chunk.
fn in_context(payload: &Payload) -> String {
    let mut parts: Vec<&str> = Vec::new();
    parts.extend((!payload.title.is_empty()).then_some(payload.title.as_str()));
    parts.extend(payload.context.iter().map(String::as_str));
    if parts.is_empty() {
        payload.text.clone()
    } else {
        format!("{}\n{}", parts.join(" > "), payload.text)
    }
}

/// JSON of stores has no NUL. A space keeps the offsets.
fn without_nul(text: &str) -> String {
    text.replace('\0', " ")
}
