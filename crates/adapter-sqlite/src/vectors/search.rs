//! Search: all scores from blocks, then the points of the best ones until enough pass.

use std::collections::HashMap;

use hexmem_ports::rules::{
    DenseQuery, SparseQuery, best_in_front, better_first, fuse_found, narrow,
};
use hexmem_ports::{
    Accuracy, Filter, Found, Name, Result, SparseVector, VectorQuery, VectorSearch,
};

use super::collection::Collection;
use super::live::{Live, POINTS};
use super::pack::DenseRun;
use super::read::{self, Ords};
use super::{Turn, corrupt, dense, postings};

/// Blocks of dense vectors in one statement: a few megabytes.
const SCAN: u32 = 32;

/// One search in one snapshot.
pub(super) struct Searcher<'a, T> {
    pub(super) turn: &'a mut T,
    pub(super) collection: &'a Collection,
    pub(super) filter: &'a Filter,
    pub(super) live: Live,
    /// The points that can pass, where terms tell.
    pub(super) within: Option<Ords>,
    pub(super) accuracy: Accuracy,
}

pub(super) async fn search<T: Turn>(
    turn: &mut T,
    collection: &Collection,
    search: &VectorSearch,
) -> Result<Vec<Found>> {
    let live = Live::load(turn, collection.id).await?;
    let within = read::candidates(turn, collection, &search.filter).await?;
    let filter = &search.filter;
    let mut searcher =
        Searcher { turn, collection, filter, live, within, accuracy: search.accuracy };
    let VectorQuery::Fused { parts, k, candidates } = &search.query else {
        return searcher.list(&search.query, search.min_score, search.limit.as_usize()).await;
    };
    let mut lists = Vec::with_capacity(parts.len());
    for part in parts {
        lists.push(searcher.list(part, None, candidates.as_usize()).await?);
    }
    Ok(fuse_found(lists, *k, search.min_score, search.limit))
}

impl<T: Turn> Searcher<'_, T> {
    /// The best of one list that pass the filter.
    async fn list(
        &mut self,
        query: &VectorQuery,
        least: Option<f32>,
        depth: usize,
    ) -> Result<Vec<Found>> {
        if let VectorQuery::Dense { vector, values } = query
            && let Some(found) = self.near(vector, values, least, depth).await?
        {
            return Ok(found);
        }
        let mut scores = match query {
            VectorQuery::Dense { vector, values } => self.dense(vector, values).await?,
            VectorQuery::Sparse { vector, values } => self.sparse(vector, values).await?,
            // Refused before.
            VectorQuery::Fused { .. } => Vec::new(),
        };
        scores.retain(|(score, ord)| {
            least.is_none_or(|least| *score >= least)
                && self.within.as_ref().is_none_or(|within| within.has(*ord))
        });
        self.best(scores, depth).await
    }

    /// Every live point's score, exactly.
    async fn dense(&mut self, vector: &Name, values: &[f32]) -> Result<Vec<(f32, u32)>> {
        let spec = self.collection.spec.dense.get(vector);
        let Some((spec, (channel, dimension))) = spec.zip(self.collection.layout.dense(vector))
        else {
            return Ok(Vec::new());
        };
        let query = DenseQuery::new(spec.distance, values);
        let (mut scores, mut after) = (Vec::new(), -1);
        let mut run = DenseRun::default();
        loop {
            let id = self.collection.id;
            let blocks = dense::blocks_after(self.turn, id, channel, after, SCAN).await?;
            let Some(last) = blocks.last() else { return Ok(scores) };
            after = last.0;
            for block in &blocks {
                let first = dense::unpack(self.turn, block, dimension, &mut run)?;
                for (ord, values) in run.ords.iter().zip(run.values.chunks_exact(dimension)) {
                    let ord = first.saturating_add(*ord);
                    if self.live.has(POINTS, ord) {
                        scores.push((query.score(values), ord));
                    }
                }
            }
        }
    }

    /// The score of every live point with a common index.
    async fn sparse(&mut self, vector: &Name, query: &SparseVector) -> Result<Vec<(f32, u32)>> {
        let spec = self.collection.spec.sparse.get(vector);
        let Some((spec, channel)) = spec.zip(self.collection.layout.sparse(vector)) else {
            return Ok(Vec::new());
        };
        let lists = read::lists(self.turn, self.collection, channel, query.indices()).await?;
        let view = self.live.view(channel);
        // Live postings only: so their number is the number of points with the term.
        let mut terms: Vec<(u32, Vec<(u32, f32)>)> = Vec::new();
        for lists in lists.chunk_by(|a, b| a.0 == b.0) {
            let mut live = Vec::new();
            for (_, first, list) in lists {
                let read = postings::each(list, |ord, value| {
                    if let Some(slot) = view.slot(first.saturating_add(ord)) {
                        live.push((slot, value));
                    }
                });
                read.ok_or_else(|| corrupt(self.turn, "a posting list"))?;
            }
            terms.extend(lists.first().map(|(term, ..)| (*term, live)));
        }
        let found = |term: u32| terms.binary_search_by_key(&term, |(term, _)| *term).ok();
        let weighed = SparseQuery::new(query, spec.weighting, self.live.count(channel), |term| {
            found(term).map_or(0, |at| terms[at].1.len() as u64)
        });
        // -0.0 marks a point without a common index: a sum never comes back to it, as each addend is made
        // other than -0.0.
        let mut sums = vec![-0.0f64; view.size()];
        for (term, weight) in weighed.weights() {
            let Some(at) = found(*term) else { continue };
            for (slot, value) in &terms[at].1 {
                sums[*slot as usize] += weight * f64::from(*value) + 0.0;
            }
        }
        let common = sums.iter().zip(view.ords());
        let common = common.filter(|(sum, _)| sum.to_bits() != (-0.0f64).to_bits());
        Ok(common.map(|(sum, ord)| (narrow(*sum), ord)).collect())
    }

    /// The best `depth` that pass the filter: points are read from the top down, only until enough have passed.
    pub(super) async fn best(
        &mut self,
        mut scores: Vec<(f32, u32)>,
        depth: usize,
    ) -> Result<Vec<Found>> {
        let (mut hits, mut want) = (Vec::new(), depth);
        while hits.len() < depth && !scores.is_empty() {
            let end = best_in_front(&mut scores, want);
            let rest = scores.split_off(end);
            let by_ord: HashMap<u32, f32> =
                scores.iter().map(|(score, ord)| (*ord, *score)).collect();
            let ords = by_ord.keys().copied();
            let points = read::by_ords(self.turn, self.collection, ords).await?;
            let passing = points.into_iter().filter(|point| self.filter.matches(&point.payload));
            let start = hits.len();
            hits.extend(passing.map(|point| Found {
                id: point.id,
                score: by_ord.get(&point.ord).copied().unwrap_or_default(),
                parts: Vec::new(),
                payload: point.payload,
            }));
            hits[start..].sort_by(|a, b| better_first((a.score, a.id), (b.score, b.id)));
            scores = rest;
            want = (want * 4).max(64);
        }
        hits.truncate(depth);
        Ok(hits)
    }
}
