//! What becomes of candidates before they are hits: a second opinion, a profile, fewer of the same.

use std::collections::BTreeMap;

use hexmem_ports::{Error, ErrorKind, Point, PointId, Result, SparseVector, Timestamp};

use super::search::{Hit, SearchOptions};
use super::{Collection, DENSE, SPARSE, fixed};
use crate::diversity::{marginal_relevance, per_group};
use crate::profile::Profile;

/// Steps after the search, in this order. Each looks at more candidates than are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Refine {
    /// Lets the reranker score the best so many candidates, 1 to 1,000; the others follow in their order.
    pub rerank: Option<u32>,
    /// Scores by age, importance and use too, at this present.
    pub profile: Option<(Profile, Timestamp)>,
    /// Puts hits that say something new before hits that repeat (maximal marginal relevance): 0 looks at news only, 1
    /// at relevance only.
    pub diversity: Option<f64>,
    /// At most so many chunks of one document.
    pub per_document: Option<usize>,
}

/// Candidates for one hit.
const DEPTH: u32 = 5;
/// The least and the most candidates.
const LEAST: u32 = 50;
const MOST: u32 = 1_000;

impl Refine {
    /// How many candidates the search gives; as many as are asked for where there is no step.
    pub(super) fn depth(&self, limit: u32) -> u32 {
        if *self == Self::default() {
            return limit;
        }
        let asked = self.rerank.unwrap_or_default();
        limit.saturating_mul(DEPTH).clamp(LEAST, MOST).max(limit).max(asked)
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = if self.rerank.is_some_and(|most| !(1..=MOST).contains(&most)) {
            "rerank is 1 to 1000 candidates"
        } else if self.diversity.is_some_and(|weight| !(0.0..=1.0).contains(&weight)) {
            "diversity is 0 to 1"
        } else if self.per_document == Some(0) {
            "at least one chunk of a document"
        } else {
            return Ok(());
        };
        Err(Error::invalid("rag.search", wrong))
    }
}

impl Collection {
    /// Applies the steps, and gives at most as many hits as are asked for.
    pub(super) async fn refined(
        &self,
        question: &str,
        mut hits: Vec<Hit>,
        options: &SearchOptions,
    ) -> Result<Vec<Hit>> {
        let steps = &options.refine;
        if let Some(most) = steps.rerank {
            hits =
                self.reranked(question, hits, usize::try_from(most).unwrap_or(usize::MAX)).await?;
        }
        if let Some((profile, now)) = steps.profile {
            hits = profiled(hits, profile, now);
        }
        if let Some(least) = options.min_score {
            hits.retain(|hit| hit.score >= least);
        }
        let limit = usize::try_from(options.limit.get()).unwrap_or(usize::MAX);
        if let Some(weight) = steps.diversity {
            hits = self.diverse(hits, weight).await?;
        }
        if let Some(most) = steps.per_document {
            hits = per_group(hits, most, |hit| hit.document.clone());
        }
        hits.truncate(limit);
        Ok(hits)
    }

    async fn reranked(&self, question: &str, mut hits: Vec<Hit>, most: usize) -> Result<Vec<Hit>> {
        let reranker = self.rag.reranker.as_ref().ok_or_else(|| {
            let what = "no reranker is configured; search without it";
            Error::new(ErrorKind::Unsupported, "rag.search", what)
        })?;
        let rest = hits.split_off(hits.len().min(most));
        let texts: Vec<String> = hits.iter().map(Hit::text_in_context).collect();
        let scores = reranker.rerank(question, &texts).await?;
        for (hit, score) in hits.iter_mut().zip(scores) {
            hit.score = score;
            hit.signals.insert("rerank", score);
        }
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        // What it has not seen has a score of another kind: below all that it has.
        let lowest = hits.last().map_or(0.0, |hit| hit.score);
        hits.extend(rest.into_iter().map(|hit| Hit { score: lowest, ..hit }));
        Ok(hits)
    }

