//! Search by comparing every point.

use std::collections::HashMap;

use hexmem_ports::rules::{DenseQuery, SparseQuery, better_first, fuse};
use hexmem_ports::{
    Filter, Found, Name, PointId, SparseVector, VectorQuery, VectorSearch, Weighting,
};
use serde_json::Value;

use super::count;
use super::state::{HeldPoint, Live};

impl Live {
    /// The search, which fits the collection.
    pub(super) fn search(&self, search: &VectorSearch) -> Vec<Found> {
        let enough = |score: f32| search.min_score.is_none_or(|least| score >= least);
        let limit = search.limit.as_usize();
        match &search.query {
            VectorQuery::Fused { parts, k, candidates } => {
                let lists: Vec<_> = parts
                    .iter()
                    .map(|part| {
                        let mut list = self.ranked(part, &search.filter);
                        list.truncate(candidates.as_usize());
                        list
                    })
                    .collect();
                let fused = fuse(&lists, *k).into_iter().filter(|found| enough(found.score));
                fused
                    .take(limit)
                    .map(|found| Found {
                        id: found.id,
                        score: found.score,
                        parts: found.parts,
                        payload: self.payload(found.id),
                    })
                    .collect()
            }
            query => {
                let ranked = self.ranked(query, &search.filter).into_iter();
                ranked
                    .filter(|(_, score)| enough(*score))
                    .take(limit)
                    .map(|(id, score)| Found {
                        id,
                        score,
                        parts: Vec::new(),
                        payload: self.payload(id),
                    })
                    .collect()
            }
        }
    }

    fn payload(&self, id: PointId) -> Value {
        self.points.get(&id).map(|held| held.point.payload.clone()).unwrap_or_default()
    }

    /// All points that a single query finds, best first. A fused one inside another was refused before.
    fn ranked(&self, query: &VectorQuery, filter: &Filter) -> Vec<(PointId, f32)> {
        let passing = || self.points.values().filter(|held| filter.matches(&held.point.payload));
        let scored = |held: &HeldPoint, score| (held.point.id, score);
        let mut list: Vec<_> = match query {
            VectorQuery::Dense { vector, values } => {
                let Some(spec) = self.spec.dense.get(vector) else { return Vec::new() };
                let query = DenseQuery::new(spec.distance, values);
                let score = |held: &HeldPoint| Some(query.score(held.point.dense.get(vector)?));
                passing().filter_map(|held| Some(scored(held, score(held)?))).collect()
            }
            VectorQuery::Sparse { vector, values } => {
                let query = self.weighed(vector, values);
                let score = |held: &HeldPoint| query.score(held.point.sparse.get(vector)?);
                passing().filter_map(|held| Some(scored(held, score(held)?))).collect()
            }
            VectorQuery::Fused { .. } => Vec::new(),
        };
        list.sort_unstable_by(|a, b| better_first((a.1, a.0), (b.1, b.0)));
        list
    }

    /// The query with its weights over all points that have the vector, whatever the filter.
    fn weighed(&self, vector: &Name, values: &SparseVector) -> SparseQuery {
        let weighting = self.spec.sparse.get(vector).map_or(Weighting::Plain, |s| s.weighting);
        let (mut total, mut with_term) = (0, HashMap::new());
        if weighting == Weighting::Idf {
            for point in self.points.values().filter_map(|held| held.point.sparse.get(vector)) {
                total += 1;
                for index in values.indices() {
                    if point.indices().binary_search(index).is_ok() {
                        *with_term.entry(*index).or_insert(0) += 1;
                    }
                }
            }
        }
        SparseQuery::new(values, weighting, count(total), |index| {
            with_term.get(&index).copied().unwrap_or(0)
        })
    }
}
