//! Search: lists from Qdrant, ranked by the rules that all stores share.

use std::collections::HashMap;

use hexmem_ports::rules::{
    DenseQuery, SparseQuery, better_first, check_search, fuse_found, narrow,
};
use hexmem_ports::{
    Accuracy, Distance, Filter, Found, Name, PointId, Result, VectorQuery, VectorSearch, Weighting,
};
use qdrant_client::qdrant;
use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::{
    DenseVector, HasIdCondition, HasVectorCondition, Query, QueryPoints, RepeatedIntegers,
    ScoredPoint, SearchParams, VectorInput, query, vector_input,
};
use serde_json::Value;

use super::There;
use super::filter::{self, Plan};
use super::point;
use super::read::{self, Scroll};
use super::sparse;
use crate::Qdrant;

const OP: &str = "vectors.search";

/// Points beyond those wanted that are asked for, so that near scores at the cut can be told apart.
const MARGIN: usize = 16;

pub(super) async fn search(
    qdrant: &Qdrant,
    there: &There,
    search: &VectorSearch,
) -> Result<Vec<Found>> {
    check_search(OP, &there.life.spec, search)?;
    let plan = Plan::of(&search.filter);
    let lists = Lists { qdrant, there, plan, filter: &search.filter, accuracy: search.accuracy };
    let VectorQuery::Fused { parts, k, candidates } = &search.query else {
        let depth = search.limit.as_usize();
        return lists.list(&search.query, depth, search.min_score, Payloads::Wanted).await;
    };
    let depth = candidates.as_usize();
    let parts = parts.iter().map(|part| lists.list(part, depth, None, Payloads::Unwanted));
    let parts = futures::future::try_join_all(parts).await?;
    let mut found = fuse_found(parts, *k, search.min_score, search.limit);
    let ids: Vec<PointId> = found.iter().map(|found| found.id).collect();
    let with_payload = read::fields(point::PAYLOAD_FIELDS);
    let nothing = read::vectors(Vec::new());
    let read = read::by_id(qdrant, OP, there, &ids, &with_payload, &nothing).await?;
    let mut payloads = HashMap::with_capacity(read.len());
    for (id, mut one) in read {
        payloads.insert(id, point::payload_of(OP, &mut one.payload)?);
    }
    // One that was removed since it was ranked is left out.
    found.retain_mut(|found| match payloads.remove(&found.id) {
        Some(payload) => {
            found.payload = payload;
            true
        }
        None => false,
    });
    Ok(found)
}

/// Whether a list is to bring the payloads.
#[derive(Clone, Copy, PartialEq)]
enum Payloads {
    Wanted,
    Unwanted,
}

/// What scores the points of a list.
enum Scorer<'a> {
    Dense(Distance, DenseQuery<'a>),
    Sparse(SparseQuery, Weighting),
}

impl Scorer<'_> {
    /// A score of Qdrant's as scores are here: higher is better.
    fn turned(&self, score: f32) -> f32 {
        match self {
            Self::Dense(Distance::Euclid, _) => narrow(-f64::from(score)),
            _ => narrow(f64::from(score)),
        }
    }

    /// A score here that Qdrant gives as this one or better.
    fn threshold(&self, least: f32) -> f32 {
        let below = least - blur(least);
        match self {
            Self::Dense(Distance::Euclid, _) => -below,
            _ => below,
        }
    }
}

/// By how much a score of Qdrant's may differ from the one by the rules.
fn blur(score: f32) -> f32 {
    1e-5 + score.abs() * 1e-5
}

/// What the lists of one search have in common.
struct Lists<'a> {
    qdrant: &'a Qdrant,
    there: &'a There,
    plan: Plan,
    filter: &'a Filter,
    accuracy: Accuracy,
}

/// One list.
struct List<'a> {
    using: String,
    name: &'a Name,
    query: Query,
    scorer: Scorer<'a>,
}