    async fn diverse(&self, hits: Vec<Hit>, weight: f64) -> Result<Vec<Hit>> {
        let ids: Vec<PointId> = hits.iter().map(|hit| hit.id).collect();
        let mut points = Vec::with_capacity(ids.len());
        for part in ids.chunks(1_000) {
            points.extend(self.store().get(&self.place, part).await?);
        }
        let vectors =
            points.iter().map(|point| Vectors::of(point.as_ref())).collect::<Result<Vec<_>>>()?;
        let relevance = shares(&hits);
        let likeness = |a: usize, b: usize| vectors[a].likeness(&vectors[b]);
        let order = marginal_relevance(&relevance, likeness, weight, hits.len());
        let mut hits: Vec<Option<Hit>> = hits.into_iter().map(Some).collect();
        Ok(order.into_iter().filter_map(|place| hits.get_mut(place)?.take()).collect())
    }
}

fn profiled(mut hits: Vec<Hit>, profile: Profile, now: Timestamp) -> Vec<Hit> {
    let likenesses = likenesses(&hits);
    for (hit, share) in hits.iter_mut().zip(likenesses) {
        let (score, parts) = profile.score(share, &hit.metadata, now);
        #[allow(clippy::cast_possible_truncation, reason = "a score of 0 to 1, rounded")]
        let narrow = |value: f64| value as f32;
        hit.score = narrow(score);
        hit.signals.extend(parts.into_iter().map(|(name, value)| (name, narrow(value))));
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
    hits
}

/// How like the question hits are, 0 to 1: the cosine of meaning where only that was asked, else the share of the best score.
fn likenesses(hits: &[Hit]) -> Vec<f64> {
    let only_dense = |hit: &Hit| hit.signals.len() == 1 && hit.signals.contains_key("dense");
    let best = hits.iter().map(|hit| f64::from(hit.score)).fold(0.0, f64::max);
    let one = |hit: &Hit| match f64::from(hit.score) {
        score if only_dense(hit) => score.clamp(0.0, 1.0),
        score if best > 0.0 => (score / best).clamp(0.0, 1.0),
        _ => 0.0,
    };
    hits.iter().map(one).collect()
}

/// Scores from 0, the lowest, to 1, the highest.
fn shares(hits: &[Hit]) -> Vec<f64> {
    let scores = || hits.iter().map(|hit| f64::from(hit.score));
    let low = scores().fold(f64::INFINITY, f64::min);
    let range = scores().fold(f64::NEG_INFINITY, f64::max) - low;
    scores().map(|score| if range > 0.0 { (score - low) / range } else { 1.0 }).collect()
}

/// The vectors of a point: meaning where it has some, else words.
enum Vectors {
    Dense(Vec<f32>),
    Sparse(BTreeMap<u32, f32>),
    None,
}

impl Vectors {
    fn of(point: Option<&Point>) -> Result<Self> {
        let Some(point) = point else { return Ok(Self::None) };
        if let Some(dense) = point.dense.get(&fixed(DENSE)?) {
            return Ok(Self::Dense(dense.clone()));
        }
        let words = |sparse: &SparseVector| {
            sparse.indices().iter().copied().zip(sparse.values().iter().copied()).collect()
        };
        Ok(point
            .sparse
            .get(&fixed(SPARSE)?)
            .map_or(Self::None, |sparse| Self::Sparse(words(sparse))))
    }

    /// The cosine, 0 where it is below.
    fn likeness(&self, other: &Self) -> f64 {
        let (dot, a, b) = match (self, other) {
            (Self::Dense(a), Self::Dense(b)) => {
                let dot = a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
                let square = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>();
                (dot, square(a), square(b))
            }
            (Self::Sparse(a), Self::Sparse(b)) => {
                let dot = a.iter().filter_map(|(word, x)| Some(x * b.get(word)?)).sum::<f32>();
                let square = |v: &BTreeMap<u32, f32>| v.values().map(|x| x * x).sum::<f32>();
                (dot, square(a), square(b))
            }
            _ => return 0.0,
        };
        let length = f64::from(a).sqrt() * f64::from(b).sqrt();
        if length > 0.0 { (f64::from(dot) / length).clamp(0.0, 1.0) } else { 0.0 }
    }
}
