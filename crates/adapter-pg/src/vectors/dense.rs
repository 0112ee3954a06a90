//! Scores of dense vectors: of all of them, of some, or of those that an index finds near.
//!
//! Every score is computed here, by the formula that all stores share, from the vector as it was written. An index
//! only says which points are worth it.

use hexmem_ports::rules::{DenseQuery, better_first};
use hexmem_ports::{Accuracy, Found, Name, Result, VectorQuery, VectorSearch};

use super::batch::indexable;
use super::collection::Collection;
use super::read;
use super::search::{Miss, Searcher};
use super::turn::Turn;
use super::{corrupt, index, pack};

const OP: &str = "vectors.search";

/// About how many bytes of vectors are read at once.
const PAGE: usize = 4 << 20;

/// Up to so many points are compared one by one rather than looked for in an index: it is as fast, and exact.
const FEW: usize = 1_000;

/// How many an index is asked for before every vector is compared instead.
const DEEP: usize = 4_000;

/// Whether a search certainly compares vectors one by one: page by page, and those of one instant.
pub(super) fn needs_snapshot(there: &Collection, search: &VectorSearch) -> bool {
    let parts = match &search.query {
        VectorQuery::Fused { parts, .. } => parts.as_slice(),
        part => std::slice::from_ref(part),
    };
    parts.iter().any(|part| match part {
        VectorQuery::Dense { vector, .. } => {
            let channel = there.layout.dense(vector).map(|(channel, _)| channel);
            let indexed = channel.is_some_and(|channel| there.indexes.contains(&channel));
            !(indexed && worthwhile(there, search.accuracy))
        }
        _ => false,
    })
}

fn worthwhile(there: &Collection, accuracy: Accuracy) -> bool {
    accuracy == Accuracy::Indexed && there.points > FEW as u64
}

impl Searcher<'_, '_> {
    /// The score of every point, or of those that can pass where lists tell.
    pub(super) async fn dense(
        &mut self,
        vector: &Name,
        values: &[f32],
    ) -> Result<Vec<(f32, u32)>, Miss> {
        if matches!(self.turn, Turn::Each(..)) {
            return Err(Miss::NeedsSnapshot);
        }
        let spec = self.there.spec.dense.get(vector);
        let Some((spec, (channel, dimension))) = spec.zip(self.there.layout.dense(vector)) else {
            return Ok(Vec::new());
        };
        let query = DenseQuery::new(spec.distance, values);
        let page = (PAGE / 4 / dimension.max(1)).max(1);
        let mut scores = Vec::new();
        let mut scored = |rows: Vec<(i32, Vec<u8>)>| -> Result<()> {
            let mut numbers = Vec::with_capacity(dimension);
            for (ord, bytes) in rows {
                pack::read_floats(&bytes, dimension, &mut numbers)
                    .ok_or_else(|| corrupt(OP, "a dense vector"))?;
                scores.push((query.score(&numbers), read::place(OP, ord)?));
            }
            Ok(())
        };
        // Half of all by place cost as much as all in order.
        let some = self.within.as_ref().filter(|within| {
            (within.len() as u64).saturating_mul(2) <= self.there.points.max(FEW as u64)
        });
        if let Some(within) = some {
            for ords in within.iter().collect::<Vec<_>>().chunks(page) {
                let rows = self
                    .turn
                    .query(include_str!("../sql/vectors/dense_by_ords.sql"))
                    .bind(self.there.id)
                    .bind(channel)
                    .bind(read::places(ords.iter().copied()));
                scored(rows.fetch_all().await?)?;
            }
            return Ok(scores);
        }
        let mut after = -1;
        loop {
            let rows: Vec<(i32, Vec<u8>)> = self
                .turn
                .query(include_str!("../sql/vectors/dense_after.sql"))
                .bind(self.there.id)
                .bind(channel)
                .bind(after)
                .bind(read::rows(page))
                .fetch_all()
                .await?;
            let last = rows.last().map(|row| row.0).filter(|_| rows.len() == page);
            scored(rows)?;
            match last {
                Some(last) => after = last,
                None => return Ok(scores),
            }
        }
    }

    /// The best by the index of `vector`; `None` where it has none, where comparing is as fast or asked for, and
    /// where the index does not find enough that pass.
    pub(super) async fn near(
        &mut self,
        vector: &Name,
        values: &[f32],
        least: Option<f32>,
        depth: usize,
    ) -> Result<Option<Vec<Found>>, Miss> {
        let spec = self.there.spec.dense.get(vector);
        let Some((spec, (channel, dimension))) = spec.zip(self.there.layout.dense(vector)) else {
            return Ok(None);
        };
        let few = self.within.as_ref().is_some_and(|within| within.len() <= FEW.max(depth));
        let indexed = self.there.indexes.contains(&channel);
        if few || !indexed || !worthwhile(self.there, self.accuracy) {
            return Ok(None);
        }
        let Some(wanted) = indexable(spec.distance, values) else { return Ok(None) };
        let query = DenseQuery::new(spec.distance, values);
        let names = read::fields_of(self.filter, None);
        // Some more, since the index rounds.
        let mut deep = depth + depth / 2 + 16;
        let mut numbers = Vec::with_capacity(dimension);
        while deep <= DEEP {
            // Of many that a filter may refuse, only what decides is read.
            let fields = (deep > depth.saturating_mul(2).max(64)).then_some(names.as_slice());
            let there = index::near(self.turn, self.there, channel, &wanted, deep, fields).await?;
            let asked = there.len();
            let (mut found, mut worst) = (Vec::new(), f32::INFINITY);
            for near in there {
                pack::read_floats(&near.embedding, dimension, &mut numbers)
                    .ok_or_else(|| corrupt(OP, "a dense vector"))?;
                let score = query.score(&numbers);
                worst = worst.min(score);
                if self.filter.matches(&near.point.payload) {
                    found.push((score, near.point));
                }
            }
            found.sort_by(|a, b| better_first((a.0, a.1.id), (b.0, b.1.id)));
            // What lies beyond the last that the index gave is further away than it.
            if found.len() >= depth || least.is_some_and(|least| worst < least) {
                found.truncate(depth);
                found.retain(|(score, ..)| least.is_none_or(|least| *score >= least));
                if fields.is_some() {
                    let best = found.into_iter().map(|(score, point)| (score, point.ord));
                    return self.best(best.collect(), depth).await.map(Some);
                }
                let hit = |(score, point): (f32, read::Light)| Found {
                    id: point.id,
                    score,
                    parts: Vec::new(),
                    payload: point.payload,
                };
                return Ok(Some(found.into_iter().map(hit).collect()));
            }
            // As deep as the share that passed so far makes likely; where that is too deep, comparing is as fast.
            let likely = depth.saturating_mul(asked * 2).div_ceil((found.len() * 2).max(1));
            if asked < deep || likely > DEEP {
                break;
            }
            deep = (likely + likely / 4).max(deep * 2);
        }
        Ok(None)
    }
}
