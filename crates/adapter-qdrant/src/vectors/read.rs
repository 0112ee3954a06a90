//! Reading without a search: by id, in order, and those that pass a filter.

use std::collections::{HashMap, HashSet};

use hexmem_ports::rules::Facets;
use hexmem_ports::{Cursor, FieldPath, Filter, Limit, Page, Point, PointId, Result};
use qdrant_client::qdrant::{
    self, CountPoints, GetPoints, PayloadIncludeSelector, RetrievedPoint, ScrollPoints,
    VectorsSelector, WithPayloadSelector, WithVectorsSelector, with_payload_selector,
    with_vectors_selector,
};
use serde_json::Value;
use uuid::Uuid;

use super::There;
use super::filter::{self, Plan};
use super::point;
use crate::{Qdrant, ReadConsistency};

/// Points that are read at once.
pub(super) const PAGE: u32 = 1_000;

pub(super) fn consistency(qdrant: &Qdrant) -> Option<qdrant::ReadConsistency> {
    let kind = match qdrant.config().read_consistency? {
        ReadConsistency::Majority => qdrant::ReadConsistencyType::Majority,
        ReadConsistency::Quorum => qdrant::ReadConsistencyType::Quorum,
        ReadConsistency::All => qdrant::ReadConsistencyType::All,
    };
    let value = Some(qdrant::read_consistency::Value::Type(kind.into()));
    Some(qdrant::ReadConsistency { value })
}

/// Only these fields.
pub(super) fn fields<T: Into<String>>(names: impl IntoIterator<Item = T>) -> WithPayloadSelector {
    let fields: Vec<String> = names.into_iter().map(Into::into).collect();
    let options = if fields.is_empty() {
        with_payload_selector::SelectorOptions::Enable(false)
    } else {
        with_payload_selector::SelectorOptions::Include(PayloadIncludeSelector { fields })
    };
    WithPayloadSelector { selector_options: Some(options) }
}

/// Only these vectors.
pub(super) fn vectors(names: Vec<String>) -> WithVectorsSelector {
    let options = if names.is_empty() {
        with_vectors_selector::SelectorOptions::Enable(false)
    } else {
        with_vectors_selector::SelectorOptions::Include(VectorsSelector { names })
    };
    WithVectorsSelector { selector_options: Some(options) }
}

/// Everything of a point but what only counts it.
pub(super) fn whole() -> (WithPayloadSelector, WithVectorsSelector) {
    let mut names = point::PAYLOAD_FIELDS.to_vec();
    names.extend([point::GIVEN, point::EMPTY_SPARSE, point::VERSION, point::MODIFIED]);
    let all = with_vectors_selector::SelectorOptions::Enable(true);
    (fields(names), WithVectorsSelector { selector_options: Some(all) })
}

/// Points by id, in no order.
pub(super) async fn by_id(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    ids: &[PointId],
    with_payload: &WithPayloadSelector,
    with_vectors: &WithVectorsSelector,
) -> Result<Vec<(PointId, RetrievedPoint)>> {
    let mut found = Vec::with_capacity(ids.len());
    let at_once = usize::try_from(PAGE).unwrap_or(usize::MAX);
    for ids in ids.chunks(at_once) {
        let request = &GetPoints {
            collection_name: there.name.clone(),
            ids: ids.iter().copied().map(point::id).collect(),
            with_payload: Some(with_payload.clone()),
            with_vectors: Some(with_vectors.clone()),
            read_consistency: consistency(qdrant),
            timeout: qdrant.server_timeout(),
            ..Default::default()
        };
        let answer = qdrant.read(operation, |client| {
            let request = request.clone();
            async move { client.get_points(request).await }
        });
        for mut one in answer.await?.result {
            found.push((point::id_of(operation, one.id.take())?, one));
        }
    }
    Ok(found)
}

pub(super) async fn get(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    ids: &[PointId],
) -> Result<Vec<Option<Point>>> {
    let wanted: HashSet<PointId> = ids.iter().copied().collect();
    let wanted: Vec<PointId> = wanted.into_iter().collect();
    let (with_payload, with_vectors) = whole();
    let found = by_id(qdrant, operation, there, &wanted, &with_payload, &with_vectors).await?;
    let mut points = HashMap::with_capacity(found.len());
    for (id, one) in found {
        let point = point::decode(operation, &there.life, id, one.payload, one.vectors)?;
        points.insert(id, point);
    }
    Ok(ids.iter().map(|id| points.get(id).cloned()).collect())
}

/// A page of points in order of id, as Qdrant gives them.
pub(super) struct Scroll<'a> {
    pub(super) there: &'a There,
    pub(super) filter: Option<qdrant::Filter>,
    pub(super) with_payload: WithPayloadSelector,
    pub(super) with_vectors: WithVectorsSelector,
    /// The first id of the next page; `None` when there is none.
    from: Option<Option<PointId>>,
}

impl<'a> Scroll<'a> {
    pub(super) fn new(
        there: &'a There,
        filter: Option<qdrant::Filter>,
        with_payload: WithPayloadSelector,
        with_vectors: WithVectorsSelector,
    ) -> Self {
        Self { there, filter, with_payload, with_vectors, from: Some(None) }
    }

    /// From the first id after `after` on.
    pub(super) fn after(mut self, after: Option<PointId>) -> Self {
        self.from = match after {
            None => Some(None),
            Some(id) => {
                id.0.as_u128().checked_add(1).map(|next| Some(PointId(Uuid::from_u128(next))))
            }
        };
        self
    }

