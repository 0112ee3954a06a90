//! Hits with what stands around them.

use std::collections::BTreeMap;
use std::ops::Range;

use hexmem_ports::{PointId, Result};
use serde::Serialize;

use super::Collection;
use super::point::{Payload, point_id};
use super::search::Hit;
use crate::chunk::rebuild;

/// How much stands around a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Chunks before it.
    pub before: usize,
    /// Chunks behind it.
    pub after: usize,
}

impl Window {
    /// The whole document.
    pub const DOCUMENT: Self = Self { before: usize::MAX, after: usize::MAX };
}

/// A run of a document's chunks, as one text without doubled overlaps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Passage {
    /// The document.
    pub document: String,
    /// Its title.
    pub title: String,
    /// The score of its best hit.
    pub score: f32,
    /// The chunks it has.
    pub chunks: Range<usize>,
    /// The hits in it, best first.
    pub hits: Vec<PointId>,
    /// Its text, as it stands in the document.
    pub text: String,
}

/// Bytes for one token, as a rule of thumb for English.
const TOKEN: usize = 4;

impl Collection {
    /// The texts around hits, best first. Hits of one document whose windows meet are in one passage. With `max_tokens` (one
    /// for each 4 bytes begun) it ends before the first passage that does not fit, and smaller ones further on do not slip
    /// in; how many were left out is told. A hit whose document was replaced since it was found is left out.
    pub async fn passages(
        &self,
        hits: &[Hit],
        window: Window,
        max_tokens: Option<usize>,
    ) -> Result<(Vec<Passage>, usize)> {
        let mut documents: Vec<&str> = hits.iter().map(|hit| hit.document.as_str()).collect();
        documents.sort_unstable();
        documents.dedup();
        let firsts: Vec<PointId> =
            documents.iter().map(|id| point_id(&self.named, id, 0)).collect();
        let firsts = self.payloads(&firsts).await?;
        let sizes: BTreeMap<&str, (usize, &str)> = documents
            .iter()
            .zip(&firsts)
            .filter_map(|(id, first)| {
                Some((*id, (first.as_ref()?.chunks, first.as_ref()?.hash.as_str())))
            })
            .collect();
        let runs =
            runs(hits, window, |document| sizes.get(document).map_or(0, |(chunks, _)| *chunks));
        let mut passages: Vec<Passage> = Vec::new();
        let mut spent = 0;
        for (at, run) in runs.iter().enumerate() {
            let Some((_, hash)) = sizes.get(run.document) else { continue };
            let ids: Vec<PointId> = run
                .chunks
                .clone()
                .map(|chunk| point_id(&self.named, run.document, chunk))
                .collect();
            let found = self.payloads(&ids).await?;
            let whole: Option<Vec<&Payload>> = found
                .iter()
                .map(|payload| payload.as_ref().filter(|payload| payload.hash == *hash))
                .collect();
            let Some(chunks) = whole else { continue };
            let texts: Vec<(usize, String)> =
                chunks.iter().map(|payload| (payload.start, payload.source_text())).collect();
            let text = rebuild(texts.iter().map(|(start, text)| (*start, text.as_str())))?;
            spent += text.len().div_ceil(TOKEN);
            if max_tokens.is_some_and(|most| spent > most) {
                return Ok((passages, runs.len() - at));
            }
            passages.push(Passage {
                document: run.document.to_owned(),
                title: run.title.to_owned(),
                score: run.score,
                chunks: run.chunks.clone(),
                hits: run.hits.clone(),
                text,
            });
        }
        Ok((passages, 0))
    }

    async fn payloads(&self, ids: &[PointId]) -> Result<Vec<Option<Payload>>> {
        let mut payloads = Vec::with_capacity(ids.len());
        for part in ids.chunks(1_000) {
            for (id, point) in part.iter().zip(self.store().get(&self.place, part).await?) {
                payloads.push(point.map(|point| Payload::read(*id, point.payload)).transpose()?);
            }
        }
        Ok(payloads)
    }
}

/// A stretch of chunks with its hits.
#[derive(Debug, Clone, PartialEq)]
struct Run<'h> {
    document: &'h str,
    title: &'h str,
    score: f32,
    /// The place of its best hit.
    rank: usize,
    chunks: Range<usize>,
    hits: Vec<PointId>,
}

/// The windows of hits, those of a document that meet made one, in the order of their best hits.
fn runs<'h>(hits: &'h [Hit], window: Window, size: impl Fn(&str) -> usize) -> Vec<Run<'h>> {
    let mut runs: Vec<Run<'h>> = hits
        .iter()
        .enumerate()
        .filter(|(_, hit)| hit.chunk < size(&hit.document))
        .map(|(rank, hit)| {
            let from = hit.chunk.saturating_sub(window.before);
            let to =
                hit.chunk.saturating_add(window.after).saturating_add(1).min(size(&hit.document));
            let (document, title) = (hit.document.as_str(), hit.title.as_str());
            Run { document, title, score: hit.score, rank, chunks: from..to, hits: vec![hit.id] }
        })
        .collect();
    runs.sort_by(|a, b| {
        (a.document, a.chunks.start, a.rank).cmp(&(b.document, b.chunks.start, b.rank))
    });
    let mut joined: Vec<(Run<'h>, Vec<(usize, PointId)>)> = Vec::new();
    for run in runs {
        let ranked = (run.rank, run.hits[0]);
        match joined.last_mut() {
            Some((last, hits))
                if last.document == run.document && run.chunks.start <= last.chunks.end =>
            {
                last.chunks.end = last.chunks.end.max(run.chunks.end);
                if run.rank < last.rank {
                    (last.rank, last.score) = (run.rank, run.score);
                }
                hits.push(ranked);
            }
            _ => joined.push((run, vec![ranked])),
        }
    }
    joined.sort_by_key(|(run, _)| run.rank);
    let ordered = |(run, mut hits): (Run<'h>, Vec<(usize, PointId)>)| {
        hits.sort_unstable();
        Run { hits: hits.into_iter().map(|(_, id)| id).collect(), ..run }
    };
    joined.into_iter().map(ordered).collect()
}
