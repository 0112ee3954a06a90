//! Searching a collection.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use hexmem_ports::{
    Accuracy, EmbedMode, Error, ErrorKind, FieldPath, Filter, Found, Limit, PAGE_LIMIT, PointId,
    Result, SparseVector, VectorQuery, VectorSearch,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::point::Payload;
use super::refine::Refine;
use super::{Collection, DENSE, SPARSE, fixed};
use crate::analyse::{Side, TermCounts};
use crate::bm25;
use crate::feedback::Feedback;
use crate::fuse::{Scored, weighted_sum};

/// Which signals rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Words.
    Sparse,
    /// Meaning, as an embedder sees it.
    Dense,
    /// Both: the union of the lists, fused by reciprocal rank.
    Hybrid,
}

/// How to search.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOptions {
    /// At most this many hits.
    pub limit: Limit,
    /// Which signals; `None`: hybrid where the collection has dense vectors, else sparse.
    pub mode: Option<Mode>,
    /// Over the documents' metadata: fields are those that were ingested.
    pub filter: Filter,
    /// Only scores of at least this. Scores of different modes are not comparable.
    pub min_score: Option<f32>,
    /// Widens queries of two or more terms by the best hits of a first search; `None`: as asked, no more.
    pub feedback: Option<Feedback>,
    /// How hybrid mode makes one list of two.
    pub fusion: Fusion,
    /// What becomes of the candidates before they are hits; nothing by default.
    pub refine: Refine,
}

/// How hybrid mode makes one list of two. The candidates are the union.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Fusion {
    /// By rank, k = 60 (Cormack and others 2009).
    #[default]
    ReciprocalRank,
    /// By score, each list brought to 0 to 1: `dense` times that of meaning and the rest of words, 0 to 1.
    Weighted {
        /// The weight of meaning.
        dense: f64,
    },
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            limit: Limit::default(),
            mode: None,
            filter: Filter::all(),
            min_score: None,
            feedback: Some(Feedback::default()),
            fusion: Fusion::default(),
            refine: Refine::default(),
        }
    }
}

/// A chunk found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hit {
    /// The chunk.
    pub id: PointId,
    /// Its document.
    pub document: String,
    /// Which of the document's chunks.
    pub chunk: usize,
    /// Higher is better.
    pub score: f32,
    /// The document's title.
    pub title: String,
    /// The headings above the chunk.
    pub context: Vec<String>,
    /// The chunk's text.
    pub text: String,
    /// The document's metadata.
    pub metadata: Map<String, Value>,
    /// What each signal said: `sparse`, `dense`; `rrf` or `weighted` for hybrid; `rerank`; the parts of a profile.
    pub signals: BTreeMap<&'static str, f32>,
}

impl Hit {
    /// The text behind its title and headings, for a reranker.
    pub(super) fn text_in_context(&self) -> String {
        let above = self.title.lines().chain(self.context.iter().map(String::as_str));
        let lines: Vec<&str> =
            above.chain([self.text.as_str()]).filter(|line| !line.is_empty()).collect();
        lines.join("\n")
    }
}

/// The constant of reciprocal rank fusion (Cormack and others 2009).
const RANKS: u32 = 60;
/// How deep each list of a hybrid search is, at least.
const CANDIDATES: u32 = 100;

