//! Search by comparing every point.

use std::collections::HashMap;

use hexmem_ports::rules::{DenseQuery, SparseQuery, better_first, fuse_found};
use hexmem_ports::{
    Filter, Found, Limit, Name, PointId, SparseVector, VectorQuery, VectorSearch, Weighting,
};
use serde_json::Value;

use super::count;
use super::state::{HeldPoint, Live};

impl Live {
    /// The search, which fits the collection.
    pub(super) fn search(&self, search: &VectorSearch) -> Vec<Found> {
        let mut found = match &search.query {
            VectorQuery::Fused { parts, k, candidates } => {
                let part = |part| self.best(part, &search.filter, None, *candidates);
                let lists = parts.iter().map(part).collect();
                fuse_found(lists, *k, search.min_score, search.limit)
            }
            query => self.best(query, &search.filter, search.min_score, search.limit),
        };
        for found in &mut found {
            found.payload = self.payload(found.id);
        }
        found
    }

    /// The best that a single query finds, without payloads.
    fn best(
        &self,
        query: &VectorQuery,
        filter: &Filter,
        least: Option<f32>,
        limit: Limit,
    ) -> Vec<Found> {
        let ranked = self.ranked(query, filter).into_iter();
        ranked
            .filter(|(_, score)| least.is_none_or(|least| *score >= least))
            .take(limit.as_usize())
            .map(|(id, score)| Found { id, score, parts: Vec::new(), payload: Value::Null })
            .collect()
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