    /// The next page; `None` at the end.
    pub(super) async fn next(
        &mut self,
        qdrant: &Qdrant,
        operation: &'static str,
        limit: u32,
    ) -> Result<Option<Vec<(PointId, RetrievedPoint)>>> {
        let Some(from) = self.from else { return Ok(None) };
        let request = &ScrollPoints {
            collection_name: self.there.name.clone(),
            filter: self.filter.clone(),
            offset: from.map(point::id),
            limit: Some(limit),
            with_payload: Some(self.with_payload.clone()),
            with_vectors: Some(self.with_vectors.clone()),
            read_consistency: consistency(qdrant),
            timeout: qdrant.server_timeout(),
            ..Default::default()
        };
        let answer = qdrant.read(operation, |client| {
            let request = request.clone();
            async move { client.scroll(request).await }
        });
        let answer = answer.await?;
        self.from = match answer.next_page_offset {
            Some(next) => Some(Some(point::id_of(operation, Some(next))?)),
            None => None,
        };
        let mut page = Vec::with_capacity(answer.result.len());
        for mut one in answer.result {
            page.push((point::id_of(operation, one.id.take())?, one));
        }
        Ok(Some(page))
    }
}

/// The fields that decide a filter which Qdrant does not decide alone.
fn deciding(plan: &Plan) -> WithPayloadSelector {
    if plan.is_exact { fields::<&str>([]) } else { fields(point::PAYLOAD_FIELDS) }
}

fn passes(
    operation: &'static str,
    plan: &Plan,
    filter: &Filter,
    one: &mut RetrievedPoint,
) -> Result<bool> {
    if plan.is_exact {
        return Ok(true);
    }
    Ok(filter.matches(&point::payload_of(operation, &mut one.payload)?))
}

/// The ids of all points that pass.
pub(super) async fn passing(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    filter: &Filter,
) -> Result<Vec<PointId>> {
    let plan = Plan::of(filter);
    let mut scroll = Scroll::new(there, plan.filter.clone(), deciding(&plan), vectors(Vec::new()));
    let mut ids = Vec::new();
    while let Some(page) = scroll.next(qdrant, operation, PAGE).await? {
        for (id, mut one) in page {
            if passes(operation, &plan, filter, &mut one)? {
                ids.push(id);
            }
        }
    }
    Ok(ids)
}

pub(super) async fn scroll(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    filter: &Filter,
    after: Option<PointId>,
    limit: Limit,
) -> Result<Page<Point>> {
    let plan = Plan::of(filter);
    let (with_payload, with_vectors) = whole();
    let mut scroll =
        Scroll::new(there, plan.filter.clone(), with_payload, with_vectors).after(after);
    let mut items: Vec<Point> = Vec::new();
    loop {
        let room = limit.as_usize() - items.len();
        // One more than there is room for tells whether another page follows.
        let rows = u32::try_from(room + 1).unwrap_or(u32::MAX).min(PAGE);
        let Some(page) = scroll.next(qdrant, operation, rows).await? else {
            return Ok(Page { items, next: None });
        };
        for (id, one) in page {
            let point = point::decode(operation, &there.life, id, one.payload, one.vectors)?;
            if !plan.is_exact && !filter.matches(&point.payload) {
                continue;
            }
            if items.len() == limit.as_usize() {
                let next = items.last().map(|point| Cursor(point.id.to_string()));
                return Ok(Page { items, next });
            }
            items.push(point);
        }
    }
}

/// How many points pass what Qdrant decides.
pub(super) async fn tally(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    filter: Option<qdrant::Filter>,
    exact: bool,
) -> Result<u64> {
    let request = &CountPoints {
        collection_name: there.name.clone(),
        filter,
        exact: Some(exact),
        read_consistency: consistency(qdrant),
        timeout: qdrant.server_timeout(),
        ..Default::default()
    };
    let answer = qdrant.read(operation, |client| {
        let request = request.clone();
        async move { client.count(request).await }
    });
    Ok(answer.await?.result.map_or(0, |result| result.count))
}

pub(super) async fn count_all(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
) -> Result<u64> {
    tally(qdrant, operation, there, None, true).await
}

pub(super) async fn count(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    filter: &Filter,
) -> Result<u64> {
    let plan = Plan::of(filter);
    if plan.is_exact {
        return tally(qdrant, operation, there, plan.filter, true).await;
    }
    let passing = passing(qdrant, operation, there, filter).await?;
    Ok(u64::try_from(passing.len()).unwrap_or(u64::MAX))
}

pub(super) async fn facets(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    path: &FieldPath,
    filter: &Filter,
    limit: Limit,
) -> Result<Vec<(Value, u64)>> {
    // Qdrant's own facets know only texts of an indexed field; here any value counts.
    let plan = Plan::of(filter);
    let is_deep = path.parts().count() > super::payload::DEEPEST;
    let with_payload = if plan.is_exact && !is_deep {
        fields([filter::field(path), point::TEXT.to_owned()])
    } else {
        fields(point::PAYLOAD_FIELDS)
    };
    let mut scroll = Scroll::new(there, plan.filter.clone(), with_payload, vectors(Vec::new()));
    let mut facets = Facets::default();
    while let Some(page) = scroll.next(qdrant, operation, PAGE).await? {
        for (_, mut one) in page {
            let payload = point::payload_of(operation, &mut one.payload)?;
            if plan.is_exact || filter.matches(&payload) {
                facets.add(path, &payload);
            }
        }
    }
    Ok(facets.top(limit))
}
