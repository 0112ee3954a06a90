//! Search: all scores from lists and vectors, then the points of the best ones until enough pass.

use std::collections::HashMap;

use hexmem_ports::rules::{
    SparseQuery, best_in_front, better_first, check_search, fuse_found, narrow, no_collection,
};
use hexmem_ports::{
    Accuracy, CollectionId, Error, Filter, Found, Name, PointId, Result, SparseVector, VectorQuery,
    VectorSearch,
};
use serde_json::Value;
use uuid::Uuid;

use super::collection::Collection;
use super::layout::list;
use super::lists::{self, Lists, Planned};
use super::ords::{Ords, Sums};
use super::read::{self, Light};
use super::turn::Turn;
use super::{corrupt, dense, pack};
use crate::Postgres;

const OP: &str = "vectors.search";

/// How often a search begins anew because points that it found were replaced before they were read. After that it
/// runs in one snapshot, which costs two round trips more.
const TRIES: u32 = 3;

/// Why a search has no answer.
pub(super) enum Miss {
    /// What it found has gone since.
    Moved,
    /// It takes several statements that must see one instant.
    NeedsSnapshot,
    /// It failed.
    Failed(Error),
}

impl From<Error> for Miss {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

pub(super) async fn search(
    postgres: &Postgres,
    at: &CollectionId,
    search: &VectorSearch,
) -> Result<Vec<Found>> {
    for _ in 0..TRIES {
        let mut turn = Turn::Each(postgres, OP);
        let there = resolve(&mut turn, at).await?;
        check_search(OP, &there.spec, search)?;
        if dense::needs_snapshot(&there, search) {
            break;
        }
        match Searcher::run(&mut turn, &there, search).await {
            Ok(found) => return Ok(found),
            Err(Miss::Moved) => {}
            Err(Miss::NeedsSnapshot) => break,
            Err(Miss::Failed(error)) => return Err(error),
        }
    }
    let mut tx = postgres.snapshot(OP).await?;
    let found = in_snapshot(&mut Turn::Tx(&mut tx), at, search).await;
    tx.finish(found).await
}

async fn resolve(turn: &mut Turn<'_>, at: &CollectionId) -> Result<Collection> {
    Collection::resolve(turn, at).await?.ok_or_else(|| no_collection(OP, at))
}

async fn in_snapshot(
    turn: &mut Turn<'_>,
    at: &CollectionId,
    search: &VectorSearch,
) -> Result<Vec<Found>> {
    let there = resolve(turn, at).await?;
    check_search(OP, &there.spec, search)?;
    Searcher::run(turn, &there, search).await.map_err(|miss| match miss {
        Miss::Failed(error) => error,
        Miss::Moved | Miss::NeedsSnapshot => {
            corrupt(OP, "a list names points that are not there: it").with("collection", at)
        }
    })
}

/// One search.
pub(super) struct Searcher<'a, 't> {
    pub(super) turn: &'a mut Turn<'t>,
    pub(super) there: &'a Collection,
    pub(super) filter: &'a Filter,
    pub(super) accuracy: Accuracy,
    /// The points that can pass, where lists tell.
    pub(super) within: Option<Ords>,
    lists: Option<Lists>,
}

impl<'a, 't> Searcher<'a, 't> {
    async fn run(
        turn: &'a mut Turn<'t>,
        there: &'a Collection,
        search: &'a VectorSearch,
    ) -> Result<Vec<Found>, Miss> {
        let parts = match &search.query {
            VectorQuery::Fused { parts, .. } => parts.as_slice(),
            part => std::slice::from_ref(part),
        };
        let planned = Planned::of(there, &search.filter);
        let mut ranges = planned.as_ref().map(|p| p.ranges(there)).unwrap_or_default();
        for part in parts {
            let VectorQuery::Sparse { vector, values } = part else { continue };
            let Some((_, channel)) = there.layout.sparse(vector) else { continue };
            let lists = values.indices().iter().map(|term| list(channel, *term));
            ranges.extend(lists.map(|list| (list, list)));
        }
        let sparse = parts.iter().any(|part| matches!(part, VectorQuery::Sparse { .. }));
        // One statement: every list of one search is of one instant.
        let lists = if sparse || planned.is_some() {
            ranges.sort_unstable();
            ranges.dedup();
            Some(lists::lists(turn, there, &ranges).await?.ok_or(Miss::Moved)?)
        } else {
            None
        };
        let within = match (&planned, &lists) {
            (Some(planned), Some(lists)) => Some(planned.follow(OP, there, lists)?),
            _ => None,
        };
        let (filter, accuracy) = (&search.filter, search.accuracy);
        let mut searcher = Self { turn, there, filter, accuracy, within, lists };
        searcher.answer(search).await
    }

    async fn answer(&mut self, search: &VectorSearch) -> Result<Vec<Found>, Miss> {
        let VectorQuery::Fused { parts, k, candidates } = &search.query else {
            return self.list(&search.query, search.min_score, search.limit.as_usize()).await;
        };
        let mut lists = Vec::with_capacity(parts.len());
        for part in parts {
            lists.push(self.list(part, None, candidates.as_usize()).await?);
        }
        Ok(fuse_found(lists, *k, search.min_score, search.limit))
    }