impl Collection {
    /// The best chunks for a question. A question without a term that counts (stop words alone) finds nothing in sparse mode.
    ///
    /// `Unsupported` when the mode needs an embedder that is not there. A collection that was embedded anew since it was
    /// opened is opened again: `Conflict` when the embedder is not that of the new space.
    pub async fn search(&self, question: &str, options: &SearchOptions) -> Result<Vec<Hit>> {
        match self.search_here(question, options).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match self.rag.open(self.id.clone()).await? {
                    Some(now) if now.place != self.place => {
                        now.search_here(question, options).await
                    }
                    _ => Err(error),
                }
            }
            other => other,
        }
    }

    async fn search_here(&self, question: &str, options: &SearchOptions) -> Result<Vec<Hit>> {
        let mode =
            options.mode.unwrap_or(if self.has_dense() { Mode::Hybrid } else { Mode::Sparse });
        if mode != Mode::Sparse && !self.has_dense() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "rag.search",
                "the collection has no dense vectors, or no embedder is configured; search in sparse mode",
            )
            .with("collection", &self.id));
        }
        options.refine.check()?;
        if options.min_score.is_some_and(|least| !least.is_finite()) {
            return Err(Error::invalid("rag.search", "the least score is no finite number"));
        }
        let depth = Limit::new(options.refine.depth(options.limit.get()))?;
        let filter = on_metadata(&options.filter)?;
        let sparse = match mode {
            Mode::Dense => None,
            Mode::Sparse | Mode::Hybrid => self.sparse_query(question, options, &filter).await?,
        };
        let dense = match mode {
            Mode::Sparse => None,
            Mode::Dense | Mode::Hybrid => self.dense_query(question).await?,
        };
        let names: Vec<&'static str> =
            sparse.iter().map(|_| "sparse").chain(dense.iter().map(|_| "dense")).collect();
        let parts: Vec<VectorQuery> = sparse.into_iter().chain(dense).collect();
        let hits = match (mode, options.fusion) {
            (Mode::Hybrid, Fusion::Weighted { dense }) => {
                self.weighted(parts, &names, dense, filter, depth).await?
            }
            _ => self.by_store(parts, &names, mode, filter, depth).await?,
        };
        self.refined(question, hits, options).await
    }

    /// One search in the store.
    async fn by_store(
        &self,
        mut parts: Vec<VectorQuery>,
        names: &[&'static str],
        mode: Mode,
        filter: Filter,
        limit: Limit,
    ) -> Result<Vec<Hit>> {
        let query = match (mode, parts.len()) {
            (_, 0) => return Ok(Vec::new()),
            (Mode::Hybrid, _) => {
                let candidates = Limit::new(limit.get().max(CANDIDATES))?;
                VectorQuery::Fused { parts, k: RANKS, candidates }
            }
            _ => parts.remove(0),
        };
        let found = self.run(query, filter, limit).await?;
        found.into_iter().map(|found| hit(found, names, mode)).collect()
    }

    /// A search for each signal, and their scores added up.
    async fn weighted(
        &self,
        parts: Vec<VectorQuery>,
        names: &[&'static str],
        dense: f64,
        filter: Filter,
        limit: Limit,
    ) -> Result<Vec<Hit>> {
        if !(0.0..=1.0).contains(&dense) {
            return Err(Error::invalid("rag.search", "the weight of meaning is 0 to 1"));
        }
        let deep = Limit::new(limit.get().max(CANDIDATES))?;
        let mut hits: BTreeMap<PointId, Hit> = BTreeMap::new();
        let mut lists = Vec::new();
        for (query, name) in parts.into_iter().zip(names) {
            let found = self.run(query, filter.clone(), deep).await?;
            let weight = if *name == "dense" { dense } else { 1.0 - dense };
            let scores = found.iter().map(|found| (found.id, f64::from(found.score))).collect();
            lists.push(Scored { hits: scores, weight });
            for found in found {
                let (id, score) = (found.id, found.score);
                let entry = match hits.entry(id) {
                    Entry::Vacant(place) => place.insert(hit(found, &[], Mode::Sparse)?),
                    Entry::Occupied(place) => place.into_mut(),
                };
                entry.signals.insert(name, score);
            }
        }
        let most = usize::try_from(limit.get()).unwrap_or(usize::MAX);
        let fused = weighted_sum(&lists)?.into_iter().take(most);
        let scored = fused.filter_map(|fused| {
            let mut hit = hits.remove(&fused.id)?;
            #[allow(clippy::cast_possible_truncation, reason = "0 to 1, rounded")]
            let score = fused.score as f32;
            hit.score = score;
            hit.signals.insert("weighted", score);
            Some(hit)
        });
        Ok(scored.collect())
    }

    async fn run(&self, query: VectorQuery, filter: Filter, limit: Limit) -> Result<Vec<Found>> {
        let (min_score, accuracy) = (None, Accuracy::Indexed);
        let search = VectorSearch { query, filter, limit, min_score, accuracy };
        self.store().search(&self.place, &search).await
    }

    async fn sparse_query(
        &self,
        question: &str,
        options: &SearchOptions,
        filter: &Filter,
    ) -> Result<Option<VectorQuery>> {
        let counts = TermCounts::of(&self.analyzer, question, Side::Query);
        if counts.is_empty() {
            return Ok(None);
        }
        let mut values = bm25::query(&counts)?;
        let vector = fixed(SPARSE)?;
        if let Some(feedback) = options.feedback.filter(|_| values.indices().len() > 1) {
            let first = VectorQuery::Sparse { vector: vector.clone(), values: values.clone() };
            let hits = u32::try_from(feedback.hits).unwrap_or(PAGE_LIMIT).clamp(1, PAGE_LIMIT);
            let limit = Limit::new(hits)?;
            let best = self.run(first, filter.clone(), limit).await?;
            let ids: Vec<PointId> = best.iter().map(|found| found.id).collect();
            let points = self.store().get(&self.place, &ids).await?;
            let vectors: Vec<(f32, &SparseVector)> = best
                .iter()
                .zip(&points)
                .filter_map(|(found, point)| {
                    Some((found.score, point.as_ref()?.sparse.get(&vector)?))
                })
                .collect();
            values = feedback.widen(&values, &vectors)?;
        }
        Ok(Some(VectorQuery::Sparse { vector, values }))
    }

    async fn dense_query(&self, question: &str) -> Result<Option<VectorQuery>> {
        let Some(embedder) = self.rag.embedder.as_ref().filter(|_| !question.trim().is_empty())
        else {
            return Ok(None);
        };
        let vectors = embedder.embed(EmbedMode::Query, &[question.to_owned()]).await?;
        let vector = fixed(DENSE)?;
        Ok(vectors.into_iter().next().map(|values| VectorQuery::Dense { vector, values }))
    }
}

fn hit(found: Found, names: &[&'static str], mode: Mode) -> Result<Hit> {
    let payload = Payload::read(found.id, found.payload)?;
    let mut signals = BTreeMap::new();
    if mode == Mode::Hybrid {
        signals.insert("rrf", found.score);
        signals.extend(
            names.iter().zip(&found.parts).filter_map(|(name, score)| Some((*name, (*score)?))),
        );
    } else {
        signals.extend(names.iter().map(|name| (*name, found.score)));
    }
    Ok(Hit {
        id: found.id,
        document: payload.document,
        chunk: payload.chunk,
        score: found.score,
        title: payload.title,
        context: payload.context,
        text: payload.text,
        metadata: payload.metadata,
        signals,
    })
}

/// The same filter over the fields under `metadata`.
fn on_metadata(filter: &Filter) -> Result<Filter> {
    let under = |path: &FieldPath| FieldPath::new(format!("metadata.{}", path.as_str()));
    let all = |parts: &[Filter]| parts.iter().map(on_metadata).collect::<Result<Vec<_>>>();
    Ok(match filter {
        Filter::And(parts) => Filter::And(all(parts)?),
        Filter::Or(parts) => Filter::Or(all(parts)?),
        Filter::Not(part) => Filter::Not(Box::new(on_metadata(part)?)),
        Filter::Eq(path, value) => Filter::Eq(under(path)?, value.clone()),
        Filter::In(path, values) => Filter::In(under(path)?, values.clone()),
        Filter::Range(path, bounds) => Filter::Range(under(path)?, *bounds),
        Filter::Exists(path, presence) => Filter::Exists(under(path)?, *presence),
    })
}