impl Lists<'_> {
    fn is_exact(&self) -> bool {
        self.accuracy == Accuracy::Exact
    }

    /// The best of one list that pass the filter.
    async fn list(
        &self,
        query: &VectorQuery,
        depth: usize,
        least: Option<f32>,
        payloads: Payloads,
    ) -> Result<Vec<Found>> {
        let Some(list) = self.prepare(query).await? else { return Ok(Vec::new()) };
        let mut want = depth + if self.is_exact() { MARGIN } else { 1 };
        loop {
            let answer = self.ask(&list, want, least, payloads).await?;
            let whole = answer.len() < want;
            let floor = answer.last().map(|point| list.scorer.turned(point.score));
            let mut hits = Vec::with_capacity(answer.len());
            for point in answer {
                hits.extend(self.hit(&list, point, payloads)?);
            }
            let floor = floor.unwrap_or_default();
            // Qdrant leaves out points whose sum is zero.
            if self.is_exact()
                && matches!(list.scorer, Scorer::Sparse(..))
                && (whole || floor <= 0.0)
            {
                self.complete(&list, &mut hits, payloads).await?;
                return Ok(best(hits, depth, least));
            }
            if whole {
                return Ok(best(hits, depth, least));
            }
            let enough = hits.len() >= depth;
            let hits = best(hits, depth, least);
            // What was not given scores at most `floor`, or a little more by the rules.
            let settled = enough
                && hits.last().is_some_and(|last| {
                    if self.is_exact() {
                        floor + blur(floor) < last.score
                    } else {
                        floor < last.score
                    }
                });
            // Of an index that is not exact more than this is not worth it.
            if settled || (enough && !self.is_exact() && want > depth.saturating_mul(4)) {
                return Ok(hits);
            }
            want = want.saturating_mul(4).saturating_add(64);
        }
    }

    /// `None` where nothing can be found.
    async fn prepare<'q>(&self, query: &'q VectorQuery) -> Result<Option<List<'q>>> {
        let life = &self.there.life;
        match query {
            VectorQuery::Dense { vector, values } => {
                let (Some(using), Some(spec)) = (life.dense(vector), life.spec.dense.get(vector))
                else {
                    return Ok(None);
                };
                let data = point::compared(spec.distance, values);
                let scorer = Scorer::Dense(spec.distance, DenseQuery::new(spec.distance, values));
                let input = vector_input::Variant::Dense(DenseVector { data });
                Ok(Some(List { using, name: vector, query: nearest(input), scorer }))
            }
            VectorQuery::Sparse { vector, values } => {
                let (Some(using), Some(spec)) = (life.sparse(vector), life.spec.sparse.get(vector))
                else {
                    return Ok(None);
                };
                if values.indices().is_empty() {
                    // Qdrant refuses such a query; that the collection is there is told all the same.
                    read::tally(self.qdrant, OP, self.there, None, false).await?;
                    return Ok(None);
                }
                let weighed =
                    sparse::weigh(self.qdrant, OP, self.there, vector, values, self.accuracy)
                        .await?;
                let weights = weighed.weights();
                let input = vector_input::Variant::Sparse(qdrant::SparseVector {
                    indices: weights.iter().map(|(index, _)| *index).collect(),
                    values: weights.iter().map(|(_, weight)| narrow(*weight)).collect(),
                });
                let scorer = Scorer::Sparse(weighed, spec.weighting);
                Ok(Some(List { using, name: vector, query: nearest(input), scorer }))
            }
            // Refused before.
            VectorQuery::Fused { .. } => Ok(None),
        }
    }

    /// The fields that a hit is made of.
    fn fields(&self, list: &List<'_>, payloads: Payloads) -> Vec<&'static str> {
        let mut fields = Vec::new();
        if payloads == Payloads::Wanted || !self.plan.is_exact {
            fields.extend(point::PAYLOAD_FIELDS);
        }
        if self.is_exact() && matches!(list.scorer, Scorer::Dense(Distance::Cosine, _)) {
            fields.push(point::GIVEN);
        }
        fields
    }

    async fn ask(
        &self,
        list: &List<'_>,
        want: usize,
        least: Option<f32>,
        payloads: Payloads,
    ) -> Result<Vec<ScoredPoint>> {
        let config = self.qdrant.config();
        let exact = self.is_exact();
        let with_vectors = if exact { vec![list.using.clone()] } else { Vec::new() };
        let request = &QueryPoints {
            collection_name: self.there.name.clone(),
            query: Some(list.query.clone()),
            using: Some(list.using.clone()),
            filter: self.plan.filter.clone(),
            params: Some(SearchParams {
                hnsw_ef: config.hnsw_ef.map(u64::from),
                exact: exact.then_some(true),
                // Even an exact search may compare packed vectors otherwise.
                quantization: exact.then(|| qdrant::QuantizationSearchParams {
                    ignore: Some(true),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            score_threshold: least.map(|least| list.scorer.threshold(least)),
            limit: Some(u64::try_from(want).unwrap_or(u64::MAX)),
            with_vectors: Some(read::vectors(with_vectors)),
            with_payload: Some(read::fields(self.fields(list, payloads))),
            read_consistency: read::consistency(self.qdrant),
            timeout: self.qdrant.server_timeout(),
            ..Default::default()
        };
        let answer = self.qdrant.read(OP, |client| {
            let request = request.clone();
            async move { client.query(request).await }
        });
        Ok(answer.await?.result)
    }

    /// The hit that a point is, where it passes.
    fn hit(
        &self,
        list: &List<'_>,
        mut found: ScoredPoint,
        payloads: Payloads,
    ) -> Result<Option<Found>> {
        let id = point::id_of(OP, found.id.take())?;
        let mut score = list.scorer.turned(found.score);
        if self.is_exact() {
            let Some(stored) = point::named(found.vectors.take()).remove(&list.using) else {
                return Ok(None);
            };
            score = match &list.scorer {
                Scorer::Dense(_, query) => {
                    query.score(&point::dense_of(OP, &list.using, stored, &found.payload)?)
                }
                Scorer::Sparse(query, _) => match query.score(&point::sparse_of(OP, stored)?) {
                    Some(score) => score,
                    None => return Ok(None),
                },
            };
        }
        let payload = if payloads == Payloads::Wanted || !self.plan.is_exact {
            point::payload_of(OP, &mut found.payload)?
        } else {
            Value::Null
        };
        let passes = self.plan.is_exact || self.filter.matches(&payload);
        Ok(passes.then_some(Found { id, score, parts: Vec::new(), payload }))
    }

    /// Adds every other point with a common index.
    async fn complete(
        &self,
        list: &List<'_>,
        hits: &mut Vec<Found>,
        payloads: Payloads,
    ) -> Result<()> {
        let Scorer::Sparse(query, weighting) = &list.scorer else { return Ok(()) };
        let place = self.there.life.sparse_place(list.name).unwrap_or_default();
        let candidates = match weighting {
            Weighting::Idf => {
                let integers = query.weights().iter().map(|(index, _)| i64::from(*index)).collect();
                let terms = MatchValue::Integers(RepeatedIntegers { integers });
                filter::matching(point::terms_field(place), terms)
            }
            Weighting::Plain => {
                let has = HasVectorCondition { has_vector: list.using.clone() };
                filter::of(ConditionOneOf::HasVector(has))
            }
        };
        let mut others = self.plan.and(candidates);
        let has_id: Vec<_> = hits.iter().map(|hit| point::id(hit.id)).collect();
        if !has_id.is_empty() {
            others.must_not.push(filter::of(ConditionOneOf::HasId(HasIdCondition { has_id })));
        }
        let with_payload = read::fields(self.fields(list, payloads));
        let with_vectors = read::vectors(vec![list.using.clone()]);
        let mut scroll = Scroll::new(self.there, Some(others), with_payload, with_vectors);
        while let Some(page) = scroll.next(self.qdrant, OP, read::PAGE).await? {
            for (id, one) in page {
                let found = ScoredPoint {
                    id: Some(point::id(id)),
                    payload: one.payload,
                    vectors: one.vectors,
                    ..Default::default()
                };
                hits.extend(self.hit(list, found, payloads)?);
            }
        }
        Ok(())
    }
}

fn nearest(input: vector_input::Variant) -> Query {
    let input = VectorInput { variant: Some(input) };
    Query { variant: Some(query::Variant::Nearest(input)) }
}

/// The best `depth` with at least `least`, best first.
fn best(mut hits: Vec<Found>, depth: usize, least: Option<f32>) -> Vec<Found> {
    hits.retain(|hit| least.is_none_or(|least| hit.score >= least));
    hits.sort_by(|a, b| better_first((a.score, a.id), (b.score, b.id)));
    hits.truncate(depth);
    hits
}