    /// The best of one list that pass the filter.
    async fn list(
        &mut self,
        query: &VectorQuery,
        least: Option<f32>,
        depth: usize,
    ) -> Result<Vec<Found>, Miss> {
        let mut scores = match query {
            VectorQuery::Dense { vector, values } => {
                if let Some(hits) = self.near(vector, values, least, depth).await? {
                    return Ok(hits);
                }
                self.dense(vector, values).await?
            }
            VectorQuery::Sparse { vector, values } => self.sparse(vector, values)?,
            // Refused before.
            VectorQuery::Fused { .. } => Vec::new(),
        };
        scores.retain(|(score, ord)| {
            least.is_none_or(|least| *score >= least)
                && self.within.as_ref().is_none_or(|within| within.has(*ord))
        });
        self.best(scores, depth).await
    }

    /// The score of every point with a common index.
    fn sparse(&self, vector: &Name, query: &SparseVector) -> Result<Vec<(f32, u32)>> {
        let spec = self.there.spec.sparse.get(vector);
        let Some(((spec, (place, channel)), lists)) =
            spec.zip(self.there.layout.sparse(vector)).zip(self.lists.as_ref())
        else {
            return Ok(Vec::new());
        };
        // Entries of points that are there only: so their number is the number of points with the term.
        let mut terms: HashMap<u32, Vec<(u32, f32)>> = HashMap::new();
        for term in query.indices() {
            let Some(blocks) = lists.blocks.get(&list(channel, *term)) else { continue };
            let mut live = Vec::new();
            for block in blocks {
                pack::entries(block, |ord, value| {
                    if !lists.dead.has(ord) {
                        live.push((ord, value));
                    }
                })
                .ok_or_else(|| corrupt(OP, "the list of a sparse index"))?;
            }
            terms.insert(*term, live);
        }
        let total = lists.populations.get(place).copied().unwrap_or(0);
        let total = u64::try_from(total).unwrap_or(0);
        let weighed = SparseQuery::new(query, spec.weighting, total, |term| {
            terms.get(&term).map_or(0, |live| live.len() as u64)
        });
        let mut sums = Sums::default();
        for (term, weight) in weighed.weights() {
            for (ord, value) in terms.get(term).into_iter().flatten() {
                sums.add(*ord, weight * f64::from(*value));
            }
        }
        Ok(sums.iter().map(|(ord, sum)| (narrow(sum), ord)).collect())
    }

    /// The best `depth` that pass the filter: points are read from the top down, only until enough have passed.
    pub(super) async fn best(
        &mut self,
        mut scores: Vec<(f32, u32)>,
        depth: usize,
    ) -> Result<Vec<Found>, Miss> {
        let names = read::fields_of(self.filter, None);
        let (mut hits, mut want): (Vec<(f32, PointId, u32, Value)>, _) = (Vec::new(), depth);
        let mut whole = true;
        while hits.len() < depth && !scores.is_empty() {
            let end = best_in_front(&mut scores, want);
            let rest = scores.split_off(end);
            let by_ord: HashMap<u32, f32> =
                scores.iter().map(|(score, ord)| (*ord, *score)).collect();
            let ords = read::places(by_ord.keys().copied());
            // Of many that tie, or that a filter may refuse, only what decides is read.
            let few = end <= depth.saturating_mul(2).max(64);
            let points = if few {
                self.payloads(ords).await?
            } else {
                whole = false;
                read::fields_at(self.turn, self.there, &names, ords).await?
            };
            if points.len() < end {
                return Err(Miss::Moved);
            }
            let start = hits.len();
            let passing = points.into_iter().filter(|point| self.filter.matches(&point.payload));
            hits.extend(passing.map(|point| {
                let score = by_ord.get(&point.ord).copied().unwrap_or_default();
                (score, point.id, point.ord, point.payload)
            }));
            hits[start..].sort_by(|a, b| better_first((a.0, a.1), (b.0, b.1)));
            scores = rest;
            want = (want * 4).max(64);
        }
        hits.truncate(depth);
        if !whole && !hits.is_empty() {
            let ords = read::places(hits.iter().map(|hit| hit.2));
            let points = self.payloads(ords).await?.into_iter();
            let mut payloads: HashMap<u32, Value> =
                points.map(|point| (point.ord, point.payload)).collect();
            if payloads.len() < hits.len() {
                return Err(Miss::Moved);
            }
            for hit in &mut hits {
                hit.3 = payloads.remove(&hit.2).unwrap_or_default();
            }
        }
        let found = |(score, id, _, payload)| Found { id, score, parts: Vec::new(), payload };
        Ok(hits.into_iter().map(found).collect())
    }

    /// The points at `ords` that are there, in no order.
    async fn payloads(&mut self, ords: Vec<i32>) -> Result<Vec<Light>> {
        let rows: Vec<(i32, Uuid, String)> = self
            .turn
            .query(include_str!("../sql/vectors/by_ords.sql"))
            .bind(self.there.id)
            .bind(ords)
            .fetch_all()
            .await?;
        let read = |(ord, id, payload): (i32, Uuid, String)| read::heavy(OP, ord, id, &payload);
        rows.into_iter().map(read).collect()
    }
}
