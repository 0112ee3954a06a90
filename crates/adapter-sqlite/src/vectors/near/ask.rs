//! A search by an index: it says which points are near, and these are compared.

use std::sync::Arc;

use hexmem_ports::rules::DenseQuery;
use hexmem_ports::{Accuracy, Distance, Found, Name, Result};

use super::super::Turn;
use super::super::live::POINTS;
use super::super::pack::DenseRun;
use super::super::search::Searcher;
use super::graph::{Near, nearest};
use super::held::{Held, Indexes, There};
use super::rows;

/// How wide the way through the graph is at least: the wider, the more of the nearest are found.
const BREADTH: usize = 128;

/// Squares within these can be told apart in single precision.
const SAFE: std::ops::RangeInclusive<f64> = 1e-20..=1e30;

/// Whether an index can say what is near to `query`. To a zero vector everything is equally near.
fn askable(distance: Distance, query: &[f32]) -> bool {
    let square: f64 = query.iter().map(|v| f64::from(*v).powi(2)).sum();
    SAFE.contains(&square) || (distance == Distance::Euclid && square < 1e-20)
}

impl<T: Turn> Searcher<'_, T> {
    /// The best by the index of `vector`. `None`: every vector is to be compared, because there is no index, because
    /// that is asked for or as fast, or because the index does not find enough that pass.
    pub(in super::super) async fn near(
        &mut self,
        vector: &Name,
        values: &[f32],
        least: Option<f32>,
        depth: usize,
    ) -> Result<Option<Vec<Found>>> {
        let spec = self.collection.spec.dense.get(vector);
        let Some((spec, (channel, dimension))) = spec.zip(self.collection.layout.dense(vector))
        else {
            return Ok(None);
        };
        // Some more, since the index rounds.
        let mut deep = depth + depth / 2 + 16;
        let points = usize::try_from(self.collection.points).unwrap_or(usize::MAX);
        let from = self.turn.database().dense_index().from as usize;
        let worthwhile = points > from && deep.saturating_mul(4) <= points;
        if self.accuracy == Accuracy::Exact || !worthwhile || !askable(spec.distance, values) {
            return Ok(None);
        }
        let distance = spec.distance;
        let found = Indexes::of(self.turn, self.collection, channel, dimension, distance).await?;
        let There::Index(held) = found else { return Ok(None) };
        let (up_to, next) = (held.stand.up_to, self.collection.next_ord);
        if self.live.count_within(POINTS, up_to, next).saturating_mul(4) > self.collection.points {
            return Ok(None);
        }
        let tail = Indexes::tail(self.turn, self.collection, channel, dimension, up_to).await?;
        let query = DenseQuery::new(distance, values);
        let tail = self.compare(&tail, &query, dimension);
        let mut ranking: Option<Vec<Near>> = self.few(points).then(|| self.ranking(&held, values));
        loop {
            let mut near = match &ranking {
                Some(all) => all[..deep.min(all.len())].to_vec(),
                None => self.walk(&held, values, deep),
            };
            let all = ranking.as_ref().is_some_and(|all| all.len() <= deep);
            nearest(&mut near, deep);
            let ords: Vec<u32> = near.iter().map(|near| near.1).collect();
            let form = held.graph.form();
            let mut scores = Vec::with_capacity(ords.len() + tail.len());
            let vectors =
                rows::vectors(self.turn, self.collection.id, channel, form, &ords).await?;
            scores.extend(vectors.iter().map(|(ord, values)| (query.score(values), *ord)));
            let worst = scores.iter().map(|(score, _)| *score).fold(f32::INFINITY, f32::min);
            let walked = ranking.is_none() && near.len() < deep;
            if !walked {
                // What lies beyond the last may be nearer than these.
                scores.extend(tail.iter().filter(|(score, _)| all || *score >= worst));
                let below = least.is_some_and(|least| worst < least);
                scores.retain(|(score, _)| least.is_none_or(|least| *score >= least));
                let hits = self.best(scores, depth).await?;
                if hits.len() >= depth || all || below {
                    return Ok(Some(hits));
                }
            }
            // Too few pass: the others of the index, in their order.
            match &ranking {
                None => ranking = Some(self.ranking(&held, values)),
                Some(_) => deep *= 4,
            }
            if deep.saturating_mul(4) > points {
                return Ok(None);
            }
        }
    }

    /// The scores of what no index has.
    fn compare(
        &self,
        runs: &[Arc<DenseRun>],
        query: &DenseQuery<'_>,
        dimension: usize,
    ) -> Vec<(f32, u32)> {
        let view = self.live.view(POINTS);
        let next = self.collection.next_ord;
        let mut scores = Vec::new();
        for run in runs {
            for (ord, values) in run.ords.iter().zip(run.values.chunks_exact(dimension)) {
                let passes = self.within.as_ref().is_none_or(|within| within.has(*ord));
                if *ord < next && view.slot(*ord).is_some() && passes {
                    scores.push((query.score(values), *ord));
                }
            }
        }
        scores
    }

    /// Whether so few can pass that comparing each of them in memory is as fast as a walk, which meets one that
    /// passes among `points / passing`.
    fn few(&self, points: usize) -> bool {
        self.within.as_ref().is_some_and(|within| {
            let passing = within.len();
            passing.saturating_mul(passing) <= points.saturating_mul(BREADTH * 16)
        })
    }

    /// Everything in the index that can pass, the nearest first.
    fn ranking(&self, held: &Held, values: &[f32]) -> Vec<Near> {
        let (graph, view) = (&held.graph, self.live.view(POINTS));
        let passes = |ord| self.within.as_ref().is_none_or(|within| within.has(ord));
        let query = graph.form().encode(values);
        let mut all = graph.scan(query.code(), |ord| passes(ord) && view.slot(ord).is_some());
        all.sort_unstable_by(|a, b| b.cmp(a));
        all
    }

    /// About the `wanted` nearest that can pass.
    fn walk(&self, held: &Held, values: &[f32], wanted: usize) -> Vec<Near> {
        let (graph, view) = (&held.graph, self.live.view(POINTS));
        let passes = |ord| self.within.as_ref().is_none_or(|within| within.has(ord));
        let query = graph.form().encode(values);
        let accept = |ord| passes(ord) && view.slot(ord).is_some();
        graph.search(query.code(), wanted, BREADTH.max(wanted * 2), accept)
    }
}
